package imapwire

import (
	"bytes"
	"strings"
)

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
