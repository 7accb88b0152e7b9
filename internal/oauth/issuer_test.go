package oauth_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mailroom/internal/mailroom"
	"mailroom/internal/oauth"
)

const (
	tenant    = "7f9f9c38-1f2e-4f66-9d5e-0a7c2f6b1d11"
	imapScope = "https://outlook.office.com/IMAP.AccessAsUser.All"
	// What must never stand in a log, an error or a page.
	theCode, theSecret    = "code-c0de7e57", "client-5ec2e7"
	theAccess, theRefresh = "access-acce55", "refresh-2ef2e5"
	theVerifier, theState = "verifier-of-at-least-forty-three-characters-0001", "state-57a7e"
	theNonce              = "nonce-n0ce"
	redirectURL           = "http://127.0.0.1:8080/oauth/microsoft/callback"
)

var ownKey, otherKey = sync.OnceValue(newKey), sync.OnceValue(newKey)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// issuer is a provider whose every answer a test can bend.
type issuer struct {
	*httptest.Server
	key *rsa.PrivateKey

	mu       sync.Mutex
	claims   func(map[string]any)        // changes the ID token's claims
	sign     func(payload []byte) string // replaces signing it
	token    http.HandlerFunc            // replaces the token endpoint
	revoke   http.HandlerFunc            // replaces the revocation endpoint
	metadata func(map[string]any)        // changes the discovery document
	answer   func(answer map[string]any) // changes the token answer
	jwk      func(jwk *map[string]any)   // changes the published key
	requests []url.Values                // to token and revoke, path under "path"
	reads    map[string]int              // of discovery and keys
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{key: ownKey(), reads: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /discovery", i.serveDiscovery)
	mux.HandleFunc("GET /keys", i.serveKeys)
	mux.HandleFunc("POST /token", i.serveToken)
	mux.HandleFunc("POST /revoke", i.serveRevoke)
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) template() string { return i.URL + "/{tenantid}/v2.0" }

// provider is Microsoft-like: template issuer, tid+oid, discovery.
func (i *issuer) provider() mailroom.Provider {
	return mailroom.Provider{
		ID: "microsoft", Name: "Outlook", Kind: mailroom.Outlook, Issuer: i.template(), DiscoveryURL: i.URL + "/discovery",
		ClientID: "mailroom", ClientSecret: theSecret, Scopes: []string{imapScope, "offline_access", "openid", "email", "profile"},
		AuthParams: map[string]string{"prompt": "select_account"}, SubjectClaims: []string{"tid", "oid"},
		AddressClaims: []string{"preferred_username", "email", "upn"}, Loopback: true,
	}
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func (i *issuer) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.reads["discovery"]++
	doc := map[string]any{
		"issuer": i.template(), "authorization_endpoint": i.URL + "/authorize?tenant=common", "token_endpoint": i.URL + "/token",
		"jwks_uri": i.URL + "/keys", "revocation_endpoint": i.URL + "/revoke",
	}
	if i.metadata != nil {
		i.metadata(doc)
	}
	reply(w, http.StatusOK, doc)
}

func (i *issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.reads["keys"]++
	b, _ := (&jose.JSONWebKey{Key: i.key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}).MarshalJSON()
	jwk := map[string]any{}
	json.Unmarshal(b, &jwk)
	jwk["issuer"] = i.template()
	if i.jwk != nil {
		i.jwk(&jwk)
	}
	odd := map[string]any{"kty": "OKP", "crv": "Ed448", "kid": "odd", "x": "AAAA"}
	reply(w, http.StatusOK, map[string]any{"keys": []any{odd, jwk}})
}

func (i *issuer) note(r *http.Request) url.Values {
	r.ParseForm()
	form := maps.Clone(r.PostForm)
	form.Set("path", r.URL.Path)
	if id, secret, ok := r.BasicAuth(); ok {
		form.Set("basic", id+":"+secret)
	}
	i.requests = append(i.requests, form)
	return form
}

func (i *issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	form := i.note(r)
	if i.token != nil {
		i.token(w, r)
		return
	}
	answer := map[string]any{"access_token": theAccess, "token_type": "Bearer", "expires_in": 3599, "scope": imapScope}
	if form.Get("grant_type") == "authorization_code" {
		answer["refresh_token"] = theRefresh
		answer["id_token"] = i.idToken()
	}
	if i.answer != nil {
		i.answer(answer)
	}
	reply(w, http.StatusOK, answer)
}

func (i *issuer) serveRevoke(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.note(r)
	if i.revoke != nil {
		i.revoke(w, r)
	}
}

func (i *issuer) idToken() string {
	claims := map[string]any{
		"iss": strings.ReplaceAll(i.template(), "{tenantid}", tenant), "aud": "mailroom", "sub": "pairwise", "nonce": theNonce,
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "tid": tenant, "oid": "0b1ec7",
		"preferred_username": "Anna@Example.ORG", "email": "anna.vd.berg@example.org",
	}
	if i.claims != nil {
		i.claims(claims)
	}
	payload, _ := json.Marshal(claims)
	if i.sign != nil {
		return i.sign(payload)
	}
	return signed(jose.RS256, i.key, "k1", payload)
}

func signed(alg jose.SignatureAlgorithm, key any, kid string, payload []byte) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		panic(err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		panic(err)
	}
	out, _ := jws.CompactSerialize()
	return out
}

// client with a log that a test can search.
func client(t *testing.T) (*oauth.Client, *log) {
	l := &log{}
	t.Cleanup(func() { l.clean(t) })
	return oauth.New(oauth.Options{Log: slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))}), l
}

type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// clean fails when the log holds a secret or an address.
func (l *log) clean(t *testing.T) {
	t.Helper()
	for _, s := range []string{theCode, theSecret, theAccess, theRefresh, theVerifier, theState, theNonce, "example.org", "eyJ"} {
		if strings.Contains(strings.ToLower(l.String()), strings.ToLower(s)) {
			t.Errorf("the log holds %q:\n%s", s, l)
		}
	}
}

func code() mailroom.CodeRequest {
	return mailroom.CodeRequest{Code: theCode, Verifier: theVerifier, Nonce: theNonce, RedirectURL: redirectURL}
}
