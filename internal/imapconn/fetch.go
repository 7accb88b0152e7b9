package imapconn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
)

// UIDs lists the UIDs of the open folder from one on. "n:*" always names the
// last message too, even if its UID is below n (RFC 3501 §6.4.8): that one is
// filtered out. A server that answers a full listing of a folder with messages
// by nothing at all is not believed.
func (c *Conn) UIDs(ctx context.Context, from uint32) (mailroom.UIDSet, error) {
	from = max(from, 1)
	q := imapwire.Criteria{}
	if from > 1 {
		q.UIDs = imapwire.UIDsFrom(from)
	}
	res, err := c.wire.UIDSearch(q, c.wire.Has("ESEARCH")).Wait(ctx)
	if err != nil {
		return mailroom.UIDSet{}, c.fail(err)
	}
	if from == 1 && !res.Answered && c.exists > 0 {
		return mailroom.UIDSet{}, mailroom.E(mailroom.Unavailable, "imap.error.short_answer")
	}
	set := fromWire(res.UIDs)
	if from > 1 {
		set = set.Minus(mailroom.Range(1, from-1))
	}
	return set, nil
}

// UIDsSince lists the UIDs of mails received on or after a calendar day, by the
// server's idea of time zones.
func (c *Conn) UIDsSince(ctx context.Context, day time.Time) (mailroom.UIDSet, error) {
	res, err := c.wire.UIDSearch(imapwire.Criteria{Since: day}, c.wire.Has("ESEARCH")).Wait(ctx)
	if err != nil {
		return mailroom.UIDSet{}, c.fail(err)
	}
	return fromWire(res.UIDs), nil
}

func fromWire(s imapwire.UIDSet) mailroom.UIDSet {
	rs := make([]mailroom.UIDRange, 0, len(s))
	for _, r := range s {
		rs = append(rs, mailroom.UIDRange{From: r.First, To: r.Last})
	}
	return mailroom.UIDRanges(rs...)
}

func toWire(s mailroom.UIDSet) imapwire.UIDSet {
	var out imapwire.UIDSet
	for _, r := range s.Ranges() {
		out.AddRange(r.From, r.To)
	}
	return out
}

// chunkSizes of a fetch: the first is small, so that the newest mail is there
// at once; the rest are wide, since each command costs a round trip.
var chunkSizes = []int64{25, 100, 400}

// chunks cuts a set newest first; each fits a command of 8 KB.
func chunks(set mailroom.UIDSet) []imapwire.UIDSet {
	var out []imapwire.UIDSet
	for i := 0; !set.Empty(); i++ {
		part := set.Newest(chunkSizes[min(i, len(chunkSizes)-1)])
		set = set.Minus(part)
		pieces := toWire(part).Split(imapwire.MaxSet)
		slices.Reverse(pieces)
		out = append(out, pieces...)
	}
	return out
}

// Fetch reads whole messages of the open folder, newest chunk first, and calls
// each once for every UID that answered. UIDs that did not answer at all are
// not called: the caller knows what it asked for. Two commands are in flight. A
// chunk that the server refuses stops no other, unless it refuses them all. An
// error from each ends the connection and is returned.
func (c *Conn) Fetch(ctx context.Context, set mailroom.UIDSet, each func(mailroom.FetchedMail) error) error {
	items := imapwire.FetchItems{
		Flags: true, InternalDate: true, Body: true, ModSeq: c.CanCondStore(),
		GmailID: c.wire.Has("X-GM-EXT-1"), EmailID: c.wire.Has("OBJECTID"),
	}
	r := &fetching{wanted: set, each: each, limit: c.account.MaxMessage, seen: map[uint32]bool{}}
	h := imapwire.FetchHandler{Body: r.body, Done: r.done}
	var waiting []*imapwire.Call[int]
	var refusal error
	taken := false
	wait := func() error {
		call := waiting[0]
		waiting = waiting[1:]
		_, err := call.Wait(ctx)
		var refused *imapwire.ResponseError
		if errors.As(err, &refused) && mailroom.KindOf(c.fail(err)) == mailroom.Unavailable {
			refusal = err
			return nil
		}
		taken = taken || err == nil
		return err
	}
	for _, chunk := range chunks(set) {
		waiting = append(waiting, c.wire.UIDFetch(chunk, items, h))
		if len(waiting) == 2 {
			if err := wait(); err != nil {
				return c.endFetch(r, err)
			}
		}
	}
	for len(waiting) > 0 {
		if err := wait(); err != nil {
			return c.endFetch(r, err)
		}
	}
	if refusal != nil && !taken {
		return c.fail(refusal)
	}
	return r.flush()
}

func (c *Conn) endFetch(r *fetching, err error) error {
	r.drop()
	if r.failed != nil {
		// Draining what is still in flight may be megabytes for nobody.
		c.wire.Close()
		return r.failed
	}
	return c.fail(err)
}

// fetching gathers the answers of one Fetch.
type fetching struct {
	wanted mailroom.UIDSet
	each   func(mailroom.FetchedMail) error
	limit  int64
	seen   map[uint32]bool
	// bare are UIDs that answered without a body so far.
	bare    []mailroom.FetchedMail
	spooled spool
	has     bool
	refused string
	size    int64
	failed  error
}

func (r *fetching) body(_ *imapwire.Message, lit *imapwire.Literal) error {
	r.drop()
	r.has, r.size = true, lit.Size
	switch {
	case lit.Size > r.limit:
		r.refused = "too_large" // the wire drains it
		return nil
	case lit.Size == 0:
		r.refused = "empty"
		return nil
	}
	in := wireReader{r: lit}
	s, err := readSpool(&in, lit.Size)
	if err != nil {
		if in.err == nil { // ours, such as a full disk; else the wire says what it is
			r.failed = err
		}
		return err
	}
	r.spooled = s
	return nil
}

// wireReader remembers whether reading failed.
type wireReader struct {
	r   io.Reader
	err error
}

func (w *wireReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil {
		w.err = err
	}
	return n, err
}

func (r *fetching) drop() {
	if r.spooled.release != nil {
		r.spooled.release()
	}
	r.spooled, r.has, r.refused, r.size = spool{}, false, "", 0
}

func (r *fetching) done(m *imapwire.Message) error {
	if m.UID == 0 || !r.wanted.Contains(m.UID) || r.seen[m.UID] {
		r.drop()
		return nil
	}
	mail := mailroom.FetchedMail{
		UID: m.UID, Flags: flags(m.Flags), InternalDate: m.InternalDate, ModSeq: m.ModSeq, ObjectID: objectID(m),
		Release: func() {},
	}
	if !r.has {
		// Changed flags of any message may be put in at any time; only an answer
		// that holds what we asked for says that the body is being withheld.
		if m.Has&(imapwire.HasNIL|imapwire.HasInternalDate) != 0 {
			mail.Refused = "empty"
			r.bare = append(r.bare, mail)
		}
		return nil
	}
	mail.Size, mail.Refused = r.size, r.refused
	if r.spooled.release != nil {
		mail.Raw, mail.Release = r.spooled.bytes, r.spooled.release
	}
	if mail.Refused == "" && isPlaceholder(mail.Raw) {
		mail.Refused = "placeholder"
	}
	r.spooled, r.has, r.refused, r.size = spool{}, false, "", 0
	return r.give(mail)
}

func (r *fetching) give(mail mailroom.FetchedMail) error {
	r.seen[mail.UID] = true
	if err := r.each(mail); err != nil {
		r.failed = err
		return err
	}
	return nil
}

// flush reports those that answered and never sent a body.
func (r *fetching) flush() error {
	for _, mail := range r.bare {
		if r.seen[mail.UID] {
			continue
		}
		if err := r.give(mail); err != nil {
			return err
		}
	}
	return nil
}

// isPlaceholder recognises the note that Exchange puts in place of a mail that
// it cannot convert (docs/providers.md 3.6).
func isPlaceholder(raw []byte) bool {
	head := raw[:min(len(raw), 8<<10)]
	return bytes.Contains(head, []byte("Retrieval using the IMAP4 protocol failed for the following message")) &&
		(bytes.Contains(head, []byte(".MISSING-HOST-NAME.")) || bytes.Contains(head, []byte("Microsoft Exchange")))
}

func flags(list []string) mailroom.Flags {
	var f mailroom.Flags
	for _, s := range list {
		switch {
		case strings.EqualFold(s, `\Seen`):
			f.Seen = true
		case strings.EqualFold(s, `\Flagged`):
			f.Flagged = true
		case strings.EqualFold(s, `\Answered`):
			f.Answered = true
		case strings.EqualFold(s, `\Deleted`):
			f.Deleted = true
		case strings.EqualFold(s, `\Draft`):
			f.Draft = true
		}
	}
	return f
}

// Flags reads the flags of the given UIDs in the open folder; with changedSince
// only of those changed after that MODSEQ (RFC 7162 §3.1.4), else 0.
func (c *Conn) Flags(ctx context.Context, set mailroom.UIDSet, changedSince uint64, each func(mailroom.FlagChange)) error {
	items := imapwire.FetchItems{Flags: true, ModSeq: c.CanCondStore(), ChangedSince: changedSince}
	h := imapwire.FetchHandler{Done: func(m *imapwire.Message) error {
		if m.UID != 0 && m.Has&imapwire.HasFlags != 0 && set.Contains(m.UID) {
			each(mailroom.FlagChange{UID: m.UID, Flags: flags(m.Flags), ModSeq: m.ModSeq})
		}
		return nil
	}}
	for _, piece := range toWire(set).Split(imapwire.MaxSet) {
		if _, err := c.wire.UIDFetch(piece, items, h).Wait(ctx); err != nil {
			return c.fail(err)
		}
	}
	return nil
}

// Idle waits for news of the open folder: true at the first, false when it is
// time to renew or the wait was ended by ctx, which leaves the connection
// usable. News that came since the last EXAMINE counts at once.
func (c *Conn) Idle(ctx context.Context) (changed bool, err error) {
	if c.news {
		c.news = false
		return true, nil
	}
	stop := context.AfterFunc(ctx, c.wire.Interrupt)
	defer stop()
	_, err = c.wire.Idle(context.WithoutCancel(ctx), c.account.IdleRenewal, func(imapwire.Event) bool {
		return c.news // set by onEvent, which hears it first
	})
	changed, c.news = c.news, false
	return changed, c.fail(err)
}
