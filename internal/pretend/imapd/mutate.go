package imapd

import (
	"fmt"
	"slices"
	"strings"
)

// What another client of the same account does: folders come and go, mail arrives, moves and disappears.

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
