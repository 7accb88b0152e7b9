package imapwire

import (
	"bytes"
	"errors"
	"strings"
	"time"
)

// EventKind is what the server said unasked.
type EventKind int

const (
	EventExists   EventKind = iota // Num messages are in the mailbox now: mail came (or, rarely, a count repeated)
	EventExpunge                   // message with sequence number Num is gone
	EventVanished                  // messages UIDs are gone (RFC 7162)
	EventFetch                     // flags of Message changed; its UID is 0 unless the server added it
	EventNotice                    // untagged OK, NO or BAD for people, such as [ALERT]
	EventBye                       // the server says farewell
)

// Event is data that no command in flight asked for.
type Event struct {
	Kind    EventKind
	Num     uint32
	UIDs    UIDSet
	Message *Message
	Notice  Notice
}

func (c *Client) event(e Event) {
	if c.opt.OnEvent != nil {
		c.opt.OnEvent(e)
	}
	for _, cmd := range c.sent {
		if cmd.heard != nil {
			cmd.heard(e)
		}
	}
}

// taker is the oldest command in flight that takes a kind of data. Servers
// answer commands in order where the order matters (RFC 3501 section 5.5).
func (c *Client) taker(takes func(*command) bool) *command {
	for _, cmd := range c.sent {
		if takes(cmd) {
			return cmd
		}
	}
	return nil
}

// response reads one response. until is for its first byte.
func (c *Client) response(until time.Time, idle bool) error {
	if c.wrote && c.rd.buffered() == 0 {
		c.wrote = false
		c.count.trips.Add(1)
	}
	b, err := c.rd.first(until, idle)
	if err != nil {
		return err
	}
	c.count.responses.Add(1)
	if c.pending++; c.pending > c.lim.Responses {
		return &LimitError{"Responses", int64(c.lim.Responses)}
	}
	switch b {
	case '*':
		c.rd.r++
		word, err := c.untagged()
		if errors.Is(err, errSyntax) {
			c.skip(SkipMalformed, word)
			err = c.rd.skipLine()
		}
		return err
	case '+':
		c.rd.r++
		text, err := c.rd.line()
		if err != nil {
			return err
		}
		return c.continuation(bytes.TrimLeft(text, " "))
	default:
		line, err := c.rd.line()
		if err != nil {
			return err
		}
		tag, rest, _ := bytes.Cut(line, []byte(" "))
		if !c.complete(tag, rest) {
			c.strayLine(line)
		}
		return nil
	}
}

// strayLine is a line that begins like no response.
func (c *Client) strayLine(line []byte) {
	if len(bytes.TrimSpace(line)) > 0 {
		c.stray = strings.ToValidUTF8(string(line[:min(len(line), 200)]), "?")
	}
	c.skip(SkipLine, "")
}

// untagged reads the rest of an untagged response. The word is its name.
func (c *Client) untagged() (word string, err error) {
	if err := c.rd.spaces(); err != nil {
		return "", err
	}
	if word, err = c.rd.word(); err != nil {
		return word, err
	}
	if n, ok := parseNumber([]byte(word)); ok {
		return c.numbered(uint32(min(n, Star)))
	}
	switch word {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		line, err := c.rd.line()
		if err != nil {
			return word, err
		}
		c.said(c.notice(append([]byte(word+" "), bytes.TrimLeft(line, " ")...)))
		return word, nil
	}
	read := c.reader(word)
	if read == nil {
		c.skip(SkipResponse, word)
		return word, c.rd.skipLine()
	}
	if err := c.rd.spaces(); err != nil {
		return word, err
	}
	if err := read(); err != nil {
		return word, err
	}
	return word, c.rd.endLine()
}

// reader finds who reads the data of an untagged response.
func (c *Client) reader(word string) func() error {
	switch word {
	case "CAPABILITY":
		return c.readCapability
	case "LIST":
		return c.readList
	case "STATUS":
		return c.readStatus
	case "SEARCH":
		return c.readSearch
	case "ESEARCH":
		return c.readESearch
	case "VANISHED":
		return c.readVanished
	case "FLAGS":
		return c.readFlags
	case "ENABLED":
		return c.readEnabled
	case "NAMESPACE":
		return c.readNamespace
	case "ID":
		return c.readID
	}
	return nil
}

// numbered reads "* 23 EXISTS" and its like.
func (c *Client) numbered(n uint32) (word string, err error) {
	if err := c.rd.spaces(); err != nil {
		return "", err
	}
	if word, err = c.rd.word(); err != nil {
		return word, err
	}
	switch word {
	case "FETCH":
		if err := c.readFetch(n); err != nil {
			return word, err
		}
	case "EXISTS":
		if cmd := c.taker(func(cmd *command) bool { return cmd.examined != nil }); cmd != nil {
			cmd.examined.Exists, cmd.examined.HasExists = n, true
		} else {
			c.event(Event{Kind: EventExists, Num: n})
		}
	case "EXPUNGE":
		c.event(Event{Kind: EventExpunge, Num: n})
	case "RECENT": // of no use to a reader, and gone from RFC 9051
	default:
		c.skip(SkipResponse, word)
		return word, c.rd.skipLine()
	}
	return word, c.rd.endLine()
}

// said handles an untagged status response, or the greeting.
func (c *Client) said(n Notice) {
	if n.Status == "BYE" {
		c.mu.Lock()
		c.bye = &n
		c.mu.Unlock()
		c.event(Event{Kind: EventBye, Notice: n})
		return
	}
	if c.greeting.Status == "" {
		c.greeting = n
		return
	}
	if cmd := c.taker(func(cmd *command) bool { return cmd.examined != nil }); cmd != nil && cmd.examined.code(n) {
		if n.Code == "CLOSED" && cmd.closed != nil {
			cmd.closed()
		}
		return
	}
	c.event(Event{Kind: EventNotice, Notice: n})
}

// notice reads "OK [CODE args] text" of a status response, and takes in a
// CAPABILITY code.
func (c *Client) notice(line []byte) Notice {
	var n Notice
	status, rest, _ := bytes.Cut(line, []byte(" "))
	n.Status = strings.ToUpper(string(status))
	rest = bytes.TrimLeft(rest, " ")
	if len(rest) > 0 && rest[0] == '[' {
		if end := codeEnd(rest); end > 0 {
			n.Code, n.CodeArgs = splitCode(string(rest[1:end]))
			rest = bytes.TrimLeft(rest[end+1:], " ")
		} else {
			c.skip(SkipCode, "")
		}
	}
	n.Text = strings.ToValidUTF8(string(rest), "\uFFFD")
	if n.Code == "CAPABILITY" {
		c.setCaps(strings.Fields(n.CodeArgs))
	}
	return n
}

// codeEnd finds the bracket that closes a response code. Exchange writes codes
// such as [Error="…]…" AuthResultFromPopImapEnd=0], and flags may hold
// brackets, so a bracket within quotes or parentheses does not close; if that
// reading finds no end, the first bracket does.
func codeEnd(s []byte) int {
	quoted, depth := false, 0
	for i := 1; i < len(s); i++ {
		switch b := s[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '(':
			depth++
		case b == ')':
			depth--
		case b == ']' && depth <= 0:
			return i
		}
	}
	return bytes.IndexByte(s, ']')
}

// splitCode parts a code's name from its arguments, by a space as the standard
// has it or by "=" as Exchange has it.
func splitCode(s string) (name, args string) {
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, " ="); i >= 0 {
		return strings.ToUpper(s[:i]), strings.TrimSpace(s[i+1:])
	}
	return strings.ToUpper(s), ""
}
