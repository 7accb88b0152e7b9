package syncer

import (
	"context"
	"errors"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// look checks one mapping's folder on the control connection and reads what is
// new. The folder's own trouble parks it and is no error; what concerns the
// whole mailbox is.
func (s *session) look(ctx context.Context, l *ledger) error {
	s.moving()
	run := s.joinRun(l)
	err := s.check(ctx, l, run)
	saveCtx, done := s.grace(ctx)
	defer done()
	defer run.leave(saveCtx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case broken(err):
		return s.tolerate(saveCtx, l, err)
	case wide(err):
		return err
	case mailroom.KindOf(err) == mailroom.NotFound:
		// Renamed, perhaps. If not it waits, and is looked for at every probe.
		if err := s.relistUnlessJust(ctx); err != nil {
			return err
		}
	}
	return s.park(saveCtx, l, run, err)
}

// park shows a folder's own trouble and leaves it alone for a growing time.
func (s *session) park(ctx context.Context, l *ledger, run *runLog, err error) error {
	now := s.now()
	problem := mailroom.ProblemOf(err, now)
	failures, news := l.fault(problem, func(n int) time.Duration { return parkFor(n, s.k.Jitter()) }, now)
	s.log.Warn("folder parked", "mapping", l.mapping.ID, "failures", failures, cause(err))
	s.log.Debug("folder parked", "mapping", l.mapping.ID, "error", err)
	s.k.counters.failed(problem.Kind)
	if news {
		run.failed(ctx, problem)
	}
	return s.save(ctx, l)
}

// tolerate counts a connection that ended at this folder. A folder at which it
// always ends is parked, so that the others are read.
func (s *session) tolerate(ctx context.Context, l *ledger, err error) error {
	now := s.now()
	const tries = 3
	var problem *mailroom.Problem
	var reading readFault // closeIn deals with a mail that breaks the connection
	if !errors.As(err, &reading) && l.progress().Failures+1 >= tries {
		problem = mailroom.ProblemOf(err, now)
	}
	failures, _ := l.fault(problem, func(n int) time.Duration { return parkFor(n-tries+1, s.k.Jitter()) }, now)
	if err := s.save(ctx, l); err != nil {
		s.log.Warn("progress not saved", "mapping", l.mapping.ID, cause(err))
	}
	if problem != nil && failures > tries {
		return probeFault{err}
	}
	return err
}

// probeFault is a connection that ended because a folder was looked at that is
// known to end it: no fault of the mailbox.
type probeFault struct{ error }

func (f probeFault) Unwrap() error { return f.error }

// check brings the ledger up to what the server holds now: examine, list what is
// unknown, compare where counts differ, read new mail, follow flags.
func (s *session) check(ctx context.Context, l *ledger, run *runLog) error {
	s.selected = ""
	st, news, err := s.reopen(ctx, l)
	if err != nil {
		return err
	}
	s.selected = l.mapping.RawName
	if st, err = s.recognized(ctx, l, st); err != nil {
		return err
	}
	if err := s.load(ctx, l, st.UIDValidity); err != nil {
		return err
	}
	step := l.next(st)
	if step == mailroom.StepRenew { // asked twice: servers have been seen to lie once
		if st, err = s.examine(ctx, s.conn, l); err != nil {
			return err
		}
		step, news = l.next(st), resynced{}
	}
	switch step {
	case mailroom.StepFirst, mailroom.StepRenew:
		err = s.begin(ctx, l, st)
	case mailroom.StepNew:
		err = s.tail(ctx, s.conn, l, st)
	}
	if err != nil {
		return err
	}
	if err := s.limit(ctx, l); err != nil {
		return err
	}
	if err := s.vanish(ctx, l, st, news); err != nil {
		return err
	}
	if l.compareDue(st, s.now()) {
		if err := s.compare(ctx, s.conn, l); err != nil {
			return err
		}
	}
	l.proved(s.now())
	s.k.counters.checks.Add(1)
	s.k.counters.lastCheck.Store(mailroom.Micros(s.now()))
	if err := s.readLive(ctx, l, run); err != nil {
		return err
	}
	if err := s.retryQuarantined(ctx, l, run); err != nil {
		return err
	}
	if err := s.followFlags(ctx, l, st, news); err != nil {
		return err
	}
	if err := s.saveFindings(ctx, l); err != nil {
		return err
	}
	return s.saveIfDue(ctx, l)
}

// examine opens the mapping's folder. A server that names no UIDVALIDITY is
// taken to have one generation.
func (s *session) examine(ctx context.Context, conn Conn, l *ledger) (mailroom.FolderStatus, error) {
	st, err := conn.Examine(ctx, l.mapping.RawName)
	if err != nil {
		return st, err
	}
	if st.UIDValidity == 0 {
		st.UIDValidity = 1
	}
	return st, nil
}

// load reads the account of the generation from the store, once a session.
func (s *session) load(ctx context.Context, l *ledger, uidValidity uint32) error {
	l.mu.Lock()
	loaded, have := l.loaded, l.p.Cursor.UIDValidity
	l.mu.Unlock()
	if loaded || have == 0 {
		return nil
	}
	held, err := s.k.Store.HeldUIDs(ctx, l.mapping.MailboxID, l.mapping.RawName, have)
	if err != nil {
		return storeErr(err)
	}
	var tried map[uint32]mailroom.Quarantine
	if !held.Quarantined.Empty() {
		if tried, err = s.k.Store.QuarantineOf(ctx, l.mapping.ID); err != nil {
			return storeErr(err)
		}
	}
	open, err := s.k.Store.OpenFindings(ctx, l.mapping.ID)
	if err != nil {
		return storeErr(err)
	}
	l.remember(open)
	l.load(held, tried)
	return nil
}

// begin starts a generation: all is listed, and what the store has already of
// this very generation is not read again.
func (s *session) begin(ctx context.Context, l *ledger, st mailroom.FolderStatus) error {
	m := l.mapping
	l.write.Lock()
	old, had := l.generation(), l.account()
	if old != 0 && old != st.UIDValidity {
		s.log.Info("folder was renumbered", "mapping", m.ID, "from", old, "to", st.UIDValidity)
		if err := s.markGone(ctx, l, old, had.placed.Union(had.quarantined).Union(had.dropped)); err != nil {
			l.write.Unlock()
			return err
		}
	}
	held, err := s.k.Store.HeldUIDs(ctx, m.MailboxID, m.RawName, st.UIDValidity)
	if err != nil {
		l.write.Unlock()
		return storeErr(err)
	}
	l.begin(mailroom.Cursor{UIDValidity: st.UIDValidity, UIDNext: 1, HighestModSeq: st.HighestModSeq}, held, s.now())
	l.write.Unlock()
	if err := s.save(ctx, l); err != nil {
		return err
	}
	if err := s.tail(ctx, s.conn, l, st); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.compareRest = pause{s.now(), s.k.CompareEvery} // this was everything
	l.p.ComparedAt = s.now()
	return nil
}

// tail lists what lies at and above the cursor.
func (s *session) tail(ctx context.Context, conn Conn, l *ledger, st mailroom.FolderStatus) error {
	known := l.account().server
	list, err := conn.UIDs(ctx, max(1, l.progress().Cursor.UIDNext))
	if err != nil {
		return err
	}
	skip, err := s.tooOld(ctx, conn, l, list.Minus(known))
	if err != nil {
		return err
	}
	l.found(list, skip, st.UIDNext, s.now())
	return nil
}

// tooOld is the part of fresh that the mapping's date limit leaves out.
func (s *session) tooOld(ctx context.Context, conn Conn, l *ledger, fresh mailroom.UIDSet) (mailroom.UIDSet, error) {
	if l.mapping.Since.IsZero() || fresh.Empty() {
		return mailroom.UIDSet{}, nil
	}
	within, err := conn.UIDsSince(ctx, l.mapping.Since)
	return fresh.Minus(within), err
}

// limit applies the date limit to what is not filed, at the beginning of a
// session, since a person may have moved it, and after each comparison.
func (s *session) limit(ctx context.Context, l *ledger) error {
	l.mu.Lock()
	done, a := l.limited, l.acc
	l.mu.Unlock()
	since := l.mapping.Since
	if done {
		return nil
	}
	within := a.server
	if a.skipped.Empty() && a.backlog.Empty() {
		since = time.Time{} // nothing to decide
	}
	if !since.IsZero() {
		var err error
		if within, err = s.conn.UIDsSince(ctx, since); err != nil {
			return err
		}
	}
	l.limit(within, s.now())
	return nil
}

// readLive reads new mail at once, newest first.
func (s *session) readLive(ctx context.Context, l *ledger, run *runLog) error {
	for {
		set := l.takeLive()
		if set.Empty() {
			return nil
		}
		if err := s.readAll(ctx, s.conn, l, set, s.k.liveLane(), run); err != nil {
			return err
		}
		l.tookLive(set)
	}
}

// sameFolder reports whether two raw names are one folder: INBOX is
// case-insensitive (RFC 3501 §5.1), all others are not.
func sameFolder(a, b string) bool {
	return a == b || strings.EqualFold(a, "INBOX") && strings.EqualFold(b, "INBOX")
}
