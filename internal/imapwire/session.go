package imapwire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"strings"
)

// Capability asks what the server can do (RFC 3501 section 6.1.1); see
// [Client.Has].
func (c *Client) Capability() *Call[[]string] {
	cmd, err := c.build("CAPABILITY").end()
	caps := new([]string)
	cmd.finished = func(Notice) { *caps = c.Capabilities() }
	return call(c, cmd, caps, err)
}

func (c *Client) readCapability() error {
	var words []string
	for {
		if err := c.rd.spaces(); err != nil {
			return err
		}
		if eol, err := c.rd.atEOL(); err != nil {
			return err
		} else if eol {
			break
		}
		w, err := c.rd.word()
		if err != nil {
			return err
		}
		if w == "" {
			return errSyntax
		}
		if lim := c.lim.Items; len(words) >= lim {
			return &LimitError{"Items", int64(lim)}
		}
		words = append(words, w)
	}
	c.setCaps(words)
	return nil
}

// ID tells the server who we are and asks who it is (RFC 2971): pairs of field
// and value, such as "name", "Mailroom". The answer's keys are in lower case;
// it may be empty.
func (c *Client) ID(pairs ...string) *Call[map[string]string] {
	b := c.build("ID").text(" ")
	if len(pairs)%2 != 0 {
		b.err = ErrBadArgument
	}
	if len(pairs) == 0 {
		b.text("NIL")
	}
	for i, s := range pairs {
		b.text(map[bool]string{true: "(", false: " "}[i == 0]).str(s)
	}
	if len(pairs) > 0 {
		b.text(")")
	}
	cmd, err := b.end()
	ids := map[string]string{}
	cmd.ids = &ids
	return call(c, cmd, cmd.ids, err)
}

func (c *Client) readID() error {
	out := map[string]string{}
	key, odd := "", false
	err := c.rd.list(func() error {
		if b, err := c.rd.peek(); err != nil {
			return err
		} else if b == '(' {
			return c.rd.value(0)
		}
		s, err := c.rd.str()
		if err != nil {
			return err
		}
		if odd = !odd; odd {
			key = strings.ToLower(string(s))
		} else if s != nil {
			out[key] = string(s)
		}
		return nil
	})
	if cmd := c.taker(func(cmd *command) bool { return cmd.ids != nil }); cmd != nil {
		*cmd.ids = out
	} else {
		c.skip(SkipUnasked, "ID")
	}
	return err
}

// Enable turns extensions on (RFC 5161). The answer is what the server
// confirmed, in upper case; [Client.Enabled] remembers it. Some servers'
// answers are odd, so do not insist on it.
func (c *Client) Enable(capabilities ...string) *Call[[]string] {
	b := c.build("ENABLE")
	for _, w := range capabilities {
		if w == "" || strings.ContainsAny(w, " \r\n\x00\"{}()") {
			b.err = ErrBadArgument
		}
		b.text(" " + w)
	}
	if len(capabilities) == 0 {
		b.err = ErrBadArgument
	}
	cmd, err := b.end()
	out := new([]string)
	cmd.finished = func(Notice) {
		for _, w := range capabilities {
			if c.Enabled(w) {
				*out = append(*out, strings.ToUpper(w))
			}
		}
	}
	return call(c, cmd, out, err)
}

func (c *Client) readEnabled() error {
	for {
		if err := c.rd.spaces(); err != nil {
			return err
		}
		w, err := c.rd.word()
		if err != nil {
			return err
		}
		if w == "" {
			return nil
		}
		if c.enabled == nil {
			c.enabled = map[string]bool{}
		}
		if lim := c.lim.Items; len(c.enabled) >= lim {
			return &LimitError{"Items", int64(lim)}
		}
		c.enabled[w] = true
	}
}

// Noop asks for nothing; what changed meanwhile arrives as events.
func (c *Client) Noop() *Call[struct{}] {
	cmd, err := c.build("NOOP").end()
	return call(c, cmd, new(struct{}), err)
}

// StartTLS puts the connection under TLS (RFC 3501 section 6.2.1). Bytes that
// arrived in the clear behind the server's answer end the connection with
// [ErrInjected]; a PREAUTH greeting refuses with [ErrPreauth]. Capabilities
// are forgotten, for whoever stood in between could have written them.
func (c *Client) StartTLS(ctx context.Context, conf *tls.Config) error {
	if c.tls {
		return ErrAlreadyTLS
	}
	if c.greeting.Status == "PREAUTH" {
		return ErrPreauth
	}
	cmd, err := c.build("STARTTLS").end()
	if err := c.alone(ctx, cmd, err); err != nil {
		return err
	}
	return c.run(ctx, func() error {
		if c.rd.buffered() > 0 {
			return ErrInjected
		}
		t := tls.Client(c.conn, conf)
		c.mu.Lock()
		c.conn = t
		c.mu.Unlock()
		c.armRead(c.beginBy(), false)
		if err := t.HandshakeContext(ctx); err != nil {
			return err
		}
		c.tls = true
		c.caps, c.enabled = nil, nil
		return nil
	})
}

// Logout says goodbye, waits for the server's answer, and closes. A server
// that just hangs up has answered too.
func (c *Client) Logout(ctx context.Context) error {
	defer c.Close()
	cmd, err := c.build("LOGOUT").end()
	err = c.alone(ctx, cmd, err)
	if ce := (*ConnError)(nil); errors.As(err, &ce) && errors.Is(ce.Err, io.EOF) {
		err = nil
	}
	if c.err == nil {
		c.run(context.Background(), func() error { return ErrClosed })
	}
	return err
}

// Namespaces are the roots of the folder tree (RFC 2342); any may be empty.
type Namespaces struct{ Personal, Other, Shared []Namespace }

// Namespace is one root.
type Namespace struct {
	Prefix    string // raw
	Delimiter string // "" in a flat namespace
}

// Namespace asks for the roots. Exchange answers it only if the mailbox behind
// the sign-in really opens, which makes it the cheapest test of that.
func (c *Client) Namespace() *Call[Namespaces] {
	cmd, err := c.build("NAMESPACE").end()
	cmd.spaces = new(Namespaces)
	return call(c, cmd, cmd.spaces, err)
}

func (c *Client) readNamespace() error {
	var ns Namespaces
	for _, to := range []*[]Namespace{&ns.Personal, &ns.Other, &ns.Shared} {
		if err := c.rd.spaces(); err != nil {
			return err
		}
		if eol, err := c.rd.atEOL(); err != nil {
			return err
		} else if eol {
			break
		}
		err := c.rd.list(func() error {
			one, err := c.readRoot()
			if err == nil {
				*to = append(*to, one)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if cmd := c.taker(func(cmd *command) bool { return cmd.spaces != nil }); cmd != nil {
		*cmd.spaces = ns
	} else {
		c.skip(SkipUnasked, "NAMESPACE")
	}
	return nil
}

func (c *Client) readRoot() (Namespace, error) {
	var parts []string
	err := c.rd.list(func() error {
		if b, err := c.rd.peek(); err != nil {
			return err
		} else if b == '(' {
			return c.rd.value(0)
		}
		s, err := c.rd.str()
		parts = append(parts, string(s))
		return err
	})
	parts = slices.Grow(parts, 2)[:max(len(parts), 2)]
	return Namespace{Prefix: parts[0], Delimiter: parts[1]}, err
}
