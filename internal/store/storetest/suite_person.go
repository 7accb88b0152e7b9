package storetest

import (
	"context"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/store"
)

// RunPerson is the conformance suite of what people ask for: settings,
// mappings, mail, links, people. open is called once; every part brings its own
// agency.
func RunPerson(t *testing.T, open func(testing.TB) *store.Store) {
	s := open(t)
	parts := []struct {
		name string
		run  func(*testing.T, World)
	}{
		{"users", testUsers},
		{"last administrator at once", testLastAdministrator},
		{"disabled user", testDisabledUser},
		{"mailbox paused", testMailboxPaused},
		{"mailbox replaced", testMailboxReplaced},
		{"mappings saved", testMappingsSaved},
		{"mapping aimed elsewhere", testMappingAimed},
		{"mappings change places", testMappingsSwapped},
		{"mappings come together and part", testMappingsJoined},
		{"mapping removed and mapped again", testMappingRemoved},
		{"mapping date moved", testMappingSince},
		{"mapping rows", testMappingRows},
		{"mapping removal", testMappingRemoval},
		{"mapping date moved back", testSinceMovedBack},
		{"subfolders follow", testSubfolders},
		{"subfolders too many", testSubfoldersTooMany},
		{"subfolders copied", testSubfoldersCopied},
		{"undo", testUndo},
		{"undo takes nothing that is held", testUndoHeld},
		{"undo as the model", testUndoModel},
		{"undo with subfolders", testUndoSubfolders},
		{"undo and mapped again", testUndoMappedAgain},
		{"mail paged", testMailsPaged},
		{"mail searched", testMailsSearched},
		{"mail walls", testMailWalls},
		{"mail read", testMarkRead},
		{"mail detail", testMailDetail},
		{"link by hand", testLinkByHand},
		{"choices", testChoices},
		{"choice of all", testChoiceOfAll},
		{"people", testPeople},
		{"people found", testPeopleFound},
		{"people linked late", testPeopleLinkedLate},
		{"people imported", testPeopleImported},
		{"person's mail", testPersonMails},
		{"quarantine", testQuarantine},
		{"trails", testTrails},
		{"trail of what was removed", testTrailRemoved},
		{"trails of many", testTrailMany},
	}
	t.Run("setup", func(t *testing.T) { testSetup(t, s) })
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) { p.run(t, Seed(t, s)) })
	}
}

// file delivers mails as a node would, and gives the mailbox back.
func (w World) file(t testing.TB, m mailroom.Mapping, mails ...mailroom.Mail) {
	t.Helper()
	c := w.take(t, "filer")
	if _, err := w.Store.Deliver(t.Context(), c, w.Batch(m, mails...)); err != nil {
		t.Fatal(err)
	}
	must(t, w.Store.Release(t.Context(), c, time.Time{}, nil, 0))
}

// take claims the mailbox for a node and leaves all others be.
func (w World) take(t testing.TB, node string) (mine mailroom.Claim) {
	t.Helper()
	for _, c := range got(w.Store.ClaimMailboxes(t.Context(), node, time.Hour, 1000, time.Now())) {
		if c.MailboxID == w.Mailbox.ID {
			mine = c
		} else {
			must(t, w.Store.Release(t.Context(), c, time.Time{}, nil, 0))
		}
	}
	if mine.MailboxID == "" {
		t.Fatalf("node %s did not get the mailbox", node)
	}
	return mine
}

// act is the audit event of something that the world's recruiter does.
func (w World) act(action string) mailroom.AuditEvent {
	return mailroom.AuditEvent{OrgID: w.OrgID, ActorID: w.UserID, Action: action}
}

// audited fails unless the newest event of the agency is action.
func (w World) audited(t testing.TB, action string) {
	t.Helper()
	evs, err := w.Store.AuditEvents(t.Context(), w.OrgID, 1)
	if err != nil || len(evs) != 1 || evs[0].Action != action {
		t.Fatalf("newest audit event is %v, %v; want %s", evs, err, action)
	}
}

// list is a page of the recruiter's mail, as subjects.
func (w World) list(t testing.TB, f mailroom.MailFilter) []string {
	t.Helper()
	return subjects(w.lines(t, f))
}

func (w World) lines(t testing.TB, f mailroom.MailFilter) []mailroom.MailLine {
	t.Helper()
	f.OrgID, f.UserID = w.OrgID, w.UserID
	if f.Limit == 0 {
		f.Limit = 100
	}
	return got(w.Store.Mails(t.Context(), f))
}

func subjects(lines []mailroom.MailLine) []string {
	out := []string{}
	for _, l := range lines {
		out = append(out, l.Message.Subject)
	}
	return out
}

// folder is an OTYS folder of the recruiter as it is now.
func (w World) folder(t testing.TB, id string) mailroom.OTYSFolder {
	t.Helper()
	for _, f := range got(w.Store.OTYSFolders(t.Context(), w.UserID)) {
		if f.ID == id {
			return f
		}
	}
	t.Fatalf("no OTYS folder %s", id)
	return mailroom.OTYSFolder{}
}

// counts fails unless a folder's counters say so and agree with its mail.
func (w World) counts(t testing.TB, folderID string, total, unread int64) {
	t.Helper()
	f := w.folder(t, folderID)
	if f.Total != total || f.Unread != unread {
		t.Fatalf("%s counts %d mails, %d unread; want %d, %d", f.Name, f.Total, f.Unread, total, unread)
	}
	if n := w.Count(t, `deliveries WHERE otys_folder_id = $1`, folderID); int64(n) != total {
		t.Fatalf("%s holds %d mails and counts %d", f.Name, n, total)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got is the value of a call that must not fail.
func got[T any](v T, err error) T {
	if err != nil {
		panic(err) // with the stack of the test
	}
	return v
}

// refused fails unless err is of the kind and key.
func refused(t testing.TB, err error, kind mailroom.Kind, key string) {
	t.Helper()
	if err == nil {
		t.Fatalf("not refused; want %s %s", kind, key)
	}
	if e := mailroom.AsError(err); e.Kind != kind || e.Key != key {
		t.Fatalf("refused with %v; want %s %s", err, kind, key)
	}
}

// signalled fails unless a change of topic is told of after act.
func signalled(t testing.TB, s *store.Store, topic string, act func(context.Context) error) {
	t.Helper()
	ch, cancel := s.Watch(topic)
	defer cancel()
	must(t, act(t.Context()))
	select {
	case <-ch:
	case <-time.After(5 * time.Second):
		t.Fatalf("no signal for %s", topic)
	}
}
