package envelope

import (
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// htmlToText keeps the words and the line structure, and drops style, script
// and everything that is not shown.
func htmlToText(s string) string {
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(s))
	z.SetMaxBuf(1 << 20)
	skip := 0
	for {
		switch z.Next() {
		case html.ErrorToken:
			return tidy(b.String())
		case html.TextToken:
			if skip == 0 {
				b.Write(z.Text())
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			switch atom.Lookup(name) {
			case atom.Style, atom.Script, atom.Head, atom.Title:
				skip++
			case atom.Body:
				skip = 0 // an unclosed head must not hide the mail
			case atom.Br:
				b.WriteByte('\n')
			case atom.P, atom.Div, atom.Tr, atom.Li, atom.H1, atom.H2, atom.H3, atom.H4, atom.Blockquote, atom.Hr, atom.Table:
				b.WriteByte('\n')
			case atom.Td, atom.Th:
				b.WriteByte(' ')
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			switch atom.Lookup(name) {
			case atom.Style, atom.Script, atom.Head, atom.Title:
				skip = max(skip-1, 0)
			case atom.P, atom.Div, atom.Table, atom.Ul, atom.Ol, atom.Blockquote:
				b.WriteByte('\n')
			}
		}
	}
}

// tidy unescapes entities, joins blanks and leaves at most one empty line.
func tidy(s string) string {
	s = html.UnescapeString(s)
	var out []string
	empty := 0
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.Join(strings.FieldsFunc(line, unicode.IsSpace), " ")
		if line == "" {
			empty++
			if empty > 1 || len(out) == 0 {
				continue
			}
		} else {
			empty = 0
		}
		out = append(out, line)
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
}

// quoteStarts are lines that begin an answered mail in full, as mailers of our
// users' languages write them; what follows is the older mail.
var quoteStarts = []string{
	"-----original message-----", "-----oorspronkelijk bericht-----", "-----ursprüngliche nachricht-----",
	"________________________________", "----- forwarded message -----",
}

// withoutQuotes drops quoted replies: they are indexed with the mail that they
// came from, and cost a third of the index (docs/performance.md).
func withoutQuotes(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	out := make([]string, 0, len(lines))
	written := false // something of the answer itself, so that a forwarded mail is not emptied
	for i, line := range lines {
		t := strings.TrimSpace(line)
		if strings.HasPrefix(t, ">") {
			continue
		}
		low := strings.ToLower(t)
		if isQuoteStart(low) && written {
			break
		}
		if isAttribution(low) && nextIsQuote(lines[i+1:]) {
			continue
		}
		written = written || t != ""
		out = append(out, line)
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
}

func isQuoteStart(low string) bool {
	for _, q := range quoteStarts {
		if strings.HasPrefix(low, q) {
			return true
		}
	}
	return false
}

// isAttribution: "On … wrote:", "Op … schreef …:".
func isAttribution(low string) bool {
	return strings.HasSuffix(low, ":") &&
		(strings.HasPrefix(low, "on ") && strings.HasSuffix(low, "wrote:") ||
			strings.HasPrefix(low, "op ") && strings.Contains(low, "schreef") ||
			strings.HasPrefix(low, "am ") && strings.Contains(low, "schrieb"))
}

func nextIsQuote(rest []string) bool {
	for _, l := range rest {
		if t := strings.TrimSpace(l); t != "" {
			return strings.HasPrefix(t, ">")
		}
	}
	return false
}

// snippet is the first words on one line, about 140 characters.
func snippet(s string) string {
	var b strings.Builder
	n := 0
	for w := range strings.FieldsFuncSeq(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		if n > 0 {
			b.WriteByte(' ')
			n++
		}
		for _, r := range w {
			if n >= 140 {
				return b.String() + "…"
			}
			b.WriteRune(r)
			n++
		}
	}
	return b.String()
}
