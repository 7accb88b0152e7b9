package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mailroom/internal/mailroom"
	"mailroom/internal/oauth"
)

func TestConsentURL(t *testing.T) {
	i := newIssuer(t)
	c, _ := client(t)
	p := i.provider()
	p.AuthParams = map[string]string{"prompt": "select_account", "response_mode": "query"}
	raw, err := c.ConsentURL(t.Context(), p, mailroom.ConsentRequest{
		State: theState, Nonce: theNonce, Verifier: theVerifier, RedirectURL: redirectURL, LoginHint: "anna@example.org",
	})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(raw)
	if got := u.Scheme + "://" + u.Host + u.Path; got != i.URL+"/authorize" {
		t.Errorf("sent to %s", got)
	}
	if strings.Contains(raw, theVerifier) || strings.Contains(raw, theSecret) {
		t.Error("verifier or client secret in the URL")
	}
	challenge := sha256.Sum256([]byte(theVerifier)) // RFC 7636 §4.2
	for name, want := range map[string]string{
		"client_id": "mailroom", "response_type": "code", "redirect_uri": redirectURL, "state": theState, "nonce": theNonce,
		"scope": imapScope + " offline_access openid email profile", "prompt": "select_account", "response_mode": "query",
		"login_hint": "anna@example.org", "code_challenge_method": "S256", "tenant": "common",
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]),
	} {
		if got := u.Query().Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	raw, _ = c.ConsentURL(t.Context(), p, mailroom.ConsentRequest{Verifier: theVerifier, Force: true})
	if u, _ := url.Parse(raw); u.Query().Get("prompt") != "consent" {
		t.Error("forced consent is not asked for")
	}
	p.ClientID = ""
	if _, err := c.ConsentURL(t.Context(), p, mailroom.ConsentRequest{}); mailroom.AsError(err).Key != "oauth.error.not_configured" {
		t.Errorf("without a client id: %v", err)
	}
}

func TestExchange(t *testing.T) {
	i := newIssuer(t)
	c, _ := client(t)
	got, err := c.Exchange(t.Context(), i.provider(), code())
	if err != nil {
		t.Fatal(err)
	}
	if got.Access != theAccess || got.Refresh != theRefresh || got.Subject != tenant+"/0b1ec7" || got.TenantID != tenant {
		t.Errorf("got %+v", got)
	}
	if want := []string{"anna@example.org", "anna.vd.berg@example.org"}; !slices.Equal(got.Addresses, want) {
		t.Errorf("addresses %v, want %v", got.Addresses, want)
	}
	if !slices.Equal(got.Scopes, []string{imapScope}) {
		t.Errorf("scopes %v: want those given, not those asked", got.Scopes)
	}
	if left := time.Until(got.ExpiresAt); left < 59*time.Minute || left > time.Hour {
		t.Errorf("expires in %v, want 3599 s", left)
	}
	sent := i.requests[0]
	if sent.Get("code_verifier") != theVerifier || sent.Get("code") != theCode || sent.Get("redirect_uri") != redirectURL {
		t.Errorf("sent %v", sent)
	}
	if sent.Get("basic") != "mailroom:"+theSecret || sent.Has("client_secret") {
		t.Error("secret not by HTTP Basic alone")
	}
	if _, err := c.Exchange(t.Context(), i.provider(), code()); err != nil {
		t.Fatal(err)
	}
	if i.reads["discovery"] != 1 || i.reads["keys"] != 1 {
		t.Errorf("two exchanges read %v, want each once", i.reads)
	}

	post := i.provider()
	post.TokenAuth = "post"
	if _, err := c.Exchange(t.Context(), post, code()); err != nil {
		t.Fatal(err)
	}
	if sent := i.requests[len(i.requests)-1]; sent.Get("client_secret") != theSecret || sent.Has("basic") {
		t.Errorf("secret not in the body alone")
	}
}

func TestExchangeRefusesWhatItCannotProve(t *testing.T) {
	otherTenant := strings.Replace(tenant, "7f9f", "0000", 1)
	set := func(name string, v any) func(*issuer) {
		return func(i *issuer) { i.claims = func(c map[string]any) { c[name] = v } }
	}
	for _, c := range []struct {
		name string
		bend func(i *issuer)
	}{
		{"audience of another client", set("aud", "somebody-else")},
		{"several audiences without azp", set("aud", []string{"mailroom", "other"})},
		{"azp of another client", func(i *issuer) {
			i.claims = func(c map[string]any) { c["aud"], c["azp"] = []string{"mailroom", "other"}, "other" }
		}},
		{"nonce of another request", set("nonce", "another")},
		{"no nonce", func(i *issuer) { i.claims = func(c map[string]any) { delete(c, "nonce") } }},
		{"expired", set("exp", time.Now().Add(-time.Minute).Unix())},
		{"not yet valid", set("nbf", time.Now().Add(time.Hour).Unix())},
		{"foreign issuer", set("iss", "https://login.example.net/"+tenant+"/v2.0")},
		{"issuer of another tenant than tid", set("tid", otherTenant)},
		{"template itself as issuer", func(i *issuer) {
			i.claims = func(c map[string]any) { c["iss"], c["tid"] = i.template(), "{tenantid}" }
		}},
		{"tenant that is no GUID", func(i *issuer) {
			i.claims = func(c map[string]any) { c["iss"], c["tid"] = i.URL+"/evil/v2.0", "evil" }
		}},
		{"no tid", func(i *issuer) { i.claims = func(c map[string]any) { delete(c, "tid") } }},
		{"no oid", func(i *issuer) { i.claims = func(c map[string]any) { delete(c, "oid") } }},
		{"no ID token", func(i *issuer) { i.answer = func(a map[string]any) { delete(a, "id_token") } }},
		{"access token of another answer", set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")},
		{"algorithm none", func(i *issuer) {
			i.sign = func(payload []byte) string { return unsigned(payload) }
		}},
		{"HS256 with the client secret", func(i *issuer) {
			i.sign = func(payload []byte) string {
				return signed(jose.HS256, []byte(strings.Repeat(theSecret, 4)), "k1", payload)
			}
		}},
		{"signed by somebody else under our key's id", func(i *issuer) {
			other := otherKey()
			i.sign = func(payload []byte) string { return signed(jose.RS256, other, "k1", payload) }
		}},
		{"key of another tenant", func(i *issuer) {
			i.jwk = func(k *map[string]any) { (*k)["issuer"] = i.URL + "/" + otherTenant + "/v2.0" }
		}},
		{"issuer of the callback", nil},
		{"no issuer in the callback though it is promised", func(i *issuer) {
			i.metadata = func(m map[string]any) { m["authorization_response_iss_parameter_supported"] = true }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := newIssuer(t)
			cl, log := client(t)
			r := code()
			if c.bend == nil {
				r.Issuer = "https://login.example.net/" + tenant + "/v2.0"
			} else {
				c.bend(i)
			}
			got, err := cl.Exchange(t.Context(), i.provider(), r)
			e := mailroom.AsError(err)
			if err == nil || e.Key != "oauth.error.unproved" || got.Access != "" {
				t.Fatalf("accepted: %v, %v", got.Subject, err)
			}
			if ref, _ := e.Args["ref"].(string); ref == "" || !strings.Contains(log.String(), ref) {
				t.Errorf("reference %q of the page is not in the log", ref)
			}
			if strings.Contains(c.name, "callback") && len(i.requests) > 0 {
				t.Error("the code was sent all the same")
			}
		})
	}
}

func unsigned(payload []byte) string {
	b64 := func(b []byte) string {
		j := signed(jose.HS256, make([]byte, 32), "", b)
		return strings.Split(j, ".")[1]
	}
	return b64([]byte(`{"alg":"none","kid":"k1"}`)) + "." + b64(payload) + "."
}

func TestExchangeAcceptsTheCallbackIssuerOfAnyTenant(t *testing.T) {
	i := newIssuer(t)
	c, _ := client(t)
	r := code()
	r.Issuer = strings.ReplaceAll(i.template(), "{tenantid}", tenant)
	if _, err := c.Exchange(t.Context(), i.provider(), r); err != nil {
		t.Fatal(err)
	}
}

// Plain OpenID Connect: one issuer, sub, an address that the provider must have verified.
func TestExchangeWithOneIssuer(t *testing.T) {
	i := newIssuer(t)
	i.metadata = func(m map[string]any) { m["issuer"] = i.URL }
	i.jwk = func(k *map[string]any) { delete(*k, "issuer") }
	c, _ := client(t)
	p := i.provider()
	p.Issuer, p.SubjectClaims, p.AddressClaims = i.URL, []string{"sub"}, []string{"email"}
	i.claims = func(m map[string]any) {
		m["iss"], m["email_verified"] = i.URL, true
		delete(m, "tid")
	}
	got, err := c.Exchange(t.Context(), p, code())
	if err != nil || got.Subject != "pairwise" || !slices.Equal(got.Addresses, []string{"anna.vd.berg@example.org"}) {
		t.Fatalf("%v %v, %v", got.Subject, got.Addresses, err)
	}
	i.claims = func(m map[string]any) { m["iss"], m["email_verified"] = i.URL, false }
	if got, err = c.Exchange(t.Context(), p, code()); err != nil || len(got.Addresses) != 0 {
		t.Errorf("an unverified address counts: %v, %v", got.Addresses, err)
	}
}

func TestKeyRotation(t *testing.T) {
	i := newIssuer(t)
	now := time.Now()
	c := oauth.New(oauth.Options{Now: func() time.Time { return now }})
	if _, err := c.Exchange(t.Context(), i.provider(), code()); err != nil {
		t.Fatal(err)
	}
	i.key = otherKey()
	i.jwk = func(k *map[string]any) { (*k)["kid"] = "k2" }
	i.sign = func(payload []byte) string { return signed(jose.RS256, i.key, "k2", payload) }
	now = now.Add(time.Minute)
	if _, err := c.Exchange(t.Context(), i.provider(), code()); err != nil {
		t.Fatalf("after the provider changed its key: %v", err)
	}
	// A flood of tokens with unknown keys does not become a flood of reads.
	i.sign = func(payload []byte) string { return signed(jose.RS256, i.key, "k9", payload) }
	before := i.reads["keys"]
	for range 5 {
		if _, err := c.Exchange(t.Context(), i.provider(), code()); err == nil {
			t.Fatal("a token with an unknown key was accepted")
		}
	}
	if i.reads["keys"] != before {
		t.Errorf("keys were read %d times within a second", i.reads["keys"]-before)
	}
}

func TestRefresh(t *testing.T) {
	i := newIssuer(t)
	c, _ := client(t)
	got, err := c.Refresh(t.Context(), i.provider(), theRefresh)
	if err != nil || got.Access != theAccess || got.Refresh != "" {
		t.Errorf("without a new refresh token: %q %q, %v", got.Access, got.Refresh, err)
	}
	i.answer = func(a map[string]any) { a["refresh_token"] = theRefresh + "-2" }
	got, err = c.Refresh(t.Context(), i.provider(), theRefresh)
	if err != nil || got.Refresh != theRefresh+"-2" {
		t.Errorf("rotated: %q, %v", got.Refresh, err)
	}
	i.answer = func(a map[string]any) { delete(a, "expires_in"); delete(a, "scope") }
	got, err = c.Refresh(t.Context(), i.provider(), theRefresh)
	if left := time.Until(got.ExpiresAt); err != nil || left < 25*time.Minute || left > 30*time.Minute {
		t.Errorf("life not told: %v, %v", left, err)
	}
	if !slices.Contains(got.Scopes, imapScope) {
		t.Errorf("scope not told means as asked, got %v", got.Scopes)
	}
	// One request each, whatever comes back: a second one could void the family.
	before := len(i.requests)
	i.token = refusal(http.StatusBadRequest, `{"error":"invalid_client"}`)
	if _, err = c.Refresh(t.Context(), i.provider(), theRefresh); err == nil {
		t.Fatal("refused and accepted")
	}
	if n := len(i.requests) - before; n != 1 {
		t.Errorf("a refused refresh was sent %d times", n)
	}
}

func TestRevoke(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		done   bool
		key    string
	}{
		{"gone", 200, ``, true, ""},
		{"was gone already, as Google says it", 400, `{"error":"invalid_token"}`, true, ""},
		{"refused", 401, `{"error":"invalid_client"}`, false, "oauth.error.client"},
		{"broken", 503, `<html>`, false, "oauth.error.transient"},
	} {
		i := newIssuer(t)
		cl, _ := client(t)
		i.revoke = refusal(c.status, c.body)
		done, err := cl.Revoke(t.Context(), i.provider(), theRefresh)
		if done != c.done || (err != nil) != (c.key != "") || (err != nil && mailroom.AsError(err).Key != c.key) {
			t.Errorf("%s: %v, %v", c.name, done, err)
		}
		if sent := i.requests[0]; sent.Get("token") != theRefresh || sent.Get("basic") != "mailroom:"+theSecret {
			t.Errorf("%s: sent %v", c.name, sent)
		}
	}
	i := newIssuer(t)
	i.metadata = func(m map[string]any) { delete(m, "revocation_endpoint") }
	cl, _ := client(t)
	if done, err := cl.Revoke(t.Context(), i.provider(), theRefresh); done || err != nil {
		t.Errorf("without an endpoint: %v, %v", done, err)
	}
}

func TestDiscoveryIsCheckedAndKept(t *testing.T) {
	for name, bend := range map[string]func(map[string]any){
		"speaks for another issuer":  func(m map[string]any) { m["issuer"] = "https://evil.example/" },
		"token endpoint is no https": func(m map[string]any) { m["token_endpoint"] = "ftp://127.0.0.1/token" },
		"no authorization endpoint":  func(m map[string]any) { delete(m, "authorization_endpoint") },
	} {
		i := newIssuer(t)
		i.metadata = bend
		c, _ := client(t)
		_, err := c.Exchange(t.Context(), i.provider(), code())
		if e := mailroom.AsError(err); err == nil || e.Kind != mailroom.NeedsVendor || e.Key != "oauth.error.metadata" {
			t.Errorf("%s: %v", name, err)
		}
	}

	i := newIssuer(t)
	now := time.Now()
	c := oauth.New(oauth.Options{Now: func() time.Time { return now }})
	if _, err := c.Refresh(t.Context(), i.provider(), theRefresh); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	i.metadata = func(m map[string]any) { m["issuer"] = "" } // as an outage page would be
	if _, err := c.Refresh(t.Context(), i.provider(), theRefresh); err != nil {
		t.Errorf("what was known is not used while the document is broken: %v", err)
	}
	now = now.Add(30 * time.Hour)
	if _, err := c.Refresh(t.Context(), i.provider(), theRefresh); err == nil {
		t.Error("a document of the day before yesterday is still used")
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	i := newIssuer(t)
	c, _ := client(t)
	p := i.provider()
	p.Loopback = false // plain http is refused by its form, https by where it leads
	if _, err := c.Refresh(t.Context(), p, theRefresh); mailroom.AsError(err).Key != "oauth.error.metadata" {
		t.Errorf("plain http: %v", err)
	}
	p.DiscoveryURL, p.AuthURL = "", "https://127.0.0.1:1/a"
	p.TokenURL, p.JWKSURL = strings.Replace(i.URL, "http:", "https:", 1)+"/token", "https://127.0.0.1:1/k"
	_, err := c.Refresh(t.Context(), p, theRefresh)
	if mailroom.AsError(err).Key != "host.error.private" || len(i.requests) > 0 {
		t.Errorf("private address: %v", err)
	}
}

func TestNoTokenRequestFollowsARedirect(t *testing.T) {
	thief := newIssuer(t)
	i := newIssuer(t)
	i.token = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL+"/token", http.StatusTemporaryRedirect)
	}
	c, _ := client(t)
	_, err := c.Refresh(t.Context(), i.provider(), theRefresh)
	if err == nil || len(thief.requests) > 0 {
		t.Errorf("followed: %v, %v", thief.requests, err)
	}
	var e *mailroom.Error
	if errors.As(err, &e) && e.Kind != mailroom.Unavailable {
		t.Errorf("kind %s: a redirect says nothing about the grant", e.Kind)
	}
}
