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

// AddFolder makes a folder; the name is UTF-8 with "/" between its parts whatever the dialect's
// delimiter is. A folder that exists only takes the options.
func (a *Account) AddFolder(name string, opts FolderOptions) {
	a.ensure()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addFolder(name, opts)
	a.change()
}

func (a *Account) addFolder(name string, opts FolderOptions) *folder {
	f := a.folders[key(name)]
	if f == nil {
		return a.mustFolder(name, opts)
	}
	f.role, f.noSelect = opts.Role, opts.NoSelect
	if opts.UIDValidity != 0 {
		f.uidValidity = opts.UIDValidity
	}
	return f
}

// RemoveFolder deletes a folder with its mail. Connections that have it selected are cut.
func (a *Account) RemoveFolder(name string) error {
	a.ensure()
	a.mu.Lock()
	if a.folders[key(name)] == nil {
		a.mu.Unlock()
		return fmt.Errorf("imapd: no folder %q", name)
	}
	delete(a.folders, key(name))
	a.order = slices.DeleteFunc(a.order, func(n string) bool { return n == key(name) })
	a.change()
	a.mu.Unlock()
	a.dropSelected(key(name))
	return nil
}

// RenameFolder renames a folder and those below it. UIDVALIDITY and UIDs stay.
func (a *Account) RenameFolder(from, to string) error {
	a.ensure()
	a.mu.Lock()
	defer a.mu.Unlock()
	from, to = key(from), key(to)
	if a.folders[from] == nil {
		return fmt.Errorf("imapd: no folder %q", from)
	}
	if a.folders[to] != nil {
		return fmt.Errorf("imapd: folder %q exists", to)
	}
	for i, n := range a.order {
		if n == from || strings.HasPrefix(n, from+"/") {
			f := a.folders[n]
			delete(a.folders, n)
			f.name = to + n[len(from):]
			a.folders[f.name] = f
			a.order[i] = f.name
		}
	}
	a.change()
	return nil
}

// Deliver puts a message into a folder and returns its UID; a folder that is missing is made.
func (a *Account) Deliver(folderName string, m Message) uint32 {
	a.ensure()
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.folders[key(folderName)]
	if f == nil {
		f = a.mustFolder(folderName, FolderOptions{})
	}
	uid := a.put(f, m).uid
	a.change()
	return uid
}

// DeliverAll is Deliver for many messages with one notice at the end.
func (a *Account) DeliverAll(folderName string, ms []Message) []uint32 {
	a.ensure()
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.folders[key(folderName)]
	if f == nil {
		f = a.mustFolder(folderName, FolderOptions{})
	}
	uids := make([]uint32, 0, len(ms))
	f.msgs = slices.Grow(f.msgs, len(ms))
	for _, m := range ms {
		uids = append(uids, a.put(f, m).uid)
	}
	a.change()
	return uids
}

func (a *Account) put(f *folder, m Message) *message {
	if m.Date.IsZero() {
		m.Date = a.srv.opts.Now()
	}
	if m.GmailID == 0 {
		a.nextID++
		m.GmailID = a.nextID
	}
	if m.GmailThread == 0 {
		m.GmailThread = m.GmailID
	}
	if m.Fault != FetchNormal && m.FaultTimes == 0 {
		m.FaultTimes = -1
	}
	a.modseq++
	msg := &message{
		uid: f.uidNext, raw: m.Raw, size: m.Raw.Len(), date: m.Date, flags: m.Flags, modseq: a.modseq,
		fault: m.Fault, times: m.FaultTimes, gmID: m.GmailID, gmThr: m.GmailThread,
	}
	f.uidNext++
	f.msgs = append(f.msgs, msg)
	return msg
}

// SkipUIDs raises UIDNEXT of every folder to at least n, as a server does that has lost messages.
func (a *Account) SkipUIDs(n uint32) {
	a.ensure()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.folders {
		f.uidNext = max(f.uidNext, n)
	}
	a.change()
}

// Move moves messages and returns their new UIDs in the order of the given ones.
func (a *Account) Move(from, to string, uids ...uint32) ([]uint32, error) {
	return a.transfer(from, to, uids, true)
}

// Copy copies messages and returns the UIDs of the copies.
func (a *Account) Copy(from, to string, uids ...uint32) ([]uint32, error) {
	return a.transfer(from, to, uids, false)
}

func (a *Account) transfer(from, to string, uids []uint32, remove bool) ([]uint32, error) {
	a.ensure()
	a.mu.Lock()
	defer a.mu.Unlock()
	src, dst := a.folders[key(from)], a.folders[key(to)]
	if src == nil || dst == nil {
		return nil, fmt.Errorf("imapd: no folder %q or %q", from, to)
	}
	var out []uint32
	for _, u := range uids {
		m := src.find(u)
		if m == nil {
			return out, fmt.Errorf("imapd: no UID %d in %q", u, from)
		}
		copied := a.put(dst, Message{
			Raw: m.raw, Date: m.date, Flags: slices.Clone(m.flags), Fault: m.fault, FaultTimes: m.times,
			GmailID: m.gmID, GmailThread: m.gmThr,
		})
		out = append(out, copied.uid)
	}
	if remove {
		a.remove(src, uids)
	}
	a.change()
	return out, nil
}

// Expunge removes messages.
func (a *Account) Expunge(folderName string, uids ...uint32) error {
	a.ensure()
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.folders[key(folderName)]
	if f == nil {
		return fmt.Errorf("imapd: no folder %q", folderName)
	}
	a.remove(f, uids)
	a.change()
	return nil
}

func (a *Account) remove(f *folder, uids []uint32) {
	gone := make(map[uint32]bool, len(uids))
	for _, u := range uids {
		gone[u] = true
	}
	f.msgs = slices.DeleteFunc(slices.Clone(f.msgs), func(m *message) bool { return gone[m.uid] })
	a.modseq++
	f.expunged = a.modseq
}

// SetFlags replaces the flags of a message.
func (a *Account) SetFlags(folderName string, uid uint32, flags ...string) error {
	a.ensure()
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.folders[key(folderName)]
	if f == nil {
		return fmt.Errorf("imapd: no folder %q", folderName)
	}
	m := f.find(uid)
	if m == nil {
		return fmt.Errorf("imapd: no UID %d in %q", uid, folderName)
	}
	a.modseq++
	m.flags, m.modseq = slices.Clone(flags), a.modseq
	a.change()
	return nil
}

// SetFault changes how the FETCH of one message goes; times below zero means always.
func (a *Account) SetFault(folderName string, uid uint32, fault FetchFault, times int) error {
	a.ensure()
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.folders[key(folderName)]
	if f == nil || f.find(uid) == nil {
		return fmt.Errorf("imapd: no UID %d in %q", uid, folderName)
	}
	m := f.find(uid)
	m.fault, m.times = fault, times
	return nil
}

// Renumber gives a folder a new UIDVALIDITY and its messages new UIDs from 1, and cuts the
// connections that have it selected.
func (a *Account) Renumber(folderName string) error {
	a.ensure()
	a.mu.Lock()
	f := a.folders[key(folderName)]
	if f == nil {
		a.mu.Unlock()
		return fmt.Errorf("imapd: no folder %q", folderName)
	}
	f.uidValidity++
	f.seen = map[uint32]bool{}
	f.renumbered = true
	fresh := make([]*message, len(f.msgs))
	for i, m := range f.msgs {
		n := *m
		n.uid = uint32(i + 1)
		a.modseq++
		n.modseq = a.modseq
		fresh[i] = &n
	}
	f.msgs, f.uidNext = fresh, uint32(len(fresh)+1)
	a.change()
	a.mu.Unlock()
	a.dropSelected(f.name)
	return nil
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
