package mailroom

import "time"

// What a clock that was wrong for a while has written is not believed: no lease
// is given for nearly as long as MaxLease, and no next try put off for longer
// than MaxRetry, which is the longest pause a provider may ask for (24 h) and
// the longest back-off (12 h). A time further ahead than that has passed.
const (
	MaxLease = 2 * time.Hour
	MaxRetry = 36 * time.Hour
)

// Work is everything a node needs to read a mailbox that it has claimed.
type Work struct {
	Mailbox  Mailbox
	Owner    User // whose OTYS mailbox
	Mappings []Mapping
	Progress map[string]Progress // by mapping id; a mapping without one was never read
	Failures int                 // in a row, as Release was last told
}

// Signal is what a node looks at, again and again, of the mailboxes it reads.
type Signal struct {
	Wanted, Done    int64
	MappingsVersion int64
	Stop            bool // paused, revoked, retired, owner disabled, or nothing mapped
}
