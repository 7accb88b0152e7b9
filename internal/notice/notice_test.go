package notice_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
	"mailroom/internal/notice"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

const day = 24 * time.Hour

// house is an agency on a real store, a clock that is set, and a letter box and a
// webhook that remember.
type house struct {
	t     *testing.T
	store *store.Store
	db    *sql.DB
	w     storetest.World
	admin mailroom.User
	log   *bytes.Buffer

	mu       sync.Mutex
	now      time.Time
	letters  []notice.Letter
	events   []notice.Event
	mailErr  error
	provider mailroom.Provider
	keys     []notice.Key
}

var begin = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func newHouse(t *testing.T) *house {
	h := &house{t: t, now: begin, log: &bytes.Buffer{}, provider: mailroom.Provider{ID: "microsoft", Name: "Outlook", Company: "Microsoft", ClientID: "id", RefreshDays: 90}}
	h.store = storetest.OpenAt(t, filepath.Join(t.TempDir(), "mailroom.db"), h.clock)
	h.db = storetest.SQL(t, h.store)
	h.w = storetest.Seed(t, h.store)
	h.w.Exec(t, `UPDATE grants SET refreshed_at = $1, granted_at = $1, refresh_key = 'k'`, mailroom.Micros(begin))
	h.w.Exec(t, `UPDATE users SET language = 'nl'`)
	h.admin = h.addAdmin("anna@werk.example", "Anna", "en")
	return h
}

func (h *house) addAdmin(email, name, lang string) mailroom.User {
	u := mailroom.User{ID: mailroom.NewID("usr"), OrgID: h.w.OrgID, Email: email, Name: name, Role: mailroom.Administrator, Language: lang, CreatedAt: begin}
	if err := h.store.AddUser(h.t.Context(), u, mailroom.AuditEvent{ID: mailroom.NewID("aud"), OrgID: u.OrgID, At: begin, Action: "user.added", Subject: u.ID}); err != nil {
		h.t.Fatal(err)
	}
	return u
}

// recruiter adds a colleague with a fresh grant.
func (h *house) recruiter() mailroom.Mailbox {
	m := h.w.AddRecruiter(h.t).Mailbox
	h.w.Exec(h.t, `UPDATE grants SET refreshed_at = $1, granted_at = $1, refresh_key = 'k' WHERE mailbox_id = $2`, mailroom.Micros(begin), m.ID)
	return m
}

func (h *house) clock() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }

func (h *house) teller(change ...func(*notice.Deps)) *notice.Teller {
	h.t.Helper()
	texts, err := i18n.New()
	if err != nil {
		h.t.Fatal(err)
	}
	d := notice.Deps{
		Store: h.store, Texts: texts, Location: time.UTC, Now: h.clock, BaseURL: func() string { return "https://mail.example" },
		Providers: func(context.Context, string) (mailroom.Providers, error) { return mailroom.Providers{h.provider}, nil },
		Keys:      func() []notice.Key { return h.keys },
		Log:       slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
		MailVia:   "post.example", PostVia: "hooks.example",
		Mail: func(_ context.Context, l notice.Letter) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.mailErr == nil {
				h.letters = append(h.letters, l)
			}
			return h.mailErr
		},
	}
	for _, f := range change {
		f(&d)
	}
	return notice.New(d)
}

// after lets time pass and has a teller look once; it returns what was sent.
func (h *house) after(d time.Duration, te *notice.Teller) []notice.Letter {
	h.t.Helper()
	h.mu.Lock()
	h.now = h.now.Add(d)
	h.letters = nil
	h.mu.Unlock()
	if err := te.Once(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.letters
}

func to(ls []notice.Letter) string {
	var out []string
	for _, l := range ls {
		out = append(out, l.To)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (h *house) expect(what string, got []notice.Letter, want ...string) {
	h.t.Helper()
	slices.Sort(want)
	if to(got) != strings.Join(want, " ") {
		h.t.Fatalf("%s: mail to %q, want %q\n%+v", what, to(got), want, got)
	}
}

func (h *house) breaks(m mailroom.Mailbox, kind mailroom.Kind, key string, since time.Time) {
	h.w.Exec(h.t, `UPDATE mailboxes SET problem = $1 WHERE id = $2`,
		fmt.Sprintf(`{"kind":%q,"key":%q,"args":{"provider":"Outlook","code":"AADSTS50173","ref":"r-1"},"since":%q}`, kind, key, since.Format(time.RFC3339)), m.ID)
}

func (h *house) mends(m mailroom.Mailbox) {
	h.w.Exec(h.t, `UPDATE mailboxes SET problem = '' WHERE id = $1`, m.ID)
}

func TestMailboxIsAnnouncedOnce(t *testing.T) {
	h := newHouse(t)
	te := h.teller()
	h.expect("all is well", h.after(0, te))
	h.breaks(h.w.Mailbox, mailroom.NeedsConsent, "oauth.error.grant_revoked", h.now)
	h.expect("what may pass is not told", h.after(10*time.Minute, te))
	ls := h.after(6*time.Minute, te)
	h.expect("its owner", ls, h.w.Mailbox.Address)
	if l := ls[0]; l.Subject != "Je mailbox "+h.w.Mailbox.Address+" heeft je nodig" || !strings.Contains(l.Text, "AADSTS50173, r-1") ||
		!strings.Contains(l.Text, "Grant Permission") || !strings.Contains(l.Text, "https://mail.example/settings/integrations") || strings.ContainsAny(l.Text, "{}") {
		t.Errorf("the owner reads %+v", l)
	}
	h.expect("not again", h.after(time.Hour, te))
	h.expect("not by another process", h.after(time.Minute, h.teller()))
	// The reason changes; it is still the same trouble.
	h.breaks(h.w.Mailbox, mailroom.NeedsConsent, "imap.error.auth", h.now)
	h.expect("another reason", h.after(time.Hour, te))
	ls = h.after(22*time.Hour, te)
	h.expect("the administrator after a day", ls, "anna@werk.example")
	if l := ls[0]; !strings.Contains(l.Subject, "is stuck and needs somebody") || !strings.Contains(l.Text, "Full") && !strings.Contains(l.Text, "ImapEnabled") || !strings.Contains(l.Text, "/admin/sync") {
		t.Errorf("the administrator reads %+v", l)
	}
	h.mends(h.w.Mailbox)
	ls = h.after(2*time.Hour, te)
	h.expect("both hear that it is over", ls, h.w.Mailbox.Address, "anna@werk.example")
	h.expect("once", h.after(2*time.Hour, te))
	h.breaks(h.w.Mailbox, mailroom.NeedsConsent, "oauth.error.grant_ended", h.now)
	h.expect("the next time is told again", h.after(20*time.Minute, te), h.w.Mailbox.Address)
	if strings.Contains(h.log.String(), "@") {
		t.Errorf("an address in the log: %s", h.log)
	}
}

func TestWhoCanMendItHearsFirst(t *testing.T) {
	h := newHouse(t)
	te := h.teller()
	h.breaks(h.w.Mailbox, mailroom.NeedsVendor, "oauth.error.secret_expired", h.now)
	h.expect("the operator's matter", h.after(16*time.Minute, te), "anna@werk.example")
	h.expect("its owner if it lasts", h.after(24*time.Hour, te), h.w.Mailbox.Address)
	h.mends(h.w.Mailbox)
	h.after(2*time.Hour, te)
	h.after(2*time.Hour, te) // an administrator's next mail comes an hour later at the soonest
	h.breaks(h.w.Mailbox, mailroom.NeedsAdmin, "oauth.error.consent_missing", h.now)
	h.expect("the company's matter", h.after(16*time.Minute, te), "anna@werk.example", h.w.Mailbox.Address)
}

// A fault of the provider hits many: nobody is told. Of what goes wrong in many
// mailboxes one by one an administrator hears in one mail an hour.
func TestNoStorm(t *testing.T) {
	h := newHouse(t)
	te := h.teller()
	var boxes []mailroom.Mailbox
	for range 12 {
		boxes = append(boxes, h.recruiter())
	}
	for _, m := range boxes {
		h.breaks(m, mailroom.Unavailable, mailroom.KeyProviderFault, h.now)
	}
	h.expect("provider fault", h.after(3*time.Hour, te))
	for i, m := range boxes {
		h.breaks(m, mailroom.NeedsAdmin, "oauth.error.consent_missing", h.now.Add(-20*time.Minute))
		ls := h.after(time.Minute, te)
		told := slices.ContainsFunc(ls, func(l notice.Letter) bool { return l.To == "anna@werk.example" })
		if told != (i == 0) {
			t.Fatalf("mailbox %d: the administrator is told: %v", i, told)
		}
	}
	ls := h.after(time.Hour, te)
	h.expect("the rest in one mail", ls, "anna@werk.example")
	if l := ls[0]; !strings.HasPrefix(l.Subject, "11 matters") || strings.Count(l.Text, "needs somebody") != 11 {
		t.Errorf("%s\n%s", l.Subject, l.Text)
	}
}

func TestSendingIsTriedAgain(t *testing.T) {
	h := newHouse(t)
	te := h.teller()
	h.breaks(h.w.Mailbox, mailroom.NeedsConsent, "oauth.error.grant_ended", h.now)
	h.mailErr = mailroom.E(mailroom.Unavailable, "courier.error.smtp_network").With("host", "post.example")
	h.expect("no mail server", h.after(20*time.Minute, te))
	told, err := te.Told(t.Context(), h.w.OrgID, 5)
	if err != nil || len(told) != 1 || !told[0].SentAt.IsZero() || told[0].Data.Refused == nil {
		t.Fatalf("the page shows %+v, %v", told, err)
	}
	h.mailErr = nil
	h.expect("too early", h.after(30*time.Second, te))
	h.expect("again", h.after(time.Minute, te), h.w.Mailbox.Address)
	h.expect("once", h.after(time.Hour, te))
	// What is over before it could be sent is told to nobody.
	h.mends(h.w.Mailbox)
	h.after(2*time.Hour, te)
	h.breaks(h.w.Mailbox, mailroom.NeedsConsent, "oauth.error.grant_ended", h.now)
	h.mailErr = mailroom.E(mailroom.Unavailable, "courier.error.smtp_network").With("host", "post.example")
	h.after(20*time.Minute, te)
	h.mends(h.w.Mailbox)
	h.mailErr = nil
	h.expect("over already", h.after(time.Hour, te))
	h.expect("also later", h.after(time.Hour, te))
}

func TestExpiryIsToldAhead(t *testing.T) {
	h := newHouse(t)
	h.provider.RefreshDays = 0
	h.provider.ClientSecret, h.provider.SecretExpires = "s", begin.Add(40*day)
	te := h.teller()
	for _, step := range []struct {
		after time.Duration
		told  string
	}{
		{0, ""}, {9 * day, ""}, {day, "ends on"}, {day, ""}, {21 * day, ""}, {day, "ends on"}, {5 * day, ""}, {day, "ends on"}, {12 * time.Hour, ""},
		{12 * time.Hour, "has ended"}, {day, ""}, {30 * day, ""},
	} {
		ls := h.after(step.after, te)
		if step.told == "" {
			h.expect(h.now.String(), ls)
			continue
		}
		h.expect(h.now.String(), ls, "anna@werk.example")
		if l := ls[0]; !strings.Contains(l.Subject, "client secret for Outlook "+step.told) || !strings.Contains(l.Text, "https://mail.example/admin/expiry") {
			t.Errorf("%s: %s\n%s", h.now, l.Subject, l.Text)
		}
	}
	// A new secret is a new fact.
	h.provider.SecretExpires = h.now.Add(7 * day)
	h.expect("the next secret", h.after(time.Hour, te), "anna@werk.example")
}

// After downtime the nearest stage is told, not each that was missed; and what
// was planned and renewed meanwhile is not told at all.
func TestDowntimeIsCaughtUp(t *testing.T) {
	h := newHouse(t)
	h.provider.RefreshDays = 0
	h.provider.ClientSecret, h.provider.SecretExpires = "s", begin.Add(5*day)
	te := h.teller()
	h.mailErr = mailroom.E(mailroom.Unavailable, "courier.error.smtp_network")
	h.after(0, te)
	h.mailErr = nil
	ls := h.after(4*day+time.Hour, te)
	h.expect("one mail", ls, "anna@werk.example")
	if strings.Count(ls[0].Text, "client secret for Outlook") != 1 {
		t.Errorf("told more than once: %s", ls[0].Text)
	}
	h.provider.SecretExpires = h.now.Add(20 * day)
	h.mailErr = mailroom.E(mailroom.Unavailable, "courier.error.smtp_network")
	h.after(2*time.Hour, te)
	h.provider.SecretExpires = h.now.Add(400 * day)
	h.mailErr = nil
	h.expect("renewed before it could be told", h.after(2*time.Hour, te))
	// Set up late: what stands is told then.
	late := newHouse(t)
	late.provider.ClientSecret, late.provider.SecretExpires = "s", begin.Add(3*day)
	none := late.teller(func(d *notice.Deps) { d.Mail = nil })
	late.expect("nobody can be told", late.after(0, none))
	late.expect("now", late.after(time.Hour, late.teller()), "anna@werk.example")
}

func TestAgingGrantsKeysAndTestingMode(t *testing.T) {
	h := newHouse(t)
	te := h.teller()
	h.keys = []notice.Key{{ID: "key_20200101_a", Made: begin.Add(-2000 * day)}, {ID: "key_20251201_b", Made: begin.Add(-358 * day), Seals: true}}
	list, err := te.Foresee(t.Context(), h.w.OrgID)
	if err != nil || len(list) != 1 || list[0].Kind != mailroom.ExpiryKey || list[0].Subject != "key_20251201_b" {
		t.Fatalf("a fresh grant is no news: %+v %v", list, err)
	}
	h.expect("the key's age", h.after(0, te), "anna@werk.example")
	ls := h.after(60*day, te)
	h.expect("nothing used the grant for 60 days", ls, "anna@werk.example")
	if !strings.Contains(ls[0].Text, h.w.Mailbox.Address) {
		t.Errorf("which mailbox? %s", ls[0].Text)
	}
	h.expect("its owner the day before", h.after(29*day, te), "anna@werk.example", h.w.Mailbox.Address)

	g := newHouse(t)
	g.provider = mailroom.Provider{ID: "microsoft", Name: "Gmail", Company: "Google", ClientID: "id", ClientSecret: "s", RefreshDays: 180, Testing: true}
	other := g.recruiter()
	te = g.teller()
	ls = g.after(time.Hour, te)
	g.expect("administrators hear of testing mode", ls, "anna@werk.example")
	if strings.Contains(ls[0].Text, g.w.Mailbox.Address) || strings.Count(ls[0].Text, "testing mode") > 2 {
		t.Errorf("once for all mailboxes: %s", ls[0].Text)
	}
	g.expect("days before", g.after(4*day, te))
	got := g.after(2*day, te)
	if !strings.Contains(to(got), g.w.Mailbox.Address) || !strings.Contains(to(got), other.Address) {
		t.Errorf("the owners, the day before: %s", to(got))
	}
}

func TestReplacedCredentialBreaksNothing(t *testing.T) {
	h := newHouse(t)
	h.provider.RefreshDays = 0
	add := func(id string, ends time.Time, proved int) {
		h.w.Exec(t, `INSERT INTO credentials(id, org_id, provider_id, use, kind, client_id, expires_at, created_by, created_at, proved_at, sealed_key, sealed_data)
			VALUES ($1,$2,'microsoft','mail','certificate','id',$3,'u',1,$4,'k',$5)`, id, h.w.OrgID, mailroom.Micros(ends), proved, []byte("sealed"))
	}
	add("crd_old", begin.Add(6*day), 1)
	add("crd_new", begin.Add(300*day), 0)
	te := h.teller()
	list, err := te.Foresee(t.Context(), h.w.OrgID)
	if err != nil || len(list) != 2 || list[0].Subject != "crd_old" || list[0].Replaced || list[0].Kind != mailroom.ExpiryCertificate {
		t.Fatalf("one that is not proved replaces nothing: %+v %v", list, err)
	}
	h.w.Exec(t, `UPDATE credentials SET proved_at = 5 WHERE id = 'crd_new'`)
	if list, _ = te.Foresee(t.Context(), h.w.OrgID); len(list) != 2 || list[1].Subject != "crd_old" || !list[1].Replaced {
		t.Fatalf("one that is proved does: %+v", list)
	}
	h.expect("nothing to tell", h.after(0, te))
}

// Three processes look at the same time, many times: each fact is sent once.
func TestExactlyOnceOverNodes(t *testing.T) {
	h := newHouse(t)
	h.provider.ClientSecret, h.provider.SecretExpires = "s", begin.Add(3*day)
	for range 5 {
		h.breaks(h.recruiter(), mailroom.NeedsConsent, "oauth.error.grant_ended", begin)
	}
	posted := map[string]int{}
	h.now = begin.Add(30 * time.Minute)
	var wg sync.WaitGroup
	for range 3 {
		te := h.teller(func(d *notice.Deps) {
			d.Post = func(_ context.Context, id string, e notice.Event) error {
				h.mu.Lock()
				defer h.mu.Unlock()
				posted[id]++
				h.events = append(h.events, e)
				return nil
			}
		})
		wg.Go(func() {
			for range 3 {
				if err := te.Once(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(h.letters) != 6 || len(h.events) != 6 || len(posted) != 6 {
		t.Errorf("%d letters and %d events with %d ids, want 6 of each: %s", len(h.letters), len(h.events), len(posted), to(h.letters))
	}
}

func TestWhoHasGoneIsNotTold(t *testing.T) {
	h := newHouse(t)
	second := h.addAdmin("bram@werk.example", "Bram", "")
	te := h.teller()
	h.breaks(h.w.Mailbox, mailroom.NeedsAdmin, "imap.error.not_connected", h.now)
	h.mailErr = mailroom.E(mailroom.Unavailable, "courier.error.smtp_network")
	h.after(20*time.Minute, te)
	h.mailErr = nil
	h.w.Exec(t, `UPDATE users SET disabled_at = 1 WHERE id = $1`, second.ID)
	h.expect("without Bram", h.after(time.Hour, te), "anna@werk.example", h.w.Mailbox.Address)
	told, err := te.Told(t.Context(), h.w.OrgID, 9)
	if err != nil || slices.ContainsFunc(told, func(n mailroom.Notice) bool { return n.Audience.UserID() == second.ID }) {
		t.Errorf("kept for somebody who is shut out: %+v %v", told, err)
	}
}

func TestTry(t *testing.T) {
	h := newHouse(t)
	te := h.teller(func(d *notice.Deps) {
		d.Post = func(context.Context, string, notice.Event) error {
			return mailroom.E(mailroom.NeedsVendor, "courier.error.webhook_gone").With("host", "hooks.example").With("code", "410")
		}
	})
	cs := te.Try(t.Context(), h.admin)
	if len(cs) != 2 || cs[0].Result != mailroom.CheckOK || cs[1].Result != mailroom.CheckFailed || cs[1].Problem.Key != "courier.error.webhook_gone" {
		t.Errorf("%+v", cs)
	}
	if len(h.letters) != 1 || h.letters[0].Subject != "A test from Mailroom" {
		t.Errorf("%+v", h.letters)
	}
	if cs := h.teller(func(d *notice.Deps) { d.Mail = nil }).Try(t.Context(), h.admin); len(cs) != 0 {
		t.Errorf("nothing is set up: %+v", cs)
	}
	// Whoever has chosen no language gets each.
	both := h.addAdmin("kim@werk.example", "Kim", "")
	te.Try(t.Context(), both)
	if l := h.letters[len(h.letters)-1]; !strings.Contains(l.Text, "Hello Kim") || !strings.Contains(l.Text, "Beste Kim") {
		t.Errorf("%s", l.Text)
	}
}
