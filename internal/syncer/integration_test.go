package syncer_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/pretend/imapd"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
	"mailroom/internal/syncer"
)

// What the rooms on floor 1 have is what the syncer asks for.
var (
	_ syncer.Store = (*store.Store)(nil)
	_ syncer.Conn  = (*imapconn.Conn)(nil)
)

// memoryBlobs keeps raw mail in memory.
type memoryBlobs struct {
	mu   sync.Mutex
	raws map[string][]byte
}

func (b *memoryBlobs) Put(_ context.Context, _ string, hashes []string, raws [][]byte) ([]mailroom.BlobRef, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []mailroom.BlobRef
	for i, h := range hashes {
		b.raws[h] = slices.Clone(raws[i])
		out = append(out, mailroom.BlobRef{Hash: h, Pack: "p1", Length: int64(len(raws[i])), Size: int64(len(raws[i])), Codec: "raw"})
	}
	return out, nil
}

func (b *memoryBlobs) Open(_ context.Context, _, hash string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if raw, ok := b.raws[hash]; ok {
		return slices.Clone(raw), nil
	}
	return nil, mailroom.E(mailroom.NotFound, "error.not_found")
}

// site is a recruiter's mailbox on the pretend server, the real store, and the
// real connection between them.
type site struct {
	t       *testing.T
	world   storetest.World
	server  *imapd.Server
	account *imapd.Account
	blobs   *memoryBlobs
}

func newSite(t *testing.T, s *store.Store, dialect imapd.Dialect) *site {
	w := storetest.Seed(t, s)
	server, err := imapd.Start(imapd.Options{Dialect: dialect, Check: func(user, token string) imapd.Verdict {
		return imapd.Verdict{OK: token == "good", Mailbox: user}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	account, err := server.AddAccount(imapd.AccountConfig{Address: w.Mailbox.Address})
	if err != nil {
		t.Fatal(err)
	}
	account.AddFolder("Sent Items", imapd.FolderOptions{Role: `\Sent`})
	return &site{t: t, world: w, server: server, account: account, blobs: &memoryBlobs{raws: map[string][]byte{}}}
}

func (s *site) open(ctx context.Context, m mailroom.Mailbox) (syncer.Conn, error) {
	host, port, _ := net.SplitHostPort(s.server.Addr())
	n, _ := strconv.Atoi(port)
	conn, err := imapconn.Open(ctx, imapconn.Account{
		Endpoint: mailroom.Endpoint{Host: host, Port: n, TLS: mailroom.PlainText},
		Username: m.Address, SASL: []string{"XOAUTH2"}, Token: "good",
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// run keeps the mailbox read until the returned func is called.
func (s *site) run(node string) (stop func()) { return s.runAs(node, syncer.Config{}) }

// runAs is run by a node of another make.
func (s *site) runAs(node string, c syncer.Config) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c.Node, c.Store, c.Blobs = node, s.world.Store, s.blobs
	if c.Open == nil {
		c.Open = s.open
	}
	c.Tuning = syncer.Tuning{
		Poll: 300 * time.Millisecond, CompareAgain: 200 * time.Millisecond, ClaimEvery: 100 * time.Millisecond, FlagsEvery: 200 * time.Millisecond,
	}
	done := make(chan error, 1)
	go func() { done <- syncer.New(c).Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

func (s *site) mail(n int, from string) imapd.Message {
	return imapd.Message{Date: time.Date(2026, 11, 1, 0, 0, n, 0, time.UTC), Raw: imapd.Content{[]byte(fmt.Sprintf(
		"From: %s\r\nTo: %s\r\nMessage-ID: <m%d@home.example>\r\nSubject: Application %d\r\nDate: Sun, 1 Nov 2026 10:00:00 +0000\r\n\r\nLetter number %d.\r\n",
		from, s.world.Mailbox.Address, n, n, n))}}
}

// until waits for a condition that must come true soon.
func (s *site) until(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("never came true: %s (%d messages, %d placements, %d in quarantine)", what,
				s.world.Count(s.t, "messages"), s.world.Count(s.t, "placements WHERE gone_at = 0"), s.world.Count(s.t, "quarantine"))
		}
		select {
		case <-s.t.Context().Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// fine says that the ledger of a mapping holds and counts n stored mails.
func (s *site) fine(m mailroom.Mapping, n int) bool {
	where := `progress WHERE mapping_id = $1 AND stored = $2 AND backlog = '' AND stage = 'idle' AND checked_at > 0 AND problem IN ('', 'null')
		AND on_server = stored + quarantined + dropped`
	return s.world.Count(s.t, where, m.ID, n) == 1 &&
		s.world.Count(s.t, "placements WHERE mapping_id = $1 AND gone_at = 0", m.ID) == n
}

// The syncer, the real connection, an Exchange-like and a better server, and the
// real store on its engines.
func TestErrandOfTheSyncer(t *testing.T) {
	t.Run("exchange", func(t *testing.T) {
		engines(t, func(t *testing.T, s *store.Store) { errand(t, newSite(t, s, imapd.Exchange())) })
	})
	t.Run("gmail", func(t *testing.T) { errand(t, newSite(t, storetest.Open(t), imapd.Gmail())) })
}

func errand(t *testing.T, s *site) {
	anna := s.world.AddPerson(t, "Anna", "anna@home.example")
	for i := range 700 {
		s.account.Deliver("INBOX", s.mail(i, "anna@home.example"))
	}
	s.account.Deliver("Sent Items", s.mail(1000, s.world.Mailbox.Address))
	stop := s.run("one")
	defer stop()
	s.until("first run", func() bool { return s.fine(s.world.Inbox, 700) && s.fine(s.world.Sent, 1) })
	if n := s.world.Count(t, "links WHERE person_id = $1 AND removed_at = 0", anna); n != 700 {
		t.Errorf("%d mails are linked to Anna", n)
	}
	s.account.Deliver("INBOX", s.mail(2000, "anna@home.example"))
	s.until("new mail", func() bool { return s.fine(s.world.Inbox, 701) })

	if err := s.account.Expunge("INBOX", 1, 2, 3); err != nil {
		t.Fatal(err)
	}
	s.until("removals are counted", func() bool { return s.fine(s.world.Inbox, 698) })
	if n := s.world.Count(t, "messages"); n != 702 {
		t.Errorf("%d messages: removed at the server is not removed here", n)
	}

	// In the middle of a backfill the node stops; the next one goes on.
	var more []imapd.Message
	for i := range 1500 {
		more = append(more, s.mail(5000+i, "stranger@elsewhere.example"))
	}
	s.account.SetFaults(imapd.Faults{FetchDelay: time.Millisecond})
	s.account.DeliverAll("INBOX", more)
	s.until("a part of the backfill", func() bool { return s.world.Count(t, "messages") > 800 })
	stop()
	if n := s.world.Count(t, "mailboxes WHERE owner <> ''"); n != 0 {
		t.Error("the lease was not given back")
	}
	defer s.run("two")()
	s.until("the rest", func() bool { return s.fine(s.world.Inbox, 2198) })
	if n := s.world.Count(t, "messages"); n != 2202 {
		t.Errorf("%d messages", n)
	}
	s.readOnly()
}

// readOnly fails if any command could have changed the mailbox.
func (s *site) readOnly() {
	for _, c := range s.server.Mutating() {
		s.t.Errorf("%s %s", c.Name, c.Args)
	}
}

// engines runs a test on SQLite and on PostgreSQL.
func engines(t *testing.T, f func(t *testing.T, s *store.Store)) {
	t.Run("sqlite", func(t *testing.T) { f(t, storetest.Open(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, storetest.OpenDSN(t, peers.Postgres(t))) })
}

// Mails and folders that misbehave, as Exchange's do.
func TestOdditiesOfExchange(t *testing.T) {
	engines(t, func(t *testing.T, st *store.Store) {
		s := newSite(t, st, imapd.Exchange())
		for i := range 60 {
			m := s.mail(i, "anna@home.example")
			switch i {
			case 10:
				m.Fault, m.FaultTimes = imapd.FetchEmpty, -1
			case 20:
				m.Fault, m.FaultTimes = imapd.FetchPlaceholder, -1
			case 30:
				m.Fault, m.FaultTimes = imapd.FetchEmpty, 1
			}
			s.account.Deliver("INBOX", m)
		}
		s.account.SetFaults(imapd.Faults{StrayLine: true, BodyFirst: true, OddLogin: true, SilentIdle: true})
		defer s.run("one")()
		s.until("all but two", func() bool {
			return s.fine(s.world.Inbox, 58) && s.world.Count(t, "quarantine WHERE mapping_id = $1", s.world.Inbox.ID) == 2
		})
		s.account.Deliver("INBOX", s.mail(100, "anna@home.example"))
		s.until("new mail though IDLE is silent", func() bool { return s.fine(s.world.Inbox, 59) })
	})
}
