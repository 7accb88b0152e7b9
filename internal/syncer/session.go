package syncer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mailroom/internal/mailroom"
)

// Why a session ends though nothing is wrong with its mailbox.
var (
	errStopping = errors.New("the program stops")
	errStopped  = errors.New("the mailbox is not to be read any more")
)

// session reads one mailbox for as long as its lease holds.
type session struct {
	k     *Keeper
	claim mailroom.Claim
	log   *slog.Logger
	moved atomic.Int64 // last sign of life, since the keeper's birth

	mu        sync.Mutex
	signal    mailroom.Signal
	poked     bool
	interrupt context.CancelFunc // ends the wait
	bulkOn    bool
	bulkErr   error
	alone     bool // the server lets no second connection in
	giveWay   bool // a person waits for the control connection

	// Of the control goroutine.
	work       mailroom.Work
	ledgers    []*ledger
	conn       *line
	selected   string        // examined on conn, "" when not known
	failures   int           // in a row when it was claimed; Answered clears only the store's
	opened     time.Time     // when conn was signed in
	answered   int64         // asking that has been answered
	shared     bool          // one connection for both lanes
	passed     bool          // every mapping has been looked at
	manual     bool          // this pass was asked for by a person
	noticed    *ledger       // the folder IDLE spoke of
	storm      int           // notices in a row that came within a second
	calm       time.Duration // how long not to listen, because of them
	pollRest   pause
	relistRest pause
	listed     pause             // over when a list of folders is not fresh any more
	objects    map[string]string // identities of folders, by mapping id, noted in this session
	inboxes    map[string]bool   // raw names with the role of inbox

	lanes      sync.WaitGroup
	next       int // whose turn it is where lanes share a connection
	sharedRuns map[*ledger]*runLog
}

func (s *session) now() time.Time { return s.k.Now() }

// moving says that the session is alive.
func (s *session) moving() { s.moved.Store(int64(time.Since(s.k.born))) }

// grace outlives ctx by a little, so that what is in hand can be filed; not
// when the lease is lost, since then nothing would be taken.
func (s *session) grace(ctx context.Context) (context.Context, context.CancelFunc) {
	g, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), mailroom.ErrFenced) {
			cancel()
			return
		}
		left := s.k.Grace
		if errors.Is(context.Cause(ctx), errStopping) {
			left = s.k.graceLeft()
		}
		t := time.AfterFunc(left, cancel)
		context.AfterFunc(g, func() { t.Stop() })
	})
	return g, func() { stop(); cancel() }
}

// run reads the mailbox until ctx ends or something is wrong with the mailbox
// as a whole, and says what.
func (s *session) run(ctx context.Context) (err error) {
	s.moving()
	if s.work, err = s.k.Store.LoadWork(ctx, s.claim); err != nil {
		return storeErr(err)
	}
	s.failures = s.work.Failures
	if p := s.work.Mailbox.Problem; p != nil && p.Kind == mailroom.Throttled && s.now().Before(p.Until) {
		// Somebody asks, but the provider has said when (docs/providers.md 3.5).
		return &mailroom.Error{Kind: p.Kind, Key: p.Key, Args: p.Args, Until: p.Until}
	}
	s.shared = s.k.Budget.limits(s.work.Mailbox).Connections == 1
	s.build()
	if len(s.ledgers) == 0 {
		return errStopped
	}
	if err = s.connect(ctx); err != nil {
		return err
	}
	defer func() { s.conn.Close() }()
	s.opened = s.now()
	for {
		version := s.work.Mailbox.MappingsVersion
		err = s.stretch(ctx)
		if errors.Is(err, errGiveWay) {
			s.conn.Close()
			if err = s.connect(ctx); err != nil {
				return err
			}
			continue
		}
		reload := errors.Is(err, errReload)
		if !reload && !errors.Is(err, errRemapped) {
			return err
		}
		if s.work, err = s.k.Store.LoadWork(ctx, s.claim); err != nil {
			return storeErr(err)
		}
		if !reload && s.work.Mailbox.MappingsVersion == version {
			return storeErr(errRemapped)
		}
		s.build()
		if len(s.ledgers) == 0 {
			return errStopped
		}
	}
}

// connect signs in the control connection.
func (s *session) connect(ctx context.Context) error {
	conn, err := s.k.open(ctx, s.work.Mailbox, forControl)
	if err != nil {
		return err
	}
	s.conn = conn
	s.mu.Lock()
	s.giveWay = false
	s.mu.Unlock()
	conn.seat.whenWanted(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.giveWay = true
		s.poke()
	}, ctx.Done())
	return nil
}

// stretch reads while the mapping rows stay as they are.
func (s *session) stretch(ctx context.Context) (err error) {
	laneCtx, stopLanes := context.WithCancelCause(ctx)
	s.sharedRuns = map[*ledger]*runLog{}
	s.bulkErr, s.selected, s.noticed = nil, "", nil
	defer func() {
		stopLanes(err)
		s.lanes.Wait()
		endCtx, done := s.grace(ctx)
		defer done()
		for _, r := range s.sharedRuns {
			r.leave(endCtx)
		}
	}()
	if err := s.relistUnlessJust(ctx); err != nil {
		return err
	}
	return s.loop(ctx, laneCtx)
}

// build makes a ledger for each mapping that is to be read.
func (s *session) build() {
	s.ledgers = nil
	now := s.now()
	for _, m := range s.work.Mappings {
		if !m.Paused {
			s.ledgers = append(s.ledgers, newLedger(m, s.work.Progress[m.ID], &s.k.Tuning, now, s.k.Jitter()))
		}
	}
	slices.SortStableFunc(s.ledgers, func(a, b *ledger) int {
		return rank(a.mapping.RawName) - rank(b.mapping.RawName)
	})
}

// rank puts the inbox first: that is where people look.
func rank(rawName string) int {
	if sameFolder(rawName, "INBOX") {
		return 0
	}
	return 1
}

// loop looks at what is to be done next, over and over.
func (s *session) loop(ctx, laneCtx context.Context) error {
	first := true
	for {
		s.moving()
		if err := context.Cause(ctx); err != nil {
			return err
		}
		sig, give, bulkErr := s.heard()
		now := s.now()
		switch {
		case bulkErr != nil:
			return bulkErr
		case sig.MappingsVersion > s.work.Mailbox.MappingsVersion:
			return errRemapped
		case give:
			return errGiveWay
		case first || sig.Wanted > s.answered:
			first = false
			if err := s.answer(ctx, laneCtx, max(sig.Wanted, s.work.Mailbox.Wanted)); err != nil {
				return err
			}
		case s.noticed != nil:
			if err := s.look(ctx, s.noticed); err != nil {
				return err
			}
			s.noticed = nil
		case s.relistRest.over(now):
			if err := s.relist(ctx); err != nil {
				return err
			}
		case s.pollRest.over(now):
			if err := s.poll(ctx); err != nil {
				return err
			}
		case s.shared && s.backlog():
			if s.pollRest.left(now) > s.k.BusyPoll {
				s.pollRest = pause{now, s.k.BusyPoll}
			}
			if err := s.readPart(ctx); err != nil {
				return err
			}
		default:
			if err := s.wait(ctx); err != nil {
				return err
			}
		}
		s.kick(laneCtx)
	}
}

// errRemapped: the mapping rows have changed and are to be loaded again.
var errRemapped = errors.New("mappings were changed")

// heard is what has been signalled since the last look.
func (s *session) heard() (sig mailroom.Signal, give bool, bulkErr error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.poked = false
	if s.alone && !s.shared {
		s.shared = true
		s.conn.seat.only()
	}
	return s.signal, s.giveWay, s.bulkErr
}

// tell brings a signal from the keeper.
func (s *session) tell(sig mailroom.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := sig.Wanted > s.signal.Wanted || sig.MappingsVersion > s.signal.MappingsVersion
	s.signal = sig
	if news {
		s.poke()
	}
}

// poke ends the wait. mu is held.
func (s *session) poke() {
	s.poked = true
	if s.interrupt != nil {
		s.interrupt()
	}
}

// answer looks at every mapping, and then says that what was asked for so far
// has been done. If somebody did ask, folders in trouble are tried too; they come
// last, since they may take the connection with them.
func (s *session) answer(ctx, laneCtx context.Context, wanted int64) error {
	s.manual = wanted > s.work.Mailbox.Done && wanted > s.answered
	defer func() { s.manual = false }()
	if s.manual {
		if err := s.relistUnlessJust(ctx); err != nil {
			return err
		}
	}
	order := slices.Clone(s.ledgers)
	slices.SortStableFunc(order, func(a, b *ledger) int {
		return min(a.progress().Failures, 1) - min(b.progress().Failures, 1)
	})
	glanced := time.Now()
	for _, l := range order {
		if !s.manual && l.parked(s.now()) {
			continue
		}
		if err := s.look(ctx, l); err != nil {
			return err
		}
		// New mail in the inbox does not wait for a hundred other folders.
		if l != s.ledgers[0] && time.Since(glanced) > 5*s.k.BusyPoll && !s.ledgers[0].parked(s.now()) {
			if err := s.look(ctx, s.ledgers[0]); err != nil {
				return err
			}
			glanced = time.Now()
		}
		s.kick(laneCtx) // the first folder's backlog need not wait for the last folder
	}
	s.pollRest = pause{s.now(), s.pollEvery()}
	if err := s.k.Store.Answered(ctx, s.claim, wanted); err != nil {
		return storeErr(err)
	}
	s.answered, s.passed = wanted, true
	return s.settleRemovals(ctx)
}

// poll looks at the folders that do not push, in one flight, and at the one that
// does: IDLE has been seen to miss (docs/performance.md).
func (s *session) poll(ctx context.Context) error {
	now := s.now()
	var due []*ledger
	var names []string
	for _, l := range s.ledgers {
		if l.parked(now) {
			continue
		}
		due = append(due, l)
		if l.mapping.RawName != s.selected {
			names = append(names, l.mapping.RawName)
		}
	}
	var sts map[string]mailroom.FolderStatus
	if len(names) > 0 {
		var err error
		if sts, err = s.conn.Statuses(ctx, names); err != nil && (wide(err) || ctx.Err() != nil) {
			return err
		}
	}
	for _, l := range due {
		st, ok := sts[l.mapping.RawName]
		if ok && s.quiet(l, st) {
			l.proved(s.now())
			s.k.counters.checks.Add(1)
			s.k.counters.lastCheck.Store(mailroom.Micros(s.now()))
			if err := s.saveIfDue(ctx, l); err != nil {
				return err
			}
			continue
		}
		if err := s.look(ctx, l); err != nil {
			return err
		}
	}
	s.pollRest = pause{s.now(), s.pollEvery()}
	return s.settleRemovals(ctx)
}

// quiet reports whether a STATUS answer proves that there is nothing to do.
func (s *session) quiet(l *ledger, st mailroom.FolderStatus) bool {
	if st.UIDValidity == 0 {
		st.UIDValidity = 1
	}
	now := s.now()
	l.mu.Lock()
	loaded, modseq := l.loaded, l.p.Cursor.HighestModSeq
	trouble := l.p.Problem != nil || l.shorts > 0 || !l.live.Empty() || len(l.findings) > 0
	quarantined, placed := !l.acc.quarantined.Empty(), !l.acc.placed.Empty()
	l.mu.Unlock()
	if !loaded || trouble || l.next(st) != mailroom.StepNothing || l.compareDue(st, now) {
		return false
	}
	if quarantined && passed(l.dueAt, now, 5*s.k.Poll) {
		return false
	}
	if s.conn.CanCondStore() && st.HighestModSeq > 0 {
		return st.HighestModSeq <= modseq
	}
	return !placed || !passed(l.flagsAt, now, s.k.FlagsEvery)
}

// save writes the progress row.
func (s *session) save(ctx context.Context, l *ledger) error {
	l.write.Lock()
	defer l.write.Unlock()
	err := s.k.Store.SaveProgress(ctx, s.claim, l.snapshot())
	l.saved(err == nil, s.now())
	return storeErr(err)
}

func (s *session) saveIfDue(ctx context.Context, l *ledger) error {
	if !l.saveDue(s.now()) {
		return nil
	}
	return s.save(ctx, l)
}
