package app_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mailroom/internal/app"
	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/internal/pretend/issuer"
	"mailroom/internal/pretend/world"
)

// siege is a whole Mailroom with two providers, one of whom means harm, and a
// log at its most talkative.
type siege struct {
	t      *testing.T
	app    *app.App
	world  *world.World
	evil   *issuer.Server // stands behind the provider "corp"
	data   string
	logged *lockedBuffer
	admin  *visitor
	seen   []string // every address and every page that anybody was given
	mu     sync.Mutex
}

// lockedBuffer is written to while it is read.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newSiege(t *testing.T) *siege {
	t.Helper()
	w, err := world.Start(world.Options{Large: 5, RedirectURIs: []string{"http://127.0.0.1/oauth/callback/microsoft"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	evil, err := issuer.Start(issuer.Options{Seed: 66, RedirectURIs: []string{"http://127.0.0.1/oauth/callback/corp"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { evil.Close() })
	corp := w.Provider()
	corp.ID, corp.Name, corp.Kind = "corp", "Corp", mailroom.Other
	corp.Issuer, corp.AuthURL, corp.TokenURL, corp.JWKSURL = evil.Issuer(), evil.AuthURL(), evil.TokenURL(), evil.JWKSURL()
	corp.ClientID, corp.ClientSecret, corp.Directory, corp.AdminConsentURL = evil.ClientID, evil.ClientSecret, nil, ""

	s := &siege{t: t, world: w, evil: evil, data: filepath.Join(t.TempDir(), "data"), logged: &lockedBuffer{}}
	cfg := app.Defaults()
	cfg.Addr, cfg.Data = "127.0.0.1:0", s.data
	cfg.Log = slog.New(slog.NewJSONHandler(s.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg.Providers = mailroom.Providers{w.Provider(), corp}
	if s.app, err = app.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.app.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Mailroom stopped with %v", err)
		}
	})
	token, err := s.app.Portal.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	boss, err := s.app.Portal.Setup(t.Context(), token, portal.SetupForm{Organization: "Agency", Name: "Boss", Email: "boss@portal.example", Password: siegePassword})
	if err != nil {
		t.Fatal(err)
	}
	s.admin = s.signIn(boss)
	return s
}

const siegePassword = "a long and dull password"

// user is a new recruiter with a browser, who has typed an address.
func (s *siege) user(mailbox string) *visitor {
	s.t.Helper()
	email := "portal." + mailbox
	u, _, err := s.app.Portal.AddUser(s.t.Context(), s.admin.user, portal.UserForm{Email: email, Name: "Rik", Role: mailroom.Recruiter})
	if err == nil {
		err = s.app.Portal.SetPassword(s.t.Context(), s.admin.user, u.ID, siegePassword)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	v := s.signIn(u)
	v.post("/settings/integrations/username", "address", mailbox)
	return v
}

func (s *siege) signIn(u mailroom.User) *visitor {
	v := s.stranger()
	v.user = u
	v.post("/sign-in", "email", u.Email, "password", siegePassword)
	if v.at.Path == "/sign-in" {
		s.t.Fatalf("%s cannot sign in", u.Email)
	}
	return v
}

// stranger is a browser without scripts that stays on this site.
func (s *siege) stranger() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	v := &visitor{s: s}
	v.client = &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		s.remember("Location: " + r.URL.String())
		if r.URL.Host != s.app.Addr() {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return v
}

func (s *siege) remember(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, text)
}

// visitor is somebody at a browser.
type visitor struct {
	s      *siege
	user   mailroom.User
	client *http.Client
	site   string // Sec-Fetch-Site of what follows, if not empty
	status int
	at     *url.URL
	page   string
}

func (v *visitor) get(path string) *visitor { return v.do(http.MethodGet, path, nil) }

func (v *visitor) post(path string, pairs ...string) *visitor {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return v.do(http.MethodPost, path, strings.NewReader(form.Encode()))
}

func (v *visitor) do(method, path string, body io.Reader) *visitor {
	v.s.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = v.s.app.URL() + path
	}
	r, err := http.NewRequestWithContext(v.s.t.Context(), method, path, body)
	if err != nil {
		v.s.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if v.site != "" {
		r.Header.Set("Sec-Fetch-Site", v.site)
	}
	res, err := v.client.Do(r)
	if err != nil {
		v.s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.s.t.Fatal(err)
	}
	v.status, v.at, v.page = res.StatusCode, res.Request.URL, string(b)
	v.s.remember(v.at.Path + "?" + v.at.RawQuery + "\n" + v.page)
	return v
}

// begin presses Grant Permission, and is where the provider would be.
func (v *visitor) begin(provider string) (authURL string) {
	v.s.t.Helper()
	kind := map[string]string{"microsoft": "outlook:", "corp": "other:"}[provider]
	v.post("/settings/integrations/oauth", "account", kind+provider)
	return v.leaving()
}

// leaving is where a page sends the browser on to.
func (v *visitor) leaving() (authURL string) {
	v.s.t.Helper()
	found := regexp.MustCompile(`<a href="(http[^"]+/authorize[^"]+)"`).FindStringSubmatch(v.page)
	if found == nil {
		v.s.t.Fatalf("this leads to no provider: %d at %s\n%s", v.status, v.at.Path, v.page)
	}
	return strings.ReplaceAll(found[1], "&amp;", "&")
}

// answer is how a provider sends back an account that agrees.
func (v *visitor) answer(is *issuer.Server, authURL, account string) *url.URL {
	v.s.t.Helper()
	cb, err := is.Code(authURL, account)
	if err != nil {
		v.s.t.Fatal(err)
	}
	return cb
}

// with changes a parameter of a callback.
func with(u *url.URL, name, value string) string {
	c := *u
	q := c.Query()
	q.Set(name, value)
	c.RawQuery = q.Encode()
	return c.String()
}

// grants is how many there are, and for which accounts.
func (s *siege) granted(v *visitor) bool {
	s.t.Helper()
	in, err := s.app.Portal.Integrations(s.t.Context(), v.user)
	if err != nil {
		s.t.Fatal(err)
	}
	return in.Grant != nil
}

// refused: opening a callback ends on a page that says that it did not work, at
// an address without anything in it, for a reason that the log has too; no
// grant was stored.
func (s *siege) refused(v *visitor, callback, reason string) {
	s.t.Helper()
	before := len(s.logged.String())
	v.get(callback)
	if v.at.Path != "/settings/integrations/oauth/refused" || v.at.RawQuery != "" || !strings.Contains(v.page, `role="alert"`) {
		s.t.Errorf("the callback ends at %s:\n%s", v.at, v.page)
	}
	if said := s.logged.String()[before:]; !strings.Contains(said, `"key":"`+reason+`"`) {
		s.t.Errorf("refused for another reason than %s:\n%s", reason, said)
	}
	if s.granted(v) {
		s.t.Error("a grant was stored")
	}
}

func (s *siege) tokenRequests(is *issuer.Server) (n int) {
	for _, r := range is.Requests() {
		if r.Endpoint == "token" {
			n++
		}
	}
	return n
}

// attack is one of docs/attacks.md.
type attack struct {
	name string
	try  func(t *testing.T, s *siege)
}

// TestAttacks tries what the issue lists, from outside, at a whole Mailroom.
// docs/attacks.md has the whole list with its other tests.
func TestAttacks(t *testing.T) {
	s := newSiege(t)
	// Consent first: a grant would prove it.
	for _, a := range slices.Concat(attacksOnConsent(), attacksOnTheGrant(), attacksOnTheBrowser()) {
		t.Run(a.name, func(t *testing.T) {
			was := s.t
			s.t = t
			defer func() { s.t = was }()
			a.try(t, s)
		})
	}
}

// recruits are mailboxes of the pretend world that nothing else is wrong with.
func attacksOnTheGrant() []attack {
	sanne, thomas := "sanne@"+world.Domain, "thomas@"+world.Domain
	return []attack{
		{"state made up", func(t *testing.T, s *siege) {
			v := s.user("quirks@" + world.Domain)
			cb := v.answer(s.world.Issuer, v.begin("microsoft"), sanne)
			before := s.tokenRequests(s.world.Issuer)
			s.refused(v, with(cb, "state", "made-up"), "grant.error.state")
			s.refused(v, with(cb, "state", ""), "grant.error.state")
			if s.tokenRequests(s.world.Issuer) != before {
				t.Error("the code was sent to the provider")
			}
		}},
		{"state replayed", func(t *testing.T, s *siege) {
			v := s.user(sanne)
			cb := v.answer(s.world.Issuer, v.begin("microsoft"), sanne)
			if v.get(cb.String()); v.at.Path != "/settings/integrations/oauth" || v.at.RawQuery != "granted=1" {
				t.Fatalf("the first time ends at %s\n%s", v.at, v.page)
			}
			before := s.tokenRequests(s.world.Issuer)
			fresh := v.answer(s.world.Issuer, v.begin("microsoft"), sanne)
			v.get(with(cb, "code", fresh.Query().Get("code")))
			if v.at.Path != "/settings/integrations/oauth/refused" || s.tokenRequests(s.world.Issuer) != before {
				t.Errorf("a used state with a fresh code ends at %s", v.at)
			}
			v.get(cb.String())
			if v.at.Path != "/settings/integrations/oauth/refused" || !s.granted(v) {
				t.Errorf("the same callback again ends at %s; a grant: %v", v.at, s.granted(v))
			}
		}},
		{"state of another session", func(t *testing.T, s *siege) {
			mallory, victim := s.user("mallory@"+world.Domain), s.user(thomas)
			cb := mallory.answer(s.world.Issuer, mallory.begin("microsoft"), thomas)
			s.refused(victim, cb.String(), "grant.error.other_session")
			if mallory.get(cb.String()); s.granted(mallory) {
				t.Error("a state that was tried elsewhere is still good")
			}
			s.stranger().get(cb.String())
		}},
		{"code of another session", func(t *testing.T, s *siege) {
			mallory, victim := s.user("slow@"+world.Domain), s.user("alias@"+world.Domain)
			stolen := victim.answer(s.world.Issuer, victim.begin("microsoft"), "alias@"+world.Domain).Query().Get("code")
			own := mallory.answer(s.world.Issuer, mallory.begin("microsoft"), "slow@"+world.Domain)
			s.refused(mallory, with(own, "code", stolen), "oauth.error.verifier")
			// The other way about: mallory's own code under the victim's good state.
			state := victim.answer(s.world.Issuer, victim.begin("microsoft"), "alias@"+world.Domain)
			s.refused(victim, with(state, "code", own.Query().Get("code")), "oauth.error.verifier")
			if last := s.world.Issuer.Requests(); last[len(last)-1].Error != "invalid_grant" {
				t.Errorf("the provider did not mind: %+v", last[len(last)-1])
			}
		}},
		{"mix-up of two providers", func(t *testing.T, s *siege) {
			// The person begins at corp, which sends the browser on to the honest
			// provider with the state that is corp's; the honest one's code comes back.
			v := s.user("throttled@" + world.Domain)
			begun, err := url.Parse(v.begin("corp"))
			if err != nil {
				t.Fatal(err)
			}
			q := begun.Query()
			q.Set("client_id", s.world.Issuer.ClientID)
			q.Set("redirect_uri", strings.Replace(q.Get("redirect_uri"), "/corp", "/microsoft", 1))
			cb := v.answer(s.world.Issuer, s.world.Issuer.AuthURL()+"?"+q.Encode(), "throttled@"+world.Domain)
			honest, evil := s.tokenRequests(s.world.Issuer), s.tokenRequests(s.evil)
			s.refused(v, cb.String(), "grant.error.other_provider")
			if s.tokenRequests(s.evil) != evil || s.tokenRequests(s.world.Issuer) != honest {
				t.Error("the code went out")
			}
		}},
		{"callback with another issuer", func(t *testing.T, s *siege) {
			v := s.user("renumbered@" + world.Domain)
			cb := v.answer(s.world.Issuer, v.begin("microsoft"), "renumbered@"+world.Domain)
			before := s.tokenRequests(s.world.Issuer)
			s.refused(v, with(cb, "iss", s.evil.TenantIssuer()), "oauth.error.unproved")
			if s.tokenRequests(s.world.Issuer) != before {
				t.Error("the code went out")
			}
		}},
		{"ID token that is not for this", func(t *testing.T, s *siege) {
			defer s.world.Issuer.SetIDTokenHook(nil)
			v := s.user("no-refresh@" + world.Domain)
			for name, claims := range map[string]map[string]any{
				"audience": {"aud": "somebody-else"}, "nonce": {"nonce": "of another request"}, "issuer": {"iss": s.evil.TenantIssuer()},
				"expired": {"exp": time.Now().Add(-time.Hour).Unix()}, "tenant": {"tid": s.evil.TenantID},
			} {
				s.world.Issuer.SetIDTokenHook(func(c map[string]any) { maps.Copy(c, claims) })
				s.refused(v, v.answer(s.world.Issuer, v.begin("microsoft"), "no-refresh@"+world.Domain).String(), "oauth.error.unproved")
				if t.Failed() {
					t.Fatalf("with another %s", name)
				}
			}
		}},
	}
}

func attacksOnTheBrowser() []attack {
	return []attack{
		{"grant and revoke from another site", func(t *testing.T, s *siege) {
			v := s.user("huge@" + world.Domain)
			cb := v.answer(s.world.Issuer, v.begin("microsoft"), "huge@"+world.Domain)
			if v.get(cb.String()); !s.granted(v) {
				t.Fatal("no grant to begin with")
			}
			v.get("/settings/integrations/oauth/revoke") // only asks
			v.site = "cross-site"
			if v.post("/settings/integrations/oauth/revoke"); v.status != 403 || !s.granted(v) {
				t.Errorf("revoked by another site: %d", v.status)
			}
			if v.post("/settings/integrations/oauth", "account", "outlook:microsoft"); v.status != 403 || strings.Contains(v.page, "state=") {
				t.Errorf("begun by another site: %d", v.status)
			}
		}},
		{"open redirect", func(t *testing.T, s *siege) {
			v := s.signIn(s.admin.user)
			for _, to := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, `\\evil.example`, "/\t/evil.example", "/\n/evil.example", "javascript:alert(1)", "https:evil.example"} {
				for _, path := range []string{"/sign-in?next=", "/oauth/callback/microsoft?state=x&redirect_uri=", "/settings/integrations/oauth?next=", "/setup?next="} {
					v.get(path + url.QueryEscape(to))
				}
				for _, path := range []string{"/language", "/sign-in", "/settings/integrations/sync", "/mail/sync"} {
					v.post(path, "lang", "en", "next", to, "back", to, "email", s.admin.user.Email, "password", siegePassword)
				}
			}
			for _, text := range s.seen {
				if at, ok := strings.CutPrefix(text, "Location: "); ok && !strings.HasPrefix(at, s.app.URL()+"/") {
					t.Errorf("somebody was sent to %s", at)
				}
			}
		}},
		{"tokens and codes in logs, addresses and pages", everythingIsSearched},
	}
}

// everythingIsSearched grants, refreshes, fails in every way there is, revokes;
// then greps what was logged, shown, linked to and written to disk.
func everythingIsSearched(t *testing.T, s *siege) {
	sent := s.watchTokens()
	v := s.user("marieke@" + world.Domain)
	var codes, states []string
	grant := func() {
		cb := v.answer(s.world.Issuer, v.begin("microsoft"), "marieke@"+world.Domain)
		codes, states = append(codes, cb.Query().Get("code")), append(states, cb.Query().Get("state"))
		v.get(cb.String())
	}
	for _, reply := range []issuer.Reply{{Status: 503, Body: "<html>down"}, {Status: 200, Body: `{"access_token":"half`}, {Status: -1}} {
		s.world.Issuer.FailNext("token", 1, reply)
		grant()
	}
	s.world.Issuer.RefuseClient(issuer.Refusal{Error: "invalid_client", Status: 401, Code: 7000222, Text: "The provided client secret keys are expired."})
	grant()
	s.world.Issuer.StopFailing()
	grant()
	if !s.granted(v) {
		t.Fatalf("no grant: %s", v.page)
	}
	for _, path := range []string{"/settings/integrations", "/settings/integrations/oauth", "/settings/integrations/mapping", "/mail"} {
		v.get(path)
	}
	for _, path := range []string{"/admin/sync", "/admin/history", "/metrics", "/readyz"} {
		s.admin.get(path)
	}
	v.post("/settings/integrations/oauth/revoke")
	// The doctor looks, and keeps nothing that it was given.
	s.admin.post("/admin/doctor/look", "address", "marieke@"+world.Domain, "provider", "microsoft")
	cb := s.admin.answer(s.world.Issuer, s.admin.leaving(), s.world.ITAdmin)
	codes, states = append(codes, cb.Query().Get("code")), append(states, cb.Query().Get("state"))
	if s.admin.get(cb.String()); !strings.HasPrefix(s.admin.at.Path, "/admin/doctor/doc_") {
		t.Errorf("the doctor's look ends at %s", s.admin.at)
	}

	tokens := sent()
	if len(tokens) < 3 || len(codes) < 5 {
		t.Fatalf("%d tokens and %d codes to look for: this test looks at nothing", len(tokens), len(codes))
	}
	secrets := map[string][]string{"token": tokens, "code": codes, "client secret": {s.world.Issuer.ClientSecret, s.world.DoctorSecret}, "password": {siegePassword}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for kind, list := range secrets {
		for _, secret := range list {
			if strings.Contains(s.logged.String(), secret) {
				t.Errorf("the log holds a %s", kind)
			}
			for _, text := range s.seen {
				// The provider's own redirect is the one place where a code must stand.
				if strings.Contains(text, secret) && !strings.HasPrefix(text, "/oauth/callback/") && !strings.HasPrefix(text, "/doctor/callback/") {
					t.Errorf("a page or an address holds a %s:\n%.300s", kind, text)
				}
			}
			if kind != "password" {
				if file := s.onDisk(secret); file != "" {
					t.Errorf("%s holds a %s in clear", file, kind)
				}
			}
		}
	}
	for _, state := range states {
		if strings.Contains(s.logged.String(), state) || s.onDisk(state) != "" {
			t.Error("a state stands in the log or in clear on disk")
		}
	}
	if log := s.logged.String(); !strings.Contains(log, "grant failed") || !strings.Contains(log, "/oauth/callback/{provider}") {
		t.Error("the log says nothing of what happened, so that it proves nothing")
	}
}

// watchTokens gathers every token that the provider gives.
func (s *siege) watchTokens() (sent func() []string) {
	var mu sync.Mutex
	var list []string
	s.world.Issuer.SetAnswerHook(func(answer map[string]any) {
		mu.Lock()
		defer mu.Unlock()
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			if token, ok := answer[name].(string); ok {
				list = append(list, token)
			}
		}
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}
}

// onDisk names a file that holds a text in clear.
func (s *siege) onDisk(secret string) (name string) {
	err := filepath.WalkDir(s.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, []byte(secret)) {
			name = filepath.Base(path)
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
	return name
}
