package syncer

import (
	"mailroom/internal/mailroom"
)

// account is where every message of one generation of a folder stands. It is a
// value: what happens to it makes a new one. The five parts are disjoint and
// together they are what is on the server.
type account struct {
	server      mailroom.UIDSet // as last listed, minus what is proved gone
	placed      mailroom.UIDSet
	quarantined mailroom.UIDSet
	dropped     mailroom.UIDSet // a person gave them up
	skipped     mailroom.UIDSet // older than the date limit
	backlog     mailroom.UIDSet
}

// newAccount puts together what the store kept. Filed beats quarantined beats
// dropped beats backlog beats skipped: rows are the truth, the sets of the
// progress row are only what rows cannot say.
func newAccount(held mailroom.Held, skipped, backlog mailroom.UIDSet) account {
	a := account{placed: held.Placed, quarantined: held.Quarantined.Minus(held.Placed)}
	rows := a.placed.Union(a.quarantined)
	a.dropped = held.Dropped.Minus(rows)
	rows = rows.Union(a.dropped)
	a.backlog = backlog.Minus(rows)
	a.skipped = skipped.Minus(rows).Minus(a.backlog)
	a.server = rows.Union(a.backlog).Union(a.skipped)
	return a
}

// found adds what a listing shows. Of the unknown, those in skip are skipped,
// the rest are backlog.
func (a account) found(list, skip mailroom.UIDSet) (after account, fresh mailroom.UIDSet) {
	unknown := list.Minus(a.server)
	fresh = unknown.Minus(skip)
	a.server = a.server.Union(unknown)
	a.skipped = a.skipped.Union(unknown.Minus(fresh))
	a.backlog = a.backlog.Union(fresh)
	return a, fresh
}

// filed notes what a batch stored and what it put in quarantine. What had left
// the server meanwhile is not counted.
func (a account) filed(placed, quarantined mailroom.UIDSet) account {
	placed = placed.Intersect(a.server)
	quarantined = quarantined.Intersect(a.server).Minus(placed).Minus(a.placed)
	a.placed = a.placed.Union(placed)
	a.quarantined = a.quarantined.Union(quarantined).Minus(placed)
	a.backlog = a.backlog.Minus(placed).Minus(quarantined)
	a.skipped = a.skipped.Minus(placed).Minus(quarantined)
	a.dropped = a.dropped.Minus(placed).Minus(quarantined)
	return a
}

// without notes what is proved to be gone from the server.
func (a account) without(gone mailroom.UIDSet) account {
	if gone.Empty() {
		return a
	}
	return account{
		server:      a.server.Minus(gone),
		placed:      a.placed.Minus(gone),
		quarantined: a.quarantined.Minus(gone),
		dropped:     a.dropped.Minus(gone),
		skipped:     a.skipped.Minus(gone),
		backlog:     a.backlog.Minus(gone),
	}
}

// limited applies a date limit anew: within is what the server says is recent
// enough. What is filed stays.
func (a account) limited(within mailroom.UIDSet) account {
	open := a.skipped.Union(a.backlog)
	a.backlog = open.Intersect(within)
	a.skipped = open.Minus(within)
	return a
}

// held is how many messages the account knows of.
func (a account) held() int64 { return a.server.Len() }

// balanced reports whether on server = stored + skipped + dropped + quarantined + backlog.
func (a account) balanced() bool {
	return a.held() == a.placed.Len()+a.skipped.Len()+a.dropped.Len()+a.quarantined.Len()+a.backlog.Len()
}
