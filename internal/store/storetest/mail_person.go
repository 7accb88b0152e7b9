package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func testMailsPaged(t *testing.T, w World) {
	var mails []mailroom.Mail
	at := time.UnixMicro(1_700_000_000_000_000).UTC()
	for i := range 25 {
		m := w.Mail(uint32(i+1), "a@b.example", fmt.Sprintf("Mail %02d", i), "x")
		m.Message.ReceivedAt = at.Add(time.Duration(i/5) * time.Second) // five at a time in the same moment
		m.Placement.Flags.Seen = i%2 == 0
		mails = append(mails, m)
	}
	w.file(t, w.Inbox, mails...)
	w.file(t, w.Sent, w.Mail(99, w.Mailbox.Address, "Sent one", "x"))
	for _, unread := range []bool{false, true} {
		f := mailroom.MailFilter{FolderID: w.Inbox.OTYSFolderID, Unread: unread}
		whole := w.list(t, f)
		if want := map[bool]int{false: 25, true: 12}[unread]; len(whole) != want {
			t.Fatalf("unread=%v lists %d", unread, len(whole))
		}
		var paged []string
		for f.Limit = 4; ; {
			lines := w.lines(t, f)
			if len(lines) == 0 {
				break
			}
			paged = append(paged, subjects(lines)...)
			f.After = lines[len(lines)-1].Position()
		}
		if !slices.Equal(paged, whole) {
			t.Fatalf("pages show %v, the whole list %v", paged, whole)
		}
	}
	if l := w.lines(t, mailroom.MailFilter{FolderID: w.Sent.OTYSFolderID}); len(l) != 1 || !l[0].Sent || l[0].Unread {
		t.Fatalf("sent mail is listed as %+v", l)
	}
	if l := w.list(t, mailroom.MailFilter{Unread: true}); len(l) != 12 {
		t.Fatalf("%d unread in all folders", len(l))
	}
}

func testMailsSearched(t *testing.T, w World) {
	w.file(t, w.Inbox,
		w.Mail(1, "jan@klant.example", "Vacature lasser", "Wij zoeken een lasser in Zwolle"),
		w.Mail(2, "eva@klant.example", "Interview", "Café afspraak met de lasser"),
		w.Mail(3, "piet@elders.example", "Niets", "niets"))
	for query, want := range map[string][]string{
		"lasser": {"Interview", "Vacature lasser"}, "LASS zwol": {"Vacature lasser"}, "cafe": {"Interview"},
		"jan@klant.example": {"Vacature lasser"}, `"de lasser"`: {"Interview"}, "nergens": {}, "!!": {}, `"`: {},
		"klant.example interview": {"Interview"}, "' OR 1=1 --": {},
	} {
		if l := w.list(t, mailroom.MailFilter{Search: query}); !slices.Equal(l, want) {
			t.Errorf("%q finds %v, want %v", query, l, want)
		}
	}
	if l := w.list(t, mailroom.MailFilter{Search: "lasser", FolderID: w.Sent.OTYSFolderID}); len(l) != 0 {
		t.Errorf("found in another folder: %v", l)
	}
	if l := w.list(t, mailroom.MailFilter{Search: "lasser", Limit: 1}); !slices.Equal(l, []string{"Interview"}) {
		t.Errorf("first page of a search: %v", l)
	}
}

func testMailWalls(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	w.AddPerson(t, "Eva", "eva@klant.example")
	w.file(t, w.Inbox, w.Mail(1, "eva@klant.example", "Linked", "geheim"), w.Mail(2, "x@y.example", "Private", "geheim"))
	ids := map[string]string{}
	for _, l := range w.lines(t, mailroom.MailFilter{}) {
		ids[l.Message.Subject] = l.Message.ID
	}
	colleague, stranger := w.AddRecruiter(t), Seed(t, s)
	for _, other := range []World{colleague, stranger} {
		if l := other.list(t, mailroom.MailFilter{Search: "geheim"}); len(l) != 0 {
			t.Fatalf("somebody else finds %v", l)
		}
		if l := other.list(t, mailroom.MailFilter{FolderID: w.Inbox.OTYSFolderID}); len(l) != 0 {
			t.Fatalf("somebody else lists %v", l)
		}
		refused(t, s.MarkRead(ctx, other.UserID, ids["Linked"], true), mailroom.NotFound, "error.not_found")
	}
	read := func(w World, subject string, shared bool) error {
		d, err := s.Mail(ctx, w.OrgID, w.UserID, shared, ids[subject])
		if err == nil && d.Message.Subject != subject {
			t.Errorf("read %q for %q", d.Message.Subject, subject)
		}
		return err
	}
	must(t, read(w, "Private", false))
	refused(t, read(colleague, "Linked", false), mailroom.NotFound, "error.not_found")
	must(t, read(colleague, "Linked", true))
	refused(t, read(colleague, "Private", true), mailroom.NotFound, "error.not_found")
	refused(t, read(stranger, "Linked", true), mailroom.NotFound, "error.not_found")

	// Unlinked, it is nobody's but the owner's again.
	person := got(s.Mail(ctx, w.OrgID, w.UserID, false, ids["Linked"])).People[0].Person.ID
	must(t, s.Unlink(ctx, w.OrgID, ids["Linked"], person, w.act("link.removed")))
	refused(t, read(colleague, "Linked", true), mailroom.NotFound, "error.not_found")
}

func testMarkRead(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	cvs := w.addFolder(t, "CVs")
	w.save(t, w.Inbox, w.Sent, mailroom.Mapping{RawName: "CVs", Name: "CVs", OTYSFolderID: cvs})
	m := w.Mail(1, "a@b.example", "Twice", "x")
	w.file(t, w.Inbox, m)
	w.file(t, w.mapping(t, "CVs").Mapping, m)
	id := w.lines(t, mailroom.MailFilter{})[0].Message.ID
	for _, read := range []bool{true, true, false, true} {
		must(t, s.MarkRead(ctx, w.UserID, id, read))
		n := int64(1)
		if read {
			n = 0
		}
		w.counts(t, w.Inbox.OTYSFolderID, 1, n)
		w.counts(t, cvs, 1, n)
	}
	refused(t, s.MarkRead(ctx, w.UserID, "msg_none", true), mailroom.NotFound, "error.not_found")
}

func testMailDetail(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	eva := w.AddPerson(t, "Eva", "eva@klant.example")
	w.AddPerson(t, "Bob", "info@klant.example")
	w.AddPerson(t, "Ann", "info@klant.example")
	must(t, s.SaveFolders(ctx, w.Mailbox.ID, []mailroom.Folder{{RawName: "INBOX", Name: "Postvak IN", Selectable: true}}, time.Now()))
	m := w.Mail(1, "eva@klant.example", "Hello", "x")
	m.Message.From = append(m.Message.From, mailroom.Address{Addr: "Info@Klant.example"})
	m.Message.Cc, m.Message.References = []mailroom.Address{{Name: "C", Addr: "c@c.example"}}, []string{"a@b", "c@d"}
	m.Message.Attachments = []mailroom.Attachment{{Part: "2", Name: "cv.pdf", Type: "application/pdf", Size: 9}}
	w.file(t, w.Inbox, m)
	// A colleague got the same mail; each sees their own places.
	other := w.AddRecruiter(t)
	om := m
	om.Placement.UID = 8
	other.file(t, other.Inbox, om)

	line := w.lines(t, mailroom.MailFilter{})[0]
	if line.Choices != 1 || len(line.People) != 1 || line.People[0].Person.Name != "Eva" || line.People[0].Link.Reason != mailroom.ByAddress {
		t.Fatalf("the list shows %+v", line)
	}
	d := got(s.Mail(ctx, w.OrgID, w.UserID, false, line.Message.ID))
	if d.Folder.ID != w.Inbox.OTYSFolderID || !d.Unread || d.Message.Cc[0].Name != "C" || len(d.Message.References) != 2 || d.Message.Attachments[0].Name != "cv.pdf" {
		t.Fatalf("read %+v", d)
	}
	if len(d.Places) != 1 || d.Places[0] != (mailroom.MailPlace{MailboxID: w.Mailbox.ID, Address: w.Mailbox.Address, Folder: "Postvak IN"}) {
		t.Fatalf("places are %+v", d.Places)
	}
	if len(d.Waiting) != 1 || d.Waiting[0].Address != "info@klant.example" || len(d.Waiting[0].Candidates) != 2 || d.Waiting[0].Candidates[0].Name != "Ann" {
		t.Fatalf("waiting: %+v", d.Waiting)
	}
	c := w.take(t, "n1")
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(1)))
	if d := got(s.Mail(ctx, w.OrgID, w.UserID, false, line.Message.ID)); !d.Places[0].Gone {
		t.Fatal("a mail that left the server is said to be there")
	}
	// Seen by a third colleague because it is linked: whose mailbox it is, and
	// nothing to decide.
	third := w.AddRecruiter(t)
	d = got(s.Mail(ctx, w.OrgID, third.UserID, true, line.Message.ID))
	if d.Folder.ID != "" || len(d.Places) != 2 || len(d.Waiting) != 0 || d.People[0].Person.ID != eva {
		t.Fatalf("a shared mail shows %+v", d)
	}
}

func testQuarantine(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	b := w.Batch(w.Inbox)
	b.Quarantined = []mailroom.Quarantine{{UIDValidity: UIDValidity, UID: 4, Size: 10, Reason: mailroom.Problem{Kind: mailroom.Invalid, Key: "quarantine.reason.unreadable"},
		RetryAt: time.Now().Add(time.Hour)}}
	got(s.Deliver(ctx, c, b))
	rows := got(s.QuarantineRows(ctx, w.UserID))
	if len(rows) != 1 || rows[0].UID != 4 || rows[0].Reason.Key != "quarantine.reason.unreadable" {
		t.Fatalf("quarantine: %+v", rows)
	}
	if _, n, err := s.Waiting(ctx, w.OrgID, w.UserID); n != 1 || err != nil {
		t.Fatalf("counted %d, %v", n, err)
	}
	other := w.AddRecruiter(t)
	_, err := s.QuarantineRow(ctx, other.UserID, rows[0].ID)
	refused(t, err, mailroom.NotFound, "error.not_found")
	refused(t, s.RetryQuarantine(ctx, other.UserID, rows[0].ID, time.Now(), w.act("x")), mailroom.NotFound, "error.not_found")
	if due := got(s.DueQuarantine(ctx, w.Inbox.ID, time.Now(), 10)); len(due) != 0 {
		t.Fatalf("due before its time: %v", due)
	}
	must(t, s.RetryQuarantine(ctx, w.UserID, rows[0].ID, time.Now(), w.act("quarantine.retried")))
	if due := got(s.DueQuarantine(ctx, w.Inbox.ID, time.Now(), 10)); len(due) != 1 {
		t.Fatalf("not due after a person asked: %v", due)
	}
}
