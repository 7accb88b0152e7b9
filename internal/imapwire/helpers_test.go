package imapwire

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"mailroom/internal/imapwire/wiretest"
)

// open connects to a scripted server that has already greeted with the
// capabilities, if any.
func open(t *testing.T, caps, script string, opts ...func(*Options)) *Client {
	t.Helper()
	greeting := "S: * OK ready\n"
	if caps != "" {
		greeting = "S: * OK [CAPABILITY IMAP4rev1 " + caps + "] ready\n"
	}
	return connect(t, wiretest.Play(t, greeting+script), opts...)
}

func connect(t *testing.T, conn net.Conn, opts ...func(*Options)) *Client {
	t.Helper()
	var o Options
	for _, f := range opts {
		f(&o)
	}
	c, err := NewClient(t.Context(), conn, o)
	if err != nil {
		t.Fatalf("greeting: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func wait[T any](t *testing.T, p *Call[T]) T {
	t.Helper()
	v, err := p.Wait(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", p.cmd.name, err)
	}
	return v
}

// alive proves that the connection still works; the script must end with
// aliveScript.
func alive(t *testing.T, c *Client) {
	t.Helper()
	if _, err := c.Noop().Wait(t.Context()); err != nil {
		t.Errorf("the connection did not survive: %v", err)
	}
}

const aliveScript = `
	C: {n} NOOP
	S: {n} OK alive
`

// got gathers what a FETCH brings.
type got struct {
	msgs   []*Message
	bodies map[uint32]string // by UID, as Done tells it
	spool  []string
}

func (g *got) handler() FetchHandler {
	g.bodies = map[uint32]string{}
	return FetchHandler{
		Body: func(_ *Message, lit *Literal) error {
			b, err := io.ReadAll(lit)
			g.spool = append(g.spool, string(b))
			return err
		},
		Done: func(m *Message) error {
			g.msgs = append(g.msgs, m)
			if len(g.spool) > 0 {
				g.bodies[m.UID] = strings.Join(g.spool, "|")
			}
			g.spool = nil
			return nil
		},
	}
}

func wantErr[E error](t *testing.T, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("error is %T %v, want %T", err, err, e)
	}
	return e
}

func skipped(c *Client, k SkipKind) uint64 { return c.Stats().Skipped[k] }

func background() context.Context { return context.Background() }
