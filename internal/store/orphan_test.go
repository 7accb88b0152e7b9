package store_test

import (
	"testing"

	"mailroom/internal/mailroom"
	"mailroom/internal/store/storetest"
)

// TestOrphanIsDeletedWithAllThatHangsOnIt: a message goes when nobody has it in
// a folder and it lies nowhere, and not before; its raw copies are swept.
func TestOrphanIsDeletedWithAllThatHangsOnIt(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		s := storetest.OpenDSN(t, dsn)
		w := storetest.Seed(t, s)
		eva := w.AddPerson(t, "Eva", "eva@x.example", "\ufffd@x.example")
		w.AddPerson(t, "A", "both@x.example")
		w.AddPerson(t, "B", "both@x.example")
		c := w.Claim(t, "n1")
		m := w.Mail(1, "Eva@x.example", "Secret plan", "plan")
		m.Message.From = append(m.Message.From, mailroom.Address{Addr: "both@X.example"}, mailroom.Address{Addr: "\xff@x.example"}, mailroom.Address{Addr: "a\x00b@x.example"})
		copied := m // with other trace headers
		copied.Placement.UID, copied.Message.RawHash, copied.Blob.Hash = 2, "0ther", "0ther"
		stays := w.Mail(3, "eva@x.example", "Stays", "plan")
		if _, err := s.Deliver(ctx, c, w.Batch(w.Inbox, m, copied, stays)); err != nil {
			t.Fatal(err)
		}
		if n := w.Count(t, `links WHERE person_id = $1`, eva); n != 2 {
			t.Fatalf("%d links", n)
		}
		var seq, other int64
		if err := w.DB.QueryRow(`SELECT MIN(seq), MAX(seq) FROM messages WHERE org_id = $1`, w.OrgID).Scan(&seq, &other); err != nil {
			t.Fatal(err)
		}
		drop := func(want int64) {
			t.Helper()
			if n, err := s.DropOrphans(ctx, w.OrgID, []int64{seq, other}); n != want || err != nil {
				t.Fatalf("%d messages deleted, %v; want %d", n, err, want)
			}
		}
		drop(0) // delivered
		w.Exec(t, `DELETE FROM deliveries WHERE message_seq = $1`, seq)
		drop(0) // on the server
		w.Exec(t, `UPDATE placements SET gone_at = 5 WHERE uid = 1`)
		drop(0) // its copy is
		w.Exec(t, `UPDATE placements SET gone_at = 5 WHERE uid = 2`)
		if n, err := s.DropOrphans(ctx, "org_other", []int64{seq}); n != 0 || err != nil {
			t.Fatalf("another agency deleted %d, %v", n, err)
		}
		drop(1)
		for table, want := range map[string]int{"messages": 1, "message_addresses": 1, "links": 1, "choices": 0, "placements": 1, "message_fts": 1, "blobs": 3} {
			if n := w.Count(t, table); n != want {
				t.Errorf("%d rows left in %s, want %d", n, table, want)
			}
		}
		lines, err := s.Mails(ctx, mailroom.MailFilter{OrgID: w.OrgID, UserID: w.UserID, Search: "secret", Limit: 5})
		if err != nil || len(lines) != 0 {
			t.Errorf("found by its words: %v, %v", lines, err)
		}
		if n, err := s.SweepBlobs(ctx); err != nil || n != 2 || w.Count(t, `blobs`) != 1 {
			t.Errorf("%d raw copies swept, %v", n, err)
		}
	})
}
