package access_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mailroom/internal/access"
	"mailroom/internal/mailroom"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
	"mailroom/internal/vault"
)

const (
	binding = "session-of-anna"
	mail    = "https://outlook.office.com/IMAP.AccessAsUser.All"
	subject = "tenant/anna"
)

// provider is a fake one: codes, tokens and their order are the test's to choose.
type provider struct {
	mu        sync.Mutex
	exchanges []mailroom.CodeRequest
	refreshed []string // refresh tokens as they came
	revoked   []string
	consent   []mailroom.ConsentRequest

	grant    mailroom.Tokens                             // what a code brings
	refresh  func(token string) (mailroom.Tokens, error) // nil: the next numbered pair
	revoking func(token string) (bool, error)
	client   func(mailroom.Provider) error // judges who asks
}

func (p *provider) judge(q mailroom.Provider) error {
	p.mu.Lock()
	f := p.client
	p.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(q)
}

func (p *provider) ConsentURL(_ context.Context, q mailroom.Provider, r mailroom.ConsentRequest) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.consent = append(p.consent, r)
	return "https://provider.example/authorize?" + url.Values{"state": {r.State}, "provider": {q.ID}}.Encode(), nil
}

func (p *provider) Exchange(_ context.Context, q mailroom.Provider, r mailroom.CodeRequest) (mailroom.Tokens, error) {
	if err := p.judge(q); err != nil {
		return mailroom.Tokens{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exchanges = append(p.exchanges, r)
	return p.grant, nil
}

func (p *provider) Refresh(_ context.Context, q mailroom.Provider, token string) (mailroom.Tokens, error) {
	if err := p.judge(q); err != nil {
		return mailroom.Tokens{}, err
	}
	p.mu.Lock()
	p.refreshed = append(p.refreshed, token)
	n, f := len(p.refreshed), p.refresh
	p.mu.Unlock()
	if f != nil {
		return f(token)
	}
	return tokens(n + 1), nil
}

func (p *provider) Revoke(_ context.Context, _ mailroom.Provider, token string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked = append(p.revoked, token)
	if p.revoking != nil {
		return p.revoking(token)
	}
	return true, nil
}

func (p *provider) Refusal(_ mailroom.Provider, oauthError, _, _ string) *mailroom.Error {
	return mailroom.E(mailroom.NeedsConsent, "oauth.error.denied").With("code", oauthError).With("ref", "r")
}

func (p *provider) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.refreshed)
}

// tokens are the n-th pair, good for an hour.
func tokens(n int) mailroom.Tokens {
	return mailroom.Tokens{
		Access: fmt.Sprintf("ACCESS-TOKEN-%d", n), Refresh: fmt.Sprintf("REFRESH-TOKEN-%d", n),
		ExpiresAt: time.Now().Add(time.Hour).UTC(), Scopes: []string{mail},
		Subject: subject, TenantID: "tenant", Addresses: []string{"anna@werk.example"},
	}
}

// house is an organization with a recruiter, a mailbox without a grant, and an
// Access before a fake provider.
type house struct {
	t     testing.TB
	store *store.Store
	world storetest.World
	db    *sql.DB
	user  mailroom.User
	box   mailroom.Mailbox
	oauth *provider
	ring  *vault.Keyring
	deps  access.Deps
	log   *logText
	*access.Access
}

var providers = mailroom.Providers{
	{ID: "microsoft", Name: "Outlook", ClientID: "c", Scopes: []string{mail, "offline_access", "openid", "email"}, RevokePage: "https://myapps.example",
		Directory: &mailroom.Directory{URL: "https://graph.example"}},
	{ID: "google", Name: "Gmail", ClientID: "c", Scopes: []string{"https://mail.google.com/", "openid"}, AuthParams: map[string]string{"access_type": "offline"}},
	{ID: "unset", Name: "Unset"},
}

func newHouse(t testing.TB) *house {
	t.Helper()
	return newHouseIn(t, storetest.Open(t))
}

// newHouseIn is another organization in a store that is open already.
func newHouseIn(t testing.TB, s *store.Store) *house {
	t.Helper()
	h := &house{t: t, store: s, oauth: &provider{grant: tokens(1)}, log: &logText{}}
	h.world = storetest.Seed(t, h.store)
	h.db = h.world.DB
	h.user = mailroom.User{ID: h.world.UserID, OrgID: h.world.OrgID}
	h.box = h.world.Mailbox
	h.box.Address = "Anna@werk.example"
	h.exec(`DELETE FROM grants WHERE mailbox_id = $1`, h.box.ID)
	h.exec(`UPDATE mailboxes SET address = $1 WHERE id = $2`, h.box.Address, h.box.ID)
	var err error
	if h.ring, err = vault.Parse(vault.NewKey(time.Now())); err != nil {
		t.Fatal(err)
	}
	h.deps = access.Deps{
		Store: h.store, OAuth: h.oauth, Vault: h.ring, Base: providers, Node: "node",
		RedirectURL:        func(id string) string { return "https://mailroom.example/oauth/" + id + "/callback" },
		ConsentRedirectURL: func(id string) string { return "https://mailroom.example/consent/callback/" + id },
		Log:                slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	h.Access = access.New(h.deps)
	t.Cleanup(func() { h.log.clean(t) })
	return h
}

func (h *house) exec(text string, args ...any) {
	h.t.Helper()
	h.world.Exec(h.t, text, args...)
}

func (h *house) text(query string, args ...any) (s string) {
	h.t.Helper()
	if err := h.db.QueryRow(query, args...).Scan(&s); err != nil {
		h.t.Fatalf("%s: %v", query, err)
	}
	return s
}

// begin returns the state of a begun grant.
func (h *house) begin(binding string) string {
	h.t.Helper()
	p, _ := providers.ByID(h.box.ProviderID)
	to, err := h.Begin(h.t.Context(), h.user, h.box, p, binding)
	if err != nil {
		h.t.Fatal(err)
	}
	return stateOf(to)
}

func stateOf(consentURL string) string {
	u, _ := url.Parse(consentURL)
	return u.Query().Get("state")
}

// again is another Access with the same store, as after a restart.
func (h *house) again() { h.Access = access.New(h.deps) }

// registeredAndGranted is a house with an organization's own registration, one
// proved credential and a grant.
func (h *house) registeredAndGranted(secret string) *house {
	h.t.Helper()
	h.registered()
	h.keeps(secret)
	return h.granted()
}

// beginIn begins a grant whose verifier the present ring can open.
func (h *house) beginIn(m mailroom.Mailbox) string {
	h.t.Helper()
	p := h.offered(m.ProviderID)
	to, err := h.Begin(h.t.Context(), h.user, m, p, binding)
	if err != nil {
		h.t.Fatal(err)
	}
	return stateOf(to)
}

// finish answers with a code.
func (h *house) finish(state string) (mailroom.GrantOutcome, error) {
	return h.Finish(h.t.Context(), h.user, binding, h.box.ProviderID, state, "CODE-1", "")
}

// granted goes the whole way.
func (h *house) granted() *house {
	h.t.Helper()
	if _, err := h.finish(h.begin(binding)); err != nil {
		h.t.Fatal(err)
	}
	return h
}

// spend makes the stored access token a spent one.
func (h *house) spend() {
	h.exec(`UPDATE grants SET expires_at = refreshed_at WHERE mailbox_id = $1`, h.box.ID)
}

func (h *house) token() (string, error) {
	got, _, err := h.Token(h.t.Context(), h.box.ID)
	return got, err
}

func (h *house) wantToken(want string) {
	h.t.Helper()
	if got, err := h.token(); err != nil || got != want {
		h.t.Fatalf("token %q, %v, want %q", got, err, want)
	}
}

// problem is the key of what stands on the mailbox, "" for nothing.
func (h *house) problem() string {
	h.t.Helper()
	c, err := h.store.Credentials(h.t.Context(), h.box.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	if c.Problem == nil {
		return ""
	}
	return c.Problem.Key
}

func (h *house) audited() (actions []string) {
	h.t.Helper()
	rows, err := h.db.Query(`SELECT action FROM audit WHERE subject = $1 ORDER BY at, id`, h.box.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var a string
		if err := rows.Scan(&a); err != nil {
			h.t.Fatal(err)
		}
		actions = append(actions, a)
	}
	return actions
}

// wants fails unless err is of a kind and key.
func wants(t testing.TB, err error, kind mailroom.Kind, key string) {
	t.Helper()
	if e := mailroom.AsError(err); err == nil || e.Kind != kind || e.Key != key {
		t.Errorf("got %v, want %s %s", err, kind, key)
	}
}

// onDisk reports which of the texts lie in clear in the database's files.
func (h *house) onDisk(texts ...string) (found []string) {
	h.t.Helper()
	path := h.text(`SELECT file FROM pragma_database_list WHERE name = 'main'`)
	files, _ := filepath.Glob(path + "*")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, s := range texts {
			if bytes.Contains(b, []byte(s)) && !slices.Contains(found, s) {
				found = append(found, s)
			}
		}
	}
	return found
}

type logText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// clean fails when a secret or an address got into the log.
func (l *logText) clean(t testing.TB) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range []string{"ACCESS-TOKEN", "REFRESH-TOKEN", "CODE-", "PASSWORD-", "SECRET-", "werk.example", binding, "tenant/"} {
		if strings.Contains(l.b.String(), s) {
			t.Errorf("the log holds %q:\n%s", s, l.b.String())
		}
	}
}
