package access

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// Begin is where the browser goes to grant permission for a mailbox. binding is a
// secret of the browser session that begins; only its hash is kept.
func (a *Access) Begin(ctx context.Context, u mailroom.User, m mailroom.Mailbox, p mailroom.Provider, binding string) (string, error) {
	return a.beginFor(ctx, u, m, p, binding, false)
}

// BeginOther is Begin after the wrong account granted: the provider asks which,
// whoever is signed in there.
func (a *Access) BeginOther(ctx context.Context, u mailroom.User, m mailroom.Mailbox, p mailroom.Provider, binding string) (string, error) {
	return a.beginFor(ctx, u, m, p, binding, true)
}

func (a *Access) beginFor(ctx context.Context, u mailroom.User, m mailroom.Mailbox, p mailroom.Provider, binding string, sel bool) (string, error) {
	if m.OrgID != u.OrgID || m.UserID != u.ID {
		return "", mailroom.E(mailroom.NotFound, "error.not_found")
	}
	if !m.RetiredAt.IsZero() {
		return "", mailroom.E(mailroom.Conflict, "grant.error.mailbox_changed")
	}
	return a.begin(ctx, mailroom.AuthRequest{
		Binding: mailroom.HashSecret(binding), OrgID: m.OrgID, UserID: u.ID, MailboxID: m.ID, ProviderID: p.ID,
	}, p, m.Address, sel)
}

func (a *Access) begin(ctx context.Context, r mailroom.AuthRequest, p mailroom.Provider, address string, sel bool) (string, error) {
	state, verifier := mailroom.NewSecret(), mailroom.NewSecret()
	r.StateHash, r.Nonce = mailroom.HashSecret(state), mailroom.NewSecret()
	r.CreatedAt = a.Now().UTC()
	r.ExpiresAt = r.CreatedAt.Add(requestLife)
	r.Verifier.KeyID, r.Verifier.Data = a.Vault.Seal(verifierIdentity(r.StateHash), []byte(verifier))
	to, err := a.OAuth.ConsentURL(ctx, p, mailroom.ConsentRequest{
		State: state, Nonce: r.Nonce, Verifier: verifier, RedirectURL: a.RedirectURL(p.ID), LoginHint: address, Force: r.Forced, Select: sel,
	})
	if err != nil {
		return "", err
	}
	return to, a.Store.SaveAuthRequest(ctx, r)
}

// Finish takes the answer of a provider: it uses up the state, proves that this
// browser session asked for it and that the account that granted is the mailbox
// that was typed, and stores the grant.
func (a *Access) Finish(ctx context.Context, u mailroom.User, binding, providerID, state, code, issuer string) (mailroom.GrantOutcome, error) {
	r, err := a.take(ctx, binding, state)
	switch {
	case err != nil:
		return mailroom.GrantOutcome{}, err
	case !a.Now().Before(r.ExpiresAt):
		return mailroom.GrantOutcome{}, mailroom.E(mailroom.Conflict, "grant.error.expired")
	case r.UserID != u.ID || r.OrgID != u.OrgID:
		return mailroom.GrantOutcome{}, mailroom.E(mailroom.Forbidden, "grant.error.other_user")
	case r.ProviderID != providerID:
		// One provider's answer at another's door (RFC 9700 §4.4): the code goes nowhere.
		return mailroom.GrantOutcome{}, mailroom.E(mailroom.Forbidden, "grant.error.other_provider")
	case code == "":
		return mailroom.GrantOutcome{}, mailroom.E(mailroom.Invalid, "grant.error.no_code")
	}
	c, err := a.Store.Credentials(ctx, r.MailboxID)
	if err != nil {
		return mailroom.GrantOutcome{}, err
	}
	if c.Retired || c.ProviderID != "" && c.ProviderID != providerID {
		return mailroom.GrantOutcome{}, mailroom.E(mailroom.Conflict, "grant.error.mailbox_changed")
	}
	verifier, err := a.Vault.Open(verifierIdentity(r.StateHash), r.Verifier.KeyID, r.Verifier.Data)
	if err != nil {
		return mailroom.GrantOutcome{}, keyMissing(err)
	}
	p, t, err := a.asked(ctx, r.OrgID, providerID, func(p mailroom.Provider) (mailroom.Tokens, error) {
		return a.OAuth.Exchange(ctx, p, mailroom.CodeRequest{
			Code: code, Verifier: string(verifier), Nonce: r.Nonce, RedirectURL: a.RedirectURL(p.ID), Issuer: issuer,
		})
	})
	if err != nil {
		return mailroom.GrantOutcome{}, err
	}
	return a.accept(ctx, u, r, p, c, t)
}

// accept decides whether what the provider gave is what was asked for.
func (a *Access) accept(ctx context.Context, u mailroom.User, r mailroom.AuthRequest, p mailroom.Provider, c mailroom.Credentials, t mailroom.Tokens) (mailroom.GrantOutcome, error) {
	refuse := func(e *mailroom.Error) (mailroom.GrantOutcome, error) {
		err := a.Store.SaveAudit(ctx, mailroom.AuditEvent{OrgID: r.OrgID, ActorID: u.ID, Action: "grant.refused", Subject: r.MailboxID,
			Details: map[string]any{"provider": p.ID, "reason": e.Key}})
		if err != nil {
			a.Log.Error("audit of a refused grant", "mailbox", r.MailboxID, "err", err)
		}
		return mailroom.GrantOutcome{}, e
	}
	if missing := missingScopes(p, t.Scopes); len(missing) > 0 {
		return refuse(mailroom.E(mailroom.NeedsConsent, "grant.error.scope_missing").
			With("scopes", strings.Join(missing, ", ")).With("provider", p.Name))
	}
	if e := sameSubject(p, c, t); e != nil {
		return refuse(e)
	}
	via, e := a.sameAddress(p, c, t)
	if e != nil {
		return refuse(e)
	}
	keep, err := a.keptRefresh(c, p, t)
	if err != nil {
		return mailroom.GrantOutcome{}, err
	}
	if t.Refresh == "" && keep == "" {
		// Google gives a refresh token with the first consent only, unless consent is
		// asked for again. Nowhere else: at Microsoft prompt=consent locks out users
		// whose administrator consented for them (docs/providers.md 2.1).
		if p.AuthParams["access_type"] != "offline" || r.Forced {
			return refuse(mailroom.E(mailroom.NeedsVendor, "grant.error.no_refresh_token").With("provider", p.Name))
		}
		r.Forced = true
		again, err := a.begin(ctx, r, p, c.Address, false)
		return mailroom.GrantOutcome{MailboxID: r.MailboxID, Again: again}, err
	}
	if t.Refresh == "" {
		t.Refresh = keep
	}
	if via == unrelated {
		return a.relate(ctx, u, r, p, c, t)
	}
	g, err := a.store(ctx, u, p, c, t, via)
	return mailroom.GrantOutcome{MailboxID: r.MailboxID, Grant: g}, err
}

// unrelated: how the account stands to the mailbox has to be found out yet.
const unrelated mailroom.GrantVia = "?"

// sameAddress says how the account that granted stands to the mailbox that was
// typed, as far as its addresses tell.
func (a *Access) sameAddress(p mailroom.Provider, c mailroom.Credentials, t mailroom.Tokens) (mailroom.GrantVia, *mailroom.Error) {
	typed := mailroom.NormalAddress(c.Address)
	switch g := c.Grant; {
	case t.Subject == "" || slices.Contains(t.Addresses, typed):
		// A provider without ID tokens cannot say; there the IMAP login with the
		// mailbox's address is the proof.
		return mailroom.ViaSelf, nil
	case g != nil && g.ProviderID == p.ID && g.Subject == t.Subject && g.Via != mailroom.ViaSelf:
		return g.Via, nil // the same account as before: found out, or chosen, then
	case len(t.Addresses) == 0:
		return "", mailroom.E(mailroom.Invalid, "grant.error.account_unnamed").With("mailbox", typed).With("provider", p.Name)
	case a.Look == nil:
		return "", mailroom.E(mailroom.Invalid, "grant.error.wrong_account").With("granted", strings.Join(t.Addresses, ", ")).With("mailbox", typed)
	}
	return unrelated, nil
}

// sameSubject refuses a grant that would put another account in the place of the
// one that granted.
func sameSubject(p mailroom.Provider, c mailroom.Credentials, t mailroom.Tokens) *mailroom.Error {
	typed, g := mailroom.NormalAddress(c.Address), c.Grant
	switch {
	case g == nil || g.ProviderID != p.ID || g.Subject == t.Subject:
		return nil
	case g.Via == mailroom.ViaSelf && t.Subject != "" && len(t.Addresses) > 0 && !slices.Contains(t.Addresses, typed):
		return mailroom.E(mailroom.Invalid, "grant.error.wrong_account").With("granted", strings.Join(t.Addresses, ", ")).With("mailbox", typed)
	}
	return mailroom.E(mailroom.Conflict, "grant.error.other_subject").With("granted", accountOf(c, t)).With("mailbox", typed)
}

// keptRefresh is the refresh token that a mailbox holds already, when the same
// account grants again and the provider repeats none. One that has failed is not
// worth keeping.
func (a *Access) keptRefresh(c mailroom.Credentials, p mailroom.Provider, t mailroom.Tokens) (string, error) {
	if t.Refresh != "" || c.Grant == nil || c.Secrets.Refresh.KeyID == "" || c.Grant.ProviderID != p.ID || c.Problem != nil {
		return "", nil
	}
	s, err := a.open(c)
	return s.refresh, err
}

func accountOf(c mailroom.Credentials, t mailroom.Tokens) string {
	if len(t.Addresses) > 0 {
		return t.Addresses[0]
	}
	return mailroom.NormalAddress(c.Address)
}

// store seals the tokens under a new data key and stores the grant.
func (a *Access) store(ctx context.Context, u mailroom.User, p mailroom.Provider, c mailroom.Credentials, t mailroom.Tokens, via mailroom.GrantVia) (mailroom.Grant, error) {
	now := a.Now().UTC()
	g := mailroom.Grant{
		ID: mailroom.NewID(mailroom.PrefixGrant), OrgID: c.OrgID, MailboxID: c.MailboxID, ProviderID: p.ID,
		Subject: t.Subject, Account: accountOf(c, t), TenantID: t.TenantID, Scopes: t.Scopes,
		GrantedBy: u.ID, GrantedAt: now, RefreshedAt: now, ExpiresAt: t.ExpiresAt, Version: 1, Via: via,
	}
	n := mailroom.NewGrant{Grant: g, Event: mailroom.AuditEvent{OrgID: c.OrgID, ActorID: u.ID, Action: "grant.given", Subject: c.MailboxID,
		Details: map[string]any{"provider": p.ID, "account": g.Account, "via": string(via), "scopes": g.Scopes}}}
	if c.Grant != nil {
		n.Replaces = c.Grant.Version
	}
	k, keyID, sealedKey := a.Vault.NewDataKey(dataKeyIdentity(c.MailboxID))
	n.DataKey = mailroom.Sealed{KeyID: keyID, Data: sealedKey}
	n.Secrets = sealTokens(k, g.ID, t)
	if err := a.Store.SaveGrant(ctx, n); err != nil {
		return mailroom.Grant{}, err
	}
	a.Log.Info("grant given", "mailbox", c.MailboxID, "provider", p.ID)
	return g, nil
}

// Refused takes the refusal that a provider sent the browser back with: it uses
// up the state and says in our words what happened.
func (a *Access) Refused(ctx context.Context, binding, state, oauthError, description, subcode string) error {
	r, err := a.take(ctx, binding, state)
	if err != nil {
		return err
	}
	p, err := a.provider(ctx, r.OrgID, r.ProviderID)
	if err != nil {
		return err
	}
	e := a.OAuth.Refusal(p, oauthError, description, subcode)
	if err := a.Store.SaveAudit(ctx, mailroom.AuditEvent{OrgID: r.OrgID, ActorID: r.UserID, Action: "grant.refused", Subject: r.MailboxID,
		Details: map[string]any{"provider": p.ID, "reason": e.Key, "code": e.Args["code"], "ref": e.Args["ref"]}}); err != nil {
		return errors.Join(e, err)
	}
	return e
}

// take uses up a state and checks that this browser session began with it: else
// somebody could plant their own grant in another's session (RFC 9700 §4.7).
func (a *Access) take(ctx context.Context, binding, state string) (mailroom.AuthRequest, error) {
	if state == "" || binding == "" {
		return mailroom.AuthRequest{}, mailroom.E(mailroom.Invalid, "grant.error.state")
	}
	r, err := a.Store.TakeAuthRequest(ctx, mailroom.HashSecret(state))
	if mailroom.KindOf(err) == mailroom.NotFound {
		return mailroom.AuthRequest{}, mailroom.E(mailroom.Invalid, "grant.error.state")
	}
	if err != nil {
		return mailroom.AuthRequest{}, err
	}
	if subtle.ConstantTimeCompare([]byte(r.Binding), []byte(mailroom.HashSecret(binding))) != 1 {
		return mailroom.AuthRequest{}, mailroom.E(mailroom.Forbidden, "grant.error.other_session")
	}
	return r, nil
}

func (a *Access) provider(ctx context.Context, orgID, id string) (mailroom.Provider, error) {
	offered, err := a.Providers(ctx, orgID)
	if err != nil {
		return mailroom.Provider{}, err
	}
	p, ok := offered.ByID(id)
	if !ok || !p.Configured() {
		return mailroom.Provider{}, mailroom.E(mailroom.NeedsVendor, "grant.error.provider_gone").With("provider", id)
	}
	return p, nil
}

// missingScopes are the scopes that mail needs and the provider did not give. The
// OpenID ones are left out: providers spell them otherwise or do not repeat them.
func missingScopes(p mailroom.Provider, given []string) []string {
	var out []string
	for _, want := range p.Scopes {
		switch want {
		case "openid", "profile", "email", "address", "phone", "offline_access":
			continue
		}
		if !slices.ContainsFunc(given, func(s string) bool { return strings.EqualFold(s, want) }) {
			out = append(out, want)
		}
	}
	return out
}

// soonest is how early a token counts as spent: five minutes, less for providers
// whose tokens live shorter than 25.
func soonest(issued, expires time.Time) time.Duration {
	return min(freshFor, expires.Sub(issued)/5)
}
