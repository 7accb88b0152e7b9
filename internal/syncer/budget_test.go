package syncer

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"mailroom/internal/mailroom"
)

// visit is a person's short connection that lasts for d.
func (w *world) visit(d time.Duration) (waited time.Duration, err error) {
	w.store.mu.Lock()
	m := w.store.mailbox
	w.store.mu.Unlock()
	began := time.Now()
	leave, err := w.budget().Visit(context.Background(), m)
	waited = time.Since(began)
	if err != nil {
		return waited, err
	}
	defer leave()
	c, err := w.server.open(context.Background(), m)
	if err != nil {
		return waited, err
	}
	time.Sleep(d)
	return waited, c.Close()
}

// Whoever ends the connections to a mailbox can wait to see them end.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(nil)
		m := mailroom.Mailbox{ID: "mbx_1"}
		idle := func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			return b.Idle(ctx, m.ID)
		}
		leave, err := b.Visit(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if idle() || !b.Idle(t.Context(), "mbx_2") {
			t.Error("a connection is not seen, or that of another mailbox is")
		}
		time.AfterFunc(time.Second, leave)
		began := time.Now()
		if !idle() || time.Since(began) > 1100*time.Millisecond {
			t.Error("the end of a connection is not seen soon")
		}
	})
}

// A person who opens the mapping page in the middle of a backfill is not kept
// waiting by it, however few connections the provider allows, and the backfill
// loses nothing by it.
func TestPersonGoesBeforeTheBackfill(t *testing.T) {
	for _, connections := range []int{1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.end()
			w.conns = connections
			w.server.perMail = 20 * time.Millisecond
			w.tuning.Slice = 2000 // 40 s
			addMails(w, []string{"INBOX", "3000"})
			commands["map"](w, []string{"INBOX", "Inbox"})
			w.start("A")
			for range 10 {
				time.Sleep(5 * time.Second)
				if waited, err := w.visit(time.Second); err != nil || waited > 3*time.Second {
					t.Errorf("%d connections: waited %s: %v", connections, waited, err)
				}
			}
			time.Sleep(2 * time.Minute)
			w.at = "after the visits"
			want(w, []string{"INBOX", "stored=3000", "rows=3000", "backlog=0", "state=up_to_date"})
			want(w, []string{"mailbox", "problem=none", "failures=0"})
			want(w, []string{"server", fmt.Sprintf("most<=%d", connections)})
		})
	}
}

// When all connections serve people, the next one is told within seconds, and
// new mail still comes.
func TestTooManyPeopleAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		addMails(w, []string{"INBOX", "10"})
		commands["map"](w, []string{"INBOX", "Inbox"})
		w.start("A")
		time.Sleep(5 * time.Second)
		done := make(chan error)
		go func() {
			_, err := w.visit(20 * time.Second)
			done <- err
		}()
		time.Sleep(time.Second)
		waited, err := w.visit(time.Second)
		if e := mailroom.AsError(err); e == nil || e.Kind != mailroom.Unavailable || e.Key != "imap.error.crowded" || waited > 5*time.Second {
			t.Errorf("after %s: %v", waited, err)
		}
		addMails(w, []string{"INBOX", "1"})
		time.Sleep(time.Second)
		w.at = "meanwhile"
		want(w, []string{"INBOX", "stored=11"})
		if err := <-done; err != nil {
			t.Error(err)
		}
		want(w, []string{"server", "most=2"})
	})
}

// "Suggested Backoff Time" counts for people too, and when it was told to a
// person also for the syncer.
func TestThrottledForEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		addMails(w, []string{"INBOX", "10"})
		commands["map"](w, []string{"INBOX", "Inbox"})
		told := mailroom.E(mailroom.Throttled, "imap.error.throttled")
		told.Until = time.Now().Add(5 * time.Minute)
		w.budget().Heed("mbx_1", told)
		if _, err := w.visit(0); mailroom.KindOf(err) != mailroom.Throttled {
			t.Errorf("a person is let in: %v", err)
		}
		w.start("A")
		time.Sleep(4*time.Minute + 50*time.Second)
		w.at = "earlier than the provider said"
		want(w, []string{"server", "logins=0"})
		time.Sleep(20 * time.Second)
		w.at = "afterwards"
		want(w, []string{"INBOX", "stored=10"})
		want(w, []string{"mailbox", "problem=none"})
	})
}
