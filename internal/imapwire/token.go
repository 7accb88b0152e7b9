package imapwire

import (
	"bytes"
	"math"
	"strings"
)

// The grammar of RFC 3501 section 9, read leniently: any run of spaces is one
// space, LF ends a line as well as CRLF, an atom may hold any byte that does
// not end it, a quoted string may hold 8-bit bytes, and NIL stands for any
// value. errSyntax is returned with the offending byte not consumed.

func atomEnd(b byte) bool {
	switch b {
	case ' ', '\r', '\n', '(', ')', '{', '"':
		return true
	}
	return false
}

func (rd *reader) spaces() error {
	for {
		b, err := rd.peek()
		if err != nil || b != ' ' && b != '\t' {
			return err
		}
		rd.r++
	}
}

func (rd *reader) atEOL() (bool, error) {
	b, err := rd.peek()
	return b == '\r' || b == '\n', err
}

// endLine finishes a response that was understood.
func (rd *reader) endLine() error {
	if err := rd.spaces(); err != nil {
		return err
	}
	for {
		b, err := rd.peek()
		if err != nil {
			return err
		}
		switch b {
		case '\r':
			rd.r++
		case '\n':
			rd.r++
			return rd.checkSize()
		default:
			return errSyntax
		}
	}
}

func (rd *reader) keep(b byte) error {
	if lim := rd.c.lim.Token; len(rd.tok) >= lim {
		return &LimitError{"Token", int64(lim)}
	}
	rd.tok = append(rd.tok, b)
	return nil
}

// atom reads up to the next separator; it may be empty. Valid until the next
// token.
func (rd *reader) atom() ([]byte, error) {
	rd.tok = rd.tok[:0]
	for {
		if _, err := rd.peek(); err != nil {
			return nil, err
		}
		chunk, n := rd.buf[rd.r:rd.w], 0
		for n < len(chunk) && !atomEnd(chunk[n]) {
			n++
		}
		if lim := rd.c.lim.Token; len(rd.tok)+n > lim {
			return nil, &LimitError{"Token", int64(lim)}
		}
		rd.tok = append(rd.tok, chunk[:n]...)
		rd.r += n
		if n < len(chunk) {
			return rd.tok, nil
		}
	}
}

// word is an atom in upper case, for names of responses and items.
func (rd *reader) word() (string, error) {
	a, err := rd.atom()
	return upper(a), err
}

// words that come by the thousand.
var words = map[string]string{"FETCH": "FETCH", "UID": "UID", "FLAGS": "FLAGS", "MODSEQ": "MODSEQ", "INTERNALDATE": "INTERNALDATE",
	"RFC822.SIZE": "RFC822.SIZE", "STATUS": "STATUS", "LIST": "LIST", "OK": "OK"}

func upper(b []byte) string {
	if w, ok := words[string(b)]; ok { // without an allocation
		return w
	}
	return strings.ToUpper(string(b))
}

// quoted reads a quoted string, of which a line end is no part.
func (rd *reader) quoted() ([]byte, error) {
	rd.tok = rd.tok[:0]
	rd.r++ // the opening quote
	for {
		b, err := rd.peek()
		if err != nil {
			return nil, err
		}
		if b == '\\' {
			rd.r++
			if b, err = rd.peek(); err != nil {
				return nil, err
			}
		} else if b == '"' {
			rd.r++
			return rd.tok, nil
		}
		if b == '\r' || b == '\n' {
			return nil, errSyntax
		}
		if err := rd.keep(b); err != nil {
			return nil, err
		}
		rd.r++
	}
}

// literalSize reads "{12}" or "{12+}" and the line end behind it.
func (rd *reader) literalSize() (int64, error) {
	rd.r++ // the brace
	n, digits := int64(0), 0
	for {
		b, err := rd.peek()
		if err != nil {
			return 0, err
		}
		switch {
		case b >= '0' && b <= '9' && digits < 18:
			n, digits = n*10+int64(b-'0'), digits+1
		case b == '+' && digits > 0:
		case b == '}' && digits > 0:
			rd.r++
			return n, rd.literalStart(n)
		default:
			return 0, errSyntax
		}
		rd.r++
	}
}

func (rd *reader) literalStart(n int64) error {
	b, err := rd.peek()
	if err == nil && b == '\r' {
		rd.r++
		b, err = rd.peek()
	}
	if err != nil {
		return err
	}
	if b != '\n' {
		return errSyntax
	}
	rd.r++
	if lim := rd.c.lim.Literal; n > lim {
		return &LimitError{"Literal", lim}
	}
	return nil
}

// stringKind says what kind of value comes next, without consuming it; a
// literal8's tilde (RFC 3516) is dropped.
func (rd *reader) stringKind() (byte, error) {
	b, err := rd.peek()
	if err != nil {
		return 0, err
	}
	switch b {
	case '"', '{', '(':
		return b, nil
	case '~':
		rd.r++
		if b, err = rd.peek(); err == nil && b != '{' {
			return 'a', nil
		}
		return b, err
	case ')', '\r', '\n', ' ':
		return 0, errSyntax
	}
	return 'a', nil
}

// str reads an astring or nstring into memory. NIL gives nil, other values are
// never nil. Valid until the next token.
func (rd *reader) str() ([]byte, error) {
	kind, err := rd.stringKind()
	if err != nil {
		return nil, err
	}
	switch kind {
	case '"':
		return rd.quoted()
	case '{':
		n, err := rd.literalSize()
		if err != nil {
			return nil, err
		}
		return rd.smallLiteral(n)
	case 'a':
		a, err := rd.atom()
		if err == nil && isNIL(a) {
			a = nil
		}
		return a, err
	}
	return nil, errSyntax
}

func isNIL(a []byte) bool { return len(a) == 3 && bytes.EqualFold(a, []byte("NIL")) }

func (rd *reader) smallLiteral(n int64) ([]byte, error) {
	if lim := int64(rd.c.lim.Token); n > lim {
		return nil, &LimitError{"Token", lim}
	}
	rd.tok = rd.tok[:0]
	for int64(len(rd.tok)) < n {
		if _, err := rd.peek(); err != nil {
			return nil, err
		}
		k := int(min(int64(rd.w-rd.r), n-int64(len(rd.tok))))
		rd.tok = append(rd.tok, rd.buf[rd.r:rd.r+k]...)
		rd.r += k
		rd.lits += int64(k)
	}
	if rd.tok == nil {
		rd.tok = []byte{}
	}
	return rd.tok, nil
}

// number reads a value that should be a number; ok is false if it is not.
func (rd *reader) number() (n uint64, ok bool, err error) {
	s, err := rd.str()
	if err != nil {
		return 0, false, err
	}
	n, ok = parseNumber(s)
	return n, ok, nil
}

// parseNumber reads up to 64 bits, as wide as Gmail's ids may be.
func parseNumber(s []byte) (uint64, bool) {
	var n uint64
	for _, b := range s {
		d := uint64(b - '0')
		if b < '0' || b > '9' || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(s) > 0
}

// parse63 is parseNumber for sizes and MODSEQs, which are signed where they are
// kept (RFC 9051 number64, RFC 7162 section 7).
func parse63(s []byte) (uint64, bool) {
	n, ok := parseNumber(s)
	if !ok || n > math.MaxInt64 {
		return 0, false
	}
	return n, true
}

// uint32Value is number for what is at most 32 bits wide; other values count
// as nonsense.
func (rd *reader) uint32Value() (uint32, bool, error) {
	n, ok, err := rd.number()
	if !ok || n > math.MaxUint32 {
		return 0, false, err
	}
	return uint32(n), true, nil
}

// list calls each at every element of a parenthesized list until the list
// ends; each must consume the element or fail. NIL is an empty list.
func (rd *reader) list(each func() error) error {
	b, err := rd.peek()
	if err != nil {
		return err
	}
	if b != '(' {
		a, err := rd.atom()
		if err == nil && !isNIL(a) {
			err = errSyntax
		}
		return err
	}
	rd.r++
	for items := 0; ; items++ {
		if err := rd.spaces(); err != nil {
			return err
		}
		b, err := rd.peek()
		if err != nil {
			return err
		}
		if b == ')' {
			rd.r++
			return nil
		}
		if b == '\r' || b == '\n' {
			return errSyntax
		}
		if lim := rd.c.lim.Items; items >= lim {
			return &LimitError{"Items", int64(lim)}
		}
		if err := each(); err != nil {
			return err
		}
	}
}

// words reads a list of strings, such as flags. Lists within it are skipped.
func (rd *reader) words() ([]string, error) {
	var out []string
	err := rd.list(func() error {
		if b, err := rd.peek(); err != nil || b == '(' {
			if err == nil {
				rd.c.skip(SkipItem, "list")
				err = rd.value(0)
			}
			return err
		}
		s, err := rd.str()
		if err == nil && s != nil {
			if out == nil {
				out = make([]string, 0, 3)
			}
			out = append(out, intern(s))
		}
		return err
	})
	return out, err
}

// value skips one value of any kind.
func (rd *reader) value(depth int) error {
	kind, err := rd.stringKind()
	if err != nil {
		return err
	}
	switch kind {
	case '(':
		if lim := rd.c.lim.Depth; depth >= lim {
			return &LimitError{"Depth", int64(lim)}
		}
		rd.r++
		for {
			if err := rd.spaces(); err != nil {
				return err
			}
			b, err := rd.peek()
			if err != nil {
				return err
			}
			if b == ')' {
				rd.r++
				return nil
			}
			if err := rd.value(depth + 1); err != nil {
				return err
			}
		}
	case '{':
		n, err := rd.literalSize()
		if err != nil {
			return err
		}
		return rd.discard(n)
	}
	_, err = rd.str()
	return err
}

// known are the flags that nearly every message has.
var known = [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, `\Recent`, `$Forwarded`, `NonJunk`}

// intern gives a flag in its usual spelling (flags know no case) without an
// allocation if it is a known one.
func intern(b []byte) string {
	for _, k := range known {
		if len(k) == len(b) && (string(b) == k || strings.EqualFold(string(b), k)) {
			return k
		}
	}
	return string(b)
}
