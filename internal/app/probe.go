package app

import (
	"context"
	"time"

	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/netguard"
)

// stepToken is the first step of a probe: a token, or the password.
const stepToken = "probe.token"

// probeLimit bounds a probe: a person waits for it.
const probeLimit = 45 * time.Second

// probe signs in to a mailbox as reading does, and says step by step how far that
// comes. The rows are told, to be waited for, as they change; tell may be nil.
func (o *mailboxes) probe(ctx context.Context, m mailroom.Mailbox, tell func([]mailroom.Check)) []mailroom.Check {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	s := mailroom.NewSteps(time.Now, tell, append([]string{stepToken}, imapconn.ProbeSteps()...)...)
	account, err := o.account(ctx, m)
	if serr := s.Do(stepToken, func() (map[string]any, error) {
		if err == nil {
			err = o.credentialsFor(ctx, m, &account)
		}
		return nil, err
	}); serr != nil {
		return s.Checks()
	}
	leave, err := o.seat(ctx, m)
	if err != nil {
		_ = s.Do(imapconn.StepReach, func() (map[string]any, error) { return nil, err })
		return s.Checks()
	}
	defer leave()
	err = imapconn.Probe(ctx, account, s)
	switch e := mailroom.AsError(err); {
	case e == nil:
	case e.Key == "imap.error.auth" && !m.UsesPassword():
		// As open does: only the provider can tell whether the permission is over.
		s.Again(append([]string{stepToken}, imapconn.ProbeSteps()...)...)
		if s.Do(stepToken, func() (map[string]any, error) {
			account.Token, _, err = o.credentials.Renew(ctx, m.ID, account.Token)
			return nil, err
		}) == nil {
			err = imapconn.Probe(ctx, account, s)
		}
	case e.Key == "imap.error.too_many" || e.Key == "imap.error.not_connected":
		// A server notices late that one of ours has been hung up.
		if pause(ctx, time.Second) {
			s.Again(imapconn.ProbeSteps()...)
			err = imapconn.Probe(ctx, account, s)
		}
	}
	o.budget.Heed(m.ID, err)
	return s.Checks()
}

// credentialsFor puts in what the mailbox signs in with.
func (o *mailboxes) credentialsFor(ctx context.Context, m mailroom.Mailbox, a *imapconn.Account) (err error) {
	if m.UsesPassword() {
		a.Password, err = o.credentials.Password(ctx, m.ID)
	} else {
		a.Token, _, err = o.credentials.Token(ctx, m.ID)
	}
	return err
}

// pause waits; false when ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	moment := time.NewTimer(d)
	defer moment.Stop()
	select {
	case <-moment.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// oauthAccount is where and how the tokens of a provider sign in.
func (o *mailboxes) oauthAccount(p mailroom.Provider, user string) imapconn.Account {
	return imapconn.Account{
		Endpoint: p.IMAP, Username: user, SASL: p.SASL, IdleRenewal: p.IdleRenewal(), RootCAs: o.rootCAs, MaxMessage: o.maxMessage, Log: o.log,
		// The address that a name leads to is checked when it is dialled, not only
		// when it was typed: names can be moved.
		Dial: netguard.Dialer(o.allowPrivate || p.Loopback || p.Private).DialContext,
	}
}

// look signs in as user with a token that is not stored yet, for a grant to the
// mailbox of the id: with one of its connections, and not while the provider wants
// to be left alone.
func (o *mailboxes) look(ctx context.Context, p mailroom.Provider, mailboxID, token, user string) (mailroom.MailboxLook, error) {
	leave, err := o.budget.Visit(ctx, mailroom.Mailbox{ID: mailboxID, ProviderID: p.ID})
	if err != nil {
		return mailroom.MailboxLook{}, err
	}
	defer leave()
	account := o.oauthAccount(p, user)
	account.Token = token
	conn, err := dial(ctx, account)
	if e := mailroom.AsError(err); e != nil && e.Key == "imap.error.not_connected" && pause(ctx, time.Second) {
		// Exchange says so of one connection too many as well (docs/providers.md 3.4).
		conn, err = imapconn.Open(ctx, account)
	}
	if err != nil {
		o.budget.Heed(mailboxID, err)
		return mailroom.MailboxLook{}, err
	}
	defer conn.Close()
	return conn.Look(ctx)
}
