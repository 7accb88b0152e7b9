package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// Scopes that the provider knows unless told otherwise, beside openid, email,
// profile and offline_access.
const (
	ScopeOutlookIMAP = "https://outlook.office.com/IMAP.AccessAsUser.All"
	ScopeIMAP        = "imap"
)

// OIDCOptions say what kind of provider a test wants. The zero value knows every
// address and one client, DefaultClient.
type OIDCOptions struct {
	// Clients may ask for grants; nil means DefaultClient.
	Clients []OIDCClient
	// Accounts are the only ones that can sign in; nil means that any address can.
	Accounts []OIDCAccount
	// Scopes are known beside the OpenID ones; nil means the two above.
	Scopes []string
	// AccessTokenLife is an hour if zero, and counted in whole seconds.
	AccessTokenLife time.Duration
	// RefreshAlways gives a refresh token though offline_access was not asked, or
	// was dropped since prompt=consent was not (OpenID Connect Core, 11).
	RefreshAlways bool
	// KeepRefreshTokens leaves a refresh token good after its use. Otherwise each use
	// brings a new one, and using an old one again revokes the grant.
	KeepRefreshTokens bool
	// AllowPlainCode accepts an authorization request without PKCE.
	AllowPlainCode bool
}

// OIDCClient is a registered application.
type OIDCClient struct {
	ID     string
	Secret string // "" for a public client
	// RedirectURIs on a loopback address match whatever port the request names
	// (RFC 8252, 7.3), so that a server can start after its provider.
	RedirectURIs []string
}

// OIDCAccount is somebody who can sign in.
type OIDCAccount struct {
	Email string `json:"email"`
	Name  string `json:"name"`
}

// DefaultClient is the application that a provider knows when a test names none.
func DefaultClient() OIDCClient {
	return OIDCClient{
		ID: "mailroom", Secret: "a-secret-that-only-tests-know",
		RedirectURIs: []string{"http://127.0.0.1/oauth/callback", "http://localhost/oauth/callback"},
	}
}

// introspector is the client by which a mail server asks about tokens.
const introspector, introspectorSecret = "dovecot", "another-secret-that-only-tests-know"

// OIDCServer is a running provider. What a browser meets there: #login (name
// "login") and #signin on the sign-in page, #consent and #deny on the page that
// asks for permission, #cancel on the first, #error where it refuses.
// Its methods end the test when they fail.
type OIDCServer struct {
	Issuer           string // "http://127.0.0.1:port"; discovery is beneath it
	AuthURL          string
	TokenURL         string
	IntrospectionURL string
	RevocationURL    string
	UserinfoURL      string

	t       testing.TB
	clients []OIDCClient
	child   *child
}

var issuerLine = regexp.MustCompile(`(?m)^issuer (\S+)$`)

// OIDCProvider starts a private OpenID provider (npm oidc-provider, certified) and
// stops it when the test ends. PKCE with S256 is required.
func OIDCProvider(t testing.TB, opts OIDCOptions) *OIDCServer {
	t.Helper()
	op := &OIDCServer{t: t, clients: opts.Clients}
	if op.clients == nil {
		op.clients = []OIDCClient{DefaultClient()}
	}
	if err := op.start(opts); err != nil {
		t.Fatalf("OpenID provider: %v", err)
	}
	op.child.keep(t)
	return op
}

func (op *OIDCServer) start(opts OIDCOptions) error {
	npm, err := npmDir()
	if err != nil {
		return err
	}
	node, err := program(filepath.Join(npm, ".node", "node_modules", "node-linux-*", "bin", "node"), "node")
	if err != nil {
		return err
	}
	dir, err := privateDir("oidc", nil)
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "config.json")
	content, err := op.config(opts)
	if err != nil {
		return err
	}
	if err := os.WriteFile(config, content, 0o600); err != nil {
		return err
	}
	op.child, err = start(spawn{
		name: "oidc-provider",
		args: []string{node, "--no-warnings", filepath.Join(npm, "provider.mjs"), config},
		env:  []string{"NODE_ENV=test"},
		dir:  dir,
		stop: "TERM",
	})
	if err != nil {
		os.RemoveAll(dir)
		return err
	}
	if err := op.child.ready(op.discover); err != nil {
		return fmt.Errorf("%w (%v)", err, op.child.stop())
	}
	return nil
}

func (op *OIDCServer) config(opts OIDCOptions) ([]byte, error) {
	type client struct {
		ID            string   `json:"client_id"`
		Secret        string   `json:"client_secret,omitempty"`
		RedirectURIs  []string `json:"redirect_uris"`
		GrantTypes    []string `json:"grant_types"`
		ResponseTypes []string `json:"response_types"`
		Kind          string   `json:"application_type"`
		Auth          string   `json:"token_endpoint_auth_method"`
	}
	clients := []client{{ID: introspector, Secret: introspectorSecret, RedirectURIs: []string{}, GrantTypes: []string{},
		ResponseTypes: []string{}, Kind: "web", Auth: "client_secret_basic"}}
	for _, c := range op.clients {
		auth := "client_secret_basic"
		if c.Secret == "" {
			auth = "none"
		}
		clients = append(clients, client{ID: c.ID, Secret: c.Secret, RedirectURIs: c.RedirectURIs,
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
			// Only native applications may leave the port open.
			Kind: "native", Auth: auth})
	}
	if opts.Scopes == nil {
		opts.Scopes = []string{ScopeOutlookIMAP, ScopeIMAP}
	}
	if opts.AccessTokenLife == 0 {
		opts.AccessTokenLife = time.Hour
	}
	accounts := opts.Accounts
	if accounts == nil {
		accounts = []OIDCAccount{}
	}
	return json.Marshal(map[string]any{
		"clients": clients, "accounts": accounts, "scopes": opts.Scopes,
		"accessTokenSeconds": int(opts.AccessTokenLife.Seconds()),
		"refreshAlways":      opts.RefreshAlways, "rotate": !opts.KeepRefreshTokens, "requirePKCE": !opts.AllowPlainCode,
	})
}

// discover reads the provider's own description (OpenID Connect Discovery, 4).
func (op *OIDCServer) discover(ctx context.Context) error {
	found := issuerLine.FindStringSubmatch(op.child.log.String())
	if found == nil {
		return fmt.Errorf("no issuer was printed yet")
	}
	var doc struct {
		AuthURL          string `json:"authorization_endpoint"`
		TokenURL         string `json:"token_endpoint"`
		IntrospectionURL string `json:"introspection_endpoint"`
		RevocationURL    string `json:"revocation_endpoint"`
		UserinfoURL      string `json:"userinfo_endpoint"`
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, found[1]+"/.well-known/openid-configuration", nil)
	if err != nil {
		return err
	}
	if err := answer(http.DefaultClient, req, &doc); err != nil {
		return err
	}
	op.Issuer, op.AuthURL, op.TokenURL = found[1], doc.AuthURL, doc.TokenURL
	op.IntrospectionURL, op.RevocationURL, op.UserinfoURL = doc.IntrospectionURL, doc.RevocationURL, doc.UserinfoURL
	return nil
}

// answer sends a request and decodes the JSON that comes back with a 200.
func answer(client *http.Client, req *http.Request, into any) error {
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", req.Method, req.URL.Path, res.Status, body)
	}
	return json.Unmarshal(body, into)
}

// DovecotOAuth tells Dovecot where to ask about this provider's tokens.
func (op *OIDCServer) DovecotOAuth() *DovecotOAuth {
	return &DovecotOAuth{IntrospectionURL: op.IntrospectionURL, ClientID: introspector, ClientSecret: introspectorSecret}
}

// Config returns an oauth2.Config for the first client, with the given scopes or
// else all that a grant for mail needs.
func (op *OIDCServer) Config(scopes ...string) *oauth2.Config {
	if len(scopes) == 0 {
		scopes = []string{"openid", "email", "profile", "offline_access", ScopeOutlookIMAP}
	}
	c := op.clients[0]
	config := &oauth2.Config{
		ClientID: c.ID, ClientSecret: c.Secret, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: op.AuthURL, TokenURL: op.TokenURL},
	}
	if len(c.RedirectURIs) > 0 {
		config.RedirectURL = c.RedirectURIs[0]
	}
	return config
}

// Introspect asks what the provider holds of a token, as a mail server does.
func (op *OIDCServer) Introspect(token string) map[string]any {
	op.t.Helper()
	req, err := http.NewRequest(http.MethodPost, op.IntrospectionURL, strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		op.t.Fatalf("OpenID provider: %v", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(introspector, introspectorSecret)
	var held map[string]any
	if err := answer(http.DefaultClient, req, &held); err != nil {
		op.t.Fatalf("OpenID provider: introspect: %v", err)
	}
	return held
}

// Active reports whether the provider still honours a token.
func (op *OIDCServer) Active(token string) bool {
	op.t.Helper()
	return op.Introspect(token)["active"] == true
}

// RevokeGrants takes back every grant of an account, as its owner can on the
// provider's account page: all their tokens are dead at once.
func (op *OIDCServer) RevokeGrants(email string) {
	op.t.Helper()
	res, err := http.PostForm(op.Issuer+"/test/revoke", url.Values{"email": {email}})
	if err != nil {
		op.t.Fatalf("OpenID provider: %v", err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); string(body) == "0" || res.StatusCode != http.StatusOK {
		op.t.Fatalf("OpenID provider: %s has no grant to revoke (%s %s)", email, res.Status, body)
	}
}
