package syncer

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mailroom/internal/mailroom"
)

// sharedStore counts the nodes as the store does on PostgreSQL.
type sharedStore struct {
	*manyStore
	lock sync.Mutex
	seen map[string]time.Time
}

func (s *sharedStore) Share(_ context.Context, node string, now time.Time, alive time.Duration) (int, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.seen[node] = now
	maps.DeleteFunc(s.seen, func(_ string, at time.Time) bool { return now.Sub(at) > alive })
	return (len(s.all) + len(s.seen) - 1) / len(s.seen), nil
}

func (s *sharedStore) Leave(_ context.Context, node string) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.seen, node)
	return nil
}

// Thirty mailboxes over three nodes are ten for each, fifteen when one has gone,
// and never is one read twice at a time.
func TestMailboxesAreSharedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)))
		const n = 30
		store := &sharedStore{manyStore: newManyStore(t, n), seen: map[string]time.Time{}}
		servers := map[string]*fakeServer{}
		for id := range store.all {
			servers[id] = newFakeServer()
			servers[id].add("INBOX", id, nil)
		}
		open := func(ctx context.Context, m mailroom.Mailbox) (Conn, error) { return servers[m.ID].open(ctx, m) }
		node := func(name string) (*Keeper, func()) {
			ctx, cancel := context.WithCancel(t.Context())
			k := New(Config{Node: name, Store: store, Blobs: &fakeBlobs{}, Open: open})
			done := make(chan error)
			go func() { done <- k.Run(ctx) }()
			return k, func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
		reads := func(ks ...*Keeper) string {
			var out []int64
			for _, k := range ks {
				out = append(out, k.Stats().Sessions)
			}
			return fmt.Sprint(out)
		}
		a, stopA := node("a")
		time.Sleep(10 * time.Second)
		if got := reads(a); got != "[30]" {
			t.Errorf("alone: %s", got)
		}
		b, stopB := node("b")
		c, stopC := node("c")
		defer stopC()
		time.Sleep(time.Minute)
		if got := reads(a, b, c); got != "[10 10 10]" {
			t.Errorf("three nodes: %s", got)
		}
		stopA()
		time.Sleep(30 * time.Second)
		if got := reads(b, c); got != "[15 15]" {
			t.Errorf("two are left: %s", got)
		}
		// One that dies without a word: its leases run out.
		for _, s := range store.all {
			s.mu.Lock()
			s.dead["b"] = true
			s.mu.Unlock()
		}
		store.lock.Lock()
		store.seen["b"] = time.Time{}
		store.lock.Unlock()
		stopB()
		time.Sleep(time.Minute)
		if got := reads(c); got != "[30]" {
			t.Errorf("one is left: %s", got)
		}
		for id, s := range servers {
			if s.mu.Lock(); s.most > 1 {
				t.Errorf("%s was read twice at a time: %d", id, s.most)
			}
			s.mu.Unlock()
			if st := store.all[id]; len(st.messages) != 1 || st.mailbox.Problem != nil {
				t.Errorf("%s: %d messages, problem %v", id, len(st.messages), st.mailbox.Problem)
			}
		}
	})
}

// A session that hangs in a call that does not even end when told to is named on
// the page, and the mailbox is read again, by the same node.
func TestHungSessionIsNamedAndStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		addMails(w, []string{"INBOX", "10"})
		commands["map"](w, []string{"INBOX", "Inbox"})
		hung := make(chan struct{})
		var calls atomic.Int64
		w.open = func(ctx context.Context, m mailroom.Mailbox) (Conn, error) {
			if calls.Add(1) == 1 {
				<-hung
				return nil, errNet
			}
			return w.server.open(ctx, m)
		}
		n := w.start("A")
		time.Sleep(20 * time.Minute)
		named := false
		for range 30 {
			time.Sleep(time.Second)
			w.store.mu.Lock()
			p := w.store.mailbox.Problem
			w.store.mu.Unlock()
			named = named || p != nil && p.Key == keyStalled
		}
		if !named {
			t.Error("nobody is told")
		}
		w.at = "started again"
		want(w, []string{"INBOX", "stored=10", "state=up_to_date"})
		want(w, []string{"mailbox", "problem=none", "held=yes"})
		if got := n.keeper.Stats().Stalled; got != 1 {
			t.Errorf("%d stalled", got)
		}
		close(hung)
		time.Sleep(time.Second)
		want(w, []string{"mailbox", "problem=none", "held=yes"})
	})
}

// Stopping takes no longer than what is in hand may take, and a little, however
// slow the database is.
func TestStoppingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		w.server.perMail = 10 * time.Millisecond
		addMails(w, []string{"INBOX", "2000"})
		addMails(w, []string{"Sent", "2000"})
		commands["map"](w, []string{"INBOX", "Inbox"})
		commands["map"](w, []string{"Sent", "Inbox"})
		ctx, cancel := context.WithCancel(context.Background())
		k := New(Config{Node: "A", Store: slowStore{w.store}, Blobs: w.blobs, Open: w.open})
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		time.Sleep(30 * time.Second)
		began := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 9*time.Second {
			t.Errorf("stopping took %s", took)
		}
	})
}

// slowStore takes four seconds for every write.
type slowStore struct{ *fakeStore }

func (s slowStore) Deliver(ctx context.Context, c mailroom.Claim, b mailroom.Batch) (int, error) {
	if err := pass(ctx, 4*time.Second); err != nil {
		return 0, err
	}
	return s.fakeStore.Deliver(ctx, c, b)
}

func (s slowStore) SaveProgress(ctx context.Context, c mailroom.Claim, p mailroom.Progress) error {
	if err := pass(ctx, 4*time.Second); err != nil {
		return err
	}
	return s.fakeStore.SaveProgress(ctx, c, p)
}

func (s slowStore) FinishRun(ctx context.Context, r mailroom.SyncRun) error {
	if err := pass(ctx, 4*time.Second); err != nil {
		return err
	}
	return s.fakeStore.FinishRun(ctx, r)
}

func (s slowStore) Release(ctx context.Context, c mailroom.Claim, at time.Time, p *mailroom.Problem, n int) error {
	if err := pass(ctx, 4*time.Second); err != nil {
		return err
	}
	return s.fakeStore.Release(ctx, c, at, p, n)
}
