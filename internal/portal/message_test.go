package portal_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

const richMail = "From: Eva <eva@klant.example>\r\nTo: anna@werk.example\r\nSubject: CV: \"Eva/de\" Boer?\r\nMessage-ID: <rich@mail.example>\r\n" +
	"Date: Mon, 23 Nov 2026 08:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" +
	"--x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n" +
	"--y\r\nContent-Type: text/plain\r\n\r\nHello in text\r\n" +
	"--y\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>in HTML</b><script>alert(1)</script><img src=\"https://spy.example/pixel.png\"></p>\r\n--y--\r\n" +
	"--x\r\nContent-Type: application/pdf; name=cv.pdf\r\nContent-Disposition: attachment; filename=\"../cv.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--x--\r\n"

func TestMailboxPages(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	var raws []string
	for i := range 7 {
		raws = append(raws, mail("x@y.example", fmt.Sprintf("Mail %d", i), "text"))
	}
	w.deliver(w.anna, "INBOX", raws...)
	w.deliver(w.anna, "Sent Items", mail("Anna <anna@werk.example>", "Sent one", "outgoing words"))
	var seen []string
	for q := (portal.MailQuery{Limit: 3}); ; {
		v := got(w.Mails(w.ctx, w.anna, q))
		if v.Current.Role != mailroom.RoleInbox || v.Current.Total != 7 || v.Mailbox.Address != "anna@werk.example" || len(v.Mappings) != 2 {
			t.Fatalf("head of the list: %+v", v)
		}
		for _, r := range v.Rows {
			seen = append(seen, r.Subject)
		}
		if q.Before = v.Next; v.Next == "" {
			break
		}
	}
	if !slices.Equal(seen, []string{"Mail 6", "Mail 5", "Mail 4", "Mail 3", "Mail 2", "Mail 1", "Mail 0"}) {
		t.Fatalf("pages: %v", seen)
	}
	if v := got(w.Mails(w.ctx, w.anna, portal.MailQuery{Search: "outgoing"})); len(v.Rows) != 1 || v.Current.ID != "" || !v.Rows[0].Sent || v.Rows[0].To[0].Addr != "anna@werk.example" {
		t.Fatalf("a search covers all folders: %+v", v.Rows)
	}
	sent := got(w.Mails(w.ctx, w.anna, portal.MailQuery{FolderID: portal.AllFolders})).Folders[1]
	if v := got(w.Mails(w.ctx, w.anna, portal.MailQuery{FolderID: sent.ID})); len(v.Rows) != 1 || v.Rows[0].Unread {
		t.Fatalf("sent: %+v", v.Rows)
	}
	id := w.id(w.anna, "Mail 4")
	must(t, w.MarkRead(w.ctx, w.anna, id, true))
	if v := got(w.Mails(w.ctx, w.anna, portal.MailQuery{Unread: true})); len(v.Rows) != 6 || v.Current.Unread != 6 {
		t.Fatalf("unread: %d rows, counter %d", len(v.Rows), v.Current.Unread)
	}
	must(t, w.MarkRead(w.ctx, w.anna, id, false))
	for _, q := range []portal.MailQuery{{FolderID: "ofo_none"}, {Before: "rubbish"}, {Before: "1.-5"}} {
		_, err := w.Mails(w.ctx, w.anna, q)
		refused(t, err, mailroom.NotFound, "error.not_found")
	}
}

func TestMessagePage(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	eva, _, err := w.AddPerson(w.ctx, w.anna, portal.PersonForm{Kind: mailroom.Candidate, Name: "Eva", Addresses: []string{"eva@klant.example"}})
	must(t, err)
	w.deliver(w.anna, "INBOX", richMail, mail("x@y.example", "Plain", "only text"))
	id := w.id(w.anna, `CV: "Eva/de" Boer?`)
	v := got(w.Mail(w.ctx, w.anna, id))
	if v.Text != "Hello in text" || !v.HasHTML || !v.HasRemote || v.Shared || !v.Unread || v.Unreadable || len(v.People) != 1 || v.People[0].ID != eva.ID {
		t.Fatalf("page: %+v", v)
	}
	if len(v.Places) != 1 || v.Places[0] != (portal.Place{Mailbox: "anna@werk.example", Folder: "Inbox"}) {
		t.Fatalf("places: %+v", v.Places)
	}
	doc := string(got(w.MailHTML(w.ctx, w.anna, id, false)))
	if !strings.Contains(doc, "<b>in HTML</b>") || strings.Contains(doc, "alert") || strings.Contains(doc, "spy.example") {
		t.Fatalf("HTML: %s", doc)
	}
	if doc := string(got(w.MailHTML(w.ctx, w.anna, id, true))); !strings.Contains(doc, "spy.example") {
		t.Fatal("remote images stay off although asked for")
	}
	_, err = w.MailHTML(w.ctx, w.anna, w.id(w.anna, "Plain"), false)
	refused(t, err, mailroom.NotFound, "error.not_found")

	a := v.Message.Attachments[0]
	d, err := w.Attachment(w.ctx, w.anna, id, a.Part)
	if b := body(t, d, err); b != "%PDF" || d.Name != "cv.pdf" || d.Type != "application/pdf" {
		t.Fatalf("attachment %q %q %q", d.Name, d.Type, b)
	}
	_, err = w.Attachment(w.ctx, w.anna, id, "9.9")
	refused(t, err, mailroom.NotFound, "error.not_found")
	d, err = w.RawMail(w.ctx, w.anna, id)
	if b := body(t, d, err); b != richMail || d.Name != "CV_ _Eva_de_ Boer_.eml" || d.Type != "message/rfc822" {
		t.Fatalf("raw %q %q", d.Name, d.Type)
	}

	// Without its raw bytes the page still says what is known.
	clear(w.raw)
	if v = got(w.Mail(w.ctx, w.anna, id)); !v.Unreadable || v.HasHTML || v.Message.Subject == "" {
		t.Fatalf("without raw: %+v", v)
	}
}

func TestMailBelongsToItsReader(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	bob := w.addUser("bob@werk.example", "Bob", mailroom.Recruiter)
	other := w.otherAgency()
	eva, _, err := w.AddPerson(w.ctx, w.anna, portal.PersonForm{Kind: mailroom.Candidate, Name: "Eva", Addresses: []string{"eva@klant.example"}})
	must(t, err)
	w.deliver(w.anna, "INBOX", richMail, mail("x@y.example", "Private", "secret"))
	rich, private := w.id(w.anna, `CV: "Eva/de" Boer?`), w.id(w.anna, "Private")
	closed := func(u mailroom.User, id string) {
		t.Helper()
		_, e1 := w.Mail(w.ctx, u, id)
		_, e2 := w.MailHTML(w.ctx, u, id, false)
		_, e3 := w.RawMail(w.ctx, u, id)
		_, e4 := w.Attachment(w.ctx, u, id, "2")
		for _, err := range []error{e1, e2, e3, e4, w.Link(w.ctx, u, id, eva.ID), w.Unlink(w.ctx, u, id, eva.ID), w.MarkRead(w.ctx, u, id, true),
			w.Decide(w.ctx, u, id, "eva@klant.example", eva.ID, true)} {
			refused(t, err, mailroom.NotFound, "error.not_found")
		}
	}
	for _, u := range []mailroom.User{bob, w.admin, other} {
		closed(u, rich)
		closed(u, private)
	}
	if p := got(w.Person(w.ctx, bob, eva.ID, "")); len(p.Mails) != 0 || p.Shared {
		t.Fatalf("a colleague's timeline shows %+v", p.Mails)
	}
	_, err = w.Person(w.ctx, other, eva.ID, "")
	refused(t, err, mailroom.NotFound, "error.not_found")

	// Shared: what is linked, to read; and not one mail more.
	must(t, w.SaveOrganization(w.ctx, w.admin, portal.OrganizationForm{Name: "Werk", ShareLinkedMail: true}))
	if v := got(w.Mail(w.ctx, bob, rich)); !v.Shared || v.Text != "Hello in text" || v.Unread {
		t.Fatalf("shared: %+v", v)
	}
	d, err := w.Attachment(w.ctx, bob, rich, "2")
	body(t, d, err)
	if p := got(w.Person(w.ctx, bob, eva.ID, "")); len(p.Mails) != 1 || !p.Shared {
		t.Fatalf("shared timeline: %+v", p)
	}
	refused(t, w.MarkRead(w.ctx, bob, rich, true), mailroom.NotFound, "error.not_found")
	closed(bob, private)
	closed(other, rich)
	if v := got(w.Mails(w.ctx, bob, portal.MailQuery{Search: "Hello"})); len(v.Rows) != 0 {
		t.Fatal("shared mail shows up in a colleague's own mailbox")
	}
}

func TestLinksAndChoices(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	add := func(name string, addresses ...string) string {
		t.Helper()
		p, _, err := w.AddPerson(w.ctx, w.anna, portal.PersonForm{Kind: mailroom.Contact, Name: name, Addresses: addresses})
		must(t, err)
		return p.ID
	}
	ann, bob := add("Ann", "info@klant.example"), add("Bob", "Info@Klant.example")
	w.deliver(w.anna, "INBOX", mail("info@klant.example", "One", "x"), mail("info@klant.example", "Two", "x"))
	list := got(w.Mails(w.ctx, w.anna, portal.MailQuery{}))
	if list.OpenChoices != 2 || list.Rows[0].Choices != 1 || len(list.Rows[0].People) != 0 {
		t.Fatalf("list: %d waiting, %+v", list.OpenChoices, list.Rows)
	}
	cs := got(w.Choices(w.ctx, w.anna))
	if len(cs) != 1 || cs[0].Subject != "Two" || cs[0].Others != 1 || len(cs[0].Candidates) != 2 || cs[0].Candidates[0].ID != ann {
		t.Fatalf("choices: %+v", cs)
	}
	must(t, w.Decide(w.ctx, w.anna, cs[0].MessageID, "INFO@klant.example", bob, true))
	w.audited("choice.decided")
	list = got(w.Mails(w.ctx, w.anna, portal.MailQuery{}))
	if list.OpenChoices != 0 || list.Rows[0].People[0].Name != "Bob" || list.Rows[1].People[0].Name != "Bob" {
		t.Fatalf("decided: %+v", list.Rows)
	}
	id := list.Rows[0].ID
	must(t, w.Unlink(w.ctx, w.anna, id, bob))
	w.audited("link.removed")
	must(t, w.Link(w.ctx, w.anna, id, ann))
	w.audited("link.made")
	if v := got(w.Mail(w.ctx, w.anna, id)); len(v.People) != 1 || v.People[0].ID != ann || v.People[0].Reason != mailroom.ByHand {
		t.Fatalf("linked by hand: %+v", v.People)
	}
	refused(t, w.Link(w.ctx, w.anna, id, "per_none"), mailroom.NotFound, "error.not_found")
}

func TestQuarantined(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	m := w.mapping(w.anna, "INBOX")
	c := got(w.store.ClaimMailboxes(w.ctx, "n", 1<<40, 1, w.now()))[0]
	w.raw[w.anna.OrgID+"h"] = []byte("\x00broken")
	held := func(uid uint32, hash string) mailroom.Quarantine {
		return mailroom.Quarantine{UIDValidity: 1, UID: uid, RawHash: hash, Reason: mailroom.Problem{Kind: mailroom.Invalid, Key: "quarantine.reason.unreadable"}}
	}
	got(w.store.Deliver(w.ctx, c, mailroom.Batch{Mapping: m.Mapping, UserID: w.anna.ID, Quarantined: []mailroom.Quarantine{held(1, "h"), held(2, "")},
		Blobs: []mailroom.BlobRef{{Hash: "h", Pack: "p", Codec: "raw"}}, Progress: m.Progress}))
	if v := got(w.Mails(w.ctx, w.anna, portal.MailQuery{})); v.Quarantined != 2 {
		t.Fatalf("counted %d", v.Quarantined)
	}
	for _, q := range got(w.Quarantined(w.ctx, w.anna)) {
		if q.Folder != "Inbox" {
			t.Fatalf("row %+v", q)
		}
		d, err := w.QuarantinedRaw(w.ctx, w.anna, q.ID)
		if q.RawHash == "" {
			refused(t, err, mailroom.NotFound, "error.not_found")
		} else if b := body(t, d, err); b != "\x00broken" || d.Type != "application/octet-stream" {
			t.Fatalf("raw %q as %s", b, d.Type)
		}
		must(t, w.RetryQuarantined(w.ctx, w.anna, q.ID))
		_, err = w.QuarantinedRaw(w.ctx, w.admin, q.ID)
		refused(t, err, mailroom.NotFound, "error.not_found")
		refused(t, w.RetryQuarantined(w.ctx, w.admin, q.ID), mailroom.NotFound, "error.not_found")
	}
}
