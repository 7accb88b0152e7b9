package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/store"
)

// RunNotices is the conformance suite of who is told what.
func RunNotices(t *testing.T, open func(testing.TB) *store.Store) {
	s := open(t)
	for _, p := range []struct {
		name string
		run  func(*testing.T, World)
	}{
		{"told once", testNoticeOnce},
		{"claimed by one node", testNoticeClaimRace},
		{"tried again", testNoticeAgain},
		{"a lapsed claim settles nothing", testNoticeLapsed},
		{"dropped unless it is sent", testNoticeDropped},
		{"administrators in one mail", testNoticePause},
		{"needy mailboxes", testNeedyMailboxes},
		{"aging grants", testAgingGrants},
		{"expiring credentials", testExpiringCredentials},
	} {
		t.Run(p.name, func(t *testing.T) {
			w := Seed(t, s)
			p.run(t, w)
			w.Exec(t, `DELETE FROM notices WHERE org_id = $1`, w.OrgID) // claims go over all organizations
		})
	}
}

func (w World) notice(subject, stage string, a mailroom.Audience) mailroom.Notice {
	return mailroom.Notice{
		ID: mailroom.NewID(mailroom.PrefixNotice), OrgID: w.OrgID, Subject: subject, Stage: stage, Audience: a,
		CreatedAt: time.UnixMicro(1_700_000_000_123_456).UTC(),
		Data:      mailroom.NoticeData{Kind: mailroom.NoticeFailed, Address: "roos@werk.example", Problem: &mailroom.Problem{Kind: mailroom.NeedsConsent, Key: "imap.error.auth"}},
	}
}

func (w World) plan(t *testing.T, want int64, add ...mailroom.Notice) {
	t.Helper()
	n, err := w.Store.PlanNotices(t.Context(), add, nil)
	must(t, err)
	if n != want {
		t.Fatalf("%d notices are new, want %d", n, want)
	}
}

func (w World) claim(t *testing.T, until time.Time) []mailroom.Notice {
	t.Helper()
	got, err := w.Store.ClaimNotices(t.Context(), until, 0)
	must(t, err)
	return got
}

func testNoticeOnce(t *testing.T, w World) {
	n := w.notice("mailbox:m", "failed/1", mailroom.ToOwner(w.UserID))
	w.plan(t, 1, n)
	again := n
	again.ID = mailroom.NewID(mailroom.PrefixNotice)
	w.plan(t, 0, again)
	w.plan(t, 1, w.notice("mailbox:m", "failed/1", mailroom.ToAdmin(w.UserID)))
	w.plan(t, 1, w.notice("mailbox:m", "failed/2", mailroom.ToOwner(w.UserID)))
	got, err := w.Store.Notices(t.Context(), w.OrgID, 0)
	must(t, err)
	if len(got) != 3 || !slices.ContainsFunc(got, func(g mailroom.Notice) bool {
		return g.ID == n.ID && g.Audience.UserID() == w.UserID && !g.Audience.Admin() && g.Data.Problem.Key == "imap.error.auth" && g.CreatedAt.Equal(n.CreatedAt)
	}) {
		t.Errorf("kept: %+v", got)
	}
	if got, err := w.Store.Notices(t.Context(), "org_other", 0); err != nil || len(got) != 0 {
		t.Errorf("another organization sees %v, %v", got, err)
	}
}

// Three nodes plan and claim the same at once: each notice is in one claim.
func testNoticeClaimRace(t *testing.T, w World) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	seen, batches := map[string]int{}, 0
	for range 3 {
		wg.Go(func() {
			var add []mailroom.Notice
			for i := range 4 {
				add = append(add, w.notice(fmt.Sprint("mailbox:", i), "failed/1", mailroom.ToAdmin("usr_x")), w.notice(fmt.Sprint("mailbox:", i), "failed/1", mailroom.ToOwner(fmt.Sprint("usr_", i))))
			}
			if _, err := w.Store.PlanNotices(t.Context(), add, nil); err != nil {
				t.Error(err)
			}
			for {
				got, err := w.Store.ClaimNotices(t.Context(), time.Now().Add(time.Minute), 0)
				if err != nil {
					t.Error(err)
				}
				if len(got) == 0 {
					return
				}
				mu.Lock()
				batches++
				for _, n := range got {
					seen[n.Subject+" "+string(n.Audience)]++
					if n.Audience != got[0].Audience || n.Tries != 1 {
						t.Errorf("claimed together: %+v", got)
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 8 || batches != 5 {
		t.Errorf("%d notices in %d claims, want 8 in 5", len(seen), batches)
	}
	for key, n := range seen {
		if n != 1 {
			t.Errorf("%s was claimed %d times", key, n)
		}
	}
}

func testNoticeAgain(t *testing.T, w World) {
	w.plan(t, 1, w.notice("mailbox:m", "failed/1", mailroom.AudienceWebhook))
	got := w.claim(t, time.Now().Add(time.Minute))
	if len(got) != 1 {
		t.Fatalf("claimed %v", got)
	}
	if again := w.claim(t, time.Now().Add(time.Minute)); len(again) != 0 {
		t.Fatalf("claimed twice: %v", again)
	}
	why := &mailroom.Problem{Kind: mailroom.Unavailable, Key: "courier.error.network"}
	must(t, w.Store.SettleNotices(t.Context(), got, time.Time{}, time.Now().Add(-time.Second), why))
	got = w.claim(t, time.Now().Add(time.Minute))
	if len(got) != 1 || got[0].Tries != 2 || got[0].Data.Refused == nil || got[0].Data.Refused.Key != why.Key {
		t.Fatalf("after a failure: %+v", got)
	}
	sent := time.Now().UTC().Truncate(time.Microsecond)
	must(t, w.Store.SettleNotices(t.Context(), got, sent, time.Time{}, nil))
	if again := w.claim(t, time.Now().Add(time.Minute)); len(again) != 0 {
		t.Errorf("what is sent is claimed: %v", again)
	}
	all, err := w.Store.Notices(t.Context(), w.OrgID, 5)
	must(t, err)
	if len(all) != 1 || !all[0].SentAt.Equal(sent) || all[0].Data.Refused != nil {
		t.Errorf("kept as %+v", all)
	}
}

// A node that was too slow cannot say that it failed what another has sent.
func testNoticeLapsed(t *testing.T, w World) {
	w.plan(t, 1, w.notice("mailbox:m", "failed/1", mailroom.AudienceWebhook))
	slow := w.claim(t, time.Now().Add(-time.Second))
	quick := w.claim(t, time.Now().Add(time.Minute))
	if len(slow) != 1 || len(quick) != 1 {
		t.Fatalf("claims %v %v", slow, quick)
	}
	must(t, w.Store.SettleNotices(t.Context(), slow, time.Time{}, time.Now().Add(-time.Second), nil))
	if got := w.claim(t, time.Now().Add(time.Minute)); len(got) != 0 {
		t.Errorf("the lapsed claim gave it back: %v", got)
	}
	must(t, w.Store.SettleNotices(t.Context(), quick, time.Now(), time.Time{}, nil))
}

func testNoticeDropped(t *testing.T, w World) {
	open, claimed, sent := w.notice("a", "30/1", "webhook"), w.notice("b", "30/1", "admin:x"), w.notice("c", "30/1", "user:x")
	w.plan(t, 1, sent)
	must(t, w.Store.SettleNotices(t.Context(), w.claim(t, time.Now().Add(time.Minute)), time.Now(), time.Time{}, nil))
	w.plan(t, 1, claimed)
	w.claim(t, time.Now().Add(time.Minute))
	w.plan(t, 1, open)
	_, err := w.Store.PlanNotices(t.Context(), nil, []string{open.ID, claimed.ID, sent.ID})
	must(t, err)
	left, err := w.Store.Notices(t.Context(), w.OrgID, 0)
	must(t, err)
	if len(left) != 2 || slices.ContainsFunc(left, func(n mailroom.Notice) bool { return n.ID == open.ID }) {
		t.Errorf("left: %+v", left)
	}
}

func testNoticePause(t *testing.T, w World) {
	claim := func() int {
		t.Helper()
		got, err := w.Store.ClaimNotices(t.Context(), time.Now().Add(time.Minute), time.Hour)
		must(t, err)
		must(t, w.Store.SettleNotices(t.Context(), got, time.Now(), time.Time{}, nil))
		return len(got)
	}
	w.plan(t, 2, w.notice("mailbox:1", "failed/1", "admin:x"), w.notice("mailbox:2", "failed/1", "admin:x"))
	if n := claim(); n != 2 {
		t.Errorf("the first mail tells of %d", n)
	}
	w.plan(t, 1, w.notice("mailbox:3", "failed/1", "admin:x"))
	if n := claim(); n != 0 {
		t.Errorf("a second mail within the hour tells of %d", n)
	}
	w.plan(t, 1, w.notice("mailbox:3", "failed/1", "user:x"))
	if n := claim(); n != 1 {
		t.Errorf("the owner waits for the administrator's hour: %d", n)
	}
	w.Exec(t, `UPDATE notices SET sent_at = sent_at - 3700000000 WHERE org_id = $1 AND sent_at > 0`, w.OrgID)
	if n := claim(); n != 1 {
		t.Errorf("after the hour the mail tells of %d", n)
	}
}

func testNeedyMailboxes(t *testing.T, w World) {
	needy := func(ids ...string) []mailroom.NeedyMailbox {
		t.Helper()
		got, err := w.Store.NeedyMailboxes(t.Context(), w.OrgID, ids)
		must(t, err)
		return got
	}
	if got := needy(); len(got) != 0 {
		t.Errorf("a healthy mailbox is needy: %+v", got)
	}
	if got := needy(w.Mailbox.ID); len(got) != 1 || got[0].Problem != nil || got[0].Owner.ID != w.UserID {
		t.Errorf("asked for by id: %+v", got)
	}
	w.Exec(t, `UPDATE mailboxes SET problem = '{"kind":"unavailable","key":"imap.error.network"}' WHERE id = $1`, w.Mailbox.ID)
	if got := needy(); len(got) != 0 {
		t.Errorf("what passes by itself needs somebody: %+v", got)
	}
	w.Exec(t, `UPDATE mailboxes SET problem = '{"kind":"needs_admin","key":"imap.error.not_connected","since":"2026-11-24T01:00:00Z"}' WHERE id = $1`, w.Mailbox.ID)
	got := needy()
	if len(got) != 1 || got[0].Address != w.Mailbox.Address || got[0].Problem.Kind != mailroom.NeedsAdmin || got[0].Owner.Email != w.Mailbox.Address {
		t.Errorf("needy: %+v", got)
	}
	w.Exec(t, `UPDATE users SET disabled_at = 1 WHERE id = $1`, w.UserID)
	if got := needy(w.Mailbox.ID); len(got) != 0 {
		t.Errorf("of a user who is shut out: %+v", got)
	}
	w.Exec(t, `UPDATE users SET disabled_at = 0 WHERE id = $1`, w.UserID)
	w.Exec(t, `UPDATE mailboxes SET retired_at = 1 WHERE id = $1`, w.Mailbox.ID)
	if got := needy(w.Mailbox.ID); len(got) != 0 {
		t.Errorf("a retired one: %+v", got)
	}
}

func testAgingGrants(t *testing.T, w World) {
	before := time.UnixMicro(1000)
	got, err := w.Store.AgingGrants(t.Context(), w.OrgID, "microsoft", before)
	must(t, err)
	if len(got) != 1 || got[0].MailboxID != w.Mailbox.ID || got[0].OwnerID != w.UserID || mailroom.Micros(got[0].RefreshedAt) != 1 {
		t.Errorf("aging: %+v", got)
	}
	for _, other := range []struct{ org, provider string }{{"org_other", "microsoft"}, {w.OrgID, "google"}} {
		if got, err := w.Store.AgingGrants(t.Context(), other.org, other.provider, before); err != nil || len(got) != 0 {
			t.Errorf("%v: %v %v", other, got, err)
		}
	}
	w.Exec(t, `UPDATE mailboxes SET problem = '{"kind":"needs_consent","key":"oauth.error.grant_ended"}' WHERE id = $1`, w.Mailbox.ID)
	if got, err := w.Store.AgingGrants(t.Context(), w.OrgID, "microsoft", before); err != nil || len(got) != 0 {
		t.Errorf("a dead grant grows old: %v %v", got, err)
	}
}

func testExpiringCredentials(t *testing.T, w World) {
	w.Exec(t, `INSERT INTO credentials(id, org_id, provider_id, use, kind, client_id, expires_at, created_by, created_at, proved_at, sealed_key, sealed_data)
		VALUES ($1,$2,'microsoft','mail','secret','id',5000000,'u',1,2,'k',$3)`, "crd_"+w.UserID, w.OrgID, []byte("sealed"))
	got, err := w.Store.ExpiringCredentials(t.Context(), w.OrgID)
	must(t, err)
	if len(got) != 1 || got[0].Kind != mailroom.ClientSecret || got[0].Use != mailroom.UseMail || mailroom.Micros(got[0].ExpiresAt) != 5_000_000 || got[0].Sealed.Data != nil {
		t.Errorf("credentials: %+v", got)
	}
}
