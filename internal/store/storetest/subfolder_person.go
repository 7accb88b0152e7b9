package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// folders makes the list of the mailbox's folders, with "/" between their parts.
func (w World) folders(t testing.TB, names ...string) {
	t.Helper()
	var fs []mailroom.Folder
	for _, n := range names {
		fs = append(fs, mailroom.Folder{RawName: n, Name: n, Delimiter: "/", Selectable: true})
	}
	must(t, w.Store.SaveFolders(t.Context(), w.Mailbox.ID, fs, time.Now()))
}

// mapped are the mapped folders, those that follow another with ">" and its name.
func (w World) mapped(t testing.TB) (out []string) {
	t.Helper()
	rows := got(w.Store.MappingRows(t.Context(), w.Mailbox.ID))
	names := map[string]string{}
	for _, r := range rows {
		names[r.Mapping.ID] = r.Mapping.RawName
	}
	for _, r := range rows {
		text := r.Mapping.RawName
		if r.Mapping.ParentID != "" {
			text += " > " + names[r.Mapping.ParentID]
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func (w World) isMapped(t testing.TB, want ...string) {
	t.Helper()
	if v := w.mapped(t); !slices.Equal(v, want) {
		t.Fatalf("mapped: %q, want %q", v, want)
	}
}

func testSubfolders(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	w.folders(t, "INBOX", "Jobs", "Jobs/A", "Jobs/A/Deep", "Jobs/B", "Jobsearch", "Sent Items")
	jobs := mailroom.Mapping{RawName: "Jobs", Name: "Jobs", OTYSFolderID: w.addFolder(t, "Jobs"), Since: time.UnixMicro(50).UTC(),
		Removal: mailroom.RemovalRemove, Subfolders: true}
	must(t, s.SaveMappings(ctx, w.change(t, w.Inbox, jobs), w.act("mapping.saved")))
	w.isMapped(t, "INBOX", "Jobs", "Jobs/A > Jobs", "Jobs/A/Deep > Jobs", "Jobs/B > Jobs")
	follows := func(name string) {
		t.Helper()
		if m, p := w.mapping(t, name).Mapping, w.mapping(t, "Jobs").Mapping; m.OTYSFolderID != p.OTYSFolderID || !m.Since.Equal(p.Since) ||
			m.Removal != p.Removal || m.Paused != p.Paused || m.Subfolders || m.ParentID != p.ID {
			t.Errorf("%s does not follow: %+v, %+v", name, m, p)
		}
	}
	follows("Jobs/A")
	a := w.mapping(t, "Jobs/A").Mapping
	c := w.take(t, "n1")
	got(s.Deliver(ctx, c, w.Batch(a, w.Mail(1, "a@x.example", "One", "1"))))

	// A future one, and one that is no folder for mail.
	if n := got(s.ExpandSubfolders(ctx, c)); n != 0 {
		t.Errorf("%d rows for nothing new", n)
	}
	version := got(s.MailboxOf(ctx, w.UserID)).Mailbox.MappingsVersion
	must(t, s.SaveFolders(ctx, w.Mailbox.ID, []mailroom.Folder{
		{RawName: "Jobs", Name: "Jobs", Delimiter: "/", Selectable: true}, {RawName: "Jobs/A", Name: "Jobs/A", Delimiter: "/", Selectable: true},
		{RawName: "Jobs/New", Name: "Jobs/New", Delimiter: "/", Selectable: true, ObjectID: "F7"}, {RawName: "Jobs/Only a level", Delimiter: "/"},
		{RawName: "Jobs/Bin", Name: "Jobs/Bin", Delimiter: "/", Selectable: true, Role: mailroom.RoleTrash},
	}, time.Now()))
	if n := got(s.ExpandSubfolders(ctx, c)); n != 1 {
		t.Errorf("%d rows for one new folder", n)
	}
	w.audited(t, "mapping.subfolder_added")
	follows("Jobs/New")
	if m := w.mapping(t, "Jobs/New").Mapping; m.ObjectID != "F7" {
		t.Errorf("object id %q", m.ObjectID)
	}
	if v := got(s.MailboxOf(ctx, w.UserID)).Mailbox.MappingsVersion; v != version {
		t.Error("a folder that was found spoils what a person has open")
	}
	got(s.Deliver(ctx, c, w.Batch(w.mapping(t, "Jobs/New").Mapping, w.Mail(1, "a@x.example", "New", "n"))))
	old := mailroom.Claim{MailboxID: c.MailboxID, Epoch: c.Epoch - 1}
	_, err := s.ExpandSubfolders(ctx, old)
	fencedOff(t, err)

	// A person's row takes one over, with its progress; the others follow on,
	// also those whose folder is gone.
	jobs.Paused, jobs.Removal = true, mailroom.RemovalKeep
	own := mailroom.Mapping{RawName: "Jobs/A", Name: "Jobs/A", OTYSFolderID: w.Inbox.OTYSFolderID, Subfolders: true}
	w.save(t, w.Inbox, jobs, own)
	w.isMapped(t, "INBOX", "Jobs", "Jobs/A", "Jobs/A/Deep > Jobs", "Jobs/B > Jobs", "Jobs/New > Jobs")
	if m := w.mapping(t, "Jobs/A").Mapping; m.ID != a.ID || m.Paused {
		t.Errorf("taken over: %+v", m)
	}
	follows("Jobs/B")
	follows("Jobs/New")
	w.counts(t, w.Inbox.OTYSFolderID, 1, 1)
	w.counts(t, jobs.OTYSFolderID, 1, 1)

	// The nearest above counts, once its folder is listed again.
	w.folders(t, "INBOX", "Jobs", "Jobs/A", "Jobs/A/Deep", "Jobs/B", "Jobs/New")
	jobs.Paused = false
	w.save(t, w.Inbox, jobs, own)
	w.isMapped(t, "INBOX", "Jobs", "Jobs/A", "Jobs/A/Deep > Jobs/A", "Jobs/B > Jobs", "Jobs/New > Jobs")
	must(t, s.PauseMapping(ctx, w.OrgID, w.mapping(t, "Jobs").Mapping.ID, true, w.act("mapping.paused")))
	follows("Jobs/B")
	if !w.mapping(t, "Jobs/B").Mapping.Paused || w.mapping(t, "Jobs/A/Deep").Mapping.Paused {
		t.Error("pausing a mapping does not pause those that follow it, or others too")
	}

	// A row that goes, below one that asks for its subfolders, follows from then on.
	w.save(t, w.Inbox, jobs)
	w.isMapped(t, "INBOX", "Jobs", "Jobs/A > Jobs", "Jobs/A/Deep > Jobs", "Jobs/B > Jobs", "Jobs/New > Jobs")
	w.counts(t, jobs.OTYSFolderID, 2, 2)

	// Not asked for any more: the rows go, the mail stays.
	jobs.Subfolders = false
	w.save(t, w.Inbox, jobs)
	w.isMapped(t, "INBOX", "Jobs")
	w.counts(t, jobs.OTYSFolderID, 2, 2)
	jobs.Subfolders = true
	w.save(t, w.Inbox, jobs)
	w.save(t, w.Inbox)
	w.isMapped(t, "INBOX")
}

// What a mapping says of removal may change at any time; a run that knows it
// otherwise must not act by that.
func testMappingRemoval(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	if m := w.mapping(t, "INBOX").Mapping; m.Removal != mailroom.RemovalKeep {
		t.Errorf("by default removal is %q", m.Removal)
	}
	c := w.take(t, "n1")
	p := mailroom.Progress{MappingID: w.Inbox.ID, Cursor: mailroom.Cursor{UIDValidity: UIDValidity, UIDNext: 9}}
	must(t, s.SaveProgress(ctx, c, p))
	in := w.Inbox
	in.Removal = mailroom.RemovalRemove
	w.save(t, in, w.Sent)
	r := w.mapping(t, "INBOX")
	if r.Mapping.Removal != mailroom.RemovalRemove || r.Progress.Cursor.UIDNext != 9 {
		t.Errorf("saved: %+v, %+v", r.Mapping, r.Progress)
	}
	if err := s.SaveProgress(ctx, c, p); !errors.Is(err, mailroom.ErrFenced) {
		t.Errorf("a run by the old choice goes on: %v", err)
	}
}

func testSubfoldersTooMany(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	names := []string{"INBOX"}
	for i := range 1003 {
		names = append(names, fmt.Sprintf("INBOX/%04d", i))
	}
	w.folders(t, names...)
	in := w.Inbox
	in.Subfolders = true
	w.save(t, in)
	rows := got(s.MappingRows(ctx, w.Mailbox.ID))
	if len(rows) != 1001 {
		t.Fatalf("%d rows", len(rows))
	}
	if r := w.mapping(t, "INBOX"); r.LeftOut != 3 {
		t.Errorf("%d are said to be left out", r.LeftOut)
	}
	c := w.take(t, "n1")
	if n := got(s.ExpandSubfolders(ctx, c)); n != 0 {
		t.Errorf("%d more", n)
	}
}

// A mailbox with another address begins with the same rows: who follows whom,
// and what becomes of removed mail, included.
func testSubfoldersCopied(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	w.folders(t, "INBOX", "INBOX/A")
	in := w.Inbox
	in.Subfolders, in.Removal = true, mailroom.RemovalRemove
	w.save(t, in)
	w.exec(t, `UPDATE mappings SET object_id = 'F1', followed_from = 'Old', followed_at = 5 WHERE mailbox_id = $1`, w.Mailbox.ID)
	fresh := mailroom.Mailbox{ID: mailroom.NewID(mailroom.PrefixMailbox), OrgID: w.OrgID, UserID: w.UserID, Address: "new2@werk.example", CreatedAt: time.Now()}
	must(t, s.ReplaceMailbox(ctx, w.Mailbox.ID, fresh, true, w.act("mailbox.address")))
	w.Mailbox = fresh
	w.isMapped(t, "INBOX", "INBOX/A > INBOX")
	for _, name := range []string{"INBOX", "INBOX/A"} {
		m := w.mapping(t, name).Mapping
		if m.Removal != mailroom.RemovalRemove || m.ObjectID != "" || m.FollowedFrom != "" || !m.FollowedAt.IsZero() || m.Subfolders != (name == "INBOX") {
			t.Errorf("copied: %+v", m)
		}
	}
}

// A date that is moved back brings what an earlier mapping had read already.
func testSinceMovedBack(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	old := w.Mail(1, "a@b.example", "Old", "x")
	w.file(t, w.Inbox, old, w.Mail(50, "a@b.example", "Newer", "x"))
	w.save(t, w.Sent)
	again := mailroom.Mapping{RawName: "INBOX", Name: "Inbox", OTYSFolderID: w.addFolder(t, "CVs"), Since: old.Message.ReceivedAt.Add(time.Microsecond)}
	w.save(t, w.Sent, again)
	w.counts(t, again.OTYSFolderID, 1, 1)
	again.Since = time.Time{}
	w.save(t, w.Sent, again)
	w.counts(t, again.OTYSFolderID, 2, 2)

	// What the user has nowhere any more is read again.
	w.exec(t, `DELETE FROM deliveries WHERE user_id = $1 AND message_seq IN (SELECT seq FROM messages WHERE org_id = $2 AND subject = 'Old')`, w.UserID, w.OrgID)
	again.Since = old.Message.ReceivedAt
	w.save(t, w.Sent, again)
	if held := got(s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity)); held.Placed.String() != "50" {
		t.Errorf("held %s; what is not delivered counts as read", held.Placed)
	}
	w.counts(t, again.OTYSFolderID, 1, 1)
}
