package web

import (
	"strings"
	"testing"

	"golang.org/x/net/html"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// rows reads the form as a browser would send it: name, value, name, value…
func formFields(page *answer) []string {
	var fields []string
	for _, n := range page.find("#mapping-form input[name], #mapping-form select[name]") {
		at := func(n *html.Node, key string) string {
			for _, a := range n.Attr {
				if a.Key == key {
					return a.Val
				}
			}
			return ""
		}
		value := at(n, "value")
		if at(n, "type") == "checkbox" && !has(n, "checked") {
			continue
		}
		if n.Data == "select" {
			for o := n.FirstChild; o != nil; o = o.NextSibling {
				for _, a := range o.Attr {
					if a.Key == "selected" {
						value = at(o, "value")
					}
				}
			}
		}
		fields = append(fields, at(n, "name"), value)
	}
	return fields
}

func has(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}

// with replaces or adds a field.
func with(fields []string, name, value string) []string {
	out := append([]string(nil), fields...)
	for i := 0; i+1 < len(out); i += 2 {
		if out[i] == name {
			out[i+1] = value
			return out
		}
	}
	return append(out, name, value)
}

func field(fields []string, name string) string {
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == name {
			return fields[i+1]
		}
	}
	return "(no such field)"
}

// granted is a user with permission and nothing mapped.
func (s *site) granted(u mailroom.User) *browser {
	s.t.Helper()
	b := s.as(u)
	b.post(integrationsPath+"/username", "address", u.Email).wants(303)
	b.post(activationPath, "account", "outlook:microsoft").wants(200)
	b.get("/oauth/callback/microsoft?state=state&code=good").wants(303)
	return b
}

func TestMappingFromFirstLookToSaved(t *testing.T) {
	s := openSite(t)
	b := s.granted(s.admin)
	page := b.get(mappingPath).wants(200)
	if s.server.asked != 0 {
		t.Error("the page waited for the server")
	}
	if page.attr("#mapping-form .liststate [hx-trigger=load]", "hx-post") == "" || !page.has("#mapping-form noscript button") {
		t.Error("the page does not ask for the live list by itself, or not without script")
	}
	page.shows("#mapping-form .waiting", "Asking the mail server")

	// What htmx sends on load, and a browser without script by its button.
	page = b.post(mappingPath+"/rows", with(formFields(page), "do", "refresh")...).wants(200)
	fields := formFields(page)
	if field(fields, "rows.0.folder") != "INBOX" || field(fields, "rows.1.folder") != "Verzonden items" {
		t.Errorf("Inbox and Sent are not ready: %v", fields)
	}
	page.shows("#mapping-form .pairnote", "4,812 messages. No clean-up is needed").shows("#mapping-form .pairnote", "about 3 minutes")
	page.lacks("#mapping-form [hx-trigger=load]")
	if text := page.text("#mapping-form"); strings.Contains(text, "Agenda") || !strings.Contains(text, "Zorg & Welzijn (41)") {
		t.Errorf("the folders offered are %s", page.text("#mapping-form select:first-of-type"))
	}
	if !page.has("#mapping-folders .depth-1") {
		t.Error("the folders are not shown as a tree")
	}

	b.post(mappingPath, fields...).leadsTo(mappingPath).shows(".flashes", "sync has begun").shows("#progress", "Verzonden items")
	row, err := s.store.MailboxOf(t.Context(), s.admin.ID)
	if err != nil || row.Mailbox.Wanted == 0 {
		t.Errorf("no sync was asked for: %+v %v", row.Mailbox, err)
	}
}

func TestRowsAreAddedAndRemovedWithoutLosingWhatWasTyped(t *testing.T) {
	s := openSite(t)
	b := s.granted(s.admin)
	page := b.post(mappingPath+"/rows", with(formFields(b.get(mappingPath)), "do", "refresh")...)
	page = b.post(mappingPath+"/rows", with(formFields(page), "do", "add")...).wants(200)
	fields := with(formFields(page), "rows.2.folder", "Kandidaten/Techniek")
	fields = with(fields, "rows.2.since", "2026-01-01")
	fields = with(with(fields, "do", "otys"), "otys_name", "Techniek")
	page = b.post(mappingPath+"/rows", fields...).wants(200)
	fields = formFields(page)
	if !strings.HasPrefix(field(fields, "rows.2.otys"), "ofo_") || field(fields, "rows.2.folder") != "Kandidaten/Techniek" || field(fields, "rows.2.since") != "2026-01-01" {
		t.Errorf("the new OTYS folder or the row is lost: %v", fields)
	}
	page = b.post(mappingPath+"/rows", with(fields, "do", "remove:0")...).wants(200)
	if got := formFields(page); field(got, "rows.0.folder") != "Verzonden items" || field(got, "rows.1.folder") != "Kandidaten/Techniek" || field(got, "rows.2.folder") != "(no such field)" {
		t.Errorf("after removing the first row: %v", got)
	}
	b.post(mappingPath+"/rows", with(with(fields, "do", "otys"), "otys_name", "techniek ")...).wants(422).shows("#f-otys_name-complaint", "")
	b.post(mappingPath, formFields(page)...).leadsTo(mappingPath).shows("#progress", "Kandidaten/Techniek")
}

func TestMappingSaysWhatIsWrongBesideTheRow(t *testing.T) {
	s := openSite(t)
	b := s.granted(s.admin)
	fields := formFields(b.post(mappingPath+"/rows", with(formFields(b.get(mappingPath)), "do", "refresh")...))
	page := b.post(mappingPath, with(fields, "rows.1.folder", "INBOX")...).wants(422)
	page.shows("#f-rows-1-folder-complaint", "")
	if page.attr("#f-rows-1-folder", "aria-invalid") != "true" {
		t.Error("the row is not marked")
	}
	b.post(mappingPath, with(fields, "rows.0.otys", "ofo_elsewhere")...).wants(422).shows("#f-rows-0-otys-complaint", "")
	b.post(mappingPath, with(fields, "rows.0.since", "last week")...).wants(422).shows("#f-rows-0-since-complaint", "not a date")
	b.get(mappingPath).lacks("#progress")
	b.post(mappingPath, with(with(fields, "rows.0.folder", ""), "rows.1.folder", "")...).leadsTo(mappingPath).shows(".flashes", "No folder is mapped")
}

func TestSecondTabCannotOverwriteUnseen(t *testing.T) {
	s := openSite(t)
	s.connected(s.admin)
	b := s.as(s.admin)
	tab1, tab2 := formFields(b.get(mappingPath)), formFields(b.get(mappingPath))
	b.post(mappingPath, with(tab1, "rows.0.folder", "Archief")...).wants(303)
	page := b.post(mappingPath, with(tab2, "rows.0.folder", "Kandidaten")...).wants(422)
	page.shows("#mapping-form [role=alert]", "").shows("#progress", "Archief").shows("#mapping-form a[href='/settings/integrations/mapping']", "Load the page again")
	if field(formFields(page), "rows.0.folder") != "Kandidaten" {
		t.Error("what was typed in the second tab is lost")
	}
	b.post(mappingPath, formFields(page)...).leadsTo(mappingPath).shows("#progress", "Kandidaten")
}

func TestMappingWorksWhenTheProviderIsDown(t *testing.T) {
	s := openSite(t)
	s.connected(s.admin)
	s.server.fail(mailroom.E(mailroom.Unavailable, "imap.error.network"))
	b := s.as(s.admin)
	page := b.get(mappingPath).wants(200).shows("#progress", "Verzonden items")
	page = b.post(mappingPath+"/rows", with(formFields(page), "do", "refresh")...).wants(200)
	page.shows("#mapping-form .notice", "passes by itself").shows("#mapping-form .notice", "as last known")
	if field(formFields(page), "rows.0.folder") != "INBOX" {
		t.Error("the saved rows are gone")
	}
	page.lacks("#mapping-form [hx-trigger=load]") // no endless asking
	b.post(mappingPath, formFields(page)...).wants(303)
}

func TestMappedFolderThatHasGoneIsNamed(t *testing.T) {
	s := openSite(t)
	s.connected(s.admin)
	s.server.folders = usualFolders[:1]
	b := s.as(s.admin)
	page := b.post(mappingPath+"/rows", with(formFields(b.get(mappingPath)), "do", "refresh")...).wants(200)
	page.shows("#mapping-form .notice.warn", "Verzonden items").shows("#mapping-form option[selected]", "Verzonden items (no longer on the server)")
	b.get(mappingPath).shows("#progress", "Folder is gone").shows("#progress .notice", "no longer on the server")
	b.post(mappingPath, formFields(page)...).wants(303) // and is never silently dropped
	b.get(mappingPath).shows("#progress", "Verzonden items")
}

func TestOddFolderNamesSurviveTheForm(t *testing.T) {
	s := openSite(t)
	odd := "Werk\r\n\x01 "
	s.server.folders = append(usualFolders[:2:2], mailroom.Folder{RawName: odd, Name: "Gelöscht", Path: []string{"Gelöscht"}, Delimiter: "/", Selectable: true, Messages: 7})
	b := s.granted(s.admin)
	fields := formFields(b.post(mappingPath+"/rows", with(formFields(b.get(mappingPath)), "do", "refresh")...))
	page := b.post(mappingPath+"/rows", with(with(fields, "rows.0.folder", "hex:5765726b0d0a0120"), "do", "show")...).wants(200)
	page.shows("#mapping-form option[selected]", "Gelöscht (7)")
	b.post(mappingPath, formFields(page)...).wants(303)
	rows, err := s.portal.MappingPage(t.Context(), s.admin)
	if err != nil || rows.Rows[0].Mapping.RawName != odd {
		t.Errorf("saved as %q (%v)", rows.Rows[0].Mapping.RawName, err)
	}
}

func TestCreateOTYSFolderInTheMailbox(t *testing.T) {
	s := openSite(t)
	s.connected(s.admin)
	b := s.as(s.admin)
	page := b.get(mappingPath)
	name := page.attr("#create-folder input[name=folder_name]", "value")
	page.shows("#create-folder button", "Create an OTYS folder")
	b.post(mappingPath+"/imap-folder", "folder_name", name).leadsTo(mappingPath).shows(".flashes", "OTYS")
	page = b.post(mappingPath+"/rows", with(formFields(b.get(mappingPath)), "do", "refresh")...)
	page.shows("#mapping-folders", "OTYS")
	b.post(mappingPath+"/imap-folder", "folder_name", name).wants(422).shows("#create-folder .complaint", "")
	s.server.fail(mailroom.E(mailroom.Unavailable, "imap.error.network"))
	b.post(mappingPath+"/imap-folder", "folder_name", "Other").wants(422).shows("#create-folder .complaint", "")
}

func TestMappingBeforeThereIsAMailbox(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	b.get(mappingPath).wants(200).shows(".empty", "No mailbox yet")
	b.post(integrationsPath+"/username", "address", s.admin.Email).wants(303)
	page := b.get(mappingPath).wants(200).shows("#mapping-form .notice", "no permission")
	page.lacks("#mapping-form [hx-trigger=load]").lacks("#create-folder")
}

func TestPausedMappingStaysPausedWhenSavedAgain(t *testing.T) {
	s := openSite(t)
	s.connected(s.admin)
	page, err := s.portal.MappingPage(t.Context(), s.admin)
	if err != nil {
		t.Fatal(err)
	}
	b := s.as(s.admin)
	b.post("/mappings/"+page.Rows[0].Mapping.ID+"/pause", "back", mappingPath).leadsTo(mappingPath).shows("#progress", "Paused")
	b.post(mappingPath, formFields(b.get(mappingPath))...).leadsTo(mappingPath).shows("#progress", "Paused")
	var row portal.MappingRow
	if page, err = s.portal.MappingPage(t.Context(), s.admin); err == nil {
		row = page.Rows[0]
	}
	b.post("/mappings/"+row.Mapping.ID+"/resume", "back", mappingPath).leadsTo(mappingPath)
	if strings.Contains(b.get(mappingPath).text("#progress .state"), "Paused") {
		t.Error("still paused")
	}
}
