package imapconn

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"

	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
)

// sampledFields are what a preview is made of.
var sampledFields = []string{"From", "To", "Cc", "Subject", "Date", "Message-ID"}

// maxSampledHeader cuts a header that names a thousand recipients, in octets.
const maxSampledHeader = 64 << 10

// HasObjectIDs tells whether the server gives a message an id that it keeps
// wherever it lies: X-GM-MSGID (X-GM-EXT-1) or EMAILID (RFC 8474).
func (c *Conn) HasObjectIDs() bool { return c.wire.Has("X-GM-EXT-1") || c.wire.Has("OBJECTID") }

func objectID(m *imapwire.Message) string {
	if m.Has&imapwire.HasGmailID != 0 {
		return strconv.FormatUint(m.GmailID, 10)
	}
	return m.EmailID
}

// ObjectIDs are the ids of messages of the open folder, by UID; one that has
// none, or did not answer, is left out.
func (c *Conn) ObjectIDs(ctx context.Context, set mailroom.UIDSet) (map[uint32]string, error) {
	out := map[uint32]string{}
	if !c.HasObjectIDs() {
		return out, nil
	}
	items := imapwire.FetchItems{GmailID: c.wire.Has("X-GM-EXT-1"), EmailID: c.wire.Has("OBJECTID")}
	err := c.look(ctx, set, items, func(m *imapwire.Message, _ []byte) {
		if id := objectID(m); id != "" {
			out[m.UID] = id
		}
	})
	return out, err
}

// MessageIDs are the Message-ID headers of messages of the open folder without
// brackets, "" for one that has none; one that did not answer is left out.
func (c *Conn) MessageIDs(ctx context.Context, set mailroom.UIDSet) (map[uint32]string, error) {
	out := map[uint32]string{}
	err := c.look(ctx, set, imapwire.FetchItems{HeaderFields: []string{"Message-ID"}}, func(m *imapwire.Message, header []byte) {
		if m.Has&imapwire.HasBody != 0 {
			out[m.UID] = messageID(header)
		}
	})
	return out, err
}

// messageID finds the field in a header block and unfolds it (RFC 5322 §2.2.3).
func messageID(header []byte) string {
	value, found := "", false
	for line := range bytes.Lines(header) {
		line = bytes.TrimRight(line, "\r\n")
		if found && len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			value += " " + string(bytes.TrimSpace(line))
			continue
		}
		if found {
			break
		}
		name, rest, _ := bytes.Cut(line, []byte(":"))
		if strings.EqualFold(string(bytes.TrimRight(name, " \t")), "Message-ID") {
			value, found = string(bytes.TrimSpace(rest)), true
		}
	}
	return mailroom.CleanMessageID(value)
}

// Sample tells size and date of messages of the open folder, in no order, and
// with headers what they say about themselves.
func (c *Conn) Sample(ctx context.Context, set mailroom.UIDSet, headers bool, each func(mailroom.Sampled)) error {
	items := imapwire.FetchItems{Size: true, InternalDate: true}
	if headers {
		items.HeaderFields = sampledFields
	}
	return c.look(ctx, set, items, func(m *imapwire.Message, header []byte) {
		// Changed flags of any message may be put in at any time.
		if m.Has&(imapwire.HasSize|imapwire.HasInternalDate|imapwire.HasBody) != 0 {
			each(mailroom.Sampled{UID: m.UID, Size: m.Size, InternalDate: m.InternalDate, Header: header})
		}
	})
}

// look fetches small items of the open folder; each is called once for every
// UID of the set that answered, with the header if one was asked for.
func (c *Conn) look(ctx context.Context, set mailroom.UIDSet, items imapwire.FetchItems, each func(*imapwire.Message, []byte)) error {
	var header []byte
	seen, asked := map[uint32]bool{}, askedFor(items)
	h := imapwire.FetchHandler{
		Body: func(_ *imapwire.Message, lit *imapwire.Literal) (err error) {
			header, err = io.ReadAll(io.LimitReader(lit, maxSampledHeader))
			return err
		},
		Done: func(m *imapwire.Message) error {
			its := header
			header = nil
			// What has nothing that was asked for is a message whose flags changed meanwhile.
			if m.UID == 0 || seen[m.UID] || !set.Contains(m.UID) || m.Has&asked == 0 {
				return nil
			}
			seen[m.UID] = true
			each(m, its)
			return nil
		},
	}
	pieces := toWire(set).Split(imapwire.MaxSet)
	for _, piece := range pieces {
		if _, err := c.wire.UIDFetch(piece, items, h).Wait(ctx); err != nil {
			return c.fail(err)
		}
	}
	return nil
}

// askedFor is what an answer to these items has, all or some of it.
func askedFor(items imapwire.FetchItems) imapwire.Has {
	var asked imapwire.Has
	for bit, on := range map[imapwire.Has]bool{
		imapwire.HasSize: items.Size, imapwire.HasInternalDate: items.InternalDate, imapwire.HasGmailID: items.GmailID,
		imapwire.HasEmailID: items.EmailID, imapwire.HasBody | imapwire.HasNIL: len(items.HeaderFields) > 0,
	} {
		if on {
			asked |= bit
		}
	}
	return asked
}

// Find looks for mails in the open folder by their headers. The keys are simple
// and stand side by side: Exchange answers BAD to nested ones (docs/providers.md
// 3.2). A server finds a Message-ID also as a part of another, so what it found
// is compared.
func (c *Conn) Find(ctx context.Context, terms mailroom.FindTerms) (mailroom.UIDSet, error) {
	q := imapwire.Criteria{}
	id := mailroom.CleanMessageID(terms.MessageID)
	for _, h := range []imapwire.HeaderTerm{
		{Field: "Message-ID", Contains: id}, {Field: "Subject", Contains: line(terms.Subject)}, {Field: "From", Contains: line(terms.From)},
	} {
		if h.Contains != "" {
			q.Header = append(q.Header, h)
		}
	}
	if len(q.Header) == 0 {
		return mailroom.UIDSet{}, nil // not ALL
	}
	res, err := c.wire.UIDSearch(q, c.wire.Has("ESEARCH")).Wait(ctx)
	if err != nil {
		return mailroom.UIDSet{}, c.fail(err)
	}
	found := fromWire(res.UIDs)
	if id == "" || found.Empty() {
		return found, nil
	}
	ids, err := c.MessageIDs(ctx, found.Newest(maxFound))
	if err != nil {
		return mailroom.UIDSet{}, err
	}
	var exact []uint32
	for uid, its := range ids {
		if its == id {
			exact = append(exact, uid)
		}
	}
	return mailroom.UIDs(exact...), nil
}

// maxFound bounds how many mails with a like Message-ID are looked at.
const maxFound = 500

// line is what a person pasted, as it may stand in a command.
func line(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "\x00", "")), " ")
}
