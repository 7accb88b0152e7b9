// Package imapd is a pretend IMAP server: accounts, folders and messages in memory, spoken in the
// dialect of a named kind of server, with faults that are switched on per account. Its first dialect
// is that of Exchange Online, which has almost no extensions and many habits of its own.
//
// It makes up no people and no mail (that is world's duty), checks no tokens itself (it asks the
// function it was given), stores nothing on disk, and listens only where it is told to, which
// should be loopback. It is not built on go-imap's server, because that one fixes the capability
// line, knows no ID command, and offers no place to play a wrong size, an empty FETCH, a stray
// line or an expired token; go-imap's client is the independent peer in the tests instead.
package imapd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// Options says where and as whom the server speaks. The zero value of every field but Check is
// usable: an Exchange-like server on two free loopback ports.
type Options struct {
	// Addr is the plain-text listener, "127.0.0.1:0" if empty.
	Addr string
	// TLSAddr is the listener with implicit TLS, "127.0.0.1:0" if empty.
	TLSAddr string
	// Dialect is Exchange() if its Name is empty.
	Dialect Dialect
	// StartTLS offers STARTTLS on the plain listener and refuses to sign in before it.
	StartTLS bool
	// Check decides on a bearer token. Without it every token is refused.
	Check TokenCheck
	// Now is the clock for throttling and token ends; time.Now if nil.
	Now func() time.Time
	// Log receives protocol errors at debug level; discarded if nil.
	Log *slog.Logger
}

// TokenCheck answers for one bearer token presented for one user name. It is asked once per sign-in.
type TokenCheck func(user, token string) Verdict

// Verdict is what a TokenCheck found.
type Verdict struct {
	// OK: the token is genuine, alive, and carries the IMAP scope.
	OK bool
	// Mailbox is the address whose mailbox opens. Empty with OK means what Exchange does when
	// token and user name do not belong together: signing in succeeds, and everything after it
	// fails with "User is authenticated but not connected."
	Mailbox string
	// Expires ends the session with "BYE Session invalidated - AccessTokenExpired"; never if zero.
	Expires time.Time
}

// Command is one command that a client sent, as the read-only proof wants to see it.
type Command struct {
	Account string // empty before sign-in
	Name    string // upper case; "UID FETCH" is one name
	Args    string // as sent; empty for LOGIN and AUTHENTICATE
	Conn    int    // number of the connection, from 1
	Size    int    // bytes as sent, with literals and without the last CRLF
}

// Server is a running pretend server.
type Server struct {
	opts  Options
	plain net.Listener
	tls   net.Listener
	cert  tls.Certificate
	ca    []byte

	wg   sync.WaitGroup
	done chan struct{}

	mu       sync.Mutex
	accounts map[string]*Account // by lower-case address and alias
	list     []*Account
	conns    map[*conn]struct{}
	commands []Command
	bad      []Command
	connSeq  int
	closed   bool
}

// maxCommands bounds the record of commands; the oldest half is forgotten beyond it.
const maxCommands = 200_000

// Start listens and serves until Close.
func Start(opts Options) (*Server, error) {
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	if opts.TLSAddr == "" {
		opts.TLSAddr = "127.0.0.1:0"
	}
	if opts.Dialect.Name == "" {
		opts.Dialect = Exchange()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Check == nil {
		opts.Check = func(string, string) Verdict { return Verdict{} }
	}
	cert, ca, err := makeCertificate()
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	s := &Server{
		opts: opts, cert: cert, ca: ca,
		done:     make(chan struct{}),
		accounts: map[string]*Account{},
		conns:    map[*conn]struct{}{},
	}
	if s.plain, err = net.Listen("tcp", opts.Addr); err != nil {
		return nil, err
	}
	inner, err := net.Listen("tcp", opts.TLSAddr)
	if err != nil {
		s.plain.Close()
		return nil, err
	}
	s.tls = tls.NewListener(inner, s.tlsConfig())
	s.wg.Add(2)
	go s.accept(s.plain, false)
	go s.accept(s.tls, true)
	return s, nil
}

func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS12}
}

// Addr is host:port of the plain listener.
func (s *Server) Addr() string { return s.plain.Addr().String() }

// TLSAddr is host:port of the listener with implicit TLS.
func (s *Server) TLSAddr() string { return s.tls.Addr().String() }

// CAPEM is the certificate to trust for TLSAddr and STARTTLS, in PEM. It names 127.0.0.1, ::1 and
// localhost.
func (s *Server) CAPEM() []byte { return s.ca }

// CAPool is CAPEM as a pool.
func (s *Server) CAPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.ca)
	return pool
}

// Close drops every connection and returns when all of them have ended.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.done)
	err := errors.Join(s.plain.Close(), s.tls.Close())
	for c := range s.conns {
		c.nc.Close()
	}
	for _, a := range s.list {
		a.stopTimers()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

func (s *Server) accept(l net.Listener, secure bool) {
	defer s.wg.Done()
	for {
		nc, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select {
			case <-s.done:
				return
			case <-time.After(10 * time.Millisecond):
				continue
			}
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			nc.Close()
			return
		}
		s.connSeq++
		c := newConn(s, nc, s.connSeq, secure)
		s.conns[c] = struct{}{}
		s.wg.Add(1)
		s.mu.Unlock()
		go func() {
			defer s.wg.Done()
			defer func() {
				nc.Close()
				c.leave()
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
			}()
			if err := c.serve(); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				s.opts.Log.Debug("imap connection ended", "conn", c.id, "err", err)
			}
		}()
	}
}

// AddAccount makes an account. The address and its aliases must be new.
func (s *Server) AddAccount(cfg AccountConfig) (*Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := append([]string{cfg.Address}, cfg.Aliases...)
	for _, n := range names {
		if n == "" || s.accounts[strings.ToLower(n)] != nil {
			return nil, fmt.Errorf("imapd: account %q is empty or taken", n)
		}
	}
	a := newAccount(s, cfg)
	for _, n := range names {
		s.accounts[strings.ToLower(n)] = a
	}
	s.list = append(s.list, a)
	return a, nil
}

// Account finds an account by address or alias, in any case; nil if there is none.
func (s *Server) Account(address string) *Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accounts[strings.ToLower(address)]
}

// Commands is everything that clients sent since the start or the last ForgetCommands.
func (s *Server) Commands() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Command(nil), s.commands...)
}

// Bad lists the commands that were answered by BAD, which is never a client's manners.
func (s *Server) Bad() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Command(nil), s.bad...)
}

// ForgetCommands empties the record.
func (s *Server) ForgetCommands() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands, s.bad = nil, nil
}

// Mutating lists the recorded commands that change a mailbox or could: SELECT counts, since only
// EXAMINE keeps a mailbox as it is (RFC 3501 6.3.2), and so does a body read without PEEK.
func (s *Server) Mutating() []Command {
	var out []Command
	for _, c := range s.Commands() {
		switch c.Name {
		case "SELECT", "STORE", "UID STORE", "COPY", "UID COPY", "MOVE", "UID MOVE", "EXPUNGE",
			"UID EXPUNGE", "CLOSE", "APPEND", "CREATE", "DELETE", "RENAME", "SUBSCRIBE", "UNSUBSCRIBE":
			out = append(out, c)
		case "FETCH", "UID FETCH":
			args := strings.ToUpper(c.Args)
			if strings.Contains(args, "BODY[") || strings.Contains(args, "RFC822.TEXT") ||
				strings.HasSuffix(strings.TrimRight(args, ")"), "RFC822") {
				out = append(out, c)
			}
		}
	}
	return out
}

// Connections counts the open connections, of one account or, with an empty address, of all.
func (s *Server) Connections(address string) int {
	a := s.Account(address)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for c := range s.conns {
		if address == "" || (a != nil && c.accountNow() == a) {
			n++
		}
	}
	return n
}

// DropConnections cuts connections without a word, as a failing network does: those of one
// account or, with an empty address, all.
func (s *Server) DropConnections(address string) {
	for _, c := range s.connsOf(address) {
		c.nc.Close()
	}
}

// Bye ends the connections of an account with "* BYE " and text.
func (s *Server) Bye(address, text string) {
	for _, c := range s.connsOf(address) {
		c.bye(text)
	}
}

func (s *Server) connsOf(address string) []*conn {
	a := s.Account(address)
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*conn
	for c := range s.conns {
		if address == "" || (a != nil && c.accountNow() == a) {
			out = append(out, c)
		}
	}
	return out
}

// recordBad notes a command that was answered by BAD.
func (s *Server) recordBad(c Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.bad) < maxCommands {
		s.bad = append(s.bad, c)
	}
}

func (s *Server) record(c Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.commands) >= maxCommands {
		s.commands = append([]Command(nil), s.commands[maxCommands/2:]...)
	}
	s.commands = append(s.commands, c)
}
