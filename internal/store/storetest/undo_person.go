package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// undo begins to take a mapping back.
func (w World) undo(t testing.TB, m mailroom.Mapping) {
	t.Helper()
	must(t, w.Store.Undo(t.Context(), w.OrgID, m.ID, w.act("mapping.undone")))
	w.audited(t, "mapping.undone")
}

// undoAll works until no undo is open, of any agency.
func (w World) undoAll(t testing.TB, limit int) (steps int) {
	t.Helper()
	for got(w.Store.UndoStep(t.Context(), limit)) {
		if steps++; steps > 10_000 {
			t.Fatal("an undo that never ends")
		}
	}
	return steps
}

func testUndo(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	cvs := w.addFolder(t, "CVs")
	w.save(t, w.Inbox, w.Sent, mailroom.Mapping{RawName: "CV", Name: "CV", OTYSFolderID: cvs})
	cv := w.mapping(t, "CV").Mapping
	w.AddPerson(t, "Eva", "eva@x.example")
	both, colleagues, twin := w.Mail(1, "eva@x.example", "In both", "b"), w.Mail(2, "eva@x.example", "Also colleague's", "c"), w.Mail(3, "eva@x.example", "Twice", "t")
	again := twin
	again.Placement.UID = 4
	alone := w.Mail(5, "eva@x.example", "Alone", "a")
	read := w.Mail(6, "eva@x.example", "Alone, read", "r")
	read.Placement.Flags.Seen = true
	b := w.Batch(cv, both, colleagues, twin, again, alone, read)
	b.Quarantined = []mailroom.Quarantine{{UIDValidity: UIDValidity, UID: 9, Reason: mailroom.Problem{Key: "k"}}}
	c := w.take(t, "n1")
	got(s.Deliver(ctx, c, b))
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, both)))
	other := w.AddRecruiter(t)
	other.file(t, other.Inbox, colleagues)
	w.counts(t, cvs, 5, 4)

	if take, keep, err := s.UndoCounts(ctx, w.OrgID, cv.ID); take != 4 || keep != 1 || err != nil {
		t.Errorf("foretold: %d go, %d stay, %v", take, keep, err)
	}
	_, _, err := s.UndoCounts(ctx, "org_other", cv.ID)
	refused(t, err, mailroom.NotFound, "error.not_found")
	refused(t, s.Undo(ctx, "org_other", cv.ID, w.act("mapping.undone")), mailroom.NotFound, "error.not_found")
	version := got(s.MailboxOf(ctx, w.UserID)).Mailbox.MappingsVersion
	w.undo(t, cv)
	if v := got(s.MailboxOf(ctx, w.UserID)).Mailbox.MappingsVersion; v != version+1 {
		t.Errorf("version %d after %d", v, version)
	}
	w.isMapped(t, "INBOX", "Sent Items")
	if _, err := s.Deliver(ctx, c, w.Batch(cv, w.Mail(8, "a@x.example", "Late", "l"))); !errors.Is(err, mailroom.ErrFenced) {
		t.Errorf("a run goes on: %v", err)
	}
	if n := w.Count(t, `quarantine WHERE mailbox_id = $1`, w.Mailbox.ID); n != 0 {
		t.Error("what could not be filed is still in quarantine")
	}
	refused(t, s.Undo(ctx, w.OrgID, cv.ID, w.act("mapping.undone")), mailroom.NotFound, "error.not_found")

	us := got(s.Undos(ctx, w.Mailbox.ID))
	if len(us) != 1 || us[0].Total != 6 || us[0].Done != 0 || us[0].Name != "CV" || us[0].UserID != w.UserID || !us[0].FinishedAt.IsZero() {
		t.Fatalf("under way: %+v", us)
	}
	signalled(t, s, "user:"+w.UserID, func(ctx context.Context) error {
		worked, err := s.UndoStep(ctx, 2)
		if !worked {
			t.Error("nothing to do")
		}
		return err
	})
	if us = got(s.Undos(ctx, w.Mailbox.ID)); us[0].Done < 2 || us[0].Done >= 6 {
		t.Errorf("after a step: %+v", us[0])
	}
	w.undoAll(t, 2)
	us = got(s.Undos(ctx, w.Mailbox.ID))
	if us[0].Done != 6 || us[0].Kept != 1 || us[0].FinishedAt.IsZero() {
		t.Errorf("finished: %+v", us[0])
	}
	w.counts(t, cvs, 0, 0)
	w.counts(t, w.Inbox.OTYSFolderID, 1, 1)
	if l := w.list(t, mailroom.MailFilter{}); !slices.Equal(l, []string{"In both"}) {
		t.Errorf("left: %v", l)
	}
	if l := other.list(t, mailroom.MailFilter{}); !slices.Equal(l, []string{"Also colleague's"}) {
		t.Errorf("the colleague has %v", l)
	}
	if n := w.Count(t, `messages WHERE org_id = $1`, w.OrgID); n != 2 {
		t.Errorf("%d messages are kept", n)
	}
	if n := w.Count(t, `links WHERE org_id = $1`, w.OrgID); n != 2 {
		t.Errorf("%d links are kept", n)
	}
	w.exec(t, `UPDATE undos SET finished_at = 5 WHERE mapping_id = $1`, cv.ID)
	if us := got(s.Undos(ctx, w.Mailbox.ID)); len(us) != 0 {
		t.Errorf("told for ever: %+v", us)
	}
}

// What a mapping that was taken away had left is no undo's to take; nor what a
// mapping had brought before it was removed there; and a mail that had moved into
// the folder goes back.
func testUndoHeld(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	left := w.Map(t, "Left", "Left", mailroom.RoleNone)
	cv := w.Map(t, "CV", "CVs", mailroom.RoleNone)
	same := w.Map(t, "Same", "Same", mailroom.RoleNone)
	w.exec(t, `UPDATE mappings SET otys_folder_id = $1 WHERE id IN ($2, $3)`, cv.OTYSFolderID, left.ID, same.ID)
	same.OTYSFolderID = cv.OTYSFolderID
	one, two, three, four := w.Mail(1, "a@x.example", "Left", "1"), w.Mail(2, "a@x.example", "Kept", "2"), w.Mail(3, "a@x.example", "Moved", "3"), w.Mail(4, "a@x.example", "Alone", "4")
	w.file(t, left, one)
	w.file(t, same, two)
	w.file(t, w.Inbox, three)
	w.file(t, cv, one, two, three, four)
	w.save(t, w.Inbox, w.Sent, cv, same) // without Left
	c := w.take(t, "n1")
	must(t, s.MarkGone(ctx, c, same.ID, UIDValidity, mailroom.UIDs(2)))
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(3)))
	// As a move leaves it.
	w.exec(t, `DELETE FROM deliveries WHERE otys_folder_id = $1`, w.Inbox.OTYSFolderID)
	w.exec(t, `UPDATE otys_folders SET total = 0, unread = 0 WHERE id = $1`, w.Inbox.OTYSFolderID)
	if take, keep, err := s.UndoCounts(ctx, w.OrgID, cv.ID); take != 1 || keep != 3 || err != nil {
		t.Errorf("foretold: %d go, %d stay, %v", take, keep, err)
	}
	w.undo(t, cv)
	w.undoAll(t, 1)
	w.counts(t, cv.OTYSFolderID, 2, 2)
	if l := w.list(t, mailroom.MailFilter{FolderID: cv.OTYSFolderID}); !slices.Equal(l, []string{"Kept", "Left"}) {
		t.Errorf("stays: %v", l)
	}
	w.counts(t, w.Inbox.OTYSFolderID, 1, 1)
	if us := got(s.Undos(ctx, w.Mailbox.ID)); len(us) != 1 || us[0].Kept != 3 || us[0].Done != 4 {
		t.Errorf("told as %+v", us)
	}
}

func testUndoSubfolders(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	w.folders(t, "INBOX", "Jobs", "Jobs/A", "Jobs/B")
	jobs := mailroom.Mapping{RawName: "Jobs", Name: "Jobs", OTYSFolderID: w.addFolder(t, "Jobs"), Subfolders: true}
	w.save(t, w.Inbox, jobs)
	a := w.mapping(t, "Jobs/A").Mapping
	w.file(t, a, w.Mail(1, "a@x.example", "One", "1"))
	w.file(t, w.mapping(t, "Jobs").Mapping, w.Mail(1, "a@x.example", "One", "1"), w.Mail(2, "a@x.example", "Two", "2"))
	refused(t, s.Undo(ctx, w.OrgID, a.ID, w.act("mapping.undone")), mailroom.Conflict, "mapping.error.undo_subfolder")
	parent := w.mapping(t, "Jobs").Mapping
	if take, keep, err := s.UndoCounts(ctx, w.OrgID, parent.ID); take != 2 || keep != 0 || err != nil {
		t.Errorf("foretold: %d go, %d stay, %v", take, keep, err)
	}
	w.undo(t, parent)
	w.isMapped(t, "INBOX")
	w.undoAll(t, 100)
	w.counts(t, jobs.OTYSFolderID, 0, 0)
	if us := got(s.Undos(ctx, w.Mailbox.ID)); len(us) != 3 {
		t.Errorf("%d undos", len(us))
	}
}

// Mapped again while it is being taken back: what is left is taken over, the rest
// is read again, and nothing stays where the former mapping had put it.
func testUndoMappedAgain(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	var mails []mailroom.Mail
	for uid := range uint32(10) {
		mails = append(mails, w.Mail(uid+1, "a@x.example", string(rune('a'+uid)), "x"))
	}
	w.file(t, w.Inbox, mails...)
	w.undo(t, w.Inbox)
	got(s.UndoStep(ctx, 4))
	w.counts(t, w.Inbox.OTYSFolderID, 6, 6)
	cvs := w.addFolder(t, "CVs")
	since := mails[8].Message.ReceivedAt
	w.save(t, w.Sent, mailroom.Mapping{RawName: "INBOX", Name: "INBOX", OTYSFolderID: cvs, Since: since})
	w.counts(t, w.Inbox.OTYSFolderID, 0, 0)
	held := got(s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity)).Placed
	if held.Len() != 6 {
		t.Errorf("held: %s", held)
	}
	w.undoAll(t, 4)
	if after := got(s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity)).Placed; after.String() != held.String() {
		t.Errorf("the undo took %s, %s are left", held, after)
	}
	if us := got(s.Undos(ctx, w.Mailbox.ID)); us[0].Done != 10 || us[0].FinishedAt.IsZero() {
		t.Errorf("told as %+v", us[0])
	}
	// As the syncer would: what is not held.
	m := w.mapping(t, "INBOX").Mapping
	var rest []mailroom.Mail
	for _, v := range mails {
		if !held.Contains(v.Placement.UID) && !v.Message.ReceivedAt.Before(since) {
			rest = append(rest, v)
		}
	}
	w.file(t, m, rest...)
	w.counts(t, cvs, 2, 2)
	m.Since = time.Time{}
	w.save(t, w.Sent, m)
	rest = nil
	held = got(s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity)).Placed
	for _, v := range mails {
		if !held.Contains(v.Placement.UID) {
			rest = append(rest, v)
		}
	}
	w.file(t, w.mapping(t, "INBOX").Mapping, rest...)
	w.counts(t, cvs, 10, 10)
}
