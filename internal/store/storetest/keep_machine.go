package storetest

import (
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// What is told of for a while only, and what goes with its mapping.
func testKeepHouse(t *testing.T, w World) {
	ctx, s, now := t.Context(), w.Store, time.Now()
	ago := func(days int) int64 { return mailroom.Micros(now.AddDate(0, 0, -days)) }
	finding := func(id string, mapping mailroom.Mapping, at, repaired int64) {
		w.exec(t, `INSERT INTO findings(id, org_id, mailbox_id, mapping_id, kind, at, count, repaired_at) VALUES ($1,$2,$3,$4,'missed',$5,1,$6)`,
			id+w.OrgID, w.OrgID, w.Mailbox.ID, mapping.ID, at, repaired)
	}
	finding("old", w.Inbox, ago(100), ago(91))
	finding("late", w.Inbox, ago(100), ago(89))
	finding("open", w.Inbox, ago(100), 0)
	finding("sent", w.Sent, ago(1), 0)
	for id, finished := range map[string]int64{"old": ago(2), "new": mailroom.Micros(now), "open": 0} {
		w.exec(t, `INSERT INTO undos(mapping_id, org_id, mailbox_id, user_id, otys_folder_id, name, total, started_at, finished_at)
			VALUES ($1,$2,$3,$4,$5,'x',1,$6,$7)`, id+w.OrgID, w.OrgID, w.Mailbox.ID, w.UserID, w.Inbox.OTYSFolderID, ago(3), finished)
	}
	w.exec(t, `INSERT INTO nodes(name, seen_at) VALUES ($1,$2)`, "dead "+w.OrgID, ago(2))
	w.exec(t, `INSERT INTO nodes(name, seen_at) VALUES ($1,$2)`, "lives "+w.OrgID, mailroom.Micros(now))
	must(t, s.KeepHouse(ctx))
	for from, want := range map[string]int{"findings WHERE org_id = $1": 3, "undos WHERE org_id = $1": 2} {
		if n := w.Count(t, from, w.OrgID); n != want {
			t.Errorf("%s: %d rows, want %d", from, n, want)
		}
	}
	if n := w.Count(t, `nodes WHERE name IN ($1, $2)`, "dead "+w.OrgID, "lives "+w.OrgID); n != 1 {
		t.Errorf("%d nodes", n)
	}
	w.exec(t, `DELETE FROM nodes`)
	w.exec(t, `DELETE FROM undos WHERE org_id = $1`, w.OrgID)

	// With its mapping goes all that was known of it.
	c := w.take(t, "n1")
	must(t, s.SaveProgress(ctx, c, mailroom.Progress{MappingID: w.Sent.ID, Sighted: []mailroom.Sighting{{UIDValidity: UIDValidity, First: 1, Last: 9, At: now}}}))
	w.exec(t, `INSERT INTO leaving(mapping_id, message_seq, mailbox_id, at) VALUES ($1, 1, $2, 1)`, w.Sent.ID, w.Mailbox.ID)
	w.exec(t, `INSERT INTO tombstones(mapping_id, key, at) VALUES ($1, 'k', 1)`, w.Sent.ID)
	w.save(t, w.Inbox)
	for _, table := range []string{"findings", "sightings", "leaving", "tombstones", "progress"} {
		if n := w.Count(t, table+` WHERE mapping_id = $1`, w.Sent.ID); n != 0 {
			t.Errorf("%d rows in %s of a mapping that is no more", n, table)
		}
	}
}
