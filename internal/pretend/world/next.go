package world

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mailroom/internal/pretend/imapd"
)

// nextMail is the next mail that comes in: often an answer in an open conversation, else a new one,
// now and then somebody who writes to many.
func (g *generator) nextMail(now time.Time) (imapd.Message, Mail) {
	g.now = now
	at := local(now)
	switch k := g.d.IntN(100); {
	case k < 15:
		return g.arrival(g.bulk(g.sender(), at), nil)
	case k < 50 && len(g.open) > 0:
		i := g.d.IntN(len(g.open))
		c := g.open[i]
		g.open = append(g.open[:i], g.open[i+1:]...)
		// What we would have answered meanwhile is skipped: they write again.
		for c.next < len(c.script.steps) && c.script.steps[c.next].ours {
			c.next++
		}
		if c.next < len(c.script.steps) {
			c.at = at
			return g.arrival(g.write(c), c)
		}
	}
	c := g.opening(at)
	l := g.write(c)
	g.open = append(g.open, c)
	return g.arrival(l, c)
}

func (g *generator) arrival(l *letter, c *conversation) (imapd.Message, Mail) {
	m := Mail{From: l.from.email, Subject: l.subject, MessageID: l.id}
	if c != nil && c.known {
		m.Person = c.them.Name
	}
	return imapd.Message{Raw: l.compose(), Date: l.date, GmailThread: l.threadSeed}, m
}

// Arrive delivers a fresh mail to the inbox of a user's mailbox, dated now.
func (w *World) Arrive(now time.Time, address string) (Mail, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.generators[strings.ToLower(address)]
	if g == nil {
		return Mail{}, fmt.Errorf("world: nobody writes to %q", address)
	}
	a := w.IMAP.Account(address)
	a.Open() // so that the generator has filled it before it goes on
	msg, m := g.nextMail(now)
	m.UID = a.Deliver("INBOX", msg)
	return m, nil
}

// RunArrivals lets mail come in: one to each recruiter after first, then one to any of them every so
// often, until ctx ends.
func (w *World) RunArrivals(ctx context.Context, first, every time.Duration) error {
	timer := time.NewTimer(first)
	defer timer.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		for i, u := range w.Users[:2] {
			if n > 0 && i != n%2 {
				continue
			}
			if _, err := w.Arrive(time.Now(), u.Mailbox); err != nil {
				return err
			}
		}
		timer.Reset(every)
	}
}
