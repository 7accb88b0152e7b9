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
	})
}
