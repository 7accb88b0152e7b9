package syncer

import (
	"context"
	"errors"
	"time"

	"mailroom/internal/mailroom"
)

// kick starts the bulk lane if there is a backlog and none is running.
func (s *session) kick(ctx context.Context) {
	if s.shared || ctx.Err() != nil || !s.backlog() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bulkOn || s.bulkErr != nil || s.alone {
		return
	}
	s.bulkOn = true
	ledgers := s.ledgers
	s.lanes.Go(func() {
		err := s.safely(func() error { return s.backfill(ctx, ledgers) })
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bulkOn = false
		if err != nil && ctx.Err() == nil {
			s.bulkErr = err
			s.poke()
		}
	})
}

// backfill works through the backlog on a connection of its own, newest first,
// the mappings in turn, until none is left. Its connection may come and go; only
// what concerns the mailbox as a whole is an error.
func (s *session) backfill(ctx context.Context, ledgers []*ledger) error {
	runs := map[*ledger]*runLog{}
	b := &bulkLane{s: s, ledgers: ledgers, runs: runs}
	defer func() {
		b.hangUp()
		endCtx, done := s.grace(ctx)
		defer done()
		for _, r := range runs {
			r.leave(endCtx)
		}
	}()
	for ctx.Err() == nil {
		if left := b.rest.left(time.Now()); left > 0 {
			b.pause(ctx, b.s.now().Add(left))
			continue
		}
		l, at := b.turn(ctx)
		if l == nil && at.IsZero() {
			return nil
		}
		if l == nil {
			b.pause(ctx, at)
			continue
		}
		err := b.part(ctx, l)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errStale), errors.Is(err, errGiveWay):
			b.hangUp()
		case errors.Is(err, errNoSecond):
			return nil
		case broken(err):
			b.fault(l, err)
		case wide(err):
			return err
		default:
			b.hangUp()
			if err := s.park(ctx, l, b.run(l), err); err != nil {
				return err
			}
		}
	}
	return context.Cause(ctx)
}

// errNoSecond: the server lets no second connection in, so the lanes share one.
var errNoSecond = errors.New("no second connection")

type bulkLane struct {
	s        *session
	ledgers  []*ledger
	runs     map[*ledger]*runLog
	seat     *seat // of conn, and before it is there
	conn     *line
	opened   time.Time // when conn was signed in
	falls    int       // of connections in a row that did not live long
	rest     pause     // nobody signs in meanwhile
	selected string
	at       int // whose turn it is
}

// turn is the next mapping with a backlog. Where all that have one are to be
// left alone, at is when the first may be taken up again.
func (b *bulkLane) turn(ctx context.Context) (l *ledger, at time.Time) {
	now := b.s.now()
	for range b.ledgers {
		l := b.ledgers[b.at%len(b.ledgers)]
		b.at++
		if !l.take(1, now).Empty() {
			return l, time.Time{}
		}
		if again := l.bulkAgain(now); !again.IsZero() && (at.IsZero() || again.Before(at)) {
			at = again
		}
		if r := b.runs[l]; r != nil && l.account().backlog.Empty() {
			r.leave(ctx)
			delete(b.runs, l)
		}
	}
	return nil, at
}

// pause hangs up and waits; the connection may be wanted elsewhere.
func (b *bulkLane) pause(ctx context.Context, until time.Time) {
	b.hangUp()
	t := time.NewTimer(max(until.Sub(b.s.now()), time.Millisecond))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// part reads one slice of a mapping's backlog. Lanes of all mailboxes take
// turns slice by slice. When a person waits for the connection, the slice ends
// where it is: what has come is filed.
func (b *bulkLane) part(ctx context.Context, l *ledger) error {
	if b.seat == nil {
		var err error
		if b.seat, err = b.s.k.Budget.take(ctx, b.s.work.Mailbox, forBulk); err != nil {
			return err
		}
	}
	giving, stop := b.seat.giving(ctx)
	defer stop(nil)
	err := b.slice(giving, l)
	if err != nil && errors.Is(context.Cause(giving), errGiveWay) {
		return errGiveWay
	}
	return err
}

func (b *bulkLane) slice(ctx context.Context, l *ledger) error {
	s := b.s
	if err := s.k.bulkSlots.Acquire(ctx, 1); err != nil {
		return context.Cause(ctx)
	}
	defer s.k.bulkSlots.Release(1)
	s.k.counters.bulk.Add(1)
	defer s.k.counters.bulk.Add(-1)
	if err := b.dial(ctx); err != nil {
		return err
	}
	if b.selected != l.mapping.RawName {
		b.selected = ""
		st, err := s.examine(ctx, b.conn, l)
		if err != nil {
			return err
		}
		if st.UIDValidity != l.generation() {
			l.rest(s.now(), s.k.BusyPoll) // the control connection sees to it
			return nil
		}
		b.selected = l.mapping.RawName
	}
	set := l.take(s.k.Slice, s.now())
	if err := s.readAll(ctx, b.conn, l, set, s.k.bulkLane(), b.run(l)); err != nil {
		return err
	}
	s.restIfStuck(l, set)
	return s.saveFindings(ctx, l)
}

// run is the reading that the lane takes part in until l's backlog is empty.
func (b *bulkLane) run(l *ledger) *runLog {
	if b.runs[l] == nil {
		b.runs[l] = b.s.joinRun(l)
	}
	return b.runs[l]
}

// restIfStuck leaves a mapping alone for a while of which a slice was read and
// nothing became of it.
func (s *session) restIfStuck(l *ledger, set mailroom.UIDSet) {
	if l.account().backlog.Intersect(set).Len() == set.Len() {
		l.rest(s.now(), s.k.BusyPoll)
	}
}

func (b *bulkLane) dial(ctx context.Context) error {
	if b.conn != nil {
		return nil
	}
	conn, err := b.s.k.openAt(ctx, b.s.work.Mailbox, b.seat)
	switch {
	case err == nil:
		b.conn, b.selected, b.opened = conn, "", time.Now()
		return nil
	case ctx.Err() != nil:
		return err
	case broken(err), mailroom.AsError(err).Key == "imap.error.not_connected":
		// Exchange says the latter of one connection too many as well (docs/providers.md
		// 3.4); if it is the mailbox that is shut, the control connection is told so.
		b.s.log.Info("no second connection, lanes share one", cause(err))
		b.s.mu.Lock()
		b.s.alone = true
		b.s.poke()
		b.s.mu.Unlock()
		return errNoSecond
	}
	return err
}

func (b *bulkLane) hangUp() {
	if b.conn != nil {
		b.conn.Close()
		b.conn = nil
	}
	if b.seat != nil { // taken, and not signed in at
		b.seat.leave()
		b.seat = nil
	}
}

// fault notes that the bulk connection ended while l was read. The control
// connection goes on; the backlog waits: longer each time, until a connection has
// lived a while, since a server that lets us in and drops us is not to be hammered.
func (b *bulkLane) fault(l *ledger, err error) {
	lived := time.Since(b.opened)
	b.hangUp()
	if sessionEnded(err) && lived >= unseen {
		return
	}
	if lived >= b.s.k.Settled {
		b.falls = 0
	}
	b.falls++
	failures, _ := l.fault(nil, nil, b.s.now())
	b.s.log.Info("bulk connection ended", "mapping", l.mapping.ID, "failures", failures, cause(err))
	d := backoff(mailroom.Unavailable, b.falls, b.s.k.Jitter())
	if failures == 1 { // something came through
		d = min(d, 30*time.Second)
	}
	b.rest = pause{time.Now(), d}
}

// readPart reads a little of the backlog on the control connection, for a
// mailbox that has only that one, and then lets new mail go first again.
func (s *session) readPart(ctx context.Context) error {
	now := s.now()
	for range s.ledgers {
		l := s.ledgers[s.next%len(s.ledgers)]
		if l.take(1, now).Empty() {
			s.next++
			continue
		}
		return s.sharedPart(ctx, l)
	}
	return nil
}

func (s *session) sharedPart(ctx context.Context, l *ledger) error {
	if s.selected != l.mapping.RawName {
		s.next++
		if err := s.look(ctx, l); err != nil || s.selected != l.mapping.RawName {
			return err
		}
	}
	set := l.take(s.k.SharedPart, s.now())
	if s.sharedRuns[l] == nil {
		s.sharedRuns[l] = s.joinRun(l)
	}
	run := s.sharedRuns[l]
	err := s.readAll(ctx, s.conn, l, set, s.k.bulkLane(), run)
	saveCtx, done := s.grace(ctx)
	defer done()
	switch {
	case err == nil:
		s.restIfStuck(l, set)
		if l.account().backlog.Empty() {
			run.leave(saveCtx)
			delete(s.sharedRuns, l)
		}
		return s.saveFindings(saveCtx, l)
	case errors.Is(err, errStale):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case broken(err):
		return s.tolerate(saveCtx, l, err)
	case wide(err):
		return err
	}
	return s.park(saveCtx, l, run, err)
}
