package imapwire

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// command is one tagged command and what its answers are gathered in.
type command struct {
	tag, name string
	// parts are the wire text. Between two parts stands a synchronizing
	// literal, for which the server must invite us by "+".
	parts [][]byte
	shown string // for Options.OnCommand
	size  int
	// alone means that nothing may be in flight beside it.
	alone bool
	// invited is called at each "+" that no literal waits for, and may answer.
	invited func(text []byte) (answer []byte, err error)
	// heard gets events while an IDLE runs.
	heard func(Event)
	// finished is called at a tagged OK.
	finished func(Notice)

	done bool
	err  error
	resp Notice

	// Where its data goes; nil if it takes none of that kind.
	fetch    *FetchHandler
	examined *Mailbox
	closed   func() // of examined
	listed   *listing
	status   *Status
	search   *SearchResult
	found    []UIDRange // of search, as they came
	spaces   *Namespaces
	ids      *map[string]string
}

// Call is a command on its way. See the package comment on pipelining.
type Call[T any] struct {
	c   *Client
	cmd *command
	val *T
}

// Wait sends everything that is queued, reads until this call is answered, and
// returns the answer. It may be called again. A context that ends while
// waiting ends the connection, for the answer would come to nobody.
//
// The error is a [*ResponseError] if the server refused, a [*ConnError] if the
// connection is over, the handler's own error if a [FetchHandler] failed, or
// [ErrBadArgument] or [ErrCommandTooLong] if nothing was sent.
func (p *Call[T]) Wait(ctx context.Context) (T, error) {
	if !p.cmd.done {
		err := p.c.run(ctx, func() error { return p.c.pump(func() bool { return p.cmd.done }) })
		if err != nil && !p.cmd.done {
			return *new(T), err
		}
	}
	return *p.val, p.cmd.err
}

// Done tells whether Wait would return at once.
func (p *Call[T]) Done() bool { return p.cmd.done }

// Flush sends what is queued, as far as the window of unanswered commands
// allows, without waiting for an answer.
func (c *Client) Flush(ctx context.Context) error {
	return c.run(ctx, c.send)
}

// call queues a command.
func call[T any](c *Client, cmd *command, val *T, err error) *Call[T] {
	p := &Call[T]{c: c, cmd: cmd, val: val}
	if err == nil && c.err != nil {
		err = c.err
	}
	if err != nil {
		cmd.done, cmd.err = true, err
		return p
	}
	c.queue = append(c.queue, cmd)
	return p
}

// builder writes the text of a command.
type builder struct {
	c     *Client
	cmd   *command
	buf   []byte
	shown []byte
	err   error
}

func (c *Client) build(name string) *builder {
	c.lastTag++
	b := &builder{c: c, cmd: &command{tag: "m" + strconv.FormatUint(c.lastTag, 10), name: name}}
	return b.text(b.cmd.tag).text(" ").text(name)
}

// text writes what is ours as it is.
func (b *builder) text(s string) *builder {
	b.buf = append(b.buf, s...)
	b.shown = append(b.shown, s...)
	return b
}

// str writes a string of the caller: quoted, or as a literal if it holds bytes
// that a quoted string must not (RFC 3501 section 4.3).
func (b *builder) str(s string) *builder { return b.arg(s, false) }

// secret is str without showing it.
func (b *builder) secret(s string) *builder { return b.arg(s, true) }

func (b *builder) arg(s string, secret bool) *builder {
	if strings.ContainsRune(s, 0) || strings.ContainsAny(s, "\r\n") {
		b.err = ErrBadArgument
		return b
	}
	if b.quotable(s) {
		q := appendQuoted(nil, s)
		b.buf = append(b.buf, q...)
		if secret {
			q = []byte("***")
		}
		b.shown = append(b.shown, q...)
		return b
	}
	switch {
	case b.c.Has("LITERAL+") || b.c.Has("LITERAL-") && len(s) <= 4096: // RFC 7888
		b.text(fmt.Sprintf("{%d+}", len(s)))
		b.buf = append(b.buf, "\r\n"...)
	default:
		b.text(fmt.Sprintf("{%d}", len(s)))
		b.cmd.parts = append(b.cmd.parts, append(b.buf, "\r\n"...))
		b.buf = nil
	}
	b.buf = append(b.buf, s...)
	return b
}

func (b *builder) quotable(s string) bool {
	if len(s) > 1000 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f || s[i] >= 0x80 && !b.c.enabled["UTF8=ACCEPT"] {
			return false
		}
	}
	return true
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// end closes the command.
func (b *builder) end() (*command, error) {
	b.cmd.parts = append(b.cmd.parts, append(b.buf, "\r\n"...))
	b.cmd.shown = string(b.shown)
	for _, p := range b.cmd.parts {
		b.cmd.size += len(p)
	}
	if b.err == nil && len(b.shown) > MaxCommand {
		b.err = ErrCommandTooLong
	}
	return b.cmd, b.err
}

// send writes queued commands in one go, as far as they may be sent now.
func (c *Client) send() error {
	var out []byte
	for len(c.queue) > 0 && c.inviter == nil {
		cmd := c.queue[0]
		if len(c.sent) > 0 && (cmd.alone || c.sent[len(c.sent)-1].alone || c.sentLen+cmd.size > window) {
			break
		}
		c.queue[0] = nil
		c.queue = c.queue[1:]
		c.sent = append(c.sent, cmd)
		c.sentLen += cmd.size
		c.count.commands.Add(1)
		if c.opt.OnCommand != nil {
			c.opt.OnCommand(cmd.shown)
		}
		out = append(out, c.part(cmd)...)
		if cmd.fetch != nil || cmd.search != nil {
			c.rd.resize(bulkBuffer)
		}
	}
	if len(c.queue) == 0 {
		c.queue = nil
	}
	if len(out) == 0 {
		return nil
	}
	return c.write(out)
}

func (c *Client) part(cmd *command) []byte {
	p := cmd.parts[0]
	cmd.parts = cmd.parts[1:]
	c.inviter = nil
	if len(cmd.parts) > 0 {
		c.inviter = cmd
	}
	return p
}

// pump sends and reads until done.
func (c *Client) pump(done func() bool) error {
	for !done() {
		if err := c.send(); err != nil {
			return err
		}
		if err := c.response(c.beginBy(), false); err != nil {
			return err
		}
	}
	return nil
}

// alone queues a command that must not share the connection, and waits for it.
func (c *Client) alone(ctx context.Context, cmd *command, err error) error {
	cmd.alone = true
	_, err = call(c, cmd, new(struct{}), err).Wait(ctx)
	return err
}

func (c *Client) beginBy() time.Time {
	d := c.tm.Begin
	if c.Bye() != nil {
		d = min(d, c.tm.AfterBye)
	}
	return time.Now().Add(d)
}

// complete handles a tagged response; it tells whether the tag was ours.
func (c *Client) complete(tag, rest []byte) bool {
	for i, cmd := range c.sent {
		if !bytes.Equal(tag, []byte(cmd.tag)) {
			continue
		}
		c.sent = append(c.sent[:i:i], c.sent[i+1:]...)
		c.sentLen -= cmd.size
		c.pending = 0
		if c.inviter == cmd {
			c.inviter = nil
		}
		if len(c.sent) == 0 && len(c.queue) == 0 {
			c.rd.resize(normalBuffer)
		}
		n := c.notice(rest)
		cmd.resp, cmd.done = n, true
		if cmd.search != nil && len(cmd.found) > 0 {
			cmd.search.UIDs, cmd.found = normal(cmd.found), nil
		}
		if n.Status == "OK" {
			if cmd.examined != nil {
				cmd.examined.code(n)
			}
			if cmd.finished != nil {
				cmd.finished(n)
			}
		} else if cmd.err == nil {
			cmd.err = &ResponseError{Command: cmd.name, Status: n.Status, Code: n.Code, CodeArgs: n.CodeArgs, Text: n.Text}
		}
		return true
	}
	return false
}

// continuation handles "+".
func (c *Client) continuation(text []byte) error {
	if c.inviter != nil {
		return c.write(c.part(c.inviter))
	}
	for _, cmd := range c.sent {
		if cmd.invited == nil {
			continue
		}
		answer, err := cmd.invited(text)
		if err != nil || answer == nil {
			return err
		}
		return c.write(answer)
	}
	c.skip(SkipUnasked, "+")
	return nil
}
