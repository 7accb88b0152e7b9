package syncer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	t      testing.TB
	at     string
	server *fakeServer
	store  *fakeStore
	blobs  *fakeBlobs
	nodes  map[string]*node
	tuning Tuning
	open   Open
	conns  int
	bodies int
}

type node struct {
	keeper *Keeper
	cancel context.CancelFunc
	done   chan error
}

func newWorld(t testing.TB) *world {
	time.Sleep(time.Until(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)))
	w := &world{t: t, server: newFakeServer(), store: newFakeStore(t), blobs: &fakeBlobs{}, nodes: map[string]*node{}}
	w.open = w.server.open
	return w
}

func (w *world) start(name string) *node {
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.DiscardHandler
	if testing.Verbose() {
		log = slog.NewTextHandler(logTo{w.t}, &slog.HandlerOptions{Level: slog.LevelDebug})
	}
	n := &node{cancel: cancel, done: make(chan error, 1), keeper: New(Config{
		Node: name, Store: w.store, Blobs: w.blobs, Open: w.open, Tuning: w.tuning,
		Limits: func(mailroom.Mailbox) Limits { return Limits{Connections: w.conns} },
		Jitter: func() float64 { return 0.5 }, Log: slog.New(log).With("node", name),
		Parse: parseOrPanic,
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
		w.store.mailbox.Done, w.store.mailbox.Problem, w.store.failures, w.store.retryAt.Sub(time.Now()))
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

// commands are the words of a story.
var commands = map[string]func(*world, []string){
	"server": func(w *world, a []string) {
		for _, o := range a {
			k, v, _ := strings.Cut(o, "=")
			switch k {
			case "noidle":
				w.server.noIdle = true
			case "deaf":
				w.server.deaf = true
			case "condstore":
				w.server.condFlag = true
			case "nouidnext":
				w.server.noNext = true
			case "single":
				w.server.single = true
			case "connections":
				w.conns = w.number(v)
			case "permail":
				w.server.perMail = w.duration(v)
			case "livefirst":
				w.tuning.LiveFirst = int64(w.number(v))
			default:
				w.t.Fatalf("%s: %s?", w.at, o)
			}
		}
	},
	"folder": func(w *world, a []string) {
		w.server.change(a[0], func(*fakeFolder) {})
		if len(a) > 1 {
			addMails(w, a)
		}
	},
	"map": func(w *world, a []string) {
		m := mailroom.Mapping{ID: "map_" + a[0], OrgID: "org_1", MailboxID: "mbx_1", RawName: a[0], Name: a[0], OTYSFolderID: "ofo_" + a[1]}
		if v, ok := option(a, "since"); ok {
			m.Since = w.day(v)
		}
		w.person(func() {
			w.store.mappings = append(w.store.mappings, m)
			w.store.mailbox.MappingsVersion++
			w.store.mailbox.Wanted++
		})
	},
	"unmap": func(w *world, a []string) {
		w.person(func() {
			w.store.mappings = slices.DeleteFunc(w.store.mappings, func(m mailroom.Mapping) bool { return m.RawName == a[0] })
			delete(w.store.progress, "map_"+a[0])
			w.store.mailbox.MappingsVersion++
			w.store.mailbox.Wanted++
		})
	},
	"since": func(w *world, a []string) {
		w.person(func() {
			m := w.mapping(a[0])
			m.Since = time.Time{}
			if a[1] != "never" {
				m.Since = w.day(a[1])
			}
			w.store.mailbox.MappingsVersion++
			w.store.mailbox.Wanted++
		})
	},
	"start": func(w *world, a []string) { w.start(a[0]) },
	"stop":  func(w *world, a []string) { w.stop(a[0]) },
	"kill": func(w *world, a []string) {
		w.store.mu.Lock()
		w.store.dead[a[0]] = true
		w.store.mu.Unlock()
		w.server.cut()
		w.stop(a[0])
	},
	"steal": func(w *world, a []string) {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		w.store.epoch++
		w.store.owner, w.store.lease = "elsewhere", time.Now().Add(w.duration(a[0]))
	},
	"add": addMails,
	"expunge": func(w *world, a []string) {
		gone := w.set(a[1])
		w.server.change(a[0], func(f *fakeFolder) {
			f.mails = slices.DeleteFunc(f.mails, func(m *fakeMail) bool { return gone.Contains(m.uid) })
		})
	},
	"seen": func(w *world, a []string) {
		set := w.set(a[1])
		w.server.change(a[0], func(f *fakeFolder) {
			for _, m := range f.mails {
				if set.Contains(m.uid) {
					m.flags.Seen, m.modseq = true, f.modseq+1
				}
			}
		})
	},
	"renumber": func(w *world, a []string) {
		w.server.change(a[0], func(f *fakeFolder) {
			f.validity = uint32(w.number(a[1]))
			f.next = 1
			for _, m := range f.mails {
				m.uid = f.next
				f.next++
			}
		})
	},
	"drop": func(w *world, a []string) {
		w.server.mu.Lock()
		defer w.server.mu.Unlock()
		delete(w.server.folders, a[0])
	},
	"lie":  func(w *world, a []string) { w.server.change(a[0], func(f *fakeFolder) { f.lies = w.number(a[1]) }) },
	"flip": func(w *world, a []string) { w.server.change(a[0], func(f *fakeFolder) { f.flips = w.number(a[1]) }) },
	"hide": func(w *world, a []string) {
		w.server.change(a[0], func(f *fakeFolder) { f.hides, f.hideFor = w.set(a[1]), w.number(a[2]) })
	},
	"heal": func(w *world, a []string) {
		w.server.change(a[0], func(f *fakeFolder) {
			for _, m := range f.mails {
				m.refused, m.silent, m.breaks, m.panics = "", 0, false, false
				if string(m.raw) == "\x00\x01\x02" {
					m.raw = rawMail(fmt.Sprintf("healed %d", m.uid))
				}
			}
		})
	},
	"cut": func(w *world, _ []string) { w.server.cut() },
	"fail": func(w *world, a []string) {
		w.server.mu.Lock()
		defer w.server.mu.Unlock()
		if a[1] == "none" {
			w.server.faults = slices.DeleteFunc(w.server.faults, func(f *fault) bool { return f.op == a[0] })
			return
		}
		kind, key, _ := strings.Cut(a[1], "/")
		e := mailroom.E(mailroom.Kind(kind), key)
		if v, ok := option(a, "until"); ok {
			e.Until = time.Now().Add(w.duration(v))
		}
		f := &fault{op: a[0], err: e, times: -1}
		if v, ok := option(a, "times"); ok {
			f.times = w.number(v)
		}
		if v, ok := option(a, "after"); ok {
			f.after = w.number(v)
		}
		w.server.faults = append(w.server.faults, f)
	},
	"refuse": func(w *world, a []string) { // the database will not take mails whose subject has this word
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		w.store.refuse = func(b mailroom.Batch) error {
			for _, m := range b.Mails {
				if strings.Contains(m.Message.Subject, a[0]) {
					return errors.New("invalid byte sequence")
				}
			}
			return nil
		}
	},
	"database": func(w *world, a []string) {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		w.store.down = nil
		if a[0] == "down" {
			w.store.down = errors.New("connection refused")
		}
	},
	"boast": func(w *world, a []string) {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		w.store.boasts = w.number(a[0])
	},
	"ask":    func(w *world, _ []string) { w.person(func() { w.store.mailbox.Wanted++ }) },
	"pause":  func(w *world, _ []string) { w.person(func() { w.store.stop = true }) },
	"resume": func(w *world, _ []string) { w.person(func() { w.store.stop = false; w.store.mailbox.Wanted++ }) },
	"due": func(w *world, _ []string) { // a person presses "try again" on all
		w.person(func() {
			for at, q := range w.store.quarantine {
				q.RetryAt = time.Now()
				w.store.quarantine[at] = q
			}
			w.store.mailbox.Wanted++
		})
	},
	"run": func(w *world, a []string) {
		time.Sleep(w.duration(a[0]))
		synctest.Wait()
	},
	"want": want,
}

func addMails(w *world, a []string) {
	n := w.number(a[1])
	for i := range n {
		body := fmt.Sprintf("mail %s %d", a[0], w.bodies)
		if v, ok := option(a, "body"); ok {
			body = fmt.Sprintf("%s %d", v, i)
		}
		w.bodies++
		w.server.add(a[0], body, func(m *fakeMail) {
			if _, ok := option(a, "broken"); ok {
				m.raw = []byte("\x00\x01\x02")
			}
			if _, ok := option(a, "panics"); ok {
				m.raw = rawMail("please panic")
			}
			if v, ok := option(a, "refused"); ok {
				m.refused = v
			}
			if v, ok := option(a, "silent"); ok {
				m.silent = w.number(v)
			}
			if v, ok := option(a, "date"); ok {
				m.date = w.day(v)
			}
			_, m.breaks = option(a, "breaks")
			_, m.flags.Seen = option(a, "seen")
		})
	}
}

// want checks figures: numbers by =, <= or >=, words by =.
func want(w *world, a []string) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	var have map[string]string
	switch a[0] {
	case "mailbox":
		have = w.mailboxFigures()
	case "server":
		have = w.serverFigures()
	default:
		have = w.folderFigures(a[0])
	}
	for _, claim := range a[1:] {
		i := strings.IndexAny(claim, "<>=")
		key, op := claim[:i], "="
		val := claim[i+1:]
		if claim[i] != '=' {
			op, val = claim[i:i+2], claim[i+2:]
		}
		got, ok := have[key]
		if !ok {
			w.t.Fatalf("%s: nothing is known as %s", w.at, key)
		}
		if !agrees(got, op, val) {
			w.t.Errorf("%s: %s is %s", w.at, key, got)
		}
	}
}

func agrees(got, op, val string) bool {
	if op == "=" {
		return got == val
	}
	g, err1 := time.ParseDuration(got)
	v, err2 := time.ParseDuration(val)
	if err1 != nil || err2 != nil {
		gn, _ := strconv.Atoi(got)
		vn, _ := strconv.Atoi(val)
		g, v = time.Duration(gn), time.Duration(vn)
	}
	if op == "<=" {
		return g <= v
	}
	return g >= v
}

func problemText(p *mailroom.Problem) string {
	if p == nil {
		return "none"
	}
	return string(p.Kind) + "/" + p.Key
}

func (w *world) mailboxFigures() map[string]string {
	s := w.store
	dones := "no"
	if s.mailbox.Done == s.mailbox.Wanted {
		dones = "yes"
	}
	held := "no"
	if s.owner != "" && time.Now().Before(s.lease) {
		held = "yes"
	}
	failed := 0
	for _, r := range s.runs {
		if r.Problem != nil {
			failed++
		}
	}
	seen := 0
	for range s.read {
		seen++
	}
	return map[string]string{
		"problem": problemText(s.mailbox.Problem), "failures": strconv.Itoa(s.failures), "answered": dones, "held": held,
		"owner": s.owner, "retry": s.retryAt.Sub(time.Now()).Round(time.Second).String(),
		"messages": strconv.Itoa(len(s.messages)), "runs": strconv.Itoa(len(s.runs)), "failedruns": strconv.Itoa(failed),
		"read": strconv.Itoa(seen), "puts": strconv.Itoa(w.blobs.put), "blobs": strconv.Itoa(len(s.blobs)),
		"writes": strconv.Itoa(s.writes), "delivered": strconv.Itoa(len(s.delivered["ofo_Inbox"])),
	}
}

func (w *world) serverFigures() map[string]string {
	s := w.server
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]string{"logins": strconv.Itoa(s.logins), "most": strconv.Itoa(s.most), "open": strconv.Itoa(len(s.conns)),
		"examines": strconv.Itoa(s.examines), "searches": strconv.Itoa(s.searches),
		"flagreads": strconv.Itoa(s.flagged)}
}

func (w *world) folderFigures(name string) map[string]string {
	s := w.store
	m := w.mapping(name)
	p := s.progress[m.ID]
	placed, quarantined := s.held(m.RawName, p.Cursor.UIDValidity)
	first, last := "none", "none"
	var latest time.Time
	for _, at := range s.order {
		if at.raw == name {
			if first == "none" {
				first = strconv.Itoa(int(at.uid))
			}
			last = strconv.Itoa(int(at.uid))
			latest = s.placed[at].at
		}
	}
	reason, attempts := "none", 0
	for at, q := range s.quarantine {
		if at.raw == name {
			reason, attempts = q.Reason.Key, max(attempts, q.Attempts)
		}
	}
	newest := fmt.Sprint(placed.Max())
	state := mailroom.MappingState(*m, p, time.Now())
	return map[string]string{
		"server": fmt.Sprint(p.OnServer), "stored": fmt.Sprint(p.Stored), "quarantined": fmt.Sprint(p.Quarantined),
		"skipped": fmt.Sprint(p.Skipped.Len()), "backlog": fmt.Sprint(p.Backlog.Len()), "rows": fmt.Sprint(placed.Len()),
		"quarantinerows": fmt.Sprint(quarantined.Len()), "problem": problemText(p.Problem), "failures": fmt.Sprint(p.Failures),
		"fresh": time.Since(p.CheckedAt).Round(time.Millisecond).String(), "first": first, "last": last, "reason": reason,
		"attempts": strconv.Itoa(attempts), "newest": newest, "age": time.Since(latest).Round(time.Millisecond).String(), "state": string(state), "stage": string(p.Stage),
		"validity": fmt.Sprint(p.Cursor.UIDValidity), "total": fmt.Sprint(p.BackfillTotal),
	}
}

// parseOrPanic is the real parser, but for one mail that it is said to die of.
func parseOrPanic(raw []byte) (mailroom.Message, error) {
	if strings.Contains(string(raw), "please panic") {
		panic("index out of range")
	}
	return envelope.Parse(raw)
}
