package imapwire

import (
	"math"
	"strconv"
	"strings"
)

// ExamineOptions of an EXAMINE.
type ExamineOptions struct {
	CondStore bool // ask for HIGHESTMODSEQ (RFC 7162 section 3.1.8)
	// QResync, after ENABLE QRESYNC, asks for what changed since ModSeq in the
	// same flight (RFC 7162 section 3.2.5): changed flags go to Changes.Done,
	// removed UIDs to Changes.Vanished.
	QResync *QResync
	Changes FetchHandler
	// Closed is called when the server says that the mailbox that was open before
	// is closed only now (RFC 7162 section 3.2.11): what Changes got until then
	// was about that one.
	Closed func()
}

// QResync is what we knew of the mailbox.
type QResync struct {
	UIDValidity uint32
	ModSeq      uint64
	// Known are the UIDs that we hold: the server then leaves out removals of
	// others. It may be empty, and is not sent if its text exceeds MaxSet.
	Known UIDSet
}

// Mailbox is what EXAMINE told. What was not said is zero.
type Mailbox struct {
	Name           string // raw
	Exists         uint32
	HasExists      bool
	UIDValidity    uint32
	UIDNext        uint32 // 0 if not said, as by some old servers: ask STATUS
	HighestModSeq  uint64 // 0 without CONDSTORE, and with [NOMODSEQ]
	NoModSeq       bool
	UIDNotSticky   bool   // UIDs do not survive the session (RFC 4315)
	MailboxID      string // RFC 8474
	Flags          []string
	PermanentFlags string // as sent
	ReadOnly       bool   // [READ-ONLY] was said, as it must
}

// Examine opens a mailbox read-only (RFC 3501 section 6.3.2). There is no way
// to open one for writing.
func (c *Client) Examine(name string, o ExamineOptions) *Call[Mailbox] {
	b := c.build("EXAMINE").text(" ").str(name)
	switch q := o.QResync; {
	case q != nil:
		b.text(" (QRESYNC (" + strconv.FormatUint(uint64(q.UIDValidity), 10) + " " + strconv.FormatUint(q.ModSeq, 10))
		if known := q.Known.String(); known != "" && len(known) <= MaxSet {
			b.text(" " + known)
		}
		b.text("))")
	case o.CondStore:
		b.text(" (CONDSTORE)")
	}
	cmd, err := b.end()
	cmd.examined = &Mailbox{Name: name}
	cmd.closed = o.Closed
	if o.QResync != nil {
		h := o.Changes
		cmd.fetch = &h
	}
	return call(c, cmd, cmd.examined, err)
}

// Unselect closes the mailbox and removes nothing (RFC 3691).
func (c *Client) Unselect() *Call[struct{}] {
	cmd, err := c.build("UNSELECT").end()
	return call(c, cmd, new(struct{}), err)
}

// Create makes a mailbox, on a person's request; the name is raw, see
// [Client.EncodeName]. It is the only command here that changes anything. The
// answer is its MAILBOXID where the server tells (RFC 8474), else "".
func (c *Client) Create(name string) *Call[string] {
	b := c.build("CREATE").text(" ").str(name)
	if name == "" {
		b.err = ErrBadArgument
	}
	cmd, err := b.end()
	id := new(string)
	cmd.finished = func(n Notice) {
		if n.Code == "MAILBOXID" {
			*id = strings.Trim(n.CodeArgs, "() ")
		}
	}
	return call(c, cmd, id, err)
}

// code takes in a response code about the mailbox being opened, and tells
// whether it was one.
func (m *Mailbox) code(n Notice) bool {
	num, ok := parse63([]byte(n.CodeArgs))
	small := ok && num <= math.MaxUint32
	switch n.Code {
	case "UIDVALIDITY":
		if small {
			m.UIDValidity = uint32(num)
		}
	case "UIDNEXT":
		if small {
			m.UIDNext = uint32(num)
		}
	case "HIGHESTMODSEQ":
		if ok {
			m.HighestModSeq = num
		}
	case "NOMODSEQ":
		m.HighestModSeq, m.NoModSeq = 0, true
	case "UIDNOTSTICKY":
		m.UIDNotSticky = true
	case "PERMANENTFLAGS":
		m.PermanentFlags = n.CodeArgs
	case "MAILBOXID":
		m.MailboxID = strings.Trim(n.CodeArgs, "() ")
	case "READ-ONLY":
		m.ReadOnly = true
	case "CLOSED":
		*m = Mailbox{Name: m.Name}
	case "READ-WRITE", "UNSEEN":
	default:
		return false
	}
	return true
}

func (c *Client) readFlags() error {
	words, err := c.rd.words()
	if cmd := c.taker(func(cmd *command) bool { return cmd.examined != nil }); cmd != nil {
		cmd.examined.Flags = words
	}
	return err
}
