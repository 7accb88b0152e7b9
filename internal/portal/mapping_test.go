package portal_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

func names(fs []mailroom.Folder) []string {
	var out []string
	for _, f := range fs {
		out = append(out, f.Name)
	}
	return out
}

func TestMappingPageOpensAtOnce(t *testing.T) {
	w := newWorld(t)
	_, err := w.MappingPage(w.ctx, w.anna)
	refused(t, err, mailroom.Conflict, "mailbox.error.address_first")
	must(t, w.SaveAddress(w.ctx, w.anna, "anna@werk.example", false))
	page := got(w.MappingPage(w.ctx, w.anna))
	if page.Ready || len(page.Folders) != 0 || len(page.Suggested) != 2 || page.Suggested[0].RawName != "" || page.Suggested[0].OTYSFolder != page.OTYS[0].ID {
		t.Fatalf("before anything is known: %+v", page)
	}
	page = got(w.RefreshFolders(w.ctx, w.anna))
	if page.Live || page.Problem == nil || page.Problem.Key != "mailbox.error.not_ready" || w.listed != 0 {
		t.Fatalf("without permission: %+v", page)
	}

	w.grant(w.anna)
	if page = got(w.MappingPage(w.ctx, w.anna)); w.listed != 0 || !page.Ready || page.Live {
		t.Fatal("opening the page asked the server")
	}
	page = got(w.RefreshFolders(w.ctx, w.anna))
	if !page.Live || page.Problem != nil || page.ListedAt != w.now() {
		t.Fatalf("live: %+v", page)
	}
	if v := names(page.Folders); !slices.Equal(v, []string{"Inbox", "archive", "Clients/Z", "Verzonden items"}) {
		t.Fatalf("offered: %v", v)
	}
	if page.Suggested[0].RawName != "INBOX" || page.Suggested[1].RawName != "Sent Items" || page.Suggested[1].OTYSFolder != page.OTYS[1].ID {
		t.Fatalf("suggested: %+v", page.Suggested)
	}

	// The provider is down, or slow: the last list stands, with the reason.
	w.pass(time.Hour)
	w.listErr = mailroom.E(mailroom.Unavailable, "imap.error.network")
	page = got(w.RefreshFolders(w.ctx, w.anna))
	if page.Live || page.Problem.Key != "imap.error.network" || len(page.Folders) != 4 || page.ListedAt != w.now().Add(-time.Hour) {
		t.Fatalf("down: %+v", page)
	}
	w.listErr = context.DeadlineExceeded
	if page = got(w.RefreshFolders(w.ctx, w.anna)); page.Problem.Key != "folder.error.slow" {
		t.Fatalf("slow: %+v", page.Problem)
	}
}

func TestFoldersAreListedOnceForAllTabs(t *testing.T) {
	w := newWorld(t)
	w.grant(w.anna)
	begun, finish := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.onList = func(ctx context.Context) {
		if _, limited := ctx.Deadline(); !limited {
			t.Error("a listing may take for ever")
		}
		once.Do(func() { close(begun) })
		<-finish
	}
	// The first tab is closed while it waits.
	ctx, leave := context.WithCancel(w.ctx)
	left := make(chan error, 1)
	go func() { _, err := w.RefreshFolders(ctx, w.anna); left <- err }()
	<-begun
	leave()
	<-left
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			page, err := w.RefreshFolders(w.ctx, w.anna)
			if err != nil || !page.Live {
				t.Errorf("%v, %v", page.Problem, err)
			}
		})
	}
	close(finish)
	wg.Wait()
	if w.listed > 3 || len(got(w.MappingPage(w.ctx, w.anna)).Folders) != 4 {
		t.Fatalf("asked %d times", w.listed)
	}
}

func TestSaveMappings(t *testing.T) {
	w := newWorld(t)
	w.grant(w.anna)
	page := got(w.RefreshFolders(w.ctx, w.anna))
	inbox, sent := page.OTYS[0].ID, page.OTYS[1].ID
	cvs := got(w.AddOTYSFolder(w.ctx, w.anna, " My  CVs "))
	if cvs.Name != "My CVs" {
		t.Fatalf("added %q", cvs.Name)
	}
	_, err := w.AddOTYSFolder(w.ctx, w.anna, "my cvs")
	complains(t, err, "name folder.error.name_taken")
	_, err = w.AddOTYSFolder(w.ctx, w.anna, "  ")
	complains(t, err, "name folder.error.name")
	bob := w.addUser("bob@werk.example", "Bob", mailroom.Recruiter)
	bobs := got(w.AddOTYSFolder(w.ctx, bob, "Bob's"))

	save := func(version int64, rows ...portal.MappingForm) error {
		return w.SaveMappings(w.ctx, w.anna, portal.MappingsForm{Version: version, Rows: rows})
	}
	complains(t, save(0,
		portal.MappingForm{RawName: "INBOX", OTYSFolder: inbox},
		portal.MappingForm{}, // an empty row
		portal.MappingForm{RawName: "INBOX", OTYSFolder: sent},
		portal.MappingForm{RawName: "Nowhere", OTYSFolder: inbox},
		portal.MappingForm{RawName: "Calendar", OTYSFolder: inbox},
		portal.MappingForm{RawName: "Clients", OTYSFolder: inbox},
		portal.MappingForm{RawName: "archive", OTYSFolder: bobs.ID},
		portal.MappingForm{RawName: "Clients/Z", OTYSFolder: cvs.ID, Since: w.now().Add(time.Hour)},
	), "rows.2.folder mapping.error.twice", "rows.3.folder mapping.error.folder", "rows.4.folder mapping.error.folder",
		"rows.5.folder mapping.error.folder", "rows.6.otys mapping.error.otys", "rows.7.since mapping.error.since")
	if v := got(w.MappingPage(w.ctx, w.anna)); len(v.Rows) != 0 || v.Version != 0 {
		t.Fatal("something of a refused form was saved")
	}

	since := w.now().Add(-24 * time.Hour)
	must(t, save(0, portal.MappingForm{RawName: "INBOX", OTYSFolder: inbox}, portal.MappingForm{RawName: "Clients/Z", OTYSFolder: cvs.ID, Since: since}))
	w.audited("mapping.saved")
	v := got(w.MappingPage(w.ctx, w.anna))
	if len(v.Rows) != 2 || v.Version != 1 || v.Suggested != nil || v.Mailbox.Wanted == 0 {
		t.Fatalf("saved: %+v", v)
	}
	refused(t, save(0), mailroom.Conflict, "mapping.error.version")

	// A mapped folder that has gone is named, and may stay.
	w.folders = slices.DeleteFunc(slices.Clone(w.folders), func(f mailroom.Folder) bool { return f.RawName == "Clients/Z" })
	w.pass(time.Minute)
	got(w.RefreshFolders(w.ctx, w.anna))
	gone := w.mapping(w.anna, "Clients/Z")
	if !gone.Gone || gone.State != mailroom.StateGone || gone.Mapping.Name != "Clients/Z" || !gone.Mapping.Since.Equal(since) {
		t.Fatalf("a folder that went is shown as %+v", gone)
	}
	must(t, save(1, portal.MappingForm{RawName: "INBOX", OTYSFolder: inbox}, portal.MappingForm{RawName: "Clients/Z", OTYSFolder: cvs.ID, Paused: true}))
	must(t, save(2, portal.MappingForm{RawName: "INBOX", OTYSFolder: inbox}))
	complains(t, save(3, portal.MappingForm{RawName: "Clients/Z", OTYSFolder: cvs.ID}), "rows.0.folder mapping.error.folder")
	must(t, save(3))
	if v := got(w.MappingPage(w.ctx, w.anna)); len(v.Rows) != 0 {
		t.Fatal("the last row cannot be removed")
	}
}

func TestMappingPausedAndAskedFor(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	id := w.mapping(w.anna, "INBOX").Mapping.ID
	wanted := w.mailbox(w.anna).Mailbox.Wanted
	must(t, w.SyncMapping(w.ctx, w.anna, id))
	must(t, w.SyncMapping(w.ctx, w.admin, id))
	if v := w.mailbox(w.anna).Mailbox.Wanted; v != wanted+2 {
		t.Fatalf("asked for %d times", v-wanted)
	}
	must(t, w.PauseMapping(w.ctx, w.anna, id))
	must(t, w.PauseMapping(w.ctx, w.anna, id))
	if r := w.mapping(w.anna, "INBOX"); r.State != mailroom.StatePaused {
		t.Fatalf("paused: %+v", r)
	}
	refused(t, w.SyncMapping(w.ctx, w.anna, id), mailroom.Conflict, "mapping.error.paused")
	must(t, w.ResumeMapping(w.ctx, w.admin, id))
	if r := w.mapping(w.anna, "INBOX"); r.State != mailroom.StateWaiting {
		t.Fatalf("resumed: %+v", r)
	}
}

func TestCreateIMAPFolder(t *testing.T) {
	w := newWorld(t)
	must(t, w.SaveAddress(w.ctx, w.anna, "anna@werk.example", false))
	refused(t, w.CreateIMAPFolder(w.ctx, w.anna, ""), mailroom.Conflict, "mailbox.error.not_ready")
	w.connect(w.anna)
	complains(t, w.CreateIMAPFolder(w.ctx, w.anna, "A/B"), "name folder.error.imap_name")
	complains(t, w.CreateIMAPFolder(w.ctx, w.anna, "inbox"), "name folder.error.exists")
	must(t, w.CreateIMAPFolder(w.ctx, w.anna, ""))
	must(t, w.CreateIMAPFolder(w.ctx, w.anna, "Kandidaten ★"))
	if !slices.Equal(w.created, []string{"OTYS", "Kandidaten ★"}) {
		t.Fatalf("created %v", w.created)
	}
	w.audited("folder.created_in_mailbox")
}

func TestProgressIsEstimated(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	m := w.mapping(w.anna, "INBOX").Mapping
	c := got(w.store.ClaimMailboxes(w.ctx, "n", time.Hour, 1, time.Now()))[0]
	save := func(p mailroom.Progress) portal.MappingRow {
		t.Helper()
		p.MappingID, p.MailboxID = m.ID, m.MailboxID
		must(t, w.store.SaveProgress(w.ctx, c, p))
		return w.mapping(w.anna, "INBOX")
	}
	r := save(mailroom.Progress{Stage: mailroom.StageBackfill, Backlog: mailroom.Range(1, 3000), OnServer: 5000, Stored: 2000, CheckedAt: w.now(),
		BackfillTotal: 5000, BackfillStarted: w.now().Add(-10 * time.Second)})
	if r.State != mailroom.StateSyncing || r.Rate != 200 || r.Finish != w.now().Add(15*time.Second) || r.Done() != 2000 {
		t.Fatalf("in the middle: %+v", r)
	}
	r = save(mailroom.Progress{Stage: mailroom.StageIdle, OnServer: 5000, Stored: 5000, CheckedAt: w.now(), BackfillTotal: 5000, BackfillStarted: w.now().Add(-time.Minute)})
	if r.State != mailroom.StateUpToDate || r.Rate != 0 || !r.Finish.IsZero() {
		t.Fatalf("done: %+v", r)
	}
	w.pass(mailroom.FreshnessTarget + time.Second)
	if r = w.mapping(w.anna, "INBOX"); r.State != mailroom.StateBehind {
		t.Fatalf("later: %s", r.State)
	}
	until := w.now().Add(time.Minute)
	r = save(mailroom.Progress{CheckedAt: w.now(), Problem: mailroom.ProblemOf(&mailroom.Error{Kind: mailroom.Throttled, Key: "imap.error.throttled", Until: until}, w.now())})
	if r.State != mailroom.StateThrottled || !r.Progress.Problem.Until.Equal(until) {
		t.Fatalf("throttled: %+v", r)
	}
}

func TestTroubleOfTheMailboxSpeaksForItsMappings(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	tell := func(p *mailroom.Problem) (inbox, sent portal.MappingRow) {
		t.Helper()
		must(t, w.SyncNow(w.ctx, w.anna, w.mailbox(w.anna).Mailbox.ID))
		c := got(w.store.ClaimMailboxes(w.ctx, "n", time.Hour, 1, time.Now()))[0]
		m := w.mapping(w.anna, "INBOX").Mapping
		must(t, w.store.SaveProgress(w.ctx, c, mailroom.Progress{MappingID: m.ID, MailboxID: m.MailboxID, Stage: mailroom.StageBackfill, Backlog: mailroom.Range(1, 10),
			OnServer: 30, Stored: 20, CheckedAt: w.now(), BackfillTotal: 30, BackfillStarted: w.now().Add(-10 * time.Second)}))
		m = w.mapping(w.anna, "Sent Items").Mapping
		must(t, w.store.SaveProgress(w.ctx, c, mailroom.Progress{MappingID: m.ID, MailboxID: m.MailboxID, CheckedAt: w.now()}))
		must(t, w.store.Release(w.ctx, c, time.Time{}, p, 1))
		return w.mapping(w.anna, "INBOX"), w.mapping(w.anna, "Sent Items")
	}
	inbox, sent := tell(&mailroom.Problem{Kind: mailroom.Throttled, Key: "imap.error.throttled", Since: w.now()})
	if inbox.State != mailroom.StateSyncing || !inbox.Finish.IsZero() || sent.State != mailroom.StateThrottled {
		t.Fatalf("asked to wait: %s until %s, %s", inbox.State, inbox.Finish, sent.State)
	}
	inbox, sent = tell(&mailroom.Problem{Kind: mailroom.NeedsConsent, Key: "oauth.error.grant_revoked", Since: w.now()})
	if inbox.State != mailroom.StateNeedsYou || sent.State != mailroom.StateNeedsYou {
		t.Fatalf("the grant is dead, and the rows say %s and %s", inbox.State, sent.State)
	}
	for _, r := range got(w.SyncState(w.ctx, w.admin, true)).Rows {
		for _, m := range r.Mappings {
			if m.State != mailroom.StateNeedsYou {
				t.Errorf("the administrator sees %s", m.State)
			}
		}
	}
	must(t, w.PauseMapping(w.ctx, w.anna, sent.Mapping.ID))
	if r := w.mapping(w.anna, "Sent Items"); r.State != mailroom.StatePaused {
		t.Fatalf("what is paused says %s", r.State)
	}
}

func TestMappingsOfARevokedOrPausedMailbox(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	id := w.mailbox(w.anna).Mailbox.ID
	must(t, w.PauseMailbox(w.ctx, w.anna, id))
	if r := w.mapping(w.anna, "INBOX"); r.State != mailroom.StatePaused || r.Mapping.Paused {
		t.Fatalf("the mailbox is paused and its inbox says %s", r.State)
	}
	must(t, w.ResumeMailbox(w.ctx, w.anna, id))
	got(w.Revoke(w.ctx, w.anna))
	if r := w.mapping(w.anna, "INBOX"); r.State != mailroom.StateNotSetUp {
		t.Fatalf("permission is revoked and the inbox says %s", r.State)
	}
}

// The finish time follows what was measured of late, pauses included, and also
// stands while the provider wants a pause.
func TestFinishTimeFollowsTheMeasuredRate(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	m := w.mapping(w.anna, "INBOX").Mapping
	c := got(w.store.ClaimMailboxes(w.ctx, "n", time.Hour, 1, time.Now()))[0]
	p := mailroom.Progress{MappingID: m.ID, MailboxID: m.MailboxID, Stage: mailroom.StageBackfill, Backlog: mailroom.Range(1, 3000), OnServer: 5000, Stored: 2000,
		CheckedAt: w.now(), BackfillTotal: 5000, BackfillStarted: w.now().Add(-10 * time.Second), RateMails: 6000}
	must(t, w.store.SaveProgress(w.ctx, c, p))
	if r := w.mapping(w.anna, "INBOX"); r.Finish != w.now().Add(30*time.Minute) {
		t.Errorf("3,000 left at 6,000 an hour: done at %s", r.Finish.Sub(w.now()))
	}
	p.Problem = &mailroom.Problem{Kind: mailroom.Throttled, Key: "imap.error.throttled", Since: w.now(), Until: w.now().Add(time.Minute)}
	must(t, w.store.SaveProgress(w.ctx, c, p))
	if r := w.mapping(w.anna, "INBOX"); r.State != mailroom.StateThrottled || r.Finish != w.now().Add(30*time.Minute) {
		t.Errorf("asked to wait: %s, done in %s", r.State, r.Finish.Sub(w.now()))
	}
	p.Problem, p.RateMails = &mailroom.Problem{Kind: mailroom.Unavailable, Key: "imap.error.network", Since: w.now()}, 0
	must(t, w.store.SaveProgress(w.ctx, c, p))
	if r := w.mapping(w.anna, "INBOX"); !r.Finish.IsZero() {
		t.Errorf("in trouble, and done in %s", r.Finish.Sub(w.now()))
	}
}
