package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"mailroom/internal/mailroom"
)

// fakeServer is an IMAP server as the syncer sees one, with faults to order.
type fakeServer struct {
	mu       sync.Mutex
	folders  map[string]*fakeFolder
	changed  chan struct{} // closed and replaced at every change
	noIdle   bool
	deaf     bool // IDLE is offered and never says anything
	condFlag bool // CONDSTORE
	qresync  bool // and QRESYNC
	objects  bool // mails have ids of their own
	noNext   bool // UIDNEXT is not said
	made     int  // folders so far

	objectIDs bool // OBJECTID
	single    bool // one connection at a time
	latency   time.Duration
	perMail   time.Duration
	faults    []*fault
	conns     map[*fakeConn]bool

	logins   int
	most     int // connections at a time
	examines int
	searches int
	flagged  int // FETCHes of flags
	fetched  int // mails sent
	calls    int // round trips
}

type fakeFolder struct {
	name     string
	validity uint32
	next     uint32
	modseq   uint64
	mails    []*fakeMail // by UID
	lies     int         // counts so many more than it lists
	flips    int         // answers another UIDVALIDITY so many times
	hides    mailroom.UIDSet
	hideFor  int // listings that leave out hides
	blind    mailroom.UIDSet
	blindFor int // searches by date that leave out blind
	version  int
	gone     map[uint32]uint64 // UIDs that were removed, with the modseq of that
	muted    mailroom.UIDSet   // neither counted nor listed
	lost     mailroom.UIDSet   // named as removed, though they are there
	object   string            // its MAILBOXID
}

type fakeMail struct {
	uid     uint32
	raw     []byte
	flags   mailroom.Flags
	modseq  uint64
	date    time.Time
	object  string
	refused string
	silent  int // FETCHes that it does not answer
	breaks  bool
	panics  bool
}

// fault makes calls fail: op is "open", "examine:INBOX", "fetch:INBOX",
// "uids:INBOX", "statuses", "folders", "idle".
type fault struct {
	op    string
	err   error
	times int // -1 for ever
	after int // mails of a fetch that come first
}

func newFakeServer() *fakeServer {
	return &fakeServer{folders: map[string]*fakeFolder{}, changed: make(chan struct{}), conns: map[*fakeConn]bool{}, latency: 10 * time.Millisecond}
}

func (s *fakeServer) folder(name string) *fakeFolder {
	if s.folders[name] == nil {
		s.made++
		s.folders[name] = &fakeFolder{name: name, validity: 7, next: 1, modseq: 1, object: fmt.Sprintf("F%d", s.made)}
	}
	return s.folders[name]
}

// change does something to a folder and lets who is idle know.
func (s *fakeServer) change(name string, do func(f *fakeFolder)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folder(name)
	do(f)
	f.version++
	f.modseq++
	close(s.changed)
	s.changed = make(chan struct{})
}

// add delivers a mail. body makes two mails one or two.
func (s *fakeServer) add(name, body string, mod func(*fakeMail)) uint32 {
	var uid uint32
	s.change(name, func(f *fakeFolder) {
		uid = f.next
		f.next++
		m := &fakeMail{uid: uid, raw: rawMail(body), modseq: f.modseq + 1, date: time.Now(), object: "obj " + body}
		if mod != nil {
			mod(m)
		}
		f.mails = append(f.mails, m)
	})
	return uid
}

func rawMail(body string) []byte {
	return []byte("From: Anna <anna@home.example>\r\nTo: recruiter@agency.example\r\nMessage-ID: <" + strings.ReplaceAll(body, " ", "-") +
		"@home.example>\r\nSubject: " + body + "\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\nHello, this is " + body + ".\r\n")
}

// leave notes that a mail is removed.
func (f *fakeFolder) leave(m *fakeMail) {
	if f.gone == nil {
		f.gone = map[uint32]uint64{}
	}
	f.gone[m.uid] = f.modseq + 1
}

func (f *fakeFolder) find(uid uint32) *fakeMail {
	i, ok := slices.BinarySearchFunc(f.mails, uid, func(m *fakeMail, u uint32) int { return int(m.uid) - int(u) })
	if !ok {
		return nil
	}
	return f.mails[i]
}

func (f *fakeFolder) uids() mailroom.UIDSet {
	var us []uint32
	for _, m := range f.mails {
		us = append(us, m.uid)
	}
	return mailroom.UIDs(us...).Minus(f.muted)
}

// fail is the fault ordered for op, if any. mu is held.
func (s *fakeServer) fail(op string) *fault {
	for _, f := range s.faults {
		if f.op == op && f.times != 0 {
			if f.times > 0 {
				f.times--
			}
			return f
		}
	}
	return nil
}

type fakeConn struct {
	s        *fakeServer
	selected *fakeFolder
	version  int
	dead     bool
	busy     bool
}

var errNet = mailroom.E(mailroom.Unavailable, "imap.error.network", errors.New("connection reset"))

func (s *fakeServer) open(ctx context.Context, _ mailroom.Mailbox) (Conn, error) {
	if err := pass(ctx, 3*s.latency); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins++
	if f := s.fail("open"); f != nil {
		return nil, f.err
	}
	if s.single && len(s.conns) > 0 {
		return nil, mailroom.E(mailroom.Unavailable, "imap.error.too_many")
	}
	c := &fakeConn{s: s}
	s.conns[c] = true
	s.most = max(s.most, len(s.conns))
	return c, nil
}

func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return mailroom.E(mailroom.Unavailable, "imap.error.stopped", ctx.Err())
	}
}

// call is one round trip; what it returns is run under the server's lock.
func (c *fakeConn) call(ctx context.Context, op string, do func() error) error {
	c.s.mu.Lock()
	if c.busy {
		c.s.mu.Unlock()
		panic("two goroutines on one connection")
	}
	c.busy = true
	c.s.calls++
	c.s.mu.Unlock()
	err := pass(ctx, c.s.latency)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.busy = false
	if err != nil {
		c.dead = true // ended in the middle of a command
		return err
	}
	if c.dead {
		return errNet
	}
	if !strings.HasPrefix(op, "fetch:") { // whose faults come in the middle
		if f := c.s.fail(op); f != nil {
			c.dead = mailroom.AsError(f.err).Key == "imap.error.network"
			return f.err
		}
	}
	return do()
}

func (c *fakeConn) Folders(ctx context.Context) (out []mailroom.Folder, err error) {
	err = c.call(ctx, "folders", func() error {
		for name := range c.s.folders {
			role := mailroom.RoleNone
			if name == "INBOX" {
				role = mailroom.RoleInbox
			}
			out = append(out, mailroom.Folder{RawName: name, Name: name, Path: []string{name}, Role: role, Selectable: true,
				Delimiter: "/", UIDValidity: c.s.folders[name].validity, ObjectID: c.s.objectID(c.s.folders[name])})
		}
		return nil
	})
	return out, err
}

func (f *fakeFolder) status(s *fakeServer) mailroom.FolderStatus {
	st := mailroom.FolderStatus{Messages: uint32(int(f.uids().Len()) + f.lies), UIDValidity: f.validity, UIDNext: f.next, Unseen: -1, ObjectID: s.objectID(f)}
	if f.flips > 0 {
		f.flips--
		st.UIDValidity = f.validity + 1000
	}
	if s.condFlag {
		st.HighestModSeq = f.modseq
	}
	if s.noNext {
		st.UIDNext = 0
	}
	return st
}

func (c *fakeConn) Statuses(ctx context.Context, names []string) (map[string]mailroom.FolderStatus, error) {
	out := map[string]mailroom.FolderStatus{}
	err := c.call(ctx, "statuses", func() error {
		for _, n := range names {
			if c.selected != nil && c.selected.name == n {
				panic("STATUS of the examined folder " + n)
			}
			if f := c.s.folders[n]; f != nil {
				out[n] = f.status(c.s)
			}
		}
		return nil
	})
	return out, err
}

func (c *fakeConn) Examine(ctx context.Context, name string) (st mailroom.FolderStatus, err error) {
	c.selected = nil
	err = c.call(ctx, "examine:"+name, func() error {
		c.s.examines++
		f := c.s.folders[name]
		if f == nil {
			return mailroom.E(mailroom.NotFound, "folder.error.gone")
		}
		c.selected, c.version = f, f.version
		st = f.status(c.s)
		return nil
	})
	return st, err
}

func (c *fakeConn) UIDs(ctx context.Context, from uint32) (set mailroom.UIDSet, err error) {
	err = c.call(ctx, "uids:"+c.name(), func() error {
		c.s.searches++
		set = c.selected.uids().Minus(mailroom.Range(1, from-1))
		if c.selected.hideFor > 0 {
			c.selected.hideFor--
			set = set.Minus(c.selected.hides)
		}
		return nil
	})
	return set, err
}

func (c *fakeConn) name() string {
	if c.selected == nil {
		panic("no folder is open")
	}
	return c.selected.name
}

func (c *fakeConn) UIDsSince(ctx context.Context, day time.Time) (set mailroom.UIDSet, err error) {
	err = c.call(ctx, "since:"+c.name(), func() error {
		var us []uint32
		for _, m := range c.selected.mails {
			if !m.date.Before(day) {
				us = append(us, m.uid)
			}
		}
		set = mailroom.UIDs(us...)
		if c.selected.blindFor > 0 {
			c.selected.blindFor--
			set = set.Minus(c.selected.blind)
		}
		return nil
	})
	return set, err
}

func (c *fakeConn) Fetch(ctx context.Context, set mailroom.UIDSet, each func(mailroom.FetchedMail) error) error {
	op := "fetch:" + c.name()
	var bad *fault
	if err := c.call(ctx, op, func() error { bad = c.s.fail(op); return nil }); err != nil {
		return err
	}
	n := 0
	for uid := range set.Descending {
		if bad != nil && n >= bad.after {
			c.dead = true
			return bad.err
		}
		n++
		if c.s.perMail > 0 {
			if err := pass(ctx, c.s.perMail); err != nil {
				c.dead = true
				return err
			}
		}
		c.s.mu.Lock()
		m := c.selected.find(uid)
		var mail mailroom.FetchedMail
		answer := m != nil && m.silent == 0
		if m != nil && m.silent > 0 {
			m.silent--
		}
		if m != nil && m.breaks {
			c.dead = true
		}
		if answer {
			c.s.fetched++
			mail = mailroom.FetchedMail{UID: uid, Flags: m.flags, InternalDate: m.date, ModSeq: m.modseq, Refused: m.refused}
			if c.s.objects {
				mail.ObjectID = m.object
			}
			if m.refused == "" || m.refused == "placeholder" {
				mail.Raw = slices.Clone(m.raw)
			}
			mail.Size = int64(len(m.raw))
			raw := mail.Raw
			mail.Release = func() { // what is used afterwards shows
				for i := range raw {
					raw[i] = 'X'
				}
			}
		}
		dead := c.dead
		c.s.mu.Unlock()
		if dead {
			return errNet
		}
		if !answer {
			continue
		}
		if err := each(mail); err != nil {
			c.dead = true
			return err
		}
	}
	return nil
}

func (c *fakeConn) Flags(ctx context.Context, set mailroom.UIDSet, changedSince uint64, each func(mailroom.FlagChange)) error {
	return c.call(ctx, "flags:"+c.name(), func() error {
		c.s.flagged++
		for _, m := range c.selected.mails {
			if set.Contains(m.uid) && m.modseq > changedSince {
				each(mailroom.FlagChange{UID: m.uid, Flags: m.flags, ModSeq: m.modseq})
			}
		}
		return nil
	})
}

func (c *fakeConn) Resync(ctx context.Context, name string, validity uint32, modSeq uint64) (
	st mailroom.FolderStatus, changes []mailroom.FlagChange, vanished mailroom.UIDSet, err error,
) {
	c.selected = nil
	err = c.call(ctx, "resync:"+name, func() error {
		f := c.s.folders[name]
		if f == nil {
			return mailroom.E(mailroom.NotFound, "folder.error.gone")
		}
		c.selected, c.version = f, f.version
		if st = f.status(c.s); st.UIDValidity != validity {
			return nil
		}
		for _, m := range f.mails {
			if m.modseq > modSeq {
				changes = append(changes, mailroom.FlagChange{UID: m.uid, Flags: m.flags, ModSeq: m.modseq})
			}
		}
		vanished, f.lost = f.lost, mailroom.UIDSet{}
		for uid, at := range f.gone {
			if at > modSeq {
				vanished = vanished.Union(mailroom.UIDs(uid))
			}
		}
		vanished = vanished.Union(mailroom.Range(9_000_000, 9_000_003)) // that never were
		return nil
	})
	return st, changes, vanished, err
}

func (c *fakeConn) ObjectIDs(ctx context.Context, set mailroom.UIDSet) (map[uint32]string, error) {
	out := map[uint32]string{}
	err := c.call(ctx, "objects:"+c.name(), func() error {
		for _, m := range c.selected.mails {
			if set.Contains(m.uid) && m.object != "" {
				out[m.uid] = m.object
			}
		}
		return nil
	})
	return out, err
}

func (c *fakeConn) Sample(ctx context.Context, set mailroom.UIDSet, headers bool, each func(mailroom.Sampled)) error {
	return c.call(ctx, "sample:"+c.name(), func() error {
		for _, m := range c.selected.mails {
			if set.Contains(m.uid) {
				each(mailroom.Sampled{UID: m.uid, Size: int64(len(m.raw)), InternalDate: m.date})
			}
		}
		return nil
	})
}

func (c *fakeConn) CanResync() bool    { return c.s.qresync }
func (c *fakeConn) HasObjectIDs() bool { return c.s.objects }

func (c *fakeConn) Idle(ctx context.Context) (bool, error) {
	renew := time.After(9 * time.Minute)
	for {
		c.s.mu.Lock()
		if c.busy {
			panic("IDLE while another command runs")
		}
		changed, news := c.s.changed, c.selected.version != c.version && !c.s.deaf
		c.version = c.selected.version
		dead, bad := c.dead, c.s.fail("idle")
		c.s.mu.Unlock()
		switch {
		case bad != nil:
			return false, bad.err
		case dead:
			return false, errNet
		case news:
			return true, nil
		}
		select {
		case <-changed:
		case <-renew:
			return false, nil
		case <-ctx.Done():
			return false, nil
		}
	}
}

func (c *fakeConn) CanIdle() bool      { return !c.s.noIdle }
func (c *fakeConn) CanCondStore() bool { return c.s.condFlag }

func (c *fakeConn) Close() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.dead = true
	delete(c.s.conns, c)
	return nil
}

// cut ends every connection, as a network does.
func (s *fakeServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.dead = true
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *fakeServer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d logins, %d at most, %d open, %d EXAMINEs, %d SEARCHes", s.logins, s.most, len(s.conns), s.examines, s.searches)
}
