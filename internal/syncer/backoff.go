package syncer

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// backoff is how long to wait after the failures-th failure in a row (1 is the
// first) of a kind, jitter in [0,1) spreading it over the upper quarter. Not for
// Throttled, whose time the provider names.
func backoff(kind mailroom.Kind, failures int, jitter float64) time.Duration {
	first, most := 5*time.Second, 5*time.Minute
	switch kind {
	case mailroom.NeedsConsent, mailroom.NeedsAdmin, mailroom.NeedsVendor:
		// Only a person can mend it, and asking again and again locks accounts.
		// Still asked now and then: outages look the same (docs/providers.md 3.1).
		first, most = 15*time.Minute, 12*time.Hour
	case mailroom.Invalid, mailroom.Forbidden, mailroom.NotFound, mailroom.Conflict:
		first, most = 15*time.Minute, 6*time.Hour
	case mailroom.Internal:
		first, most = 15*time.Second, 15*time.Minute
	}
	return spread(double(first, most, failures), jitter)
}

// parkFor is how long a folder is left alone after the failures-th failure in a
// row, while the others go on.
func parkFor(failures int, jitter float64) time.Duration {
	return spread(parkMost(failures), jitter)
}

// parkMost is the longest that parkFor may say.
func parkMost(failures int) time.Duration { return double(time.Minute, 6*time.Hour, failures) }

// never is longer than anybody waits: only a person or an upgrade is quicker.
const never = 10 * 365 * 24 * time.Hour

// retryQuarantine is how long a mail stays in quarantine before it is tried
// again, after attempts attempts.
func retryQuarantine(key string, attempts int) time.Duration {
	switch key {
	case keyTooLarge: // another cap is another Version, which has it tried again
		return never
	case keyEmpty, keyPlaceholder: // Exchange gives them later (docs/providers.md 3.6)
		return double(5*time.Minute, 24*time.Hour, attempts*2-1)
	}
	return double(6*time.Hour, 7*24*time.Hour, attempts)
}

func double(first, most time.Duration, n int) time.Duration {
	d := first
	for ; n > 1 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}

func spread(d time.Duration, jitter float64) time.Duration {
	return d - d/4 + time.Duration(float64(d/4)*jitter)
}

// slice is how many mails are asked for at a time after that many broken
// connections in a row without a mail filed between: a mail that breaks the
// connection is closed in on until it is asked for alone.
func slice(whole int64, failures int) int64 {
	switch {
	case failures < 2:
		return whole
	case failures < 4:
		return min(whole, 10)
	}
	return 1
}

// breaking is when a mail that was asked for alone is put in quarantine.
const breaking = 6

// storeFault is a failure of the database or the raw mail's keeping: it is
// nobody's folder's fault.
type storeFault struct{ err error }

func (f storeFault) Error() string { return "store: " + f.err.Error() }
func (f storeFault) Unwrap() error { return f.err }

func storeErr(err error) error {
	if err == nil {
		return nil
	}
	return storeFault{err}
}

// cause is an error for the log at any level above debug: in the server's own
// words only where it is our fault, since those may hold an address or a subject.
func cause(err error) slog.Attr {
	e := mailroom.AsError(err)
	if e == nil || e.Kind == mailroom.Internal {
		return slog.Any("error", err)
	}
	return slog.String("error", string(e.Kind)+" "+e.Key)
}

// wide reports whether an error met in one folder concerns the whole mailbox.
func wide(err error) bool {
	var store storeFault
	var reading readFault
	if errors.Is(err, mailroom.ErrFenced) || errors.Is(err, errRemapped) || errors.Is(err, errReload) ||
		errors.As(err, &store) || errors.As(err, &reading) {
		return true
	}
	e := mailroom.AsError(err)
	switch e.Kind {
	case mailroom.Throttled, mailroom.NeedsConsent, mailroom.NeedsAdmin, mailroom.NeedsVendor:
		return true
	case mailroom.Unavailable:
		return !folderKeys[e.Key] && !strings.HasPrefix(e.Key, "folder.")
	}
	return false
}

// folderKeys are faults that leave the connection alive: the server said no to
// one question about one folder.
var folderKeys = map[string]bool{
	"imap.error.refused":      true,
	"imap.error.busy":         true,
	"imap.error.short_answer": true,
}

// broken reports whether err is the connection's end.
func broken(err error) bool {
	var store storeFault
	var reading readFault
	if errors.As(err, &store) {
		return false
	}
	return errors.As(err, &reading) || mailroom.KindOf(err) == mailroom.Unavailable && wide(err)
}

// readFault is a FETCH that ended early, with the connection or by a refusal,
// which leaves the connection in an unknown state too.
type readFault struct{ error }

func (f readFault) Unwrap() error { return f.error }
