package imapwire

import (
	"sync"
	"time"
)

// MaxCommand is the longest command line that is sent, in bytes without CRLF
// and without literals. Exchange refuses commands over 10,240 bytes and closes
// the connection after some refusals (Set-ImapSettings MaxCommandSize), so
// UID sets are split well below it: see [UIDSet.Split].
const MaxCommand = 8000

// window is how many bytes of commands may be unanswered at once. More wait in
// our queue: we do not read while we write, so a server that stops reading
// until its answers are read would block both sides. It holds the counts of a
// hundred folders, and any buffer on the way holds it.
const window = 8 << 10

// Limits bounds what a server may send. A field that is zero takes its value
// from [DefaultLimits]. Exceeding one ends the connection with a [*LimitError].
type Limits struct {
	// Response is the size of one response without its literals, in bytes.
	// "* SEARCH" with a number for each of two million messages needs 16 MB;
	// such a response is parsed as it arrives and never held as text.
	Response int64
	// Token is the size of one atom, quoted string or small literal that is
	// kept in memory: a mailbox name, a flag, an id, an ESEARCH tag.
	Token int
	// Text is how much of a status line, continuation or stray line is kept,
	// in bytes. The rest is dropped without error.
	Text int
	// Literal is the size of one literal, also one that is only skipped. A
	// caller that wants a lower cap for messages looks at Literal.Size.
	Literal int64
	// Depth is how deep parentheses may nest.
	Depth int
	// Items is how many elements one list may have that is kept in memory:
	// flags, labels, capabilities, items of one FETCH response.
	Items int
	// Numbers is how many ranges of numbers one SEARCH command may find, or one
	// VANISHED response may hold.
	Numbers int
	// Names is how many mailboxes one LIST may answer.
	Names int
	// Responses is how many responses may arrive before a command in flight
	// is completed, counted anew by each completion.
	Responses int
}

// DefaultLimits are wide enough for a mailbox with two million messages and
// tight enough that a hostile server cannot fill the memory.
func DefaultLimits() Limits {
	return Limits{
		Response:  32 << 20,
		Token:     64 << 10,
		Text:      16 << 10,
		Literal:   1 << 30,
		Depth:     64,
		Items:     10_000,
		Numbers:   4_000_000,
		Names:     100_000,
		Responses: 20_000_000,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	pick(&l.Response, d.Response)
	pick(&l.Token, d.Token)
	pick(&l.Text, d.Text)
	pick(&l.Literal, d.Literal)
	pick(&l.Depth, d.Depth)
	pick(&l.Items, d.Items)
	pick(&l.Numbers, d.Numbers)
	pick(&l.Names, d.Names)
	pick(&l.Responses, d.Responses)
	return l
}

// Timeouts are deadlines that follow bytes: each is renewed by what it waits
// for, so a large message on a slow line never runs into one, and a dead peer
// always does. A caller that is slow to take a body is not timed. A field that
// is zero takes its value from [DefaultTimeouts].
type Timeouts struct {
	// Begin is the wait for a response to begin, from when the last one ended.
	Begin time.Duration
	// Progress is the wait for more bytes within a response that has begun.
	Progress time.Duration
	// Write is the time for one write, of at most a window of commands.
	Write time.Duration
	// AfterBye replaces Begin once the server said BYE: it owes no more than
	// the answer to the command in hand.
	AfterBye time.Duration
}

// DefaultTimeouts allow a server two minutes to think (Exchange needs them for
// a first EXAMINE of a large folder) and one minute of silence in mid-sentence.
func DefaultTimeouts() Timeouts {
	return Timeouts{Begin: 2 * time.Minute, Progress: time.Minute, Write: time.Minute, AfterBye: 5 * time.Second}
}

func (t Timeouts) withDefaults() Timeouts {
	d := DefaultTimeouts()
	pick(&t.Begin, d.Begin)
	pick(&t.Progress, d.Progress)
	pick(&t.Write, d.Write)
	pick(&t.AfterBye, d.AfterBye)
	return t
}

func pick[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Options of a [Client]. The zero value works.
type Options struct {
	Limits   Limits
	Timeouts Timeouts

	// OnEvent gets what the server says unasked, on the goroutine that reads.
	// It must not wait for a call; it may make one.
	OnEvent func(Event)

	// OnCommand gets every command line as it is sent, with tag, without CRLF,
	// with secrets replaced by "***" and literals by their length; also the
	// answers to continuations ("DONE", "***"). Lines hold addresses and folder
	// names: for tests and for a debug switch, not for the log.
	OnCommand func(line string)

	// OnSkip is told of everything that is skipped: its kind and the word that
	// was not understood (a response's or item's name, never its content).
	OnSkip func(kind SkipKind, word string)

	// Buffers, shared by many clients, recycles the 64 KB read buffers of bulk
	// reading. Without it each client allocates its own.
	Buffers *Buffers
}

// Buffer sizes by what the connection is doing (PERFORMANCE: ten thousand idle
// connections must be cheap, one bulk connection must be quick).
const (
	idleBuffer   = 512
	normalBuffer = 4 << 10
	bulkBuffer   = 64 << 10
)

// Buffers is a pool of bulk read buffers. The zero value is ready; it is safe
// for concurrent use.
type Buffers struct{ pool sync.Pool }

func (b *Buffers) get() []byte {
	if b != nil {
		if p, ok := b.pool.Get().(*[bulkBuffer]byte); ok {
			return p[:]
		}
	}
	return make([]byte, bulkBuffer)
}

func (b *Buffers) put(buf []byte) {
	if b != nil && len(buf) == bulkBuffer {
		b.pool.Put((*[bulkBuffer]byte)(buf))
	}
}
