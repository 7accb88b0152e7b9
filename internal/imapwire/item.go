package imapwire

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"time"
)

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

// readItem reads one item's name and value. A value that makes no sense is
// skipped and counted, and the message marked.
func (c *Client) readItem(cmd *command, m *Message) error {
	word, section, err := c.itemName()
	if err != nil {
		return err
	}
	if err := c.rd.spaces(); err != nil {
		return err
	}
	ok, has := true, Has(0)
	switch word {
	case "UID":
		var n uint32
		n, ok, err = c.rd.uint32Value()
		if ok = ok && n > 0; ok {
			m.UID = n
		}
	case "FLAGS":
		m.Flags, err = c.rd.words()
		has = HasFlags
	case "INTERNALDATE":
		m.InternalDate, ok, err = c.date()
		has = HasInternalDate
		if m.InternalDate.IsZero() {
			has = 0
		}
	case "RFC822.SIZE":
		var n uint64
		n, ok, err = c.rd.number()
		if ok = ok && n <= math.MaxInt64; ok {
			m.Size, has = int64(n), HasSize
		}
	case "MODSEQ":
		m.ModSeq, ok, err = c.modSeq()
		has = HasModSeq
	case "EMAILID":
		m.EmailID, has, err = c.objectID(HasEmailID)
	case "THREADID":
		m.ThreadID, has, err = c.objectID(HasThreadID)
	case "X-GM-MSGID":
		m.GmailID, ok, err = c.rd.number()
		has = HasGmailID
	case "X-GM-THRID":
		m.GmailThread, ok, err = c.rd.number()
		has = HasGmailThread
	case "X-GM-LABELS":
		m.GmailLabels, err = c.rd.words()
		has = HasGmailLabels
	case "BODY[]", "RFC822":
		return c.readBody(cmd, m, section)
	default:
		c.skip(SkipItem, word)
		return c.rd.value(0)
	}
	if err != nil {
		return err
	}
	if !ok {
		c.skip(SkipMalformed, word)
		m.Damaged = true
		return nil
	}
	m.Has |= has
	return nil
}

// objectID reads "(M6d99)", and also "M6d99"; a THREADID may be NIL.
func (c *Client) objectID(has Has) (string, Has, error) {
	ids, err := c.rd.oneOrList()
	if err != nil || len(ids) == 0 {
		return "", 0, err
	}
	return ids[0], has, nil
}

// modSeq reads "(12345)", and also "12345".
func (c *Client) modSeq() (n uint64, ok bool, err error) {
	s, err := c.rd.oneOrList()
	if err == nil && len(s) > 0 {
		n, ok = parse63([]byte(s[0]))
	}
	return n, ok, err
}

// date reads an INTERNALDATE; NIL is zero.
func (c *Client) date() (time.Time, bool, error) {
	s, err := c.rd.str()
	if err != nil || s == nil {
		return time.Time{}, true, err
	}
	t, ok := parseDate(string(s))
	return t, ok, nil
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
		return upper(rd.tok), "", nil
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
