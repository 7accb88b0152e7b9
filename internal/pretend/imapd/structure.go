package imapd

import (
	"bufio"
	"bytes"
	"fmt"
	"mime"
	"net/mail"
	"net/textproto"
	"sort"
	"strings"
)

// part is one node of a MIME tree, with its bytes.
type part struct {
	head, body []byte
	header     textproto.MIMEHeader
	mediaType  string // "text/plain", lower case
	params     map[string]string
	parts      []*part
	inner      *part // of message/rfc822
}

// maxDepth bounds how deep a MIME tree is followed.
const maxDepth = 20

// endOfHeader is the index after the empty line, looking from an offset; below zero if there is none.
func endOfHeader(b []byte, from int) int {
	if from == 0 && bytes.HasPrefix(b, []byte("\r\n")) {
		return 2
	}
	if i := bytes.Index(b[from:], []byte("\r\n\r\n")); i >= 0 {
		return from + i + 4
	}
	if i := bytes.Index(b[from:], []byte("\n\n")); i >= 0 {
		return from + i + 2
	}
	return -1
}

func parsePart(b []byte, depth int) *part {
	end := endOfHeader(b, 0)
	if end < 0 {
		end = len(b)
	}
	p := &part{head: b[:end], body: b[end:], mediaType: "text/plain", params: map[string]string{}}
	p.header = readHeader(p.head)
	if ct := p.header.Get("Content-Type"); ct != "" {
		if mt, params, err := mime.ParseMediaType(ct); err == nil || mt != "" {
			p.mediaType = mt
			if params != nil {
				p.params = params
			}
		}
	}
	if !strings.Contains(p.mediaType, "/") {
		p.mediaType = "text/plain"
	}
	if depth >= maxDepth {
		return p
	}
	if boundary := p.params["boundary"]; strings.HasPrefix(p.mediaType, "multipart/") && boundary != "" {
		for _, chunk := range splitParts(p.body, boundary) {
			p.parts = append(p.parts, parsePart(chunk, depth+1))
		}
	}
	if p.mediaType == "message/rfc822" {
		p.inner = parsePart(p.body, depth+1)
	}
	return p
}

// readHeader is lenient: what is no field is skipped.
func readHeader(head []byte) textproto.MIMEHeader {
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(head)))
	out := textproto.MIMEHeader{}
	for {
		l, err := r.ReadContinuedLine()
		if err != nil || l == "" {
			return out
		}
		if name, value, found := strings.Cut(l, ":"); found {
			out.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
}

func splitParts(body []byte, boundary string) [][]byte {
	delim := []byte("--" + boundary)
	var out [][]byte
	start := -1
	for pos := 0; pos < len(body); {
		next := bytes.IndexByte(body[pos:], '\n')
		lineEnd := len(body)
		if next >= 0 {
			lineEnd = pos + next + 1
		}
		line := bytes.TrimRight(body[pos:lineEnd], " \t\r\n")
		if bytes.HasPrefix(line, delim) {
			rest := line[len(delim):]
			if len(rest) == 0 || string(rest) == "--" {
				if start >= 0 {
					out = append(out, trimEOL(body[start:pos]))
				}
				start = lineEnd
				if len(rest) > 0 {
					return out
				}
			}
		}
		pos = lineEnd
	}
	if start >= 0 {
		out = append(out, body[start:])
	}
	return out
}

// trimEOL takes off the one line end that belongs to the boundary (RFC 2046 5.1.1).
func trimEOL(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r"))
}

// child is part n of a multipart, or part 1 of anything else.
func (p *part) child(n int) *part {
	if p.inner != nil {
		return p.inner.child(n)
	}
	if len(p.parts) == 0 {
		if n == 1 {
			return p
		}
		return nil
	}
	if n < 1 || n > len(p.parts) {
		return nil
	}
	return p.parts[n-1]
}

func nstring(s string) string {
	if s == "" {
		return "NIL"
	}
	return quote(s)
}

// envelope is the ENVELOPE of a header (RFC 3501 7.4.2).
func envelope(head []byte) string {
	h := readHeader(head)
	from := addresses(h.Get("From"))
	sender, reply := addresses(h.Get("Sender")), addresses(h.Get("Reply-To"))
	if sender == "NIL" {
		sender = from
	}
	if reply == "NIL" {
		reply = from
	}
	return fmt.Sprintf("(%s %s %s %s %s %s %s %s %s %s)", nstring(h.Get("Date")), nstring(h.Get("Subject")),
		from, sender, reply, addresses(h.Get("To")), addresses(h.Get("Cc")), addresses(h.Get("Bcc")),
		nstring(h.Get("In-Reply-To")), nstring(h.Get("Message-Id")))
}

func addresses(field string) string {
	if field == "" {
		return "NIL"
	}
	list, err := mail.ParseAddressList(field)
	if err != nil || len(list) == 0 {
		return "NIL"
	}
	var b strings.Builder
	b.WriteByte('(')
	for _, a := range list {
		local, host, _ := strings.Cut(a.Address, "@")
		name := a.Name
		if name != "" {
			name = mime.QEncoding.Encode("utf-8", name)
		}
		fmt.Fprintf(&b, "(%s NIL %s %s)", nstring(name), nstring(local), nstring(host))
	}
	b.WriteByte(')')
	return b.String()
}

// bodyStructure is BODYSTRUCTURE, or BODY without the extension data.
func bodyStructure(raw []byte, extended bool) string {
	return parsePart(raw, 0).structure(extended)
}

func (p *part) structure(extended bool) string {
	major, minor, _ := strings.Cut(p.mediaType, "/")
	if len(p.parts) > 0 {
		var b strings.Builder
		b.WriteByte('(')
		for _, c := range p.parts {
			b.WriteString(c.structure(extended))
		}
		b.WriteString(" " + quote(minor))
		if extended {
			fmt.Fprintf(&b, " %s %s NIL NIL", paramList(p.params), p.disposition())
		}
		b.WriteByte(')')
		return b.String()
	}
	enc := p.header.Get("Content-Transfer-Encoding")
	if enc == "" {
		enc = "7bit"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "(%s %s %s %s %s %s %d", quote(major), quote(minor), paramList(p.params),
		nstring(p.header.Get("Content-Id")), nstring(p.header.Get("Content-Description")), quote(enc), len(p.body))
	lines := bytes.Count(p.body, []byte("\n"))
	switch {
	case p.inner != nil:
		fmt.Fprintf(&b, " %s %s %d", envelope(p.inner.head), p.inner.structure(extended), lines)
	case major == "text":
		fmt.Fprintf(&b, " %d", lines)
	}
	if extended {
		fmt.Fprintf(&b, " NIL %s NIL NIL", p.disposition())
	}
	b.WriteByte(')')
	return b.String()
}

func (p *part) disposition() string {
	v := p.header.Get("Content-Disposition")
	if v == "" {
		return "NIL"
	}
	kind, params, err := mime.ParseMediaType(v)
	if err != nil && kind == "" {
		return "NIL"
	}
	return "(" + quote(kind) + " " + paramList(params) + ")"
}

func paramList(params map[string]string) string {
	if len(params) == 0 {
		return "NIL"
	}
	names := make([]string, 0, len(params))
	for n := range params {
		names = append(names, n)
	}
	sort.Strings(names)
	var out []string
	for _, n := range names {
		out = append(out, quote(n)+" "+quote(params[n]))
	}
	return "(" + strings.Join(out, " ") + ")"
}
