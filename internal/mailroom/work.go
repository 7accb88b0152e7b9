package mailroom

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
