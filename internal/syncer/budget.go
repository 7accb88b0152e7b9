package syncer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"mailroom/internal/mailroom"
)

// Budget shares out the connections to each mailbox, never more at a time than
// its provider allows. People who wait for an answer go before the lanes of a
// session: for them the bulk lane hangs up and comes back afterwards, and where
// there is only one connection even the control connection does.
//
// It counts the connections of one process. A mailbox is read by one node at a
// time, so among several nodes only people's short connections that come in at
// another node are not in the count.
type Budget struct {
	Now    func() time.Time // to be set before use; time.Now by default
	limits func(mailroom.Mailbox) Limits
	mu     sync.Mutex
	boxes  map[string]*box      // by mailbox id, while in use
	pauses map[string]time.Time // by mailbox id: the provider asked to be left alone
}

// NewBudget makes a Budget for a process; limits are the providers' manners, nil
// for two connections everywhere.
func NewBudget(limits func(mailroom.Mailbox) Limits) *Budget {
	if limits == nil {
		limits = func(mailroom.Mailbox) Limits { return Limits{} }
	}
	return &Budget{Now: time.Now, limits: limits, boxes: map[string]*box{}, pauses: map[string]time.Time{}}
}

// purpose is what a connection is for; the first goes first.
type purpose int

const (
	forPerson purpose = iota
	forControl
	forBulk
)

type box struct {
	limit   int
	held    []*seat
	waiting []*seat // by purpose, then by time
}

// seat is the right to one connection, or the wish for it.
type seat struct {
	b     *Budget
	id    string
	is    purpose
	got   chan struct{} // closed when the seat is there
	since time.Time     // when that was
	give  chan struct{} // closed when a person waits for it
	asked bool          // give is closed
	left  chan struct{} // closed by leave
	leave func()        // gives it back; once is enough
}

// personWaits is how long a person waits for a seat: longer than the bulk lane
// takes to hang up.
const personWaits = 4 * time.Second

// Visit waits a few seconds for a seat for somebody's short connection, which
// the func gives back. Unavailable when there is none, Throttled while the
// provider wants to be left alone.
func (b *Budget) Visit(ctx context.Context, m mailroom.Mailbox) (leave func(), err error) {
	limited, cancel := context.WithTimeout(ctx, personWaits)
	defer cancel()
	p, err := b.take(limited, m, forPerson)
	switch {
	case err == nil:
		return p.leave, nil
	case ctx.Err() == nil && limited.Err() != nil:
		return nil, mailroom.E(mailroom.Unavailable, "imap.error.crowded", err)
	}
	return nil, err
}

// idleLook is how often Idle looks.
const idleLook = 20 * time.Millisecond

// Idle waits until nobody here is connected to a mailbox, or waits to be; false
// when ctx ends first.
func (b *Budget) Idle(ctx context.Context, mailboxID string) bool {
	tick := time.NewTicker(idleLook)
	defer tick.Stop()
	for {
		b.mu.Lock()
		used := b.boxes[mailboxID] != nil
		b.mu.Unlock()
		if !used {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// Heed remembers a provider's wish to be left alone, if err is one.
func (b *Budget) Heed(mailboxID string, err error) {
	e := mailroom.AsError(err)
	if e == nil || e.Kind != mailroom.Throttled || e.Until.IsZero() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, until := range b.pauses {
		if !b.Now().Before(until) {
			delete(b.pauses, id)
		}
	}
	if e.Until.After(b.pauses[mailboxID]) {
		b.pauses[mailboxID] = e.Until
	}
}

// take waits for a seat.
func (b *Budget) take(ctx context.Context, m mailroom.Mailbox, is purpose) (*seat, error) {
	p := &seat{b: b, id: m.ID, is: is, got: make(chan struct{}), give: make(chan struct{}), left: make(chan struct{})}
	p.leave = sync.OnceFunc(p.free)
	b.mu.Lock()
	if until := b.pauses[m.ID]; b.Now().Before(until) {
		b.mu.Unlock()
		return nil, &mailroom.Error{Kind: mailroom.Throttled, Key: "imap.error.throttled", Until: until}
	}
	x := b.boxes[m.ID]
	if x == nil {
		x = &box{limit: cmp.Or(max(b.limits(m).Connections, 0), 2)}
		b.boxes[m.ID] = x
	}
	at, _ := slices.BinarySearchFunc(x.waiting, is+1, func(w *seat, is purpose) int { return cmp.Compare(w.is, is) })
	x.waiting = slices.Insert(x.waiting, at, p)
	b.settle(m.ID, x)
	b.mu.Unlock()
	select {
	case <-p.got:
		return p, nil
	case <-ctx.Done():
		p.leave()
		return nil, context.Cause(ctx)
	}
}

// free gives the seat back, or the wish for it up.
func (p *seat) free() {
	close(p.left)
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	x := p.b.boxes[p.id]
	mine := func(q *seat) bool { return q == p }
	x.held = slices.DeleteFunc(x.held, mine)
	x.waiting = slices.DeleteFunc(x.waiting, mine)
	p.b.settle(p.id, x)
}

// only says that the server lets no second connection in, until nobody is
// connected any more.
func (p *seat) only() {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	x := p.b.boxes[p.id]
	x.limit = 1
	p.b.settle(p.id, x)
}

// settle gives free seats to who waits for them, and asks lanes for theirs
// where people still wait. mu is held.
func (b *Budget) settle(id string, x *box) {
	for len(x.held) < x.limit && len(x.waiting) > 0 {
		p := x.waiting[0]
		x.waiting = x.waiting[1:]
		x.held = append(x.held, p)
		p.since = time.Now()
		close(p.got)
	}
	if len(x.held)+len(x.waiting) == 0 {
		delete(b.boxes, id)
		return
	}
	people := len(x.waiting)
	if n := slices.IndexFunc(x.waiting, func(p *seat) bool { return p.is != forPerson }); n >= 0 {
		people = n
	}
	for _, p := range x.held {
		if people == 0 {
			return
		}
		if p.is == forBulk || p.is == forControl && x.limit == 1 {
			people--
			if !p.asked {
				p.asked = true
				close(p.give)
			}
		}
	}
}

// line is a connection that gives its seat back when it is closed.
type line struct {
	Conn
	seat *seat
}

func (l *line) Close() error {
	defer l.seat.leave()
	return l.Conn.Close()
}

// giving is ctx until somebody wants the seat; then its cause is errGiveWay.
func (p *seat) giving(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	p.whenWanted(func() { cancel(errGiveWay) }, ctx.Done())
	return ctx, cancel
}

// atLeast is how long a lane keeps its seat though somebody wants it, so that
// it gets on however often people come.
const atLeast = time.Second

// whenWanted calls do when a person waits for the seat, unless it is left or
// over before.
func (p *seat) whenWanted(do func(), over <-chan struct{}) {
	go func() {
		select {
		case <-p.give:
		case <-p.left:
			return
		case <-over:
			return
		}
		moment := time.NewTimer(time.Until(p.since.Add(atLeast)))
		defer moment.Stop()
		select {
		case <-moment.C:
			do()
		case <-p.left:
		case <-over:
		}
	}()
}

// errGiveWay: a person waits for this connection.
var errGiveWay = errors.New("a person waits for the connection")
