package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// at is the mail at another UID, as a copy or a move puts it there.
func at(m mailroom.Mail, uid uint32) mailroom.Mail {
	m.Placement.UID = uid
	return m
}

// removes sets what a mapping does with mail that is removed at its source.
func (w World) removes(t testing.TB, m mailroom.Mapping, how mailroom.Removal) {
	t.Helper()
	w.exec(t, `UPDATE mappings SET removal = $1 WHERE id = $2`, string(how), m.ID)
}

// settle takes out what has left until now.
func (w World) settle(t testing.TB, c mailroom.Claim) int64 {
	t.Helper()
	return got(w.Store.SettleRemovals(t.Context(), c, time.Now().Add(time.Minute), 1000))
}

// in is what a folder lists, newest first, the unread ones with a star.
func (w World) in(t testing.TB, m mailroom.Mapping) string {
	t.Helper()
	w.countersHold(t)
	var out []string
	for _, l := range w.lines(t, mailroom.MailFilter{FolderID: m.OTYSFolderID}) {
		out = append(out, l.Message.Subject+map[bool]string{true: "*"}[l.Unread])
	}
	return strings.Join(out, " ")
}

// digestOf is what a tombstone keeps of a text.
func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// countersHold fails unless every folder of the agency counts what it holds.
func (w World) countersHold(t testing.TB) {
	t.Helper()
	if n := w.Count(t, `otys_folders f WHERE f.org_id = $1 AND (f.total <> (SELECT COUNT(*) FROM deliveries d WHERE d.otys_folder_id = f.id)
		OR f.unread <> (SELECT COUNT(*) FROM deliveries d WHERE d.otys_folder_id = f.id AND d.unread))`, w.OrgID); n != 0 {
		t.Fatalf("%d folders count what they do not hold", n)
	}
}

func testMoves(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	archive := w.Map(t, "Archive", "Archive", mailroom.RoleArchive)
	c := w.take(t, "n1")
	gone := func(m mailroom.Mapping, uids ...uint32) {
		t.Helper()
		must(t, s.MarkGone(ctx, c, m.ID, UIDValidity, mailroom.UIDs(uids...)))
	}
	file := func(m mailroom.Mapping, mails ...mailroom.Mail) {
		t.Helper()
		got(s.Deliver(ctx, c, w.Batch(m, mails...)))
	}
	a, b := w.Mail(1, "a@x.example", "A", "a"), w.Mail(2, "a@x.example", "B", "b")
	a.Placement.Flags.Seen, b.Placement.Flags.Seen = true, true
	file(w.Inbox, a, b)
	// The recruiter marked one unread again; that goes along, and what the source
	// says of a copy is no news.
	must(t, s.MarkRead(ctx, w.UserID, w.id(t, "A"), false))

	// First seen to be gone, then seen to be in the other folder.
	gone(w.Inbox, 1)
	if v := w.in(t, w.Inbox); v != "B A*" {
		t.Errorf("before it is known where it went: %q", v)
	}
	file(archive, at(a, 10))
	if in, ar := w.in(t, w.Inbox), w.in(t, archive); in != "B" || ar != "A*" {
		t.Errorf("inbox %q, archive %q", in, ar)
	}
	// The other way round.
	file(archive, at(b, 11))
	if in, ar := w.in(t, w.Inbox), w.in(t, archive); in != "B" || ar != "B A*" {
		t.Errorf("a copy: inbox %q, archive %q", in, ar)
	}
	gone(w.Inbox, 2)
	if in, ar := w.in(t, w.Inbox), w.in(t, archive); in != "" || ar != "B A*" {
		t.Errorf("inbox %q, archive %q", in, ar)
	}
	// And back again.
	gone(archive, 10)
	file(w.Inbox, at(a, 3))
	if in, ar := w.in(t, w.Inbox), w.in(t, archive); in != "A*" || ar != "B" {
		t.Errorf("inbox %q, archive %q", in, ar)
	}
	// One of two copies in a folder is removed: the other holds.
	file(archive, at(b, 12))
	gone(archive, 11)
	if v := w.in(t, archive); v != "B" {
		t.Errorf("archive %q", v)
	}
	// Read at the source between leaving and arriving: that is news.
	d := w.Mail(4, "a@x.example", "D", "d")
	file(w.Inbox, d)
	gone(w.Inbox, 4)
	d.Placement.Flags.Seen = true
	file(archive, at(d, 13))
	if in, ar := w.in(t, w.Inbox), w.in(t, archive); in != "A*" || ar != "D B" {
		t.Errorf("inbox %q, archive %q", in, ar)
	}

	// What a mapping that is gone had brought stays where it is.
	file(w.Sent, at(d, 20))
	w.exec(t, `DELETE FROM mappings WHERE id = $1`, w.Sent.ID)
	gone(archive, 13)
	file(w.Inbox, at(d, 5))
	if in, ar, sent := w.in(t, w.Inbox), w.in(t, archive), w.in(t, w.Sent); in != "D A*" || ar != "D B" || sent != "D" {
		t.Errorf("inbox %q, archive %q, sent %q", in, ar, sent)
	}

	// Taken for gone and moved, then there again: it lies in both.
	gone(w.Inbox, 3)
	file(archive, at(a, 30))
	if n := got(s.Deliver(ctx, c, w.Batch(w.Inbox, at(a, 3)))); n != 1 {
		t.Errorf("%d delivered", n)
	}
	if in, ar := w.in(t, w.Inbox), w.in(t, archive); in != "D A*" || ar != "D B A*" {
		t.Errorf("inbox %q, archive %q", in, ar)
	}
}

func testRemovals(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	archive := w.Map(t, "Archive", "Archive", mailroom.RoleArchive)
	w.AddPerson(t, "Eva", "eva@x.example")
	w.removes(t, w.Inbox, mailroom.RemovalRemove)
	c := w.take(t, "n1")
	mail := func(uid uint32, name string) mailroom.Mail { return w.Mail(uid, "eva@x.example", name, name) }
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, mail(1, "Stays"), mail(2, "Removed"), mail(3, "Moved"), mail(4, "Back"), mail(5, "Mind"))))
	got(s.Deliver(ctx, c, w.Batch(archive, mail(1, "Kept"))))
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.Range(2, 4)))
	must(t, s.MarkGone(ctx, c, archive.ID, UIDValidity, mailroom.Range(1, 200_000_000)))
	if v := w.in(t, w.Inbox); v != "Mind* Back* Moved* Removed* Stays*" {
		t.Errorf("removed before it was known that they have not moved: %q", v)
	}
	if n := got(s.SettleRemovals(ctx, c, time.Now().Add(-time.Hour), 100)); n != 0 {
		t.Errorf("%d removed before the time", n)
	}
	got(s.Deliver(ctx, c, w.Batch(archive, at(mail(3, "Moved"), 7))))
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, mail(4, "Back"))))
	signalled(t, s, "user:"+w.UserID, func(ctx context.Context) error {
		if n := w.settle(t, c); n != 1 {
			t.Errorf("%d removed", n)
		}
		return nil
	})
	if in, ar := w.in(t, w.Inbox), w.in(t, archive); in != "Mind* Back* Stays*" || ar != "Moved* Kept*" {
		t.Errorf("inbox %q, archive %q", in, ar)
	}
	w.audited(t, "mapping.mail_removed")
	if e := got(s.AuditEvents(ctx, w.OrgID, 1))[0]; e.Subject != w.Mailbox.ID || e.ActorID != "" || e.Details["count"] != float64(1) {
		t.Errorf("audited %+v", e)
	}
	if n := w.settle(t, c); n != 0 || w.Count(t, `leaving WHERE mailbox_id = $1`, w.Mailbox.ID) != 0 {
		t.Errorf("%d removed the second time", n)
	}
	if n := w.Count(t, `messages WHERE org_id = $1 AND subject = 'Removed'`, w.OrgID) + w.Count(t, `tombstones WHERE mapping_id = $1`, w.Inbox.ID); n != 1 {
		t.Errorf("of what was removed %d rows are left", n)
	}
	if v := w.list(t, mailroom.MailFilter{Search: "removed"}); len(v) != 0 {
		t.Errorf("found: %v", v)
	}
	// Of a mapping that has another mind by then: it stays. A few at a time.
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(5)))
	w.removes(t, w.Inbox, mailroom.RemovalKeep)
	if n := w.settle(t, c); n != 0 || w.in(t, w.Inbox) != "Mind* Back* Stays*" {
		t.Errorf("%d removed though it is to stay: %q", n, w.in(t, w.Inbox))
	}
	w.removes(t, w.Inbox, mailroom.RemovalRemove)
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(1, 4)))
	for range 2 {
		if n := got(s.SettleRemovals(ctx, c, time.Now().Add(time.Minute), 1)); n != 1 {
			t.Errorf("%d removed, one was asked for", n)
		}
	}
	if v := w.in(t, w.Inbox); v != "Mind*" {
		t.Errorf("inbox %q", v)
	}
	must(t, s.MarkGone(ctx, c, archive.ID, UIDValidity, mailroom.UIDs(7)))
	must(t, s.Release(ctx, c, time.Time{}, nil, 0))
	w.exec(t, `INSERT INTO leaving(mapping_id, message_seq, mailbox_id, at) SELECT $1, MIN(seq), $2, 1 FROM messages WHERE org_id = $3`, w.Inbox.ID, w.Mailbox.ID, w.OrgID)
	_, err := s.SettleRemovals(ctx, c, time.Now(), 100)
	fencedOff(t, err)
}

func testTombstones(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	eva := w.AddPerson(t, "Eva", "eva@x.example")
	archive := w.Map(t, "Archive", "Archive", mailroom.RoleArchive)
	w.removes(t, w.Inbox, mailroom.RemovalRemove)
	c := w.take(t, "n1")
	m, other := w.Mail(1, "eva@x.example", "M", "m"), w.Mail(2, "eva@x.example", "Other", "o")
	m.Placement.ObjectID = "gm1"
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, m, other)))
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(1)))
	w.settle(t, c)
	if known := got(s.KnownObjects(ctx, w.Mailbox.ID, []string{"gm1"})); len(known) != 0 {
		t.Error("the object of a removed message is still known")
	}
	// It comes back: accounted for, and shown to nobody.
	if n := got(s.Deliver(ctx, c, w.Batch(w.Inbox, at(m, 3)))); n != 0 {
		t.Errorf("%d delivered", n)
	}
	if held := got(s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity)); held.Placed.String() != "2:3" {
		t.Errorf("held %s", held.Placed)
	}
	if v := w.in(t, w.Inbox); v != "Other*" {
		t.Errorf("inbox %q", v)
	}
	if v := got(s.PersonMails(ctx, w.OrgID, w.UserID, eva, true, mailroom.Position{}, 10)); len(v) != 1 || v[0].Message.Subject != "Other" {
		t.Errorf("with the person: %v", subjects(v))
	}
	got(s.AddPerson(ctx, w.person("Late", "eva@x.example"), w.act("person.added")))
	if _, n, err := s.Waiting(ctx, w.OrgID, w.UserID); err != nil || n != 0 {
		t.Errorf("waits: %d, %v", n, err)
	}
	// Neither as a copy by object id, nor taken for gone and back.
	b := w.Batch(w.Inbox)
	b.Copies = []mailroom.Copy{{ReceivedAt: m.Message.ReceivedAt, Placement: mailroom.Placement{UIDValidity: UIDValidity, UID: 4, ObjectID: "gm1"}}}
	if n := got(s.Deliver(ctx, c, b)); n != 0 {
		t.Errorf("%d copies delivered", n)
	}
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(3)))
	if n := got(s.Deliver(ctx, c, w.Batch(w.Inbox, at(m, 3)))); n != 0 || w.in(t, w.Inbox) != "Other*" {
		t.Errorf("%d delivered, inbox %q", n, w.in(t, w.Inbox))
	}
	// When it goes for good nothing of it stays, but for its tombstone.
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(3, 4)))
	if n := w.Count(t, `messages WHERE org_id = $1 AND subject = 'M'`, w.OrgID); n != 0 {
		t.Error("a message that is nobody's and nowhere is kept")
	}
	// Through another mapping it comes, with its people.
	if n := got(s.Deliver(ctx, c, w.Batch(archive, at(m, 9)))); n != 1 || w.in(t, archive) != "M*" {
		t.Errorf("%d delivered, archive %q", n, w.in(t, archive))
	}
	// And what moves has never left, wherever it goes.
	must(t, s.MarkGone(ctx, c, archive.ID, UIDValidity, mailroom.UIDs(9)))
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, at(m, 10))))
	if in, ar := w.in(t, w.Inbox), w.in(t, archive); in != "Other* M*" && in != "M* Other*" || ar != "" {
		t.Errorf("inbox %q, archive %q", in, ar)
	}
}

// testRemovalShared: a removal is a recruiter's own; the message goes with the
// last who has it, and with all that people made of it.
func testRemovalShared(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	v := w.AddRecruiter(t)
	eva := w.AddPerson(t, "Eva", "eva@x.example")
	worlds := []World{w, v}
	claims := []mailroom.Claim{}
	for i, x := range worlds {
		x.removes(t, x.Inbox, mailroom.RemovalRemove)
		claims = append(claims, x.take(t, []string{"n1", "n2"}[i]))
		m := x.Mail(uint32(5+i), "eva@x.example", "Shared", "same")
		m.Message.To = []mailroom.Address{{Addr: "both@werk.example"}}
		got(s.Deliver(ctx, claims[i], x.Batch(x.Inbox, m)))
	}
	must(t, s.Unlink(ctx, w.OrgID, w.id(t, "Shared"), eva, w.act("link.removed")))
	must(t, s.Link(ctx, w.OrgID, w.id(t, "Shared"), eva, w.act("link.made"))) // by hand
	for i, x := range worlds {
		must(t, s.MarkGone(ctx, claims[i], x.Inbox.ID, UIDValidity, mailroom.UIDs(uint32(5+i))))
		if n := x.settle(t, claims[i]); n != 1 || x.in(t, x.Inbox) != "" {
			t.Errorf("%d removed, %q left", n, x.in(t, x.Inbox))
		}
		if i == 0 {
			if v.in(t, v.Inbox) != "Shared*" {
				t.Errorf("the colleague has %q", v.in(t, v.Inbox))
			}
			v.linkedTo(t, "Shared", "Eva hand")
		}
	}
	if n := w.Count(t, `messages WHERE org_id = $1`, w.OrgID) + w.Count(t, `links WHERE org_id = $1`, w.OrgID); n != 0 {
		t.Errorf("%d rows left of what nobody has", n)
	}
}

func testQuarantineGone(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	b := w.Batch(w.Inbox)
	for uid := range uint32(3) {
		b.Quarantined = append(b.Quarantined, mailroom.Quarantine{UIDValidity: UIDValidity, UID: uid + 1, RawHash: "raw", Reason: mailroom.Problem{Key: "quarantine.reason.unreadable"}})
	}
	b.Blobs = []mailroom.BlobRef{{Hash: "raw", Pack: "p1", Codec: "raw"}}
	b.Quarantined[0].RawHash = ""
	got(s.Deliver(ctx, c, b))
	for _, q := range got(s.QuarantineRows(ctx, w.UserID)) {
		if q.UID == 3 {
			must(t, s.DropQuarantine(ctx, w.UserID, q.ID, "spam", w.act("quarantine.dropped")))
		}
	}
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.Range(1, 3)))
	rows := got(s.QuarantineRows(ctx, w.UserID))
	if len(rows) != 1 || rows[0].UID != 2 || rows[0].GoneAt.IsZero() {
		t.Fatalf("left: %+v", rows)
	}
	if held := got(s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity)); !held.Quarantined.Empty() || !held.Dropped.Empty() {
		t.Errorf("held: %+v", held)
	}
	// Tried again from the copy, in vain: it is still gone.
	again := rows[0]
	again.Attempts = 2
	b.Quarantined = []mailroom.Quarantine{again}
	got(s.Deliver(ctx, c, b))
	if rows := got(s.DueQuarantine(ctx, w.Inbox.ID, time.Now(), 10)); len(rows) != 1 || rows[0].GoneAt.IsZero() || rows[0].Attempts != 2 {
		t.Errorf("due: %+v", rows)
	}
}
