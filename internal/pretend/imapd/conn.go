package imapd

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// conn is one client connection. Its own goroutine reads and answers; bye may come from others, so
// writing has a lock, which is held for a whole response.
type conn struct {
	srv    *Server
	id     int
	secure bool
	r      *bufio.Reader

	wmu  sync.Mutex
	nc   net.Conn // replaced by STARTTLS
	w    *bufio.Writer
	sent int
	gone bool

	smu       sync.Mutex // account and selected are read by other goroutines
	account   *Account
	selected  *folder
	notReally bool // signed in, but "not connected"

	readOnly  bool
	view      []uint32 // UIDs by sequence number, as told to the client
	viewMod   uint64   // modseq up to which flag changes were told
	condstore bool     // the client knows MODSEQ (RFC 7162 3.1)
	bad       int
	expiry    *time.Timer
}

var errLogout = errors.New("logout")

func newConn(s *Server, nc net.Conn, id int, secure bool) *conn {
	return &conn{srv: s, id: id, secure: secure, nc: nc, r: bufio.NewReaderSize(nc, 16<<10), w: bufio.NewWriterSize(nc, 32<<10)}
}

func (c *conn) dialect() Dialect { return c.srv.opts.Dialect }

func (c *conn) accountNow() *Account {
	c.smu.Lock()
	defer c.smu.Unlock()
	return c.account
}

func (c *conn) selectedNow() string {
	c.smu.Lock()
	a, f := c.account, c.selected
	c.smu.Unlock()
	if a == nil || f == nil {
		return ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return f.name
}

func (c *conn) leave() {
	if c.expiry != nil {
		c.expiry.Stop()
	}
}

// line writes one response line and flushes it.
func (c *conn) line(format string, args ...any) error {
	return c.respond(func(w *bufio.Writer) error {
		_, err := fmt.Fprintf(w, format+"\r\n", args...)
		return err
	})
}

// respond writes one response under the lock, and cuts the connection where DropAfterBytes says so.
func (c *conn) respond(write func(w *bufio.Writer) error) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.gone {
		return net.ErrClosed
	}
	if err := write(c.w); err != nil {
		return err
	}
	return c.w.Flush()
}

// emit is respond without the flush, for one of many lines before a tagged answer.
func (c *conn) emit(write func(w *bufio.Writer) error) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.gone {
		return net.ErrClosed
	}
	return write(c.w)
}

// bye ends the connection from the server's side; any goroutine may call it.
func (c *conn) bye(text string) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.gone {
		return
	}
	c.gone = true
	_ = c.nc.SetWriteDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(c.w, "* BYE %s\r\n", text)
	_ = c.w.Flush()
	c.nc.Close()
}

// cutter closes a connection in the middle of what it sends, once per account.
type cutter struct {
	net.Conn
	c *conn
}

func (k *cutter) Write(p []byte) (int, error) {
	if a := k.c.accountNow(); a != nil {
		a.mu.Lock()
		limit := a.faults.DropAfterBytes
		hit := limit > 0 && !a.cut && k.c.sent+len(p) > limit
		if hit {
			a.cut = true
		}
		a.mu.Unlock()
		if hit {
			n, _ := k.Conn.Write(p[:max(0, limit-k.c.sent)])
			k.Conn.Close()
			return n, net.ErrClosed
		}
	}
	k.c.sent += len(p)
	return k.Conn.Write(p)
}

func (c *conn) serve() error {
	c.w.Reset(&cutter{Conn: c.nc, c: c})
	if tc, ok := c.nc.(*tls.Conn); ok {
		_ = tc.SetDeadline(time.Now().Add(10 * time.Second))
		if err := tc.Handshake(); err != nil {
			return err
		}
		_ = tc.SetDeadline(time.Time{})
	}
	if err := c.line("* OK %s", c.dialect().Greeting); err != nil {
		return err
	}
	for {
		cmd, err := c.readCommand()
		if errors.Is(err, errTooLong) || errors.Is(err, errSyntax) {
			if err := c.refuse(cmd, err); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := c.run(cmd); err != nil {
			if errors.Is(err, errLogout) {
				return nil
			}
			return err
		}
	}
}

// command is one line with its literals.
type command struct {
	tag, name string // name in upper case
	raw       string // arguments as sent, literals cut out
	size      int    // bytes, with literals
	args      []arg
}

var errTooLong = errors.New("command too long")

// maxAppend bounds a literal of APPEND.
const maxAppend = 64 << 20

func (c *conn) readCommand() (command, error) {
	limit := c.dialect().MaxCommand
	if limit == 0 {
		limit = 1 << 20
	}
	var text strings.Builder
	var lits [][]byte
	total, tooLong := 0, false
	for {
		line, err := c.readLine(1 << 20)
		if err != nil {
			return command{}, err
		}
		total += len(line)
		n, sync, isLit := literalAt(line)
		if !isLit {
			text.WriteString(line)
			break
		}
		text.WriteString(line[:strings.LastIndexByte(line, '{')])
		text.WriteByte(0)
		isAppend := strings.Contains(strings.ToUpper(firstWords(text.String())), " APPEND ")
		if !isAppend {
			total += n
		}
		if n > maxAppend || (!isAppend && total > limit) {
			tooLong = true
			if sync {
				break // the client waits for "+" and gets its BAD instead
			}
			if _, err := io.CopyN(io.Discard, c.r, int64(n)); err != nil {
				return command{}, err
			}
			lits = append(lits, nil)
			continue
		}
		if sync {
			if err := c.line("+ Ready for additional command text."); err != nil {
				return command{}, err
			}
		}
		buf := make([]byte, n)
		if _, err := io.ReadFull(c.r, buf); err != nil {
			return command{}, err
		}
		lits = append(lits, buf)
	}
	cmd := command{size: total}
	var rest string
	cmd.tag, rest, _ = strings.Cut(text.String(), " ")
	cmd.name, cmd.raw, _ = strings.Cut(rest, " ")
	cmd.name = strings.ToUpper(cmd.name)
	if cmd.name == "UID" {
		var sub string
		sub, cmd.raw, _ = strings.Cut(cmd.raw, " ")
		cmd.name += " " + strings.ToUpper(sub)
	}
	if tooLong || total > limit {
		return cmd, errTooLong
	}
	if cmd.tag == "" || cmd.name == "" || strings.ContainsAny(cmd.tag, "+*(){\"\x00") {
		cmd.tag = "*"
		return cmd, errSyntax
	}
	args, err := parseArgs(cmd.raw, lits)
	cmd.args = args
	return cmd, err
}

func firstWords(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return s + " "
}

// literalAt recognizes {n} and {n+} at the end of a line.
func literalAt(line string) (n int, sync, ok bool) {
	if !strings.HasSuffix(line, "}") {
		return 0, false, false
	}
	i := strings.LastIndexByte(line, '{')
	if i < 0 {
		return 0, false, false
	}
	num, nonSync := strings.CutSuffix(line[i+1:len(line)-1], "+")
	v, err := strconv.Atoi(num)
	if err != nil || v < 0 {
		return 0, false, false
	}
	return v, !nonSync, true
}

func (c *conn) readLine(limit int) (string, error) {
	var b []byte
	for {
		part, err := c.r.ReadSlice('\n')
		b = append(b, part...)
		if err == nil {
			return strings.TrimRight(string(b), "\r\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
		if len(b) > limit {
			return "", fmt.Errorf("line over %d bytes", limit)
		}
	}
}

func (c *conn) refuse(cmd command, why error) error {
	c.bad++
	c.srv.recordBad(c.noted(cmd))
	tag := cmd.tag
	if tag == "" {
		tag = "*"
	}
	text := "Command Argument Error. 12"
	if errors.Is(why, errTooLong) {
		text = "Command line too long. 10"
	}
	if err := c.line("%s BAD %s", tag, text); err != nil {
		return err
	}
	if m := c.dialect().MaxBad; m > 0 && c.bad >= m {
		c.bye("Connection closed. 14")
		return errLogout
	}
	return nil
}

// pause waits, or returns an error when the server ends.
func (c *conn) pause(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.srv.done:
		return net.ErrClosed
	}
}
