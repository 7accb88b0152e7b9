package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func testFollowed(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	b := w.Batch(w.Inbox, w.Mail(1, "a@x.example", "One", "1"), w.Mail(2, "a@x.example", "Two", "2"))
	b.Quarantined = []mailroom.Quarantine{{UIDValidity: UIDValidity, UID: 3, Reason: mailroom.Problem{Key: "k"}}}
	got(s.Deliver(ctx, c, b))
	version := got(s.MailboxOf(ctx, w.UserID)).Mailbox.MappingsVersion
	must(t, s.NoteObjectID(ctx, c, w.Inbox.ID, "F1"))
	if r := w.mapping(t, "INBOX").Mapping; r.ObjectID != "F1" {
		t.Errorf("object id %q", r.ObjectID)
	}

	to := mailroom.Folder{RawName: "Werk/R&AOk-s", Name: "Werk/Rés", Delimiter: "/", Selectable: true}
	must(t, s.FollowFolder(ctx, c, w.Inbox.ID, to))
	w.audited(t, "mapping.followed")
	r := w.mapping(t, to.RawName)
	if m := r.Mapping; m.ID != w.Inbox.ID || m.Name != to.Name || m.FollowedFrom != "INBOX" || m.FollowedAt.IsZero() || m.ObjectID != "F1" {
		t.Errorf("followed: %+v", m)
	}
	if v := got(s.MailboxOf(ctx, w.UserID)).Mailbox.MappingsVersion; v != version+1 {
		t.Errorf("version %d after %d", v, version)
	}
	if r.Progress.Cursor.UIDValidity != UIDValidity {
		t.Errorf("the cursor is lost: %+v", r.Progress)
	}
	held := got(s.HeldUIDs(ctx, w.Mailbox.ID, to.RawName, UIDValidity))
	if held.Placed.String() != "1:2" || held.Quarantined.String() != "3" {
		t.Errorf("held under the new name: %+v", held)
	}
	if held := got(s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity)); !held.Placed.Empty() || !held.Quarantined.Empty() {
		t.Errorf("held under the old name: %+v", held)
	}
	w.counts(t, w.Inbox.OTYSFolderID, 2, 2)
	must(t, s.FollowFolder(ctx, c, w.Inbox.ID, to)) // once more: nothing
	followed := w.Inbox
	followed.RawName = to.RawName
	got(s.Deliver(ctx, c, w.Batch(followed, w.Mail(4, "a@x.example", "Four", "4"))))
	w.counts(t, w.Inbox.OTYSFolderID, 3, 3)

	signalled(t, s, "user:"+w.UserID, func(ctx context.Context) error { return s.SeenFollowed(ctx, w.OrgID, w.Inbox.ID) })
	if m := w.mapping(t, to.RawName).Mapping; m.FollowedFrom != "" || !m.FollowedAt.IsZero() {
		t.Errorf("seen, and told still: %+v", m)
	}
	refused(t, s.SeenFollowed(ctx, "org_other", w.Inbox.ID), mailroom.NotFound, "error.not_found")

	refused(t, s.FollowFolder(ctx, c, w.Inbox.ID, mailroom.Folder{RawName: "Sent Items", Name: "Sent Items"}), mailroom.Conflict, "mapping.error.followed")
	refused(t, s.FollowFolder(ctx, c, "map_gone", mailroom.Folder{RawName: "x"}), mailroom.NotFound, "mapping.error.removed")
	old := mailroom.Claim{MailboxID: c.MailboxID, Epoch: c.Epoch - 1}
	fencedOff(t, s.FollowFolder(ctx, old, w.Inbox.ID, mailroom.Folder{RawName: "Elsewhere"}))
	fencedOff(t, s.NoteObjectID(ctx, old, w.Inbox.ID, "F2"))
}

// The new name may have been read before: in an earlier life of the folder, and
// by the row of a subfolder that is listed under its new name already.
func testFollowedOnto(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	a, b, x := w.Mail(1, "a@x.example", "One", "1"), w.Mail(2, "a@x.example", "Two", "2"), w.Mail(9, "a@x.example", "Nine", "9")
	earlier := w.Map(t, "New", "Earlier", mailroom.RoleNone)
	w.file(t, earlier, a, b)
	w.save(t, w.Inbox, w.Sent) // and its mapping goes
	w.file(t, w.Inbox, a, x)
	c := w.take(t, "n1")
	must(t, s.FollowFolder(ctx, c, w.Inbox.ID, mailroom.Folder{RawName: "New", Name: "New"}))
	if held := got(s.HeldUIDs(ctx, w.Mailbox.ID, "New", UIDValidity)); held.Placed.String() != "1:2,9" {
		t.Errorf("held: %s", held.Placed)
	}
	if n := w.Count(t, `placements WHERE mapping_id = $1`, w.Inbox.ID); n != 3 {
		t.Errorf("%d placements are the mapping's", n)
	}
	w.counts(t, w.Inbox.OTYSFolderID, 3, 3) // Two too, since it will not be read again
	w.counts(t, earlier.OTYSFolderID, 2, 2)

	// A subfolder's row gives way, also one that aims elsewhere.
	sub := w.Map(t, "Sent Items/Sub", "Sub", mailroom.RoleNone)
	w.exec(t, `UPDATE mappings SET parent_id = $1 WHERE id = $2`, w.Sent.ID, sub.ID)
	in := w.Inbox
	in.RawName = "New"
	y := w.Mail(10, "a@x.example", "Ten", "10")
	got(s.Deliver(ctx, c, w.Batch(sub, a, y)))
	w.counts(t, sub.OTYSFolderID, 2, 2)
	must(t, s.FollowFolder(ctx, c, w.Inbox.ID, mailroom.Folder{RawName: sub.RawName, Name: "Sub"}))
	w.counts(t, sub.OTYSFolderID, 0, 0)
	w.counts(t, w.Inbox.OTYSFolderID, 4, 4)
	if held := got(s.HeldUIDs(ctx, w.Mailbox.ID, sub.RawName, UIDValidity)); held.Placed.String() != "1:2,9:10" {
		t.Errorf("held: %s", held.Placed)
	}
	if n := w.Count(t, `mappings WHERE id = $1`, sub.ID); n != 0 {
		t.Error("the subfolder's row is still there")
	}
}

func testPeopleAt(t *testing.T, w World) {
	eva := w.AddPerson(t, "Eva", "eva@x.example", "eva@home.example")
	bob, cas := w.AddPerson(t, "Bob", "both@x.example"), w.AddPerson(t, "Cas", "both@x.example")
	Seed(t, w.Store).AddPerson(t, "Stranger", "eva@x.example")
	found := got(w.Store.PeopleAt(t.Context(), w.OrgID, []string{"eva@x.example", "both@x.example", "nobody@x.example"}))
	ids := func(address string) (out []string) {
		for _, p := range found[address] {
			out = append(out, p.ID)
		}
		return out
	}
	if len(found) != 2 || !slices.Equal(ids("eva@x.example"), []string{eva}) || !slices.Equal(ids("both@x.example"), []string{bob, cas}) {
		t.Errorf("found %+v", found)
	}
	if v := got(w.Store.PeopleAt(t.Context(), w.OrgID, nil)); len(v) != 0 {
		t.Errorf("of none: %v", v)
	}
}

func testShare(t *testing.T, w World) {
	ctx, s, now := t.Context(), w.Store, time.Now()
	const alive = time.Minute
	for range 4 {
		w.AddRecruiter(t)
	}
	w.exec(t, `DELETE FROM nodes`)
	boxes := w.Count(t, `mailboxes m WHERE m.retired_at = 0 AND NOT m.paused AND EXISTS (SELECT 1 FROM grants g WHERE g.mailbox_id = m.id)
		AND EXISTS (SELECT 1 FROM mappings p WHERE p.mailbox_id = m.id AND NOT p.paused)
		AND EXISTS (SELECT 1 FROM users u WHERE u.id = m.user_id AND u.disabled_at = 0)
		OR m.retired_at = 0 AND NOT m.paused AND m.password_key <> '' AND m.account = 'other'`)
	share := func(node string, at time.Time, want int) {
		t.Helper()
		if n := got(s.Share(ctx, node, at, alive)); n != want {
			t.Errorf("%s gets %d of %d mailboxes, want %d", node, n, boxes, want)
		}
	}
	share("n1", now, boxes)
	share("n2", now, (boxes+1)/2)
	w.take(t, "n2") // who holds it makes no difference
	share("n3", now, (boxes+2)/3)
	share("n1", now, (boxes+2)/3)
	must(t, s.Leave(ctx, "n3"))
	share("n1", now.Add(alive/2), (boxes+1)/2)
	share("n1", now.Add(alive+time.Second), boxes) // n2 is silent
	share("lost in time", now.Add(1000*time.Hour), boxes)
	share("n1", now.Add(alive), boxes) // and is not believed
	w.exec(t, `UPDATE mailboxes SET paused = TRUE`)
	share("n1", now, 1)
	w.exec(t, `UPDATE mailboxes SET paused = FALSE`)
	w.exec(t, `DELETE FROM nodes`)
}

// A clock that was wrong for a while must not strand a mailbox for years.
func testClaimDespiteClock(t *testing.T, w World) {
	now := time.Now()
	years := mailroom.Micros(now.AddDate(50, 0, 0))
	w.exec(t, `UPDATE mailboxes SET retry_at = $1, done = wanted WHERE id = $2`, years, w.Mailbox.ID)
	if !w.free(t, now) {
		t.Error("its next try lies in another century")
	}
	w.exec(t, `UPDATE mailboxes SET owner = 'n9', lease_until = $1 WHERE id = $2`, years, w.Mailbox.ID)
	got(w.Store.Share(t.Context(), "n1", now, time.Minute))
	if !w.free(t, now) {
		t.Error("its lease never ends")
	}
	w.exec(t, `UPDATE mailboxes SET retry_at = $1 WHERE id = $2`, mailroom.Micros(now.Add(mailroom.MaxRetry-time.Minute)), w.Mailbox.ID)
	if w.free(t, now) {
		t.Error("a long pause that a provider asked for is not kept")
	}
	w.exec(t, `UPDATE mailboxes SET retry_at = 0 WHERE id = $1`, w.Mailbox.ID)
	w.exec(t, `DELETE FROM nodes`)
}
