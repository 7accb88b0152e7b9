package access_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"mailroom/internal/access"
	"mailroom/internal/mailroom"
	"mailroom/internal/oauth"
	"mailroom/internal/peers"
	"mailroom/internal/pretend/issuer"
)

// before puts the house before a real provider instead of the fake one.
func (h *house) before(p mailroom.Provider, address string) {
	h.box.ProviderID, h.box.Address = p.ID, address
	h.exec(`UPDATE mailboxes SET provider_id = $1, address = $2 WHERE id = $3`, p.ID, address, h.box.ID)
	h.deps.OAuth = oauth.New(oauth.Options{Log: h.deps.Log})
	h.deps.Base = mailroom.Providers{p}
	h.deps.RedirectURL = func(string) string { return "http://127.0.0.1/oauth/callback" }
	h.Access = access.New(h.deps)
}

func (h *house) consentURL() string {
	h.t.Helper()
	to, err := h.Begin(h.t.Context(), h.user, h.box, h.deps.Base[0], binding)
	if err != nil {
		h.t.Fatal(err)
	}
	return to
}

// back is what the web does with a callback.
func (h *house) back(u *url.URL) (mailroom.GrantOutcome, error) {
	q := u.Query()
	if e := q.Get("error"); e != "" {
		return mailroom.GrantOutcome{}, h.Refused(h.t.Context(), binding, q.Get("state"), e, q.Get("error_description"), q.Get("error_subcode"))
	}
	return h.Finish(h.t.Context(), h.user, binding, h.box.ProviderID, q.Get("state"), q.Get("code"), q.Get("iss"))
}

func oidcProvider(op *peers.OIDCServer) mailroom.Provider {
	c := peers.DefaultClient()
	return mailroom.Provider{
		ID: "oidc", Name: "OpenID", Kind: mailroom.Outlook, Issuer: op.Issuer, DiscoveryURL: op.Issuer + "/.well-known/openid-configuration",
		ClientID: c.ID, ClientSecret: c.Secret, Scopes: []string{peers.ScopeOutlookIMAP, "offline_access", "openid", "email", "profile"},
		AuthParams: map[string]string{"prompt": "consent"}, SubjectClaims: []string{"sub"}, AddressClaims: []string{"email"}, Loopback: true,
	}
}

// The whole life of a grant at a certified provider that nobody here wrote: it
// rotates refresh tokens, and kills the family when an old one is used again.
func TestAtAnOpenIDProvider(t *testing.T) {
	op := peers.OIDCProvider(t, peers.OIDCOptions{})
	h := newHouse(t)
	h.before(oidcProvider(op), "anna@werk.example")
	ctx := t.Context()

	if _, err := h.back(op.Refuse(h.consentURL(), "anna@werk.example")); mailroom.AsError(err).Key != "oauth.error.denied" {
		t.Errorf("refused: %v", err)
	}
	if _, err := h.back(op.Authorize(h.consentURL(), "bob@werk.example")); mailroom.AsError(err).Key != "grant.error.wrong_account" {
		t.Errorf("another account: %v", err)
	}
	callback := op.Authorize(h.consentURL(), "anna@werk.example")
	if callback.Query().Get("iss") == "" {
		t.Fatal("this provider sends iss (RFC 9207): the test checks nothing without")
	}
	out, err := h.back(callback)
	if err != nil || !slices.Contains(out.Grant.Scopes, peers.ScopeOutlookIMAP) {
		t.Fatalf("%+v, %v", out, err)
	}
	first, err := h.token()
	if err != nil || !op.Active(first) {
		t.Fatalf("token not honoured: %v", err)
	}

	// A mix-up: the callback names another issuer.
	stolen := op.Authorize(h.consentURL(), "anna@werk.example")
	q := stolen.Query()
	q.Set("iss", "https://evil.example")
	stolen.RawQuery = q.Encode()
	if _, err := h.back(stolen); mailroom.AsError(err).Key != "oauth.error.unproved" {
		t.Errorf("iss of somebody else: %v", err)
	}
	// A code of another session: its verifier is not ours (RFC 9700 §4.5).
	mine, theirs := h.consentURL(), h.consentURL()
	injected := op.Authorize(theirs, "anna@werk.example")
	q = injected.Query()
	q.Set("state", stateOf(mine))
	injected.RawQuery = q.Encode()
	if _, err := h.back(injected); mailroom.AsError(err).Key != "oauth.error.code_used" {
		t.Errorf("injected code: %v", err)
	}

	last := first
	for range 3 {
		h.spend()
		nodes := []*access.Access{access.New(h.deps), access.New(h.deps), access.New(h.deps)}
		got := make([]string, 12)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				var err error
				if got[i], _, err = nodes[i%3].Token(ctx, h.box.ID); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if slices.Sort(got); got[0] != got[11] || got[0] == last || !op.Active(got[0]) {
			t.Fatal("three nodes do not hold one new, honoured token")
		}
		last = got[0]
	}

	outcome, err := h.Revoke(ctx, h.user, h.box)
	if err != nil || !outcome.ProviderRevoked {
		t.Errorf("revoked: %+v, %v", outcome, err)
	}
	if op.Active(last) {
		t.Error("the provider still honours the access token")
	}

	// Taken back at the provider: seen at the next refresh.
	if _, err := h.back(op.Authorize(h.consentURL(), "anna@werk.example")); err != nil {
		t.Fatal(err)
	}
	op.RevokeGrants("anna@werk.example")
	h.spend()
	_, err = h.token()
	wants(t, err, mailroom.NeedsConsent, "oauth.error.grant_ended")
	if h.problem() != "oauth.error.grant_ended" {
		t.Error("the mailbox does not show it")
	}
}

func pretendProvider(s *issuer.Server) mailroom.Provider {
	return mailroom.Provider{
		ID: "microsoft", Name: "Outlook", Kind: mailroom.Outlook, Issuer: s.Issuer(), DiscoveryURL: s.DiscoveryURL(),
		ClientID: s.ClientID, ClientSecret: s.ClientSecret, TokenAuth: "post",
		Scopes:     []string{mail, "offline_access", "openid", "email", "profile"},
		AuthParams: map[string]string{"prompt": "select_account", "response_mode": "query"}, SubjectClaims: []string{"tid", "oid"},
		AddressClaims: []string{"preferred_username", "email", "upn"}, RevokePage: "https://myapps.example", Loopback: true,
	}
}

// The same before a Microsoft-like tenant, with what only Microsoft does.
func TestAtATenant(t *testing.T) {
	s, err := issuer.Start(issuer.Options{RedirectURIs: []string{"http://127.0.0.1/oauth/callback"}, ReuseDetection: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, a := range []issuer.Account{
		{Email: "anna@werk.example", Name: "Anna"},
		{Email: "bob@werk.example", Name: "Bob"},
	} {
		if err := s.AddAccount(a); err != nil {
			t.Fatal(err)
		}
	}
	h := newHouse(t)
	h.before(pretendProvider(s), "anna@werk.example")
	code := func(email string) *url.URL {
		t.Helper()
		u, err := s.Code(h.consentURL(), email)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	refused := func(name, key string, u *url.URL) {
		t.Helper()
		if _, err := h.back(u); mailroom.AsError(err).Key != key {
			t.Errorf("%s: %v, want %s", name, err, key)
		}
	}

	refused("wrong account", "grant.error.wrong_account", code("bob@werk.example"))
	cancelled, err := s.Cancel(h.consentURL())
	if err != nil {
		t.Fatal(err)
	}
	refused("cancel", "oauth.error.denied", cancelled)
	for name, c := range map[string]struct {
		play issuer.Play
		key  string
	}{
		"needs admin":  {issuer.Play{Consent: &issuer.Refusal{Error: "access_denied", Code: 90094, Text: "Admin consent is required."}}, "oauth.error.consent_missing"},
		"not assigned": {issuer.Play{Consent: &issuer.Refusal{Error: "access_denied", Code: 50105, Text: "Not assigned."}}, "oauth.error.not_assigned"},
		"MFA at the token endpoint": {issuer.Play{Code: &issuer.Refusal{Error: "interaction_required", Suberror: "basic_action", Code: 50076, Text: "MFA."}},
			"oauth.error.mfa"},
		"fewer scopes":     {issuer.Play{WithoutScopes: []string{mail}}, "grant.error.scope_missing"},
		"no refresh token": {issuer.Play{NoRefresh: true}, "grant.error.no_refresh_token"},
		"another name":     {issuer.Play{Username: "a.berg@werk.example"}, "grant.error.wrong_account"},
	} {
		s.SetPlay("anna@werk.example", c.play)
		refused(name, c.key, code("anna@werk.example"))
	}
	s.SetPlay("anna@werk.example", issuer.Play{})
	for name, hook := range map[string]func(map[string]any){
		"audience": func(c map[string]any) { c["aud"] = "other" },
		"nonce":    func(c map[string]any) { c["nonce"] = "other" },
		"issuer":   func(c map[string]any) { c["iss"] = "https://evil.example/v2.0" },
		"expired":  func(c map[string]any) { c["exp"] = time.Now().Add(-time.Minute).Unix() },
	} {
		s.SetIDTokenHook(hook)
		refused(name, "oauth.error.unproved", code("anna@werk.example"))
	}
	s.SetIDTokenHook(nil)
	if n := h.world.Count(t, `grants WHERE mailbox_id = $1`, h.box.ID); n != 0 {
		t.Fatalf("%d grants stored out of refusals", n)
	}

	out, err := h.back(code("anna@werk.example"))
	if err != nil || out.Grant.TenantID != s.TenantID {
		t.Fatalf("%+v, %v", out, err)
	}
	for range 2 { // rotated tokens; using an old one would void the family
		h.spend()
		got, err := h.token()
		if tok, ok := s.Introspect(got); err != nil || !ok || tok.Email != "anna@werk.example" {
			t.Fatalf("%v: %+v", err, tok)
		}
	}

	s.FailNext("token", 1, issuer.Reply{Status: 503, Body: "<html>down</html>"})
	h.spend()
	_, err = h.token()
	wants(t, err, mailroom.Unavailable, "oauth.error.transient")
	if h.problem() != "" {
		t.Error("an outage is written on the mailbox as its own trouble")
	}
	if _, err := h.token(); err != nil {
		t.Errorf("after the outage: %v", err)
	}
	s.RevokeAccount("anna@werk.example")
	h.spend()
	_, err = h.token()
	wants(t, err, mailroom.NeedsConsent, "oauth.error.grant_revoked")

	// Microsoft has no revocation: the page says where a person finishes it.
	outcome, err := h.Revoke(t.Context(), h.user, h.box)
	if want := (mailroom.RevokeOutcome{RevokePage: "https://myapps.example"}); err != nil || outcome != want {
		t.Errorf("revoked: %+v, %v", outcome, err)
	}
}

// A secret that runs out is followed by a certificate made here, at a tenant that
// kills a token family when a refresh token is used twice: nobody grants again.
func TestSecretIsFollowedByACertificate(t *testing.T) {
	s, err := issuer.Start(issuer.Options{RedirectURIs: []string{"http://127.0.0.1/oauth/callback"}, ReuseDetection: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.AddAccount(issuer.Account{Email: "anna@werk.example", Name: "Anna"}); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	p := pretendProvider(s)
	p.ClientID, p.ClientSecret = "", ""
	h.before(p, "anna@werk.example")
	row := mailroom.ProviderRow{OrgID: h.user.OrgID, ID: "microsoft", Set: mailroom.ProviderSet{ClientID: s.ClientID}}
	if err := h.store.SaveProvider(t.Context(), row, true, mailroom.AuditEvent{OrgID: h.user.OrgID, Action: "provider.saved"}); err != nil {
		t.Fatal(err)
	}
	old, err := h.adds(mailroom.NewCredential{Kind: mailroom.ClientSecret, Secret: s.ClientSecret})
	if err != nil {
		t.Fatal(err)
	}
	begin, err := h.Begin(t.Context(), h.user, h.box, h.offered("microsoft"), binding)
	if err != nil {
		t.Fatal(err)
	}
	at, err := s.Code(begin, "anna@werk.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.back(at); err != nil {
		t.Fatal(err)
	}

	made, err := h.adds(mailroom.NewCredential{Kind: mailroom.ClientCertificate})
	if err != nil {
		t.Fatal(err)
	}
	h.proves(made.ID, "credential.check.refresh", mailroom.CheckFailed) // not uploaded yet
	block, _ := pem.Decode([]byte(made.Certificate))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	s.AddCertificate(s.ClientID, cert)
	h.proves(made.ID, "credential.check.refresh", mailroom.CheckOK)

	s.SetSecrets(s.ClientID) // the secret is gone at the provider
	for range 2 {
		h.spend()
		got, err := h.token()
		if _, ok := s.Introspect(got); err != nil || !ok {
			t.Fatalf("by the certificate: %v", err)
		}
	}
	h.proves(old.ID, "credential.check.refresh", mailroom.CheckFailed)
	if h.problem() != "" || h.kept(old.ID).Problem == nil || h.kept(made.ID).ProvedAt.IsZero() {
		t.Errorf("mailbox %q, old %+v, made %+v", h.problem(), h.kept(old.ID).Problem, h.kept(made.ID).ProvedAt)
	}
}
