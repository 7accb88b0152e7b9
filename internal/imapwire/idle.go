package imapwire

import (
	"context"
	"time"
)

// IdleEnd says why an Idle ended well.
type IdleEnd int

const (
	IdleStopped     IdleEnd = iota // the handler had heard enough
	IdleInterrupted                // by [Client.Interrupt]
	IdleExpired                    // the time was up: renew it
	IdleServer                     // the server ended it
)

// Idle waits for news of the open mailbox (RFC 2177) until heard returns true,
// Interrupt is called, the time is up, or the server ends it; then the
// connection is ready for the next command. Renew it well before the server
// hangs up: RFC 2177 says 29 minutes, Exchange wants 10. Some news never
// comes: keep polling behind it.
//
// Events go to heard (which may be nil), and to Options.OnEvent as always. An
// EXISTS that comes before the server's "+ idling" is heard too. The wait costs
// no goroutine but the caller's, and a read buffer of 512 bytes.
//
// A context that ends, ends the connection. For a polite end use
// context.AfterFunc(ctx, c.Interrupt) and a context that lives longer.
func (c *Client) Idle(ctx context.Context, atMost time.Duration, heard func(Event) (stop bool)) (IdleEnd, error) {
	cmd, err := c.build("IDLE").end()
	if err != nil {
		return 0, err
	}
	stop, idling, told := false, false, false
	cmd.alone = true
	cmd.heard = func(e Event) {
		if heard != nil && heard(e) {
			stop = true
		}
	}
	cmd.invited = func([]byte) ([]byte, error) { idling = true; return nil, nil }
	call(c, cmd, new(struct{}), nil)

	end := IdleServer
	until := time.Now().Add(atMost)
	err = c.run(ctx, func() error {
		defer c.idleOver()
		for !cmd.done {
			if err := c.send(); err != nil {
				return err
			}
			if idling && !told {
				reason, over := c.idleEnd(stop, until)
				if over {
					end, told = reason, true
					if err := c.sendDone(); err != nil {
						return err
					}
				}
			}
			waiting := idling && !told && c.Bye() == nil
			by := c.beginBy()
			if waiting {
				by = until
				c.rd.resize(idleBuffer)
			}
			err := c.response(by, waiting)
			// Nothing was consumed, so the wait can go on or be ended by DONE.
			woken := waiting && !c.rd.began && isTimeout(err) && !c.isCancelled()
			if err != nil && !woken {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = cmd.err
	}
	return end, err
}

func (c *Client) idleEnd(stop bool, until time.Time) (IdleEnd, bool) {
	c.mu.Lock()
	interrupted := c.interrupted
	c.mu.Unlock()
	switch {
	case stop:
		return IdleStopped, true
	case interrupted:
		return IdleInterrupted, true
	case !time.Now().Before(until):
		return IdleExpired, true
	}
	return 0, false
}

func (c *Client) sendDone() error {
	if c.opt.OnCommand != nil {
		c.opt.OnCommand("DONE")
	}
	return c.write([]byte("DONE\r\n"))
}

func (c *Client) idleOver() {
	c.mu.Lock()
	c.interrupted, c.idleWait = false, false
	c.mu.Unlock()
	if c.err == nil {
		c.rd.resize(normalBuffer)
	}
}

func (c *Client) isCancelled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cancelled || c.closed
}
