package world

import (
	"fmt"
	"html"
	"strings"
	"time"
)

// addr is a name with an address.
type addr struct{ name, email string }

// letter is a mail before it becomes bytes.
type letter struct {
	from       addr
	to, cc     []addr
	subject    string
	date       time.Time
	lang       string
	paras      []string // paragraphs of text
	sign       []string // lines of the signature
	htmlBody   string   // replaces the HTML made of paras, for newsletters
	quote      *letter  // answered mail
	id         string
	inReply    string
	refs       []string
	attached   []attachment
	extra      [][2]string // further header fields
	style      style
	received   bool   // came from outside
	forWhom    string // who received it, if not the first in To
	threadSeed uint64
}

// style is how somebody's mail program writes.
type style struct {
	html     bool
	logo     bool // with the agency's logo as an inline image
	charset  string
	encoding string // "quoted-printable", "base64", "8bit", "7bit"
	outlook  bool   // quotes with a header block, not with ">"
	wrap     int    // column at which plain text is broken; 0 for not at all
	agent    string
}

var agents = []string{"Postduif 4.2", "Brievenbus for iOS (21.5)", "Meeuwmail 128.3", "", "", "WebPost 9", "Zeepost Mobile"}

// styleOf is stable for an address: a person keeps the same mail program.
func styleOf(email string) style {
	h := hash(email)
	s := style{charset: "utf-8", encoding: "quoted-printable", agent: agents[h%uint64(len(agents))]}
	s.html = h>>8%100 < 60
	s.outlook = h>>16%100 < 45
	s.wrap = []int{0, 72, 76, 0}[h>>24%4]
	switch h >> 32 % 12 {
	case 0, 1:
		s.charset = "iso-8859-1"
	case 2, 3:
		s.charset = "windows-1252"
	case 4:
		s.charset, s.encoding = "iso-8859-1", "8bit"
	case 5:
		s.encoding = "8bit"
	case 6, 7:
		s.encoding = "base64"
	}
	if strings.HasSuffix(email, "@"+Domain) {
		s = style{html: true, logo: true, charset: "utf-8", encoding: "quoted-printable", outlook: true, agent: "Havenpost 16.0"}
	}
	return s
}

// hash is 64-bit FNV-1a.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// plain is the text version.
func (l *letter) plain() string {
	var b strings.Builder
	for _, p := range l.paras {
		for _, line := range strings.Split(p, "\n") {
			b.WriteString(wrap(line, l.style.wrap) + "\n")
		}
		b.WriteByte('\n')
	}
	if len(l.sign) > 0 {
		b.WriteString(strings.Join(l.sign, "\n") + "\n")
	}
	if l.quote != nil {
		b.WriteString("\n" + l.quotedPlain())
	}
	return b.String()
}

func (l *letter) quotedPlain() string {
	q := l.quote
	inner := strings.TrimRight(q.plainShort(), "\n")
	if l.style.outlook {
		var b strings.Builder
		b.WriteString(strings.Repeat("_", 32) + "\n")
		for _, f := range q.headBlock(l.lang) {
			b.WriteString(f[0] + ": " + f[1] + "\n")
		}
		return b.String() + "\n" + inner + "\n"
	}
	var b strings.Builder
	b.WriteString(q.wroteLine(l.lang) + "\n\n")
	for _, line := range strings.Split(inner, "\n") {
		b.WriteString(strings.TrimRight("> "+line, " ") + "\n")
	}
	return b.String()
}

// plainShort is the text with at most one more level quoted, so that long threads stay readable.
func (l *letter) plainShort() string {
	short := *l
	if short.quote != nil {
		inner := *short.quote
		inner.quote = nil
		short.quote = &inner
	}
	return short.plain()
}

func (l *letter) headBlock(lang string) [][2]string {
	names := [4]string{"From", "Sent", "To", "Subject"}
	if lang == "nl" {
		names = [4]string{"Van", "Verzonden", "Aan", "Onderwerp"}
	}
	var to []string
	for _, a := range l.to {
		to = append(to, a.name+" <"+a.email+">")
	}
	return [][2]string{
		{names[0], l.from.name + " <" + l.from.email + ">"}, {names[1], longDate(l.date, lang)},
		{names[2], strings.Join(to, "; ")}, {names[3], l.subject},
	}
}

func (l *letter) wroteLine(lang string) string {
	if lang == "nl" {
		return fmt.Sprintf("Op %s schreef %s <%s>:", longDate(l.date, lang), l.from.name, l.from.email)
	}
	return fmt.Sprintf("On %s, %s <%s> wrote:", longDate(l.date, lang), l.from.name, l.from.email)
}

func longDate(t time.Time, lang string) string {
	return fmt.Sprintf("%s %d %s %d %s", weekdays[lang][t.Weekday()], t.Day(), months[lang][t.Month()-1], t.Year(), t.Format("15:04"))
}

// shortDay is a day as one writes it in a sentence.
func shortDay(t time.Time, lang string) string {
	return fmt.Sprintf("%s %d %s", weekdays[lang][t.Weekday()], t.Day(), months[lang][t.Month()-1])
}

func wrap(text string, column int) string {
	if column == 0 {
		return text
	}
	var b strings.Builder
	line := 0
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case line+1+n > column:
			b.WriteByte('\n')
			line = 0
		default:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += n
	}
	return b.String()
}

// html is the HTML version.
func (l *letter) html() string {
	if l.htmlBody != "" {
		return l.htmlBody
	}
	var b strings.Builder
	charset := l.style.charset
	fmt.Fprintf(&b, "<html><head><meta http-equiv=\"Content-Type\" content=\"text/html; charset=%s\"></head>\n", charset)
	b.WriteString("<body style=\"font-family:Calibri,Arial,sans-serif;font-size:11pt;color:#1f1f1f\">\n")
	l.htmlInner(&b, 0)
	b.WriteString("</body></html>\n")
	return b.String()
}

func (l *letter) htmlInner(b *strings.Builder, depth int) {
	for _, p := range l.paras {
		fmt.Fprintf(b, "<p>%s</p>\n", strings.ReplaceAll(html.EscapeString(p), "\n", "<br>\n"))
	}
	if len(l.sign) > 0 {
		fmt.Fprintf(b, "<p style=\"color:#555555\">%s</p>\n", strings.ReplaceAll(html.EscapeString(strings.Join(l.sign, "\n")), "\n", "<br>\n"))
	}
	if l.style.logo && depth == 0 {
		fmt.Fprintf(b, "<p><img src=\"cid:%s\" width=\"148\" height=\"36\" alt=\"%s\"></p>\n", logoID, Organization)
	}
	if l.quote == nil || depth > 1 {
		return
	}
	if l.style.outlook {
		b.WriteString("<div style=\"border:none;border-top:solid #e1e1e1 1pt;padding-top:3pt\"><p>")
		for _, f := range l.quote.headBlock(l.lang) {
			fmt.Fprintf(b, "<b>%s:</b> %s<br>\n", f[0], html.EscapeString(f[1]))
		}
		b.WriteString("</p></div>\n")
		l.quote.htmlInner(b, depth+1)
		return
	}
	fmt.Fprintf(b, "<p>%s</p>\n<blockquote type=\"cite\" style=\"margin:0 0 0 .8ex;border-left:1px solid #ccc;padding-left:1ex\">\n", html.EscapeString(l.quote.wroteLine(l.lang)))
	l.quote.htmlInner(b, depth+1)
	b.WriteString("</blockquote>\n")
}
