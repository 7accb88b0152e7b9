package syncer

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mailroom/internal/envelope"
	"mailroom/internal/mailroom"
)

// A story is a file of lines; each does something to the world of one mailbox or
// says what must be true. Time is false: "run 1m" lets a minute pass at once.
//
//	server noidle condstore single deaf nouidnext permail=5ms
//	folder INBOX 120            a folder with so many mails
//	map INBOX Inbox since=...   a mapping row
//	start A, stop A, kill A     a node; a killed one says nothing any more
//	add INBOX 3 [broken|refused=x|silent=n|breaks|panics|body=text|date=2020-01-02]
//	expunge, seen INBOX 1:5     as another client does it
//	renumber, drop, lie, flip, hide
//	fail OP KIND/KEY [times=n] [until=5m] [after=n]    and "fail OP none"
//	ask, pause, resume, unmap, steal, database down|up
//	giveup, takeback INBOX 3    a person drops a mail from quarantine, and thinks better of it
//	upgrade A                   a node comes back as a version that reads more
//	clock -1h                   the nodes' clocks are set
//	run 10s
//	want INBOX stored=3 ...     and "want mailbox ...", "want server ...", "want done"
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/stories/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tell(t, f) })
		})
	}
}

func tell(t *testing.T, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := newWorld(t)
	defer w.end()
	for n, sc := 1, bufio.NewScanner(f); sc.Scan(); n++ {
		line, _, _ := strings.Cut(sc.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		w.at = fmt.Sprintf("line %d: %s", n, strings.TrimSpace(line))
		do, ok := commands[words[0]]
		if !ok {
			t.Fatalf("%s: no such command", w.at)
		}
		do(w, words[1:])
		if t.Failed() {
			t.Fatalf("%s: stopped here\n%s", w.at, w)
		}
	}
}

// world is one mailbox, its server and the nodes that read it.
type world struct {
	t       testing.TB
	at      string
	server  *fakeServer
	store   *fakeStore
	blobs   *fakeBlobs
	nodes   map[string]*node
	tuning  Tuning
	open    Open
	conns   int
	bodies  int
	version int
	clock   atomic.Int64 // how far the clocks of the nodes are off, in nanoseconds
	shared  *Budget      // of all nodes' processes, made at the first start
}

type node struct {
	keeper *Keeper
	cancel context.CancelFunc
	done   chan error
}

func newWorld(t testing.TB) *world {
	time.Sleep(time.Until(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)))
	w := &world{t: t, server: newFakeServer(), store: newFakeStore(t), blobs: &fakeBlobs{}, nodes: map[string]*node{}}
	w.open, w.store.now = w.server.open, w.now
	return w
}

// now is what the clocks of the nodes show.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.clock.Load())) }

func (w *world) versionName() string { return fmt.Sprintf("v%d", w.version) }

// parser is that of the present version: the first does not read everything.
func (w *world) parser() func([]byte) (mailroom.Message, error) {
	if w.version == 0 {
		return parseOrPanic
	}
	return func(raw []byte) (mailroom.Message, error) {
		if unreadable(raw) {
			return envelope.Parse(rawMail(strings.TrimPrefix(string(raw), noMail)))
		}
		return parseOrPanic(raw)
	}
}

// budget is one for all nodes, as if they were one process after the other.
func (w *world) budget() *Budget {
	if w.shared == nil {
		w.shared = NewBudget(func(mailroom.Mailbox) Limits { return Limits{Connections: w.conns} })
	}
	return w.shared
}

func (w *world) start(name string) *node {
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.DiscardHandler
	if testing.Verbose() {
		log = slog.NewTextHandler(logTo{w.t}, &slog.HandlerOptions{Level: slog.LevelDebug})
	}
	n := &node{cancel: cancel, done: make(chan error, 1), keeper: New(Config{
		Node: name, Store: w.store, Blobs: w.blobs, Open: w.open, Tuning: w.tuning,
		Budget: w.budget(),
		Jitter: func() float64 { return 0.5 }, Log: slog.New(log).With("node", name),
		Parse: w.parser(), Version: w.versionName(), Now: w.now,
	})}
	w.nodes[name] = n
	go func() { n.done <- n.keeper.Run(ctx) }()
	return n
}

type logTo struct{ t testing.TB }

func (l logTo) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func (w *world) stop(name string) {
	n := w.nodes[name]
	n.cancel()
	select {
	case err := <-n.done:
		if err != nil {
			w.t.Errorf("%s: node ended with %v", w.at, err)
		}
	case <-time.After(time.Minute):
		w.t.Errorf("%s: node does not stop", w.at)
	}
	delete(w.nodes, name)
}

// end stops all and looks for what is left over.
func (w *world) end() {
	w.store.mu.Lock()
	w.store.down = nil
	w.store.mu.Unlock()
	for name := range w.nodes {
		w.stop(name)
	}
	synctest.Wait()
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	if len(w.server.conns) > 0 {
		w.t.Errorf("%d connections are left open", len(w.server.conns))
	}
}

func (w *world) String() string {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "server: %s\nmailbox: wanted %d, done %d, problem %v, failures %d, retry %s\n", w.server, w.store.mailbox.Wanted,
		w.store.mailbox.Done, w.store.mailbox.Problem, w.store.failures, time.Until(w.store.retryAt))
	for _, m := range w.store.mappings {
		p := w.store.progress[m.ID]
		fmt.Fprintf(&b, "%s: %s on server %d, stored %d, quarantined %d, skipped %s, backlog %s, cursor %+v, problem %v, failures %d, checked %s ago\n",
			m.RawName, p.Stage, p.OnServer, p.Stored, p.Quarantined, p.Skipped, p.Backlog, p.Cursor, p.Problem, p.Failures, time.Since(p.CheckedAt))
	}
	return b.String()
}

// option finds key=value, or the word alone.
func option(words []string, key string) (string, bool) {
	for _, w := range words {
		if k, v, _ := strings.Cut(w, "="); k == key {
			return v, true
		}
	}
	return "", false
}

func (w *world) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		w.t.Fatalf("%s: %v", w.at, err)
	}
	return n
}

func (w *world) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		w.t.Fatalf("%s: %v", w.at, err)
	}
	return d
}

func (w *world) set(s string) mailroom.UIDSet {
	set, err := mailroom.ParseUIDSet(s)
	if err != nil {
		w.t.Fatalf("%s: %v", w.at, err)
	}
	return set
}

func (w *world) day(s string) time.Time {
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		w.t.Fatalf("%s: %v", w.at, err)
	}
	return d
}

func (w *world) mapping(name string) *mailroom.Mapping {
	for i := range w.store.mappings {
		if w.store.mappings[i].RawName == name {
			return &w.store.mappings[i]
		}
	}
	w.t.Fatalf("%s: %s is not mapped", w.at, name)
	return nil
}

// person changes the person's side under the store's lock, and wakes the nodes.
func (w *world) person(do func()) {
	w.store.mu.Lock()
	do()
	w.store.mu.Unlock()
	w.store.signal()
}

// parseOrPanic is the real parser, but for one mail that it is said to die of.
func parseOrPanic(raw []byte) (mailroom.Message, error) {
	if strings.Contains(string(raw), "please panic") {
		panic("index out of range")
	}
	return envelope.Parse(raw)
}
