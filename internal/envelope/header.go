package envelope

import (
	"bytes"
	"mime"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"io"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"

	"mailroom/internal/mailroom"
)

// field is one header field, unfolded (RFC 5322 §2.2.3), value undecoded.
type field struct{ name, value string }

type header []field

// get is the first field of the name, or "".
func (h header) get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// all are the values of every field of the name; some mailers repeat To.
func (h header) all(name string) []string {
	var out []string
	for _, f := range h {
		if strings.EqualFold(f.name, name) {
			out = append(out, f.value)
		}
	}
	return out
}

// withoutMboxLine drops a leading "From sender date" line that some exports
// leave in front of the header, and blank lines before it.
func withoutMboxLine(raw []byte) []byte {
	b := bytes.TrimLeft(raw, "\r\n")
	if bytes.HasPrefix(b, []byte("From ")) || bytes.HasPrefix(b, []byte(">From ")) {
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			return b[i+1:]
		}
	}
	return b
}

// splitHeader cuts at the first empty line, whether lines end in CRLF or LF.
func splitHeader(b []byte) (head, body []byte) {
	for i := 0; i < len(b) && i < maxHeader; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return b, nil
		}
		line := b[i : i+n]
		if len(line) == 0 || len(line) == 1 && line[0] == '\r' {
			return b[:i], b[i+n+1:]
		}
		i += n + 1
	}
	return b[:min(len(b), maxHeader)], nil
}

// parseHeader unfolds and splits a header block. Lines that are no field are
// passed over: a broken line costs itself, not the mail.
func parseHeader(b []byte) header {
	var h header
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if n := len(h); n > 0 && len(h[n-1].value) < maxField {
				h[n-1].value += " " + string(bytes.TrimSpace(line))
			}
			continue
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		name = bytes.TrimRight(name, " \t")
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") || !isASCII(name) {
			continue
		}
		h = append(h, field{string(name), string(bytes.TrimSpace(value))})
	}
	return h
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c < 33 || c > 126 {
			return false
		}
	}
	return true
}

// toUTF8 turns bytes of a named charset into UTF-8. Unknown and wrong labels
// are common: what is valid UTF-8 is taken as that, the rest as windows-1252.
func toUTF8(b []byte, label string) string {
	label = strings.ToLower(strings.Trim(label, `"' `))
	switch label {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "ansi_x3.4-1968", "unknown-8bit", "default":
		if utf8.Valid(b) {
			return string(b)
		}
	default:
		if enc, err := htmlindex.Get(label); err == nil {
			if out, _, err := transform.Bytes(enc.NewDecoder(), b); err == nil {
				return string(out)
			}
		}
		if utf8.Valid(b) {
			return string(b)
		}
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(out)
}

// decodeWords reads RFC 2047 encoded words and raw 8-bit text alike.
func decodeWords(s string) string {
	if !utf8.ValidString(s) {
		s = toUTF8([]byte(s), "")
	}
	if !strings.Contains(s, "=?") {
		return s
	}
	d := mime.WordDecoder{CharsetReader: func(label string, in io.Reader) (io.Reader, error) {
		b, err := io.ReadAll(in)
		return strings.NewReader(toUTF8(b, label)), err
	}}
	if out, err := d.DecodeHeader(s); err == nil {
		return out
	}
	return s
}

// oneLine drops control characters, so that a subject cannot break a page or a log.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return ' '
		}
		if unicode.IsControl(r) || r == '\u202e' || r == '\u202d' {
			return -1
		}
		return r
	}, s)
	if len(s) > maxField {
		s = strings.ToValidUTF8(s[:maxField], "")
	}
	return strings.TrimSpace(s)
}

// addresses reads address lists; a list that breaks the grammar still gives
// every addr-spec that can be seen in it.
func addresses(values []string) []mailroom.Address {
	var out []mailroom.Address
	for _, v := range values {
		if !utf8.ValidString(v) {
			v = toUTF8([]byte(v), "")
		}
		p := mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: func(label string, in io.Reader) (io.Reader, error) {
			b, err := io.ReadAll(in)
			return strings.NewReader(toUTF8(b, label)), err
		}}}
		list, err := p.ParseList(v)
		if err != nil {
			out = append(out, seenAddresses(v)...)
			continue
		}
		for _, a := range list {
			out = append(out, mailroom.Address{Name: oneLine(a.Name), Addr: oneLine(a.Address)})
		}
	}
	if len(out) > maxAddresses {
		out = out[:maxAddresses]
	}
	return out
}

// seenAddresses finds addr-specs in a list that is no address-list.
func seenAddresses(v string) []mailroom.Address {
	var out []mailroom.Address
	for chunk := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == ',' || r == ';' }) {
		at := strings.LastIndexByte(chunk, '@')
		if at < 0 {
			continue
		}
		stop := func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`<>()[]"':,;`, r)
		}
		from := strings.LastIndexFunc(chunk[:at], stop) + 1
		to := len(chunk)
		if i := strings.IndexFunc(chunk[at+1:], stop); i >= 0 {
			to = at + 1 + i
		}
		if from == at || to == at+1 {
			continue
		}
		name := strings.Trim(chunk[:from], "<\"' \t")
		out = append(out, mailroom.Address{Name: oneLine(decodeWords(name)), Addr: chunk[from:to]})
	}
	return out
}

// dateLayouts are forms seen in the wild beside RFC 5322's.
var dateLayouts = []string{
	"Mon, 2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 MST",
	"Mon, 2 Jan 06 15:04:05 -0700", "Mon Jan 2 15:04:05 2006", "2006-01-02 15:04:05 -0700",
	time.RFC3339, "Mon, 2 Jan 2006 15:04:05", "Mon, 2 Jan 2006 15:04 -0700",
}

// parseDate is zero for what cannot be read or is no believable date.
func parseDate(s string) time.Time {
	t, err := mail.ParseDate(s)
	if err != nil {
		if i := strings.IndexByte(s, '('); i > 0 {
			s = s[:i]
		}
		s = strings.TrimSpace(s)
		for _, l := range dateLayouts {
			if t, err = time.Parse(l, s); err == nil {
				break
			}
		}
	}
	if err != nil || t.Year() < 1970 || t.Year() > 2200 {
		return time.Time{}
	}
	return t.UTC()
}
