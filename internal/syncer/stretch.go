package syncer

import (
	"math"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// haul is what a batch brings, as the books see it.
type haul struct {
	placed, quarantined mailroom.UIDSet
	bytes               int64
	received            []receipt // of the mails among placed
}

// receipt says when a mail was received.
type receipt struct {
	uid uint32
	at  time.Time
}

// pace reckons how fast mails come, of late: over wall time, so that a pause
// that a provider asked for counts.
type pace struct {
	since        time.Time // of what is not reckoned in yet
	mails, bytes int64
	perHour      float64 // mails
	perSecond    float64 // octets
}

// rateMemory is how long ago something counts for a third.
const rateMemory = 10 * time.Minute

// resumed is the pace of a stretch that a former session left off. What was not
// reckoned in by then is lost, the time since its last sign of life is not.
func resumed(p mailroom.Progress, now time.Time) pace {
	m := pace{since: p.BackfillStarted, perHour: float64(p.RateMails), perSecond: float64(p.RateBytes)}
	if p.CheckedAt.After(m.since) {
		m.since = p.CheckedAt
	}
	if m.since.After(now) {
		m.since = now
	}
	return m
}

// add reckons in what came by now of a stretch that has been under way since
// began. A stretch that is younger than the memory counts as a whole.
func (m pace) add(mails, bytes int64, began, now time.Time) pace {
	m.mails, m.bytes = m.mails+mails, m.bytes+bytes
	took := min(now.Sub(m.since), time.Hour)
	if took < time.Second { // also when the clock was put back
		m.since = minTime(m.since, now)
		return m
	}
	weight := 1 - math.Exp(-took.Seconds()/rateMemory.Seconds())
	if age := max(now.Sub(began), took); age < rateMemory {
		weight = took.Seconds() / age.Seconds()
	}
	m.perHour += weight * (float64(m.mails)/took.Hours() - m.perHour)
	m.perSecond += weight * (float64(m.bytes)/took.Seconds() - m.perSecond)
	m.since, m.mails, m.bytes = now, 0, 0
	return m
}

// startStretch begins a stretch of backfill with n mails, or makes the one under
// way longer. mu is held.
func (l *ledger) startStretch(n int64, now time.Time) {
	if l.p.BackfillStarted.IsZero() {
		l.endStretch()
		l.p.BackfillStarted = now
		l.pace.since, l.pace.mails, l.pace.bytes = now, 0, 0
	}
	l.p.BackfillTotal += n
}

// endStretch forgets the stretch; how fast it went is remembered. mu is held.
func (l *ledger) endStretch() { clearStretch(&l.p) }

func clearStretch(p *mailroom.Progress) {
	p.BackfillTotal, p.BackfillStarted, p.BackfillBytes, p.BackfillEdge = 0, time.Time{}, 0, time.Time{}
}

// advance reckons a batch into a progress row; a is the account with it.
func (m pace) advance(p *mailroom.Progress, a account, h haul, now time.Time) pace {
	if p.BackfillStarted.IsZero() {
		return m
	}
	p.BackfillBytes += h.bytes
	m = m.add(h.placed.Len()+h.quarantined.Len(), h.bytes, p.BackfillStarted, now)
	p.RateMails, p.RateBytes = int64(math.Ceil(m.perHour)), int64(math.Ceil(m.perSecond))
	if at := edge(h.received, a.backlog.Max()); !at.IsZero() && (p.BackfillEdge.IsZero() || at.Before(p.BackfillEdge)) {
		p.BackfillEdge = at
	}
	return m
}

// edge is the time down to which all mail is here once everything above top is:
// the latest of the oldest few, since a mail that was moved here lies out of line.
func edge(received []receipt, top uint32) (at time.Time) {
	const few = 10
	above := slices.DeleteFunc(slices.Clone(received), func(r receipt) bool { return r.uid <= top })
	slices.SortFunc(above, func(a, b receipt) int { return int(int64(a.uid) - int64(b.uid)) })
	for _, r := range above[:min(few, len(above))] {
		if r.at.After(at) {
			at = r.at
		}
	}
	return at
}
