package syncer

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mailroom/internal/mailroom"
)

// manyStore is a store of several mailboxes, each a fakeStore of its own. What
// names no mailbox, raw mail, is shared.
type manyStore struct {
	*fakeStore // the first
	all        map[string]*fakeStore
	order      []string
}

func newManyStore(t testing.TB, n int) *manyStore {
	m := &manyStore{all: map[string]*fakeStore{}}
	for i := range n {
		s := newFakeStore(t)
		s.mailbox.ID = fmt.Sprintf("mbx_%d", i)
		s.mappings = []mailroom.Mapping{{ID: "map_" + s.mailbox.ID, OrgID: "org_1", MailboxID: s.mailbox.ID, RawName: "INBOX", OTYSFolderID: "ofo_Inbox"}}
		m.all[s.mailbox.ID] = s
		m.order = append(m.order, s.mailbox.ID)
	}
	m.fakeStore = m.all["mbx_0"]
	return m
}

func (m *manyStore) ClaimMailboxes(ctx context.Context, node string, lease time.Duration, limit int, now time.Time) (out []mailroom.Claim, err error) {
	for _, id := range m.order {
		if len(out) == limit {
			break
		}
		cs, err := m.all[id].ClaimMailboxes(ctx, node, lease, 1, now)
		if err != nil {
			return out, err
		}
		out = append(out, cs...)
	}
	return out, nil
}

func (m *manyStore) RenewLeases(ctx context.Context, node string, claims []mailroom.Claim, lease time.Duration, now time.Time) (out []mailroom.Claim, err error) {
	for _, c := range claims {
		cs, err := m.all[c.MailboxID].RenewLeases(ctx, node, []mailroom.Claim{c}, lease, now)
		if err != nil {
			return out, err
		}
		out = append(out, cs...)
	}
	return out, nil
}

func (m *manyStore) Wanted(ctx context.Context, node string) (map[string]mailroom.Signal, error) {
	out := map[string]mailroom.Signal{}
	for id, s := range m.all {
		one, err := s.Wanted(ctx, node)
		if err != nil {
			return nil, err
		}
		if sig, ok := one[id]; ok {
			out[id] = sig
		}
	}
	return out, nil
}

func (m *manyStore) Release(ctx context.Context, c mailroom.Claim, retryAt time.Time, p *mailroom.Problem, failures int) error {
	err := m.all[c.MailboxID].Release(ctx, c, retryAt, p, failures)
	m.fakeStore.signal()
	return err
}

func (m *manyStore) LoadWork(ctx context.Context, c mailroom.Claim) (mailroom.Work, error) {
	return m.all[c.MailboxID].LoadWork(ctx, c)
}

func (m *manyStore) HeldUIDs(ctx context.Context, mailbox, raw string, v uint32) (mailroom.Held, error) {
	return m.all[mailbox].HeldUIDs(ctx, mailbox, raw, v)
}

func (m *manyStore) KnownBlobs(context.Context, string, []string) (map[string]bool, error) {
	return nil, nil
}

func (m *manyStore) Deliver(ctx context.Context, c mailroom.Claim, b mailroom.Batch) (int, error) {
	return m.all[c.MailboxID].Deliver(ctx, c, b)
}

func (m *manyStore) SaveProgress(ctx context.Context, c mailroom.Claim, p mailroom.Progress) error {
	return m.all[c.MailboxID].SaveProgress(ctx, c, p)
}

func (m *manyStore) ApplyFlags(ctx context.Context, c mailroom.Claim, mp mailroom.Mapping, v uint32, ch []mailroom.FlagChange) error {
	return m.all[c.MailboxID].ApplyFlags(ctx, c, mp, v, ch)
}

func (m *manyStore) SettleRemovals(ctx context.Context, c mailroom.Claim, before time.Time, limit int) (int64, error) {
	return m.all[c.MailboxID].SettleRemovals(ctx, c, before, limit)
}

func (m *manyStore) SaveFinding(ctx context.Context, c mailroom.Claim, f mailroom.Finding) error {
	return m.all[c.MailboxID].SaveFinding(ctx, c, f)
}

func (m *manyStore) Answered(ctx context.Context, c mailroom.Claim, wanted int64) error {
	return m.all[c.MailboxID].Answered(ctx, c, wanted)
}

// A node reads as many mailboxes as it has room for, and hands the rest on; a
// mailbox whose reading panics is its own trouble.
func TestManyMailboxes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)))
		const n = 25
		store := newManyStore(t, n)
		servers := map[string]*fakeServer{}
		for id := range store.all {
			s := newFakeServer()
			for i := range 300 {
				s.add("INBOX", fmt.Sprintf("%s %d", id, i), nil)
			}
			servers[id] = s
		}
		opening, most := 0, 0
		var mu sync.Mutex
		open := func(ctx context.Context, m mailroom.Mailbox) (Conn, error) {
			if m.ID == "mbx_3" {
				panic("nobody thought of this")
			}
			mu.Lock()
			opening++
			most = max(most, opening)
			mu.Unlock()
			c, err := servers[m.ID].open(ctx, m)
			mu.Lock()
			opening--
			mu.Unlock()
			return c, err
		}
		k := func(name string, sessions int) (*Keeper, func()) {
			ctx, cancel := context.WithCancel(t.Context())
			k := New(Config{Node: name, Store: store, Blobs: &fakeBlobs{}, Open: open, Tuning: Tuning{Sessions: sessions, Opening: 4}})
			done := make(chan error)
			go func() { done <- k.Run(ctx) }()
			return k, func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
		a, stopA := k("a", 10)
		time.Sleep(time.Second)
		b, stopB := k("b", 100)
		time.Sleep(time.Minute)
		if sa, sb := a.Stats(), b.Stats(); sa.Sessions > 10 || sa.Sessions < 9 || sa.Sessions+sb.Sessions < n-1 {
			t.Errorf("%d and %d sessions", sa.Sessions, sb.Sessions)
		}
		if most > 8 {
			t.Errorf("%d were signing in at a time", most)
		}
		for id, s := range store.all {
			s.mu.Lock()
			p, problem := s.progress["map_"+id], s.mailbox.Problem
			s.mu.Unlock()
			if id == "mbx_3" {
				if problem == nil || problem.Kind != mailroom.Internal {
					t.Errorf("the one that panics has problem %v", problem)
				}
				continue
			}
			if p.Stored != 300 || !p.Backlog.Empty() {
				t.Errorf("%s: %+v", id, p)
			}
		}
		if st := a.Stats(); st.Panics+b.Stats().Panics == 0 || st.LastCheck.IsZero() || st.LastRenewal.IsZero() || st.Bytes == 0 {
			t.Errorf("%+v", st)
		}
		// One node goes: the other takes over what it can.
		stopA()
		time.Sleep(time.Minute)
		if got := b.Stats().Sessions; got < n-1 {
			t.Errorf("%d sessions on the node that is left", got)
		}
		stopB()
		for id, s := range servers {
			if len(s.conns) > 0 {
				t.Errorf("%s: %s", id, s)
			}
		}
	})
}

// A batch in hand when the program is told to stop is filed, even if the server
// has more to say.
func TestShutdownFilesWhatIsInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		w.server.perMail = 50 * time.Millisecond
		addMails(w, []string{"INBOX", "2000"})
		commands["map"](w, []string{"INBOX", "Inbox"})
		w.tuning.BatchWait = time.Hour // only a full batch or the end flushes
		n := w.start("A")
		time.Sleep(20 * time.Second)
		w.store.mu.Lock()
		before := len(w.store.placed)
		w.store.mu.Unlock()
		began := time.Now()
		w.stop("A")
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("stopping took %s", took)
		}
		if after := len(w.store.placed); after < before+100 {
			t.Errorf("%d filed before, %d after the stop: what was in hand is thrown away", before, after)
		}
		if n.keeper.Stats().Sessions != 0 {
			t.Error("a session is left")
		}
	})
}

// Raw mail in memory stays within its budget however slow the database is.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		w.tuning = Tuning{BulkBudget: 20_000, LiveBudget: 5_000, BatchBytes: 8_000}
		var mu sync.Mutex
		held, most := 0, 0
		w.open = func(ctx context.Context, m mailroom.Mailbox) (Conn, error) {
			c, err := w.server.open(ctx, m)
			if err != nil {
				return nil, err
			}
			return meter{c.(*fakeConn), func(n int) {
				mu.Lock()
				defer mu.Unlock()
				held += n
				most = max(most, held)
			}}, nil
		}
		addMails(w, []string{"INBOX", "1000"})
		commands["map"](w, []string{"INBOX", "Inbox"})
		w.start("A")
		time.Sleep(time.Minute)
		w.at = "bounded"
		want(w, []string{"INBOX", "stored=1000"})
		if held != 0 || most > 26_000 || most < 2_000 {
			t.Errorf("%d octets at most, %d not let go of", most, held)
		}
	})
}

// meter counts the octets of mails that have not been released.
type meter struct {
	*fakeConn
	count func(int)
}

func (m meter) Fetch(ctx context.Context, set mailroom.UIDSet, each func(mailroom.FetchedMail) error) error {
	return m.fakeConn.Fetch(ctx, set, func(f mailroom.FetchedMail) error {
		n, release := len(f.Raw), f.Release
		m.count(n)
		f.Release = func() { m.count(-n); release() }
		return each(f)
	})
}
