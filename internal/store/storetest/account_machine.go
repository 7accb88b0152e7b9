package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func testFindings(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	day := time.UnixMicro(1_700_000_000_000_000).UTC()
	f := mailroom.Finding{ID: "fin_1" + w.OrgID, OrgID: w.OrgID, MailboxID: w.Mailbox.ID, MappingID: w.Inbox.ID, Kind: mailroom.FoundMissed, At: day, Count: 3,
		UIDs: mailroom.UIDs(4, 5, 9)}
	later := mailroom.Finding{ID: "fin_2" + w.OrgID, OrgID: w.OrgID, MailboxID: w.Mailbox.ID, MappingID: w.Inbox.ID, Kind: mailroom.FoundShort, At: day.Add(time.Hour), Count: 1}
	signalled(t, s, "user:"+w.UserID, func(ctx context.Context) error { return s.SaveFinding(ctx, c, f) })
	must(t, s.SaveFinding(ctx, c, later))
	if v := got(s.OpenFindings(ctx, w.Inbox.ID)); len(v) != 2 || fmt.Sprintf("%+v", v[0]) != fmt.Sprintf("%+v", f) {
		t.Fatalf("open: %+v", v)
	}
	f.Count, f.UIDs, f.RepairedAt = 2, mailroom.UIDs(4, 5), day.Add(time.Minute)
	must(t, s.SaveFinding(ctx, c, f))
	if v := got(s.OpenFindings(ctx, w.Inbox.ID)); len(v) != 1 || v[0].Kind != mailroom.FoundShort || !v[0].UIDs.Empty() {
		t.Fatalf("open after one was repaired: %+v", v)
	}
	for _, box := range []string{w.Mailbox.ID, ""} {
		v := got(s.Findings(ctx, w.OrgID, box, 10))
		if len(v) != 2 || v[0].ID != later.ID || fmt.Sprintf("%+v", v[1]) != fmt.Sprintf("%+v", f) {
			t.Fatalf("of mailbox %q: %+v", box, v)
		}
	}
	other := Seed(t, s)
	if v := append(got(s.Findings(ctx, other.OrgID, w.Mailbox.ID, 10)), got(s.Findings(ctx, other.OrgID, "", 10))...); len(v) != 0 {
		t.Fatalf("another agency sees %+v", v)
	}
	// Of a mapping that is not there, or of somebody else's mailbox: nothing, quietly.
	f.ID, f.MappingID = "fin_3"+w.OrgID, other.Inbox.ID
	must(t, s.SaveFinding(ctx, c, f))
	if n := w.Count(t, `findings WHERE id = $1`, f.ID); n != 0 {
		t.Error("written on another mailbox's mapping")
	}
	must(t, s.Release(ctx, c, time.Time{}, nil, 0))
	fencedOff(t, s.SaveFinding(ctx, c, f))
}

// testCopiesByObject: a message that lies in several folders is read once where
// the server tells which messages are the same.
func testCopiesByObject(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	w.AddPerson(t, "Eva", "eva@x.example")
	c := w.take(t, "n1")
	read := time.UnixMicro(1_700_000_000_000_000).UTC()
	in, out := w.Mail(1, "eva@x.example", "In", "in"), w.Mail(2, w.Mailbox.Address, "Out", "out")
	in.Placement.ObjectID, in.Placement.ReadAt, in.Placement.ParsedAt = "gm1", read, read.Add(time.Second)
	out.Placement.ObjectID = "gm2"
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, in, out, w.Mail(3, "eva@x.example", "Plain", "plain"))))
	if n := w.Count(t, `placements WHERE object_id = 'gm1' AND read_at = $1 AND parsed_at = $2 AND mailbox_id = $3`, read.UnixMicro(), read.UnixMicro()+1_000_000, w.Mailbox.ID); n != 1 {
		t.Error("the placement does not tell when it was read, or which object it is")
	}
	known := got(s.KnownObjects(ctx, w.Mailbox.ID, []string{"gm1", "gm2", "gm3", ""}))
	if len(known) != 2 || !known["gm1"] || !known["gm2"] {
		t.Fatalf("known: %v", known)
	}
	if v := got(s.KnownObjects(ctx, w.AddRecruiter(t).Mailbox.ID, []string{"gm1"})); len(v) != 0 {
		t.Fatalf("known to a colleague: %v", v)
	}
	label := w.Map(t, "Label", "Label", "")
	copies := func(uid uint32, ids ...string) mailroom.Batch {
		b := w.Batch(label)
		for i, id := range ids {
			b.Copies = append(b.Copies, mailroom.Copy{ReceivedAt: in.Message.ReceivedAt, Placement: mailroom.Placement{UIDValidity: UIDValidity, UID: uid + uint32(i), ObjectID: id}})
		}
		return b
	}
	b := copies(10, "gm1", "gm2")
	if n := got(s.Deliver(ctx, c, b)); n != 2 {
		t.Fatalf("%d copies delivered", n)
	}
	if n := got(s.Deliver(ctx, c, b)); n != 0 {
		t.Errorf("again: %d", n)
	}
	w.counts(t, label.OTYSFolderID, 2, 1) // what was sent is read
	if v := w.list(t, mailroom.MailFilter{FolderID: label.OTYSFolderID}); strings.Join(v, " ") != "Out In" {
		t.Errorf("listed: %v", v)
	}
	for _, l := range w.lines(t, mailroom.MailFilter{FolderID: label.OTYSFolderID}) {
		if l.Sent != (l.Message.Subject == "Out") {
			t.Errorf("%s: sent is %v", l.Message.Subject, l.Sent)
		}
	}
	if n := w.Count(t, `messages WHERE org_id = $1`, w.OrgID); n != 3 {
		t.Errorf("%d messages", n)
	}
	if n := w.Count(t, `placements p JOIN blobs b ON b.hash = p.raw_hash AND b.org_id = $1 WHERE p.mailbox_id = $2 AND p.raw_name = 'Label'`, w.OrgID, w.Mailbox.ID); n != 2 {
		t.Errorf("%d of the copies name their raw copy", n)
	}
	w.linkedTo(t, "In", "Eva address")
	before := w.census(t)
	_, err := s.Deliver(ctx, c, copies(20, "gm1", "gm9"))
	refused(t, err, mailroom.Conflict, "error.blob_gone")
	if after := w.census(t); after != before {
		t.Errorf("refused, it changed\n%s to\n%s", before, after)
	}

	// What a folder is known again by.
	if v := got(s.SampleMessageIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity, 2)); len(v) != 2 || v[3] != "Plain@mail.example" || v[2] != "Out@mail.example" {
		t.Errorf("sample: %v", v)
	}
	bare := w.Mail(4, "eva@x.example", "Bare", "bare")
	bare.Message.MessageID = ""
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, bare)))
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(3)))
	if v := got(s.SampleMessageIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity, 2)); len(v) != 2 || v[2] == "" || v[1] == "" {
		t.Errorf("sample without what is gone or has no id: %v", v)
	}
	if v := got(s.SampleMessageIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity+1, 2)); len(v) != 0 {
		t.Errorf("sample of another generation: %v", v)
	}
}

func testQuarantineDropped(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	b := w.Batch(w.Inbox)
	for uid := range uint32(3) {
		b.Quarantined = append(b.Quarantined, mailroom.Quarantine{UIDValidity: UIDValidity, UID: uid + 1, Attempts: 1, RetryAt: time.Now().Add(time.Hour), Version: "1.0",
			Reason: mailroom.Problem{Kind: mailroom.Invalid, Key: "quarantine.reason.unreadable"}})
	}
	b.Quarantined[1].Reason.Key = "quarantine.reason.placeholder"
	got(s.Deliver(ctx, c, b))
	row := func(uid uint32) mailroom.Quarantine {
		t.Helper()
		for _, q := range got(s.QuarantineRows(ctx, w.UserID)) {
			if q.UID == uid {
				return q
			}
		}
		t.Fatalf("UID %d is not listed", uid)
		return mailroom.Quarantine{}
	}
	id := row(3).ID
	version := got(s.LoadWork(ctx, c)).Mailbox.MappingsVersion
	drop := func(user, reason string) error {
		return s.DropQuarantine(ctx, user, id, reason, w.act("quarantine.dropped"))
	}
	refused(t, drop(w.UserID, " \t\x00"), mailroom.Invalid, "quarantine.error.reason")
	refused(t, drop(w.UserID, strings.Repeat("é", 201)), mailroom.Invalid, "quarantine.error.reason_long")
	refused(t, drop(w.AddRecruiter(t).UserID, "mine now"), mailroom.NotFound, "error.not_found")
	signalled(t, s, "user:"+w.UserID, func(context.Context) error { return drop(w.UserID, " Spam \x00 ") })
	if q := row(3); q.DroppedAt.IsZero() || q.DroppedBy != w.UserID || q.DroppedReason != "Spam" {
		t.Fatalf("dropped: %+v", q)
	}
	if e := got(s.AuditEvents(ctx, w.OrgID, 1)); e[0].Action != "quarantine.dropped" || e[0].Details["reason"] != "Spam" {
		t.Errorf("audited: %+v", e)
	}
	if rows := got(s.QuarantineRows(ctx, w.UserID)); len(rows) != 3 || rows[2].UID != 3 {
		t.Errorf("what was given up is not listed last: %+v", rows)
	}
	if _, n, err := s.Waiting(ctx, w.OrgID, w.UserID); n != 2 || err != nil {
		t.Errorf("counted %d, %v", n, err)
	}
	held := got(s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity))
	if held.Quarantined.String() != "1:2" || held.Dropped.String() != "3" {
		t.Errorf("held: %+v", held)
	}
	// The node goes on, with what it reads of the mailbox loaded again.
	if v := got(s.LoadWork(ctx, c)).Mailbox.MappingsVersion; v != version+1 {
		t.Errorf("version %d after %d", v, version)
	}
	refused(t, s.RetryQuarantine(ctx, w.UserID, id, time.Now(), w.act("x")), mailroom.Conflict, "quarantine.error.dropped")
	// A try that was under way does not take it back.
	b.Quarantined = b.Quarantined[2:]
	got(s.Deliver(ctx, c, b))
	if row(3).DroppedAt.IsZero() {
		t.Error("not given up any more")
	}
	if due := got(s.DueQuarantine(ctx, w.Inbox.ID, time.Now().Add(2*time.Hour), 10)); len(due) != 2 || due[0].UID != 2 || due[1].UID != 1 {
		t.Errorf("due: %+v", due)
	}

	// Another version tries again what it may understand better.
	got(s.RetryAfterUpgrade(ctx, "0.9")) // the rows of other parts of the suite are due from now on
	b.Quarantined = []mailroom.Quarantine{{UIDValidity: UIDValidity, UID: 1, Attempts: 2, RetryAt: time.Now().Add(time.Hour), Version: "1.0", Reason: mailroom.Problem{Key: "quarantine.reason.unreadable"}}}
	got(s.Deliver(ctx, c, b))
	wanted := got(s.Wanted(ctx, "n1"))[w.Mailbox.ID].Wanted
	if n := got(s.RetryAfterUpgrade(ctx, "1.0")); n != 0 {
		t.Errorf("the same version tries %d again", n)
	}
	if n := got(s.RetryAfterUpgrade(ctx, "1.1")); n != 1 || row(1).RetryAt.After(time.Now()) || !row(2).RetryAt.After(time.Now()) {
		t.Errorf("%d to be tried again; %+v", n, got(s.QuarantineRows(ctx, w.UserID)))
	}
	if v := got(s.Wanted(ctx, "n1"))[w.Mailbox.ID].Wanted; v != wanted+1 {
		t.Errorf("wanted %d after %d", v, wanted)
	}

	refused(t, s.KeepQuarantine(ctx, "usr_other", id, w.act("x")), mailroom.NotFound, "error.not_found")
	must(t, s.KeepQuarantine(ctx, w.UserID, id, w.act("quarantine.kept")))
	w.audited(t, "quarantine.kept")
	if q := row(3); !q.DroppedAt.IsZero() || q.DroppedBy != "" || q.DroppedReason != "" || q.RetryAt.After(time.Now()) {
		t.Errorf("kept after all: %+v", q)
	}
	if v := got(s.LoadWork(ctx, c)).Mailbox.MappingsVersion; v != version+2 {
		t.Errorf("version %d after %d", v, version)
	}
}
