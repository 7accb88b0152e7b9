package imapwire

import (
	"strconv"
	"strings"
)

// FetchItems says what to fetch. The UID always is; nothing here marks a
// message as read.
type FetchItems struct {
	Flags        bool
	InternalDate bool
	Size         bool     // RFC822.SIZE: an estimate at Exchange, never to be checked against
	ModSeq       bool     // CONDSTORE (RFC 7162)
	EmailID      bool     // OBJECTID (RFC 8474)
	ThreadID     bool     // OBJECTID
	GmailID      bool     // X-GM-EXT-1: X-GM-MSGID
	GmailThread  bool     // X-GM-EXT-1: X-GM-THRID
	GmailLabels  bool     // X-GM-EXT-1
	HeaderFields []string // BODY.PEEK[HEADER.FIELDS (…)]
	Header       bool     // BODY.PEEK[HEADER]
	Body         bool     // BODY.PEEK[], the whole message
	BodyOctets   int64    // with Body: only the first so many bytes, BODY.PEEK[]<0.n>

	// ChangedSince restricts the answer to messages changed after this
	// MODSEQ; Vanished (with ENABLE QRESYNC) also asks for removed UIDs.
	ChangedSince uint64
	Vanished     bool
}

// FetchHandler gets what a FETCH answers, as it arrives, on the goroutine that
// reads. Any field may be nil. If one returns an error, the rest of that
// command's answer is drained without further calls, the connection stays in
// step, and the call's Wait returns the error; to give up at once, Close.
//
// The order of items is the server's: a body often comes before the UID that
// it belongs to. So Body spools, and Done says what was spooled. Between a Body
// and its Done no other message's calls come. FETCH responses go to the oldest
// FETCH in flight, but a server may put in changed flags of any message at any
// time, and answers a UID twice or never: go by the UID in Done and by whether
// Body came, not by position or count.
type FetchHandler struct {
	// Body gets each body, header or header-field literal. m has only what
	// came before it. What is left unread of lit is drained; lit is dead after
	// return. It may take its time: a slow caller holds the server back by the
	// TCP window and trips no deadline.
	Body func(m *Message, lit *Literal) error
	// Done gets each message once, at the end of its response: every one that
	// has a UID, and every one whose Body was called, be its UID 0 or not.
	Done func(m *Message) error
	// Vanished gets removed UIDs (RFC 7162); earlier is false for those that
	// are removed just now.
	Vanished func(uids UIDSet, earlier bool) error
}

// UIDFetch fetches from the open mailbox (RFC 3501 section 6.4.8). UIDs that do
// not exist are silently not answered, and sometimes ones that do exist are
// not, either. The result is how many messages Done was called for. A set too
// long for a command is refused with [ErrCommandTooLong].
func (c *Client) UIDFetch(set UIDSet, items FetchItems, h FetchHandler) *Call[int] {
	b := c.build("UID FETCH").text(" ").text(set.String()).text(" (UID")
	if len(set) == 0 {
		b.err = ErrBadArgument
	}
	items.write(b)
	b.text(")")
	if items.ChangedSince > 0 {
		b.text(" (CHANGEDSINCE " + strconv.FormatUint(items.ChangedSince, 10))
		if items.Vanished {
			b.text(" VANISHED")
		}
		b.text(")")
	}
	cmd, err := b.end()
	n := new(int)
	counted := h
	counted.Done = func(m *Message) error {
		*n++
		if h.Done == nil {
			return nil
		}
		return h.Done(m)
	}
	cmd.fetch = &counted
	return call(c, cmd, n, err)
}

func (f FetchItems) write(b *builder) {
	for _, it := range []struct {
		on   bool
		text string
	}{
		{f.Flags, "FLAGS"}, {f.InternalDate, "INTERNALDATE"}, {f.Size, "RFC822.SIZE"}, {f.ModSeq, "MODSEQ"},
		{f.EmailID, "EMAILID"}, {f.ThreadID, "THREADID"}, {f.GmailID, "X-GM-MSGID"}, {f.GmailThread, "X-GM-THRID"},
		{f.GmailLabels, "X-GM-LABELS"}, {f.Header, "BODY.PEEK[HEADER]"},
	} {
		if it.on {
			b.text(" " + it.text)
		}
	}
	if len(f.HeaderFields) > 0 {
		for _, name := range f.HeaderFields {
			if !isToken(name) {
				b.err = ErrBadArgument
			}
		}
		b.text(" BODY.PEEK[HEADER.FIELDS (" + strings.Join(f.HeaderFields, " ") + ")]")
	}
	if f.Body {
		b.text(" BODY.PEEK[]")
		if f.BodyOctets > 0 {
			b.text("<0." + strconv.FormatInt(f.BodyOctets, 10) + ">")
		}
	}
}

// isToken tells whether s can stand bare in a command.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if b := s[i]; b <= ' ' || b >= 0x7f || strings.IndexByte(`(){}[]"%*\`, b) >= 0 {
			return false
		}
	}
	return s != ""
}
