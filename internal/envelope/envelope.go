// Package envelope reads raw RFC 5322 mail: into a mailroom.Message for the
// store and its index, and a body into safe HTML and text for a page.
//
// It is pure: no I/O, no clock. It decodes only what is indexed or asked for;
// attachments are described from their headers and opened again from the raw
// mail when somebody wants them (decoding them all costs twenty times as much,
// docs/performance.md). Real mail is often malformed, so reading is lenient: a broken
// line, charset, encoding or boundary costs itself and not the mail. Only what
// holds no header at all, or nests without end, is an error, which the syncer
// turns into quarantine.
package envelope

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"mailroom/internal/mailroom"
)

// Limits on what one mail may make us do.
const (
	maxDepth     = 30       // nested multiparts
	maxParts     = 2000     // in all
	maxText      = 1 << 20  // octets of text kept for index and snippet
	maxHeader    = 1 << 20  // octets of one header block
	maxAddresses = 2000     // of one header
	maxField     = 64 << 10 // octets of one unstructured field that is kept
)

// ErrNoMail means that the bytes hold nothing that could be a mail header.
var ErrNoMail = errors.New("no header field found")

// Parse reads a raw mail. Everything of Message is set but ID, OrgID and
// ReceivedAt, which are the caller's. The error says why nobody could read it
// (ErrNoMail, or a broken structure); the raw bytes are then worth keeping.
func Parse(raw []byte) (mailroom.Message, error) {
	sum := sha256.Sum256(raw)
	m := mailroom.Message{RawHash: hex.EncodeToString(sum[:]), Size: int64(len(raw))}
	head, body := splitHeader(withoutMboxLine(raw))
	h := parseHeader(head)
	if len(h) == 0 {
		return m, ErrNoMail
	}
	bodySum := sha256.Sum256(bytes.TrimRight(body, "\r\n"))
	m.BodyHash = hex.EncodeToString(bodySum[:])
	readHeader(&m, h)

	var c contents
	if err := walk(h, body, c.add); err != nil {
		return m, fmt.Errorf("mail structure: %w", err)
	}
	c.into(&m)
	return m, nil
}

// readHeader fills the fields that come from the mail's own header block.
func readHeader(m *mailroom.Message, h header) {
	m.MessageID = mailroom.CleanMessageID(h.get("Message-Id"))
	m.Subject = oneLine(decodeWords(h.get("Subject")))
	m.From = addresses(h.all("From"))
	if len(m.From) == 0 {
		m.From = addresses(h.all("Sender"))
	}
	m.To = addresses(h.all("To"))
	m.Cc = addresses(h.all("Cc"))
	m.Bcc = addresses(h.all("Bcc"))
	m.ReplyTo = addresses(h.all("Reply-To"))
	m.Date = parseDate(h.get("Date"))
	m.InReplyTo = mailroom.CleanMessageID(h.get("In-Reply-To"))
	for _, f := range strings.Fields(h.get("References")) {
		if id := mailroom.CleanMessageID(f); id != "" && len(m.References) < 100 {
			m.References = append(m.References, id)
		}
	}
}

// contents is what a walk over the parts has gathered.
type contents struct {
	plain, html strings.Builder
	hasPlain    bool
	hasHTML     bool
	attachments []mailroom.Attachment
}

// add takes one leaf. Inside multipart/alternative plain text comes first and
// HTML is the same again, so HTML is only read for text when no plain came.
func (c *contents) add(p *part) (stop bool, err error) {
	switch {
	case p.isAttachment():
		c.attachments = append(c.attachments, p.describe())
	case p.media == "text/html":
		c.hasHTML = true
		if c.html.Len() < maxText {
			c.html.WriteString(p.text(maxText))
		}
	default: // text/plain and other text/* shown as such
		c.hasPlain = true
		if c.plain.Len() < maxText {
			c.plain.WriteString(p.text(maxText))
			c.plain.WriteByte('\n')
		}
	}
	return false, nil
}

func (c *contents) into(m *mailroom.Message) {
	m.HasHTML = c.hasHTML
	text := c.plain.String()
	if strings.TrimSpace(text) == "" && c.hasHTML {
		text = htmlToText(c.html.String())
	}
	m.Text = withoutQuotes(text)
	m.Snippet = snippet(m.Text)
	if m.Snippet == "" {
		m.Snippet = snippet(text)
	}
	for _, a := range c.attachments {
		if !a.Inline {
			m.Attachments = append(m.Attachments, a)
		}
	}
}

// Text is the mail as plain text for a reader: the text parts, or the HTML
// turned into text.
func Text(raw []byte) (string, error) {
	var c contents
	head, body := splitHeader(withoutMboxLine(raw))
	if err := walk(parseHeader(head), body, c.add); err != nil {
		return "", err
	}
	if strings.TrimSpace(c.plain.String()) == "" && c.hasHTML {
		return htmlToText(c.html.String()), nil
	}
	return strings.TrimRight(strings.ReplaceAll(c.plain.String(), "\r\n", "\n"), "\n"), nil
}

// OpenPart decodes the part with the path that Attachment.Part gave, whole.
func OpenPart(raw []byte, path string) (mailroom.Attachment, []byte, error) {
	var a mailroom.Attachment
	var data []byte
	found := false
	head, body := splitHeader(withoutMboxLine(raw))
	err := walk(parseHeader(head), body, func(p *part) (bool, error) {
		if p.path != path {
			return false, nil
		}
		found, a, data = true, p.describe(), p.decode()
		return true, nil
	})
	if !found {
		return a, nil, mailroom.E(mailroom.NotFound, "error.not_found", err)
	}
	a.Size = int64(len(data))
	return a, data, nil
}
