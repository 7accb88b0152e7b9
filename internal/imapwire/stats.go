package imapwire

import "sync/atomic"

// SkipKind says why something the server sent was skipped.
type SkipKind int

const (
	SkipLine      SkipKind = iota // a line that is no IMAP response at all
	SkipResponse                  // an untagged response of unknown name
	SkipItem                      // an unknown item in a FETCH, STATUS, LIST or ESEARCH response
	SkipMalformed                 // a known response that could not be read to its end, or a value that made no sense
	SkipCode                      // a response code whose brackets do not close
	SkipUnasked                   // data that no command in flight asked for
	skipKinds
)

func (k SkipKind) String() string {
	return [...]string{"line", "response", "item", "malformed", "code", "unasked", "?"}[min(k, skipKinds)]
}

// Stats counts what went over one connection.
type Stats struct {
	BytesRead, BytesWritten uint64 // as IMAP, without TLS's share
	Commands                uint64 // commands sent
	RoundTrips              uint64 // times that we sent something and then waited for the server
	Responses               uint64 // responses read, also skipped ones
	Skipped                 [skipKinds]uint64
}

// SkippedTotal is the sum over all kinds.
func (s Stats) SkippedTotal() (n uint64) {
	for _, v := range s.Skipped {
		n += v
	}
	return n
}

type counters struct {
	read, written, commands, trips, responses atomic.Uint64
	skipped                                   [skipKinds]atomic.Uint64
}

// Stats may be called from any goroutine.
func (c *Client) Stats() Stats {
	s := Stats{
		BytesRead: c.count.read.Load(), BytesWritten: c.count.written.Load(),
		Commands: c.count.commands.Load(), RoundTrips: c.count.trips.Load(), Responses: c.count.responses.Load(),
	}
	for i := range s.Skipped {
		s.Skipped[i] = c.count.skipped[i].Load()
	}
	return s
}

func (c *Client) skip(kind SkipKind, word string) {
	c.count.skipped[kind].Add(1)
	if c.opt.OnSkip != nil {
		c.opt.OnSkip(kind, word)
	}
}
