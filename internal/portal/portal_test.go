package portal_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"mailroom/internal/envelope"
	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

var _ portal.Store = (*store.Store)(nil)

// world is a portal on a real store, with everything outside of it pretended.
type world struct {
	*portal.Portal
	t       *testing.T
	ctx     context.Context
	store   *store.Store
	consent *consent
	admin   mailroom.User
	anna    mailroom.User // a recruiter
	uid     uint32

	mu      sync.Mutex
	clock   time.Time
	raw     map[string][]byte // by organization and hash
	folders []mailroom.Folder
	listErr error
	listed  int
	onList  func(context.Context)
	created []string
	preview func(ctx context.Context, rawName string, since time.Time) (mailroom.FolderPreview, error)
	ask     func(mailroom.Mailbox, []mailroom.FindTerms) ([]mailroom.FolderFind, error)
	broken  error // what the database answers to a write
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, ctx: t.Context(), clock: time.Now().UTC().Truncate(time.Second).Add(time.Hour), raw: map[string][]byte{}}
	w.store = storetest.Open(t)
	w.consent = &consent{store: w.store}
	w.folders = []mailroom.Folder{
		{RawName: "Sent Items", Name: "Verzonden items", Path: []string{"Verzonden items"}, Role: mailroom.RoleSent, Selectable: true, Messages: 3},
		{RawName: "Clients/Z", Name: "Clients/Z", Path: []string{"Clients", "Z"}, Delimiter: "/", Selectable: true},
		{RawName: "Clients", Name: "Clients", Path: []string{"Clients"}, Delimiter: "/"},
		{RawName: "Calendar", Name: "Calendar", Path: []string{"Calendar"}, Role: mailroom.RoleNonMail, Selectable: true},
		{RawName: "INBOX", Name: "Inbox", Path: []string{"Inbox"}, Role: mailroom.RoleInbox, Selectable: true, Messages: 5000},
		{RawName: "archive", Name: "archive", Path: []string{"archive"}, Selectable: true},
	}
	w.Portal = portal.New(portal.Deps{
		Store: w.store, Consent: w.consent, AdminConsent: w.signer(), LiveFolders: w.list, CreateFolder: w.create, Preview: w.look, RawMail: w.rawMail, CheckHost: w.checkHost, Now: w.now,
		Ask: func(_ context.Context, m mailroom.Mailbox, anyOf []mailroom.FindTerms) ([]mailroom.FolderFind, error) {
			return w.ask(m, anyOf)
		},
		Writable: func(context.Context) error { return w.broken },
		Argon:    &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32},
		Providers: mailroom.Providers{
			{ID: "microsoft", Name: "Outlook", Kind: mailroom.Outlook, ClientID: "id", ClientSecret: "SECRET", ClientKey: "SECRET",
				AdminConsentURL: "https://login.example/{tenant}/adminconsent", Directory: &mailroom.Directory{ClientSecret: "SECRET"}},
			{ID: "google", Name: "Gmail", Kind: mailroom.Gmail},
			{ID: "company", Name: "Company", Kind: mailroom.Other, ClientID: "id"},
		}.Of,
	})
	w.admin = got(w.AddOrganization(w.ctx, portal.SetupForm{Organization: "Werk & Co", Name: "Ad Min", Email: "ad@werk.example", Password: "correct horse battery"}))
	w.anna = w.addUser("anna@werk.example", "Anna", mailroom.Recruiter)
	return w
}

func (w *world) addUser(email, name string, role mailroom.Role) mailroom.User {
	u, _, err := w.AddUser(w.ctx, w.admin, portal.UserForm{Email: email, Name: name, Role: role})
	must(w.t, err)
	return u
}

// otherAgency is the administrator of another organization.
func (w *world) otherAgency() mailroom.User {
	return got(w.AddOrganization(w.ctx, portal.SetupForm{Organization: "Elders", Name: "El", Email: "el@elders.example", Password: "correct horse battery"}))
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) list(ctx context.Context, m mailroom.Mailbox) ([]mailroom.Folder, error) {
	w.mu.Lock()
	w.listed++
	wait := w.onList
	w.mu.Unlock()
	if wait != nil {
		wait(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.folders, w.listErr
}

func (w *world) look(ctx context.Context, _ mailroom.Mailbox, rawName string, since time.Time) (mailroom.FolderPreview, error) {
	return w.preview(ctx, rawName, since)
}

func (w *world) create(_ context.Context, _ mailroom.Mailbox, name string) error {
	w.created = append(w.created, name)
	return nil
}

func (w *world) rawMail(_ context.Context, orgID, hash string) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	raw, ok := w.raw[orgID+hash]
	if !ok {
		return nil, mailroom.E(mailroom.Unavailable, "error.raw_gone")
	}
	return raw, nil
}

func (w *world) checkHost(_ context.Context, host string, allow bool) error {
	if strings.HasPrefix(host, "10.") && !allow {
		return mailroom.E(mailroom.Invalid, "host.error.private")
	}
	return nil
}

// connect takes a user to a granted mailbox with Inbox and Sent mapped.
func (w *world) connect(u mailroom.User) {
	w.t.Helper()
	if !got(w.Integrations(w.ctx, u)).Ready {
		w.grant(u)
	}
	page := got(w.RefreshFolders(w.ctx, u))
	if page.Problem != nil {
		w.t.Fatal(page.Problem)
	}
	must(w.t, w.SaveMappings(w.ctx, u, portal.MappingsForm{Version: page.Version, Rows: page.Suggested}))
}

func (w *world) grant(u mailroom.User) {
	w.t.Helper()
	must(w.t, w.SaveAddress(w.ctx, u, u.Email, false))
	got(w.BeginGrant(w.ctx, u, "b", portal.AccountForm{Account: mailroom.Outlook}))
	got(w.FinishGrant(w.ctx, u, "b", portal.Callback{ProviderID: "microsoft", State: "s", Code: "c"}))
}

func (w *world) mailbox(u mailroom.User) mailroom.MailboxRow {
	w.t.Helper()
	return got(w.store.MailboxOf(w.ctx, u.ID))
}

// mapping is the user's mapping of an IMAP folder.
func (w *world) mapping(u mailroom.User, raw string) portal.MappingRow {
	w.t.Helper()
	for _, r := range got(w.MappingPage(w.ctx, u)).Rows {
		if r.Mapping.RawName == raw {
			return r
		}
	}
	w.t.Fatalf("%s has not mapped %s", u.Name, raw)
	return portal.MappingRow{}
}

// mail is a plain mail.
func mail(from, subject, text string) string {
	return fmt.Sprintf("From: %s\r\nTo: anna@werk.example\r\nSubject: %s\r\nMessage-ID: <%x@mail.example>\r\nDate: Mon, 23 Nov 2026 08:00:00 +0000\r\n\r\n%s\r\n",
		from, subject, sha256.Sum256([]byte(from+subject)), text)
}

// deliver files mails into a mapped folder of a user, as the syncer would.
func (w *world) deliver(u mailroom.User, folder string, raws ...string) {
	w.t.Helper()
	m := w.mapping(u, folder)
	var c mailroom.Claim
	for _, cl := range got(w.store.ClaimMailboxes(w.ctx, "node", time.Hour, 100, time.Now())) {
		if cl.MailboxID == m.Mapping.MailboxID {
			c = cl
		} else {
			must(w.t, w.store.Release(w.ctx, cl, time.Time{}, nil, 0))
		}
	}
	b := mailroom.Batch{Mapping: m.Mapping, Owner: w.mailbox(u).Mailbox.Address, UserID: u.ID, Progress: m.Progress}
	for _, raw := range raws {
		w.uid++
		msg, err := envelope.Parse([]byte(raw))
		must(w.t, err)
		msg.ReceivedAt = w.now().Add(time.Duration(w.uid) * time.Second)
		w.raw[u.OrgID+msg.RawHash] = []byte(raw)
		b.Mails = append(b.Mails, mailroom.Mail{Message: msg, Placement: mailroom.Placement{UIDValidity: 1, UID: w.uid},
			Blob: mailroom.BlobRef{Hash: msg.RawHash, Pack: "p", Length: 1, Size: msg.Size, Codec: "raw"}})
	}
	got(w.store.Deliver(w.ctx, c, b))
	must(w.t, w.store.Release(w.ctx, c, time.Time{}, nil, 0))
}

// id is the message of a subject in a user's OTYS mailbox.
func (w *world) id(u mailroom.User, subject string) string {
	w.t.Helper()
	for _, r := range got(w.Mails(w.ctx, u, portal.MailQuery{FolderID: portal.AllFolders, Limit: 200})).Rows {
		if r.Subject == subject {
			return r.ID
		}
	}
	w.t.Fatalf("%s has no mail %q", u.Name, subject)
	return ""
}

// audited fails unless one of the newest events is action; the clock stands
// still, so several may be of the same moment.
func (w *world) audited(action string) {
	w.t.Helper()
	evs := got(w.Audit(w.ctx, w.admin, 50))
	for _, e := range evs {
		if e.At.Equal(evs[0].At) && e.Action == action {
			return
		}
	}
	w.t.Fatalf("newest audit events are %+v, want %s", evs, action)
}

// consent pretends a provider that says yes.
type consent struct {
	store   *store.Store
	revoked []string
	begun   mailroom.Provider
}

func (c *consent) Begin(_ context.Context, _ mailroom.User, m mailroom.Mailbox, p mailroom.Provider, _ string) (string, error) {
	c.begun = p
	return "https://provider.example/authorize?for=" + m.Address, nil
}

func (c *consent) BeginOther(ctx context.Context, u mailroom.User, m mailroom.Mailbox, p mailroom.Provider, binding string) (string, error) {
	return c.Begin(ctx, u, m, p, binding)
}

func (c *consent) Pending(context.Context, mailroom.User, string) (*mailroom.GrantChoice, error) {
	return nil, nil
}

func (c *consent) Choose(context.Context, mailroom.User, string, string) (mailroom.GrantOutcome, error) {
	return mailroom.GrantOutcome{}, nil
}

func (c *consent) LookAgain(context.Context, mailroom.User, string, string) (mailroom.GrantOutcome, error) {
	return mailroom.GrantOutcome{}, nil
}

func (c *consent) Decline(context.Context, mailroom.User, string, string) error { return nil }

func (c *consent) Finish(ctx context.Context, u mailroom.User, _, providerID, _, _, _ string) (mailroom.GrantOutcome, error) {
	row, err := c.store.MailboxOf(ctx, u.ID)
	if err != nil {
		return mailroom.GrantOutcome{}, err
	}
	g := mailroom.Grant{ID: mailroom.NewID(mailroom.PrefixGrant), OrgID: u.OrgID, MailboxID: row.Mailbox.ID, ProviderID: providerID, Account: row.Mailbox.Address,
		Scopes: []string{"IMAP"}, GrantedBy: u.ID, GrantedAt: time.Now(), Version: 1}
	n := mailroom.NewGrant{Grant: g, Event: mailroom.AuditEvent{OrgID: u.OrgID, ActorID: u.ID, Action: "grant.given"}}
	n.Secrets.Access = mailroom.Sealed{KeyID: "k", Data: []byte("sealed")}
	return mailroom.GrantOutcome{MailboxID: row.Mailbox.ID, Grant: g}, c.store.SaveGrant(ctx, n)
}

func (c *consent) Refused(_ context.Context, _, _, oauthError, _, _ string) error {
	return mailroom.E(mailroom.NeedsAdmin, "oauth.error."+oauthError)
}

func (c *consent) Revoke(ctx context.Context, u mailroom.User, m mailroom.Mailbox) (mailroom.RevokeOutcome, error) {
	c.revoked = append(c.revoked, m.Address)
	_, err := c.store.ShredGrant(ctx, m.ID, mailroom.AuditEvent{OrgID: u.OrgID, ActorID: u.ID, Action: "grant.revoked"})
	return mailroom.RevokeOutcome{ProviderRevoked: true}, err
}

func (c *consent) SealPassword(ctx context.Context, mailboxID, password string) error {
	sealed := mailroom.Sealed{KeyID: "k", Data: []byte("sealed " + password)}
	return c.store.SavePassword(ctx, mailboxID, sealed, sealed, mailroom.AuditEvent{Action: "password.saved"})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got is the value of a call that must not fail.
func got[T any](v T, err error) T {
	if err != nil {
		panic(err) // with the stack of the test
	}
	return v
}

// refused fails unless err is of the kind and key.
func refused(t testing.TB, err error, kind mailroom.Kind, key string) {
	t.Helper()
	if err == nil {
		t.Fatalf("not refused; want %s %s", kind, key)
	}
	if e := mailroom.AsError(err); e.Kind != kind || e.Key != key {
		t.Fatalf("refused with %v; want %s %s", err, kind, key)
	}
}

// complains fails unless the joined complaints are these, "field key" each.
func complains(t testing.TB, err error, want ...string) {
	t.Helper()
	var is []string
	var walk func(error)
	walk = func(err error) {
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				walk(e)
			}
			return
		}
		var e *mailroom.Error
		if errors.As(err, &e) {
			is = append(is, strings.TrimSpace(e.Field+" "+e.Key))
		} else if err != nil {
			is = append(is, err.Error())
		}
	}
	walk(err)
	if strings.Join(is, "; ") != strings.Join(want, "; ") {
		t.Fatalf("complaints: %v\nwant: %v", is, want)
	}
}

func body(t testing.TB, d portal.Download, err error) string {
	t.Helper()
	must(t, err)
	defer d.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(d.Body); err != nil {
		t.Fatal(err)
	}
	if d.Size >= 0 && d.Size != int64(b.Len()) {
		t.Fatalf("says %d octets, gives %d", d.Size, b.Len())
	}
	return b.String()
}
