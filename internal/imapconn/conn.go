// Package imapconn reads mail over IMAP and is the only room that knows
// servers' dialects and manners: how to sign in, which folders are mail and
// what they are for, which extension to use for a question, and what a refusal
// means for the person who has to act.
//
// It never changes a mailbox, but for CREATE on a person's request. It stores
// nothing and retries nothing: the syncer does.
package imapconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
)

// Account is where and as whom to sign in.
type Account struct {
	Endpoint mailroom.Endpoint
	Username string
	// SASL are the OAuth mechanisms to try, best first; empty for a password.
	SASL []string
	// Token is the access token of an OAuth account.
	Token    string
	Password string

	RootCAs *x509.CertPool // nil for the system's
	// MaxMessage in octets; a larger message is refused with "too_large". 0 for 150 MB.
	MaxMessage int64
	// IdleRenewal is how long one IDLE may stand; 0 for 9 minutes.
	IdleRenewal time.Duration
	// Timeouts of the wire; zero fields have its defaults.
	Timeouts imapwire.Timeouts
	Log      *slog.Logger
	// Dial replaces the plain dialer, to keep typed hosts away from private addresses.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// OnCommand hears every command line without secrets: for tests.
	OnCommand func(line string)
}

const (
	dialTimeout     = 20 * time.Second
	defaultMaxBytes = 150 << 20
	defaultRenewal  = 9 * time.Minute
)

// Conn is one signed-in connection. One goroutine uses it at a time; Close may
// be called from any.
type Conn struct {
	wire    *imapwire.Client
	account Account
	open    string // raw name of the examined folder
	exists  uint32 // messages in it as of the EXAMINE
	// news says that the server told of a change since the last EXAMINE or IDLE.
	news bool
	// resync says that the server confirmed ENABLE QRESYNC and has not refused it since.
	resync bool
}

// buffers recycles bulk read buffers over all connections of the process.
var buffers imapwire.Buffers

// Open dials, secures, signs in and proves by NAMESPACE that a mailbox is
// there: Exchange accepts a sign-in for a mailbox that it then refuses to open
// (docs/providers.md 3.4). Errors are *mailroom.Error.
func Open(ctx context.Context, a Account) (*Conn, error) {
	c := prepare(a)
	if err := c.connect(ctx); err != nil {
		return nil, c.fail(err)
	}
	if err := c.signIn(ctx); err != nil {
		c.wire.Close()
		return nil, c.fail(err)
	}
	if err := c.introduce(ctx); err != nil {
		c.wire.Close()
		return nil, c.fail(err)
	}
	return c, nil
}

func prepare(a Account) *Conn {
	if a.MaxMessage == 0 {
		a.MaxMessage = defaultMaxBytes
	}
	if a.IdleRenewal == 0 {
		a.IdleRenewal = defaultRenewal
	}
	return &Conn{account: a}
}

func (c *Conn) connect(ctx context.Context) error {
	ep := c.account.Endpoint
	dial := c.account.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := dial(ctx, "tcp", net.JoinHostPort(ep.Host, strconv.Itoa(ep.Port)))
	if err != nil {
		return err
	}
	conf := &tls.Config{ServerName: ep.Host, RootCAs: c.account.RootCAs, MinVersion: tls.VersionTLS12}
	switch ep.TLS {
	case mailroom.ImplicitTLS, "":
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return tlsError{err}
		}
		conn = secure
	case mailroom.PlainText:
		if !isLoopback(conn.RemoteAddr()) {
			conn.Close()
			return mailroom.E(mailroom.Invalid, "imap.error.plain")
		}
	}
	c.wire, err = imapwire.NewClient(ctx, conn, imapwire.Options{
		Timeouts: c.account.Timeouts, Buffers: &buffers, OnEvent: c.onEvent, OnCommand: c.account.OnCommand, OnSkip: c.onSkip,
	})
	if err != nil {
		return err
	}
	if ep.TLS == mailroom.StartTLS {
		if err := c.wire.StartTLS(ctx, conf); err != nil {
			c.wire.Close()
			return tlsError{err}
		}
	}
	return nil
}

func isLoopback(addr net.Addr) bool {
	ap, err := netip.ParseAddrPort(addr.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// onEvent remembers that something changed, also when it is said in the middle
// of another command, so that no IDLE sleeps over it.
func (c *Conn) onEvent(e imapwire.Event) {
	switch e.Kind {
	case imapwire.EventExists, imapwire.EventExpunge, imapwire.EventVanished, imapwire.EventFetch:
		c.news = true
	}
}

func (c *Conn) onSkip(kind imapwire.SkipKind, word string) {
	if c.account.Log != nil {
		c.account.Log.Debug("imap data skipped", "kind", kind.String(), "word", word)
	}
}

// signIn uses the best mechanism that both sides know.
func (c *Conn) signIn(ctx context.Context) error {
	if c.wire.Greeting().Status == "PREAUTH" {
		return nil
	}
	if !c.wire.KnowsCapabilities() {
		if _, err := c.wire.Capability().Wait(ctx); err != nil {
			return err
		}
	}
	a := c.account
	if len(a.SASL) == 0 {
		if c.wire.Has("AUTH=PLAIN") {
			return c.wire.Authenticate(ctx, imapwire.Plain(a.Username, a.Password))
		}
		if c.wire.Has("LOGINDISABLED") {
			return mailroom.E(mailroom.NeedsAdmin, "imap.error.no_password_login")
		}
		return c.wire.Login(ctx, a.Username, a.Password)
	}
	for _, name := range a.SASL {
		if c.wire.Has("AUTH=" + name) {
			return c.wire.Authenticate(ctx, mechanism(name, a))
		}
	}
	// A server that announces none of them may still take the first: some
	// announce mechanisms only in part.
	return c.wire.Authenticate(ctx, mechanism(a.SASL[0], a))
}

func mechanism(name string, a Account) imapwire.Mechanism {
	if name == "OAUTHBEARER" {
		return imapwire.OAuthBearer(a.Username, a.Token)
	}
	return imapwire.XOAuth2(a.Username, a.Token)
}

// introduce asks for what the server can do now, says who we are, and proves
// that the mailbox opens.
func (c *Conn) introduce(ctx context.Context) error {
	if !c.wire.KnowsCapabilities() {
		if _, err := c.wire.Capability().Wait(ctx); err != nil {
			return err
		}
	}
	if c.wire.Has("ID") {
		defer c.wire.ID("name", "Mailroom", "vendor", "Mailroom").Wait(ctx) // its answer decides nothing
	}
	// Only QRESYNC: IMAP4rev2 changes what other commands answer. A server that
	// takes the command without confirming, as iCloud does, is not believed: its
	// VANISHED is known to be wrong.
	if c.wire.Has("QRESYNC") && c.wire.Has("ENABLE") {
		enable := c.wire.Enable("QRESYNC")
		defer func() {
			_, err := enable.Wait(ctx)
			c.resync = err == nil && c.wire.Enabled("QRESYNC")
		}()
	}
	if c.wire.Has("NAMESPACE") {
		_, err := c.wire.Namespace().Wait(ctx)
		return err
	}
	_, err := c.wire.Noop().Wait(ctx)
	return err
}

// CanIdle tells whether IDLE is offered (RFC 2177).
func (c *Conn) CanIdle() bool { return c.wire.Has("IDLE") }

// CanCondStore tells whether changes can be asked for by MODSEQ (RFC 7162).
func (c *Conn) CanCondStore() bool { return c.wire.Has("CONDSTORE") || c.wire.Has("QRESYNC") }

// Stats counts what went over the connection.
func (c *Conn) Stats() imapwire.Stats { return c.wire.Stats() }

// Create makes a folder by its readable name, because a person asked for it.
func (c *Conn) Create(ctx context.Context, name string) error {
	_, err := c.wire.Create(c.wire.EncodeName(name)).Wait(ctx)
	return c.fail(err)
}

// Close says goodbye if the connection is idle and well, and closes it.
func (c *Conn) Close() error { return c.wire.Close() }
