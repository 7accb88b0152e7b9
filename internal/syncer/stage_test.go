package syncer_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/pretend/imapd"
	"mailroom/internal/store/storetest"
	"mailroom/internal/syncer"
)

// stage is where a story is told: a recruiter's mailbox on the pretend server,
// the real connection, the real syncer and a real database, and a clock that
// can be put forward for all of them at once.
type stage struct {
	t       *testing.T
	world   storetest.World
	server  *imapd.Server
	account *imapd.Account
	blobs   *keptBlobs
	skew    atomic.Int64 // nanoseconds that the clock is ahead
	limits  syncer.Limits
	tuning  syncer.Tuning
	most    int64 // octets of a mail, 0 for the default
	logins  atomic.Int64
	crowded atomic.Int64 // most connections that stood for a while
	log     lines
	hangs   bool // the server does not see connections end
}

// newStage makes the stage with an empty INBOX and Sent Items, both mapped.
func newStage(t *testing.T, dialect imapd.Dialect) *stage {
	t.Helper()
	s := &stage{t: t, blobs: &keptBlobs{raws: map[string][]byte{}}}
	s.tuning = syncer.Tuning{
		Poll: 250 * time.Millisecond, BusyPoll: 100 * time.Millisecond, CompareAgain: 200 * time.Millisecond,
		RelistEvery: 300 * time.Millisecond, ClaimEvery: 50 * time.Millisecond, FlagsEvery: 200 * time.Millisecond,
		Lease: 10_000 * time.Hour, Stalled: 10_000 * time.Hour, // the clock is put forward by more than these
	}
	s.world = storetest.Seed(t, storetest.OpenAt(t, filepath.Join(t.TempDir(), "mailroom.db"), s.now))
	var err error
	s.server, err = imapd.Start(imapd.Options{Dialect: dialect, Now: s.now, Check: func(user, token string) imapd.Verdict {
		return imapd.Verdict{OK: token == "good", Mailbox: user}
	}})
	s.must(err)
	t.Cleanup(func() { s.server.Close() })
	s.account, err = s.server.AddAccount(imapd.AccountConfig{Address: s.world.Mailbox.Address})
	s.must(err)
	s.account.AddFolder("Sent Items", imapd.FolderOptions{Role: `\Sent`})
	return s
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) now() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) }

// later puts the clock forward for everybody.
func (s *stage) later(d time.Duration) { s.skew.Add(int64(d)) }

// skip puts the clock forward to when the mailbox, or else a folder, is tried again.
func (s *stage) skip() {
	var owner string
	var retry, folder int64
	s.must(s.world.DB.QueryRowContext(s.t.Context(), `SELECT owner, retry_at, (SELECT COALESCE(MIN(retry_at), 0) FROM progress WHERE problem <> '')
		FROM mailboxes`).Scan(&owner, &retry, &folder))
	if owner != "" {
		retry = folder
	}
	if d := mailroom.FromMicros(retry).Sub(s.now()); retry > 0 && d > 0 {
		s.later(d + time.Millisecond)
	}
}

func (s *stage) open(ctx context.Context, m mailroom.Mailbox) (syncer.Conn, error) {
	s.logins.Add(1)
	host, port, _ := net.SplitHostPort(s.server.Addr())
	n, _ := strconv.Atoi(port)
	conn, err := imapconn.Open(ctx, imapconn.Account{
		Endpoint: mailroom.Endpoint{Host: host, Port: n, TLS: mailroom.PlainText},
		Username: m.Address, SASL: []string{"XOAUTH2", "OAUTHBEARER"}, Token: "good", MaxMessage: s.most,
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// run keeps the mailbox read until the test ends or the returned func is called.
func (s *stage) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	budget := syncer.NewBudget(func(mailroom.Mailbox) syncer.Limits { return s.limits })
	budget.Now = s.now
	k := syncer.New(syncer.Config{Node: mailroom.NewID("node"), Store: s.world.Store, Blobs: s.blobs, Open: s.open, Now: s.now,
		Budget: budget, Tuning: s.tuning,
		Log: slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	var all sync.WaitGroup
	all.Go(func() {
		if err := k.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	all.Go(func() { s.countConnections(ctx) })
	stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	s.t.Cleanup(stop)
	return stop
}

// countConnections notes how many stand at a time. One that the server has not
// yet seen end does not count: what is true for a while is.
func (s *stage) countConnections(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	const while = 40
	var last [while]int64
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		last[i%while] = int64(s.server.Connections(s.world.Mailbox.Address))
		least := last[0]
		for _, n := range last {
			least = min(least, n)
		}
		if least > s.crowded.Load() {
			s.crowded.Store(least)
		}
	}
}

// mail is a letter like no other.
func (s *stage) mail(n int) imapd.Message {
	return s.letter(n, fmt.Sprintf("Letter number %d.\r\n", n))
}

func (s *stage) letter(n int, body string) imapd.Message {
	return imapd.Message{Date: time.Date(2026, 11, 1, 0, 0, n%60, 0, time.UTC), Raw: imapd.Content{fmt.Appendf(nil,
		"From: anna@home.example\r\nTo: %s\r\nMessage-ID: <m%d@home.example>\r\nSubject: Application %d\r\nDate: Sun, 1 Nov 2026 10:00:00 +0000\r\n\r\n%s",
		s.world.Mailbox.Address, n, n, body)}}
}

// fill puts n letters, numbered from first on, into a folder.
func (s *stage) fill(folder string, first, n int) []uint32 {
	var ms []imapd.Message
	for i := range n {
		ms = append(ms, s.mail(first+i))
	}
	return s.account.DeliverAll(folder, ms)
}

// until waits for what must come true soon.
func (s *stage) until(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("never came true: %s\n%s", what, s.told())
		}
		select {
		case <-s.t.Context().Done():
			return
		case <-time.After(15 * time.Millisecond):
		}
	}
}

// told is what a failure is understood by.
func (s *stage) told() string {
	var b strings.Builder
	for _, q := range []string{
		`SELECT 'mailbox: problem ' || problem || ', failures ' || failures || ', wanted ' || wanted || ', done ' || done || ', owner ' || owner FROM mailboxes`,
		`SELECT m.name || ': on server ' || on_server || ', stored ' || stored || ', quarantined ' || quarantined || ', skipped ' || skipped || ', backlog ' || backlog ||
			', stage ' || stage || ', checked ' || checked_at || ', problem ' || problem FROM progress p JOIN mappings m ON m.id = p.mapping_id`,
	} {
		rows, err := s.world.DB.QueryContext(s.t.Context(), q)
		if err != nil {
			return err.Error()
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				return err.Error()
			}
			b.WriteString(line + "\n")
		}
		rows.Close()
	}
	return b.String() + s.log.last(30)
}

// lines is a log that a failure shows the end of.
type lines struct {
	mu   sync.Mutex
	said []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, string(p))
	return len(p), nil
}

func (l *lines) last(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.said[max(len(l.said)-n, 0):], "")
}

func (s *stage) count(from string, args ...any) int { return s.world.Count(s.t, from, args...) }

// holds says whether a mapping is green with n mails stored and q in quarantine,
// and nothing else on the server.
func (s *stage) holds(m mailroom.Mapping, n, q int) bool {
	return s.count(`progress WHERE mapping_id = $1 AND stored = $2 AND quarantined = $3 AND backlog = '' AND stage = 'idle' AND checked_at > 0
		AND problem = '' AND on_server = stored + quarantined`, m.ID, n, q) == 1 &&
		s.count("placements WHERE mapping_id = $1 AND gone_at = 0", m.ID) == n
}

// stored waits until a mapping holds n mails and nothing is in the way.
func (s *stage) stored(m mailroom.Mapping, n int) {
	s.t.Helper()
	s.until(fmt.Sprintf("%s holds %d", m.Name, n), func() bool { return s.holds(m, n, 0) })
}

// trouble waits until the mailbox, or else a folder, shows a problem of a kind by a key.
func (s *stage) trouble(table string, kind mailroom.Kind, key string) {
	s.t.Helper()
	s.until(table+" says "+key, func() bool {
		return s.count(table+` WHERE problem LIKE $1 AND problem LIKE $2`, `%"kind":"`+string(kind)+`"%`, `%"key":"`+key+`"%`) > 0
	})
}

// quiet waits until the mailbox shows no problem.
func (s *stage) quiet() {
	s.t.Helper()
	s.until("nothing is in the way", func() bool { return s.count("mailboxes WHERE problem = ''") == 1 })
}

// ask is Sync now.
func (s *stage) ask() { s.world.Exec(s.t, "UPDATE mailboxes SET wanted = wanted + 1") }

// asked is how often the server got a command with such arguments.
func (s *stage) asked(name, args string) (n int) {
	for _, c := range s.server.Commands() {
		if c.Name == name && strings.Contains(c.Args, args) {
			n++
		}
	}
	return n
}

// whole checks that what is kept of a folder is what the server holds, octet for
// octet: each UID once, as a placement, in quarantine or left out by the date.
func (s *stage) whole(m mailroom.Mapping, folder string) {
	s.t.Helper()
	var there imapd.FolderState
	for _, f := range s.account.Folders() {
		if f.Name == folder {
			there = f
		}
	}
	var skippedText string
	s.must(s.world.DB.QueryRowContext(s.t.Context(), "SELECT skipped FROM progress WHERE mapping_id = $1", m.ID).Scan(&skippedText))
	skipped, err := mailroom.ParseUIDSet(skippedText)
	s.must(err)
	for _, uid := range there.UIDs {
		placed := s.count("placements WHERE mapping_id = $1 AND uid_validity = $2 AND uid = $3 AND gone_at = 0", m.ID, there.UIDValidity, uid)
		kept := s.count("quarantine WHERE mapping_id = $1 AND uid_validity = $2 AND uid = $3", m.ID, there.UIDValidity, uid)
		left := 0
		if skipped.Contains(uid) {
			left = 1
		}
		if placed+kept+left != 1 {
			s.t.Errorf("%s UID %d: %d placements, %d in quarantine, %d skipped", folder, uid, placed, kept, left)
		}
		if placed == 1 {
			raw, _ := s.account.Stored(folder, uid)
			sum := sha256.Sum256(raw.Raw.Bytes())
			if s.count("placements WHERE mapping_id = $1 AND uid_validity = $2 AND uid = $3 AND raw_hash = $4", m.ID, there.UIDValidity, uid,
				hex.EncodeToString(sum[:])) != 1 {
				s.t.Errorf("%s UID %d is not kept as the server has it", folder, uid)
			}
		}
	}
	if n := s.count("placements WHERE mapping_id = $1 AND gone_at = 0", m.ID); n > len(there.UIDs) {
		s.t.Errorf("%s: %d placements of %d mails", folder, n, len(there.UIDs))
	}
}

// manners checks what a guest in a mailbox never does.
func (s *stage) manners() {
	s.t.Helper()
	for _, c := range s.server.Mutating() {
		s.t.Errorf("could change the mailbox: %s %s", c.Name, c.Args)
	}
	for _, c := range s.server.Bad() {
		s.t.Errorf("the server did not understand: %s %s", c.Name, c.Args)
	}
	for _, c := range s.server.Commands() {
		switch {
		case c.Size > 8000:
			s.t.Errorf("a command of %d bytes: %s %.80s…", c.Size, c.Name, c.Args)
		case c.Name == "LSUB":
			s.t.Errorf("LSUB %s", c.Args)
		case c.Name == "ENABLE" && strings.Contains(strings.ToUpper(c.Args), "IMAP4REV2"):
			s.t.Errorf("ENABLE %s", c.Args)
		}
	}
	allowed := int64(2)
	if s.limits.Connections > 0 {
		allowed = int64(s.limits.Connections)
	}
	if n := s.crowded.Load(); n > allowed && !s.hangs {
		s.t.Errorf("%d connections at a time", n)
	}
}

// keptBlobs keeps raw mail in memory.
type keptBlobs struct {
	mu   sync.Mutex
	raws map[string][]byte
}

func (b *keptBlobs) Put(_ context.Context, _ string, hashes []string, raws [][]byte) ([]mailroom.BlobRef, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []mailroom.BlobRef
	for i, h := range hashes {
		if b.raws[h] == nil {
			b.raws[h] = append([]byte{}, raws[i]...)
		}
		out = append(out, mailroom.BlobRef{Hash: h, Pack: "p1", Length: int64(len(raws[i])), Size: int64(len(raws[i])), Codec: "raw"})
	}
	return out, nil
}

// Open gives a raw mail back.
func (b *keptBlobs) Open(_ context.Context, _, hash string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if raw, ok := b.raws[hash]; ok {
		return raw, nil
	}
	return nil, mailroom.E(mailroom.NotFound, "error.blob_gone")
}
