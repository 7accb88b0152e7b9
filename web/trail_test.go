package web

import (
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// What is asked for is personal: it goes by POST, stands in the form again, and
// never in an address or in the log.
func TestTrailIsAskedWithoutAnAddress(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	for _, path := range []string{integrationsPath, "/mail/trail"} {
		if p := b.get(path).wants(200); p.attr("form[role=search][action='/mail/trail']", "method") != "post" {
			t.Errorf("%s has no box to ask in", path)
		}
	}
	if p := b.get("/mail?q=zebra"); p.attr("form[action='/mail/trail'] input[name=text]", "value") != "zebra" {
		t.Error("a search that finds nothing does not lead on")
	}
	b.get("/mail").shows("a[href='/mail/trail']", "Missing a mail?")

	p := b.post("/mail/trail", "text", "carla@home.example").wants(200)
	p.shows("#answer", "My CV, as promised").shows("#answer .state", "In OTYS").
		shows(".trail", "Stored in OTYS: Inbox").shows(".trail", "Linked to Carla Meijer by carla@home.example in From")
	if p.attr("input[name=text]", "value") != "carla@home.example" {
		t.Error("the form has forgotten what was asked")
	}
	p = b.post("/mail/trail", "text", "planning@bouw.example").wants(200)
	p.shows(".trail", "planning@bouw.example belongs to several people: it waits for a choice")
	b.post("/mail/trail", "text", "").wants(422).shows(".complaint", "Fill in")
	p = b.post("/mail/trail", "text", "a mail that never came").wants(200).shows("#answer h2", "Mailroom knows of no such mail")
	p.shows("#accounted", "Inbox").shows("#accounted", "on the server")
	if !a.log.says("/mail/trail") || strings.Contains(a.log.String(), "carla@home") {
		t.Error("the log tells who was asked for")
	}
	b.get("/mail/"+a.ids["My CV, as promised"]).shows("#trail", "Stored in OTYS: Inbox")
}

// The mailbox itself is asked when Mailroom does not know the mail.
func TestTrailLooksInTheMailbox(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	p := b.post("/mail/trail", "text", "<lost@home.example>").wants(200)
	if p.attr("#answer input[name=text]", "value") != "<lost@home.example>" || p.attr("#answer input[name=look]", "value") != "yes" {
		t.Fatal("there is no button to look in the mailbox")
	}
	now := time.Date(2026, 11, 23, 14, 2, 0, 0, time.UTC)
	a.server.finds = []mailroom.FolderFind{
		{RawName: "INBOX", Folder: "INBOX", At: now}, {RawName: "Kandidaten", Folder: "Kandidaten", UIDs: mailroom.UIDs(4), At: now},
		{RawName: "Archief", Folder: "Archief", Error: true, At: now}, {RawName: "Oud", Folder: "Oud", Error: true},
	}
	p = b.post("/mail/trail", "text", "<lost@home.example>", "look", "yes").wants(200)
	p.shows(".finds", "In Kandidaten, which is not mapped").shows(".finds a[href='"+mappingPath+"']", "Map this folder").
		shows("#looked", "2 folders were searched").shows("#looked", "Inbox and Kandidaten").
		shows("#looked", "could not be searched: Archief").shows("#looked", "no time left for: Oud")
	a.server.finds = a.server.finds[:1]
	b.post("/mail/trail", "text", "<lost@home.example>", "look", "yes").wants(200).
		shows("#looked", "It is in none of the folders that were searched").shows("#looked", "1 folder was searched")
	a.server.fail(mailroom.E(mailroom.Unavailable, "imap.error.network"))
	b.post("/mail/trail", "text", "<lost@home.example>", "look", "yes").wants(200).shows("#looked .notice", "cannot be reached").shows("#accounted", "Inbox")
}

// Administrators trace without reading: neither subject nor sender nor person is
// on their page.
func TestAdministratorTracesBlindly(t *testing.T) {
	a := openAgency(t)
	box := a.post.world.Mailbox.ID
	b := a.as(a.admin)
	b.get("/admin/sync").shows("a[href='/admin/sync/trail/"+box+"']", "Trace a mail")
	p := b.post("/admin/sync/trail/"+box, "text", "carla@home.example").wants(200)
	p.shows("#answer", "Mail received").shows(".trail", "Stored in OTYS: Inbox").shows(".trail", "Linked to 1 person")
	for _, secret := range []string{"My CV", "Carla", a.ids["My CV, as promised"]} {
		if strings.Contains(p.raw, secret) {
			t.Errorf("an administrator reads %q", secret)
		}
	}
	b.post("/admin/sync/trail/"+box, "text", "my cv").wants(422).shows(".complaint", "theirs to read")
	b.get("/admin/audit").shows("main", "Traced a mail in a colleague’s mailbox")
}
