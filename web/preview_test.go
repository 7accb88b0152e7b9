package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// rowsOfAll is every row of every table but the sessions, as text.
func (s *site) rowsOfAll() string {
	s.t.Helper()
	db := sqlOf(s.t, s)
	tables, err := db.QueryContext(s.t.Context(), `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%fts%' AND name <> 'sessions' ORDER BY name`)
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for tables.Next() {
		var name string
		if err := tables.Scan(&name); err != nil {
			s.t.Fatal(err)
		}
		names = append(names, name)
	}
	var all strings.Builder
	for _, name := range names {
		rows, err := db.QueryContext(s.t.Context(), `SELECT * FROM `+name+` ORDER BY 1, 2`)
		if err != nil {
			s.t.Fatal(name, err)
		}
		columns, err := rows.Columns()
		if err != nil {
			s.t.Fatal(err)
		}
		for rows.Next() {
			cells, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range cells {
				into[i] = &cells[i]
			}
			if err := rows.Scan(into...); err != nil {
				s.t.Fatal(err)
			}
			fmt.Fprintln(&all, name, cells)
		}
		rows.Close()
	}
	return all.String()
}

func TestPreviewShowsWhatARowWouldBringAndStoresNothing(t *testing.T) {
	s := openSite(t)
	s.connected(s.admin)
	if _, _, err := s.portal.AddPerson(t.Context(), s.admin, portal.PersonForm{Kind: mailroom.Candidate, Name: "Eva Smit", Addresses: []string{"eva@home.example"}}); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2019, 3, 4, 12, 0, 0, 0, time.UTC)
	s.server.seen = mailroom.FolderPreview{Messages: 12044, Matching: 12044, Oldest: at, Newest: at.AddDate(7, 0, 0), Bytes: 1_500_000_000, Headers: [][]byte{
		[]byte("From: Eva <eva@home.example>\r\n\r\n"), []byte("From: x@stranger.example\r\n\r\n"),
	}}
	b := s.as(s.admin)
	page := b.post(mappingPath+"/rows", with(formFields(b.get(mappingPath)), "do", "add")...)
	fields := with(with(formFields(page), "rows.2.folder", "Archief"), "rows.2.since", "2018-01-01")
	before := s.rowsOfAll()
	s.server.seen.Matching = 12000
	page = b.post(mappingPath+"/rows", with(fields, "do", "preview:2")...).wants(200)
	for _, words := range []string{"12,000 since 1 Jan 2018, of 12,044 in the folder", "4 Mar 2019 to 4 Mar 2026", "about 1.5 GB", "about 8 minutes, assuming 1,500 messages a minute", "1 of the newest 2 messages", "Eva Smit (1)", "Nothing of it is stored"} {
		page.shows("#preview-2 .answer", words)
	}
	page.lacks("#preview-0 .answer")
	if got := formFields(page); field(got, "rows.2.folder") != "Archief" || field(got, "rows.2.since") != "2018-01-01" {
		t.Errorf("what was typed is lost: %v", got)
	}
	if after := s.rowsOfAll(); after != before || !strings.Contains(before, "mappings [") || !strings.Contains(before, "Eva Smit") {
		t.Errorf("a preview changed what is stored, from\n%s\nto\n%s", before, after)
	}
	if button := page.attr("#mapping-form .pair:last-of-type button[value^=preview]", "formaction"); button != mappingPath+"/rows" {
		t.Errorf("without script the button goes to %q", button)
	}

	// What is wrong is told in its place.
	b.post(mappingPath+"/rows", with(with(fields, "rows.2.folder", ""), "do", "preview:2")...).wants(422).shows("#preview-2 .complaint", "not in your mailbox")
	b.post(mappingPath+"/rows", with(with(fields, "rows.2.since", "soon"), "do", "preview:2")...).wants(422).shows("#preview-2 .complaint", "not a date")
	for key, words := range map[string]string{"folder.error.gone": "", "imap.error.network": "", "preview.error.slow": "You can save the row all the same"} {
		s.server.fail(mailroom.E(mailroom.Unavailable, key).With("seconds", 20))
		b.post(mappingPath+"/rows", with(fields, "do", "preview:2")...).wants(200).shows("#preview-2 .notice", words)
	}
	if after := s.rowsOfAll(); after != before {
		t.Error("a failed preview changed what is stored")
	}
}

func TestPreviewOfAnEmptyFolder(t *testing.T) {
	s := openSite(t)
	s.connected(s.admin)
	s.server.seen = mailroom.FolderPreview{BytesExact: true}
	b := s.as(s.admin)
	page := b.post(mappingPath+"/rows", with(formFields(b.get(mappingPath)), "do", "preview:0")...).wants(200).shows("#preview-0 .answer", "Messages 0")
	if text := page.text("#preview-0"); strings.Contains(text, "Reading it takes") {
		t.Error(text)
	}
}

func TestFollowedFolderIsToldUntilSeen(t *testing.T) {
	s := openSite(t)
	s.connected(s.admin)
	sqlExec(t, s, `UPDATE mappings SET followed_from = 'Outbox 2019', followed_at = 1 WHERE raw_name = 'Verzonden items'`)
	b := s.as(s.admin)
	page := b.get(mappingPath).shows("#progress .notice.note", "renamed from Outbox 2019 to Verzonden items")
	b.post(page.attr("#progress .notice.note form", "action"), "back", mappingPath).leadsTo(mappingPath).lacks("#progress .notice.note")
}
