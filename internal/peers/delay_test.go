package peers

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"
)

// echo answers every line with itself.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.Copy(c, c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestDelayIsThatOfTheLineAndTurnsAreCounted(t *testing.T) {
	const trip = 40 * time.Millisecond
	p := Delay(t, echo(t), trip)
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	ask := func(lines ...string) time.Duration {
		t.Helper()
		started := time.Now()
		for _, line := range lines {
			if _, err := io.WriteString(c, line); err != nil {
				t.Fatal(err)
			}
		}
		for _, line := range lines {
			if got, err := in.ReadString('\n'); err != nil || got != line {
				t.Fatalf("%q came back as %q: %v", line, got, err)
			}
		}
		return time.Since(started)
	}
	if took := ask("one\n"); took < trip {
		t.Errorf("a round trip took %v", took)
	}
	before := p.Traffic()
	if took := ask("two\n", "three\n", "four\n"); took < trip || took > 3*trip {
		t.Errorf("three lines that do not wait for each other took %v", took)
	}
	ask("five\n")
	got := p.Traffic().Since(before)
	if want := (Traffic{Up: 20, Down: 20, Turns: 2}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	if got.Octets() != 40 {
		t.Errorf("%d octets", got.Octets())
	}
	c.Close()
	p.Close()
	if _, err := net.Dial("tcp", p.Addr); err == nil {
		t.Error("the door is open after Close")
	}
}
