package peers

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// FaultOptions say what a FaultProxy stands in front of and how it spoils it.
type FaultOptions struct {
	Plain string // host:port of the server's door without TLS, "" for none
	TLS   string // the same with TLS from the first byte
	Seed  uint64 // the n-th connection of two runs with the same seed is spoilt in the same way
	Most  int    // faults in all; after them connections pass untouched
	// Quiet is how long a connection may be silent before its next fault strikes
	// although its byte has not come, as in IDLE; 0 for 250 ms.
	Quiet time.Duration
}

// The faults that a FaultProxy has. All but the last two end a connection.
const (
	FaultCut        = "cut"               // reset or closed at a byte from the server
	FaultCutUp      = "cut upwards"       // the same at a byte from the client
	FaultStall      = "stall"             // no byte more, and nobody hangs up
	FaultHalfClose  = "half-close"        // the server's side ends, the client's stays open
	FaultHalfUp     = "half-close up"     // the client's side ends towards the server
	FaultNoTLS      = "no handshake"      // garbage, an alert or plain text in answer to a ClientHello
	FaultWrongCert  = "wrong certificate" // from an authority that nobody knows
	FaultGarbage    = "garbage"           // bytes that nobody sent: a line between two responses, anything under TLS
	FaultSlow       = "slow bytes"        // a few at a time, a millisecond apart
	slowPieces      = 300
	handshakeOctets = 4000 // a fault before them strikes in the handshake or in the sign-in
)

// FaultProxy passes connections on to a server and spoils each at a byte that its
// seed decides, until there have been enough faults. It knows as little of IMAP as
// it takes to find the end of a response: garbage within a mail that came without
// TLS is a mail with garbage in it, and no reader could know.
type FaultProxy struct {
	Addr, TLSAddr string // host:port of its own doors, "" where there is none

	opts  FaultOptions
	cert  tls.Certificate
	doors []net.Listener
	all   sync.WaitGroup

	mu     sync.Mutex
	counts map[string]int
	struck int
	count  int // of connections so far
	open   map[*faultLink]bool
	closed bool
}

// Faults starts a FaultProxy and stops it when the test ends.
func Faults(t testing.TB, opts FaultOptions) *FaultProxy {
	t.Helper()
	if opts.Quiet == 0 {
		opts.Quiet = 250 * time.Millisecond
	}
	unknown := NewCertificate(t, "127.0.0.1", "localhost")
	cert, err := tls.X509KeyPair(unknown.CertPEM, unknown.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	p := &FaultProxy{opts: opts, cert: cert, counts: map[string]int{}, open: map[*faultLink]bool{}}
	t.Cleanup(p.Close)
	for _, door := range []struct {
		to   string
		addr *string
		tls  bool
	}{{opts.Plain, &p.Addr, false}, {opts.TLS, &p.TLSAddr, true}} {
		if door.to == "" {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*door.addr = l.Addr().String()
		p.doors = append(p.doors, l)
		p.all.Go(func() { p.accept(l, door.to, door.tls) })
	}
	return p
}

// Close hangs up on everybody and waits until nothing of the proxy runs.
func (p *FaultProxy) Close() {
	for _, l := range p.doors {
		l.Close()
	}
	p.mu.Lock()
	p.closed = true
	for l := range p.open {
		l.end()
	}
	p.mu.Unlock()
	p.all.Wait()
}

// Struck is how many faults there have been.
func (p *FaultProxy) Struck() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.struck
}

// Counts tells them apart.
func (p *FaultProxy) Counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Open is how many connections of clients are open.
func (p *FaultProxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

func (p *FaultProxy) accept(l net.Listener, to string, secure bool) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		link := &faultLink{p: p, client: client.(*net.TCPConn)}
		p.mu.Lock()
		p.count++
		link.plan(rand.New(rand.NewPCG(p.opts.Seed, uint64(p.count))), secure)
		if p.closed {
			client.Close()
		} else {
			p.open[link] = true
			p.all.Go(func() { link.serve(to) })
		}
		p.mu.Unlock()
	}
}

// strike counts a fault; false when there have been enough.
func (p *FaultProxy) strike(kind string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.struck >= p.opts.Most {
		return false
	}
	p.struck++
	p.counts[kind]++
	return true
}

// faultLink is one connection on its way through.
type faultLink struct {
	p      *FaultProxy
	client *net.TCPConn
	reset  bool        // how it hangs up
	r      *rand.Rand  // of the goroutine that reads the server
	at     responseEnd // of the same

	mu     sync.Mutex
	server *net.TCPConn
	faults []plannedFault // to come
	down   int64          // octets that the server has sent so far
	up     int64
	ended  bool
}

type plannedFault struct {
	kind string
	at   int64 // octet before which it strikes
}

// plan decides what becomes of a connection.
func (l *faultLink) plan(r *rand.Rand, secure bool) {
	l.r, l.reset = r, r.IntN(2) == 0
	at := int64(r.IntN(handshakeOctets))
	if r.IntN(6) > 0 { // as often near the beginning of a reading as far into it
		at = int64(2000 * math.Exp(r.Float64()*math.Log(150)))
	}
	if r.IntN(4) == 0 { // first something that a connection may survive
		l.faults = append(l.faults, plannedFault{[]string{FaultGarbage, FaultSlow}[r.IntN(2)], at / 2})
	}
	ends := []string{FaultCut, FaultCut, FaultCutUp, FaultStall, FaultHalfClose, FaultHalfUp, FaultGarbage, FaultSlow}
	if secure {
		ends = append(ends, FaultNoTLS, FaultWrongCert)
	}
	last := plannedFault{ends[r.IntN(len(ends))], at}
	switch last.kind {
	case FaultNoTLS, FaultWrongCert:
		l.faults, last.at = nil, 0
	case FaultCutUp, FaultHalfUp:
		last.at = int64(r.IntN(600)) // a client says little
	case FaultGarbage, FaultSlow:
		l.faults = append(l.faults, last)
		last = plannedFault{FaultCut, at * 2}
	}
	l.faults = append(l.faults, last)
	if secure {
		l.at.opaque = true
	}
}

// end hangs up on both sides.
func (l *faultLink) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.client.Close()
	if l.server != nil {
		l.server.Close()
	}
}

func (l *faultLink) serve(to string) {
	defer func() {
		l.end()
		l.p.mu.Lock()
		delete(l.p.open, l)
		l.p.mu.Unlock()
	}()
	switch first := l.faults[0].kind; first {
	case FaultNoTLS, FaultWrongCert:
		if l.p.strike(first) {
			l.spoilHandshake(first)
			return
		}
	}
	server, err := net.DialTimeout("tcp", to, 10*time.Second)
	if err != nil {
		return
	}
	l.mu.Lock()
	l.server = server.(*net.TCPConn)
	ended := l.ended
	l.mu.Unlock()
	if ended {
		server.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.upwards(); l.end() })
	both.Go(func() {
		if l.downwards() {
			l.end()
		}
	})
	both.Wait()
}

// spoilHandshake answers a ClientHello as no server should.
func (l *faultLink) spoilHandshake(kind string) {
	l.client.SetDeadline(time.Now().Add(10 * time.Second))
	if kind == FaultWrongCert {
		_ = tls.Server(l.client, &tls.Config{Certificates: []tls.Certificate{l.p.cert}}).Handshake() // the client refuses
		return
	}
	hello := make([]byte, 64)
	if _, err := l.client.Read(hello); err != nil {
		return
	}
	answers := [][]byte{
		[]byte("* OK IMAP4rev1 ready\r\n"),
		{0x15, 3, 3, 0, 2, 2, 40}, // alert: handshake_failure
		l.noise(200),
		append([]byte{0x16, 3, 3, 0x20, 0}, l.noise(100)...), // a record that promises more than comes
	}
	_, _ = l.client.Write(answers[l.r.IntN(len(answers))])
}

func (l *faultLink) noise(n int) []byte {
	b := make([]byte, 1+l.r.IntN(n))
	for i := range b {
		b[i] = byte(l.r.Uint32())
	}
	return b
}

// due is the next fault if its octet is among the next n of a direction, and how
// many of them pass before it.
func (l *faultLink) due(n int, up bool) (f plannedFault, before int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) == 0 {
		return f, n, false
	}
	f = l.faults[0]
	passed := l.down
	if isUp := f.kind == FaultCutUp || f.kind == FaultHalfUp; isUp != up {
		return f, n, false
	} else if up {
		passed = l.up
	}
	if f.at >= passed+int64(n) {
		return f, n, false
	}
	return f, int(max(f.at-passed, 0)), true
}

// next takes the fault away, and the whole plan when there have been enough.
func (l *faultLink) next(kind string) bool {
	struck := l.p.strike(kind)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = l.faults[1:]
	if !struck {
		l.faults = nil
	}
	return struck
}

// upwards passes the client's bytes on until one side ends.
func (l *faultLink) upwards() {
	buf := make([]byte, 4096)
	deaf := false
	for {
		n, err := l.client.Read(buf)
		piece := buf[:n]
		if f, before, ok := l.due(n, true); ok && n > 0 && l.next(f.kind) {
			if _, err := l.server.Write(piece[:before]); err != nil || f.kind == FaultCutUp {
				l.hangUp()
				return
			}
			_ = l.server.CloseWrite() // it may have hung up itself
			deaf = true
		}
		l.mu.Lock()
		l.up += int64(n)
		l.mu.Unlock()
		if n > 0 && !deaf {
			if _, werr := l.server.Write(piece); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// hangUp ends the client's side, by a reset or in order.
func (l *faultLink) hangUp() {
	if l.reset {
		_ = l.client.SetLinger(0) // fails only on a closed connection
	}
	l.end()
}

// downwards passes the server's bytes on; false leaves the connection as it is,
// until the client has had enough.
func (l *faultLink) downwards() (over bool) {
	buf := make([]byte, 4096)
	for {
		l.server.SetReadDeadline(l.patience())
		n, err := l.server.Read(buf)
		rest := buf[:n]
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			if stay, over := l.quiet(); !stay {
				return over
			}
			continue
		}
		for len(rest) > 0 {
			f, before, ok := l.due(len(rest), false)
			if ok && f.kind == FaultGarbage {
				before, ok = l.at.boundary(rest, before)
			}
			if !l.pass(rest[:before]) {
				return true
			}
			rest = rest[before:]
			if ok && l.next(f.kind) {
				if f.kind == FaultSlow {
					if !l.slowly(rest) {
						return true
					}
					rest = nil
				} else if stay, over := l.spoil(f.kind); !stay {
					return over
				}
			}
		}
		if err != nil {
			return true
		}
	}
}

// patience is until when the server may be silent.
func (l *faultLink) patience() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) == 0 {
		return time.Time{}
	}
	return time.Now().Add(l.p.opts.Quiet)
}

// quiet strikes though the byte has not come.
func (l *faultLink) quiet() (stay, over bool) {
	l.mu.Lock()
	var kind string
	if len(l.faults) > 0 {
		kind = l.faults[0].kind
	}
	l.mu.Unlock()
	if kind == "" || !l.next(kind) {
		return true, false
	}
	return l.spoil(kind)
}

// spoil does what a fault does to a connection as it stands.
func (l *faultLink) spoil(kind string) (stay, over bool) {
	switch kind {
	case FaultStall:
		return false, false
	case FaultHalfClose:
		_ = l.client.CloseWrite() // it may have hung up itself
		return false, false
	case FaultHalfUp:
		_ = l.server.CloseWrite()
		return true, false
	case FaultGarbage:
		b := l.noise(80)
		if !l.at.opaque {
			b = append(bytes.Map(func(r rune) rune {
				if r == '\n' || r == '{' { // one line, which announces no literal
					return -1
				}
				return r
			}, b), '\r', '\n')
		}
		_, err := l.client.Write(b)
		return err == nil, true
	case FaultSlow:
		return true, false // nothing is there to be slow with
	}
	l.hangUp()
	return false, true
}

func (l *faultLink) pass(b []byte) bool {
	l.mu.Lock()
	l.down += int64(len(b))
	l.mu.Unlock()
	l.at.follow(b)
	_, err := l.client.Write(b)
	return err == nil
}

// slowly passes a few bytes at a time.
func (l *faultLink) slowly(b []byte) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range slowPieces {
		if len(b) == 0 {
			return true
		}
		n := min(1+l.r.IntN(8), len(b))
		if !l.pass(b[:n]) {
			return false
		}
		b = b[n:]
		<-tick.C
	}
	return l.pass(b)
}

// String says which faults there have been, for a test's log.
func (p *FaultProxy) String() string {
	var b bytes.Buffer
	counts := p.Counts()
	for _, kind := range []string{FaultCut, FaultCutUp, FaultStall, FaultHalfClose, FaultHalfUp, FaultNoTLS, FaultWrongCert, FaultGarbage, FaultSlow} {
		fmt.Fprintf(&b, "%s %s, ", strconv.Itoa(counts[kind]), kind)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(&b, "on %d connections", p.count)
	return b.String()
}
