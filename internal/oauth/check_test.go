package oauth_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"mailroom/internal/mailroom"
	"mailroom/internal/oauth"
)

// asks is an issuer whose authorization endpoint a test plays.
func asks(t *testing.T, answer http.HandlerFunc) (*issuer, mailroom.Provider, *[]url.Values) {
	i := newIssuer(t)
	var seen []url.Values
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.URL.Query())
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	i.metadata = func(m map[string]any) { m["authorization_endpoint"] = s.URL + "/authorize" }
	return i, i.provider(), &seen
}

// back is an answer that sends the browser back with an error.
func back(oauthError string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := url.Values{"error": {oauthError}, "state": {r.URL.Query().Get("state")}}
		http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?"+q.Encode(), http.StatusFound)
	}
}

func outcome(cs []mailroom.Check, name string) string {
	i := slices.IndexFunc(cs, func(c mailroom.Check) bool { return c.Name == "provider.check."+name })
	if i < 0 {
		return ""
	}
	if p := cs[i].Problem; p != nil {
		return string(cs[i].Result) + " " + p.Key
	}
	return string(cs[i].Result)
}

func TestRegistrationIsSeenWithoutAPerson(t *testing.T) {
	page := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			w.Write([]byte(text))
		}
	}
	google := base64.StdEncoding.EncodeToString([]byte("\n\x15redirect_uri_mismatch\x12\xb0\x01You can't sign in"))
	for name, c := range map[string]struct {
		answer         http.HandlerFunc
		client, scopes string
	}{
		"known":         {back("login_required"), "ok", "ok"},
		"known, asks":   {back("interaction_required"), "ok", "ok"},
		"wrong scope":   {back("invalid_scope"), "ok", "failed oauth.error.permissions"},
		"not for us":    {back("unauthorized_client"), "failed oauth.error.client", "unknown provider.error.not_told"},
		"has a fault":   {back("server_error"), "ok", "unknown oauth.error.transient"},
		"shows a page":  {page(200, "<h1>Sign in</h1>"), "unknown provider.error.not_told", "unknown provider.error.not_told"},
		"redirect URI":  {page(400, "AADSTS50011: The redirect URI does not match"), "failed oauth.error.redirect_uri", "unknown provider.error.not_told"},
		"client ID":     {page(400, "AADSTS700016: Application with identifier 'x' was not found"), "failed provider.error.client_unknown", "unknown provider.error.not_told"},
		"a plain error": {page(400, "invalid_client"), "failed provider.error.client_unknown", "unknown provider.error.not_told"},
		"Google's page": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://accounts.example/signin/oauth/error?authError="+url.QueryEscape(google), http.StatusFound)
		}, "failed oauth.error.redirect_uri", "unknown provider.error.not_told"},
		"another state": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?error=login_required&state=x", http.StatusFound)
		}, "unknown provider.error.not_told", "unknown provider.error.not_told"},
		"in circles": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusFound) },
			"unknown provider.error.not_told", "unknown provider.error.not_told"},
		"down": {page(503, ""), "unknown oauth.error.network", "unknown oauth.error.network"},
	} {
		_, p, seen := asks(t, c.answer)
		cl, _ := client(t)
		got := cl.Check(t.Context(), p, "http://localhost:8080/oauth/callback/microsoft")
		if outcome(got, "client") != c.client || outcome(got, "scopes") != c.scopes {
			t.Errorf("%s: client %q, scopes %q; want %q, %q", name, outcome(got, "client"), outcome(got, "scopes"), c.client, c.scopes)
		}
		q := (*seen)[0]
		if q.Get("prompt") != "none" || q.Get("client_id") != "mailroom" || q.Get("client_secret") != "" || q.Get("code_challenge") == "" {
			t.Errorf("%s: asked %v", name, q)
		}
		if len(*seen) > 4 {
			t.Errorf("%s: asked %d times", name, len(*seen))
		}
	}
}

func TestEndpointsAreChecked(t *testing.T) {
	i, p, _ := asks(t, back("login_required"))
	cl, _ := client(t)
	check := func(what string, want ...string) {
		t.Helper()
		got := cl.Check(t.Context(), p, "http://localhost/cb")
		if now := []string{outcome(got, "discovery"), outcome(got, "endpoints"), outcome(got, "keys")}; !slices.Equal(now, want) {
			t.Errorf("%s: %q, want %q", what, now, want)
		}
	}
	check("all well", "ok", "ok", "ok")
	i.jwk = func(jwk *map[string]any) { *jwk = map[string]any{"kty": "EC", "crv": "nonsense"} }
	check("no usable key", "ok", "ok", "failed provider.error.no_keys")
	i.metadata = func(m map[string]any) { m["issuer"] = "https://evil.example" }
	// The document is read anew each time; what was read before still serves.
	check("another issuer", "failed oauth.error.metadata", "ok", "failed provider.error.no_keys")
	p.ID = "fresh"
	check("never read", "failed oauth.error.metadata", "failed oauth.error.metadata", "")
}

func TestFormOfTheRedirectURI(t *testing.T) {
	for uri, want := range map[string]string{
		"https://mailroom.example.com/oauth/callback/m": "ok",
		"http://localhost:8080/oauth/callback/m":        "ok",
		"http://127.0.0.1:8080/oauth/callback/m":        "failed provider.error.redirect_localhost",
		"http://mailroom.example.com/cb":                "failed provider.error.redirect_https",
		"https://192.0.2.7/cb":                          "failed provider.error.redirect_ip",
		"https://mailroom.example.com/cb#x":             "failed provider.error.redirect_form",
		"/oauth/callback/m":                             "failed provider.error.redirect_form",
	} {
		cl, _ := client(t)
		// Without a client ID nobody is asked anything about it.
		p := mailroom.Provider{ID: "m", Kind: mailroom.Outlook, AuthURL: "https://127.0.0.1:1/a", TokenURL: "https://127.0.0.1:1/t"}
		if got := outcome(cl.Check(t.Context(), p, uri), "redirect"); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}

func TestClientIsCheckedWithAnInventedCode(t *testing.T) {
	for answer, want := range map[string]string{
		`{"error":"invalid_grant","error_description":"AADSTS70000: no such code"}`: "",
		`{"error":"invalid_client","error_codes":[7000215]}`:                        "oauth.error.secret_wrong",
		`{"error":"invalid_client","error_codes":[7000222]}`:                        "oauth.error.secret_expired",
		`{"error":"invalid_request"}`:                                               "oauth.error.request",
		`{"access_token":"x","token_type":"Bearer"}`:                                "provider.error.not_told",
	} {
		i := newIssuer(t)
		i.token = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if strings.Contains(answer, "error") {
				w.WriteHeader(http.StatusBadRequest)
			}
			w.Write([]byte(answer))
		}
		cl, _ := client(t)
		err := cl.CheckClient(t.Context(), i.provider(), redirectURL)
		if err == nil && want != "" || err != nil && mailroom.AsError(err).Key != want {
			t.Errorf("%s: %v, want %q", answer, err, want)
		}
		if len(i.requests) != 1 || len(i.requests[0].Get("code")) < 20 || i.requests[0].Get("code") == theCode {
			t.Errorf("asked %v", i.requests)
		}
	}
}

func TestShippedCloudsAreConsistent(t *testing.T) {
	for _, p := range oauth.Shipped() {
		if p.RefreshDays == 0 && !p.Password {
			t.Errorf("%s: nobody knows when its refresh tokens grow old", p.ID)
		}
		if p.Kind != mailroom.Outlook {
			continue
		}
		if p.Untested == (p.ID == "microsoft") {
			t.Errorf("%s: untested %v", p.ID, p.Untested)
		}
		host, _, _ := strings.Cut(strings.TrimPrefix(p.AuthURL, "https://"), "/")
		for _, u := range []string{p.TokenURL, p.JWKSURL, p.Issuer, p.AdminConsentURL} {
			if !strings.HasPrefix(u, "https://"+host+"/") {
				t.Errorf("%s: %s is not at %s", p.ID, u, host)
			}
		}
		if !strings.Contains(p.AdminConsentURL, "{tenant}") || p.Directory == nil || !strings.HasPrefix(p.Directory.Scopes[0], strings.TrimSuffix(p.Directory.URL, "/v1.0")) {
			t.Errorf("%s: consent %q, directory %+v", p.ID, p.AdminConsentURL, p.Directory)
		}
		if !p.HasTenant() {
			t.Errorf("%s has no place for a tenant", p.ID)
		}
	}
}
