package imapwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Client is one IMAP connection. It is used by one goroutine at a time (a
// second one gets [ErrBusy]); only Interrupt, Close, Stats and Bye may be
// called from others.
type Client struct {
	opt Options
	lim Limits
	tm  Timeouts

	conn net.Conn
	rd   reader
	tls  bool

	busy  atomic.Bool
	err   *ConnError // set once the connection is over
	count counters

	greeting Notice
	caps     map[string]bool // nil: not known
	enabled  map[string]bool
	// capsHeard is set by each news of capabilities.
	capsHeard bool
	stray     string

	lastTag uint64
	queue   []*command // not sent
	sent    []*command // sent, not answered, oldest first
	sentLen int        // bytes of commands in sent
	inviter *command   // sent in part: waits for "+" before the rest
	pending int        // responses since the last completion
	wrote   bool       // since the last wait, for Stats.RoundTrips
	hungUp  bool       // a write failed

	mu          sync.Mutex // guards what other goroutines touch
	bye         *Notice
	closed      bool
	cancelled   bool
	interrupted bool
	idleWait    bool
}

// NewClient takes over a connection that the caller dialled, a *tls.Conn for
// implicit TLS, and reads the greeting. On error, which is a [*ConnError], the
// connection is closed; it shows a farewell or a line that is no IMAP if the
// server said that instead.
func NewClient(ctx context.Context, conn net.Conn, opt Options) (*Client, error) {
	c := &Client{opt: opt, lim: opt.Limits.withDefaults(), tm: opt.Timeouts.withDefaults(), conn: conn}
	_, c.tls = conn.(interface{ HandshakeContext(context.Context) error })
	c.rd = reader{c: c, buf: make([]byte, normalBuffer)}
	err := c.run(ctx, func() error {
		for c.greeting.Status == "" {
			if err := c.response(time.Now().Add(c.tm.Begin), false); err != nil {
				return err
			}
			if c.Bye() != nil {
				return io.EOF
			}
		}
		if s := c.greeting.Status; s != "OK" && s != "PREAUTH" {
			return &ResponseError{Status: s, Code: c.greeting.Code, CodeArgs: c.greeting.CodeArgs, Text: c.greeting.Text}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Greeting is the server's first line. Status PREAUTH means that no sign-in is
// wanted.
func (c *Client) Greeting() Notice { return c.greeting }

// TLS tells whether the connection is encrypted.
func (c *Client) TLS() bool { return c.tls }

// Bye is the server's farewell, nil if it said none.
func (c *Client) Bye() *Notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bye
}

// Err is the end of the connection as a [*ConnError], nil while it lives.
func (c *Client) Err() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// Has tells whether the server announced a capability, such as "IDLE" or
// "AUTH=XOAUTH2". Capabilities come by the greeting, by the answers to
// AUTHENTICATE and LOGIN where the server adds them, and by Capability; they
// are forgotten by STARTTLS and by signing in (RFC 3501 section 6.1.1).
func (c *Client) Has(capability string) bool { return c.caps[strings.ToUpper(capability)] }

// KnowsCapabilities tells whether the capabilities of the present state were
// heard; if not, ask by Capability.
func (c *Client) KnowsCapabilities() bool { return c.caps != nil }

// Capabilities lists them sorted, in upper case; nil when not known.
func (c *Client) Capabilities() []string {
	if c.caps == nil {
		return nil
	}
	out := make([]string, 0, len(c.caps))
	for k := range c.caps {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Enabled tells whether the server confirmed ENABLE of a capability.
func (c *Client) Enabled(capability string) bool { return c.enabled[strings.ToUpper(capability)] }

func (c *Client) setCaps(words []string) {
	c.capsHeard = true
	c.caps = make(map[string]bool, len(words))
	for _, w := range words {
		c.caps[strings.ToUpper(w)] = true
	}
}

// Close closes the connection without a word, from any goroutine. A call in
// progress fails with [ErrClosed].
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	conn := c.conn
	c.mu.Unlock()
	return conn.Close()
}

// Interrupt ends the IDLE in progress politely, from any goroutine. Without
// one, the next Idle returns at once: a wish to be woken is never lost.
func (c *Client) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	if c.idleWait {
		c.conn.SetReadDeadline(longAgo)
	}
}

var longAgo = time.Unix(1, 0)

// cancel unblocks whatever the connection waits for.
func (c *Client) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancelled = true
	c.conn.SetDeadline(longAgo)
}

// armRead sets the deadline of the next read. A cancellation or interruption
// that came before must not be overwritten by it, hence the lock.
func (c *Client) armRead(until time.Time, idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idleWait = idle
	if c.cancelled || idle && c.interrupted {
		until = longAgo
	}
	c.conn.SetReadDeadline(until) // fails only on a closed connection, and then so does the read
}

func (c *Client) write(p []byte) error {
	c.mu.Lock()
	until := time.Now().Add(c.tm.Write)
	if c.cancelled {
		until = longAgo
	}
	c.conn.SetWriteDeadline(until)
	c.mu.Unlock()
	n, err := c.conn.Write(p)
	c.count.written.Add(uint64(n))
	c.wrote = true
	if err != nil && !isTimeout(err) {
		c.lastWords()
	}
	return err
}

// lastWords reads what the server had said before it hung up on our writing:
// its BYE tells why, the write error does not.
func (c *Client) lastWords() {
	if c.hungUp {
		return
	}
	c.hungUp = true
	for until := time.Now().Add(time.Second); c.response(until, false) == nil; {
	}
}

// run does work on the connection for the goroutine that waits. Any error of
// the work ends the connection.
func (c *Client) run(ctx context.Context, work func() error) error {
	if !c.busy.CompareAndSwap(false, true) {
		return ErrBusy
	}
	defer c.busy.Store(false)
	if c.err != nil {
		return c.err
	}
	if ctx.Done() != nil {
		// No goroutine is started unless the context really ends.
		stop := context.AfterFunc(ctx, c.cancel)
		defer stop()
	}
	err := work()
	if err == nil {
		return nil
	}
	return c.fail(ctx, err)
}

// fail ends the connection.
func (c *Client) fail(ctx context.Context, err error) error {
	c.mu.Lock()
	closed, cancelled := c.closed, c.cancelled
	c.mu.Unlock()
	switch {
	case closed:
		err = ErrClosed
	case cancelled && isTimeout(err):
		if err = context.Cause(ctx); err == nil {
			err = context.Canceled
		} else if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
	c.conn.Close()
	c.err = &ConnError{Err: err, Bye: c.Bye(), Stray: c.stray}
	for _, cmd := range append(c.sent, c.queue...) {
		cmd.done = true
		if cmd.err == nil {
			cmd.err = c.err
		}
	}
	c.sent, c.queue, c.inviter = nil, nil, nil
	c.rd.release()
	return c.err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
