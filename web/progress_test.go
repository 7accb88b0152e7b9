package web

import (
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// progressOf sets columns of a mapped folder's progress, past the syncer.
func (s *site) progressOf(box mailroom.Mailbox, raw, set string, args ...any) {
	s.t.Helper()
	sqlExec(s.t, s, `UPDATE progress SET `+set+` WHERE mapping_id = (SELECT id FROM mappings WHERE mailbox_id = '`+box.ID+`' AND raw_name = '`+raw+`')`, args...)
}

func TestProgressTellsRateShareAndEnd(t *testing.T) {
	s := openSite(t)
	now := time.Now()
	box := s.connected(s.admin)
	s.progressOf(box, "INBOX", `on_server = 200000, stored = 80000, backlog = '1:120000', stage = 'backfill', backfill_total = 200000, rate_mails = 60000,
		backfill_bytes = 6400000000, backfill_edge = $1, checked_at = $2`, mailroom.Micros(time.Date(2024, 3, 3, 0, 0, 0, 0, time.UTC)), mailroom.Micros(now))
	b := s.as(s.admin)
	page := b.get(mappingPath).wants(200).shows("#progress .progress", "80,000 of 200,000").shows("#progress .progress", "about 2 hours to go")
	page.shows("#progress", "1,000 messages a minute").shows("#progress", "6.4 GB read").shows("#progress", "everything since 3 Mar 2024 is here")
	s.progressOf(box, "INBOX", `rate_mails = 90`)
	b.get(mappingPath).shows("#progress", "90 messages an hour")
}

func TestLedgerIsShownAndADifferenceIsNotGreen(t *testing.T) {
	s := openSite(t)
	now := time.Now()
	s.clock = func() time.Time { return now }
	box := s.connected(s.admin)
	s.progressOf(box, "INBOX", `on_server = 4812, stored = 4800, skipped = '1:9', dropped = 1, quarantined = 2, checked_at = $1, compared_at = $2`, mailroom.Micros(now), mailroom.Micros(now.Add(-10*time.Minute)))
	s.progressOf(box, "Verzonden items", `on_server = 3, stored = 3, checked_at = $1`, mailroom.Micros(now))
	b := s.as(s.admin)
	page := b.get(mappingPath).shows("#progress li:first-child .state", "Up to date").shows("#progress .ledger summary", "4,812 messages on the server, each accounted for")
	for _, line := range []string{"In OTYS 4,800", "Left out: older than “Only since” 9", "Given up by a person 1", "Set aside, not readable yet 2", "Still to be read 0", "On the server 4,812", "10 min ago"} {
		if text := strings.Join(strings.Fields(page.text("#progress li:first-child .ledger")), " "); !strings.Contains(text, line) {
			t.Errorf("the sum lacks %q: %s", line, text)
		}
	}
	s.progressOf(box, "INBOX", `on_server = 8000`)
	page = b.get(mappingPath).shows("#progress li:first-child .state", "Checking").shows("#progress li:first-child .ledger summary", "does not hold yet")
	page.shows("#progress li:first-child .notice", "The folder holds 8,000 messages, and 4,812 are accounted for")
	s.progressOf(box, "INBOX", `on_server = 4812, checked_at = $1`, mailroom.Micros(now.Add(-20*time.Minute)))
	b.get(mappingPath).shows("#progress li:first-child .state", "Checking").shows("#progress li:first-child .notice", "is from 20 min ago")
}

func TestParkedFolderSaysSoAndCanBeTriedNow(t *testing.T) {
	s := openSite(t)
	now := time.Date(2026, 11, 23, 13, 50, 0, 0, time.UTC)
	s.clock = func() time.Time { return now }
	box := s.connected(s.admin)
	s.progressOf(box, "INBOX", `problem = $1, failures = 3, retry_at = $2`, `{"kind":"unavailable","key":"imap.error.network","since":"2026-11-23T13:00:00Z","until":"2026-11-23T14:05:00Z"}`,
		mailroom.Micros(time.Date(2026, 11, 23, 14, 5, 0, 0, time.UTC)))
	b := s.as(s.admin)
	page := b.get(mappingPath).shows("#progress .notice", "parked until then").shows("#progress .notice", "14:05")
	page.shows("#progress .notice button", "Try now")
	b.post(page.attr("#progress .notice form", "action"), "back", mappingPath).leadsTo(mappingPath).shows(".flashes", "")
}

// Rows that a mapping with subfolders made stand below it, not in the form.
func TestSubfoldersStandBelowTheirMapping(t *testing.T) {
	s := openSite(t)
	box := s.connected(s.admin)
	sqlExec(t, s, `UPDATE mappings SET subfolders = TRUE WHERE raw_name = 'INBOX'`)
	sqlExec(t, s, `INSERT INTO mappings(id, org_id, mailbox_id, raw_name, name, otys_folder_id, since, paused, created_at, parent_id)
		SELECT 'map_child', org_id, mailbox_id, 'INBOX/Acme', 'INBOX/Acme', otys_folder_id, since, paused, created_at + 9, id FROM mappings WHERE raw_name = 'INBOX'`)
	sqlExec(t, s, `INSERT INTO progress(mapping_id, mailbox_id, on_server, stored, backlog) VALUES ('map_child', $1, 40, 12, '1:28')`, box.ID)
	b := s.as(s.admin)
	page := b.get(mappingPath).shows("#progress .children summary", "1 subfolder comes along").shows("#progress .children li", "INBOX/Acme").shows("#progress .children", "12 of 40")
	page.shows("#progress .children", "add a row for it").shows("#progress .children .state", "Syncing")
	fields := formFields(page)
	if field(fields, "rows.0.subfolders") != "yes" || field(fields, "rows.2.folder") != "(no such field)" {
		t.Errorf("the form: %v", fields)
	}
	b.get(integrationsPath).lacks("#mapping li:nth-child(3)")
}

func TestRowTakenOffTheFormKeepsItsMailAndSaysSo(t *testing.T) {
	s := openSite(t)
	s.connected(s.admin)
	b := s.as(s.admin)
	page := b.post(mappingPath+"/rows", with(formFields(b.get(mappingPath).lacks("#mapping-form .notice.note")), "do", "remove:1")...).wants(200)
	page.shows("#mapping-form .notice.note", "Verzonden items is no longer read once you save. Its mail stays in OTYS.")
}
