package access

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// waitStep is how often a refresh that another node does is looked after; its
// signal usually comes first.
const waitStep = 250 * time.Millisecond

// flight is a refresh under way in this process: those who come meanwhile share
// its outcome.
type flight struct {
	done    chan struct{}
	token   string
	expires time.Time
	err     error
}

// Token returns an access token for a mailbox that is good for some minutes yet,
// refreshing it if need be. However many ask, on however many nodes, the provider
// is asked once.
//
// Errors: NeedsConsent and NeedsAdmin, written on the mailbox too, when the
// provider says that the grant is not good any more or there is none; NeedsVendor,
// Throttled and Unavailable for faults that say nothing about it.
func (a *Access) Token(ctx context.Context, mailboxID string) (token string, expires time.Time, err error) {
	c, err := a.granted(ctx, mailboxID)
	if err != nil {
		return "", time.Time{}, err
	}
	if a.fresh(c) {
		o, err := a.open(c)
		return o.access, c.Grant.ExpiresAt, err
	}
	a.mu.Lock()
	f := a.flights[mailboxID]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		a.flights[mailboxID] = f
		// Not under the caller's context: a rotated refresh token whose answer
		// nobody waits for would be lost with the grant.
		go a.fly(context.WithoutCancel(ctx), mailboxID, f)
	}
	a.mu.Unlock()
	select {
	case <-f.done:
		return f.token, f.expires, f.err
	case <-ctx.Done():
		return "", time.Time{}, mailroom.AsError(ctx.Err())
	}
}

func (a *Access) fly(ctx context.Context, mailboxID string, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, leaseFor+refreshLimit)
	defer cancel()
	f.token, f.expires, f.err = a.renewed(ctx, mailboxID, a.fresh)
	a.mu.Lock()
	delete(a.flights, mailboxID)
	a.mu.Unlock()
	close(f.done)
}

// granted reads a mailbox's credentials and demands a grant.
func (a *Access) granted(ctx context.Context, mailboxID string) (mailroom.Credentials, error) {
	c, err := a.Store.Credentials(ctx, mailboxID)
	if err == nil && (c.Grant == nil || c.Retired) {
		err = mailroom.E(mailroom.NeedsConsent, "grant.error.none")
	}
	return c, err
}

func (a *Access) fresh(c mailroom.Credentials) bool {
	g := c.Grant
	return g.ExpiresAt.Sub(a.Now()) > soonest(g.RefreshedAt, g.ExpiresAt)
}

// renewed takes the lease and refreshes, or waits for whoever holds it, until the
// token is fresh as the caller understands it.
func (a *Access) renewed(ctx context.Context, mailboxID string, fresh func(mailroom.Credentials) bool) (string, time.Time, error) {
	signal, stop := a.Store.Watch("mailbox:" + mailboxID)
	defer stop()
	tick := time.NewTicker(waitStep)
	defer tick.Stop()
	for {
		c, err := a.granted(ctx, mailboxID)
		if err != nil {
			return "", time.Time{}, err
		}
		if fresh(c) {
			o, err := a.open(c)
			return o.access, c.Grant.ExpiresAt, err
		}
		leased, err := a.Store.LeaseGrant(ctx, c.Grant.ID, a.node, c.Grant.Version, a.Now(), a.Now().Add(leaseFor))
		if err != nil {
			return "", time.Time{}, err
		}
		if leased {
			return a.refresh(ctx, c)
		}
		select {
		case <-signal:
		case <-tick.C:
		case <-ctx.Done():
			return "", time.Time{}, mailroom.E(mailroom.Unavailable, "grant.error.refresh_elsewhere", ctx.Err())
		}
	}
}

// refresh asks the provider for a new token under the lease, which was given for
// exactly the version in c: what c holds is what is stored.
func (a *Access) refresh(ctx context.Context, c mailroom.Credentials) (string, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, refreshLimit)
	defer cancel()
	o, err := a.open(c)
	if err != nil {
		return "", time.Time{}, a.failed(ctx, c, err)
	}
	if o.refresh == "" {
		return "", time.Time{}, a.failed(ctx, c, mailroom.E(mailroom.NeedsConsent, "grant.error.no_refresh_left"))
	}
	p, t, err := a.asked(ctx, c.OrgID, c.Grant.ProviderID, func(p mailroom.Provider) (mailroom.Tokens, error) {
		return a.OAuth.Refresh(ctx, p, o.refresh)
	})
	if err != nil {
		return "", time.Time{}, a.failed(ctx, c, err)
	}
	return a.refreshed(ctx, p, c, o, t)
}

// refreshed stores what a refresh brought.
func (a *Access) refreshed(ctx context.Context, p mailroom.Provider, c mailroom.Credentials, o opened, t mailroom.Tokens) (string, time.Time, error) {
	// What a refresh answers is often only the part that the token is for; what was
	// granted stays as it was told then, unless mail itself is gone from it.
	scopes := c.Grant.Scopes
	if missing := missingScopes(p, t.Scopes); len(missing) > 0 {
		scopes = t.Scopes
		a.Log.Warn("refreshed token lacks scopes", "mailbox", c.MailboxID, "provider", p.ID, "missing", len(missing))
	}
	s := sealTokens(o.key, c.Grant.ID, t)
	stored, err := a.Store.SaveRefreshed(ctx, mailroom.Refreshed{
		MailboxID: c.MailboxID, GrantID: c.Grant.ID, Owner: a.node, Version: c.Grant.Version,
		Access: s.Access, Refresh: s.Refresh, Scopes: scopes, ExpiresAt: t.ExpiresAt, At: a.Now().UTC(),
	})
	if err != nil {
		return "", time.Time{}, err
	}
	if !stored {
		return a.overtaken(ctx, p, c, t)
	}
	a.Log.Info("token refreshed", "mailbox", c.MailboxID, "provider", p.ID, "rotated", t.Refresh != "")
	return t.Access, t.ExpiresAt, nil
}

// failed gives the lease back, and writes on the mailbox what only a person can
// mend. It returns err, or that the provider has a fault, when many others were
// refused at the same time.
func (a *Access) failed(ctx context.Context, c mailroom.Credentials, err error) error {
	// The refresh may have used up its time; the lease must go back all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var p *mailroom.Problem
	if k := mailroom.KindOf(err); k == mailroom.NeedsConsent || k == mailroom.NeedsAdmin {
		p = mailroom.ProblemOf(err, a.Now().UTC())
	}
	shown, ferr := a.Store.FailRefresh(ctx, c.MailboxID, c.Grant.ID, a.node, c.Grant.Version, p)
	if ferr != nil {
		a.Log.Error("give refresh lease back", "mailbox", c.MailboxID, "err", ferr)
	}
	a.Log.Warn("refresh failed", "mailbox", c.MailboxID, "kind", mailroom.KindOf(err), "key", mailroom.AsError(err).Key)
	if ferr == nil && shown != nil && shown.Key == mailroom.KeyProviderFault {
		return &mailroom.Error{Kind: shown.Kind, Key: shown.Key, Args: shown.Args, Err: err}
	}
	return err
}

// overtaken: the grant was revoked or replaced while its token was refreshed. What
// came back is nobody's; a live refresh token is not left lying at the provider
// of a grant that was given up.
func (a *Access) overtaken(ctx context.Context, p mailroom.Provider, c mailroom.Credentials, t mailroom.Tokens) (string, time.Time, error) {
	now, err := a.granted(ctx, c.MailboxID)
	if mailroom.KindOf(err) == mailroom.NeedsConsent {
		if t.Refresh != "" {
			if _, rerr := a.OAuth.Revoke(ctx, p, t.Refresh); rerr != nil {
				a.Log.Warn("revoke an overtaken token", "mailbox", c.MailboxID, "kind", mailroom.KindOf(rerr))
			}
		}
		return "", time.Time{}, err
	}
	if err != nil {
		return "", time.Time{}, err
	}
	if !a.fresh(now) {
		return "", time.Time{}, mailroom.E(mailroom.Unavailable, "grant.error.refresh_elsewhere")
	}
	o, err := a.open(now)
	return o.access, now.Grant.ExpiresAt, err
}
