package syncer

import "time"

// The wall clock may be set while the program runs, and a time that was kept may
// come from a clock that was wrong. Nothing waits longer for that than it was
// meant to wait in all.

// pause is a stretch of time: over when it has passed, and when the clock stands
// before its beginning. The zero pause is over.
type pause struct {
	from   time.Time
	length time.Duration
}

func (p pause) over(now time.Time) bool { return passed(p.from, now, p.length) }

// end is when the pause is over by a clock that nobody sets.
func (p pause) end() time.Time { return p.from.Add(p.length) }

// left is how long it still lasts.
func (p pause) left(now time.Time) time.Duration {
	if p.over(now) {
		return 0
	}
	return p.end().Sub(now)
}

// passed reports whether d has gone by since a time; so it has when that time is
// still to come.
func passed(since, now time.Time, d time.Duration) bool {
	gone := now.Sub(since)
	return gone < 0 || gone >= d
}

// due reports whether a time has come that was set at most most ahead.
func due(at, now time.Time, most time.Duration) bool {
	return !now.Before(at) || at.Sub(now) > most
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
