package web

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func TestMailboxShowsFoldersAndMail(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	page := b.get("/mail").wants(200)
	page.shows("h1", "Inbox").shows("#mail-folders [aria-current]", "Inbox 3 unread")
	page.shows("#mail-source", "Up to date").shows("#mail-source", a.noor.Email).shows("#mail-source", "checked")
	if n := len(page.find("#mails li")); n != 14 {
		t.Errorf("%d mails in the inbox, want 14", n)
	}
	newest := page.find("#mails li")[0]
	if id := attrOf(newest, "id"); id != a.ids["My CV, as promised"] {
		t.Error("the newest mail does not stand first")
	}
	first := "#" + a.ids["My CV, as promised"]
	page.shows(first+" .who", "Carla Meijer").shows(first+" .what", "Unread: My CV, as promised").shows(first+" .chip", "Carla Meijer")
	page.shows(first+" .clip", "Has attachments")
	page.shows("#"+a.ids["Two carpenters from Monday on"]+" .choose", "Whose is this?")
	page.lacks("#" + a.ids["Nieuwsbrief november"] + ".new")

	unread := b.get(page.attr(".filter .tabs a:nth-child(2)", "href")).wants(200)
	if n := len(unread.find("#mails li")); n != 3 {
		t.Errorf("%d unread mails, want 3", n)
	}
	sent := b.get("/mail?folder=all&q=could+you").wants(200)
	sent.shows("#"+a.ids["Could you send me your CV?"]+" .who", "To: Carla Meijer").shows("#"+a.ids["Could you send me your CV?"]+" .chip", "Carla Meijer")
}

func TestMailboxPages(t *testing.T) {
	a := openAgency(t)
	var letters []letter
	for n := range 120 {
		letters = append(letters, letter{from: "x@stranger.example", to: a.noor.Email, subject: fmt.Sprintf("Bulk %d", n), at: time.Now().Add(-time.Duration(n+400) * time.Hour), body: fmt.Sprint(n)})
	}
	a.post.brings("INBOX", letters...)
	b := a.as(a.noor)
	seen := map[string]bool{}
	at, pages := "/mail", 0
	for at != "" {
		page := b.get(at).wants(200)
		for _, row := range page.find("#mails li") {
			if id := attrOf(row, "id"); seen[id] {
				t.Errorf("mail %s stands on two pages", id)
			} else {
				seen[id] = true
			}
		}
		if pages++; pages > 5 {
			t.Fatal("the pages do not end")
		}
		at = page.attr(".pager a[rel=next]", "href")
	}
	if len(seen) != 134 || pages != 3 {
		t.Errorf("%d mails on %d pages, want 134 on 3", len(seen), pages)
	}
	b.get("/mail?before=nonsense").wants(404)
	b.get("/mail?folder=ofo_nobody").wants(404)
}

func TestMailboxSearch(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	found := b.get("/mail?q=carpenters").wants(200)
	if n := len(found.find("#mails li")); n != 1 {
		t.Errorf("%d mails found, want 1", n)
	}
	found.shows("h1", "Found").shows(".filter", "Mail with “carpenters”")
	if got := found.attr("input[type=search]", "value"); got != "carpenters" {
		t.Errorf("the search is forgotten: %q", got)
	}
	b.get("/mail?q=zebra").wants(200).shows(".empty", "Nothing found for “zebra”")
	b.get("/mail?q=%22%3Cscript%3E").wants(200).lacks("script:not([src])")
}

// Each kind of emptiness says the next step.
func TestMailboxEmptyStates(t *testing.T) {
	s := openSite(t)
	u := s.addUser("Noor", "noor@werk.example", mailroom.Recruiter)
	b := s.as(u)
	page := b.get("/mail").wants(200).shows(".empty", "No mailbox is connected yet")
	if got := page.attr(".empty a", "href"); got != "/settings/integrations" {
		t.Errorf("the next step leads to %q", got)
	}
	page.lacks("#mail-source .source")
	fresh, err := s.store.UserByID(t.Context(), u.ID)
	if err == nil {
		err = s.portal.SaveAddress(t.Context(), fresh, u.Email, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.get("/mail").wants(200).shows(".empty", "not all set yet")
	box := s.connected(u)
	b.get("/mail").wants(200).shows(".empty", "first sync is about to begin").shows("#mail-source", "Waiting to start")
	midSync(t, s, box)
	b.get("/mail").wants(200).shows(".empty", "on its way").shows("#mail-source .progress", "1,830 of 4,812").shows("#mail-source .progress", "to go")
	sqlExec(t, s, `UPDATE progress SET backlog = '', stored = on_server - quarantined, checked_at = $1`, mailroom.Micros(time.Now()))
	b.get("/mail").wants(200).shows(".empty", "This folder is empty").shows("#mail-source", "Up to date")
	b.get("/mail?unread=1").wants(200).shows(".empty", "Nothing unread")
	if _, err := s.portal.AddOTYSFolder(t.Context(), fresh, "Later"); err != nil {
		t.Fatal(err)
	}
	folders, err := s.store.OTYSFolders(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if f.Name == "Later" {
			b.get("/mail?folder="+f.ID).wants(200).shows("h1", "Later").shows(".empty", "No folder of your mailbox goes here")
		}
	}
	sqlExec(t, s, `UPDATE mailboxes SET problem = '{"kind":"needs_consent","key":"imap.error.auth","since":"2026-11-23T08:00:00Z"}'`)
	b.get("/mail").wants(200).shows("#mail-source .notice", "Grant permission again").shows(".empty", "No mail has come in yet")
}

func TestSyncNowFromTheMailbox(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	page := b.get("/mail?q=hours").wants(200)
	form := "form[action='/settings/integrations/sync']"
	b.post(page.attr(form, "action"), "back", page.attr(form+" input[name=back]", "value")).leadsTo("/mail?q=hours").shows(".flashes", "sync has been asked for")
}

func TestMessagePage(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	list := "/mail?q=cv"
	row := "#" + a.ids["My CV, as promised"]
	href := b.get(list).wants(200).attr(row+" .what a", "href")
	page := b.get(href).wants(200)
	page.shows("h1", "My CV, as promised").shows(".messagehead", "Carla Meijer <carla@home.example>").shows(".mailtext", "pleasant talk")
	if got := page.attr(".mailtext a", "href"); got != "https://carla.example/portfolio" {
		t.Errorf("the address in the text leads to %q", got)
	}
	page.shows("#people", "Carla Meijer").shows("#places", a.noor.Email).shows("#places", "Inbox").shows("#places", "In OTYS: Inbox")
	page.shows(".headers", "To Noor Visser <noor@werk.example>").shows(".headers", "Message-ID")
	if got := page.attr(".crumb a", "href"); got != list+row {
		t.Errorf("back leads to %q, want the row in the list", got)
	}
	b.get("/mail").lacks(row + ".new")
	b.post("/mail/"+a.ids["My CV, as promised"]+"/read", "read", "no", "back", list+row).leadsTo(list + row)
	if !b.get("/mail").has(row + ".new") {
		t.Error("the mail cannot be marked unread")
	}
}

// A path that came from outside leads nowhere else.
func TestMessageBackStaysHere(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	id := a.ids["Nieuwsbrief november"]
	for _, from := range []string{"https://evil.example/", "//evil.example", "javascript:alert(1)", `/\evil.example`} {
		page := b.get("/mail/" + id + "?from=" + url.QueryEscape(from)).wants(200)
		if got := page.attr(".crumb a", "href"); got != "/mail#"+id {
			t.Errorf("from %q: back leads to %q", from, got)
		}
		b.post("/mail/"+id+"/read", "read", "no", "back", from).leadsTo("/mail")
	}
}

func TestMailHTMLIsCaged(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	path := "/mail/" + a.ids["Nieuwsbrief november"]
	page := b.get(path).wants(200)
	if got := page.attr("iframe", "sandbox"); got != "allow-popups allow-popups-to-escape-sandbox" {
		t.Errorf("sandbox is %q", got)
	}
	if page.attr("iframe", "title") == "" {
		t.Error("the frame has no title")
	}
	frame := b.get(page.attr("iframe", "src")).wants(200)
	policy := frame.header.Get("Content-Security-Policy")
	for _, want := range []string{"sandbox allow-popups", "default-src 'none'", "frame-ancestors 'self'", "form-action 'none'", "img-src data:"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the frame's policy lacks %s: %s", want, policy)
		}
	}
	if strings.Contains(policy, "http") || strings.Contains(policy, "script-src") || strings.Contains(policy, "allow-scripts") || strings.Contains(policy, "allow-same-origin") {
		t.Errorf("the frame's policy has a hole: %s", policy)
	}
	if strings.Contains(frame.raw, "tracker.example") || frame.has("script") || frame.header.Get("X-Frame-Options") != "SAMEORIGIN" {
		t.Error("the frame holds what it must not, or cannot be framed")
	}

	page.shows(".notice", "Images from the internet are not shown")
	shown := b.get(page.attr(".message .notice a", "href")).wants(200).lacks(".message .notice")
	frame = b.get(shown.attr("iframe", "src")).wants(200)
	if !strings.Contains(frame.raw, "tracker.example/open.gif") || !strings.HasSuffix(frame.header.Get("Content-Security-Policy"), "img-src data: https: http:") {
		t.Error("images that were asked for do not come")
	}

	text := b.get(page.attr(".message > p a", "href")).wants(200).lacks("iframe")
	text.shows(".mailtext", "de nieuwsbrief van november")
	if !b.get(text.attr(".message > p a", "href")).wants(200).has("iframe") {
		t.Error("there is no way back from the text")
	}
	b.get("/mail/" + a.ids["My CV, as promised"] + "/html").wants(404) // has no HTML
}

func TestAttachmentsAreHarmless(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	page := b.get("/mail/"+a.ids["My CV, as promised"]).wants(200).shows("#attachments", "2 attachments")
	links := page.find(".attachments a")
	pdf := b.get(attrOf(links[0], "href")).wants(200)
	if !strings.HasPrefix(pdf.raw, "%PDF-1.4") || pdf.header.Get("Content-Type") != "application/pdf" ||
		pdf.header.Get("Content-Disposition") != `attachment; filename="CV Carla Meijer.pdf"` {
		t.Errorf("the CV comes as %v", pdf.header)
	}
	html := b.get(attrOf(links[1], "href")).wants(200)
	if html.header.Get("Content-Type") != "application/octet-stream" || html.header.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.HasPrefix(html.header.Get("Content-Security-Policy"), "sandbox;") {
		t.Errorf("HTML of somebody's making comes as %v", html.header)
	}
	if got := html.header.Get("Content-Disposition"); got != `attachment; filename="diploma caf_.html"; filename*=UTF-8''diploma%20caf%C3%A9.html` {
		t.Errorf("its name is %s", got)
	}
	raw := b.get("/mail/" + a.ids["My CV, as promised"] + "/raw").wants(200)
	if raw.header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.Contains(raw.raw, "Subject: My CV, as promised") {
		t.Errorf("the source comes as %v", raw.header)
	}
	eml := b.get("/mail/" + a.ids["My CV, as promised"] + "/raw?download=1").wants(200)
	if got := eml.header.Get("Content-Disposition"); got != `attachment; filename="My CV, as promised.eml"` {
		t.Errorf("the mail is saved as %s", got)
	}
	b.get("/mail/" + a.ids["My CV, as promised"] + "/attachment/77").wants(404)
}

func TestLinkAndUnlinkByHand(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	path := "/mail/" + a.ids["My CV, as promised"]
	b.post(path+"/unlink", "person", a.carla.ID, "back", path).leadsTo(path).shows(".flashes", "Carla Meijer is no longer linked").shows("#people", "Linked to nobody yet")
	a.post.brings("INBOX") // the machine comes by
	b.get(path).lacks(".linked a.chip")

	found := b.get(path+"?person=willems").wants(200).shows("#found", "Jan Willems")
	form := "#found form"
	b.post(found.attr(form, "action"), "person", found.attr(form+" input[name=person]", "value"), "back", found.attr(form+" input[name=back]", "value")).
		leadsTo(path).shows(".linked", "linked by hand").shows(".linked", "Jan Willems")
	b.get(path+"?person=willems").shows("#found", "linked")
	b.get(path+"?person=zebra").shows("#found", "Nobody found")
	b.post(path+"/link", "person", "per_nobody").wants(404)
}

func TestChoosingIsOneClick(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	list := b.get("/mail/choices").wants(200).shows("#choice-list", "Whose is planning@bouw.example?").shows("#choice-list .tick", "1 other mail")
	form := func(page *answer, person string, more ...string) *answer {
		fields := []string{"person", person}
		for _, name := range []string{"message", "address", "back"} {
			fields = append(fields, name, page.attr("form.decide input[name="+name+"]", "value"))
		}
		return b.post("/mail/choices", append(fields, more...)...)
	}
	form(list, a.petra.ID, "all", "yes").leadsTo("/mail/choices").shows(".flashes", "Mail with planning@bouw.example is linked").shows(".empty", "Nothing to choose")
	for _, subject := range []string{"Two carpenters from Monday on", "And one painter"} {
		b.get("/mail/"+a.ids[subject]).shows(".linked", "Petra Smit").lacks("form.decide")
	}
	b.get("/mail").lacks(".choose")
	form(list, a.jan.ID).leadsTo("/mail/choices").shows(".flashes .bad", "decided already")

	late := a.post.brings("INBOX", letter{from: "planning@bouw.example", to: a.noor.Email, subject: "A roofer", at: time.Now(), body: "And a roofer."})[0]
	page := b.get("/mail/" + late).wants(200)
	form(page, "").leadsTo("/mail/"+late).shows(".flashes", "linked to nobody").lacks("form.decide").lacks(".linked")
}

func TestQuarantinePage(t *testing.T) {
	a := openAgency(t)
	b := a.as(a.noor)
	b.get("/mail/quarantine").wants(200).shows(".empty", "Nothing is set aside")
	id := a.quarantined(a.noor, a.post.world.Mailbox, a.post.mapping("INBOX"))
	at := time.Now().Add(2 * time.Hour)
	sqlExec(t, a.site, `UPDATE quarantine SET reason = '{"kind":"unavailable","key":"quarantine.reason.placeholder"}', retry_at = $1, attempts = 3, raw_hash = 'x', size = 12000`, mailroom.Micros(at))
	b.get("/mail").shows("#mail-folders", "Set aside 1")
	page := b.get("/mail/quarantine").wants(200).shows(".asides", "gave a note in its place").shows(".asides", "In Inbox, number 9 · 12 kB")
	page.shows(".asides", "Tried 3 times. Next attempt at")
	raw := b.get("/mail/quarantine/" + id + "/raw").wants(200)
	if raw.header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(raw.header.Get("Content-Disposition"), "attachment;") {
		t.Errorf("what nobody could read comes as %v", raw.header)
	}
	b.post("/mail/quarantine/"+id+"/retry").leadsTo("/mail/quarantine").shows(".flashes", "tried again in a moment")
}

// Colleagues see linked mail only where the organization shares it, and then
// cannot change whether it is read.
func TestSharedMail(t *testing.T) {
	a := openAgency(t)
	colleague := a.addUser("Bram Bakker", "bram@werk.example", mailroom.Recruiter)
	b := a.as(colleague)
	path := "/mail/" + a.ids["My CV, as promised"]
	for _, at := range []string{path, path + "/html", path + "/raw", path + "/attachment/2"} {
		b.get(at).wants(404)
	}
	b.get("/people/"+a.carla.ID).wants(200).shows(".timeline", "No mail yet")
	a.as(a.admin).post("/admin/organization", "name", "Werk & Co", "share", "yes").wants(303)
	b.get("/people/"+a.carla.ID).wants(200).shows(".timeline", "My CV, as promised").shows(".timeline", "mailboxes of all colleagues")
	b.get(path).wants(200).shows("#places", "mail of a colleague").lacks("form[action$='/read']")
	b.post(path+"/read", "read", "no").wants(404)
	if !a.as(a.noor).get("/mail").has("#" + a.ids["My CV, as promised"] + ".new") {
		t.Error("a colleague's look marks the mail as read")
	}
}
