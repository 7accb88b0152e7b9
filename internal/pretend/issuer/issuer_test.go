package issuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/cascadia"
	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/net/html"
	"golang.org/x/oauth2"

	"mailroom/internal/pretend/issuer"
)

const (
	sanne    = "sanne@agency.example"
	imapAll  = "https://outlook.office.com/IMAP.AccessAsUser.All"
	callback = "http://127.0.0.1:4711/oauth/microsoft/callback"
)

func start(t *testing.T, opts issuer.Options) *issuer.Server {
	t.Helper()
	opts.RedirectURIs = []string{"http://127.0.0.1/oauth/microsoft/callback"}
	s, err := issuer.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, a := range []issuer.Account{
		{Email: sanne, Name: "Sanne Dekker", Mailboxes: []string{"jobs@agency.example"}},
		{Email: "needs-admin@agency.example", Name: "Needs Admin", Play: issuer.Play{
			What: "needs an administrator", AdminOnly: true,
			Consent: &issuer.Refusal{Error: "access_denied", Code: 90094, Text: "Admin consent is required."},
		}},
		{Email: "revoked@agency.example", Name: "Revoked", Play: issuer.Play{What: "is revoked", Refresh: issuer.Revoked(), TokenLife: time.Minute}},
		{Email: "fewer@agency.example", Name: "Fewer", Play: issuer.Play{What: "gives less", NoRefresh: true, WithoutScopes: []string{"IMAP.AccessAsUser.All"}}},
	} {
		if err := s.AddAccount(a); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func config(s *issuer.Server) *oauth2.Config {
	return &oauth2.Config{
		ClientID: s.ClientID, ClientSecret: s.ClientSecret, RedirectURL: callback,
		Endpoint: oauth2.Endpoint{AuthURL: s.AuthURL(), TokenURL: s.TokenURL(), AuthStyle: oauth2.AuthStyleInParams},
		Scopes:   []string{imapAll, "offline_access", "openid", "profile", "email"},
	}
}

// grant runs the whole code flow without a browser.
func grant(t *testing.T, s *issuer.Server, email string) (*oauth2.Token, error) {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	cb, err := s.Code(config(s).AuthCodeURL("st", oauth2.S256ChallengeOption(verifier), oidc.Nonce("n-1")), email)
	if err != nil {
		t.Fatal(err)
	}
	if cb.Query().Get("state") != "st" {
		t.Errorf("state came back as %q", cb.Query().Get("state"))
	}
	if cb.Query().Get("code") == "" {
		t.Fatalf("no code in %s", cb)
	}
	return config(s).Exchange(context.Background(), cb.Query().Get("code"), oauth2.VerifierOption(verifier))
}

func TestCodeFlowWithIndependentClients(t *testing.T) {
	s := start(t, issuer.Options{})
	tok, err := grant(t, s, sanne)
	if err != nil {
		t.Fatal(err)
	}
	if life := time.Until(tok.Expiry); life < 50*time.Minute || life > time.Hour {
		t.Errorf("the token lives %v", life)
	}
	if sc := tok.Extra("scope").(string); !strings.Contains(sc, imapAll) || strings.Contains(sc, "offline_access") {
		t.Errorf("scopes named: %q", sc)
	}
	ctx := context.Background()
	provider, err := oidc.NewProvider(ctx, s.TenantIssuer())
	if err != nil {
		t.Fatal(err)
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: s.ClientID}).Verify(ctx, tok.Extra("id_token").(string))
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Tid, Oid, Email, Name, Preferred_username string }
	if err := id.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	if id.Nonce != "n-1" || claims.Tid != s.TenantID || claims.Oid == "" || claims.Email != sanne || claims.Preferred_username != sanne || claims.Name != "Sanne Dekker" {
		t.Errorf("claims %+v nonce %q", claims, id.Nonce)
	}
	info, ok := s.Introspect(tok.AccessToken)
	if !ok || info.Email != sanne || !info.Has(imapAll) || !info.Account.Opens("JOBS@agency.example") || info.Account.Opens("other@agency.example") {
		t.Errorf("introspection %v %+v", ok, info)
	}
	if _, ok := s.Introspect(tok.RefreshToken); ok {
		t.Error("a refresh token passes as an access token")
	}
}

func TestDiscoveryOfAnyTenantHasTheTemplate(t *testing.T) {
	s := start(t, issuer.Options{})
	res, err := http.Get(s.DiscoveryURL())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var doc map[string]any
	if err := json.NewDecoder(res.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if doc["issuer"] != s.URL()+"/{tenantid}/v2.0" || doc["revocation_endpoint"] != nil {
		t.Errorf("metadata %v", doc)
	}
}

func TestRefreshRotatesAndTheOldOneStaysGood(t *testing.T) {
	s := start(t, issuer.Options{})
	first, err := grant(t, s, sanne)
	if err != nil {
		t.Fatal(err)
	}
	second, err := refresh(s, first.RefreshToken)
	if err != nil || second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken {
		t.Fatal(second, err)
	}
	if _, err := refresh(s, first.RefreshToken); err != nil {
		t.Errorf("the old refresh token: %v", err)
	}
	s.RevokeAccount(sanne)
	if _, err := refresh(s, second.RefreshToken); code(err) != 50173 {
		t.Errorf("after revoking: %v", err)
	}
	if _, ok := s.Introspect(second.AccessToken); ok {
		t.Error("the access token survived")
	}
	if again, err := grant(t, s, sanne); err != nil || again.RefreshToken == "" {
		t.Errorf("granting again: %v", err)
	}
}

func TestReuseDetectionKillsTheFamily(t *testing.T) {
	s := start(t, issuer.Options{ReuseDetection: true})
	first, _ := grant(t, s, sanne)
	second, err := refresh(s, first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := refresh(s, first.RefreshToken); err == nil {
		t.Error("reuse went unnoticed")
	}
	if _, err := refresh(s, second.RefreshToken); err == nil {
		t.Error("the family survived a reuse")
	}
}

func TestTokensSurviveARestart(t *testing.T) {
	s := start(t, issuer.Options{Seed: 7})
	tok, err := grant(t, s, sanne)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	again := start(t, issuer.Options{Seed: 7})
	if _, err := refresh(again, tok.RefreshToken); err != nil {
		t.Error(err)
	}
	stranger := start(t, issuer.Options{Seed: 8})
	if _, ok := stranger.Introspect(tok.AccessToken); ok {
		t.Error("another tenant takes the token")
	}
}

func TestRefusalsAtTheTokenEndpoint(t *testing.T) {
	s := start(t, issuer.Options{})
	verifier := oauth2.GenerateVerifier()
	authURL := config(s).AuthCodeURL("st", oauth2.S256ChallengeOption(verifier))
	newCode := func() string {
		cb, err := s.Code(authURL, sanne)
		if err != nil {
			t.Fatal(err)
		}
		return cb.Query().Get("code")
	}
	ctx := context.Background()
	c := newCode()
	if _, err := config(s).Exchange(ctx, c, oauth2.VerifierOption("wrong-verifier-wrong-verifier-wrong-verifier")); code(err) != 501481 {
		t.Errorf("wrong verifier: %v", err)
	}
	if _, err := config(s).Exchange(ctx, c, oauth2.VerifierOption(verifier)); code(err) != 54005 {
		t.Errorf("code used twice: %v", err)
	}
	bad := config(s)
	bad.ClientSecret = "id-instead-of-value"
	if _, err := bad.Exchange(ctx, newCode(), oauth2.VerifierOption(verifier)); code(err) != 7000215 {
		t.Errorf("wrong secret: %v", err)
	}
	s.RefuseClient(issuer.Refusal{Error: "invalid_client", Status: 401, Code: 7000222, Text: "The provided client secret keys are expired."})
	if _, err := config(s).Exchange(ctx, newCode(), oauth2.VerifierOption(verifier)); code(err) != 7000222 {
		t.Errorf("expired secret: %v", err)
	}
	s.StopFailing()
	s.FailNext("token", 1, issuer.Reply{Status: 503, Body: "<html>down</html>"})
	var re *oauth2.RetrieveError
	if _, err := config(s).Exchange(ctx, newCode(), oauth2.VerifierOption(verifier)); !errors.As(err, &re) || re.Response.StatusCode != 503 {
		t.Errorf("provider down: %v", err)
	}
	if tok, err := grant(t, s, "fewer@agency.example"); err != nil || tok.RefreshToken != "" || strings.Contains(tok.Extra("scope").(string), "IMAP") {
		t.Errorf("fewer scopes: %v %v", tok, err)
	}
	tok, err := grant(t, s, "revoked@agency.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := refresh(s, tok.RefreshToken); code(err) != 50173 {
		t.Errorf("revoked@: %v", err)
	}
	for _, r := range s.Requests() {
		if strings.Contains(r.Error, tok.RefreshToken) || strings.Contains(r.Error, c) {
			t.Error("the record holds a secret")
		}
	}
}

func TestAuthorizationRequestsThatAreRefused(t *testing.T) {
	s := start(t, issuer.Options{})
	good := config(s).AuthCodeURL("st", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))
	for name, c := range map[string]struct{ drop, set, want string }{
		"without PKCE":         {drop: "code_challenge", want: "redirect invalid_request"},
		"silent":               {set: "prompt=none", want: "redirect login_required"},
		"unknown client":       {set: "client_id=x", want: "page 700016"},
		"foreign redirect URI": {set: "redirect_uri=http://evil.example/cb", want: "page 50011"},
		"another path":         {set: "redirect_uri=http://127.0.0.1:4711/other", want: "page 50011"},
	} {
		u, _ := url.Parse(good)
		q := u.Query()
		q.Del(c.drop)
		if k, v, ok := strings.Cut(c.set, "="); ok {
			q.Set(k, v)
		}
		u.RawQuery = q.Encode()
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := client.Get(u.String())
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		got := "page " + firstNumber(string(body))
		if loc, err := res.Location(); err == nil {
			got = "redirect " + loc.Query().Get("error")
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func firstNumber(body string) string {
	_, after, _ := strings.Cut(body, "AADSTS")
	i := strings.IndexFunc(after, func(r rune) bool { return r < '0' || r > '9' })
	return after[:max(i, 0)]
}

// browser is a person with a cookie jar who follows forms, and stops at the application.
type browser struct {
	t   *testing.T
	c   *http.Client
	doc *html.Node
	at  *url.URL // page, or callback
}

func open(t *testing.T, rawURL string) *browser {
	jar, _ := cookiejar.New(nil)
	b := &browser{t: t, c: &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "127.0.0.1:4711" {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
	res, err := b.c.Get(rawURL)
	b.read(res, err)
	return b
}

func (b *browser) read(res *http.Response, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	b.at = res.Request.URL
	if loc, err := res.Location(); err == nil {
		b.at = loc
	}
	if b.doc, err = html.Parse(res.Body); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) has(selector string) bool {
	return cascadia.Query(b.doc, cascadia.MustCompile(selector)) != nil
}

// press presses a button with everything hidden in its form.
func (b *browser) press(selector string) {
	b.t.Helper()
	button := cascadia.Query(b.doc, cascadia.MustCompile(selector))
	if button == nil {
		b.t.Fatalf("no %s on %s", selector, b.at)
	}
	form := button
	for form.Data != "form" {
		form = form.Parent
	}
	values := url.Values{attr(button, "name"): {attr(button, "value")}}
	for _, in := range cascadia.QueryAll(form, cascadia.MustCompile("input[type=hidden]")) {
		values.Set(attr(in, "name"), attr(in, "value"))
	}
	action, err := b.at.Parse(attr(form, "action"))
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := b.c.PostForm(action.String(), values)
	b.read(res, err)
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func TestPagesFromPickerToCallback(t *testing.T) {
	s := start(t, issuer.Options{})
	verifier := oauth2.GenerateVerifier()
	authURL := config(s).AuthCodeURL("st", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "select_account"), oauth2.SetAuthURLParam("login_hint", sanne))
	b := open(t, authURL)
	if !b.has(`[data-account="` + sanne + `"] .tag`) {
		t.Error("the hinted account is not marked")
	}
	b.press(`[data-account="` + sanne + `"]`)
	if !b.has("#consent-accept") || !strings.Contains(text(b.doc), imapAll) {
		t.Fatal("no consent page with the scopes")
	}
	b.press("#consent-cancel")
	if q := b.at.Query(); q.Get("error") != "access_denied" || q.Get("error_subcode") != "cancel" || q.Get("error_description") != "" || q.Get("state") != "st" {
		t.Errorf("Cancel came back as %v", q)
	}
	b = open(t, authURL)
	b.press(`[data-account="` + sanne + `"]`)
	b.press("#consent-accept")
	if _, err := config(s).Exchange(context.Background(), b.at.Query().Get("code"), oauth2.VerifierOption(verifier)); err != nil {
		t.Error(err)
	}
	b = open(t, authURL)
	b.press(`[data-account="` + sanne + `"]`)
	if b.at.Query().Get("code") == "" {
		t.Error("consent was asked twice")
	}

	b = open(t, authURL)
	b.press(`[data-account="needs-admin@agency.example"]`)
	b.press("#return")
	if q := b.at.Query(); q.Get("error") != "access_denied" || !strings.HasPrefix(q.Get("error_description"), "AADSTS90094: ") {
		t.Errorf("needs-admin came back as %v", q)
	}
	s.GrantAdminConsent(true)
	b = open(t, authURL)
	b.press(`[data-account="needs-admin@agency.example"]`)
	if b.at.Query().Get("code") == "" {
		t.Errorf("after admin consent: %s", b.at)
	}
	s.GrantAdminConsent(false)
	b = open(t, authURL)
	b.press("#signin-cancel")
	if b.at.Query().Get("error_subcode") != "cancel" {
		t.Errorf("cancelled at the picker: %s", b.at)
	}
}

func text(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		b.WriteString(text(c))
	}
	return b.String()
}

func TestRevocationEndpoint(t *testing.T) {
	s := start(t, issuer.Options{Revocation: true})
	tok, _ := grant(t, s, sanne)
	res, err := http.PostForm(s.RevokeURL(), url.Values{"token": {tok.RefreshToken}, "client_id": {s.ClientID}, "client_secret": {s.ClientSecret}})
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	res.Body.Close()
	if _, ok := s.Introspect(tok.AccessToken); ok {
		t.Error("the access token survived")
	}
	if _, err := refresh(s, tok.RefreshToken); err == nil {
		t.Error("the refresh token survived")
	}
}

func refresh(s *issuer.Server, token string) (*oauth2.Token, error) {
	return config(s).TokenSource(context.Background(), &oauth2.Token{RefreshToken: token}).Token()
}

// code is the AADSTS number of an error, or 0.
func code(err error) int {
	var re *oauth2.RetrieveError
	if !errors.As(err, &re) {
		return 0
	}
	var body struct {
		Codes []int `json:"error_codes"`
	}
	if json.Unmarshal(re.Body, &body) != nil || len(body.Codes) == 0 {
		return 0
	}
	return body.Codes[0]
}
