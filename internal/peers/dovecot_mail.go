package peers

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Mail is a message to put into a folder.
type Mail struct {
	Raw   []byte
	Flags []string  // as in `\Seen`
	Date  time.Time // INTERNALDATE; zero means now
}

func (d *DovecotServer) wrapTLS(conn net.Conn) net.Conn {
	return tls.Client(conn, &tls.Config{RootCAs: d.Cert.CA, ServerName: "localhost"})
}

// Deliver puts mails into a folder the quick way, past IMAP: thousands a second,
// in order, and watchers are told as with any delivery. The folder is made if it
// does not exist. Flags other than the system flags need Append.
func (d *DovecotServer) Deliver(user, folder string, mails ...Mail) {
	d.t.Helper()
	if d.opts.Format != "maildir" {
		d.Append(user, folder, mails...)
		return
	}
	dir, err := d.maildir(user, folder)
	if err != nil {
		d.t.Fatalf("Dovecot: deliver: %v", err)
	}
	for _, m := range mails {
		if err := d.deliver(dir, m); err != nil {
			d.t.Fatalf("Dovecot: deliver: %v", err)
		}
	}
}

func (d *DovecotServer) deliver(dir string, m Mail) error {
	// Dovecot gives UIDs in the order of the time in the name
	// (maildir_uidlist_assign_uids), so each name is later than the last.
	n := d.serial.Add(1)
	virtual := len(m.Raw) + bytes.Count(m.Raw, []byte("\n")) - bytes.Count(m.Raw, []byte("\r\n"))
	name := fmt.Sprintf("%d.M%dP%d.peers,S=%d,W=%d", 1_000_000_000+n/1_000_000, n%1_000_000, os.Getpid(), len(m.Raw), virtual)
	tmp := filepath.Join(dir, "tmp", name)
	if err := os.WriteFile(tmp, m.Raw, 0o600); err != nil {
		return err
	}
	if err := give(tmp, d.cred); err != nil {
		return err
	}
	if !m.Date.IsZero() {
		if err := os.Chtimes(tmp, m.Date, m.Date); err != nil {
			return err
		}
	}
	letters, err := maildirFlags(m.Flags)
	if err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, "cur", name+":2,"+letters))
}

// maildirFlags turns system flags into the letters of a Maildir name, which must be sorted.
func maildirFlags(flags []string) (string, error) {
	var letters []string
	for _, f := range flags {
		letter, ok := map[string]string{
			`\seen`: "S", `\answered`: "R", `\flagged`: "F", `\deleted`: "T", `\draft`: "D",
		}[strings.ToLower(f)]
		if !ok {
			return "", fmt.Errorf("flag %s is not one of the system flags: use Append", f)
		}
		letters = append(letters, letter)
	}
	sort.Strings(letters)
	return strings.Join(slices.Compact(letters), ""), nil
}

// maildir returns the directory of a folder, made if need be.
func (d *DovecotServer) maildir(user, folder string) (string, error) {
	dir := filepath.Join(d.dir, "home", user)
	parts := []string{"", "mail"}
	if folder != "INBOX" {
		parts = append(parts, strings.Split(mutf7(folder), d.opts.Separator)...)
	}
	for _, part := range parts {
		dir = filepath.Join(dir, part)
		if err := d.ensure(dir); err != nil {
			return "", err
		}
	}
	for _, part := range []string{"cur", "new", "tmp"} {
		if err := d.ensure(filepath.Join(dir, part)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func (d *DovecotServer) ensure(dir string) error {
	err := d.mkdir(dir)
	if os.IsExist(err) {
		return nil
	}
	return err
}

// name is a folder's name on the wire.
func (d *DovecotServer) name(folder string) string {
	if strings.EqualFold(folder, "INBOX") {
		return "INBOX"
	}
	return quote(mutf7(d.opts.Prefix + folder))
}

// with runs work over a connection of user's.
func (d *DovecotServer) with(user string, work func(*hand) error) {
	d.t.Helper()
	h, err := d.hand(user)
	if err == nil {
		err = work(h)
		h.close()
	}
	if err != nil {
		d.t.Fatalf("Dovecot: %s: %v", user, err)
	}
}

// command runs commands, in the given folder unless it is empty.
func (d *DovecotServer) command(user, folder string, commands ...string) {
	d.t.Helper()
	d.with(user, func(h *hand) error {
		if folder != "" {
			if _, err := h.do("SELECT %s", d.name(folder)); err != nil {
				return err
			}
		}
		for _, c := range commands {
			if _, err := h.do("%s", c); err != nil {
				return err
			}
		}
		return nil
	})
}

var appendUID = regexp.MustCompile(`\[APPENDUID (\d+) (\d+)\]`)

// Append puts mails into a folder over IMAP, and returns their UIDs. The folder is
// made if it does not exist.
func (d *DovecotServer) Append(user, folder string, mails ...Mail) []uint32 {
	d.t.Helper()
	var uids []uint32
	d.with(user, func(h *hand) error {
		for _, m := range mails {
			date := ""
			if !m.Date.IsZero() {
				date = m.Date.Format(`"02-Jan-2006 15:04:05 -0700" `)
			}
			command := fmt.Sprintf("APPEND %s (%s) %s{%d+}\r\n%s", d.name(folder), strings.Join(m.Flags, " "), date, len(m.Raw), m.Raw)
			answers, err := h.do("%s", command)
			if err != nil && strings.Contains(err.Error(), "[TRYCREATE]") {
				if _, err := h.do("CREATE %s", d.name(folder)); err != nil {
					return err
				}
				answers, err = h.do("%s", command)
			}
			if err != nil {
				return err
			}
			found := appendUID.FindStringSubmatch(answers[len(answers)-1])
			if found == nil {
				return fmt.Errorf("APPEND was answered without a UID: %s", answers[len(answers)-1])
			}
			uid, err := strconv.ParseUint(found[2], 10, 32)
			if err != nil {
				return err
			}
			uids = append(uids, uint32(uid))
		}
		return nil
	})
	return uids
}

// Delete removes messages for good.
func (d *DovecotServer) Delete(user, folder string, uids ...uint32) {
	d.t.Helper()
	set := uidSet(uids)
	d.command(user, folder, `UID STORE `+set+` +FLAGS.SILENT (\Deleted)`, "UID EXPUNGE "+set)
}

// Move moves messages to another folder, where they get new UIDs.
func (d *DovecotServer) Move(user, from, to string, uids ...uint32) {
	d.t.Helper()
	d.command(user, from, "UID MOVE "+uidSet(uids)+" "+d.name(to))
}

// Copy copies messages to another folder.
func (d *DovecotServer) Copy(user, from, to string, uids ...uint32) {
	d.t.Helper()
	d.command(user, from, "UID COPY "+uidSet(uids)+" "+d.name(to))
}

// SetFlags gives messages exactly these flags.
func (d *DovecotServer) SetFlags(user, folder string, flags []string, uids ...uint32) {
	d.t.Helper()
	d.command(user, folder, "UID STORE "+uidSet(uids)+" FLAGS.SILENT ("+strings.Join(flags, " ")+")")
}

// CreateFolder makes a folder.
func (d *DovecotServer) CreateFolder(user, folder string) {
	d.t.Helper()
	d.command(user, "", "CREATE "+d.name(folder))
}

// DeleteFolder removes a folder and its mail.
func (d *DovecotServer) DeleteFolder(user, folder string) {
	d.t.Helper()
	d.command(user, "", "DELETE "+d.name(folder))
}

// RenameFolder renames a folder, which keeps its UIDVALIDITY in Dovecot.
func (d *DovecotServer) RenameFolder(user, from, to string) {
	d.t.Helper()
	d.command(user, "", "RENAME "+d.name(from)+" "+d.name(to))
}

// Renumber gives a folder a new UIDVALIDITY and its messages new UIDs, as after a
// server's restore from backup. Connections of the user are ended first.
func (d *DovecotServer) Renumber(user, folder string) {
	d.t.Helper()
	if d.opts.Format != "maildir" {
		d.t.Fatal("Dovecot: Renumber needs Maildir")
	}
	before := d.Folder(user, folder)
	if d.Connections(user) > 0 {
		d.Kick(user)
	}
	dir, err := d.maildir(user, folder)
	if err != nil {
		d.t.Fatalf("Dovecot: renumber: %v", err)
	}
	for _, pattern := range []string{"dovecot.index*", "dovecot-uidlist", "dovecot-keywords"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				d.t.Fatalf("Dovecot: renumber: %v", err)
			}
		}
	}
	// Format 3 of dovecot-uidlist: V is UIDVALIDITY, N the next UID. Starting at
	// 1000 makes sure that no old UID stays good by accident.
	list := filepath.Join(dir, "dovecot-uidlist")
	if err := os.WriteFile(list, fmt.Appendf(nil, "3 V%d N1000\n", before.UIDValidity+1), 0o600); err != nil {
		d.t.Fatalf("Dovecot: renumber: %v", err)
	}
	if err := give(list, d.cred); err != nil {
		d.t.Fatalf("Dovecot: renumber: %v", err)
	}
}

// FolderState is what a mail program can know of a folder without reading mail.
type FolderState struct {
	UIDValidity, UIDNext uint32
	Flags                map[uint32][]string // by UID, sorted, \Recent left out
}

// UIDs returns the UIDs in order.
func (f FolderState) UIDs() []uint32 {
	uids := make([]uint32, 0, len(f.Flags))
	for uid := range f.Flags {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	return uids
}

var (
	validityCode = regexp.MustCompile(`\[UIDVALIDITY (\d+)\]`)
	nextCode     = regexp.MustCompile(`\[UIDNEXT (\d+)\]`)
	fetchAnswer  = regexp.MustCompile(`^\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\)`)
	listAnswer   = regexp.MustCompile(`^\* LIST \(([^)]*)\) (?:"[^"]*"|NIL) (.*)$`)
)

// Folder reads the state of one folder.
func (d *DovecotServer) Folder(user, folder string) FolderState {
	d.t.Helper()
	var state FolderState
	d.with(user, func(h *hand) (err error) {
		state, err = h.folder(d.name(folder))
		return err
	})
	return state
}

// Snapshot reads the state of every folder of user, by wire name. Two equal
// snapshots around a sync prove that it changed nothing.
func (d *DovecotServer) Snapshot(user string) map[string]FolderState {
	d.t.Helper()
	states := map[string]FolderState{}
	d.with(user, func(h *hand) error {
		answers, err := h.do(`LIST "" "*"`)
		if err != nil {
			return err
		}
		for _, a := range answers {
			found := listAnswer.FindStringSubmatch(a)
			if found == nil || strings.Contains(found[1], `\Noselect`) || strings.Contains(found[1], `\NonExistent`) {
				continue
			}
			state, err := h.folder(found[2])
			if err != nil {
				return err
			}
			states[strings.Trim(found[2], `"`)] = state
		}
		return nil
	})
	return states
}

func (h *hand) folder(name string) (FolderState, error) {
	state := FolderState{Flags: map[uint32][]string{}}
	answers, err := h.do("EXAMINE %s", name)
	if err != nil {
		return state, err
	}
	for _, a := range answers {
		if m := validityCode.FindStringSubmatch(a); m != nil {
			state.UIDValidity = number(m[1])
		}
		if m := nextCode.FindStringSubmatch(a); m != nil {
			state.UIDNext = number(m[1])
		}
	}
	answers, err = h.do("UID FETCH 1:* (UID FLAGS)")
	if err != nil {
		return state, err
	}
	for _, a := range answers {
		if m := fetchAnswer.FindStringSubmatch(a); m != nil {
			flags := slices.DeleteFunc(strings.Fields(m[2]), func(f string) bool { return f == `\Recent` })
			sort.Strings(flags)
			state.Flags[number(m[1])] = flags
		}
	}
	return state, nil
}

// number reads digits that a pattern has already found.
func number(digits string) uint32 {
	n, _ := strconv.ParseUint(digits, 10, 32)
	return uint32(n)
}
