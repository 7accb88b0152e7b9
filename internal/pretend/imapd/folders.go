package imapd

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"time"
)

// wireName is a folder's name as this dialect writes it.
func (c *conn) wireName(name string) string {
	return EncodeUTF7(strings.ReplaceAll(name, "/", c.dialect().Delimiter))
}

func (c *conn) fromWire(name string) string {
	return key(strings.ReplaceAll(DecodeUTF7(name), c.dialect().Delimiter, "/"))
}

func (c *conn) listFolders(cmd command) error {
	if cmd.name == "LSUB" && c.dialect().NoLsub {
		return bad("Command Error. 12")
	}
	ref, patterns, status, err := listArgs(cmd.args)
	if err != nil {
		return err
	}
	if status != nil && !c.dialect().ListStatus {
		return bad("Command Argument Error. 12")
	}
	if len(patterns) == 1 && patterns[0] == "" {
		return c.line(`* LIST (\Noselect) %s ""`, quote(c.dialect().Delimiter))
	}
	a := c.accountNow()
	a.mu.Lock()
	names := slices.Clone(a.order)
	var lines []string
	for _, n := range names {
		f := a.folders[n]
		wire := c.wireName(n)
		if !slices.ContainsFunc(patterns, func(p string) bool { return matchList(ref+p, wire, c.dialect().Delimiter) }) {
			continue
		}
		if cmd.name == "LSUB" && !f.subscribed {
			continue
		}
		lines = append(lines, fmt.Sprintf("* %s (%s) %s %s", cmd.name, strings.Join(c.attributes(a, f), " "),
			quote(c.dialect().Delimiter), astring(wire)))
		if status != nil && !f.noSelect {
			lines = append(lines, c.statusLine(a, f, status))
		}
	}
	a.mu.Unlock()
	return c.lines(lines)
}

func (c *conn) lines(lines []string) error {
	return c.respond(func(w *bufio.Writer) error {
		for _, l := range lines {
			if _, err := w.WriteString(l + "\r\n"); err != nil {
				return err
			}
		}
		return nil
	})
}

// listArgs reads `[(selection)] reference pattern [RETURN (options)]` (RFC 5258 3).
func listArgs(args []arg) (ref string, patterns []string, status []arg, err error) {
	if len(args) > 0 && args[0].isList {
		args = args[1:]
	}
	if len(args) < 2 {
		return "", nil, nil, bad("Command Argument Error. 12")
	}
	ref = args[0].text
	if args[1].isList {
		for _, p := range args[1].list {
			patterns = append(patterns, p.text)
		}
	} else {
		patterns = []string{args[1].text}
	}
	if len(args) == 4 && strings.EqualFold(args[2].text, "RETURN") {
		for i, o := range args[3].list {
			if strings.EqualFold(o.text, "STATUS") && i+1 < len(args[3].list) {
				status = args[3].list[i+1].list
			}
		}
	}
	return ref, patterns, status, nil
}

func (c *conn) attributes(a *Account, f *folder) []string {
	var out []string
	if f.noSelect {
		out = append(out, `\Noselect`)
	}
	children := `\HasNoChildren`
	for n := range a.folders {
		if strings.HasPrefix(n, f.name+"/") {
			children = `\HasChildren`
			break
		}
	}
	if f.name == "INBOX" && c.dialect().Name == "exchange" {
		out = append(out, `\Marked`)
	}
	out = append(out, children)
	if f.role != "" && c.dialect().Roles && !a.faults.NoRoles {
		out = append(out, f.role)
	}
	return out
}

// matchList matches a LIST pattern: * is anything, % anything but the delimiter (RFC 3501 6.3.8).
func matchList(pattern, name, delim string) bool {
	if pattern == "" {
		return name == ""
	}
	switch pattern[0] {
	case '*', '%':
		for i := 0; i <= len(name); i++ {
			if matchList(pattern[1:], name[i:], delim) {
				return true
			}
			if i < len(name) && pattern[0] == '%' && strings.HasPrefix(name[i:], delim) {
				return false
			}
		}
		return false
	}
	return name != "" && (pattern[0] == name[0] || strings.EqualFold(pattern[:1], name[:1])) &&
		matchList(pattern[1:], name[1:], delim)
}

func (c *conn) folder(wire string) (*Account, *folder) {
	a := c.accountNow()
	f := a.folders[c.fromWire(wire)]
	if f == nil || f.noSelect {
		return a, nil
	}
	return a, f
}

// target is the name and UIDVALIDITY of a folder to write to; the caller holds the account's lock.
func (c *conn) target(wire string) (string, uint32) {
	_, f := c.folder(wire)
	if f == nil {
		return "", 0
	}
	return f.name, f.uidValidity
}

// missing is the answer for a name that is not there.
func (c *conn) missing(wire string) error {
	if c.dialect().Name == "exchange" {
		return no("%s doesn't exist.", wire)
	}
	return no("[NONEXISTENT] Unknown Mailbox: %s", wire)
}

func (c *conn) status(cmd command) error {
	if len(cmd.args) != 2 || !cmd.args[1].isList {
		return bad("Command Argument Error. 12")
	}
	a := c.accountNow()
	a.mu.Lock()
	_, f := c.folder(cmd.args[0].text)
	var line string
	if f != nil {
		line = c.statusLine(a, f, cmd.args[1].list)
	}
	a.mu.Unlock()
	if f == nil {
		return c.missing(cmd.args[0].text)
	}
	return c.line("%s", line)
}

// statusLine answers STATUS; the caller holds the account's lock.
func (c *conn) statusLine(a *Account, f *folder, items []arg) string {
	var out []string
	for _, it := range items {
		name := strings.ToUpper(it.text)
		switch name {
		case "MESSAGES":
			out = append(out, fmt.Sprintf("%s %d", name, len(f.msgs)))
		case "RECENT":
			out = append(out, name+" 0")
		case "UIDNEXT":
			out = append(out, fmt.Sprintf("%s %d", name, f.uidNext))
		case "UIDVALIDITY":
			out = append(out, fmt.Sprintf("%s %d", name, f.uidValidity))
		case "UNSEEN":
			n := 0
			for _, m := range f.msgs {
				if !hasFlag(m.flags, `\Seen`) {
					n++
				}
			}
			out = append(out, fmt.Sprintf("%s %d", name, n))
		case "SIZE":
			n := 0
			for _, m := range f.msgs {
				n += m.size
			}
			out = append(out, fmt.Sprintf("%s %d", name, n))
		case "HIGHESTMODSEQ":
			if c.dialect().Condstore {
				out = append(out, fmt.Sprintf("%s %d", name, f.highest()))
			}
		case "MAILBOXID":
			if c.dialect().ObjectID {
				out = append(out, fmt.Sprintf("%s (%s)", name, f.id))
			}
		}
	}
	return fmt.Sprintf("* STATUS %s (%s)", astring(c.wireName(f.name)), strings.Join(out, " "))
}

// highest is HIGHESTMODSEQ (RFC 7162 3.1.2.1), never 0.
func (f *folder) highest() uint64 {
	top := max(f.expunged, 1)
	for _, m := range f.msgs {
		top = max(top, m.modseq)
	}
	return top
}

func hasFlag(flags []string, flag string) bool {
	return slices.ContainsFunc(flags, func(f string) bool { return strings.EqualFold(f, flag) })
}

func (c *conn) selectFolder(cmd command) error {
	if len(cmd.args) == 0 {
		return bad("Command Argument Error. 12")
	}
	wantMod := len(cmd.args) > 1 && cmd.args[1].isList && len(cmd.args[1].list) > 0 &&
		strings.EqualFold(cmd.args[1].list[0].text, "CONDSTORE")
	if len(cmd.args) > 1 && !(wantMod && c.dialect().Condstore) {
		return bad("Command Argument Error. 12")
	}
	a := c.accountNow()
	c.forget()
	a.mu.Lock()
	_, f := c.folder(cmd.args[0].text)
	if f == nil {
		a.mu.Unlock()
		return c.missing(cmd.args[0].text)
	}
	c.condstore = c.condstore || wantMod
	c.view = c.view[:0]
	unseen := 0
	for i, m := range f.msgs {
		c.view = append(c.view, m.uid)
		if unseen == 0 && !hasFlag(m.flags, `\Seen`) {
			unseen = i + 1
		}
	}
	c.viewMod = a.modseq
	lines := []string{
		fmt.Sprintf("* %d EXISTS", len(f.msgs)), "* 0 RECENT",
		`* FLAGS (\Seen \Answered \Flagged \Deleted \Draft $MDNSent)`,
	}
	perm := `()`
	if cmd.name == "SELECT" {
		perm = `(\Seen \Answered \Flagged \Deleted \Draft $MDNSent)`
	}
	lines = append(lines, "* OK [PERMANENTFLAGS "+perm+"] Permanent flags")
	if unseen > 0 {
		lines = append(lines, fmt.Sprintf("* OK [UNSEEN %d] Is the first unseen message", unseen))
	}
	validity := f.uidValidity
	if a.faults.WrongValidity > 0 {
		a.faults.WrongValidity--
		validity += 1000
	}
	lines = append(lines, fmt.Sprintf("* OK [UIDVALIDITY %d] UIDVALIDITY value", validity),
		fmt.Sprintf("* OK [UIDNEXT %d] The next unique identifier value", f.uidNext))
	if c.dialect().Condstore {
		lines = append(lines, fmt.Sprintf("* OK [HIGHESTMODSEQ %d] Highest", f.highest()))
	}
	if c.dialect().ObjectID {
		lines = append(lines, fmt.Sprintf("* OK [MAILBOXID (%s)] Ok", f.id))
	}
	a.mu.Unlock()
	c.smu.Lock()
	c.selected = f
	c.smu.Unlock()
	c.readOnly = cmd.name == "EXAMINE"
	if err := c.lines(lines); err != nil {
		return err
	}
	mode := "READ-WRITE"
	if c.readOnly {
		mode = "READ-ONLY"
	}
	return ok("[%s] %s completed.", mode, cmd.name)
}

func (c *conn) forget() {
	c.smu.Lock()
	c.selected = nil
	c.smu.Unlock()
	c.view = nil
}

func (c *conn) unselect(cmd command) error {
	if cmd.name == "CLOSE" && !c.readOnly {
		c.account.expungeDeleted(c.selected, nil)
	}
	c.forget()
	return nil
}

func (a *Account) expungeDeleted(f *folder, only []numRange) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var gone []uint32
	for _, m := range f.msgs {
		if hasFlag(m.flags, `\Deleted`) && (only == nil || within(only, m.uid, f.uidNext-1)) {
			gone = append(gone, m.uid)
		}
	}
	if len(gone) > 0 {
		a.remove(f, gone)
		a.change()
	}
}

func (c *conn) expungeCommand(cmd command) error {
	if c.readOnly {
		return no("EXPUNGE failed: the folder is read-only.")
	}
	var only []numRange
	if cmd.name == "UID EXPUNGE" {
		if len(cmd.args) != 1 {
			return bad("Command Argument Error. 12")
		}
		var err error
		if only, err = parseSet(cmd.args[0].text); err != nil {
			return bad("Command Argument Error. 12")
		}
	}
	c.account.expungeDeleted(c.selected, only)
	return nil
}

func (c *conn) create(cmd command) error {
	if len(cmd.args) < 1 {
		return bad("Command Argument Error. 12")
	}
	name := c.fromWire(strings.TrimSuffix(cmd.args[0].text, c.dialect().Delimiter))
	a := c.accountNow()
	a.mu.Lock()
	exists := a.folders[name] != nil || name == ""
	a.mu.Unlock()
	if exists {
		return no("Mailbox already exists.")
	}
	a.AddFolder(name, FolderOptions{})
	return nil
}

func (c *conn) deleteFolder(cmd command) error {
	if len(cmd.args) != 1 {
		return bad("Command Argument Error. 12")
	}
	if name := c.fromWire(cmd.args[0].text); name == "INBOX" || c.accountNow().RemoveFolder(name) != nil {
		return c.missing(cmd.args[0].text)
	}
	return nil
}

func (c *conn) rename(cmd command) error {
	if len(cmd.args) != 2 {
		return bad("Command Argument Error. 12")
	}
	if err := c.accountNow().RenameFolder(c.fromWire(cmd.args[0].text), c.fromWire(cmd.args[1].text)); err != nil {
		return no("RENAME failed.")
	}
	return nil
}

func (c *conn) subscribe(cmd command) error {
	if len(cmd.args) != 1 {
		return bad("Command Argument Error. 12")
	}
	a := c.accountNow()
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.folders[c.fromWire(cmd.args[0].text)]
	if f == nil {
		return c.missing(cmd.args[0].text)
	}
	f.subscribed = cmd.name == "SUBSCRIBE"
	return nil
}

func (c *conn) appendMessage(cmd command) error {
	if len(cmd.args) < 2 {
		return bad("Command Argument Error. 12")
	}
	msg := Message{Raw: Content{[]byte(cmd.args[len(cmd.args)-1].text)}}
	for _, x := range cmd.args[1 : len(cmd.args)-1] {
		if x.isList {
			for _, f := range x.list {
				msg.Flags = append(msg.Flags, f.text)
			}
		} else if t, err := time.Parse("_2-Jan-2006 15:04:05 -0700", x.text); err == nil {
			msg.Date = t
		}
	}
	a := c.accountNow()
	a.mu.Lock()
	name, validity := c.target(cmd.args[0].text)
	a.mu.Unlock()
	if name == "" {
		return no("[TRYCREATE] %s doesn't exist.", cmd.args[0].text)
	}
	uid := a.Deliver(name, msg)
	return ok("[APPENDUID %d %d] APPEND completed.", validity, uid)
}
