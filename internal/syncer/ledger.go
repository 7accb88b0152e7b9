package syncer

import (
	"maps"
	"sync"
	"time"

	"mailroom/internal/mailroom"
)

// keyShort: the folder counts more messages than it lists.
const keyShort = "sync.error.count"

// ledger is the account of one mapping as a session holds it in memory, shared
// by its two lanes. What it says is what the store says: a batch changes it only
// after its transaction has.
type ledger struct {
	// write is held over each write of the progress row and the change of the
	// account that goes with it, so that rows are written in the order of the
	// states they tell. Taken before mu.
	write sync.Mutex

	mapping mailroom.Mapping // never changes: a changed mapping gets a new ledger
	tuning  *Tuning

	mu       sync.Mutex
	p        mailroom.Progress // but for its sets and counts, which are acc's
	acc      account
	loaded   bool // acc is from the store
	listing  bool
	live     mailroom.UIDSet                // part of the backlog that the live lane reads
	strays   mailroom.UIDSet                // filed after they had left the server
	tried    map[uint32]mailroom.Quarantine // the mails in quarantine
	run      *runLog                        // the reading under way, one for both lanes
	dirty    bool                           // more has changed than the time of the last check
	savedAt  time.Time
	bulkRest pause               // the bulk lane leaves it alone
	pace     pace                // how fast the backlog is worked through
	flying   mailroom.UIDSet     // being fetched or filed at this moment
	sighted  []mailroom.Sighting // not written yet
	clearAt  time.Time           // see clear
	offered  int                 // of those, in the row that is being written

	findings    []finding       // differences that are not repaired, or not written
	departed    mailroom.UIDSet // proved gone in this session
	shorts      int             // comparisons in a row that listed less than was counted
	shortage    map[string]any  // the last one's numbers
	compareSoon bool            // something differs
	comparedAt  time.Time       // zero for never in this session
	compareRest pause           // until the next though nothing seems to differ
	limited     bool            // the date limit was applied in this session
	relimit     bool            // and is applied again, in case an answer was short
	flagsAt     time.Time
	flags       []flagged
	scanRest    pause     // until the slow scan of flags goes on
	dueAt       time.Time // when quarantine was last asked for mails to try again
}

func newLedger(m mailroom.Mapping, p mailroom.Progress, t *Tuning, now time.Time, jitter float64) *ledger {
	p.MappingID, p.MailboxID = m.ID, m.MailboxID
	return &ledger{
		mapping: m, tuning: t, p: p, tried: map[uint32]mailroom.Quarantine{}, savedAt: p.CheckedAt,
		pace: resumed(p, now),
		// Each session compares soon: what came while nobody was connected is where
		// mail gets lost. Spread, so that a node that starts does not compare
		// everything at once.
		compareRest: pause{now, time.Duration(jitter * float64(min(t.CompareEvery, 2*t.Poll)))},
		scanRest:    pause{now, time.Duration(jitter * float64(min(t.FlagsScanEvery, 2*t.Poll)))},
	}
}

// load sets the account from what the store kept.
func (l *ledger) load(held mailroom.Held, tried map[uint32]mailroom.Quarantine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acc = newAccount(held, l.p.Skipped, l.p.Backlog)
	l.loaded = true
	maps.Copy(l.tried, tried)
	p := l.row(l.p, l.acc)
	l.dirty = l.dirty || p.OnServer != l.p.OnServer || p.Stored != l.p.Stored || p.Quarantined != l.p.Quarantined || p.Dropped != l.p.Dropped
	if l.acc.backlog.Len() <= l.tuning.LiveFirst { // not worth a connection of its own
		l.live = l.acc.backlog
	}
}

// begin starts a generation of the folder.
func (l *ledger) begin(c mailroom.Cursor, held mailroom.Held, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.p.Cursor = c
	l.endStretch()
	l.p.FlagsEdge = 0
	l.departed = mailroom.UIDSet{}
	l.acc = newAccount(held, mailroom.UIDSet{}, mailroom.UIDSet{})
	l.live, l.strays, l.flags = mailroom.UIDSet{}, mailroom.UIDSet{}, nil
	l.tried = map[uint32]mailroom.Quarantine{}
	l.loaded, l.listing, l.dirty, l.limited = true, true, true, true
	l.comparedAt = time.Time{}
	l.shorts = 0
	l.mend(now) // another generation begins with everything
}

// found takes in a listing: skip are those the date limit leaves out. cursor's
// UIDNEXT rises to next, the end of what has been listed.
func (l *ledger) found(list, skip mailroom.UIDSet, next uint32, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.acc.held()
	var fresh mailroom.UIDSet
	if unknown := list.Minus(l.acc.server); !unknown.Empty() {
		if c := l.p.Cursor.UIDNext; c > 1 { // below it all was accounted for
			low := unknown.Intersect(mailroom.Range(1, c-1))
			l.differs(mailroom.FoundBack, low.Intersect(l.departed), 0, now)
			l.differs(mailroom.FoundMissed, low.Minus(l.departed), 0, now)
		}
		l.sighted = append(l.sighted, mailroom.Sighting{UIDValidity: l.p.Cursor.UIDValidity,
			First: unknown.Ranges()[0].From, Last: unknown.Max(), At: now})
	}
	l.acc, fresh = l.acc.found(list, skip)
	if top := list.Max(); top >= next && top+1 > top {
		next = top + 1
	}
	if next > l.p.Cursor.UIDNext {
		l.p.Cursor.UIDNext = next
		l.dirty = true
	}
	if l.listing || l.acc.held() != held {
		l.listing, l.dirty = false, true
	}
	l.mend(now)
	n := fresh.Len()
	if n == 0 {
		return
	}
	if n <= l.tuning.LiveMost && !l.p.CheckedAt.IsZero() {
		l.live = l.live.Union(fresh)
	} else {
		l.live = l.live.Union(fresh.Newest(l.tuning.LiveFirst))
	}
	l.startStretch(n, now)
}

// limit applies the date limit anew; within is what is recent enough.
func (l *ledger) limit(within mailroom.UIDSet, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.acc.backlog
	l.limited = true
	l.acc = l.acc.limited(within)
	l.live = l.live.Intersect(l.acc.backlog)
	l.mend(now)
	if before.Equal(l.acc.backlog) {
		return
	}
	l.dirty = true
	if added := l.acc.backlog.Minus(before); !added.Empty() {
		if l.relimit { // nobody moved the limit
			l.differs(mailroom.FoundMissed, added, 0, now)
		}
		l.startStretch(added.Len(), now)
	}
}

// gone notes what is proved to have left the server.
func (l *ledger) gone(set mailroom.UIDSet, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acc = l.acc.without(set)
	l.departed = l.departed.Union(set)
	l.live = l.live.Minus(set)
	l.strays = l.strays.Minus(set)
	l.dirty = l.dirty || !set.Empty()
	l.mend(now)
}

// after is the progress row as it will be once a batch is in.
func (l *ledger) after(h haul, now time.Time) mailroom.Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, a := l.p, l.acc.filed(h.placed, h.quarantined)
	l.pace.advance(&p, a, h, now)
	p.Failures = 0
	p.Sighted = l.offer()
	return l.row(p, a)
}

// filed notes that a batch is in.
func (l *ledger) filed(h haul, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strays = l.strays.Union(h.placed.Union(h.quarantined).Minus(l.acc.server))
	l.acc = l.acc.filed(h.placed, h.quarantined)
	l.pace = l.pace.advance(&l.p, l.acc, h, now)
	l.live = l.live.Intersect(l.acc.backlog)
	for u := range h.placed.Descending {
		delete(l.tried, u)
	}
	l.written()
	l.mend(now)
	l.p.Failures = 0
	l.bulkRest = pause{}
	l.settle()
	l.savedAt = now
}

// settle ends the stretch of backfill when there is no backlog left.
func (l *ledger) settle() {
	if l.acc.backlog.Empty() {
		l.endStretch()
	}
}

// offer are the sightings that go with the row that is made now. write and mu
// are held.
func (l *ledger) offer() []mailroom.Sighting {
	l.offered = len(l.sighted)
	return l.sighted[:l.offered:l.offered]
}

// written notes that the row which offer was for is written. mu is held.
func (l *ledger) written() {
	l.sighted, l.offered = l.sighted[l.offered:], 0
}

// snapshot is the progress row as it is now, to be written.
func (l *ledger) snapshot() mailroom.Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle()
	l.dirty = false
	p := l.p
	p.Sighted = l.offer()
	return l.row(p, l.acc)
}

// row completes a progress row by an account. mu is held.
func (l *ledger) row(p mailroom.Progress, a account) mailroom.Progress {
	if l.loaded { // else what the store has is all there is
		p.Backlog, p.Skipped = a.backlog, a.skipped
		p.OnServer, p.Stored, p.Quarantined, p.Dropped = a.held(), a.placed.Len(), a.quarantined.Len(), a.dropped.Len()
	}
	switch {
	case l.listing:
		p.Stage = mailroom.StageListing
	case !p.Backlog.Empty():
		p.Stage = mailroom.StageBackfill
	default:
		p.Stage = mailroom.StageIdle
	}
	if p.Backlog.Empty() {
		clearStretch(&p)
	}
	return p
}

// saved notes how the writing of a snapshot went.
func (l *ledger) saved(ok bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok {
		l.dirty = true
		return
	}
	l.written()
	l.savedAt = now
}

// saveDue reports whether the row ought to be written.
func (l *ledger) saveDue(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dirty || passed(l.savedAt, now, l.tuning.SaveEvery)
}

// proved notes that a check has shown that no unknown UID is there, unless the
// server counts more than it lists.
func (l *ledger) proved(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shorts > 1 {
		since := now
		if p := l.p.Problem; p != nil && p.Key == keyShort {
			since = p.Since
		}
		l.p.Problem = &mailroom.Problem{Kind: mailroom.Unavailable, Key: keyShort, Args: l.shortage, Since: since}
		l.p.RetryAt = time.Time{}
		return
	}
	if l.shorts > 0 {
		return
	}
	l.p.CheckedAt = now
	if l.acc.backlog.Empty() && l.p.Failures != 0 {
		l.p.Failures, l.dirty = 0, true
	}
	if l.p.Problem != nil {
		l.p.Problem, l.p.RetryAt, l.dirty = nil, time.Time{}, true
	}
}

// fault counts a failure. problem, unless nil, is shown and parks the folder
// until retry.
func (l *ledger) fault(problem *mailroom.Problem, park func(failures int) time.Duration, now time.Time) (failures int, news bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.p.Failures++
	l.dirty = true
	if problem == nil {
		return l.p.Failures, false
	}
	news = l.p.Problem == nil || l.p.Problem.Key != problem.Key
	if !news {
		problem.Since = l.p.Problem.Since
	}
	l.p.RetryAt = now.Add(park(l.p.Failures))
	problem.Until = l.p.RetryAt
	l.p.Problem = problem
	return l.p.Failures, news
}

// take is what the bulk lane reads next.
func (l *ledger) take(n int64, now time.Time) mailroom.UIDSet {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.loaded || l.listing || !l.readableAt(now).IsZero() {
		return mailroom.UIDSet{}
	}
	return l.acc.backlog.Minus(l.live).Newest(slice(n, l.p.Failures))
}

// bulkAgain is when the bulk lane may take more, zero when it may now or there is
// nothing for it.
func (l *ledger) bulkAgain(now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.loaded || l.listing || l.acc.backlog.Minus(l.live).Empty() {
		return time.Time{}
	}
	return l.readableAt(now)
}

// readableAt is when the backlog may be read again, zero for now. mu is held.
func (l *ledger) readableAt(now time.Time) (at time.Time) {
	if l.parkedNow(now) {
		at = l.p.RetryAt
	}
	if end := l.bulkRest.end(); !l.bulkRest.over(now) && end.After(at) {
		at = end
	}
	return at
}

// rest keeps the bulk lane away for a while.
func (l *ledger) rest(now time.Time, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bulkRest = pause{now, d}
}

// takeLive is what the live lane reads next. It is tried once: what then is
// still backlog is the bulk lane's.
func (l *ledger) takeLive() mailroom.UIDSet {
	l.mu.Lock()
	defer l.mu.Unlock()
	set := l.live.Newest(slice(l.tuning.LiveMost, l.p.Failures))
	return set
}

func (l *ledger) tookLive(set mailroom.UIDSet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = l.live.Minus(set)
}

// next applies Cursor.Next. A server that names no UIDVALIDITY has one
// generation, 1.
func (l *ledger) next(st mailroom.FolderStatus) mailroom.Step {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.p.OnServer
	if l.loaded {
		held = l.acc.held()
	}
	return l.p.Cursor.Next(st, held)
}

func (l *ledger) account() account {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acc
}

func (l *ledger) progress() mailroom.Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.row(l.p, l.acc)
}

// fly notes that mails are on their way.
func (l *ledger) fly(set mailroom.UIDSet) (landed func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flying = l.flying.Union(set)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.flying = l.flying.Minus(set)
	}
}

func (l *ledger) generation() uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.p.Cursor.UIDValidity
}

// parked reports whether the folder is in trouble and not to be looked at yet.
func (l *ledger) parked(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parkedNow(now)
}

// parkedNow is parked while mu is held.
func (l *ledger) parkedNow(now time.Time) bool {
	return l.p.Problem != nil && !due(l.p.RetryAt, now, parkMost(l.p.Failures))
}

// triedBefore is the row of a mail in quarantine, empty for one that is not.
func (l *ledger) triedBefore(uid uint32) mailroom.Quarantine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tried[uid]
}

// tries notes that a mail goes into quarantine.
func (l *ledger) tries(q mailroom.Quarantine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tried[q.UID] = q
}

// back ends the waiting for a folder that was gone: it is listed again.
func (l *ledger) back() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.p.Problem != nil && l.p.Problem.Kind == mailroom.NotFound {
		l.p.RetryAt = time.Time{}
	}
}
