package syncer

import (
	"context"
	"errors"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		kind        mailroom.Kind
		failures    int
		least, most time.Duration
	}{
		{mailroom.Unavailable, 1, 3 * time.Second, 5 * time.Second},
		{mailroom.Unavailable, 4, 30 * time.Second, 40 * time.Second},
		{mailroom.Unavailable, 99, 225 * time.Second, 5 * time.Minute},
		{mailroom.NeedsConsent, 1, 11 * time.Minute, 15 * time.Minute},
		{mailroom.NeedsConsent, 50, 9 * time.Hour, 12 * time.Hour},
		{mailroom.Internal, 1, 11 * time.Second, 15 * time.Second},
		{mailroom.Internal, 1000, 11 * time.Minute, 15 * time.Minute},
	} {
		for _, jitter := range []float64{0, 0.3, 0.999} {
			if d := backoff(c.kind, c.failures, jitter); d < c.least || d > c.most {
				t.Errorf("%s after %d failures, jitter %v: %s, want %s to %s", c.kind, c.failures, jitter, d, c.least, c.most)
			}
		}
	}
	if a, b := parkFor(1, 0.5), parkFor(5, 0.5); a > 2*time.Minute || b < 8*a || parkFor(50, 1) > 6*time.Hour {
		t.Errorf("a folder is parked for %s, then %s", a, b)
	}
	if slice(2000, 0) != 2000 || slice(2000, 1) != 2000 || slice(2000, 2) != 10 || slice(2000, 4) != 1 || slice(5, 2) != 5 {
		t.Error("a mail that breaks the connection is not closed in on")
	}
}

// What concerns one folder must not stop the mailbox, and the other way round.
func TestWide(t *testing.T) {
	for _, c := range []struct {
		name         string
		err          error
		wide, broken bool
	}{
		{"folder gone", mailroom.E(mailroom.NotFound, "folder.error.gone"), false, false},
		{"server says no", mailroom.E(mailroom.Unavailable, "imap.error.refused"), false, false},
		{"network", mailroom.E(mailroom.Unavailable, "imap.error.network"), true, true},
		{"token ended", mailroom.E(mailroom.Unavailable, "imap.error.session_ended"), true, true},
		{"timeout", context.DeadlineExceeded, true, true},
		{"throttled", mailroom.E(mailroom.Throttled, "imap.error.throttled"), true, false},
		{"consent", mailroom.E(mailroom.NeedsConsent, "imap.error.auth"), true, false},
		{"our own fault", errors.New("index out of range"), false, false},
		{"lease lost", storeErr(mailroom.ErrFenced), true, false},
		{"database", storeErr(errors.New("disk full")), true, false},
		{"database away", storeErr(mailroom.E(mailroom.Unavailable, "error.database")), true, false},
		{"FETCH refused", readFault{mailroom.E(mailroom.Unavailable, "imap.error.refused")}, true, true},
	} {
		if wide(c.err) != c.wide || broken(c.err) != c.broken {
			t.Errorf("%s: wide %v, broken %v", c.name, wide(c.err), broken(c.err))
		}
	}
}
