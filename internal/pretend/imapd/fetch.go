package imapd

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// item is one thing that a FETCH asks for.
type item struct {
	name    string // FLAGS, UID, BODY[] …; sections without .PEEK, upper case
	section string // what stands in the brackets, as sent
	isBody  bool
	marks   bool // sets \Seen
	partial bool
	from, n int
}

func parseItems(a arg) ([]item, error) {
	words := []string{a.text}
	if a.isList {
		words = nil
		for _, x := range a.list {
			words = append(words, x.text)
		}
	}
	var out []item
	for _, w := range words {
		switch up := strings.ToUpper(w); up {
		case "ALL":
			out = append(out, item{name: "FLAGS"}, item{name: "INTERNALDATE"}, item{name: "RFC822.SIZE"}, item{name: "ENVELOPE"})
		case "FAST":
			out = append(out, item{name: "FLAGS"}, item{name: "INTERNALDATE"}, item{name: "RFC822.SIZE"})
		case "FULL":
			out = append(out, item{name: "FLAGS"}, item{name: "INTERNALDATE"}, item{name: "RFC822.SIZE"}, item{name: "ENVELOPE"}, item{name: "BODY"})
		case "FLAGS", "UID", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "MODSEQ",
			"X-GM-MSGID", "X-GM-THRID", "X-GM-LABELS", "EMAILID", "THREADID":
			out = append(out, item{name: up})
		case "RFC822":
			out = append(out, item{name: up, isBody: true, marks: true})
		case "RFC822.HEADER":
			out = append(out, item{name: up, isBody: true, section: "HEADER"})
		case "RFC822.TEXT":
			out = append(out, item{name: up, isBody: true, section: "TEXT", marks: true})
		default:
			it, err := parseSection(w)
			if err != nil {
				return nil, err
			}
			out = append(out, it)
		}
	}
	if len(out) == 0 {
		return nil, errSyntax
	}
	return out, nil
}

// parseSection reads BODY[section]<from.n> and BODY.PEEK[…].
func parseSection(w string) (item, error) {
	open, end := strings.IndexByte(w, '['), strings.IndexByte(w, ']')
	if open < 0 || end < open {
		return item{}, errSyntax
	}
	head := strings.ToUpper(w[:open])
	if head != "BODY" && head != "BODY.PEEK" {
		return item{}, errSyntax
	}
	it := item{isBody: true, marks: head == "BODY", section: w[open+1 : end], n: -1}
	it.name = "BODY[" + strings.ToUpper(it.section) + "]"
	if rest := w[end+1:]; rest != "" {
		var from, n int
		if _, err := fmt.Sscanf(rest, "<%d.%d>", &from, &n); err != nil || from < 0 || n <= 0 {
			return item{}, errSyntax
		}
		it.partial, it.from, it.n = true, from, n
		it.name += "<" + strconv.Itoa(from) + ">"
	}
	return it, nil
}

// pick is one message of a set.
type pick struct {
	seq uint32
	m   *message
}

// picks resolves a set against what this connection was told.
func (c *conn) picks(set []numRange, byUID bool) []pick {
	if len(c.view) == 0 {
		return nil
	}
	last := uint32(len(c.view))
	if byUID {
		last = c.view[len(c.view)-1]
	}
	a := c.account
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []pick
	for i, uid := range c.view {
		n := uint32(i + 1)
		if byUID {
			n = uid
		}
		if !within(set, n, last) {
			continue
		}
		if m := c.selected.find(uid); m != nil {
			out = append(out, pick{uint32(i + 1), m})
		}
	}
	return out
}

func (c *conn) fetch(cmd command) error {
	byUID := cmd.name == "UID FETCH"
	if len(cmd.args) < 2 || len(cmd.args) > 3 {
		return bad("Command Argument Error. 12")
	}
	set, err := parseSet(cmd.args[0].text)
	if err != nil {
		return bad("Command Argument Error. 12")
	}
	items, err := parseItems(cmd.args[1])
	if err != nil {
		return bad("Command Argument Error. 12")
	}
	var since uint64
	if len(cmd.args) == 3 {
		mod := cmd.args[2].list
		if !c.dialect().Condstore || len(mod) < 2 || !strings.EqualFold(mod[0].text, "CHANGEDSINCE") {
			return bad("Command Argument Error. 12")
		}
		if since, err = strconv.ParseUint(mod[1].text, 10, 63); err != nil {
			return bad("Command Argument Error. 12")
		}
		c.condstore = true
		items = addItem(items, "MODSEQ")
	}
	if byUID {
		items = addItem(items, "UID")
	}
	for _, p := range c.picks(set, byUID) {
		if since > 0 && p.m.modseq <= since {
			continue
		}
		if err := c.fetchOne(p, items); err != nil {
			return err
		}
	}
	return nil
}

func addItem(items []item, name string) []item {
	for _, it := range items {
		if it.name == name {
			return items
		}
	}
	return slices.Insert(items, 0, item{name: name})
}

// fetchOne plays the faults and answers for one message.
func (c *conn) fetchOne(p pick, items []item) error {
	a := c.account
	fl := a.Faults()
	wantsBody := slices.ContainsFunc(items, func(it item) bool {
		return it.isBody && (it.section == "" || strings.EqualFold(it.section, "TEXT"))
	})
	if fl.FetchDelay > 0 {
		if err := c.respond(func(*bufio.Writer) error { return nil }); err != nil {
			return err
		}
		if err := c.pause(fl.FetchDelay); err != nil {
			return err
		}
	}
	fault := FetchNormal
	if wantsBody {
		if wait, yes := a.throttled(1); yes {
			return throttleAnswer(wait)
		}
		fault = a.playFault(p.m)
	}
	raw := p.m.raw
	switch fault {
	case FetchEmpty:
		return nil
	case FetchRefused:
		return no("The specified message could not be retrieved.")
	case FetchPlaceholder:
		raw = placeholder(p)
	}
	if fl.BodyFirst {
		items = slices.Clone(items)
		slices.SortStableFunc(items, func(x, y item) int { return rank(x) - rank(y) })
	}
	if fl.StrayLine && wantsBody {
		if err := c.emit(func(w *bufio.Writer) error {
			_, err := w.WriteString("Server Unavailable.\r\n[COPYUID 1 1 1] Copied.\r\n* [COPYUID 1 1 1] Copied.\r\n* 1 RETRIEVED NOTHING\r\n")
			return err
		}); err != nil {
			return err
		}
	}
	if err := c.writeMessage(p, raw, items, fault == FetchCut); err != nil {
		return err
	}
	if wantsBody {
		a.read(c.selected, p.m.uid)
	}
	return nil
}

func rank(it item) int {
	switch {
	case it.isBody:
		return 0
	case it.name == "UID":
		return 2
	}
	return 1
}

func (a *Account) playFault(m *message) FetchFault {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.fault == FetchNormal || m.times == 0 {
		return FetchNormal
	}
	if m.times > 0 {
		m.times--
	}
	return m.fault
}

// placeholder is the message that Exchange gives instead of one that it cannot convert.
func placeholder(p pick) Content {
	return Content{[]byte(fmt.Sprintf("From: \"Microsoft Exchange Server\" <@.MISSING-HOST-NAME.>\r\nTo: <@.MISSING-HOST-NAME.>\r\n"+
		"Subject: Retrieval using the IMAP4 protocol failed for the following message: %d\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: text/plain; charset=us-ascii\r\n\r\nThe server couldn't retrieve the following message:\r\n\r\n"+
		"The message hasn't been deleted. You might be able to view it using another program.\r\n", p.m.uid))}
}

func (c *conn) writeMessage(p pick, raw Content, items []item, cut bool) error {
	a := c.account
	return c.emit(func(w *bufio.Writer) error {
		fmt.Fprintf(w, "* %d FETCH (", p.seq)
		for i, it := range items {
			if i > 0 {
				w.WriteByte(' ')
			}
			if it.marks && !c.readOnly && a.markSeen(p.m) && !hasItem(items, "FLAGS") {
				fmt.Fprintf(w, "FLAGS (%s) ", strings.Join(a.flagsOf(p.m), " "))
			}
			if !it.isBody {
				w.WriteString(it.name + " ")
				if err := c.writeAttribute(w, p, raw, it.name); err != nil {
					return err
				}
				continue
			}
			body := section(raw, it.section)
			if it.partial {
				body = body.Slice(it.from, it.n)
			}
			fmt.Fprintf(w, "%s {%d}\r\n", it.name, body.Len())
			if cut {
				_, _ = body.Slice(0, max(1, body.Len()/2)).WriteTo(w)
				_ = w.Flush()
				c.nc.Close()
				return errLogout
			}
			if _, err := body.WriteTo(w); err != nil {
				return err
			}
		}
		_, err := w.WriteString(")\r\n")
		return err
	})
}

func hasItem(items []item, name string) bool {
	return slices.ContainsFunc(items, func(it item) bool { return it.name == name })
}

func (a *Account) flagsOf(m *message) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(m.flags)
}

func (a *Account) markSeen(m *message) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if hasFlag(m.flags, `\Seen`) {
		return false
	}
	a.modseq++
	m.flags, m.modseq = append(slices.Clone(m.flags), `\Seen`), a.modseq
	a.change()
	return true
}

func (c *conn) writeAttribute(w *bufio.Writer, p pick, raw Content, name string) error {
	a := c.account
	var err error
	switch name {
	case "UID":
		_, err = fmt.Fprintf(w, "%d", p.m.uid)
	case "FLAGS":
		_, err = fmt.Fprintf(w, "(%s)", strings.Join(a.flagsOf(p.m), " "))
	case "INTERNALDATE":
		_, err = fmt.Fprintf(w, "%q", p.m.date.Format("_2-Jan-2006 15:04:05 -0700"))
	case "RFC822.SIZE":
		_, err = fmt.Fprintf(w, "%d", raw.Len()+c.dialect().SizeError)
	case "ENVELOPE":
		_, err = w.WriteString(envelope(raw.header()))
	case "BODY", "BODYSTRUCTURE":
		_, err = w.WriteString(bodyStructure(raw.Bytes(), name == "BODYSTRUCTURE"))
	case "MODSEQ":
		a.mu.Lock()
		mod := p.m.modseq
		a.mu.Unlock()
		_, err = fmt.Fprintf(w, "(%d)", mod)
	case "X-GM-MSGID":
		_, err = fmt.Fprintf(w, "%d", p.m.gmID)
	case "X-GM-THRID":
		_, err = fmt.Fprintf(w, "%d", p.m.gmThr)
	case "X-GM-LABELS":
		_, err = w.WriteString("()")
	case "EMAILID":
		_, err = fmt.Fprintf(w, "(M%x)", p.m.gmID)
	case "THREADID":
		_, err = fmt.Fprintf(w, "(T%x)", p.m.gmThr)
	}
	return err
}

// section is the part of a message that BODY[spec] names (RFC 3501 6.4.5); empty if there is none.
func section(raw Content, spec string) Content {
	up := strings.ToUpper(spec)
	switch {
	case up == "":
		return raw
	case up == "HEADER":
		return Content{raw.header()}
	case up == "TEXT":
		return raw.Slice(len(raw.header()), -1)
	case strings.HasPrefix(up, "HEADER.FIELDS"):
		return Content{fields(raw.header(), spec)}
	}
	body := raw.Bytes()
	part := parsePart(body, 0)
	words := strings.Split(up, ".")
	for len(words) > 0 {
		n, err := strconv.Atoi(words[0])
		if err != nil {
			break
		}
		if part = part.child(n); part == nil {
			return nil
		}
		words = words[1:]
	}
	switch rest := strings.Join(words, "."); {
	case rest == "":
		return Content{part.body}
	case rest == "MIME":
		return Content{part.head}
	case part.inner != nil && rest == "HEADER":
		return Content{part.inner.head}
	case part.inner != nil && rest == "TEXT":
		return Content{part.inner.body}
	case part.inner != nil && strings.HasPrefix(rest, "HEADER.FIELDS"):
		return Content{fields(part.inner.head, spec)}
	}
	return nil
}

// fields keeps the header fields that HEADER.FIELDS or HEADER.FIELDS.NOT names, and the empty line.
func fields(head []byte, spec string) []byte {
	open, end := strings.IndexByte(spec, '('), strings.LastIndexByte(spec, ')')
	if open < 0 || end < open {
		return []byte("\r\n")
	}
	want := map[string]bool{}
	for _, n := range strings.Fields(spec[open+1 : end]) {
		want[strings.ToUpper(strings.Trim(n, `"`))] = true
	}
	not := strings.Contains(strings.ToUpper(spec[:open]), "FIELDS.NOT")
	var out bytes.Buffer
	keep := false
	for _, l := range bytes.SplitAfter(head, []byte("\n")) {
		if len(bytes.TrimRight(l, "\r\n")) == 0 {
			break
		}
		if l[0] != ' ' && l[0] != '\t' {
			name, _, _ := bytes.Cut(l, []byte(":"))
			keep = want[strings.ToUpper(string(bytes.TrimSpace(name)))] != not
		}
		if keep {
			out.Write(l)
		}
	}
	out.WriteString("\r\n")
	return out.Bytes()
}
