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
	}
	return s.park(saveCtx, l, run, err)
}

// park shows a folder's own trouble and leaves it alone for a growing time.
func (s *session) park(ctx context.Context, l *ledger, run *runLog, err error) error {
	now := s.now()
	problem := mailroom.ProblemOf(err, now)
	failures, news := l.fault(problem, func(n int) time.Duration { return parkFor(n, s.k.Jitter()) }, now)
	s.log.Warn("folder parked", "mapping", l.mapping.ID, "kind", problem.Kind, "failures", failures, "error", err)
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
		s.log.Warn("progress not saved", "mapping", l.mapping.ID, "error", err)
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
	st, err := s.examine(ctx, s.conn, l)
	if err != nil {
		return err
	}
	s.selected = l.mapping.RawName
	if err := s.load(ctx, l, st.UIDValidity); err != nil {
		return err
	}
	step := l.next(st)
	if step == mailroom.StepRenew { // asked twice: servers have been seen to lie once
		if st, err = s.examine(ctx, s.conn, l); err != nil {
			return err
		}
		step = l.next(st)
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
	if err := s.followFlags(ctx, l, st); err != nil {
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
	placed, quarantined, err := s.k.Store.HeldUIDs(ctx, l.mapping.MailboxID, l.mapping.RawName, have)
	if err != nil {
		return storeErr(err)
	}
	var tried map[uint32]mailroom.Quarantine
	if !quarantined.Empty() {
		if tried, err = s.k.Store.QuarantineOf(ctx, l.mapping.ID); err != nil {
			return storeErr(err)
		}
	}
	l.load(placed, quarantined, tried)
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
		if err := s.markGone(ctx, l, old, had.placed.Union(had.quarantined)); err != nil {
			l.write.Unlock()
			return err
		}
	}
	placed, quarantined, err := s.k.Store.HeldUIDs(ctx, m.MailboxID, m.RawName, st.UIDValidity)
	if err != nil {
		l.write.Unlock()
		return storeErr(err)
	}
	l.begin(mailroom.Cursor{UIDValidity: st.UIDValidity, UIDNext: 1, HighestModSeq: st.HighestModSeq}, placed, quarantined)
	l.write.Unlock()
	if err := s.save(ctx, l); err != nil {
		return err
	}
	return s.tail(ctx, s.conn, l, st)
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

// limit applies the date limit to what is not filed, once a session: a person
// may have moved it, either way.
func (s *session) limit(ctx context.Context, l *ledger) error {
	l.mu.Lock()
	done, a := l.limited, l.acc
	l.limited = true
	l.mu.Unlock()
	since := l.mapping.Since
	if done || a.skipped.Empty() && (since.IsZero() || a.backlog.Empty()) {
		return nil
	}
	within := a.server
	if !since.IsZero() {
		var err error
		if within, err = s.conn.UIDsSince(ctx, since); err != nil {
			return err
		}
	}
	l.limit(within, s.now())
	return nil
}

// compareDue reports whether the whole UID set is to be compared now: fewer held
// than there are is urgent, more held (something was removed) is not.
func (l *ledger) compareDue(st mailroom.FolderStatus, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.acc.held()
	if held != int64(st.Messages) || !l.strays.Empty() {
		l.compareSoon = true
	}
	if !now.Before(l.compareAt) || l.compareSoon && l.comparedAt.IsZero() {
		return true
	}
	return l.compareSoon && now.Sub(l.comparedAt) >= l.tuning.CompareAgain
}

// compare sets the ledger against everything the folder lists. What is missing
// from one listing is gone only if a second one lacks it too and has as many
// messages as EXAMINE counts. What the server counts but does not list is a
// fault of the folder, and shown.
func (s *session) compare(ctx context.Context, conn Conn, l *ledger) error {
	now := s.now()
	l.mu.Lock()
	known, strays := l.acc.server, l.strays
	l.comparedAt, l.compareSoon = now, false
	l.compareAt = now.Add(l.tuning.CompareEvery)
	l.mu.Unlock()

	st, err := s.examine(ctx, conn, l)
	if err != nil {
		return err
	}
	if st.UIDValidity != l.generation() {
		return nil // the next check sees to it
	}
	list, err := conn.UIDs(ctx, 1)
	if err != nil {
		return err
	}
	missing := known.Union(strays).Minus(list)
	if !missing.Empty() || short(list, st) {
		if st, err = s.examine(ctx, conn, l); err != nil {
			return err
		}
		first := list
		if list, err = conn.UIDs(ctx, 1); err != nil {
			return err
		}
		agreed := listedNow(list, st) == int64(st.Messages)
		l.compared(agreed, short(list, st), st, list.Len())
		if !agreed {
			missing = mailroom.UIDSet{}
		}
		missing = missing.Minus(list)
		list = list.Union(first.Intersect(known))
	} else {
		l.compared(true, false, st, list.Len())
	}
	skip, err := s.tooOld(ctx, conn, l, list.Minus(known))
	if err != nil {
		return err
	}
	return s.settleGone(ctx, l, missing, list, skip, st)
}

// compared notes how a comparison went. Two in a row that list less than the
// folder counts are shown: nobody knows what is missing, so nothing is proved.
func (l *ledger) compared(agreed, short bool, st mailroom.FolderStatus, listed int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.compareSoon = !agreed
	if !short {
		l.shorts = 0
		return
	}
	l.shorts++
	l.shortage = map[string]any{"server": int64(st.Messages), "listed": listed}
}

// listedNow is how many of a listing the EXAMINE before it can have counted.
func listedNow(list mailroom.UIDSet, st mailroom.FolderStatus) int64 {
	if st.UIDNext == 0 {
		return list.Len()
	}
	return list.Intersect(mailroom.Range(1, st.UIDNext-1)).Len()
}

// short reports whether a listing lacks messages that the server counts.
func short(list mailroom.UIDSet, st mailroom.FolderStatus) bool {
	return list.Len() < int64(st.Messages)
}

func (s *session) settleGone(ctx context.Context, l *ledger, gone, list, skip mailroom.UIDSet, st mailroom.FolderStatus) error {
	l.write.Lock()
	defer l.write.Unlock()
	if l.generation() != st.UIDValidity {
		return nil
	}
	if !gone.Empty() {
		l.mu.Lock()
		rows := gone.Intersect(l.acc.placed.Union(l.acc.quarantined).Union(l.strays))
		l.mu.Unlock()
		if err := s.markGone(ctx, l, st.UIDValidity, rows); err != nil {
			return err
		}
		l.gone(gone)
	}
	l.found(list, skip, st.UIDNext, s.now())
	return nil
}

func (s *session) markGone(ctx context.Context, l *ledger, uidValidity uint32, gone mailroom.UIDSet) error {
	if gone.Empty() {
		return nil
	}
	s.log.Info("mails left the server", "mapping", l.mapping.ID, "count", gone.Len())
	return storeErr(s.k.Store.MarkGone(ctx, s.claim, l.mapping.ID, uidValidity, gone))
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

// retryQuarantined tries the mails again whose time has come, one at a time,
// since each has failed before.
func (s *session) retryQuarantined(ctx context.Context, l *ledger, run *runLog) error {
	const most = 20 // at a time: they must not hold up new mail
	now := s.now()
	held := l.account().quarantined
	if held.Empty() || !s.manual && now.Sub(l.dueAt) < s.k.Poll {
		return nil
	}
	l.dueAt = now
	due, err := s.k.Store.DueQuarantine(ctx, l.mapping.ID, now)
	if err != nil {
		return storeErr(err)
	}
	for uid := range due.Intersect(held).Newest(most).Descending {
		err := s.readAll(ctx, s.conn, l, mailroom.UIDs(uid), s.k.liveLane(), run)
		if err != nil && broken(err) && ctx.Err() == nil {
			if err := s.fileSilent(ctx, l, l.generation(), mailroom.UIDs(uid), keyBreaks, run); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readAll reads set and looks after the UIDs that did not answer: those that
// are gone are gone, those still there are asked for once more and then kept in
// quarantine, since Exchange can answer OK without data (PROVIDERS.md 3.6).
func (s *session) readAll(ctx context.Context, conn Conn, l *ledger, set mailroom.UIDSet, ln lane, run *runLog) error {
	generation := l.generation()
	answered, err := s.read(ctx, conn, l, set, ln, run)
	if err != nil {
		return s.closeIn(ctx, l, generation, set, run, err)
	}
	missing := set.Minus(answered)
	if missing.Empty() {
		return nil
	}
	if err := s.compare(ctx, conn, l); err != nil {
		return err
	}
	a := l.account()
	if missing = missing.Intersect(a.backlog.Union(a.quarantined)); missing.Empty() {
		return nil
	}
	return s.readSilent(ctx, conn, l, generation, missing, ln, run)
}

// readSilent asks once more for mails that did not answer, in halves if none of
// them does: one may keep the others from being sent.
func (s *session) readSilent(ctx context.Context, conn Conn, l *ledger, generation uint32, set mailroom.UIDSet, ln lane, run *runLog) error {
	answered, err := s.read(ctx, conn, l, set, ln, run)
	if err != nil {
		return s.closeIn(ctx, l, generation, set, run, err)
	}
	rest := set.Minus(answered)
	switch {
	case rest.Empty():
		return nil
	case rest.Len() == 1 || ctx.Err() != nil:
		return s.fileSilent(ctx, l, generation, rest, keyEmpty, run)
	}
	newer := rest.Newest(rest.Len() / 2)
	if err := s.readSilent(ctx, conn, l, generation, newer, ln, run); err != nil {
		return err
	}
	return s.readSilent(ctx, conn, l, generation, rest.Minus(newer), ln, run)
}

// fileSilent puts mails into quarantine of which there is nothing but the UID.
func (s *session) fileSilent(ctx context.Context, l *ledger, generation uint32, set mailroom.UIDSet, key string, run *runLog) error {
	var items []item
	for uid := range set.Descending {
		items = append(items, item{mail: mailroom.FetchedMail{UID: uid},
			reason: &mailroom.Problem{Kind: mailroom.Unavailable, Key: key, Since: s.now()}})
	}
	if len(items) == 0 {
		return nil
	}
	return s.deliver(ctx, l, generation, items, nil, nil, false, run)
}

// closeIn looks at a reading that failed. Where it is the connection that
// failed, again and again, while one single mail was asked for, that mail goes
// into quarantine.
func (s *session) closeIn(ctx context.Context, l *ledger, generation uint32, set mailroom.UIDSet, run *runLog, err error) error {
	if ctx.Err() != nil || errors.Is(err, errStale) || wide(err) && !broken(err) {
		return err
	}
	if set.Len() > 1 || l.progress().Failures+1 < breaking {
		return readFault{err}
	}
	s.log.Warn("mail breaks the connection", "mapping", l.mapping.ID, "uid", set.Max(), "error", err)
	if err := s.fileSilent(ctx, l, generation, set, keyBreaks, run); err != nil {
		return err
	}
	return readFault{err}
}

// sameFolder reports whether two raw names are one folder: INBOX is
// case-insensitive (RFC 3501 §5.1), all others are not.
func sameFolder(a, b string) bool {
	return a == b || strings.EqualFold(a, "INBOX") && strings.EqualFold(b, "INBOX")
}
