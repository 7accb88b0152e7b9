package syncer

import (
	"sync"
	"sync/atomic"
	"time"

	"mailroom/internal/mailroom"
)

// Stats are a node's counters since its start, for /metrics and /readyz.
type Stats struct {
	Sessions    int64 // mailboxes held now
	BulkLanes   int64 // of those, reading a backlog
	Stored      int64 // mails filed, copies included
	Quarantined int64
	Bytes       int64 // raw octets read
	Batches     int64
	Checks      int64 // folders looked at
	Panics      int64
	Differences int64                   // that comparisons found
	Stalled     int64                   // sessions that did not move and were started again
	Errors      map[mailroom.Kind]int64 // ends of sessions and parked folders
	LastCheck   time.Time               // of any folder
	LastRenewal time.Time               // of the leases; an old one means the database does not answer
}

type counters struct {
	sessions, bulk, stored, quarantined, bytes, batches, checks, panics, stalled, differences atomic.Int64
	lastCheck, lastRenewal                                                                    atomic.Int64 // microseconds

	mu     sync.Mutex
	errors map[mailroom.Kind]int64
}

func (c *counters) failed(k mailroom.Kind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.errors == nil {
		c.errors = map[mailroom.Kind]int64{}
	}
	c.errors[k]++
}

// Stats reads the counters.
func (k *Keeper) Stats() Stats {
	c := &k.counters
	s := Stats{
		Sessions: c.sessions.Load(), BulkLanes: c.bulk.Load(), Stored: c.stored.Load(),
		Quarantined: c.quarantined.Load(), Bytes: c.bytes.Load(), Batches: c.batches.Load(),
		Checks: c.checks.Load(), Panics: c.panics.Load(), Stalled: c.stalled.Load(), Differences: c.differences.Load(),
		LastCheck:   mailroom.FromMicros(c.lastCheck.Load()),
		LastRenewal: mailroom.FromMicros(c.lastRenewal.Load()),
		Errors:      map[mailroom.Kind]int64{},
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for kind, n := range c.errors {
		s.Errors[kind] = n
	}
	return s
}
