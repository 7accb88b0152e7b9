package syncer

import (
	"testing"
	"time"
)

// Setting the clock makes nobody wait longer than was meant.
func TestClockThatIsSet(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	p := pause{at, time.Minute}
	for _, c := range []struct {
		name string
		now  time.Time
		over bool
	}{
		{"just begun", at, false},
		{"on the way", at.Add(59 * time.Second), false},
		{"passed", at.Add(time.Minute), true},
		{"a day forth", at.Add(24 * time.Hour), true},
		{"an hour back", at.Add(-time.Hour), true},
	} {
		if p.over(c.now) != c.over || passed(at, c.now, time.Minute) != c.over {
			t.Errorf("%s: over %v", c.name, p.over(c.now))
		}
	}
	if !(pause{}).over(at) {
		t.Error("no pause is waited for")
	}
	if due(at.Add(time.Hour), at, 2*time.Hour) || !due(at.Add(3*time.Hour), at, 2*time.Hour) || !due(at, at, 0) {
		t.Error("a time that was kept from a clock that was ahead is waited for")
	}
}
