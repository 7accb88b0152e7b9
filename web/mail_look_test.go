package web

import (
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// TestMailPagesLookRight looks at the pages of mail, people and sync state as
// TestPagesLookRight does at the others.
func TestMailPagesLookRight(t *testing.T) {
	a := openAgency(t)
	now := time.Now()
	rita := a.addUser("Rita Jansen", "rita@werk.example", mailroom.Recruiter)
	fresh := a.addUser("Bram Bakker", "bram@werk.example", mailroom.Recruiter)
	karin := a.addUser("Karin Mol", "karin@werk.example", mailroom.Administrator)
	ritas := a.postman(rita)
	midSync(t, a.site, ritas.world.Mailbox)
	inbox := ritas.mapping("INBOX")
	a.quarantined(rita, ritas.world.Mailbox, inbox)
	sqlExec(t, a.site, `UPDATE quarantine SET reason = $1, created_at = $2, retry_at = $3, attempts = 2, size = 48213, raw_hash = 'x' WHERE mailbox_id = $4`,
		`{"kind":"unavailable","key":"quarantine.reason.placeholder"}`, mailroom.Micros(now.Add(-3*time.Hour)), mailroom.Micros(now.Add(2*time.Hour)), ritas.world.Mailbox.ID)
	broken := a.addUser("Pim de Wit", "pim@werk.example", mailroom.Recruiter)
	pims := a.connected(broken)
	sqlExec(t, a.site, `UPDATE mailboxes SET problem = $1 WHERE id = $2`, `{"kind":"needs_consent","key":"imap.error.auth","since":"2026-11-23T08:00:00Z"}`, pims.ID)
	run := mailroom.SyncRun{ID: mailroom.NewID(mailroom.PrefixRun), OrgID: rita.OrgID, MailboxID: ritas.world.Mailbox.ID, MappingID: inbox.ID,
		StartedAt: now.Add(-90 * time.Second), EndedAt: now.Add(-60 * time.Second), Stored: 840, Quarantined: 1, Bytes: 34_000_000}
	if err := a.store.FinishRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	sqlExec(t, a.site, `UPDATE quarantine SET uid = 812 WHERE mailbox_id = $1`, ritas.world.Mailbox.ID)
	given := a.quarantined(rita, ritas.world.Mailbox, inbox)
	sqlExec(t, a.site, `UPDATE quarantine SET uid = 11, reason = $1, created_at = $2, dropped_at = $2, dropped_by = $3, dropped_reason = 'Spam', size = 180000000 WHERE id = $4`,
		`{"kind":"needs_vendor","key":"quarantine.reason.too_large"}`, mailroom.Micros(now.Add(-5*time.Hour)), rita.ID, given)
	sqlExec(t, a.site, `INSERT INTO findings(id, org_id, mailbox_id, mapping_id, kind, at, count, uids, repaired_at) VALUES
		('fin_1', $1, $2, $3, 'missed', $4, 3, '7:9', $5), ('fin_2', $1, $2, $3, 'short', $5, 1, '', 0)`,
		rita.OrgID, ritas.world.Mailbox.ID, inbox.ID, mailroom.Micros(now.Add(-50*time.Hour)), mailroom.Micros(now.Add(-49*time.Hour)))
	sqlExec(t, a.site, `UPDATE progress SET compared_at = $1`, mailroom.Micros(now.Add(-20*time.Minute)))
	for _, u := range []mailroom.User{rita, broken} {
		u, err := a.store.UserByID(t.Context(), u.ID)
		if err == nil {
			err = a.portal.SetLanguage(t.Context(), u, "nl")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	noor := a.noor
	cv, letter := a.ids["My CV, as promised"], a.ids["Nieuwsbrief november"]
	lookThrough(t, a.site, []scene{
		{name: "mail", path: "/mail", who: noor},
		{name: "mail-search", path: "/mail?q=hours", who: noor},
		{name: "mail-none", path: "/mail?q=zebra", who: noor},
		{name: "mail-sent", path: "/mail?folder=all&unread=1", who: noor},
		{name: "mail-new", path: "/mail", who: fresh},
		{name: "mail-nl-syncing", path: "/mail", who: rita},
		{name: "mail-nl-dead", path: "/mail", who: broken},
		{name: "message", path: "/mail/" + cv, who: noor},
		{name: "message-html", path: "/mail/" + letter + "?person=sara", who: noor},
		{name: "message-choice", path: "/mail/" + a.ids["Two carpenters from Monday on"], who: noor},
		{name: "choices", path: "/mail/choices", who: noor},
		{name: "choices-none", path: "/mail/choices", who: fresh},
		{name: "quarantine-nl", path: "/mail/quarantine", who: rita},
		{name: "quarantine-give-up", path: "/mail/quarantine/" + ritasRow(t, a.site, ritas.world.Mailbox) + "/give-up", who: rita},
		{name: "trail-nl", path: "/mail/trail", who: rita},
		{name: "trail", path: "/mail/trail", who: noor, ask: "planning@bouw.example"},
		{name: "trail-none", path: "/mail/trail", who: noor, ask: "<lost@home.example>"},
		{name: "trail-blind", path: "/admin/sync/trail/" + a.post.world.Mailbox.ID, who: karin, ask: "carla@home.example"},
		{name: "integrations-findings", path: integrationsPath, who: rita},
		{name: "people", path: "/people", who: noor},
		{name: "people-none", path: "/people?q=zebra", who: noor},
		{name: "people-import", path: "/people/import", who: noor},
		{name: "people-import-nl", path: "/people/import", who: rita},
		{name: "person", path: "/people/" + a.carla.ID, who: noor},
		{name: "person-edit", path: "/people/" + a.jan.ID + "/edit", who: noor},
		{name: "person-delete", path: "/people/" + a.carla.ID + "/delete", who: noor},
		{name: "sync", path: "/admin/sync", who: karin},
		{name: "sync-trouble", path: "/admin/sync?trouble=1", who: karin},
		{name: "sync-runs", path: "/admin/sync/runs/" + inbox.ID, who: karin},
		{name: "sync-stopped", path: "/admin/sync", who: karin, prepare: func() {
			sqlExec(t, a.site, `INSERT INTO nodes(name, seen_at) VALUES ('a', $1)`, mailroom.Micros(now.Add(-time.Hour)))
		}},
	})
}

// ritasRow is the mail in quarantine that is not given up.
func ritasRow(t *testing.T, s *site, box mailroom.Mailbox) (id string) {
	t.Helper()
	if err := sqlOf(t, s).QueryRowContext(t.Context(), `SELECT id FROM quarantine WHERE mailbox_id = $1 AND dropped_at = 0`, box.ID).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}
