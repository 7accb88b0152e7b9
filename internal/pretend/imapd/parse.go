package imapd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// arg is one argument of a command: an atom, a string, or a list in parentheses.
type arg struct {
	text   string
	quoted bool // string or literal: NIL and keywords are then just text
	list   []arg
	isList bool
}

var errSyntax = errors.New("syntax")

// parseArgs reads the arguments of a command from the text in which literals were replaced by
// \x00 bytes; literals holds their content in order.
func parseArgs(s string, literals [][]byte) ([]arg, error) {
	p := &parser{s: s, lits: literals}
	args, err := p.list(false)
	if err != nil {
		return nil, err
	}
	return args, nil
}

type parser struct {
	s    string
	pos  int
	lits [][]byte
}

func (p *parser) list(inside bool) ([]arg, error) {
	var out []arg
	for {
		for p.pos < len(p.s) && p.s[p.pos] == ' ' {
			p.pos++
		}
		if p.pos >= len(p.s) {
			if inside {
				return nil, fmt.Errorf("%w: missing )", errSyntax)
			}
			return out, nil
		}
		switch p.s[p.pos] {
		case ')':
			if !inside {
				return nil, fmt.Errorf("%w: stray )", errSyntax)
			}
			p.pos++
			return out, nil
		case '(':
			p.pos++
			inner, err := p.list(true)
			if err != nil {
				return nil, err
			}
			out = append(out, arg{list: inner, isList: true})
		case '"':
			text, err := p.quotedString()
			if err != nil {
				return nil, err
			}
			out = append(out, arg{text: text, quoted: true})
		case 0:
			if len(p.lits) == 0 {
				return nil, fmt.Errorf("%w: literal", errSyntax)
			}
			out = append(out, arg{text: string(p.lits[0]), quoted: true})
			p.lits = p.lits[1:]
			p.pos++
		default:
			text, err := p.atom()
			if err != nil {
				return nil, err
			}
			out = append(out, arg{text: text})
		}
	}
}

func (p *parser) quotedString() (string, error) {
	var b strings.Builder
	for p.pos++; p.pos < len(p.s); p.pos++ {
		switch ch := p.s[p.pos]; ch {
		case '"':
			p.pos++
			return b.String(), nil
		case '\\':
			p.pos++
			if p.pos < len(p.s) {
				b.WriteByte(p.s[p.pos])
			}
		default:
			b.WriteByte(ch)
		}
	}
	return "", fmt.Errorf("%w: missing quote", errSyntax)
}

// atom reads up to a space or parenthesis; a section in brackets, as in BODY[HEADER.FIELDS (TO)],
// belongs to it.
func (p *parser) atom() (string, error) {
	start := p.pos
	for p.pos < len(p.s) {
		switch p.s[p.pos] {
		case ' ', '(', ')':
			return p.s[start:p.pos], nil
		case '[':
			end := strings.IndexByte(p.s[p.pos:], ']')
			if end < 0 {
				return "", fmt.Errorf("%w: missing ]", errSyntax)
			}
			p.pos += end + 1
		default:
			p.pos++
		}
	}
	return p.s[start:p.pos], nil
}

// numRange is one n, n:m or n:* of a set; star stands for *.
type numRange struct{ from, to uint32 }

const star = ^uint32(0)

func parseSet(s string) ([]numRange, error) {
	var out []numRange
	for _, part := range strings.Split(s, ",") {
		lo, hi, isRange := strings.Cut(part, ":")
		a, err := parseNum(lo)
		if err != nil {
			return nil, err
		}
		b := a
		if isRange {
			if b, err = parseNum(hi); err != nil {
				return nil, err
			}
		}
		out = append(out, numRange{a, b})
	}
	return out, nil
}

func parseNum(s string) (uint32, error) {
	if s == "*" {
		return star, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w: number %q", errSyntax, s)
	}
	return uint32(n), nil
}

// within says whether n lies in the set when * means last. "n:*" holds the last message even if n
// is larger, since a range has no direction (RFC 3501 9, seq-range).
func within(set []numRange, n, last uint32) bool {
	for _, r := range set {
		lo, hi := r.from, r.to
		if lo == star {
			lo = last
		}
		if hi == star {
			hi = last
		}
		if lo > hi {
			lo, hi = hi, lo
		}
		if n >= lo && n <= hi {
			return true
		}
	}
	return false
}

// quote writes a string as IMAP wants it: quoted, or as a literal if it holds what quotes cannot.
func quote(s string) string {
	for i := range len(s) {
		if s[i] == '\r' || s[i] == '\n' || s[i] >= 0x80 || s[i] == 0 {
			return fmt.Sprintf("{%d}\r\n%s", len(s), s)
		}
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// astring writes an atom where it can.
func astring(s string) string {
	if s == "" {
		return `""`
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || strings.IndexByte(`(){%*"\]`, s[i]) >= 0 {
			return quote(s)
		}
	}
	return s
}
