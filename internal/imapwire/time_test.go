package imapwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailroom/internal/imapwire/wiretest"
)

// In these the clock is synctest's: an hour passes at once, and only when
// everybody waits.

func bubble(t *testing.T, f func(*testing.T)) { t.Helper(); synctest.Test(t, f) }

func TestASlowBodyNeverTimesOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const pieces = 100
		c := connect(t, wiretest.Serve(t, func(s *wiretest.Session) {
			s.Send("* OK ready")
			s.Expect("{a} UID FETCH 1 (UID BODY.PEEK[])")
			s.Raw(fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n", pieces))
			for range pieces {
				time.Sleep(50 * time.Second) // each within Progress, all of them far beyond
				s.Raw("x")
			}
			s.Raw(" UID 1)\r\n")
			s.Send("{a} OK")
		}))
		var g got
		wait(t, c.UIDFetch(UIDs(1), FetchItems{Body: true}, g.handler()))
		if g.bodies[1] != strings.Repeat("x", pieces) {
			t.Errorf("body %q", g.bodies[1])
		}
	})
}

func TestAStallInMidSentenceEndsTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := connect(t, wiretest.Serve(t, func(s *wiretest.Session) {
			s.Send("* OK ready")
			s.Expect("{a} UID FETCH 1 (UID BODY.PEEK[])")
			s.Raw("* 1 FETCH (BODY[] {10}\r\nab")
		}), func(o *Options) { o.Timeouts.Progress = 20 * time.Second })
		began := time.Now()
		_, err := c.UIDFetch(UIDs(1), FetchItems{Body: true}, (&got{}).handler()).Wait(t.Context())
		wantErr[*ConnError](t, err)
		if d := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || d != 20*time.Second {
			t.Errorf("error %v after %v", err, d)
		}
	})
}

func TestADeadPeerIsNoticedWhileWaitingForAnAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := connect(t, wiretest.Serve(t, func(s *wiretest.Session) {
			s.Send("* OK ready")
			s.Expect("{a} NOOP")
			for range 5 { // signs of life, each in time
				time.Sleep(100 * time.Second)
				s.Send("* OK Still here")
			}
		}))
		began := time.Now()
		_, err := c.Noop().Wait(t.Context())
		if d := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || d != 620*time.Second {
			t.Errorf("error %v after %v", err, d)
		}
	})
}

func TestASlowReaderHoldsTheServerBackWithoutTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, "", `
			C: {a} UID FETCH 1:2 (UID BODY.PEEK[])
			R: "* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n"
			R: "* 2 FETCH (UID 2 BODY[] {3}\r\nabc)\r\n"
			S: {a} OK
		`)
		n := wait(t, c.UIDFetch(UIDsBetween(1, 2), FetchItems{Body: true}, FetchHandler{Body: func(_ *Message, lit *Literal) error {
			time.Sleep(time.Hour)
			_, err := io.Copy(io.Discard, lit)
			return err
		}}))
		if n != 2 {
			t.Errorf("%d messages", n)
		}
	})
}

func TestAServerThatDoesNotReadTimesOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		client, server := net.Pipe() // without any buffer
		defer server.Close()
		go io.WriteString(server, "* OK ready\r\n")
		c := connect(t, client)
		began := time.Now()
		_, err := c.Noop().Wait(t.Context())
		if d := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || d != time.Minute {
			t.Errorf("error %v after %v", err, d)
		}
	})
}

func TestAfterByeTheWaitIsShort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, "", "C: {a} NOOP\nS: * BYE leaving")
		began := time.Now()
		_, err := c.Noop().Wait(t.Context())
		ce := wantErr[*ConnError](t, err)
		if d := time.Since(began); ce.Bye == nil || d != 5*time.Second {
			t.Errorf("error %v after %v", err, d)
		}
	})
}

func TestCancelledContextUnblocksAndEndsTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, "", "C: {a} NOOP")
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("shutting down")
		time.AfterFunc(time.Second, func() { cancel(why) })
		_, err := c.Noop().Wait(ctx)
		if wantErr[*ConnError](t, err); !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Errorf("error %v", err)
		}
		if _, err := c.Noop().Wait(t.Context()); err == nil {
			t.Error("connection still usable, in the middle of an answer")
		}
		c = open(t, "", "C: {a} NOOP")
		ctx2, cancel2 := context.WithTimeout(t.Context(), time.Second)
		defer cancel2()
		if _, err := c.Noop().Wait(ctx2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestIdleIsRenewedAfterItsTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, "", `
			C: {a} IDLE
			S: + idling
			C: DONE
			S: {a} OK
		`+aliveScript)
		began := time.Now()
		end, err := c.Idle(t.Context(), 9*time.Minute, nil)
		if d := time.Since(began); err != nil || end != IdleExpired || d != 9*time.Minute {
			t.Errorf("idle ended %v, %v after %v", end, err, d)
		}
		alive(t, c)
	})
}

func TestIdleHearsAndGoesOnUntilTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := connect(t, wiretest.Serve(t, func(s *wiretest.Session) {
			s.Send("* OK ready")
			s.Expect("{a} IDLE")
			s.Send("+ idling")
			for i := range 4 {
				time.Sleep(time.Minute)
				s.Send("* OK Still here", fmt.Sprintf("* %d EXISTS", 10+i))
			}
			s.Expect("DONE")
			s.Send("* 3 EXPUNGE", "{a} OK")
		}))
		var nums []uint32
		end, err := c.Idle(t.Context(), time.Hour, func(e Event) bool {
			if e.Kind == EventNotice {
				return false
			}
			nums = append(nums, e.Num)
			return e.Num == 13
		})
		if err != nil || end != IdleStopped || fmt.Sprint(nums) != "[10 11 12 13 3]" {
			t.Errorf("idle ended %v, %v, heard %v", end, err, nums)
		}
	})
}

func TestIdleInterruptedFromElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, "", `
			C: {a} IDLE
			S: + idling
			C: DONE
			S: {a} OK
			C: {b} IDLE
			S: + idling
			C: DONE
			S: {b} OK
			C: {c} IDLE
			S: + idling
			C: DONE
			S: {c} OK
		`+aliveScript)
		time.AfterFunc(time.Minute, c.Interrupt)
		began := time.Now()
		end, err := c.Idle(t.Context(), time.Hour, nil)
		if d := time.Since(began); err != nil || end != IdleInterrupted || d != time.Minute {
			t.Errorf("idle ended %v, %v after %v", end, err, d)
		}
		// A wish to be woken that comes between two IDLEs is not lost.
		c.Interrupt()
		began = time.Now()
		if end, err := c.Idle(t.Context(), time.Hour, nil); err != nil || end != IdleInterrupted || time.Since(began) != 0 {
			t.Errorf("idle ended %v, %v", end, err)
		}
		// And it counts once.
		if end, err := c.Idle(t.Context(), time.Hour, nil); err != nil || end != IdleExpired {
			t.Errorf("idle ended %v, %v", end, err)
		}
		alive(t, c)
	})
}

func TestIdleEndedByTheServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, "", "C: {a} IDLE\nS: + idling\nS: {a} OK enough\nC: {b} IDLE\nS: {b} BAD no such thing\n"+aliveScript)
		if end, err := c.Idle(t.Context(), time.Hour, nil); err != nil || end != IdleServer {
			t.Errorf("idle ended %v, %v", end, err)
		}
		_, err := c.Idle(t.Context(), time.Hour, nil)
		wantErr[*ResponseError](t, err)
		alive(t, c)
	})
}

func TestIdleDeadPeers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for name, script := range map[string]string{
			"no answer to DONE":   "C: {a} IDLE\nS: + idling\nC: DONE",
			"no answer to IDLE":   "C: {a} IDLE",
			"hangs up":            "C: {a} IDLE\nS: + idling\nCLOSE",
			"stalls in an event":  "C: {a} IDLE\nS: + idling\nR: \"* 12 EXI\"",
			"says bye and stays":  "C: {a} IDLE\nS: + idling\nS: * BYE AccessTokenExpired",
			"says bye and leaves": "C: {a} IDLE\nS: + idling\nS: * BYE AccessTokenExpired\nCLOSE",
		} {
			c := open(t, "", script)
			_, err := c.Idle(t.Context(), 9*time.Minute, nil)
			var ce *ConnError
			if !errors.As(err, &ce) {
				t.Errorf("%s: error %v", name, err)
			} else if strings.Contains(name, "bye") != (ce.Bye != nil) {
				t.Errorf("%s: bye %v", name, ce.Bye)
			}
		}
	})
}

func TestIdleContextEndsTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, "", "C: {a} IDLE\nS: + idling")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Idle(ctx, time.Hour, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// An idle connection must cost no goroutine but its caller's and no large
// buffer.
func TestIdleIsCheap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, "", `
			C: {a} UID FETCH 1 (UID BODY.PEEK[])
			R: "* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n"
			S: {a} OK
			C: {b} IDLE
			S: + idling
			C: DONE
			S: {b} OK
		`, func(o *Options) { o.Buffers = &Buffers{} })
		var bulk, idle int
		wait(t, c.UIDFetch(UIDs(1), FetchItems{Body: true}, FetchHandler{Done: func(*Message) error { bulk = len(c.rd.buf); return nil }}))
		time.AfterFunc(time.Minute, func() { synctest.Wait(); idle = len(c.rd.buf); c.Interrupt() })
		if _, err := c.Idle(t.Context(), time.Hour, nil); err != nil {
			t.Fatal(err)
		}
		if bulk != bulkBuffer || idle != idleBuffer {
			t.Errorf("read buffers are %d in bulk and %d idle", bulk, idle)
		}
	})
}
