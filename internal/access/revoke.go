package access

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// hungUpWithin is how long revoking waits to see the connections to the mailbox
// end, which it ended.
const hungUpWithin = 5 * time.Second

// Revoke gives a grant up: our tokens and the data key that opens them are
// erased first and in any case, and whoever reads the mailbox loses the right to;
// then the provider is asked to forget its side. What comes back was looked at, not
// hoped for. Mappings and mail stay. u is the owner or an administrator of the organization,
// which the caller has checked.
func (a *Access) Revoke(ctx context.Context, u mailroom.User, m mailroom.Mailbox) (mailroom.RevokeOutcome, error) {
	if m.OrgID != u.OrgID {
		return mailroom.RevokeOutcome{}, mailroom.E(mailroom.NotFound, "error.not_found")
	}
	c, err := a.Store.ShredGrant(ctx, m.ID, mailroom.AuditEvent{OrgID: m.OrgID, ActorID: u.ID, Action: "grant.revoked", Subject: m.ID})
	if err != nil {
		return mailroom.RevokeOutcome{}, err
	}
	a.Log.Info("grant revoked", "mailbox", m.ID, "provider", c.Grant.ProviderID)

	out := a.revokedAtProvider(ctx, u, m, c)
	// A node that reads the mailbox hears of it as this one does, but cannot be seen
	// from here.
	out.ConnectionsOpen = c.Reader != "" && c.Reader != a.Node
	if a.HungUp != nil {
		wait, cancel := context.WithTimeout(ctx, hungUpWithin)
		defer cancel()
		out.ConnectionsOpen = !a.HungUp(wait, m.ID) || out.ConnectionsOpen
	}
	return out, nil
}

// revokedAtProvider asks the provider to forget a grant that is erased here.
func (a *Access) revokedAtProvider(ctx context.Context, u mailroom.User, m mailroom.Mailbox, c mailroom.Credentials) mailroom.RevokeOutcome {
	// Nobody can ask for this a second time: the tokens are gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	offered, err := a.Providers(ctx, m.OrgID)
	p, known := offered.ByID(c.Grant.ProviderID)
	if err != nil || !known {
		return mailroom.RevokeOutcome{ProviderFailed: true}
	}
	out := mailroom.RevokeOutcome{RevokePage: p.RevokePage}
	done, err := a.revokeAt(ctx, p, c)
	switch {
	case err != nil:
		out.ProviderFailed = true
	case done:
		out.ProviderRevoked, out.RevokePage = true, ""
	default:
		return out // no such endpoint: the page says what remains
	}
	details := map[string]any{"provider": p.ID, "ok": done}
	if err != nil {
		details["reason"] = mailroom.AsError(err).Key
	}
	if err := a.Store.SaveAudit(ctx, mailroom.AuditEvent{OrgID: m.OrgID, ActorID: u.ID, Action: "grant.revoked_at_provider",
		Subject: m.ID, Details: details}); err != nil {
		a.Log.Error("audit of a revocation", "mailbox", m.ID, "err", err)
	}
	return out
}

// revokeAt asks the provider to forget the grant, by its refresh token if there
// is one: that takes the access tokens with it (RFC 7009 §2.1).
func (a *Access) revokeAt(ctx context.Context, p mailroom.Provider, c mailroom.Credentials) (bool, error) {
	o, err := a.open(c)
	if err != nil {
		a.Log.Warn("revoke without token", "mailbox", c.MailboxID, "err", err)
		return false, err
	}
	token := o.refresh
	if token == "" {
		token = o.access
	}
	return a.OAuth.Revoke(ctx, p, token)
}
