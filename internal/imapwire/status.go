package imapwire

import (
	"math"
	"strings"
)

// StatusItems are the facts about a mailbox that STATUS can tell.
type StatusItems uint

const (
	StatusMessages      StatusItems = 1 << iota
	StatusUIDNext                   // wanted with StatusUIDValidity to see whether mail came
	StatusUIDValidity               //
	StatusUnseen                    //
	StatusHighestModSeq             // only if CONDSTORE is announced
	StatusSize                      // only if STATUS=SIZE is announced (RFC 8438)
	StatusMailboxID                 // only if OBJECTID is announced (RFC 8474)
)

var statusNames = [...]string{"MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "HIGHESTMODSEQ", "SIZE", "MAILBOXID"}

func (i StatusItems) text() string {
	var out []string
	for bit, name := range statusNames {
		if i&(1<<bit) != 0 {
			out = append(out, name)
		}
	}
	return "(" + strings.Join(out, " ") + ")"
}

// Status is what the server said of a mailbox. Only the fields in Has were
// said: a server that answers OK and no data leaves Has empty.
type Status struct {
	Name                           string // raw
	Has                            StatusItems
	Messages, UIDNext, UIDValidity uint32
	Unseen                         uint32
	HighestModSeq                  uint64 // 0 if the mailbox keeps none
	Size                           int64  // bytes
	MailboxID                      string
}

// Status asks for a mailbox's counts without opening it (RFC 3501 section
// 6.3.10). Not for the mailbox that is open: many servers' answers are stale.
func (c *Client) Status(name string, items StatusItems) *Call[Status] {
	b := c.build("STATUS").text(" ").str(name).text(" " + items.text())
	if items == 0 {
		b.err = ErrBadArgument
	}
	cmd, err := b.end()
	cmd.status = &Status{Name: name}
	return call(c, cmd, cmd.status, err)
}

func (c *Client) readStatus() error {
	name, err := c.rd.mailbox()
	if err != nil {
		return err
	}
	s := Status{Name: string(name)}
	if err := c.rd.spaces(); err != nil {
		return err
	}
	err = c.rd.list(func() error { return c.readStatusItem(&s) })
	if err != nil && err != errSyntax {
		return err
	}
	c.takeStatus(s)
	return err
}

// takeStatus finds who asked: the STATUS of that name; the only one asked, if
// the server spells the name otherwise; or the LIST that wanted counts.
func (c *Client) takeStatus(s Status) {
	var asked []*command
	for _, cmd := range c.sent {
		if cmd.status == nil {
			continue
		}
		if sameName(cmd.status.Name, s.Name) {
			s.Name = cmd.status.Name
			*cmd.status = s
			return
		}
		asked = append(asked, cmd)
	}
	if cmd := c.taker(func(cmd *command) bool { return cmd.listed != nil && cmd.listed.status != nil }); cmd != nil {
		if len(cmd.listed.status) < c.lim.Names {
			cmd.listed.status[nameKey(s.Name)] = s
		}
	} else if len(asked) == 1 {
		s.Name = asked[0].status.Name
		*asked[0].status = s
	} else {
		c.skip(SkipUnasked, "STATUS")
	}
}

func (c *Client) readStatusItem(s *Status) error {
	word, err := c.rd.word()
	if err != nil {
		return err
	}
	if word == "" {
		return errSyntax
	}
	if err := c.rd.spaces(); err != nil {
		return err
	}
	bit := StatusItems(0)
	for i, name := range statusNames {
		if name == word {
			bit = 1 << i
		}
	}
	if bit == 0 {
		if word != "RECENT" {
			c.skip(SkipItem, word)
		}
		return c.rd.value(0)
	}
	if bit == StatusMailboxID {
		ids, err := c.rd.oneOrList()
		if len(ids) > 0 {
			s.MailboxID, s.Has = ids[0], s.Has|bit
		}
		return err
	}
	n, ok, err := c.rd.number()
	if err != nil {
		return err
	}
	wide := bit == StatusHighestModSeq || bit == StatusSize
	if !ok || n > math.MaxUint32 && !wide || n > math.MaxInt64 {
		c.skip(SkipMalformed, word)
		return nil
	}
	s.Has |= bit
	switch bit {
	case StatusMessages:
		s.Messages = uint32(n)
	case StatusUIDNext:
		s.UIDNext = uint32(n)
	case StatusUIDValidity:
		s.UIDValidity = uint32(n)
	case StatusUnseen:
		s.Unseen = uint32(n)
	case StatusHighestModSeq:
		s.HighestModSeq = n
	case StatusSize:
		s.Size = int64(n)
	}
	return nil
}

func sameName(a, b string) bool {
	return a == b || strings.EqualFold(a, "INBOX") && strings.EqualFold(b, "INBOX")
}

func nameKey(s string) string {
	if strings.EqualFold(s, "INBOX") {
		return "INBOX"
	}
	return s
}
