package peers

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// served says the same to everybody, in responses of which the ends are known.
func served(t *testing.T) (addr string, whole []byte, ends map[int]bool) {
	ends = map[int]bool{0: true}
	for i := range 200 {
		whole = append(whole, "* 1 FETCH (UID 7 BODY[] {3000}\r\n"...)
		whole = append(whole, strings.Repeat("word\n", 600)...)
		whole = append(whole, " FLAGS ())\r\n"...)
		ends[len(whole)] = true
		if i%7 == 0 {
			whole = append(whole, "m1 OK {3} done\r\n"...)
			ends[len(whole)] = true
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				if _, err := c.Write(whole); err == nil {
					io.Copy(io.Discard, c)
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return l.Addr().String(), whole, ends
}

// What arrives in the clear is what was sent, up to an end at any byte, with lines
// that nobody sent between two responses and nowhere else.
func TestFaultsSpoilConnectionsAndNoMail(t *testing.T) {
	addr, whole, ends := served(t)
	p := Faults(t, FaultOptions{Plain: addr, Seed: 7, Most: 80, Quiet: 20 * time.Millisecond})
	var all sync.WaitGroup
	room := make(chan struct{}, 16)
	for range 120 {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			c, err := net.Dial("tcp", p.Addr)
			if errors.Is(err, syscall.ECONNRESET) {
				return // cut before the client knew that it was connected
			}
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			var got bytes.Buffer
			buf := make([]byte, 4096)
			for {
				c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
				n, err := c.Read(buf)
				got.Write(buf[:n])
				if err != nil {
					break
				}
			}
			at, b := 0, got.Bytes()
			for len(b) > 0 {
				if at < len(whole) && b[0] == whole[at] {
					at, b = at+1, b[1:]
					continue
				}
				end := bytes.IndexByte(b, '\n')
				if !ends[at] || end < 0 {
					t.Errorf("after %d octets comes %.80q", at, b)
					return
				}
				b = b[end+1:]
			}
		})
	}
	all.Wait()
	if p.Struck() != 80 {
		t.Errorf("%d faults: %s", p.Struck(), p)
	}
	for _, kind := range []string{FaultCut, FaultCutUp, FaultStall, FaultHalfClose, FaultHalfUp, FaultGarbage, FaultSlow} {
		if p.Counts()[kind] == 0 {
			t.Errorf("no %s among %s", kind, p)
		}
	}
	p.Close()
	if p.Open() != 0 {
		t.Errorf("%d connections are left open", p.Open())
	}
}

func TestEnoughFaultsLeaveConnectionsAlone(t *testing.T) {
	addr, whole, _ := served(t)
	p := Faults(t, FaultOptions{Plain: addr})
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make([]byte, len(whole))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, whole) || p.Struck() != 0 {
		t.Errorf("%v, %d faults", err, p.Struck())
	}
}
