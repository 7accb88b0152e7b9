package storetest_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

// BenchmarkMails is what a page of an OTYS mailbox of 100,000 messages costs.
func BenchmarkMails(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchMails(b, storetest.Open(b)) })
	b.Run("postgres", func(b *testing.B) { benchMails(b, storetest.OpenDSN(b, peers.Postgres(b))) })
}

func benchMails(b *testing.B, s *store.Store) {
	const total, size = 100_000, 1000
	w := storetest.Seed(b, s)
	for i := range 200 {
		w.AddPerson(b, fmt.Sprintf("Person %d", i), fmt.Sprintf("p%d@people.example", i))
	}
	c := w.Claim(b, "n1")
	r := rand.New(rand.NewPCG(1, 2))
	for from := 0; from < total; from += size {
		mails := make([]mailroom.Mail, size)
		for i := range mails {
			uid := uint32(from + i + 1)
			text := fmt.Sprintf("everywhere word%d half%d", r.IntN(5000), uid%2)
			mails[i] = w.Mail(uid, fmt.Sprintf("p%d@people.example", r.IntN(2000)), fmt.Sprintf("Mail number %d", uid), text)
			mails[i].Placement.Flags.Seen = uid%1000 != 0
		}
		v := w.Batch(w.Inbox, mails...)
		if _, err := s.Deliver(b.Context(), c, v); err != nil {
			b.Fatal(err)
		}
	}
	if s.Postgres() { // what autovacuum does within a minute
		w.Exec(b, "ANALYZE")
	}
	deep := mailroom.Position{At: w.Mail(total/2, "", "", "").Message.ReceivedAt, Seq: total / 2}
	inbox := w.Inbox.OTYSFolderID
	for _, q := range []struct {
		name string
		f    mailroom.MailFilter
	}{
		{"newest", mailroom.MailFilter{FolderID: inbox}},
		{"deep", mailroom.MailFilter{FolderID: inbox, After: deep}},
		{"all folders", mailroom.MailFilter{}},
		{"unread", mailroom.MailFilter{FolderID: inbox, Unread: true}},
		{"search rare", mailroom.MailFilter{Search: "word4711"}},
		{"search half", mailroom.MailFilter{Search: "half1"}},
		{"search all", mailroom.MailFilter{Search: "everywhere"}},
		{"search none", mailroom.MailFilter{Search: "nowhere"}},
		{"search unread", mailroom.MailFilter{Search: "everywhere", Unread: true}},
	} {
		b.Run(q.name, func(b *testing.B) {
			q.f.OrgID, q.f.UserID, q.f.Limit = w.OrgID, w.UserID, 51
			for b.Loop() {
				if _, err := s.Mails(b.Context(), q.f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("waiting", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := s.Waiting(b.Context(), w.OrgID, w.UserID); err != nil {
				b.Fatal(err)
			}
		}
	})
}
