package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func testSaveFolders(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	now := time.UnixMicro(1_700_000_000_000_000).UTC()
	inbox := mailroom.Folder{RawName: "INBOX", Name: "INBOX", Path: []string{"INBOX"}, Delimiter: "/", Role: mailroom.RoleInbox, Selectable: true,
		Messages: 12, Unseen: 3, Size: 4096, UIDValidity: UIDValidity, UIDNext: 99, ObjectID: "F1"}
	work := mailroom.Folder{RawName: "Werk/R&AOk-s", Name: "Werk/Rés", Path: []string{"Werk", "Rés"}, Delimiter: "/", Selectable: true, Messages: -1, Unseen: -1, Size: -1}
	odd := mailroom.Folder{RawName: mailroom.FolderKey("od\xffd"), Name: "od\xffd", Selectable: true}
	must(t, s.SaveFolders(ctx, w.Mailbox.ID, []mailroom.Folder{inbox, work, work, odd}, now))
	list := func() map[string]mailroom.Folder {
		t.Helper()
		out := map[string]mailroom.Folder{}
		for _, f := range got(s.Folders(ctx, w.Mailbox.ID)) {
			out[f.RawName] = f
		}
		return out
	}
	v := list()
	want := inbox
	want.MailboxID, want.ListedAt = w.Mailbox.ID, now
	if f := v[odd.RawName]; !f.Mappable() || mailroom.FolderBytes(f.RawName) != "od\xffd" {
		t.Errorf("a folder whose name is no text: %+v", f)
	}
	if len(v) != 3 || fmt.Sprintf("%+v", v["INBOX"]) != fmt.Sprintf("%+v", want) {
		t.Fatalf("came back as\n%+v, want\n%+v", v, want)
	}
	if !slices.Equal(v["Werk/R&AOk-s"].Path, work.Path) || v["Werk/R&AOk-s"].Messages != -1 {
		t.Errorf("%+v", v["Werk/R&AOk-s"])
	}
	if at := got(s.MailboxByID(ctx, w.OrgID, w.Mailbox.ID)).Mailbox.FoldersListedAt; !at.Equal(now) {
		t.Errorf("listed at %v", at)
	}

	// One goes; counts that are not said stand.
	inbox.Messages, inbox.Unseen, inbox.Size, inbox.UIDValidity, inbox.UIDNext = -1, -1, -1, 0, 0
	later := now.Add(time.Minute)
	must(t, s.SaveFolders(ctx, w.Mailbox.ID, []mailroom.Folder{inbox}, later))
	v = list()
	if f := v["INBOX"]; f.Messages != 12 || f.UIDValidity != UIDValidity || f.UIDNext != 99 || !f.GoneAt.IsZero() {
		t.Errorf("counts were lost: %+v", f)
	}
	if f := v["Werk/R&AOk-s"]; !f.GoneAt.Equal(later) || f.Mappable() {
		t.Errorf("a folder that is listed no more: %+v", f)
	}
	must(t, s.SaveFolders(ctx, w.Mailbox.ID, []mailroom.Folder{inbox, work}, now.Add(-time.Hour))) // the clock went back, too
	if f := list()["Werk/R&AOk-s"]; !f.GoneAt.IsZero() {
		t.Errorf("a folder that is back: %+v", f)
	}
	refused(t, s.SaveFolders(ctx, "mbx_none", nil, now), mailroom.NotFound, "error.not_found")
}

func testRuns(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	at := time.UnixMicro(1_700_000_000_000_000).UTC()
	run := func(id string, start time.Time) mailroom.SyncRun {
		return mailroom.SyncRun{ID: mailroom.NewID("run") + id, OrgID: w.OrgID, MailboxID: w.Mailbox.ID, MappingID: w.Inbox.ID, StartedAt: start}
	}
	first, second := run("a", at), run("b", at.Add(time.Minute))
	must(t, s.StartRun(ctx, first)) // and its node dies
	must(t, s.StartRun(ctx, second))
	second.EndedAt, second.Stored, second.Quarantined, second.Bytes = at.Add(2*time.Minute), 5, 1, 4096
	signalled(t, s, "org:"+w.OrgID, func(ctx context.Context) error { return s.FinishRun(ctx, second) })
	runs := got(s.Runs(ctx, w.OrgID, w.Inbox.ID, 10))
	if len(runs) != 2 || runs[0] != second {
		t.Fatalf("%+v", runs)
	}
	if r := runs[1]; r.ID != first.ID || !r.EndedAt.Equal(second.StartedAt) || r.Problem == nil || r.Problem.Key != "run.error.interrupted" {
		t.Errorf("the interrupted run is told as %+v %v", r, r.Problem)
	}
}

func testSettings(t *testing.T, w World) {
	ctx, s, name := t.Context(), w.Store, "setting of "+w.OrgID
	if v := got(s.Setting(ctx, name)); v != "" {
		t.Errorf("never set: %q", v)
	}
	for _, v := range []string{"one", "two", ""} {
		must(t, s.SetSetting(ctx, name, v))
		if is := got(s.Setting(ctx, name)); is != v {
			t.Errorf("set %q, is %q", v, is)
		}
	}
}

func testSessions(t *testing.T, w World) {
	ctx, s, token := t.Context(), w.Store, "token of "+w.UserID
	find := func() string {
		t.Helper()
		b, found, err := s.Find(token)
		must(t, err)
		if !found && b != nil {
			t.Errorf("not found, yet %q", b)
		}
		return string(b)
	}
	if v := find(); v != "" {
		t.Fatalf("unknown token: %q", v)
	}
	for _, v := range []string{"one", "two"} {
		must(t, s.Commit(token, []byte(v), time.Now().Add(time.Hour)))
		if find() != v {
			t.Errorf("committed %q, found %q", v, find())
		}
	}
	if all := got(s.AllCtx(ctx)); string(all[token]) != "two" {
		t.Errorf("all: %q", all)
	}
	must(t, s.CommitCtx(ctx, token, []byte("old"), time.Now().Add(-time.Second)))
	if v := find(); v != "" || len(got(s.AllCtx(ctx))[token]) > 0 {
		t.Errorf("an expired session is found: %q", v)
	}
	must(t, s.Commit(token, []byte("new"), time.Now().Add(time.Hour)))
	must(t, s.Delete(token))
	must(t, s.DeleteCtx(ctx, token))
	if v := find(); v != "" {
		t.Errorf("deleted: %q", v)
	}
}

func testKnownBlobs(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	a, b := w.Mail(1, "a@x.example", "A", "a"), w.Mail(2, "b@x.example", "B", "b")
	w.file(t, w.Inbox, a)
	known := got(s.KnownBlobs(ctx, w.OrgID, []string{a.Blob.Hash, b.Blob.Hash}))
	if !known[a.Blob.Hash] || known[b.Blob.Hash] {
		t.Errorf("known: %v", known)
	}
	if v := got(s.KnownBlobs(ctx, w.OrgID, nil)); len(v) > 0 {
		t.Errorf("of none: %v", v)
	}
	other := Seed(t, s)
	if v := got(s.KnownBlobs(ctx, other.OrgID, []string{a.Blob.Hash})); len(v) > 0 {
		t.Error("another organization is told what this one has")
	}
	if ref := got(s.BlobRef(ctx, w.OrgID, a.Blob.Hash)); ref != a.Blob {
		t.Errorf("%+v, want %+v", ref, a.Blob)
	}
	_, err := s.BlobRef(ctx, other.OrgID, a.Blob.Hash)
	refused(t, err, mailroom.NotFound, "error.not_found")

	// What the first mail brought serves the second; what was swept does not.
	again := w.Mail(3, "a@x.example", "A", "a")
	again.Blob = mailroom.BlobRef{Hash: a.Blob.Hash, Size: a.Blob.Size}
	w.file(t, w.Inbox, again)
	ghost := w.Mail(4, "g@x.example", "Ghost", "g")
	ghost.Blob = mailroom.BlobRef{Hash: ghost.Blob.Hash, Size: ghost.Blob.Size}
	c := w.take(t, "n1")
	_, err = s.Deliver(ctx, c, w.Batch(w.Inbox, ghost))
	refused(t, err, mailroom.Conflict, "error.blob_gone")
}

func testSweepBlobs(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	a, bad := w.Mail(1, "a@x.example", "A", "a"), w.Mail(2, "b@x.example", "B", "b")
	b := w.Batch(w.Inbox, a)
	b.Blobs = []mailroom.BlobRef{a.Blob, bad.Blob, {Hash: "unused", Pack: "p1", Codec: "raw"}}
	b.Quarantined = []mailroom.Quarantine{{UIDValidity: UIDValidity, UID: 2, RawHash: bad.Blob.Hash, Reason: mailroom.Problem{Key: "k"}}}
	c := w.take(t, "n1")
	got(s.Deliver(ctx, c, b))
	known := func() string {
		t.Helper()
		v := got(s.KnownBlobs(ctx, w.OrgID, []string{a.Blob.Hash, bad.Blob.Hash, "unused"}))
		return fmt.Sprint(v[a.Blob.Hash], v[bad.Blob.Hash], v["unused"])
	}
	got(s.SweepBlobs(ctx))
	if known() != "true true false" {
		t.Errorf("after sweeping: %v", known())
	}
	must(t, s.DropQuarantine(ctx, w.UserID, got(s.QuarantineRows(ctx, w.UserID))[0].ID, "spam", w.act("quarantine.dropped")))
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(2))) // and with it its quarantine
	if n := got(s.SweepBlobs(ctx)); n == 0 || known() != "true false false" {
		t.Errorf("after the mail in quarantine had gone: %d swept, %v", n, known())
	}

	// Packs move what they hold; the index follows.
	to := a.Blob
	to.Pack, to.Offset = "p2", 77
	a.Blob.Pack = "p1"
	must(t, s.MoveBlobs(ctx, []mailroom.BlobRef{a.Blob}, []mailroom.BlobRef{to}))
	if ref := got(s.BlobRef(ctx, w.OrgID, a.Blob.Hash)); ref != to {
		t.Errorf("moved to %+v, want %+v", ref, to)
	}
	if in := got(s.BlobsIn(ctx, "p2")); !slices.Contains(in, to) {
		t.Errorf("in p2: %v", in)
	}
}
