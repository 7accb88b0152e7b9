package imapd

import (
	"fmt"
	"slices"
	"strings"
)

// tell sends what changed in the selected folder since the last time. Expunges wait while sequence
// numbers are in use (RFC 3501 7.4.1).
func (c *conn) tell(expunges bool) error {
	if c.selected == nil {
		return nil
	}
	a := c.account
	a.mu.Lock()
	lines := c.diff(a, expunges)
	a.mu.Unlock()
	if len(lines) == 0 {
		return nil
	}
	return c.lines(lines)
}

func (c *conn) tellUnless(late, expunges bool) error {
	if late {
		return nil
	}
	return c.tell(expunges)
}

func (c *conn) diff(a *Account, expunges bool) []string {
	if c.viewMod == a.modseq {
		return nil
	}
	f := c.selected
	var lines []string
	gone := false
	for i := len(c.view) - 1; i >= 0; i-- {
		if f.find(c.view[i]) != nil {
			continue
		}
		if !expunges {
			gone = true
			continue
		}
		lines = append(lines, fmt.Sprintf("* %d EXPUNGE", i+1))
		c.view = slices.Delete(c.view, i, i+1)
	}
	last := uint32(0)
	if len(c.view) > 0 {
		last = c.view[len(c.view)-1]
	}
	var changed []string
	seq := 0
	for _, m := range f.msgs {
		if m.uid > last {
			c.view = append(c.view, m.uid)
			continue
		}
		for seq < len(c.view) && c.view[seq] < m.uid {
			seq++
		}
		if m.modseq > c.viewMod && seq < len(c.view) && c.view[seq] == m.uid {
			text := fmt.Sprintf("* %d FETCH (UID %d FLAGS (%s)", seq+1, m.uid, strings.Join(m.flags, " "))
			if c.condstore {
				text += fmt.Sprintf(" MODSEQ (%d)", m.modseq)
			}
			changed = append(changed, text+")")
		}
	}
	if len(c.view) > 0 && c.view[len(c.view)-1] > last {
		lines = append(lines, fmt.Sprintf("* %d EXISTS", len(c.view)), "* 0 RECENT")
	}
	if !gone {
		c.viewMod = a.modseq
	}
	return append(lines, changed...)
}

// idle plays IDLE (RFC 2177). What happened before it is told before the continuation, as Exchange does.
func (c *conn) idle(command) error {
	if err := c.tell(true); err != nil {
		return err
	}
	if err := c.line("+ IDLE accepted, awaiting DONE command."); err != nil {
		return err
	}
	type read struct {
		line string
		err  error
	}
	done := make(chan read, 1)
	go func() {
		line, err := c.readLine(1 << 10)
		done <- read{line, err}
	}()
	for {
		changed := c.account.Changed()
		if fl := c.account.Faults(); !fl.SilentIdle && !fl.LateNews {
			if err := c.tell(true); err != nil {
				c.nc.Close()
				<-done
				return err
			}
		}
		select {
		case <-changed:
		case r := <-done:
			if r.err != nil {
				return r.err
			}
			if !strings.EqualFold(strings.TrimSpace(r.line), "DONE") {
				return bad("Command Error. 12")
			}
			return nil
		}
	}
}
