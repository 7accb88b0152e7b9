package imapwire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FetchItems says what to fetch. The UID always is; nothing here marks a
// message as read.
type FetchItems struct {
	Flags        bool
	InternalDate bool
	Size         bool     // RFC822.SIZE: an estimate at Exchange, never to be checked against
	ModSeq       bool     // CONDSTORE (RFC 7162)
	EmailID      bool     // OBJECTID (RFC 8474)
	ThreadID     bool     // OBJECTID
	GmailID      bool     // X-GM-EXT-1: X-GM-MSGID
	GmailThread  bool     // X-GM-EXT-1: X-GM-THRID
	GmailLabels  bool     // X-GM-EXT-1
	HeaderFields []string // BODY.PEEK[HEADER.FIELDS (…)]
	Header       bool     // BODY.PEEK[HEADER]
	Body         bool     // BODY.PEEK[], the whole message
	BodyOctets   int64    // with Body: only the first so many bytes, BODY.PEEK[]<0.n>

	// ChangedSince restricts the answer to messages changed after this
	// MODSEQ; Vanished (with ENABLE QRESYNC) also asks for removed UIDs.
	ChangedSince uint64
	Vanished     bool
}

// FetchHandler gets what a FETCH answers, as it arrives, on the goroutine that
// reads. Any field may be nil. If one returns an error, the rest of that
// command's answer is drained without further calls, the connection stays in
// step, and the call's Wait returns the error; to give up at once, Close.
//
// The order of items is the server's: a body often comes before the UID that
// it belongs to. So Body spools, and Done says what was spooled. Between a Body
// and its Done no other message's calls come. FETCH responses go to the oldest
// FETCH in flight, but a server may put in changed flags of any message at any
// time, and answers a UID twice or never: go by the UID in Done and by whether
// Body came, not by position or count.
type FetchHandler struct {
	// Body gets each body, header or header-field literal. m has only what
	// came before it. What is left unread of lit is drained; lit is dead after
	// return. It may take its time: a slow caller holds the server back by the
	// TCP window and trips no deadline.
	Body func(m *Message, lit *Literal) error
	// Done gets each message once, at the end of its response: every one that
	// has a UID, and every one whose Body was called, be its UID 0 or not.
	Done func(m *Message) error
	// Vanished gets removed UIDs (RFC 7162); earlier is false for those that
	// are removed just now.
	Vanished func(uids UIDSet, earlier bool) error
}

// Has tells what a [Message] was told about.
type Has uint

const (
	HasFlags Has = 1 << iota
	HasInternalDate
	HasSize
	HasModSeq
	HasEmailID
	HasThreadID
	HasGmailID
	HasGmailThread
	HasGmailLabels
	HasBody // any literal was handed to Body, or would have been
	// HasNIL: a body was asked for and the server said NIL: it cannot give it
	// now (RFC 3501 section 7.4.2).
	HasNIL
)

// Message is one FETCH response. Fields not in Has are zero. It is the
// handler's to keep.
type Message struct {
	Seq          uint32 // sequence number, of this moment
	UID          uint32 // 0 if the server did not say
	Has          Has
	Flags        []string // as sent, but the system flags in their usual spelling: `\Seen`
	InternalDate time.Time
	Size         int64 // RFC822.SIZE
	ModSeq       uint64
	EmailID      string
	ThreadID     string
	GmailID      uint64
	GmailThread  uint64
	GmailLabels  []string // raw: modified UTF-7
	// Damaged means that a part of the response was not understood and
	// skipped. What the other fields say was understood.
	Damaged bool
}

// Literal is a body on its way, to be read during [FetchHandler].Body only.
type Literal struct {
	Section string // what stood in the brackets: "" the message, "HEADER", `HEADER.FIELDS (FROM)`
	Size    int64  // bytes
	left    int64
	rd      *reader
	mem     *bytes.Reader // instead of rd, for what came as a quoted string
	err     error
}

// Read implements [io.Reader]; after Size bytes it returns io.EOF. Another
// error is the end of the connection.
func (l *Literal) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if l.left == 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(int64(len(p)), l.left)]
	var n int
	if l.mem != nil {
		n, _ = l.mem.Read(p)
	} else {
		n, l.err = l.rd.readLiteral(p)
	}
	l.left -= int64(n)
	return n, l.err
}

// WriteTo implements [io.WriterTo], without a buffer in between.
func (l *Literal) WriteTo(w io.Writer) (int64, error) {
	if l.mem != nil {
		n, err := l.mem.WriteTo(w)
		l.left -= n
		return n, err
	}
	var total int64
	for l.left > 0 && l.err == nil {
		if _, l.err = l.rd.peek(); l.err != nil {
			break
		}
		k := int(min(int64(l.rd.w-l.rd.r), l.left))
		n, err := w.Write(l.rd.buf[l.rd.r : l.rd.r+k])
		l.rd.r += n
		l.rd.lits += int64(n)
		l.left -= int64(n)
		total += int64(n)
		if err == nil && n < k {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
	}
	return total, l.err
}

var errLiteralOver = errors.New("imapwire: literal read after its handler returned")

// UIDFetch fetches from the open mailbox (RFC 3501 section 6.4.8). UIDs that do
// not exist are silently not answered, and sometimes ones that do exist are
// not, either. The result is how many messages Done was called for. A set too
// long for a command is refused with [ErrCommandTooLong].
func (c *Client) UIDFetch(set UIDSet, items FetchItems, h FetchHandler) *Call[int] {
	b := c.build("UID FETCH").text(" ").text(set.String()).text(" (UID")
	if len(set) == 0 {
		b.err = ErrBadArgument
	}
	items.write(b)
	b.text(")")
	if items.ChangedSince > 0 {
		b.text(" (CHANGEDSINCE " + strconv.FormatUint(items.ChangedSince, 10))
		if items.Vanished {
			b.text(" VANISHED")
		}
		b.text(")")
	}
	cmd, err := b.end()
	n := new(int)
	counted := h
	counted.Done = func(m *Message) error {
		*n++
		if h.Done == nil {
			return nil
		}
		return h.Done(m)
	}
	cmd.fetch = &counted
	return call(c, cmd, n, err)
}

func (f FetchItems) write(b *builder) {
	for _, it := range []struct {
		on   bool
		text string
	}{
		{f.Flags, "FLAGS"}, {f.InternalDate, "INTERNALDATE"}, {f.Size, "RFC822.SIZE"}, {f.ModSeq, "MODSEQ"},
		{f.EmailID, "EMAILID"}, {f.ThreadID, "THREADID"}, {f.GmailID, "X-GM-MSGID"}, {f.GmailThread, "X-GM-THRID"},
		{f.GmailLabels, "X-GM-LABELS"}, {f.Header, "BODY.PEEK[HEADER]"},
	} {
		if it.on {
			b.text(" " + it.text)
		}
	}
	if len(f.HeaderFields) > 0 {
		for _, name := range f.HeaderFields {
			if !isToken(name) {
				b.err = ErrBadArgument
			}
		}
		b.text(" BODY.PEEK[HEADER.FIELDS (" + strings.Join(f.HeaderFields, " ") + ")]")
	}
	if f.Body {
		b.text(" BODY.PEEK[]")
		if f.BodyOctets > 0 {
			b.text("<0." + strconv.FormatInt(f.BodyOctets, 10) + ">")
		}
	}
}

// isToken tells whether s can stand bare in a command.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if b := s[i]; b <= ' ' || b >= 0x7f || strings.IndexByte(`(){}[]"%*\`, b) >= 0 {
			return false
		}
	}
	return s != ""
}

// readFetch reads "(UID 7 FLAGS (\Seen) BODY[] {310}…)".
func (c *Client) readFetch(seq uint32) error {
	m := &Message{Seq: seq}
	cmd := c.taker(func(cmd *command) bool { return cmd.fetch != nil })
	err := c.rd.spaces()
	if err == nil {
		err = c.rd.list(func() error { return c.readItem(cmd, m) })
	}
	if err != nil && err != errSyntax {
		return err
	}
	m.Damaged = m.Damaged || err != nil
	switch {
	case cmd == nil || m.UID == 0 && m.Has&(HasBody|HasNIL) == 0:
		// Flags of a message that we did not ask about.
		c.event(Event{Kind: EventFetch, Num: seq, Message: m})
	case cmd.err == nil && cmd.fetch.Done != nil:
		cmd.err = cmd.fetch.Done(m)
	}
	return err
}

// readItem reads one item's name and value.
func (c *Client) readItem(cmd *command, m *Message) error {
	word, section, err := c.itemName()
	if err != nil {
		return err
	}
	if err := c.rd.spaces(); err != nil {
		return err
	}
	bad := func(ok bool, err error) error {
		if err == nil && !ok {
			c.skip(SkipMalformed, word)
			m.Damaged = true
		}
		return err
	}
	num := func(to *uint64, has Has) error {
		n, ok, err := c.rd.number()
		if ok {
			*to, m.Has = n, m.Has|has
		}
		return bad(ok, err)
	}
	id := func(to *string, has Has) error {
		ids, err := c.rd.oneOrList()
		if err == nil && len(ids) > 0 { // THREADID may be NIL
			*to, m.Has = ids[0], m.Has|has
		}
		return err
	}
	switch word {
	case "UID":
		n, ok, err := c.rd.uint32Value()
		if ok {
			m.UID = n
		}
		return bad(ok && n > 0, err)
	case "FLAGS":
		m.Flags, err = c.rd.words()
		m.Has |= HasFlags
		return err
	case "INTERNALDATE":
		s, err := c.rd.str()
		if err != nil || s == nil {
			return err
		}
		t, ok := parseDate(string(s))
		if ok {
			m.InternalDate, m.Has = t, m.Has|HasInternalDate
		}
		return bad(ok, nil)
	case "RFC822.SIZE":
		n, ok, err := c.rd.number()
		if ok = ok && n <= math.MaxInt64; ok {
			m.Size, m.Has = int64(n), m.Has|HasSize
		}
		return bad(ok, err)
	case "MODSEQ":
		return c.readModSeq(m, bad)
	case "EMAILID":
		return id(&m.EmailID, HasEmailID)
	case "THREADID":
		return id(&m.ThreadID, HasThreadID)
	case "X-GM-MSGID":
		return num(&m.GmailID, HasGmailID)
	case "X-GM-THRID":
		return num(&m.GmailThread, HasGmailThread)
	case "X-GM-LABELS":
		m.GmailLabels, err = c.rd.words()
		m.Has |= HasGmailLabels
		return err
	case "BODY[]", "RFC822":
		return c.readBody(cmd, m, section)
	}
	c.skip(SkipItem, word)
	return c.rd.value(0)
}

// readModSeq reads "(12345)", and also "12345".
func (c *Client) readModSeq(m *Message, bad func(bool, error) error) error {
	s, err := c.rd.oneOrList()
	if err != nil {
		return err
	}
	ok := false
	if len(s) > 0 {
		m.ModSeq, ok = parseNumber([]byte(s[0]))
	}
	if ok {
		m.Has |= HasModSeq
	}
	return bad(ok, nil)
}

// itemName reads "UID" or `BODY[HEADER.FIELDS ("DATE" FROM)]<0>`; the latter
// gives the word "BODY[]" and what stood in the brackets.
func (c *Client) itemName() (word, section string, err error) {
	rd := &c.rd
	rd.tok = rd.tok[:0]
	open := -1
	quoted := false
	for {
		b, err := rd.peek()
		if err != nil {
			return "", "", err
		}
		if b == '\r' || b == '\n' {
			break
		}
		inside := open >= 0 && !bytes.HasSuffix(rd.tok, []byte("]")) && !bytes.HasSuffix(rd.tok, []byte(">")) || quoted
		if !inside && atomEnd(b) {
			break
		}
		if open >= 0 && b == '"' {
			quoted = !quoted
		}
		if b == '[' && open < 0 {
			open = len(rd.tok)
		}
		if err := rd.keep(b); err != nil {
			return "", "", err
		}
		rd.r++
	}
	if len(rd.tok) == 0 {
		return "", "", errSyntax
	}
	if open < 0 {
		return strings.ToUpper(string(rd.tok)), "", nil
	}
	end := bytes.LastIndexByte(rd.tok, ']')
	if end < open {
		return "", "", errSyntax
	}
	return strings.ToUpper(string(rd.tok[:open])) + "[]", string(rd.tok[open+1 : end]), nil
}

// readBody hands a body to the handler.
func (c *Client) readBody(cmd *command, m *Message, section string) error {
	kind, err := c.rd.stringKind()
	if err != nil {
		return err
	}
	lit := &Literal{Section: section}
	if kind == '{' {
		if lit.Size, err = c.rd.literalSize(); err != nil {
			return err
		}
		lit.rd = &c.rd
	} else {
		s, err := c.rd.str()
		if err != nil {
			return err
		}
		if s == nil {
			m.Has |= HasNIL
			return nil
		}
		lit.Size, lit.mem = int64(len(s)), bytes.NewReader(slices.Clone(s))
	}
	lit.left = lit.Size
	m.Has |= HasBody
	if cmd != nil && cmd.err == nil && cmd.fetch.Body != nil {
		err := cmd.fetch.Body(m, lit)
		if lit.err != nil {
			return lit.err // the connection's, not the handler's
		}
		cmd.err = err
	} else if cmd == nil {
		c.skip(SkipUnasked, "BODY")
	}
	left := lit.left
	lit.left, lit.err = 0, errLiteralOver
	if lit.mem != nil {
		return nil
	}
	return c.rd.discard(left)
}

// readVanished reads "* VANISHED (EARLIER) 41,43:116" (RFC 7162 section 3.2.10).
func (c *Client) readVanished() error {
	earlier := false
	if b, err := c.rd.peek(); err != nil {
		return err
	} else if b == '(' {
		words, err := c.rd.words()
		if err != nil {
			return err
		}
		earlier = len(words) > 0 && strings.EqualFold(words[0], "EARLIER")
		if err := c.rd.spaces(); err != nil {
			return err
		}
	}
	set, err := c.readUIDs()
	if err != nil {
		return err
	}
	cmd := c.taker(func(cmd *command) bool { return cmd.fetch != nil && cmd.fetch.Vanished != nil })
	switch {
	case cmd == nil:
		c.event(Event{Kind: EventVanished, UIDs: set})
	case cmd.err == nil:
		cmd.err = cmd.fetch.Vanished(set, earlier)
	}
	return nil
}

func (c *Client) readUIDs() (UIDSet, error) {
	var set UIDSet
	n := 0
	err := c.rd.set(func(first, last uint32) error {
		if n++; n > c.lim.Numbers {
			return &LimitError{"Numbers", int64(c.lim.Numbers)}
		}
		set.AddRange(first, last)
		return nil
	})
	return set, err
}

// parseDate reads "17-Jul-1996 02:44:25 -0700"; a day below ten may be padded
// by a space or not at all.
func parseDate(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	for _, layout := range []string{"2-Jan-2006 15:04:05 -0700", "2-Jan-2006 15:04:05 MST", "2-Jan-2006 15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
