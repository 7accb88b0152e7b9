package web

import (
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// A mail that cannot be filed can be given up with a reason, and taken up again.
func TestQuarantineIsGivenUpWithAReason(t *testing.T) {
	s := openSite(t)
	noor := s.addUser("Noor", "noor@werk.example", mailroom.Recruiter)
	b := s.as(noor)
	b.get("/mail/quarantine").wants(200).shows("#set-aside", "Nothing is set aside")
	box := s.connected(noor)
	rows, err := s.store.MappingRows(t.Context(), box.ID)
	if err != nil {
		t.Fatal(err)
	}
	id := s.quarantined(noor, box, rows[0].Mapping)
	sqlExec(t, s, `UPDATE quarantine SET reason = '{"kind":"needs_vendor","key":"quarantine.reason.too_large"}', size = 200000000, attempts = 2, retry_at = $1`,
		mailroom.Micros(time.Now().Add(time.Hour)))
	p := b.get("/mail/quarantine").shows("#set-aside", "larger than we take in").shows("#set-aside", "raise the limit").
		shows("#set-aside", "Tried 2 times").shows("#set-aside", "Next attempt at").shows("#set-aside", "200 MB").shows("#set-aside", "nothing to download")
	p.lacks("#given-up").lacks("a[download]")

	form := "/mail/quarantine/" + id + "/give-up"
	b.get(form).wants(200).shows("dialog h1", "Give this mail up?")
	b.post(form, "reason", "  ").wants(422).shows("dialog .complaint", "why")
	b.post(form, "reason", "Spam, and huge").leadsTo("/mail/quarantine").
		shows("#given-up", "Spam, and huge").shows("#given-up", "Given up by Noor").shows("#set-aside", "Nothing waits").
		shows("#given-up button", "Keep trying after all")
	b.get(form).wants(404) // it is done
	b.get("/mail").lacks("a[href='/mail/quarantine'] .count")
	b.post("/mail/quarantine/"+id+"/keep").leadsTo("/mail/quarantine").shows("#set-aside", "larger than we take in").lacks("#given-up")

	sqlExec(t, s, `UPDATE quarantine SET gone_at = $1, raw_hash = 'x'`, mailroom.Micros(time.Now()))
	b.get("/mail/quarantine").shows("#set-aside", "No longer in the mailbox; a copy is kept here.").shows("a[download]", "Download")
}

// What comparisons found stands where the folder does, for its owner and for
// administrators.
func TestDifferencesAreShown(t *testing.T) {
	s := openSite(t)
	noor := s.addUser("Noor", "noor@werk.example", mailroom.Recruiter)
	box := s.connected(noor)
	at := time.Date(2026, 11, 3, 14, 2, 0, 0, time.UTC)
	sqlExec(t, s, `UPDATE progress SET checked_at = $1, on_server = 9, stored = 4, skipped = '1:2', dropped = 1, quarantined = 1, backlog = '5', compared_at = $2`,
		mailroom.Micros(time.Now()), mailroom.Micros(at))
	sqlExec(t, s, `INSERT INTO findings(id, org_id, mailbox_id, mapping_id, kind, at, count, uids, repaired_at)
		SELECT 'fin_1', org_id, mailbox_id, id, 'missed', $1, 3, '7:9', $2 FROM mappings WHERE raw_name = 'INBOX'`,
		mailroom.Micros(at), mailroom.Micros(at.Add(time.Minute)))
	const told = "On 3 Nov 2026, 14:02, 3 mails were in Inbox that Mailroom did not know of; repaired 14:03."
	s.as(noor).get(integrationsPath).shows("#mapping .finding", told)
	b := s.as(s.admin)
	p := b.get("/admin/sync").shows(".finding", told).shows("main", "Compared")
	b.get(p.attr("a[href^='/admin/sync/runs/']", "href"))
	rows, err := s.store.MappingRows(t.Context(), box.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Mapping.RawName == "INBOX" {
			b.get("/admin/sync/runs/"+r.Mapping.ID).wants(200).shows("#findings", told).
				shows("#sum", "9 mails on the server: 4 in OTYS · 1 still to be read · 2 left out · 1 set aside · 1 given up")
		}
	}
	sqlExec(t, s, `UPDATE findings SET repaired_at = 0`)
	sqlExec(t, s, `UPDATE progress SET backlog = '', on_server = 8`)
	s.as(noor).get(integrationsPath).shows("#mapping .finding.open", "being repaired").shows(".state", "Checking")
}
