package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// tables are all that a batch may touch, for comparing before and after.
var tables = []string{"messages", "message_addresses", "placements", "deliveries", "links", "choices", "quarantine", "blobs", "message_fts", "progress", "otys_folders"}

// census counts the rows of every table, of all agencies.
func (w World) census(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	for _, table := range tables {
		fmt.Fprintf(&b, "%s=%d ", table, w.Count(t, table))
	}
	var total, unread int
	if err := w.DB.QueryRow(`SELECT SUM(total), SUM(unread) FROM otys_folders`).Scan(&total, &unread); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%stotal=%d unread=%d", &b, total, unread)
}

func testDeliver(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	m := w.Mail(10, "eva@klant.example", "Sollicitatie", "Beste Roos, hierbij mijn cv.")
	m.Message.Attachments = []mailroom.Attachment{{Part: "2", Name: "cv.pdf", Type: "application/pdf", Size: 1000}}
	m.Message.Cc = []mailroom.Address{{Name: "Bob", Addr: "bob@klant.example"}}
	m.Message.References, m.Message.InReplyTo = []string{"r1@x", "r2@x"}, "r2@x"
	m.Message.HasHTML = true
	b := w.Batch(w.Inbox, m)
	b.Progress.Stored, b.Progress.Backlog = 1, mailroom.UIDs(9)
	signalled(t, s, "user:"+w.UserID, func(ctx context.Context) error {
		n, err := s.Deliver(ctx, c, b)
		if n != 1 {
			t.Errorf("%d delivered", n)
		}
		return err
	})
	lines := w.lines(t, mailroom.MailFilter{FolderID: w.Inbox.OTYSFolderID})
	if len(lines) != 1 || !lines[0].Unread || lines[0].Sent {
		t.Fatalf("%+v", lines)
	}
	is, want := lines[0].Message, m.Message
	want.ID, want.OrgID, want.BodyHash, want.Text = is.ID, w.OrgID, "", ""
	if fmt.Sprintf("%+v", is) != fmt.Sprintf("%+v", want) {
		t.Errorf("came back as\n%+v, want\n%+v", is, want)
	}
	w.counts(t, w.Inbox.OTYSFolderID, 1, 1)
	p := got(s.LoadWork(ctx, c)).Progress[w.Inbox.ID]
	if p.Stored != 1 || p.Backlog.String() != "9" || p.Cursor.UIDValidity != UIDValidity {
		t.Errorf("progress: %+v", p)
	}
	held, err := s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity)
	if err != nil || held.Placed.String() != "10" || !held.Quarantined.Empty() {
		t.Errorf("held: %+v, %v", held, err)
	}
	if held, _ := s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity+1); !held.Placed.Empty() {
		t.Errorf("held in another generation: %s", held.Placed)
	}
}

func testDeliverMany(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	for i := range 40 {
		w.AddPerson(t, fmt.Sprintf("P%d", i), fmt.Sprintf("p%d@many.example", i))
	}
	c := w.take(t, "n1")
	const n = 1000 + 64 + 16 + 4 + 3 // every size of insert
	mails := make([]mailroom.Mail, n)
	for i := range mails {
		mails[i] = w.Mail(uint32(i+1), fmt.Sprintf("p%d@many.example", i%80), fmt.Sprintf("Many %d", i), fmt.Sprintf("text %d", i))
	}
	if v := got(s.Deliver(ctx, c, w.Batch(w.Inbox, mails...))); v != n {
		t.Fatalf("%d of %d delivered", v, n)
	}
	w.counts(t, w.Inbox.OTYSFolderID, n, n)
	held, err := s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity)
	if err != nil || held.Placed.String() != fmt.Sprintf("1:%d", n) {
		t.Errorf("held %s, %v", held.Placed, err)
	}
	for table, want := range map[string]int{"messages": n, "message_addresses": n, "blobs": n} {
		if v := w.Count(t, table+` WHERE org_id = $1`, w.OrgID); v != want {
			t.Errorf("%d rows in %s, want %d", v, table, want)
		}
	}
	want := 0
	for i := range n {
		if i%80 < 40 {
			want++
		}
	}
	if v := w.Count(t, `links WHERE org_id = $1`, w.OrgID); v != want {
		t.Errorf("%d linked, want %d", v, want)
	}
	if v := w.list(t, mailroom.MailFilter{Search: "many 1044"}); len(v) != 1 || v[0] != "Many 1044" {
		t.Errorf("found %v", v)
	}
}

func testDeliverCopies(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	a := w.Mail(1, "eva@x.example", "Twice", "same text")
	b := a // another folder: other trace headers, so other raw bytes
	b.Placement.UID = 5
	b.Blob.Hash, b.Message.RawHash = "other-raw", "other-raw"
	twin := a // the same raw mail twice in one folder
	twin.Placement.UID = 2
	c := w.take(t, "n1")
	if n := got(s.Deliver(ctx, c, w.Batch(w.Inbox, a, twin))); n != 1 {
		t.Errorf("two copies in one folder are shown %d times", n)
	}
	if n := got(s.Deliver(ctx, c, w.Batch(w.Sent, b))); n != 1 {
		t.Errorf("%d delivered to the second folder", n)
	}
	must(t, s.Release(ctx, c, time.Time{}, nil, 0))
	colleague := w.AddRecruiter(t)
	colleague.file(t, colleague.Inbox, a)
	if n := w.Count(t, `messages WHERE org_id = $1`, w.OrgID); n != 1 {
		t.Errorf("%d messages of one mail", n)
	}
	if n := w.Count(t, `placements WHERE message_seq = (SELECT seq FROM messages WHERE org_id = $1)`, w.OrgID); n != 4 {
		t.Errorf("%d placements, want 4", n)
	}
	if n := w.Count(t, `blobs WHERE org_id = $1`, w.OrgID); n != 2 {
		t.Errorf("%d raw mails, want 2: no raw copy is discarded", n)
	}
	if v := w.list(t, mailroom.MailFilter{}); len(v) != 1 {
		t.Errorf("over all folders it is listed as %v", v)
	}

	// Equal Message-ID, other body: two mails. No Message-ID: the raw bytes decide.
	other := w.Mail(7, "eva@x.example", "Twice", "another text")
	bare, bareToo, bareAgain := w.Mail(8, "e@x.example", "Bare", "1"), w.Mail(9, "e@x.example", "Bare", "2"), w.Mail(11, "e@x.example", "Bare", "2")
	bare.Message.MessageID, bareToo.Message.MessageID, bareAgain.Message.MessageID = "", "", ""
	w.file(t, w.Inbox, other, bare, bareToo, bareAgain)
	if n := w.Count(t, `messages WHERE org_id = $1`, w.OrgID); n != 4 {
		t.Errorf("%d messages, want 4", n)
	}
	stranger := Seed(t, s)
	stranger.file(t, stranger.Inbox, a)
	if n := w.Count(t, `messages WHERE org_id = $1`, stranger.OrgID); n != 1 {
		t.Error("another agency's mail fell together with this one's")
	}
}

func testDeliverAgain(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	w.AddPerson(t, "Eva", "eva@x.example")
	c := w.take(t, "n1")
	b := w.Batch(w.Inbox, w.Mail(1, "eva@x.example", "One", "1"), w.Mail(2, "eva@x.example", "Two", "2"), w.Mail(3, "x@x.example", "Three", "3"))
	b.Quarantined = []mailroom.Quarantine{{UIDValidity: UIDValidity, UID: 4, Reason: mailroom.Problem{Key: "k"}, Attempts: 1}}
	if n := got(s.Deliver(ctx, c, b)); n != 3 {
		t.Fatalf("%d delivered", n)
	}
	before := w.census(t)
	if n := got(s.Deliver(ctx, c, b)); n != 0 {
		t.Errorf("the second time %d were new", n)
	}
	if after := w.census(t); after != before {
		t.Errorf("the second time changed\n%s to\n%s", before, after)
	}
	// Half old, half new; one named twice.
	more := w.Batch(w.Inbox, append(b.Mails[1:], w.Mail(5, "y@x.example", "Five", "5"), w.Mail(5, "y@x.example", "Five", "5"))...)
	if n := got(s.Deliver(ctx, c, more)); n != 1 {
		t.Errorf("%d new, want 1", n)
	}
	w.counts(t, w.Inbox.OTYSFolderID, 4, 4)
}

func testDeliverFenced(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	b := w.Batch(w.Inbox, w.Mail(1, "eva@x.example", "Late", "1"))
	b.Progress.Stored = 77
	old := w.take(t, "n1")
	w.exec(t, `UPDATE mailboxes SET lease_until = 1 WHERE id = $1`, w.Mailbox.ID)
	c := w.take(t, "n2")
	before := w.census(t)
	refusedAll := func(c mailroom.Claim) {
		t.Helper()
		n, err := s.Deliver(ctx, c, b)
		fencedOff(t, err)
		fencedOff(t, s.ApplyFlags(ctx, c, w.Inbox, UIDValidity, nil))
		fencedOff(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(1)))
		if after := w.census(t); after != before || n != 0 {
			t.Errorf("a fenced batch delivered %d and changed\n%s to\n%s", n, before, after)
		}
	}
	refusedAll(old)
	if got(s.LoadWork(ctx, c)).Progress[w.Inbox.ID].Stored == 77 {
		t.Error("a fenced batch moved the progress")
	}
	must(t, s.Release(ctx, c, time.Time{}, nil, 0))
	refusedAll(c)
	c = w.take(t, "n3")
	got(s.Deliver(ctx, c, b))
}

func testDeliverRefused(t *testing.T, w World) {
	s := w.Store
	c := w.take(t, "n1")
	good, bad := w.Mail(1, "eva@x.example", "Good", "1"), w.Mail(2, "eva@x.example", "Bad", "2")
	bad.Blob = mailroom.BlobRef{Hash: bad.Blob.Hash}
	before := w.census(t)
	_, err := s.Deliver(t.Context(), c, w.Batch(w.Inbox, good, bad))
	refused(t, err, mailroom.Conflict, "error.blob_gone")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Deliver(ended, c, w.Batch(w.Inbox, good)); err == nil {
		t.Error("filed after its context had ended")
	}
	if after := w.census(t); after != before {
		t.Errorf("refused batches changed\n%s to\n%s", before, after)
	}
	if n := got(s.Deliver(t.Context(), c, w.Batch(w.Inbox, good))); n != 1 {
		t.Errorf("%d delivered after that", n)
	}
}

func testDeliverUnmapped(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	before := w.census(t)
	gone := w.Inbox
	gone.ID = "map_gone"
	_, err := s.Deliver(ctx, c, w.Batch(gone, w.Mail(1, "e@x.example", "x", "x")))
	refused(t, err, mailroom.NotFound, "mapping.error.removed")
	if after := w.census(t); after != before {
		t.Errorf("changed\n%s to\n%s", before, after)
	}
	// Aimed elsewhere while a run was under way: mail goes where it is to go now.
	w.exec(t, `UPDATE mappings SET otys_folder_id = $1 WHERE id = $2`, w.Sent.OTYSFolderID, w.Inbox.ID)
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, w.Mail(2, "e@x.example", "y", "y"))))
	w.counts(t, w.Inbox.OTYSFolderID, 0, 0)
	w.counts(t, w.Sent.OTYSFolderID, 1, 1)
}

func testDeliverRead(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	seen := w.Mail(1, "a@x.example", "Seen", "1")
	seen.Placement.Flags.Seen = true
	sent := w.Mail(2, w.Mailbox.Address, "Sent", "2")
	sent.Message.To = []mailroom.Address{{Addr: "eva@x.example"}}
	fresh := w.Mail(3, "a@x.example", "Fresh", "3")
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, seen, sent, fresh)))
	unread := func() string {
		t.Helper()
		return strings.Join(w.list(t, mailroom.MailFilter{Unread: true}), " ")
	}
	if unread() != "Fresh" {
		t.Errorf("unread: %s", unread())
	}
	w.counts(t, w.Inbox.OTYSFolderID, 3, 1)
	for _, l := range w.lines(t, mailroom.MailFilter{}) {
		if l.Sent != (l.Message.Subject == "Sent") {
			t.Errorf("%s: sent is %v", l.Message.Subject, l.Sent)
		}
	}
	// A copy that was read in another folder is the same mail, read.
	copied := fresh
	copied.Placement = mailroom.Placement{UIDValidity: UIDValidity, UID: 30, Flags: mailroom.Flags{Seen: true}}
	got(s.Deliver(ctx, c, w.Batch(w.Sent, copied)))
	if unread() != "" {
		t.Errorf("unread after its copy was read: %s", unread())
	}
	w.counts(t, w.Inbox.OTYSFolderID, 3, 0)
	w.counts(t, w.Sent.OTYSFolderID, 1, 0)
	// And what was read here is not unread again in another folder.
	third := w.Map(t, "Archive", "Archive", mailroom.RoleArchive)
	copied.Placement = mailroom.Placement{UIDValidity: UIDValidity, UID: 31}
	got(s.Deliver(ctx, c, w.Batch(third, copied)))
	w.counts(t, third.OTYSFolderID, 1, 0)
}

func testDeliverHostile(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	long := strings.Repeat("Kandidaat ", 40_000) // 400 KB of text, more than is indexed
	var words strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&words, "w%dx ", i)
	}
	nasty := "nul \x00 bad \xff\xfe half \xe2\x82 quote ' \" $1 ? ; DROP TABLE messages"
	mails := []mailroom.Mail{w.Mail(1, "a@x.example", "Long", long), w.Mail(2, "a@x.example", "Words", words.String()),
		w.Mail(3, "ha\x00\xffns@x.example", nasty, nasty), w.Mail(4, "", "", "")}
	m := &mails[2].Message
	m.MessageID, m.From[0].Name, m.InReplyTo, m.References = "id\x00\xff@x", nasty, nasty, []string{nasty}
	m.Attachments = []mailroom.Attachment{{Part: "1", Name: nasty, Type: "a/b"}}
	mails[3].Message.From, mails[3].Message.To, mails[3].Message.MessageID = nil, nil, ""
	mails[3].Message.Date, mails[3].Message.ReceivedAt = time.Time{}, time.Time{}
	b := w.Batch(w.Inbox, mails...)
	b.Quarantined = []mailroom.Quarantine{{UIDValidity: UIDValidity, UID: 9, Reason: mailroom.Problem{Key: "k", Args: map[string]any{"x": nasty}}}}
	if n := got(s.Deliver(ctx, c, b)); n != 4 {
		t.Fatalf("%d of 4 delivered", n)
	}
	if n := got(s.Deliver(ctx, c, b)); n != 0 {
		t.Errorf("again: %d", n)
	}
	for query, want := range map[string]int{"kandidaat": 1, "w100x": 1, "bad half": 1, "drop table": 1} {
		if v := w.list(t, mailroom.MailFilter{Search: query}); len(v) != want {
			t.Errorf("%q finds %d mails, want %d", query, len(v), want)
		}
	}
}

func testDeliverQuarantine(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	now := time.UnixMicro(1_700_000_000_000_000).UTC()
	bad := func(uid uint32, attempts int, retry time.Time) mailroom.Quarantine {
		return mailroom.Quarantine{UIDValidity: UIDValidity, UID: uid, RawHash: "raw-of-bad", Size: 10, Attempts: attempts, RetryAt: retry,
			Reason: mailroom.Problem{Kind: mailroom.Invalid, Key: "quarantine.unparseable", Since: now}}
	}
	b := w.Batch(w.Inbox, w.Mail(1, "a@x.example", "Fine", "1"))
	b.Blobs = []mailroom.BlobRef{{Hash: "raw-of-bad", Pack: "p1", Codec: "raw", Size: 10, Length: 10}}
	b.Quarantined = []mailroom.Quarantine{bad(2, 1, now.Add(time.Hour)), bad(3, 1, now), bad(1, 1, now)} // 1 is filed in the same batch
	if n := got(s.Deliver(ctx, c, b)); n != 1 {
		t.Errorf("%d delivered", n)
	}
	held, err := s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity)
	if err != nil || held.Placed.String() != "1" || held.Quarantined.String() != "2:3" {
		t.Errorf("held %+v, %v", held, err)
	}
	due := func(at time.Time) string {
		var uids []uint32
		for _, q := range got(s.DueQuarantine(ctx, w.Inbox.ID, at, 10)) {
			uids = append(uids, q.UID)
		}
		return mailroom.UIDs(uids...).String()
	}
	if due(now.Add(-1)) != "" || due(now) != "3" || due(now.Add(time.Hour)) != "2:3" {
		t.Errorf("due: %s, %s, %s", due(now.Add(-1)), due(now), due(now.Add(time.Hour)))
	}
	// Tried again in vain, then in a later attempt filed.
	b = w.Batch(w.Inbox)
	b.Quarantined = []mailroom.Quarantine{bad(3, 2, now.Add(2*time.Hour))}
	got(s.Deliver(ctx, c, b))
	rows := got(s.QuarantineOf(ctx, w.Inbox.ID))
	if len(rows) != 2 || rows[3].Attempts != 2 || rows[3].Reason.Key != "quarantine.unparseable" || rows[3].RawHash != "raw-of-bad" || rows[3].OrgID != w.OrgID {
		t.Errorf("%+v", rows)
	}
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, w.Mail(3, "a@x.example", "Mended", "3"))))
	if rows := got(s.QuarantineOf(ctx, w.Inbox.ID)); len(rows) != 1 || rows[2].UID != 2 {
		t.Errorf("after it was filed: %+v", rows)
	}
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(2)))
	if rows := got(s.QuarantineOf(ctx, w.Inbox.ID)); len(rows) != 0 {
		t.Errorf("a mail that is gone is still in quarantine: %+v", rows)
	}
}
