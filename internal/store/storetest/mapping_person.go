package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// save saves rows as the page would, at the present version.
func (w World) save(t testing.TB, rows ...mailroom.Mapping) {
	t.Helper()
	must(t, w.Store.SaveMappings(t.Context(), w.change(t, rows...), w.act("mapping.saved")))
	w.audited(t, "mapping.saved")
}

func (w World) change(t testing.TB, rows ...mailroom.Mapping) mailroom.MappingChange {
	t.Helper()
	for i := range rows {
		rows[i].ID = mailroom.NewID(mailroom.PrefixMapping)
		rows[i].CreatedAt = time.Now()
	}
	v := got(w.Store.MailboxOf(t.Context(), w.UserID)).Mailbox.MappingsVersion
	return mailroom.MappingChange{MailboxID: w.Mailbox.ID, UserID: w.UserID, Version: v, Rows: rows}
}

func (w World) mapping(t testing.TB, rawName string) mailroom.MappingRow {
	t.Helper()
	for _, r := range got(w.Store.MappingRows(t.Context(), w.Mailbox.ID)) {
		if r.Mapping.RawName == rawName {
			return r
		}
	}
	t.Fatalf("%s is not mapped", rawName)
	return mailroom.MappingRow{}
}

func (w World) addFolder(t testing.TB, name string) string {
	t.Helper()
	f := mailroom.OTYSFolder{ID: mailroom.NewID(mailroom.PrefixOTYSFolder), OrgID: w.OrgID, UserID: w.UserID, Name: name}
	must(t, w.Store.AddOTYSFolder(t.Context(), f, w.act("folder.added")))
	return f.ID
}

func testMappingsSaved(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	cvs := w.addFolder(t, "CVs")
	refused(t, s.AddOTYSFolder(ctx, mailroom.OTYSFolder{ID: "ofo_x" + cvs, OrgID: w.OrgID, UserID: w.UserID, Name: "cvs"}, w.act("folder.added")),
		mailroom.Conflict, "folder.error.name_taken")

	c := w.take(t, "n1")
	first := w.change(t, w.Inbox, w.Sent, mailroom.Mapping{RawName: "CV&AOk-s", Name: "CVés", OTYSFolderID: cvs, Since: time.UnixMicro(77).UTC()})
	wanted := got(s.MailboxOf(ctx, w.UserID)).Mailbox.Wanted
	must(t, s.SaveMappings(ctx, first, w.act("mapping.saved")))
	box := got(s.MailboxOf(ctx, w.UserID)).Mailbox
	if box.MappingsVersion != first.Version+1 || box.Wanted <= wanted {
		t.Fatalf("after saving: version %d, wanted %d", box.MappingsVersion, box.Wanted)
	}
	// A row more does not throw out whoever reads the others.
	if _, err := s.Deliver(ctx, c, w.Batch(w.Inbox, w.Mail(1, "a@b.example", "One", "x"))); err != nil {
		t.Fatal(err)
	}
	rows := got(s.MappingRows(ctx, w.Mailbox.ID))
	if len(rows) != 3 || rows[0].Mapping.ID != w.Inbox.ID {
		t.Fatalf("saved rows are %+v", rows)
	}
	if r := w.mapping(t, "CV&AOk-s"); r.Mapping.Name != "CVés" || r.Mapping.Since.UnixMicro() != 77 || r.OTYSFolder.Name != "CVs" || r.Progress.Stage != mailroom.StageIdle {
		t.Fatalf("the new row is %+v", r)
	}
	// A second tab.
	refused(t, s.SaveMappings(ctx, first, w.act("mapping.saved")), mailroom.Conflict, "mapping.error.version")

	// Somebody else's OTYS folder, mailbox.
	other := w.AddRecruiter(t)
	steal := w.change(t, mailroom.Mapping{RawName: "INBOX", Name: "Inbox", OTYSFolderID: other.Inbox.OTYSFolderID})
	refused(t, s.SaveMappings(ctx, steal, w.act("mapping.saved")), mailroom.NotFound, "error.not_found")
	steal = other.change(t, mailroom.Mapping{RawName: "INBOX", Name: "Inbox", OTYSFolderID: w.Inbox.OTYSFolderID})
	steal.UserID = w.UserID
	refused(t, s.SaveMappings(ctx, steal, w.act("mapping.saved")), mailroom.NotFound, "error.not_found")
	if len(got(s.MappingRows(ctx, w.Mailbox.ID))) != 3 {
		t.Fatal("a refused save changed the rows")
	}

	// Pausing one.
	must(t, s.PauseMapping(ctx, w.OrgID, w.Inbox.ID, true, w.act("mapping.paused")))
	if !w.mapping(t, "INBOX").Mapping.Paused {
		t.Fatal("not paused")
	}
	if _, err := s.Deliver(ctx, c, w.Batch(w.Inbox, w.Mail(2, "a@b.example", "Two", "x"))); !errors.Is(err, mailroom.ErrFenced) {
		t.Fatalf("a mapping was paused and still written to: %v", err)
	}
	refused(t, s.PauseMapping(ctx, "org_other", w.Inbox.ID, false, w.act("x")), mailroom.NotFound, "error.not_found")
}

func testMappingAimed(t *testing.T, w World) {
	cvs := w.addFolder(t, "CVs")
	w.save(t, w.Inbox, w.Sent, mailroom.Mapping{RawName: "Also", Name: "Also", OTYSFolderID: w.Inbox.OTYSFolderID})
	also := w.mapping(t, "Also").Mapping
	both := w.Mail(2, "a@b.example", "In both", "x")
	seen := w.Mail(3, "a@b.example", "Read", "y")
	seen.Placement.Flags.Seen = true
	w.file(t, w.Inbox, w.Mail(1, "a@b.example", "Only inbox", "x"), both, seen)
	w.file(t, also, both, w.Mail(5, "a@b.example", "Only also", "z"))
	w.counts(t, w.Inbox.OTYSFolderID, 4, 3)

	c := w.take(t, "n1")
	inbox := w.Inbox
	inbox.OTYSFolderID = cvs
	w.save(t, inbox, w.Sent, also)
	if id := w.mapping(t, "INBOX").Mapping.ID; id != w.Inbox.ID {
		t.Fatalf("aimed elsewhere, the mapping became another: %s", id)
	}
	w.counts(t, cvs, 3, 2)
	w.counts(t, w.Inbox.OTYSFolderID, 2, 2)
	if l := w.list(t, mailroom.MailFilter{FolderID: cvs}); !slices.Equal(l, []string{"Read", "In both", "Only inbox"}) {
		t.Fatalf("moved: %v", l)
	}
	if l := w.list(t, mailroom.MailFilter{FolderID: w.Inbox.OTYSFolderID}); !slices.Equal(l, []string{"Only also", "In both"}) {
		t.Fatalf("left: %v", l)
	}
	// A node that began before must not file by the old rows.
	if _, err := w.Store.Deliver(t.Context(), c, w.Batch(w.Inbox, w.Mail(9, "a@b.example", "Late", "x"))); !errors.Is(err, mailroom.ErrFenced) {
		t.Fatalf("filed by the old mapping: %v", err)
	}
	must(t, w.Store.Release(t.Context(), w.take(t, "n2"), time.Time{}, nil, 0))
	w.file(t, w.Inbox, w.Mail(10, "a@b.example", "New", "x"))
	w.counts(t, cvs, 4, 3)
	w.counts(t, w.Inbox.OTYSFolderID, 2, 2)
}

func testMappingsSwapped(t *testing.T, w World) {
	w.file(t, w.Inbox, w.Mail(1, "a@b.example", "I", "x"))
	w.file(t, w.Sent, w.Mail(2, w.Mailbox.Address, "S", "x"))
	in, out := w.Inbox, w.Sent
	in.OTYSFolderID, out.OTYSFolderID = out.OTYSFolderID, in.OTYSFolderID
	w.save(t, in, out)
	w.counts(t, w.Inbox.OTYSFolderID, 1, 0)
	w.counts(t, w.Sent.OTYSFolderID, 1, 1)
	if l := w.list(t, mailroom.MailFilter{FolderID: w.Inbox.OTYSFolderID}); !slices.Equal(l, []string{"S"}) {
		t.Fatalf("after changing places the inbox holds %v", l)
	}
}

// Two mappings that come to aim at one folder bring a mail of both only once.
func testMappingsJoined(t *testing.T, w World) {
	m := w.Mail(1, w.Mailbox.Address, "In both", "x")
	w.file(t, w.Inbox, m, w.Mail(2, "a@b.example", "Only inbox", "x"))
	w.file(t, w.Sent, m)
	w.counts(t, w.Inbox.OTYSFolderID, 2, 1)
	w.counts(t, w.Sent.OTYSFolderID, 1, 0)
	in := w.Inbox
	in.OTYSFolderID = w.Sent.OTYSFolderID
	w.save(t, in, w.Sent)
	w.counts(t, w.Inbox.OTYSFolderID, 0, 0)
	w.counts(t, w.Sent.OTYSFolderID, 2, 1)
	w.save(t, w.Inbox, w.Sent)
	w.counts(t, w.Inbox.OTYSFolderID, 2, 1)
	w.counts(t, w.Sent.OTYSFolderID, 1, 0)
	// Joined, and both part at once: each has its mail where it goes.
	w.save(t, in, w.Sent)
	out := w.Sent
	in.OTYSFolderID, out.OTYSFolderID = w.Inbox.OTYSFolderID, w.addFolder(t, "Elsewhere")
	w.save(t, in, out)
	w.counts(t, w.Inbox.OTYSFolderID, 2, 1)
	w.counts(t, w.Sent.OTYSFolderID, 0, 0)
	w.counts(t, out.OTYSFolderID, 1, 0)
}

func testMappingRemoved(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	old := w.Mail(1, "a@b.example", "Old", "x")
	w.file(t, w.Inbox, old, w.Mail(50, "a@b.example", "Newer", "x"))
	c := w.take(t, "n1")
	w.save(t, w.Sent)
	w.counts(t, w.Inbox.OTYSFolderID, 2, 2)
	if _, err := s.Deliver(ctx, c, w.Batch(w.Inbox, w.Mail(3, "a@b.example", "Late", "x"))); !errors.Is(err, mailroom.ErrFenced) {
		t.Fatalf("a mapping that was taken away was written to: %v", err)
	}

	// The same folder mapped again, to another place and from a later day on: it
	// is not read again, so what was read is handed over.
	cvs := w.addFolder(t, "CVs")
	w.save(t, w.Sent, mailroom.Mapping{RawName: "INBOX", Name: "Inbox", OTYSFolderID: cvs, Since: old.Message.ReceivedAt.Add(time.Microsecond)})
	w.counts(t, cvs, 1, 1)
	w.counts(t, w.Inbox.OTYSFolderID, 2, 2)
	again := w.mapping(t, "INBOX").Mapping
	if n := w.Count(t, `placements WHERE mapping_id = $1`, again.ID); n != 2 {
		t.Fatalf("%d placements were handed over", n)
	}
	// All folders: each message once.
	if l := w.list(t, mailroom.MailFilter{}); !slices.Equal(l, []string{"Newer", "Old"}) {
		t.Fatalf("all mail: %v", l)
	}
}

func testMappingSince(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	p := mailroom.Progress{MappingID: w.Inbox.ID, MailboxID: w.Mailbox.ID, Stage: mailroom.StageBackfill,
		Cursor:  mailroom.Cursor{UIDValidity: 7, UIDNext: 100, HighestModSeq: 5},
		Backlog: mailroom.Range(10, 20), Skipped: mailroom.Range(1, 9), OnServer: 99, Stored: 79, CheckedAt: time.Now(), BackfillTotal: 90}
	must(t, s.SaveProgress(ctx, c, p))
	inbox := w.Inbox
	inbox.Since = time.UnixMicro(1000).UTC()
	w.save(t, inbox, w.Sent)
	r := w.mapping(t, "INBOX").Progress
	if r.Cursor.UIDValidity != 0 || !r.Skipped.Empty() || !r.Backlog.Empty() || !r.CheckedAt.IsZero() {
		t.Fatalf("with another date the folder is not listed anew: %+v", r)
	}
	if err := s.SaveProgress(ctx, c, p); !errors.Is(err, mailroom.ErrFenced) {
		t.Fatalf("a run from before overwrote it: %v", err)
	}
	// Saving the same again leaves progress alone.
	c = w.take(t, "n2")
	must(t, s.SaveProgress(ctx, c, p))
	w.save(t, inbox, w.Sent)
	if r := w.mapping(t, "INBOX").Progress; r.Cursor.UIDNext != 100 || r.Skipped.Len() != 9 {
		t.Fatalf("saving unchanged rows reset progress: %+v", r)
	}
	must(t, s.SaveProgress(ctx, c, p)) // and the run goes on
}

func testMappingRows(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	now := time.Now()
	must(t, s.SaveFolders(ctx, w.Mailbox.ID, []mailroom.Folder{{RawName: "INBOX", Name: "Inbox", Selectable: true}, {RawName: "Sent Items", Name: "Sent Items", Selectable: true}}, now))
	must(t, s.SaveFolders(ctx, w.Mailbox.ID, []mailroom.Folder{{RawName: "INBOX", Name: "Inbox", Selectable: true}}, now.Add(time.Second)))
	for i, id := range []string{"run_1", "run_2"} {
		run := mailroom.SyncRun{ID: id + w.UserID, OrgID: w.OrgID, MailboxID: w.Mailbox.ID, MappingID: w.Inbox.ID, StartedAt: now.Add(time.Duration(i) * time.Minute), Stored: int64(i)}
		must(t, s.StartRun(ctx, run))
	}
	in, out := w.mapping(t, "INBOX"), w.mapping(t, "Sent Items")
	if in.Gone || !out.Gone {
		t.Fatalf("gone: inbox %v, sent %v", in.Gone, out.Gone)
	}
	if in.LastRun == nil || in.LastRun.ID != "run_2"+w.UserID || out.LastRun != nil {
		t.Fatalf("last runs: %+v, %+v", in.LastRun, out.LastRun)
	}
	if rs := got(s.Runs(ctx, w.OrgID, w.Inbox.ID, 10)); len(rs) != 2 || rs[0].Stored != 1 || rs[1].EndedAt.IsZero() {
		t.Fatalf("runs: %+v", rs)
	}
	if rs := got(s.Runs(ctx, "org_other", w.Inbox.ID, 10)); len(rs) != 0 {
		t.Fatal("another organization's runs are told")
	}
	_, err := s.MappingByID(ctx, "org_other", w.Inbox.ID)
	refused(t, err, mailroom.NotFound, "error.not_found")
}
