package syncer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mailroom/internal/mailroom"
)

// TestTorture lets everything go wrong at random moments while another client
// delivers, removes and marks mail: nodes are killed, connections cut, the
// database goes away, folders are renumbered. In the end every mail that is on
// the server has exactly one place or a recorded reason, and the books hold.
func TestTorture(t *testing.T) {
	for seed := range 12 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { torture(t, rand.New(rand.NewPCG(uint64(seed), 7))) })
		})
	}
}

func torture(t *testing.T, r *rand.Rand) {
	w := newWorld(t)
	defer w.end()
	w.at = "torture"
	w.server.perMail = time.Duration(r.IntN(20)) * time.Millisecond
	w.server.noIdle, w.server.condFlag = r.IntN(3) == 0, r.IntN(3) == 0
	w.server.qresync, w.server.objects = w.server.condFlag && r.IntN(2) == 0, r.IntN(2) == 0
	w.server.noNext, w.server.single = r.IntN(5) == 0, r.IntN(4) == 0
	w.conns = r.IntN(3)
	names := []string{"INBOX", "Sent"}
	for _, name := range names {
		addMails(w, []string{name, fmt.Sprint(r.IntN(900))})
		commands["map"](w, []string{name, "Inbox"})
	}
	alive := 0
	w.start("n0")
	for step := range 60 {
		name := names[r.IntN(2)]
		switch r.IntN(17) {
		case 0:
			commands["kill"](w, []string{fmt.Sprintf("n%d", alive)})
			alive = step + 1
			w.start(fmt.Sprintf("n%d", alive))
		case 1, 2:
			w.server.cut()
		case 3:
			commands["database"](w, []string{"down"})
			time.Sleep(time.Duration(r.IntN(30)) * time.Second)
			commands["database"](w, []string{"up"})
		case 4:
			if r.IntN(3) == 0 {
				commands["renumber"](w, []string{name, fmt.Sprint(100 + step)})
			}
		case 5, 6:
			at := uint32(r.IntN(900) + 1)
			commands["expunge"](w, []string{name, mailroom.Range(at, at+uint32(r.IntN(30))).String()})
		case 7:
			commands["seen"](w, []string{name, "1:2000"})
		case 8:
			commands["ask"](w, nil)
		case 9:
			commands["steal"](w, []string{"3s"})
		case 10:
			commands["fail"](w, []string{"fetch:" + name, "unavailable/imap.error.network", "times=1", fmt.Sprintf("after=%d", r.IntN(60))})
		case 11:
			addMails(w, []string{name, "1", []string{"broken", "silent=3", "refused=empty", "panics"}[r.IntN(4)]})
		case 13:
			commands["forget"](w, []string{"1"})
			fallthrough
		case 14:
			at := uint32(r.IntN(900) + 1)
			commands["move"](w, []string{name, mailroom.Range(at, at+uint32(r.IntN(10))).String(), names[1-slices.Index(names, name)]})
		case 15:
			commands["clock"](w, []string{[]string{"-10m", "15m", "-10s", "90s"}[r.IntN(4)]})
		case 12:
			commands["hide"](w, []string{name, "1:400", "1"})
		default:
			addMails(w, []string{name, fmt.Sprint(1 + r.IntN(5))})
		}
		time.Sleep(time.Duration(r.IntN(8000)) * time.Millisecond)
		if t.Failed() {
			t.Fatalf("step %d\n%s", step, w)
		}
	}
	w.server.mu.Lock()
	w.server.faults = nil
	w.server.mu.Unlock()
	time.Sleep(2 * time.Hour)
	synctest.Wait()
	for _, name := range names {
		inEnd(t, w, name)
	}
	if t.Failed() {
		t.Log(w)
	}
}

// inEnd holds the rows against the server.
func inEnd(t *testing.T, w *world, name string) {
	w.server.mu.Lock()
	f := w.server.folders[name]
	server := f.uids()
	var bad mailroom.UIDSet
	for _, m := range f.mails {
		if unreadable(m.raw) || m.refused != "" || m.silent > 0 || slices.Contains([]string{"please panic"}, subject(m)) {
			bad = bad.Union(mailroom.UIDs(m.uid))
		}
	}
	w.server.mu.Unlock()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	p := w.store.progress["map_"+name]
	held := w.store.held(name, f.validity)
	placed, quarantined := held.Placed, held.Quarantined
	if p.Cursor.UIDValidity != f.validity {
		t.Errorf("%s: generation %d, server has %d", name, p.Cursor.UIDValidity, f.validity)
	}
	if !placed.Union(quarantined).Equal(server) {
		t.Errorf("%s: lost %s, too many %s", name, server.Minus(placed).Minus(quarantined), placed.Union(quarantined).Minus(server))
	}
	if !quarantined.Minus(bad).Empty() || !placed.Intersect(quarantined).Empty() {
		for uid := range quarantined.Minus(bad).Descending {
			t.Errorf("%+v at %s", w.store.quarantine[place{name, f.validity, uid}], w.now())
		}
		t.Errorf("%s: in quarantine without need: %s; filed as well: %s", name, quarantined.Minus(bad), placed.Intersect(quarantined))
	}
	if p.OnServer != server.Len() || p.Stored != placed.Len() || p.Quarantined != quarantined.Len() || !p.Backlog.Empty() || p.Problem != nil {
		t.Errorf("%s: books %+v, server %d, placed %d, quarantined %d", name, p, server.Len(), placed.Len(), quarantined.Len())
	}
	for _, f := range w.store.findings {
		if f.MappingID == p.MappingID && f.RepairedAt.IsZero() {
			t.Errorf("%s: still open: %+v", name, f)
		}
	}
	if age := w.now().Sub(p.CheckedAt); age > mailroom.FreshnessTarget {
		t.Errorf("%s: last looked at %s ago", name, age)
	}
}

func subject(m *fakeMail) string {
	msg, err := parseOrPanicSafe(m.raw)
	if err != nil {
		return ""
	}
	return msg.Subject
}

func parseOrPanicSafe(raw []byte) (m mailroom.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			m.Subject = "please panic"
		}
	}()
	return parseOrPanic(raw)
}

// A server whose IDLE speaks of a change every time, without any, is borne
// without hammering it.
func TestChatterIsBorne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		addMails(w, []string{"INBOX", "5"})
		commands["map"](w, []string{"INBOX", "Inbox"})
		w.start("A")
		time.Sleep(5 * time.Second)
		stop := time.Now().Add(10 * time.Minute)
		for time.Now().Before(stop) {
			w.server.change("INBOX", func(*fakeFolder) {})
			time.Sleep(20 * time.Millisecond)
		}
		if w.server.examines > 200 {
			t.Errorf("%d EXAMINEs in ten minutes", w.server.examines)
		}
		w.server.add("INBOX", "after all", nil)
		time.Sleep(time.Minute)
		w.at = "chatter"
		want(w, []string{"INBOX", "stored=6"})
	})
}

// stuckConn hangs without regard for its context.
type stuckConn struct {
	*fakeConn
	free chan struct{}
}

func (c stuckConn) Idle(context.Context) (bool, error) {
	<-c.free
	return false, errNet
}

// The watchdog starts a session again that does not move, and lets go of one
// that does not even end.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		addMails(w, []string{"INBOX", "5"})
		commands["map"](w, []string{"INBOX", "Inbox"})
		free := make(chan struct{})
		hang := true
		w.open = func(ctx context.Context, m mailroom.Mailbox) (Conn, error) {
			c, err := w.server.open(ctx, m)
			if err == nil && hang {
				hang = false
				c = stuckConn{c.(*fakeConn), free}
			}
			return c, err
		}
		n := w.start("A")
		time.Sleep(10 * time.Second)
		w.server.add("INBOX", "while it hangs", nil)
		time.Sleep(30 * time.Minute)
		w.at = "watchdog"
		want(w, []string{"INBOX", "stored=6", "state=up_to_date"})
		close(free)
		time.Sleep(time.Minute)
		if got := n.keeper.Stats().Sessions; got != 1 {
			t.Errorf("%d sessions", got)
		}
		want(w, []string{"INBOX", "stored=6", "state=up_to_date"})
	})
}
