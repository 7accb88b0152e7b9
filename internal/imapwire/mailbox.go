package imapwire

import (
	"bytes"
	"math"
	"strconv"
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

// oneOrList reads "(x)" and also plain "x".
func (rd *reader) oneOrList() ([]string, error) {
	if b, err := rd.peek(); err != nil || b == '(' {
		if err != nil {
			return nil, err
		}
		return rd.words()
	}
	s, err := rd.str()
	if err != nil || s == nil {
		return nil, err
	}
	return []string{string(s)}, nil
}

// mailbox reads a mailbox name. A bare name may hold spaces, which servers that
// forget to quote it do send: it ends at the line's end or at a list.
func (rd *reader) mailbox() ([]byte, error) {
	b, err := rd.peek()
	if err != nil {
		return nil, err
	}
	if b == '"' || b == '{' || b == '~' {
		return rd.str()
	}
	rd.tok = rd.tok[:0]
	for {
		b, err := rd.peek()
		if err != nil {
			return nil, err
		}
		if b == '\r' || b == '\n' || b == '(' && bytes.HasSuffix(rd.tok, []byte(" ")) {
			name := bytes.TrimRight(rd.tok, " ")
			if len(name) == 0 || isNIL(name) {
				return nil, errSyntax
			}
			return name, nil
		}
		if err := rd.keep(b); err != nil {
			return nil, err
		}
		rd.r++
	}
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

// ListOptions of a LIST. Anything beyond Reference and Patterns makes it an
// extended LIST, which only servers with the named capability understand.
type ListOptions struct {
	Reference string   // raw; almost always ""
	Patterns  []string // raw names with * and %; none means "*"
	// ReturnSpecialUse asks for \Sent and its like (SPECIAL-USE, RFC 6154).
	// Many servers return them unasked.
	ReturnSpecialUse bool
	// ReturnChildren asks for \HasChildren (LIST-EXTENDED, RFC 5258).
	ReturnChildren bool
	// Status asks for counts of each mailbox (LIST-STATUS, RFC 5819).
	Status StatusItems
}

// ListEntry is one mailbox.
type ListEntry struct {
	Name      string   // raw
	Delimiter string   // "" if there is no hierarchy
	Attrs     []string // as sent: \HasNoChildren, \Noselect, \Sent
	Status    *Status  // nil unless asked for and answered
}

// HasAttr tells whether an attribute is set, in whatever case.
func (e ListEntry) HasAttr(attr string) bool {
	for _, a := range e.Attrs {
		if strings.EqualFold(a, attr) {
			return true
		}
	}
	return false
}

type listing struct {
	entries []ListEntry
	status  map[string]Status
}

// List lists mailboxes (RFC 3501 section 6.3.8), in the server's order. A name
// that the server repeats is repeated.
func (c *Client) List(o ListOptions) *Call[[]ListEntry] {
	b := c.build("LIST").text(" ").str(o.Reference).text(" ")
	switch len(o.Patterns) {
	case 0:
		b.str("*")
	case 1:
		b.str(o.Patterns[0])
	default: // RFC 5258
		for i, p := range o.Patterns {
			b.text(map[bool]string{true: "(", false: " "}[i == 0]).str(p)
		}
		b.text(")")
	}
	l := &listing{}
	var ret []string
	if o.ReturnSpecialUse {
		ret = append(ret, "SPECIAL-USE")
	}
	if o.ReturnChildren {
		ret = append(ret, "CHILDREN")
	}
	if o.Status != 0 {
		ret = append(ret, "STATUS "+o.Status.text())
		l.status = map[string]Status{}
	}
	if len(ret) > 0 {
		b.text(" RETURN (" + strings.Join(ret, " ") + ")")
	}
	cmd, err := b.end()
	cmd.listed = l
	entries := new([]ListEntry)
	cmd.finished = func(Notice) {
		for i, e := range l.entries {
			if s, ok := l.status[nameKey(e.Name)]; ok {
				s.Name = e.Name
				l.entries[i].Status = &s
			}
		}
		*entries = l.entries
	}
	return call(c, cmd, entries, err)
}

func (c *Client) readList() error {
	var e ListEntry
	var err error
	if e.Attrs, err = c.rd.words(); err != nil {
		return err
	}
	if err := c.rd.spaces(); err != nil {
		return err
	}
	delim, err := c.rd.str()
	if err != nil {
		return err
	}
	e.Delimiter = string(delim)
	if err := c.rd.spaces(); err != nil {
		return err
	}
	name, err := c.rd.mailbox()
	if err != nil {
		return err
	}
	e.Name = string(name)
	cmd := c.taker(func(cmd *command) bool { return cmd.listed != nil })
	if cmd == nil {
		c.skip(SkipUnasked, "LIST")
		return c.skipExtended()
	}
	if lim := c.lim.Names; len(cmd.listed.entries) >= lim {
		return &LimitError{"Names", int64(lim)}
	}
	cmd.listed.entries = append(cmd.listed.entries, e)
	return c.skipExtended()
}

// skipExtended drops what LIST-EXTENDED may add behind a name.
func (c *Client) skipExtended() error {
	if err := c.rd.spaces(); err != nil {
		return err
	}
	if eol, err := c.rd.atEOL(); err != nil || eol {
		return err
	}
	return c.rd.value(0)
}

// ExamineOptions of an EXAMINE.
type ExamineOptions struct {
	CondStore bool // ask for HIGHESTMODSEQ (RFC 7162 section 3.1.8)
	// QResync, after ENABLE QRESYNC, asks for what changed since ModSeq in the
	// same flight (RFC 7162 section 3.2.5): changed flags go to Changes.Done,
	// removed UIDs to Changes.Vanished.
	QResync *QResync
	Changes FetchHandler
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
	num, ok := parseNumber([]byte(n.CodeArgs))
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
		m.HighestModSeq = num
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
	case "READ-WRITE", "UNSEEN", "CLOSED":
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
