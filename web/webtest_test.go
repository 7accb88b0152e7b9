package web

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"

	rooms "mailroom/internal/access"
	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

// site is Mailroom's pages on a real temporary store, with an organization in
// it. The doors to providers and mail servers are played.
type site struct {
	*httptest.Server
	t       testing.TB
	store   *store.Store
	portal  *portal.Portal
	consent *playedConsent
	signer  *rooms.Access // signs links for administrators
	doctor  *playedDoctor
	server  *mailServer
	ahead   *playedForesight
	log     *logBook
	admin   mailroom.User // Anna
	clock   func() time.Time
	raw     sync.Map // raw hash → raw mail
}

const password = "correct horse battery"

// Everybody's password is password.
func openSite(t testing.TB, change ...func(*Deps)) *site {
	t.Helper()
	s := emptySite(t, change...)
	token, err := s.portal.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.admin, err = s.portal.Setup(t.Context(), token, portal.SetupForm{
		Organization: "Werk & Co", Name: "Anna de Boer", Email: "anna@werk.example", Password: password,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// emptySite is a new installation: nobody is in it yet.
func emptySite(t testing.TB, change ...func(*Deps)) *site {
	t.Helper()
	s := &site{t: t, store: storetest.Open(t), server: &mailServer{}, ahead: &playedForesight{}, log: &logBook{}, clock: time.Now}
	s.doctor = &playedDoctor{}
	s.consent = &playedConsent{store: s.store, providers: playedProviders}
	s.portal = portal.New(portal.Deps{
		Store: s.store, Foresight: s.ahead, Consent: s.consent, AdminConsent: s.signing(), Providers: s.signer.Providers, Registrar: s.signer,
		BaseURL:     func() string { return s.URL },
		Argon:       &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16}, // quick, not safe
		LiveFolders: s.server.list, CreateFolder: s.server.create, Preview: s.server.preview,
		RawMail: s.rawMail, Ask: s.server.ask, Probe: s.server.probe, Doctor: s.doctor, Looking: s.doctor,
	})
	texts, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewUnstartedServer(nil)
	public, err := url.Parse("http://" + s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d := Deps{
		Portal: s.portal, Sessions: s.store, Texts: texts, PublicURL: public, Location: time.UTC,
		Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: func() time.Time { return s.clock() },
	}
	for _, f := range change {
		f(&d)
	}
	web, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = web.Handler()
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// logBook is the log as text, readable while requests are still ending.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// says waits until the log holds a text: a request is logged after its answer.
func (l *logBook) says(text string) bool {
	deadline := time.After(5 * time.Second)
	for !strings.Contains(l.String(), text) {
		select {
		case <-deadline:
			return false
		case <-time.After(time.Millisecond):
		}
	}
	return true
}

// addUser adds a user to Anna's organization.
func (s *site) addUser(name, email string, role mailroom.Role) mailroom.User {
	s.t.Helper()
	u, _, err := s.portal.AddUser(s.t.Context(), s.admin, portal.UserForm{Name: name, Email: email, Role: role})
	if err == nil {
		err = s.portal.SetPassword(s.t.Context(), s.admin, u.ID, password)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// otherOrganization founds one more and returns its administrator.
func (s *site) otherOrganization() mailroom.User {
	s.t.Helper()
	u, err := s.portal.AddOrganization(s.t.Context(), portal.SetupForm{
		Organization: "Elders", Name: "Otto Elders", Email: "otto@elders.example", Password: password,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// connected gives a user a mailbox with permission, its folders listed and
// Inbox and Sent mapped.
func (s *site) connected(u mailroom.User) mailroom.Mailbox {
	s.t.Helper()
	ctx := s.t.Context()
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	u, err := s.store.UserByID(ctx, u.ID)
	must(err)
	must(s.portal.SaveAddress(ctx, u, u.Email, false))
	_, err = s.portal.BeginGrant(ctx, u, "binding", portal.AccountForm{Account: mailroom.Outlook})
	must(err)
	_, err = s.portal.FinishGrant(ctx, u, "binding", portal.Callback{ProviderID: "microsoft", State: "state", Code: "good"})
	must(err)
	page, err := s.portal.RefreshFolders(ctx, u)
	must(err)
	must(s.portal.SaveMappings(ctx, u, portal.MappingsForm{Version: page.Version, Rows: page.Suggested}))
	row, err := s.store.MailboxOf(ctx, u.ID)
	must(err)
	return row.Mailbox
}

// playedProviders are what the installation offers.
var playedProviders = mailroom.Providers{
	{ID: "microsoft", Name: "Outlook", Company: "Microsoft", Kind: mailroom.Outlook, ClientID: "id", AuthURL: "https://login.example/authorize", AdminConsentURL: "https://login.example/{tenant}/v2.0/adminconsent",
		Scopes: []string{"https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access", "openid", "email"}, RevokePage: "https://account.example/apps",
		Consoles:  map[string]string{"entra": "https://entra.example"},
		Directory: &mailroom.Directory{URL: "https://graph.example/v1.0", ClientID: "doctor", Scopes: []string{"Directory.Read.All", "openid"}, SelfScopes: []string{"User.Read"}}},
	{ID: "campus", Name: "Campus mail", Kind: mailroom.Other, ClientID: "id", AuthURL: "https://campus.example/authorize"},
	{ID: "icloud", Name: "iCloud", Kind: mailroom.Other, Password: true, IMAP: mailroom.Endpoint{Host: "imap.icloud.example", Port: 993, TLS: mailroom.ImplicitTLS}},
}

// playedConsent grants at once: the code "good" is a grant, all others fail.
type playedConsent struct {
	store     *store.Store
	providers mailroom.Providers
	refusal   error                  // what Refused and bad codes end in
	outcome   mailroom.RevokeOutcome // of Revoke
	choice    *mailroom.GrantChoice  // what waits, which the code "other" brings
	mailboxes sync.Map               // binding → mailroom.Mailbox
}

func (c *playedConsent) Begin(_ context.Context, _ mailroom.User, m mailroom.Mailbox, p mailroom.Provider, binding string) (string, error) {
	c.mailboxes.Store(binding, m)
	return p.AuthURL + "?state=state&login_hint=" + url.QueryEscape(m.Address), nil
}

func (c *playedConsent) BeginOther(ctx context.Context, u mailroom.User, m mailroom.Mailbox, p mailroom.Provider, binding string) (string, error) {
	to, err := c.Begin(ctx, u, m, p, binding)
	return to + "&prompt=select_account", err
}

func (c *playedConsent) Pending(context.Context, mailroom.User, string) (*mailroom.GrantChoice, error) {
	return c.choice, nil
}

func (c *playedConsent) Choose(ctx context.Context, u mailroom.User, binding, id string) (mailroom.GrantOutcome, error) {
	if c.choice == nil || c.choice.ID != id || !c.choice.Shared {
		return mailroom.GrantOutcome{}, mailroom.E(mailroom.Conflict, "grant.error.choice_gone")
	}
	c.choice = nil
	return c.Finish(ctx, u, binding, "microsoft", "state", "good", "")
}

func (c *playedConsent) LookAgain(_ context.Context, _ mailroom.User, _, id string) (mailroom.GrantOutcome, error) {
	if c.choice == nil || c.choice.ID != id {
		return mailroom.GrantOutcome{}, mailroom.E(mailroom.Conflict, "grant.error.choice_gone")
	}
	return mailroom.GrantOutcome{Choice: c.choice}, c.refusal
}

func (c *playedConsent) Decline(_ context.Context, _ mailroom.User, _, id string) error {
	c.choice = nil
	return nil
}

func (c *playedConsent) Finish(ctx context.Context, u mailroom.User, binding, providerID, _, code, _ string) (mailroom.GrantOutcome, error) {
	m, ok := c.mailboxes.Load(binding)
	if ok && code == "other" && c.choice != nil {
		return mailroom.GrantOutcome{Choice: c.choice}, nil
	}
	if !ok || code != "good" {
		return mailroom.GrantOutcome{}, c.refused()
	}
	box := m.(mailroom.Mailbox)
	g := mailroom.Grant{
		ID: mailroom.NewID(mailroom.PrefixGrant), OrgID: u.OrgID, MailboxID: box.ID, ProviderID: providerID, Subject: "sub",
		Account: box.Address, Scopes: []string{"https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access", "openid"}, GrantedBy: u.ID,
		GrantedAt: time.Now(), RefreshedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	}
	err := c.store.SaveGrant(ctx, mailroom.NewGrant{
		Grant: g, Secrets: mailroom.GrantSecrets{Access: mailroom.Sealed{KeyID: "k", Data: []byte("sealed")}},
		Event: mailroom.AuditEvent{ID: mailroom.NewID(mailroom.PrefixAudit), OrgID: u.OrgID, At: time.Now(), ActorID: u.ID, Action: "grant.given", Subject: box.ID},
	})
	return mailroom.GrantOutcome{MailboxID: box.ID, Grant: g}, err
}

func (c *playedConsent) refused() error {
	if c.refusal != nil {
		return c.refusal
	}
	return mailroom.E(mailroom.NeedsConsent, "grant.error.refused")
}

func (c *playedConsent) Refused(context.Context, string, string, string, string, string) error {
	return c.refused()
}

func (c *playedConsent) Revoke(ctx context.Context, u mailroom.User, m mailroom.Mailbox) (mailroom.RevokeOutcome, error) {
	_, err := c.store.ShredGrant(ctx, m.ID, mailroom.AuditEvent{
		ID: mailroom.NewID(mailroom.PrefixAudit), OrgID: u.OrgID, At: time.Now(), ActorID: u.ID, Action: "grant.revoked", Subject: m.ID,
	})
	return c.outcome, err
}

func (c *playedConsent) SealPassword(ctx context.Context, mailboxID, _ string) error {
	return errors.New("not played")
}

// mailServer is the played IMAP server's list of folders.
type mailServer struct {
	mu      sync.Mutex
	folders []mailroom.Folder
	problem error
	asked   int
	seen    mailroom.FolderPreview // what every folder would bring
	hold    chan struct{}          // answers wait for it, nil for no wait
	finds   []mailroom.FolderFind
	steps   chan struct{} // a probe's steps wait for it, nil for no wait
}

// probe goes a step for every token of steps, which the test closes when it will.
func (m *mailServer) probe(ctx context.Context, box mailroom.Mailbox, tell func([]mailroom.Check)) []mailroom.Check {
	s := mailroom.NewSteps(time.Now, tell, "probe.token", "probe.open")
	if m.steps != nil {
		<-m.steps
	}
	_ = s.Do("probe.token", func() (map[string]any, error) { return nil, nil })
	if m.steps != nil {
		<-m.steps
	}
	m.mu.Lock()
	err := m.problem
	m.mu.Unlock()
	_ = s.Do("probe.open", func() (map[string]any, error) { return map[string]any{"address": box.Address}, err })
	return s.Checks()
}

// ask answers every question with finds.
func (m *mailServer) ask(context.Context, mailroom.Mailbox, []mailroom.FindTerms) ([]mailroom.FolderFind, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.finds, m.problem
}

func folder(name string, role mailroom.FolderRole, messages int64) mailroom.Folder {
	return mailroom.Folder{
		RawName: name, Name: name, Path: strings.Split(name, "/"), Delimiter: "/", Role: role,
		Selectable: true, Messages: messages, Unseen: -1, Size: -1,
	}
}

var usualFolders = []mailroom.Folder{
	folder("INBOX", mailroom.RoleInbox, 4812), folder("Verzonden items", mailroom.RoleSent, 320), folder("Concepten", mailroom.RoleDrafts, 3),
	folder("Kandidaten", mailroom.RoleNone, 88), folder("Kandidaten/Zorg & Welzijn", mailroom.RoleNone, 41), folder("Kandidaten/Techniek", mailroom.RoleNone, 47),
	folder("Archief", mailroom.RoleArchive, 12044), folder("Agenda", mailroom.RoleNonMail, 12),
}

func (m *mailServer) list(ctx context.Context, box mailroom.Mailbox) ([]mailroom.Folder, error) {
	m.mu.Lock()
	hold := m.hold
	m.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.problem != nil {
		return nil, m.problem
	}
	list := m.folders
	if list == nil {
		list = usualFolders
	}
	out := make([]mailroom.Folder, len(list))
	for i, f := range list {
		f.MailboxID = box.ID
		out[i] = f
	}
	return out, nil
}

func (m *mailServer) preview(context.Context, mailroom.Mailbox, string, time.Time) (mailroom.FolderPreview, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen, m.problem
}

func (m *mailServer) create(_ context.Context, _ mailroom.Mailbox, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.problem != nil {
		return m.problem
	}
	if m.folders == nil {
		m.folders = usualFolders
	}
	m.folders = append(m.folders[:len(m.folders):len(m.folders)], folder(name, mailroom.RoleNone, 0))
	return nil
}

func (m *mailServer) setHold(hold chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hold = hold
}

// browser keeps cookies and does not follow redirects by itself.
type browser struct {
	s      *site
	client *http.Client
	header http.Header
}

func (s *site) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{s: s, header: http.Header{}, client: &http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// as is a browser in which a user is signed in.
func (s *site) as(u mailroom.User) *browser {
	s.t.Helper()
	b := s.browser()
	b.post("/sign-in", "email", u.Email, "password", password).wants(303)
	return b
}

// cookie is the session's token.
func (b *browser) cookie() string {
	at, err := url.Parse(b.s.URL)
	if err != nil {
		b.s.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(at) {
		return c.Value
	}
	return ""
}

func (b *browser) get(path string) *answer { return b.do("GET", path, nil) }

// post sends a form: name, value, name, value…
func (b *browser) post(path string, fields ...string) *answer {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return b.do("POST", path, form)
}

func (b *browser) do(method, path string, form url.Values) *answer {
	b.s.t.Helper()
	if form == nil {
		return b.send(method, path, "", nil)
	}
	return b.send(method, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

// send is any request; kind is the media type of its body.
func (b *browser) send(method, path, kind string, body io.Reader) *answer {
	b.s.t.Helper()
	r, err := http.NewRequestWithContext(b.s.t.Context(), method, b.s.URL+path, body)
	if err != nil {
		b.s.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, values := range b.header {
		r.Header[name] = values
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	res, err := b.client.Do(r)
	if err != nil {
		b.s.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		b.s.t.Fatal(err)
	}
	return &answer{t: b.s.t, b: b, what: method + " " + path, status: res.StatusCode, header: res.Header, raw: string(raw)}
}

// answer is a response as a user would see it.
type answer struct {
	t      testing.TB
	b      *browser
	what   string
	status int
	header http.Header
	raw    string
	root   *html.Node
}

// wants fails the test unless the status is as wanted.
func (a *answer) wants(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d\n%s\n%s", a.what, a.status, status, a.text("body"), a.b.s.log)
	}
	return a
}

// leadsTo checks where a redirect goes, and follows it.
func (a *answer) leadsTo(path string) *answer {
	a.t.Helper()
	a.wants(303)
	if got := a.header.Get("Location"); got != path {
		a.t.Fatalf("%s: leads to %q, want %q", a.what, got, path)
	}
	path, _, _ = strings.Cut(path, "#")
	return a.b.get(path)
}

func (a *answer) find(selector string) []*html.Node {
	a.t.Helper()
	if a.root == nil {
		root, err := html.ParseWithOptions(strings.NewReader(a.raw), html.ParseOptionEnableScripting(false))
		if err != nil {
			a.t.Fatal(err)
		}
		a.root = root
	}
	return cascadia.QueryAll(a.root, cascadia.MustCompile(selector))
}

func (a *answer) has(selector string) bool { a.t.Helper(); return len(a.find(selector)) > 0 }

// text is the text of all that a selector finds, single-spaced.
func (a *answer) text(selector string) string {
	a.t.Helper()
	var b strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.TextNode {
			b.WriteString(n.Data + " ")
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	for _, n := range a.find(selector) {
		walk(n)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// attr is an attribute of the first that a selector finds.
func (a *answer) attr(selector, name string) string {
	a.t.Helper()
	for _, n := range a.find(selector) {
		for _, at := range n.Attr {
			if at.Key == name {
				return at.Val
			}
		}
	}
	return ""
}

// shows fails unless what a selector finds contains the text.
func (a *answer) shows(selector, text string) *answer {
	a.t.Helper()
	if got := a.text(selector); !strings.Contains(got, text) {
		a.t.Errorf("%s: %s says %q, want %q in it", a.what, selector, got, text)
	}
	return a
}

// lacks fails when a selector finds anything.
func (a *answer) lacks(selector string) *answer {
	a.t.Helper()
	if a.has(selector) {
		a.t.Errorf("%s: there is %s: %q", a.what, selector, a.text(selector))
	}
	return a
}

// sqlOf looks past the store.
func sqlOf(t testing.TB, s *site) *sql.DB { return storetest.SQL(t, s.store) }

// fail makes the played mail server refuse from now on; nil mends it.
func (m *mailServer) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.problem = err
}
