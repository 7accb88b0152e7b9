// Package wiretest plays an IMAP server line by line, for every oddity that a
// real server shows once a year and never when asked. A script says what the
// client must send and what it gets; anything else fails the test.
//
// It understands no IMAP and keeps no mailboxes: for a server that works, use
// Dovecot or the pretend one.
//
// A script has one step per line; blank lines and lines that begin with "#"
// are left out:
//
//	S: * OK ready            send the line with CRLF
//	R: "* 1 EXISTS\n"        send the bytes of a Go string, with nothing added
//	C: {a} EXAMINE "INBOX"   the client must send this line
//	B: 5                     the client must send so many bytes (a literal)
//	CLOSE                    hang up
//
// In a C line, {name} stands for any word, which later S and R lines may use,
// and {*} for anything at all. When the script is over, the client must send
// nothing more.
package wiretest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Session is the server's end of one connection.
type Session struct {
	t     testing.TB
	conn  net.Conn
	in    *bufio.Reader
	words map[string]string
}

// Play returns the client's end of a connection on whose other end the script
// is played. It runs over an in-memory pipe, so it works in a testing/synctest
// bubble.
func Play(t testing.TB, script string) net.Conn {
	t.Helper()
	return Serve(t, func(s *Session) { s.Play(script) })
}

// Serve is Play with a function for a server. When the function returns, the
// client must send nothing more; the connection stays open until the client
// closes it or the test ends, unless the function calls Close.
func Serve(t testing.TB, serve func(*Session)) net.Conn {
	client, server := net.Pipe()
	run(t, server, serve)
	t.Cleanup(func() { client.Close() })
	return client
}

// Listen serves one connection after another on loopback, the first with the
// first function and so on; the last one serves all that follow. It returns
// the address.
func Listen(t testing.TB, serve ...func(*Session)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			run(t, conn, serve[min(i, len(serve)-1)])
		}
	})
	t.Cleanup(func() { l.Close(); done.Wait() })
	return l.Addr().String()
}

func run(t testing.TB, conn net.Conn, serve func(*Session)) {
	q := &queue{}
	q.cond.L = &q.mu
	s := &Session{t: t, conn: conn, in: bufio.NewReader(q), words: map[string]string{}}
	var done sync.WaitGroup
	// A real connection has buffers on its way: a client that writes while we
	// write must not block for ever.
	done.Go(func() { _, err := io.Copy(q, conn); q.end(err) })
	done.Go(func() {
		defer conn.Close()
		defer func() {
			if r := recover(); r != nil {
				if _, ours := r.(stop); !ours {
					panic(r)
				}
			}
		}()
		serve(s)
		if extra, _ := s.in.ReadString('\n'); extra != "" {
			t.Errorf("wiretest: client sent %q after the script's end", extra)
		}
	})
	t.Cleanup(func() { conn.Close(); done.Wait() })
}

// stop unwinds a script that cannot go on.
type stop struct{}

func (s *Session) fail(format string, args ...any) {
	s.t.Errorf("wiretest: "+format, args...)
	panic(stop{})
}

// Conn is the connection, to wrap or to break.
func (s *Session) Conn() net.Conn { return s.conn }

// Close hangs up and ends the script.
func (s *Session) Close() {
	s.conn.Close()
	panic(stop{})
}

// Send sends lines, with {words} filled in and CRLF added.
func (s *Session) Send(lines ...string) {
	for _, l := range lines {
		s.Raw(s.fill(l) + "\r\n")
	}
}

// Raw sends bytes. A client that hung up meanwhile is no error here: its test
// knows whether it should have.
func (s *Session) Raw(text string) {
	if _, err := io.WriteString(s.conn, text); err != nil {
		panic(stop{})
	}
}

// Line reads a line of the client without its CRLF; ok is false when the
// client hung up.
func (s *Session) Line() (line string, ok bool) {
	line, err := s.in.ReadString('\n')
	if err != nil {
		return line, false
	}
	if !strings.HasSuffix(line, "\r\n") {
		s.fail("client sent a line without CRLF: %q", line)
	}
	return strings.TrimSuffix(line, "\r\n"), true
}

// Expect reads a line that must match the pattern of a C line.
func (s *Session) Expect(pattern string) {
	line, ok := s.Line()
	if !ok {
		s.fail("client hung up, wanted %q", pattern)
	}
	if !s.match(pattern, line) {
		s.fail("client sent %q, wanted %q", line, pattern)
	}
}

// SetWord says what {name} stands for.
func (s *Session) SetWord(name, word string) { s.words[name] = word }

// Word is what {name} stood for.
func (s *Session) Word(name string) string { return s.words[name] }

// Bytes reads a literal of the client.
func (s *Session) Bytes(n int) string {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.in, b); err != nil {
		s.fail("client hung up within a literal")
	}
	return string(b)
}

// Play plays a script.
func (s *Session) Play(script string) {
	for line := range strings.SplitSeq(script, "\n") {
		line = strings.TrimSpace(line)
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "S:":
			s.Send(rest)
		case "R:":
			text, err := strconv.Unquote(rest)
			if err != nil {
				s.fail("bad step %q: %v", line, err)
			}
			s.Raw(s.fill(text))
		case "C:":
			s.Expect(rest)
		case "B:":
			n, err := strconv.Atoi(rest)
			if err != nil {
				s.fail("bad step %q: %v", line, err)
			}
			s.Bytes(n)
		case "CLOSE":
			s.Close()
		default:
			if line != "" && line[0] != '#' {
				s.fail("bad step %q", line)
			}
		}
	}
}

var placeholder = regexp.MustCompile(`\{([a-z]+|\*)\}`)

func (s *Session) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		if w, ok := s.words[p[1:len(p)-1]]; ok {
			return w
		}
		return p
	})
}

func (s *Session) match(pattern, line string) bool {
	var names []string
	expr, rest := "^", pattern
	for {
		loc := placeholder.FindStringIndex(rest)
		if loc == nil {
			break
		}
		name := rest[loc[0]+1 : loc[1]-1]
		expr += regexp.QuoteMeta(rest[:loc[0]])
		if name == "*" {
			expr += "(.*)"
		} else {
			expr += `(\S+)`
		}
		names = append(names, name)
		rest = rest[loc[1]:]
	}
	m := regexp.MustCompile(expr + regexp.QuoteMeta(rest) + "$").FindStringSubmatch(line)
	if m == nil {
		return false
	}
	for i, name := range names {
		s.words[name] = m[i+1]
	}
	return true
}

// queue is an unbounded buffer between the connection and the script.
type queue struct {
	mu   sync.Mutex
	cond sync.Cond
	buf  bytes.Buffer
	err  error
}

func (q *queue) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cond.Signal()
	return q.buf.Write(p)
}

func (q *queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = errors.Join(io.EOF, err)
	q.cond.Signal()
}

func (q *queue) Read(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.buf.Len() == 0 {
		if q.err != nil {
			return 0, fmt.Errorf("wiretest: %w", q.err)
		}
		q.cond.Wait()
	}
	return q.buf.Read(p)
}
