package bench

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"

	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
)

// BenchmarkIdle holds connections over TLS in IDLE, each at a mailbox of its own,
// by Mailroom's client and by go-imap v2's, and says what memory each holds.
func BenchmarkIdle(t *testing.B) {
	count, rounds := n(t, "idle"), n(t, "holds")
	hold := func(role string) (each, all float64) {
		// A new server each time: its record of commands tells who idles.
		server := pretendServer(t, modern(), count, func(int) []smallMail { return nil })
		r := start(t, program(t, role, job{Source: server.source(0, true), Count: count}))
		w := r.hear()
		server.idling(count)
		r.settle()
		resident := memory(r.cmd.Process.Pid, "VmRSS")
		r.finish()
		must(t, server.Close())
		return float64(resident-w.Base) / float64(count) / 1e3, float64(resident) / 1e6
	}
	var ours, theirs, whole []float64
	alternate(rounds,
		func() {
			each, all := hold("idle-mailroom")
			ours, whole = append(ours, each), append(whole, all)
		},
		func() {
			each, _ := hold("idle-go-imap")
			theirs = append(theirs, each)
		},
	)
	tell("%d connections: kB each, Mailroom %.1f, go-imap v2 %.1f", count, ours, theirs)
	report(t, result{Name: "an idle connection (TLS, IDLE), memory, against go-imap v2", Ours: median(ours), Peer: median(theirs), Unit: "kB", Target: 0.55})
	report(t, result{Name: "10,000 idle connections in one process, RSS", Ours: median(whole), Unit: "MB", Target: 250})
}

// playIdle opens all connections, says so, and holds them until it is told to stop.
func playIdle(ctx context.Context, j job, say func(word), idle func(ctx context.Context, from peers.Source, ready func()) error) error {
	rest()
	base := memory(os.Getpid(), "VmRSS")
	failed := make(chan error, j.Count)
	var ready, all sync.WaitGroup
	room := make(chan struct{}, 16)
	for i := range j.Count {
		room <- struct{}{}
		ready.Add(1)
		from := j.Source
		from.User = mailboxName(i)
		all.Go(func() {
			var once sync.Once
			done := func() { once.Do(func() { <-room; ready.Done() }) }
			defer done()
			if err := idle(ctx, from, done); err != nil {
				failed <- err
			}
		})
	}
	ready.Wait()
	say(word{Base: base})
	all.Wait()
	close(failed)
	return <-failed
}

func idleMailroom(ctx context.Context, from peers.Source, ready func()) error {
	pool, err := certPool(from.CAFile)
	if err != nil {
		return err
	}
	c, err := imapconn.Open(ctx, imapconn.Account{
		Endpoint: mailroom.Endpoint{Host: from.Host, Port: from.Port, TLS: mailroom.ImplicitTLS},
		Username: from.User, Password: from.Password, RootCAs: pool,
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Examine(ctx, "INBOX"); err != nil {
		return err
	}
	ready()
	for ctx.Err() == nil {
		if _, err := c.Idle(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func idleGoIMAP(ctx context.Context, from peers.Source, ready func()) error {
	pool, err := certPool(from.CAFile)
	if err != nil {
		return err
	}
	c, err := imapclient.DialTLS(net.JoinHostPort(from.Host, strconv.Itoa(from.Port)), &imapclient.Options{
		TLSConfig: &tls.Config{RootCAs: pool, ServerName: from.Host},
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Login(from.User, from.Password).Wait(); err != nil {
		return err
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return err
	}
	idle, err := c.Idle()
	if err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return idle.Close()
}
