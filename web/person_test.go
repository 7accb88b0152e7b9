package web

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"mailroom/internal/mailroom"
)

// attrOf is an attribute of an element.
func attrOf(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func TestPeopleList(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	if n := len(b.get("/people").wants(200).find("tbody tr")); n != 5 {
		t.Errorf("%d people, want 5", n)
	}
	b.get("/people?kind=contact").wants(200).shows("tbody", "Petra Smit").shows(".tabs [aria-current]", "Contact persons")
	if got := b.get("/people?kind=contact").text("tbody"); strings.Contains(got, "Carla") {
		t.Errorf("a candidate among the contact persons: %s", got)
	}
	b.get("/people?q=carla@work").wants(200).shows("tbody", "Carla Meijer")
	b.get("/people?q=zebra").wants(200).shows(".empty", "Nobody found for “zebra”")
	b.get("/people?page=99").wants(200).shows(".empty", "does not exist")
	elsewhere := a.as(a.otherOrganization())
	elsewhere.get("/people").wants(200).shows(".empty", "No people yet")
}

// A person who is added after their mail came gets it linked.
func TestAddPersonLinksMailThatIsHere(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	page := b.post("/people", "kind", "contact", "name", " ", "addresses", "nieuws@zorg.example\nnot an address", "company", "Zorg").wants(422)
	page.shows("#f-name-complaint", "Enter a name").shows("#f-addresses-complaint", "not a mail address")
	if page.text("textarea") != "nieuws@zorg.example not an address" || page.attr("input[name=company]", "value") != "Zorg" || !page.has("input[value=contact][checked]") {
		t.Error("what was typed is forgotten")
	}
	made := b.post("/people", "kind", "contact", "name", "Werk in de zorg", "addresses", "nieuws@zorg.example\r\npers@zorg.example", "company", "Zorg", "reference", "Z-1")
	path := made.header.Get("Location")
	person := made.leadsTo(path).shows(".flashes", "Werk in de zorg is added").shows(".flashes", "1 mail that was already here is linked")
	person.shows(".timeline", "Nieuwsbrief november").shows(".facts", "pers@zorg.example")
	b.get("/mail/"+a.ids["Nieuwsbrief november"]).shows(".linked", "Werk in de zorg")
	if got := b.get(b.get(path).attr(".mails .what a", "href")).wants(200).attr(".crumb a", "href"); got != path+"#"+a.ids["Nieuwsbrief november"] {
		t.Errorf("back from the mail leads to %q", got)
	}

	edit := b.get(path+"/edit").wants(200).shows("textarea", "nieuws@zorg.example pers@zorg.example")
	if edit.attr("input[name=reference]", "value") != "Z-1" {
		t.Error("the form does not hold the person")
	}
	b.post(path+"/edit", "kind", "candidate", "name", "Zita Zorg", "addresses", "tom@home.example").leadsTo(path).shows("h1", "Zita Zorg").shows(".facts", "Candidate")

	b.get(path+"/delete").wants(200).shows("dialog", "Delete Zita Zorg?").shows("dialog", "The mail itself stays")
	b.post(path+"/delete").leadsTo("/people").shows(".flashes", "deleted")
	b.get(path).wants(404)
	b.get("/mail/" + a.ids["Nieuwsbrief november"]).wants(200).lacks(".linked")
}

func (b *browser) upload(path, field, name, content string) *answer {
	b.s.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile(field, name)
	if err == nil {
		_, err = part.Write([]byte(content))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		b.s.t.Fatal(err)
	}
	return b.send(http.MethodPost, path, w.FormDataContentType(), &body)
}

func TestImportPeople(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	b.get("/people/import").wants(200).shows("pre", "kind,name,emails,company,reference")
	file := "kind,name,emails,company,reference\n" +
		"candidate,Zoë Zuidema,zoe@home.example,,C-1\n" +
		"alien,Marvin,m@mars.example,,\n" +
		"contact,Werk in de zorg,nieuws@zorg.example,Zorg,\n" +
		"candidate,,x@home.example,,\n"
	report := b.upload("/people/import", "file", "people.csv", file).wants(200)
	report.shows("#report", "2 people added").shows("#report", "1 mail linked").shows("#bad", "2 rows were left out")
	rows := report.find("#bad tbody tr")
	if len(rows) != 2 || report.text("#bad tbody th") != "3 5" {
		t.Errorf("bad rows: %s", report.text("#bad tbody"))
	}
	report.shows("#bad tbody", "neither candidate nor contact").shows("#bad tbody", "Enter a name")
	again := b.upload("/people/import", "file", "people.csv", file).wants(200)
	again.shows("#report", "0 people added").shows("#report", "2 people were here already")
	b.get("/people?q=zuidema").shows("tbody", "Zoë Zuidema")

	b.upload("/people/import", "file", "people.csv", "a,b\n1,2\n").wants(422).shows(".complaint", "names no column")
	b.upload("/people/import", "file", "people.csv", "").wants(422).shows(".complaint", "empty")
	b.upload("/people/import", "other", "people.csv", file).wants(422).shows(".complaint", "Choose a file first")
	b.post("/people/import", "file", "x").wants(422)
	large := "kind,name\ncandidate,\"" + strings.Repeat("x", maxPeopleFile) + "\"\n"
	b.upload("/people/import", "file", "people.csv", large).wants(422).shows(".complaint", "larger than 32 MB")
}

func TestSyncStatePage(t *testing.T) {
	a := openAgency(t)
	boss := a.as(a.admin)
	page := boss.get("/admin/sync").wants(200)
	box := "#" + a.post.world.Mailbox.ID
	page.shows(box, "Noor Visser").shows(box, a.noor.Email+" · Outlook").shows(box+" .how", "Up to date").shows(box+" .how", "behind")
	page.shows(box+" tbody", "Inbox → Inbox").shows(box+" tbody", "Verzonden items → Sent items")

	midSync(t, a.site, a.post.world.Mailbox)
	page = boss.get("/admin/sync").wants(200).shows(box+" .how", "Syncing").shows(box+" tbody", "4,812").shows(box+" .progress", "1,830 of 4,812")
	page.shows(box+" .how", "Verzonden items 40 s behind")

	other := a.addUser("Pim de Wit", "pim@werk.example", mailroom.Recruiter)
	pims := a.connected(other)
	sqlExec(t, a.site, `UPDATE mailboxes SET problem = '{"kind":"needs_consent","key":"imap.error.auth","since":"2026-11-23T08:00:00Z"}' WHERE id = $1`, pims.ID)
	page = boss.get("/admin/sync?trouble=1").wants(200).lacks(box)
	page.shows("#"+pims.ID+" .how", "Needs its owner").shows("#"+pims.ID+" .notice", "Pim de Wit can mend this").shows(".tabs", "In trouble 1")

	back := page.attr("#"+pims.ID+" form[action$='/pause'] input[name=back]", "value")
	boss.post("/mailboxes/"+pims.ID+"/pause", "back", back).leadsTo("/admin/sync?trouble=1").shows(".flashes", "paused")
	if !boss.get("/admin/sync").has("#" + pims.ID + " form[action$='/resume']") {
		t.Error("a paused mailbox cannot be resumed")
	}
	boss.get("/admin/sync/runs/" + a.post.mapping("INBOX").ID).wants(200)

	elsewhere := a.as(a.otherOrganization())
	elsewhere.get("/admin/sync").wants(200).shows(".empty", "No mailboxes yet")
	elsewhere.get("/admin/sync?trouble=1").wants(200).shows(".empty", "No mailboxes yet")
}
