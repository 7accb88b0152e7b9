package world

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"golang.org/x/text/encoding/charmap"

	"mailroom/internal/pretend/imapd"
)

// attachment is a file in a mail; its bytes are held once, already in base64.
type attachment struct {
	name, mediaType string
	encoded         []byte
	contentID       string // inline when set
}

// encode64 writes base64 in lines of 76, each ending in CRLF.
func encode64(raw []byte) []byte {
	text := base64.StdEncoding.EncodeToString(raw)
	var b bytes.Buffer
	b.Grow(len(text) + len(text)/38 + 2)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	b.WriteString(text + "\r\n")
	return b.Bytes()
}

// charsets that a style may name beside utf-8.
var charsets = map[string]*charmap.Charmap{"iso-8859-1": charmap.ISO8859_1, "windows-1252": charmap.Windows1252}

// writer collects the pieces of a message: text in its own buffer, attachments shared.
type writer struct {
	parts imapd.Content
	buf   bytes.Buffer
}

func (w *writer) share(b []byte) {
	if w.buf.Len() > 0 {
		w.parts = append(w.parts, bytes.Clone(w.buf.Bytes()))
		w.buf.Reset()
	}
	w.parts = append(w.parts, b)
}

func (w *writer) content() imapd.Content {
	if w.buf.Len() > 0 {
		w.parts = append(w.parts, bytes.Clone(w.buf.Bytes()))
		w.buf.Reset()
	}
	return w.parts
}

func (w *writer) field(name, value string) {
	w.buf.WriteString(fold(name+": "+value) + "\r\n")
}

// fold breaks a header line at spaces so that lines stay under 78 characters where they can (RFC 5322 2.1.1).
func fold(line string) string {
	var b strings.Builder
	for len(line) > 76 {
		cut := strings.LastIndexByte(line[:76], ' ')
		if cut <= 0 || strings.TrimSpace(line[:cut]) == "" || strings.HasSuffix(line[:cut], ":") {
			next := strings.IndexByte(line[76:], ' ')
			if next < 0 {
				break
			}
			cut = 76 + next
		}
		b.WriteString(line[:cut] + "\r\n")
		line = line[cut:]
	}
	return b.String() + line
}

// compose makes the bytes of a letter.
func (l *letter) compose() imapd.Content {
	w := &writer{}
	if l.received {
		l.trace(w)
	}
	if !l.date.IsZero() {
		w.field("Date", l.date.Format(time.RFC1123Z))
	}
	w.field("From", addressList([]addr{l.from}))
	if len(l.to) > 0 {
		w.field("To", addressList(l.to))
	}
	if len(l.cc) > 0 {
		w.field("Cc", addressList(l.cc))
	}
	w.field("Subject", l.encodeWord(l.subject))
	if l.id != "" {
		w.field("Message-ID", "<"+l.id+">")
	}
	if l.inReply != "" {
		w.field("In-Reply-To", "<"+l.inReply+">")
	}
	if len(l.refs) > 0 {
		w.field("References", "<"+strings.Join(l.refs, "> <")+">")
	}
	for _, f := range l.extra {
		w.field(f[0], f[1])
	}
	if l.style.agent != "" {
		w.field("X-Mailer", l.style.agent)
	}
	w.field("MIME-Version", "1.0")
	l.body(w)
	return w.content()
}

func (l *letter) encodeWord(s string) string {
	if cm := charsets[l.style.charset]; cm != nil {
		if enc, err := cm.NewEncoder().String(s); err == nil && enc != s {
			return mime.QEncoding.Encode(l.style.charset, enc)
		}
	}
	if l.style.encoding == "base64" {
		return mime.BEncoding.Encode("utf-8", s)
	}
	return mime.QEncoding.Encode("utf-8", s)
}

// trace writes what the servers on the way add.
func (l *letter) trace(w *writer) {
	_, domain, _ := strings.Cut(l.from.email, "@")
	at := l.date.Add(3 * time.Second)
	if l.date.IsZero() {
		return
	}
	forWhom := l.forWhom
	if forWhom == "" {
		forWhom = l.to[0].email
	}
	w.field("Return-Path", "<"+l.from.email+">")
	w.field("Received", fmt.Sprintf("from mx.%s (mx.%s [192.0.2.%d]) by mx1.%s with ESMTPS id %010x for <%s>; %s", domain, domain,
		hash(domain)%250+1, Domain, hash(l.id+forWhom)&0xffffffffff, forWhom, at.Format(time.RFC1123Z)))
	w.field("Authentication-Results", fmt.Sprintf("mx1.%s; spf=pass smtp.mailfrom=%s; dkim=pass header.d=%s", Domain, domain, domain))
}

func addressList(list []addr) string {
	var out []string
	for _, a := range list {
		switch {
		case a.name == "":
			out = append(out, a.email)
		case isASCII(a.name) && !strings.ContainsAny(a.name, `.,;:"()<>@[]\`):
			out = append(out, a.name+" <"+a.email+">")
		case isASCII(a.name):
			out = append(out, `"`+strings.ReplaceAll(a.name, `"`, `\"`)+`" <`+a.email+">")
		default:
			out = append(out, mime.QEncoding.Encode("utf-8", a.name)+" <"+a.email+">")
		}
	}
	return strings.Join(out, ", ")
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func (l *letter) boundary(level string) string {
	return fmt.Sprintf("=_%s_%016x", level, hash(l.id+l.subject+level))
}

// body writes the MIME tree: mixed around related around alternative, each only where it is needed.
func (l *letter) body(w *writer) {
	var inline, files []attachment
	for _, a := range l.attached {
		if a.contentID != "" {
			inline = append(inline, a)
		} else {
			files = append(files, a)
		}
	}
	if l.style.html && l.style.logo && l.htmlBody == "" {
		inline = append(inline, logo())
	}
	if len(files) == 0 {
		l.related(w, inline)
		return
	}
	b := l.boundary("mixed")
	w.field("Content-Type", fmt.Sprintf("multipart/mixed; boundary=%q", b))
	w.buf.WriteString("\r\n--" + b + "\r\n")
	l.related(w, inline)
	for _, f := range files {
		w.buf.WriteString("\r\n--" + b + "\r\n")
		writeFile(w, f)
	}
	w.buf.WriteString("\r\n--" + b + "--\r\n")
}

func (l *letter) related(w *writer, inline []attachment) {
	if len(inline) == 0 || !l.style.html {
		l.alternative(w)
		return
	}
	b := l.boundary("related")
	w.field("Content-Type", fmt.Sprintf("multipart/related; type=\"multipart/alternative\"; boundary=%q", b))
	w.buf.WriteString("\r\n--" + b + "\r\n")
	l.alternative(w)
	for _, f := range inline {
		w.buf.WriteString("\r\n--" + b + "\r\n")
		writeFile(w, f)
	}
	w.buf.WriteString("\r\n--" + b + "--\r\n")
}

func (l *letter) alternative(w *writer) {
	if !l.style.html {
		l.text(w, "plain", l.plain())
		return
	}
	b := l.boundary("alternative")
	w.field("Content-Type", fmt.Sprintf("multipart/alternative; boundary=%q", b))
	w.buf.WriteString("\r\n--" + b + "\r\n")
	l.text(w, "plain", l.plain())
	w.buf.WriteString("\r\n--" + b + "\r\n")
	l.text(w, "html", l.html())
	w.buf.WriteString("\r\n--" + b + "--\r\n")
}

// text writes a text part in the letter's charset and encoding, or in UTF-8 when the charset lacks a letter.
func (l *letter) text(w *writer, subtype, text string) {
	charset, enc := l.style.charset, l.style.encoding
	text = strings.ReplaceAll(text, "\n", "\r\n")
	if cm := charsets[charset]; cm != nil {
		converted, err := cm.NewEncoder().String(text)
		if err != nil {
			charset = "utf-8"
			text = strings.ReplaceAll(text, "charset="+l.style.charset, "charset=utf-8")
		} else {
			text = converted
		}
	}
	if enc == "8bit" && longestLine(text) > 900 {
		enc = "quoted-printable" // RFC 5321 4.5.3.1.6 allows lines of 998
	}
	w.field("Content-Type", "text/"+subtype+"; charset="+charset)
	w.field("Content-Transfer-Encoding", enc)
	w.buf.WriteString("\r\n")
	switch enc {
	case "base64":
		w.buf.Write(encode64([]byte(text)))
	case "quoted-printable":
		q := quotedprintable.NewWriter(&w.buf)
		_, _ = q.Write([]byte(text)) // a bytes.Buffer takes everything
		_ = q.Close()
	default:
		w.buf.WriteString(text)
	}
}

func longestLine(text string) int {
	longest := 0
	for _, l := range strings.Split(text, "\n") {
		longest = max(longest, len(l))
	}
	return longest
}

func writeFile(w *writer, f attachment) {
	disposition := "attachment"
	if f.contentID != "" {
		disposition = "inline"
		w.field("Content-ID", "<"+f.contentID+">")
	}
	ct := mime.FormatMediaType(f.mediaType, map[string]string{"name": f.name})
	if f.mediaType == "text/calendar" {
		ct = mime.FormatMediaType(f.mediaType, map[string]string{"name": f.name, "method": "REQUEST", "charset": "utf-8"})
	}
	w.field("Content-Type", ct)
	w.field("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": f.name}))
	w.field("Content-Transfer-Encoding", "base64")
	w.buf.WriteString("\r\n")
	w.share(f.encoded)
}
