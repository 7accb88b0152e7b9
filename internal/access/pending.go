package access

import (
	"context"
	"encoding/json"
	"time"

	"mailroom/internal/mailroom"
)

const (
	// pendingLife is how long a person may take to choose.
	pendingLife = 10 * time.Minute
	// lookLimit bounds the wait for the mail server while a browser waits.
	lookLimit = 15 * time.Second
)

// pendingStore keeps grants that wait. Each method is one transaction.
type pendingStore interface {
	// SavePendingGrant keeps one in place of those of the same user and mailbox, and
	// forgets expired ones.
	SavePendingGrant(ctx context.Context, p mailroom.PendingGrant) error
	// ChangePendingGrant keeps what was found out meanwhile; Conflict
	// "grant.error.choice_gone" when it is over.
	ChangePendingGrant(ctx context.Context, orgID, id string, data mailroom.Sealed) error
	// PendingGrant is the user's newest that a browser session asked for and that
	// has not expired; NotFound without one.
	PendingGrant(ctx context.Context, orgID, userID, binding string, now time.Time) (mailroom.PendingGrant, error)
	// DropPendingGrant forgets one, with the audit event; NotFound when it is gone.
	DropPendingGrant(ctx context.Context, orgID, id string, e mailroom.AuditEvent) error
}

// pending is what a pending grant holds, sealed.
type pending struct {
	Tokens  mailroom.Tokens   `json:"tokens"`
	Shared  bool              `json:"shared,omitempty"`
	Problem *mailroom.Problem `json:"problem,omitempty"`
}

// waiting is a pending grant with all that belongs to it.
type waiting struct {
	row mailroom.PendingGrant
	pending
	provider    mailroom.Provider
	credentials mailroom.Credentials
}

func (w waiting) choice() *mailroom.GrantChoice {
	return &mailroom.GrantChoice{
		ID: w.row.ID, MailboxID: w.row.MailboxID, Mailbox: mailroom.NormalAddress(w.credentials.Address), Account: w.row.Account,
		Shared: w.Shared, Problem: w.Problem, ExpiresAt: w.row.ExpiresAt,
	}
}

// relate finds out how the account that granted stands to the mailbox that was
// typed, which is none of its addresses. The code is used up, so the tokens are
// kept before anybody is asked: whatever happens now, no new consent is needed.
func (a *Access) relate(ctx context.Context, u mailroom.User, r mailroom.AuthRequest, p mailroom.Provider, c mailroom.Credentials, t mailroom.Tokens) (mailroom.GrantOutcome, error) {
	now := a.Now().UTC()
	w := waiting{provider: p, credentials: c, row: mailroom.PendingGrant{
		ID: mailroom.NewID(mailroom.PrefixPending), Binding: r.Binding, OrgID: c.OrgID, UserID: u.ID, MailboxID: c.MailboxID,
		ProviderID: p.ID, Account: accountOf(c, t), CreatedAt: now, ExpiresAt: now.Add(pendingLife),
	}, pending: pending{Tokens: t, Problem: mailroom.ProblemOf(mailroom.E(mailroom.Unavailable, "grant.error.look_unfinished"), now)}}
	err := a.seal(&w)
	if err == nil {
		err = a.Store.SavePendingGrant(ctx, w.row)
	}
	if err != nil {
		return mailroom.GrantOutcome{}, err
	}
	return a.tell(ctx, u, w)
}

// seal puts what is known into the row.
func (a *Access) seal(w *waiting) error {
	data, err := json.Marshal(w.pending)
	w.row.Data.KeyID, w.row.Data.Data = a.Vault.Seal(pendingIdentity(w.row.ID), data)
	return err
}

// tell looks, and stores what that proves: an alias is granted, another mailbox
// that opens waits for an explicit choice, one that does not open is refused, and
// what could not be told can be looked at again.
func (a *Access) tell(ctx context.Context, u mailroom.User, w waiting) (mailroom.GrantOutcome, error) {
	// Not under the browser's context: what was found out is kept though it has gone.
	ctx = context.WithoutCancel(ctx)
	via, err := a.look(ctx, w)
	out := mailroom.GrantOutcome{MailboxID: w.row.MailboxID}
	switch e := mailroom.AsError(err); {
	case e == nil && via == mailroom.ViaAlias:
		out.Grant, err = a.store(ctx, u, w.provider, w.credentials, w.Tokens, via)
		return out, err
	case e == nil:
		w.Shared, w.Problem = true, nil
	case e.Key == "grant.error.wrong_account":
		if derr := a.Store.DropPendingGrant(ctx, w.row.OrgID, w.row.ID, refusedEvent(u, w, e.Key)); derr != nil {
			return out, derr
		}
		return out, e
	default:
		w.Shared, w.Problem = false, mailroom.ProblemOf(e, a.Now().UTC())
		a.Log.Info("whose mailbox a grant is for could not be told", "mailbox", w.row.MailboxID, "kind", e.Kind, "key", e.Key)
	}
	if err := a.seal(&w); err != nil {
		return out, err
	}
	if err := a.Store.ChangePendingGrant(ctx, w.row.OrgID, w.row.ID, w.row.Data); err != nil {
		return out, err
	}
	out.Choice = w.choice()
	return out, nil
}

func refusedEvent(u mailroom.User, w waiting, reason string) mailroom.AuditEvent {
	return mailroom.AuditEvent{OrgID: w.row.OrgID, ActorID: u.ID, Action: "grant.refused", Subject: w.row.MailboxID,
		Details: map[string]any{"provider": w.provider.ID, "reason": reason, "account": w.row.Account}}
}

// look signs in with the token as the mailbox that was typed, and as the account
// that granted: what both see decides. Errors: "grant.error.wrong_account" when
// the mailbox does not open, NeedsAdmin "grant.error.look_neither" when neither
// does, others when it could not be told now.
func (a *Access) look(ctx context.Context, w waiting) (mailroom.GrantVia, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	see := func(user string) (mailroom.MailboxLook, error) {
		l, err := a.Look(ctx, w.provider, w.row.MailboxID, w.Tokens.Access, user)
		if err != nil && ctx.Err() != nil {
			err = mailroom.E(mailroom.Unavailable, "grant.error.look_slow", err)
		}
		return l, err
	}
	typed, err := see(w.credentials.Address)
	shut := closed(err)
	if err != nil && !shut {
		return "", err
	}
	own, err := see(w.row.Account)
	switch {
	case err != nil && !closed(err) && !shut:
		return "", err
	case err != nil && shut && closed(err):
		return "", mailroom.E(mailroom.NeedsAdmin, "grant.error.look_neither", err).
			With("granted", w.row.Account).With("mailbox", mailroom.NormalAddress(w.credentials.Address))
	case err != nil && shut:
		return "", err
	case shut:
		return "", mailroom.E(mailroom.Invalid, "grant.error.wrong_account").
			With("granted", w.row.Account).With("mailbox", mailroom.NormalAddress(w.credentials.Address))
	case err == nil && typed.Same(own):
		return mailroom.ViaAlias, nil
	}
	return mailroom.ViaShared, nil
}

// closed reports whether a mail server said that a good token does not open this
// mailbox, rather than that it cannot answer now.
func closed(err error) bool {
	e := mailroom.AsError(err)
	return e != nil && (e.Key == "imap.error.not_connected" || e.Key == "imap.error.auth")
}

// Pending is what of a user's grants waits in this browser session; nil when
// nothing does.
func (a *Access) Pending(ctx context.Context, u mailroom.User, binding string) (*mailroom.GrantChoice, error) {
	w, err := a.waiting(ctx, u, binding, "")
	switch mailroom.KindOf(err) {
	case "":
		return w.choice(), nil
	case mailroom.NotFound, mailroom.Conflict:
		return nil, nil
	}
	return nil, err
}

// LookAgain looks once more with the tokens that wait. Errors are those of Finish,
// and Conflict "grant.error.choice_gone".
func (a *Access) LookAgain(ctx context.Context, u mailroom.User, binding, id string) (mailroom.GrantOutcome, error) {
	w, err := a.waiting(ctx, u, binding, id)
	if err != nil {
		return mailroom.GrantOutcome{}, err
	}
	return a.tell(ctx, u, w)
}

// Choose stores a grant to a shared mailbox, because the person said that it is
// the one they mean.
func (a *Access) Choose(ctx context.Context, u mailroom.User, binding, id string) (mailroom.GrantOutcome, error) {
	w, err := a.waiting(ctx, u, binding, id)
	if err == nil && !w.Shared {
		err = mailroom.E(mailroom.Conflict, "grant.error.choice_gone")
	}
	if err != nil {
		return mailroom.GrantOutcome{}, err
	}
	g, err := a.store(ctx, u, w.provider, w.credentials, w.Tokens, mailroom.ViaShared)
	return mailroom.GrantOutcome{MailboxID: w.row.MailboxID, Grant: g}, err
}

// Decline forgets a grant that waits.
func (a *Access) Decline(ctx context.Context, u mailroom.User, binding, id string) error {
	w, err := a.waiting(ctx, u, binding, id)
	if err != nil {
		return err
	}
	return a.Store.DropPendingGrant(ctx, w.row.OrgID, w.row.ID, refusedEvent(u, w, "declined"))
}

// waiting reads what waits and what it is about as it stands now; id "" for
// whichever does. Conflict "grant.error.choice_gone" when it is another, or over.
func (a *Access) waiting(ctx context.Context, u mailroom.User, binding, id string) (w waiting, err error) {
	if binding != "" {
		w.row, err = a.Store.PendingGrant(ctx, u.OrgID, u.ID, mailroom.HashSecret(binding), a.Now())
	}
	if binding == "" || mailroom.KindOf(err) == mailroom.NotFound || err == nil && id != "" && w.row.ID != id {
		return w, mailroom.E(mailroom.Conflict, "grant.error.choice_gone")
	}
	if err != nil {
		return w, err
	}
	if w.provider, err = a.provider(ctx, w.row.OrgID, w.row.ProviderID); err != nil {
		return w, err
	}
	if w.credentials, err = a.Store.Credentials(ctx, w.row.MailboxID); err != nil {
		return w, err
	}
	if w.credentials.Retired || w.credentials.ProviderID != "" && w.credentials.ProviderID != w.row.ProviderID {
		return w, mailroom.E(mailroom.Conflict, "grant.error.mailbox_changed")
	}
	data, err := a.Vault.Open(pendingIdentity(w.row.ID), w.row.Data.KeyID, w.row.Data.Data)
	if err != nil {
		return w, keyMissing(err)
	}
	if err := json.Unmarshal(data, &w.pending); err != nil {
		return w, err
	}
	if e := sameSubject(w.provider, w.credentials, w.Tokens); e != nil {
		return w, e
	}
	return w, nil
}
