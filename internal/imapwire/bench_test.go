package imapwire

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// replay is a tape with a greeting and the answer to one command.
func replay(b *testing.B, data []byte, run func(c *Client) error) {
	b.Helper()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	pool := &Buffers{}
	for b.Loop() {
		c, err := NewClient(background(), &tape{data: data, step: 64 << 10}, Options{Buffers: pool})
		if err == nil {
			err = run(c)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFetchBodies(b *testing.B) {
	var s strings.Builder
	s.WriteString("* OK hi\r\n")
	body := strings.Repeat("All work and no play makes Jack a dull boy\r\n", 400)
	for i := range 1000 {
		fmt.Fprintf(&s, "* %d FETCH (UID %d FLAGS (\\Seen) INTERNALDATE \"17-Jul-2026 02:44:25 +0000\" RFC822.SIZE %d BODY[] {%d}\r\n%s)\r\n", i+1, i+1, len(body), len(body), body)
	}
	s.WriteString("m1 OK done\r\n")
	replay(b, []byte(s.String()), func(c *Client) error {
		_, err := c.UIDFetch(UIDsFrom(1), FetchItems{Body: true}, FetchHandler{
			Body: func(_ *Message, lit *Literal) error { _, err := lit.WriteTo(io.Discard); return err },
		}).Wait(background())
		return err
	})
}

func BenchmarkFetchFlags(b *testing.B) {
	var s strings.Builder
	s.WriteString("* OK hi\r\n")
	for i := range 20_000 {
		fmt.Fprintf(&s, "* %d FETCH (UID %d FLAGS (\\Answered \\Seen))\r\n", i+1, i+100)
	}
	s.WriteString("m1 OK done\r\n")
	replay(b, []byte(s.String()), func(c *Client) error {
		_, err := c.UIDFetch(UIDsFrom(1), FetchItems{Flags: true}, FetchHandler{}).Wait(background())
		return err
	})
}

func BenchmarkSearch(b *testing.B) {
	var s strings.Builder
	s.WriteString("* OK hi\r\n* SEARCH")
	for i := range 20_000 {
		fmt.Fprintf(&s, " %d", 2*i+100)
	}
	s.WriteString("\r\nm1 OK done\r\n")
	replay(b, []byte(s.String()), func(c *Client) error {
		_, err := c.UIDSearch(Criteria{}, false).Wait(background())
		return err
	})
}

// An idle connection's own memory, without the network's and TLS's.
func BenchmarkIdleMemory(b *testing.B) {
	const many = 1000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		clients := make([]*Client, many)
		for i := range clients {
			c, err := NewClient(background(), &tape{data: []byte("* OK hi\r\n"), step: 1 << 10}, Options{})
			if err != nil {
				b.Fatal(err)
			}
			c.rd.resize(idleBuffer)
			clients[i] = c
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/many, "B/client")
		runtime.KeepAlive(clients)
	}
}
