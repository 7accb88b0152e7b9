package imapd

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
)

func (c *conn) store(cmd command) error {
	if c.readOnly {
		return no("STORE failed: the folder is read-only.")
	}
	if len(cmd.args) < 3 {
		return bad("Command Argument Error. 12")
	}
	set, err := parseSet(cmd.args[0].text)
	if err != nil {
		return bad("Command Argument Error. 12")
	}
	op := strings.ToUpper(cmd.args[1].text)
	silent := strings.HasSuffix(op, ".SILENT")
	op = strings.TrimSuffix(op, ".SILENT")
	var flags []string
	for _, x := range cmd.args[2:] {
		if x.isList {
			for _, y := range x.list {
				flags = append(flags, y.text)
			}
		} else {
			flags = append(flags, x.text)
		}
	}
	a := c.account
	for _, p := range c.picks(set, cmd.name == "UID STORE") {
		a.mu.Lock()
		now := slices.Clone(p.m.flags)
		switch op {
		case "FLAGS":
			now = slices.Clone(flags)
		case "+FLAGS":
			for _, f := range flags {
				if !hasFlag(now, f) {
					now = append(now, f)
				}
			}
		case "-FLAGS":
			now = slices.DeleteFunc(now, func(f string) bool { return hasFlag(flags, f) })
		default:
			a.mu.Unlock()
			return bad("Command Argument Error. 12")
		}
		a.modseq++
		p.m.flags, p.m.modseq = now, a.modseq
		a.change()
		a.mu.Unlock()
		if !silent {
			if err := c.emit(func(w *bufio.Writer) error {
				_, err := fmt.Fprintf(w, "* %d FETCH (UID %d FLAGS (%s))\r\n", p.seq, p.m.uid, strings.Join(now, " "))
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *conn) copyOrMove(cmd command) error {
	if len(cmd.args) != 2 {
		return bad("Command Argument Error. 12")
	}
	set, err := parseSet(cmd.args[0].text)
	if err != nil {
		return bad("Command Argument Error. 12")
	}
	move := strings.HasSuffix(cmd.name, "MOVE")
	if move && c.readOnly {
		return no("MOVE failed: the folder is read-only.")
	}
	var uids []uint32
	for _, p := range c.picks(set, strings.HasPrefix(cmd.name, "UID")) {
		uids = append(uids, p.m.uid)
	}
	a := c.account
	a.mu.Lock()
	from := c.selected.name
	to, validity := c.target(cmd.args[1].text)
	a.mu.Unlock()
	if to == "" {
		return no("[TRYCREATE] %s doesn't exist.", cmd.args[1].text)
	}
	fresh, err := a.transfer(from, to, uids, move)
	if err != nil || len(uids) == 0 {
		return nil
	}
	code := fmt.Sprintf("[COPYUID %d %s %s]", validity, compactSet(uids), compactSet(fresh))
	if move {
		if err := c.line("* OK %s", code); err != nil {
			return err
		}
		return nil
	}
	return ok("%s %s completed.", code, cmd.name)
}
