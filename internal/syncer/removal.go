package syncer

import (
	"context"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// settleRemovals takes mails out of OTYS that left a folder whose mapping says
// so: those that had left it before every folder was last looked at and all that
// was found there was filed. A mail that moved has turned up by then.
func (s *session) settleRemovals(ctx context.Context) error {
	const atOnce, most = 500, 10 // nobody waits for more
	if !slices.ContainsFunc(s.work.Mappings, func(m mailroom.Mapping) bool { return m.Removal == mailroom.RemovalRemove }) {
		return nil
	}
	before, now := time.Time{}, s.now()
	for _, l := range s.ledgers {
		if l.parked(now) { // it may be so for ever
			continue
		}
		at := l.clear()
		if at.IsZero() {
			return nil
		}
		if before.IsZero() || at.Before(before) {
			before = at
		}
	}
	for range most {
		if before.IsZero() {
			return nil
		}
		removed, err := s.k.Store.SettleRemovals(ctx, s.claim, before, atOnce)
		if err != nil || removed == 0 {
			return storeErr(err)
		}
		s.moving()
		s.log.Info("mails that left their folder were removed", "count", removed)
	}
	return nil
}

// clear is when a check last proved that no unknown UID was there, and all that
// it found has been filed since; zero before the first in this session.
func (l *ledger) clear() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.loaded && !l.listing && l.acc.backlog.Empty() {
		l.clearAt = l.p.CheckedAt
	}
	return l.clearAt
}
