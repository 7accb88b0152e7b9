package mailroom

import (
	"testing"
	"time"
)

// A light is green only while every message on the server is accounted for and
// the proof of it is fresh.
func TestGreenOnlyWhileTheSumHolds(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	whole := Progress{OnServer: 100, Stored: 80, Skipped: Range(1, 15), Dropped: 1, Quarantined: 4, CheckedAt: now.Add(-time.Minute)}
	for _, c := range []struct {
		name   string
		change func(*Mapping, *Progress)
		want   State
	}{
		{"the sum holds", func(*Mapping, *Progress) {}, StateUpToDate},
		{"one message nobody knows of", func(_ *Mapping, p *Progress) { p.OnServer++ }, StateBehind},
		{"one counted twice", func(_ *Mapping, p *Progress) { p.Stored++ }, StateBehind},
		{"41 % missing", func(_ *Mapping, p *Progress) { p.Stored -= 41 }, StateBehind},
		{"one given up is not missing", func(_ *Mapping, p *Progress) { p.Dropped++; p.Stored-- }, StateUpToDate},
		{"an old proof", func(_ *Mapping, p *Progress) { p.CheckedAt = now.Add(-FreshnessTarget - time.Second) }, StateBehind},
		{"still reading", func(_ *Mapping, p *Progress) { p.Stored -= 5; p.Backlog = Range(90, 94) }, StateSyncing},
		{"paused", func(m *Mapping, p *Progress) { m.Paused = true; p.OnServer++ }, StatePaused},
		{"in trouble", func(_ *Mapping, p *Progress) { p.Problem = &Problem{Kind: Unavailable}; p.OnServer++ }, StateTrouble},
		{"never looked at", func(_ *Mapping, p *Progress) { *p = Progress{} }, StateWaiting},
	} {
		m, p := Mapping{}, whole
		c.change(&m, &p)
		if got := MappingState(m, p, now); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
