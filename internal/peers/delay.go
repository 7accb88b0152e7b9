package peers

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Traffic is what has gone through a DelayProxy so far.
type Traffic struct {
	Connections int64
	Up, Down    int64 // octets from the client and from the server, TLS's own among them
	// Turns are the times that a client spoke first, or again after it had been
	// answered: with commands that do not wait for each other they are the round trips.
	Turns int64
}

// Since is what came after an earlier look.
func (t Traffic) Since(before Traffic) Traffic {
	return Traffic{t.Connections - before.Connections, t.Up - before.Up, t.Down - before.Down, t.Turns - before.Turns}
}

// Octets are those of both directions.
func (t Traffic) Octets() int64 { return t.Up + t.Down }

// DelayProxy stands between a client and a server as a long line does: every octet
// arrives half a round trip later, with no bound on how many are under way but
// memory. It also counts.
type DelayProxy struct {
	Addr string // host:port of its door

	to   string
	half time.Duration
	door net.Listener
	all  sync.WaitGroup

	connections, up, down, turns atomic.Int64

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

// Delay starts a DelayProxy before a server at host:port, and stops it when the
// test ends. Without a round trip it only counts.
func Delay(t testing.TB, to string, roundTrip time.Duration) *DelayProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &DelayProxy{Addr: l.Addr().String(), to: to, half: roundTrip / 2, door: l, open: map[net.Conn]bool{}}
	t.Cleanup(p.Close)
	p.all.Go(p.accept)
	return p
}

// Traffic is what has gone through so far.
func (p *DelayProxy) Traffic() Traffic {
	return Traffic{p.connections.Load(), p.up.Load(), p.down.Load(), p.turns.Load()}
}

// Close hangs up on everybody and waits until nothing of the proxy runs.
func (p *DelayProxy) Close() {
	p.door.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.all.Wait()
}

func (p *DelayProxy) accept() {
	for {
		client, err := p.door.Accept()
		if err != nil {
			return
		}
		p.all.Go(func() { p.serve(client) })
	}
}

// hold has Close hang up on a connection; false when it is too late for that.
func (p *DelayProxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return false
	}
	p.open[c] = true
	return true
}

func (p *DelayProxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
}

func (p *DelayProxy) serve(client net.Conn) {
	if !p.hold(client) {
		return
	}
	defer p.drop(client)
	server, err := net.DialTimeout("tcp", p.to, 10*time.Second)
	if err != nil || !p.hold(server) {
		return
	}
	defer p.drop(server)
	p.connections.Add(1)
	var answered atomic.Bool
	answered.Store(true)
	var both sync.WaitGroup
	both.Go(func() {
		p.pass(client, server, func(n int) {
			p.up.Add(int64(n))
			if answered.Swap(false) {
				p.turns.Add(1)
			}
		}, nil)
	})
	both.Go(func() {
		p.pass(server, client, func(n int) { p.down.Add(int64(n)) }, func() { answered.Store(true) })
	})
	both.Wait()
}

// parcel is what was read at once, and when it arrives.
type parcel struct {
	octets []byte
	due    time.Time
}

// parcelSize is small enough that what is sent in one go is not held up to be
// sent on in one go.
const parcelSize = 64 << 10

// pass carries one direction until its sender ends it. sent is told of octets as
// they leave, there when they arrive.
func (p *DelayProxy) pass(from, to net.Conn, sent func(n int), there func()) {
	line := make(chan parcel, 4096)
	var writer sync.WaitGroup
	writer.Go(func() {
		wait := time.NewTimer(0)
		defer wait.Stop()
		var err error
		for x := range line {
			if d := time.Until(x.due); d > 0 {
				wait.Reset(d)
				<-wait.C
			}
			if err != nil {
				continue // the other side reads until its sender ends
			}
			if there != nil {
				there() // before, or the answer to it might be here first
			}
			_, err = to.Write(x.octets)
		}
		if c, ok := to.(*net.TCPConn); ok {
			_ = c.CloseWrite() // it may have hung up itself
		}
	})
	for {
		buf := make([]byte, parcelSize)
		n, err := from.Read(buf)
		if n > 0 {
			sent(n)
			line <- parcel{buf[:n:n], time.Now().Add(p.half)}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) { // a reset, or our own Close
				to.Close()
			}
			break
		}
	}
	close(line)
	writer.Wait()
}
