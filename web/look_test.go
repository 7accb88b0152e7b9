package web

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/portal"
)

// scene is a page in a state worth looking at.
type scene struct {
	name, path string
	who        mailroom.User // zero for a stranger
	prepare    func()
	ask        string // what is pasted into the box of the page, "" for nothing
}

// looks are how a scene is looked at.
var looks = []struct {
	name          string
	width, height int64
	dark          bool
}{
	{"light", 1280, 860, false}, {"dark", 1280, 860, true}, {"phone", 390, 844, false}, {"phone-dark", 390, 844, true},
}

// TestPagesLookRight opens every page in a browser and lets axe-core look at
// it, light and dark, wide and narrow; no page may scroll sideways, and none may
// make the browser complain of its Content-Security-Policy or its script. With
// MAILROOM_PICTURES=DIR it leaves pictures there, and MAILROOM_SCENE=text takes
// only the scenes whose name has it.
func TestPagesLookRight(t *testing.T) {
	s := openSite(t)
	lookThrough(t, s, playScenes(t, s))
}

func lookThrough(t *testing.T, s *site, scenes []scene) {
	t.Helper()
	tabs := map[string]context.Context{}
	for _, sc := range scenes {
		if !strings.Contains(sc.name, os.Getenv("MAILROOM_SCENE")) {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			if sc.prepare != nil {
				sc.prepare()
			}
			ctx, ok := tabs[sc.who.Email]
			if !ok {
				ctx = peers.Chromium(s.t)
				tabs[sc.who.Email] = ctx
				listenForComplaints(s.t, ctx)
				signInBrowser(t, ctx, s, sc.who)
			}
			ctx, stop := context.WithTimeout(ctx, time.Minute)
			defer stop()
			for _, l := range looks {
				lookAt(t, ctx, s.URL+sc.path, sc.ask, sc.name, l.name, l.width, l.height, l.dark)
			}
		})
	}
}

func lookAt(t *testing.T, ctx context.Context, url, ask, scene, look string, width, height int64, dark bool) {
	t.Helper()
	if err := peers.Viewport(ctx, width, height, dark); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	if ask != "" {
		err := chromedp.Do(ctx, chromedp.SetValue(chromedp.CSS("main input[name=text]"), ask),
			chromedp.Click(chromedp.CSS("main form[role=search] .button")), chromedp.WaitVisible(chromedp.CSS("#answer")))
		if err != nil {
			t.Fatal(err)
		}
	}
	if dir := os.Getenv("MAILROOM_PICTURES"); dir != "" {
		if err := peers.Screenshot(ctx, filepath.Join(dir, scene+"-"+look+".png"), width, height, dark); err != nil {
			t.Fatal(err)
		}
	}
	wide, err := chromedp.Run(ctx, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
	if err != nil || wide > width {
		t.Errorf("%s: %d pixels wide on a screen of %d (%v)", look, wide, width, err)
	}
	violations, err := peers.Axe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Errorf("%s: %v", look, v)
	}
}

// listenForComplaints fails the test for what a browser writes into its console.
func listenForComplaints(t testing.TB, ctx context.Context) {
	err := chromedp.Listen(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *log.EventEntryAdded:
			if ev.Entry.Level == "error" && !strings.Contains(ev.Entry.Text, "status of 4") {
				t.Errorf("the browser complains: %s %s", ev.Entry.Text, ev.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			t.Errorf("a script failed: %s", fmt.Sprintf("%+v", ev.ExceptionDetails))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func signInBrowser(t testing.TB, ctx context.Context, s *site, u mailroom.User) {
	t.Helper()
	if u.ID == "" {
		return
	}
	err := chromedp.Do(ctx,
		chromedp.Navigate(s.URL+"/sign-in?next=/help"),
		chromedp.SetValue(chromedp.CSS("input[name=email]"), u.Email),
		chromedp.SetValue(chromedp.CSS("input[name=password]"), password),
		chromedp.Click(chromedp.CSS("form.card button")),
		chromedp.WaitVisible(chromedp.CSS(".helplist")))
	if err != nil {
		t.Fatal(err)
	}
}

// playScenes fills the site and lists what to look at, in order: some scenes
// change it for those that follow.
func playScenes(t *testing.T, s *site) []scene {
	rita := s.addUser("Rita Jansen", "rita@werk.example", mailroom.Recruiter)
	noor := s.addUser("Noor Visser", "noor@werk.example", mailroom.Recruiter)
	bram := s.addUser("Bram Bakker", "bram@werk.example", mailroom.Recruiter)
	karin := s.addUser("Karin Mol", "karin@werk.example", mailroom.Administrator)
	pim := s.addUser("Pim de Wit", "pim@werk.example", mailroom.Recruiter)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.portal.DisableUser(ctx, s.admin, bram.ID))
	for _, u := range []mailroom.User{rita, pim} {
		u, err := s.store.UserByID(ctx, u.ID)
		must(err)
		must(s.portal.SetLanguage(ctx, u, "nl"))
	}
	s.connected(noor)
	box := s.connected(rita)
	midSync(t, s, box)

	problem := func(key string, kind mailroom.Kind) func() {
		return func() {
			sqlExec(t, s, `UPDATE mailboxes SET problem = $1 WHERE id = $2`,
				fmt.Sprintf(`{"kind":%q,"key":%q,"since":"2026-11-23T08:00:00Z"}`, kind, key), box.ID)
		}
	}
	return []scene{
		{name: "sign-in", path: "/sign-in"},
		{name: "not-found", path: "/nowhere"},
		{name: "help", path: "/help"},
		{name: "help-oauth", path: "/help/oauth"},
		{name: "help-administrator", path: "/help/administrator"},
		{name: "integrations-new", path: integrationsPath, who: karin},
		{name: "activation-no-address", path: activationPath, who: karin},
		{name: "mapping-no-address", path: mappingPath, who: karin},
		{name: "profile", path: "/settings/profile", who: karin},
		{name: "users", path: "/admin/users", who: karin},
		{name: "users-new", path: "/admin/users/new", who: karin},
		{name: "users-disable", path: "/admin/users/" + noor.ID + "/disable", who: karin},
		{name: "organization", path: "/admin/organization", who: karin},
		{name: "audit", path: "/admin/audit", who: karin},
		{name: "forbidden", path: "/admin/users", who: noor},
		{name: "integrations", path: integrationsPath, who: noor},
		{name: "username-confirm", path: integrationsPath + "/username?address=noor@elders.example", who: noor},
		{name: "activation-granted", path: activationPath + "?granted=1", who: noor},
		{name: "revoke", path: activationPath + "/revoke", who: noor},
		{name: "mapping", path: mappingPath, who: noor},
		{name: "integrations-nl", path: integrationsPath, who: rita},
		{name: "mapping-nl", path: mappingPath, who: rita},
		{name: "mapping-states", path: mappingPath, who: noor, prepare: func() { s.everyState(noor) }},
		{name: "mapping-undo", path: "/mappings/" + s.firstMapping(noor) + "/undo", who: noor},
		{name: "mapping-down", path: mappingPath, who: rita, prepare: func() {
			s.server.fail(mailroom.E(mailroom.Unavailable, "imap.error.network"))
		}},
		{name: "integrations-dead", path: integrationsPath, who: rita, prepare: problem("imap.error.auth", mailroom.NeedsConsent)},
		{name: "activation-dead", path: activationPath, who: rita},
		{name: "integrations-admin", path: integrationsPath, who: rita, prepare: problem("imap.error.not_connected", mailroom.NeedsAdmin)},
		{name: "activation-choose", path: activationPath, who: pim, prepare: func() {
			u, err := s.store.UserByID(ctx, pim.ID)
			must(err)
			must(s.portal.SaveAddress(ctx, u, "pim@werk.example", false))
		}},
		{name: "activation-refused", path: activationPath + "/../../../oauth/callback/microsoft?state=state&error=access_denied", who: pim, prepare: func() {
			s.consent.refusal = mailroom.E(mailroom.NeedsAdmin, "grant.error.refused")
		}},
	}
}

// firstMapping is the id of a user's first row.
func (s *site) firstMapping(u mailroom.User) string {
	v, err := s.portal.MappingPage(s.t.Context(), u)
	if err != nil || len(v.Rows) == 0 {
		s.t.Fatal("no mapping", err)
	}
	return v.Rows[0].Mapping.ID
}

// everyState gives a user with Inbox and Sent mapped a row in each state that
// the mapping page has words for.
func (s *site) everyState(u mailroom.User) {
	s.t.Helper()
	v, err := s.portal.MappingPage(s.t.Context(), u)
	if err != nil {
		s.t.Fatal(err)
	}
	rows := []portal.MappingForm{
		{RawName: "INBOX", OTYSFolder: v.OTYS[0].ID, Subfolders: true}, {RawName: "Verzonden items", OTYSFolder: v.OTYS[1].ID},
		{RawName: "Archief", OTYSFolder: v.OTYS[0].ID, Removal: mailroom.RemovalRemove}, {RawName: "Kandidaten", OTYSFolder: v.OTYS[0].ID, Subfolders: true},
		{RawName: "Concepten", OTYSFolder: v.OTYS[0].ID},
	}
	if err := s.portal.SaveMappings(s.t.Context(), u, portal.MappingsForm{Version: v.Version, Rows: rows}); err != nil {
		s.t.Fatal(err)
	}
	box, now := v.Mailbox, time.Now()
	s.progressOf(box, "INBOX", `on_server = 204812, stored = 80000, backlog = '1:124812', stage = 'backfill', backfill_total = 204812, rate_mails = 60000,
		backfill_bytes = 6400000000, backfill_edge = $1, checked_at = $2`, mailroom.Micros(now.AddDate(-2, -8, 0)), mailroom.Micros(now.Add(-20*time.Second)))
	s.progressOf(box, "Verzonden items", `on_server = 320, stored = 300, skipped = '1:17', dropped = 1, quarantined = 2, checked_at = $1, compared_at = $2`,
		mailroom.Micros(now.Add(-40*time.Second)), mailroom.Micros(now.Add(-10*time.Minute)))
	s.progressOf(box, "Archief", `on_server = 12044, stored = 7106, checked_at = $1`, mailroom.Micros(now))
	s.progressOf(box, "Concepten", `problem = $1, failures = 3, retry_at = $2`, fmt.Sprintf(`{"kind":"unavailable","key":"imap.error.network","since":%q,"until":%q}`,
		now.Add(-time.Hour).Format(time.RFC3339), now.Add(15*time.Minute).Format(time.RFC3339)), mailroom.Micros(now.Add(15*time.Minute)))
	sqlExec(s.t, s, `UPDATE mappings SET followed_from = 'Kandidaten 2019', followed_at = 1 WHERE raw_name = 'Kandidaten' AND mailbox_id = $1`, box.ID)
	sqlExec(s.t, s, `INSERT INTO undos(mapping_id, org_id, mailbox_id, user_id, otys_folder_id, name, total, done, kept, started_at, finished_at)
		VALUES ('map_a', $1, $2, $3, $4, 'Nieuwsbrieven', 12345, 4000, 12, $5, 0), ('map_b', $1, $2, $3, $4, 'Oud', 90, 90, 12, $5 - 9, $5)`,
		u.OrgID, box.ID, u.ID, v.OTYS[0].ID, mailroom.Micros(now.Add(-time.Minute)))
}

// midSync is a mailbox in the middle of its first sync.
func midSync(t *testing.T, s *site, box mailroom.Mailbox) {
	now := time.Now()
	sqlExec(t, s, `UPDATE progress SET on_server = 4812, stored = 1830, backlog = '1:2982', stage = 'backfill', backfill_total = 4812, backfill_started = $1, checked_at = $2
		WHERE mapping_id IN (SELECT id FROM mappings WHERE mailbox_id = $3 AND raw_name = 'INBOX')`, mailroom.Micros(now.Add(-90*time.Second)), mailroom.Micros(now.Add(-20*time.Second)), box.ID)
	sqlExec(t, s, `UPDATE progress SET on_server = 320, stored = 318, quarantined = 2, checked_at = $1
		WHERE mapping_id IN (SELECT id FROM mappings WHERE mailbox_id = $2 AND raw_name <> 'INBOX')`, mailroom.Micros(now.Add(-40*time.Second)), box.ID)
}

func sqlExec(t testing.TB, s *site, text string, args ...any) {
	t.Helper()
	if _, err := sqlOf(t, s).ExecContext(t.Context(), text, args...); err != nil {
		t.Fatal(err)
	}
}
