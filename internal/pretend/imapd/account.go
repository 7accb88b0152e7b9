package imapd

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// AccountConfig describes an account.
type AccountConfig struct {
	Address  string
	Aliases  []string
	Password string // for LOGIN and PLAIN; empty refuses both
	Faults   Faults
	// Fill gives the folders and mail. It is called once, before the account is first looked into,
	// so that an account that nobody opens costs nothing.
	Fill func() []Folder
	// FirstUID, if not 0, is the least UID of what is delivered after Fill, in every folder.
	FirstUID uint32
}

// Folder is a folder with its first messages, oldest first.
type Folder struct {
	Name     string // UTF-8, parts joined by "/" whatever the dialect's delimiter is
	Options  FolderOptions
	Messages []Message
}

// FolderOptions describes a folder.
type FolderOptions struct {
	Role        string // RFC 6154 attribute such as `\Sent`; empty for none
	NoSelect    bool
	UIDValidity uint32 // made from the name if 0
}

// Message is what is put into a folder.
type Message struct {
	Raw   Content
	Date  time.Time // INTERNALDATE; now if zero
	Flags []string
	// Fault is played FaultTimes times, or always if FaultTimes is negative.
	Fault      FetchFault
	FaultTimes int
	// GmailID and GmailThread are X-GM-MSGID and X-GM-THRID, and EMAILID with ObjectID; equal ids
	// in several folders are one mail with several labels. Made if 0.
	GmailID, GmailThread uint64
}

// FolderState is a folder as Folders reports it.
type FolderState struct {
	Name                 string // UTF-8, parts joined by "/"
	Role                 string
	NoSelect             bool
	UIDValidity, UIDNext uint32
	UIDs                 []uint32
}

// Account is one mailbox owner. All methods may be called at any time; clients that are connected
// are told as IMAP allows.
type Account struct {
	srv *Server
	cfg AccountConfig

	fill sync.Once

	mu             sync.Mutex
	folders        map[string]*folder
	order          []string
	faults         Faults
	modseq         uint64
	changed        chan struct{} // closed and replaced at every change
	nextID         uint64
	fetched        int // messages fetched since the last throttling
	throttles      int
	throttledUntil time.Time
	tooEarly       int
	cut            bool
	timers         []*time.Timer
}

type folder struct {
	name        string
	role        string
	noSelect    bool
	subscribed  bool
	id          string
	uidValidity uint32
	uidNext     uint32
	msgs        []*message // by UID
	expunged    uint64     // modseq of the last expunge
	seen        map[uint32]bool
	renumbered  bool
}

type message struct {
	uid    uint32
	raw    Content
	size   int
	date   time.Time
	flags  []string
	modseq uint64
	fault  FetchFault
	times  int
	gmID   uint64
	gmThr  uint64
}

func newAccount(s *Server, cfg AccountConfig) *Account {
	a := &Account{
		srv: s, cfg: cfg, faults: cfg.Faults,
		folders: map[string]*folder{},
		changed: make(chan struct{}),
		modseq:  1, nextID: 1_700_000_000_000_000_000,
	}
	a.mustFolder("INBOX", FolderOptions{})
	return a
}

// Address is the account's main address.
func (a *Account) Address() string { return a.cfg.Address }

// ensure fills the account at first use.
func (a *Account) ensure() {
	a.fill.Do(func() {
		if a.cfg.Fill == nil {
			return
		}
		for _, add := range a.cfg.Fill() {
			a.mu.Lock()
			f := a.addFolder(add.Name, add.Options)
			f.msgs = slices.Grow(f.msgs, len(add.Messages))
			for _, m := range add.Messages {
				a.put(f, m)
			}
			f.uidNext = max(f.uidNext, a.cfg.FirstUID)
			a.mu.Unlock()
		}
	})
}

// Open fills the account now instead of at the first sign-in.
func (a *Account) Open() { a.ensure() }

// SetFaults replaces the account's faults.
func (a *Account) SetFaults(f Faults) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = f
	a.fetched, a.throttles, a.throttledUntil = 0, 0, time.Time{}
}

// Faults is what is switched on now.
func (a *Account) Faults() Faults {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.faults
}

// EarlyReturns counts the commands that came before a suggested back-off time had passed.
func (a *Account) EarlyReturns() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tooEarly
}

func key(name string) string {
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	if len(name) > 6 && strings.EqualFold(name[:6], "INBOX/") {
		return "INBOX" + name[5:]
	}
	return name
}

func (a *Account) mustFolder(name string, opts FolderOptions) *folder {
	name = key(name)
	if opts.UIDValidity == 0 {
		opts.UIDValidity = 1 + hash32(a.cfg.Address+"\x00"+name)%100_000
	}
	f := &folder{
		name: name, role: opts.Role, noSelect: opts.NoSelect, subscribed: true,
		uidValidity: opts.UIDValidity, uidNext: 1, seen: map[uint32]bool{},
		id: fmt.Sprintf("F%08x%08x", hash32(a.cfg.Address), hash32(name)),
	}
	a.folders[name] = f
	a.order = append(a.order, name)
	return f
}

// hash32 is FNV-1a.
func hash32(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

// change tells every session to look again. The caller holds the lock.
func (a *Account) change() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// Changed is closed at the next change of the account. Take it, look, then wait for it.
func (a *Account) Changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

// Folders is the account's state, in the order of LIST.
func (a *Account) Folders() []FolderState {
	a.ensure()
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []FolderState
	for _, n := range a.order {
		f := a.folders[n]
		st := FolderState{Name: f.name, Role: f.role, NoSelect: f.noSelect, UIDValidity: f.uidValidity, UIDNext: f.uidNext}
		for _, m := range f.msgs {
			st.UIDs = append(st.UIDs, m.uid)
		}
		out = append(out, st)
	}
	return out
}

// Stored gives back a message as it lies in the folder.
func (a *Account) Stored(folderName string, uid uint32) (Message, bool) {
	a.ensure()
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.folders[key(folderName)]
	if f == nil {
		return Message{}, false
	}
	m := f.find(uid)
	if m == nil {
		return Message{}, false
	}
	return Message{Raw: m.raw, Date: m.date, Flags: slices.Clone(m.flags), Fault: m.fault, FaultTimes: m.times,
		GmailID: m.gmID, GmailThread: m.gmThr}, true
}

func (f *folder) find(uid uint32) *message {
	i := sort.Search(len(f.msgs), func(i int) bool { return f.msgs[i].uid >= uid })
	if i < len(f.msgs) && f.msgs[i].uid == uid {
		return f.msgs[i]
	}
	return nil
}

// throttled counts n fetched messages and says whether the server now asks for a pause. A command
// that comes during the pause is counted as an early return.
func (a *Account) throttled(n int) (time.Duration, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.srv.opts.Now()
	if now.Before(a.throttledUntil) {
		a.tooEarly++
		return a.throttledUntil.Sub(now), true
	}
	fl := a.faults
	if fl.ThrottleAfter <= 0 || a.throttles >= max(1, fl.ThrottleTimes) {
		return 0, false
	}
	a.fetched += n
	if a.fetched < fl.ThrottleAfter {
		return 0, false
	}
	a.fetched = 0
	a.throttles++
	a.throttledUntil = now.Add(fl.Backoff)
	return fl.Backoff, true
}

// shortSearch reports whether this SEARCH is to leave out mails.
func (a *Account) shortSearch() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	short := a.faults.ShortSearches > 0
	if short {
		a.faults.ShortSearches--
	}
	return short
}

// read notes that a client has seen a message whole, for RenumberAfter.
func (a *Account) read(f *folder, uid uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.faults.RenumberAfter <= 0 || f.renumbered {
		return
	}
	f.seen[uid] = true
	for _, m := range f.msgs {
		if !f.seen[m.uid] {
			return
		}
	}
	f.renumbered = true
	name := f.name
	a.timers = append(a.timers, time.AfterFunc(a.faults.RenumberAfter, func() { _ = a.Renumber(name) }))
}

func (a *Account) stopTimers() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.timers {
		t.Stop()
	}
}

func (a *Account) dropSelected(name string) {
	for _, c := range a.srv.connsOf(a.cfg.Address) {
		if c.selectedNow() == name {
			c.bye("Connection closed. 14")
		}
	}
}
