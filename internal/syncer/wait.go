package syncer

import (
	"context"
	"slices"
	"time"
)

// pollEvery is how long the folders that do not push may go unlooked at.
func (s *session) pollEvery() time.Duration {
	switch {
	case !s.backlog():
		return s.k.Poll
	case s.shared || !s.conn.CanIdle():
		return s.k.BusyPoll
	}
	return min(s.k.Poll, 5*s.k.BusyPoll)
}

// backlog reports whether anything is left for the bulk lane.
func (s *session) backlog() bool {
	now := s.now()
	return slices.ContainsFunc(s.ledgers, func(l *ledger) bool { return !l.take(1, now).Empty() })
}

// wait lets time pass until a folder pushes, somebody asks, or the next look is
// due.
func (s *session) wait(ctx context.Context) error {
	watched := s.watched()
	if watched != nil && s.calm > 0 {
		// It has spoken again and again of nothing: listen less closely.
		watched = nil
	}
	if watched != nil && watched.mapping.RawName != s.selected {
		// Other folders have been looked at since.
		return s.look(ctx, watched)
	}
	now := s.now()
	most := min(s.pollRest.left(now), s.relistRest.left(now))
	if s.calm > 0 {
		most = min(most, s.calm)
	}
	for _, l := range s.ledgers { // a backlog that was left alone for a while
		if at := l.bulkAgain(now); s.shared && !at.IsZero() {
			most = min(most, at.Sub(now))
		}
	}
	waitCtx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if !s.arm(cancel) {
		return nil
	}
	defer s.arm(nil)
	if watched == nil {
		<-waitCtx.Done()
		if s.calm > 0 {
			s.calm = 0
			s.noticed = s.watched()
		}
		return nil
	}
	began := time.Now()
	changed, err := s.conn.Idle(waitCtx)
	if err != nil && waitCtx.Err() == nil {
		return err
	}
	if changed {
		s.noticed = watched
		s.calmDown(began)
	}
	return nil
}

// calmDown keeps a server that reports a change without end from keeping us
// busy: after ten notices within a second each, the eleventh is waited for.
func (s *session) calmDown(began time.Time) {
	if time.Since(began) > time.Second {
		s.storm = 0
		return
	}
	if s.storm++; s.storm >= 10 {
		s.calm = min(time.Duration(s.storm-9)*time.Second, 30*time.Second)
	}
}

// arm sets what ends the wait, nil for nothing; false when something is to be
// done already.
func (s *session) arm(cancel context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupt = cancel
	return !s.poked
}

// watched is the folder that IDLE is for: the inbox, else the first that is well.
func (s *session) watched() *ledger {
	if !s.conn.CanIdle() || s.shared && s.backlog() {
		return nil
	}
	now := s.now()
	var first *ledger
	for _, l := range s.ledgers {
		if l.parked(now) {
			continue
		}
		if s.inboxes[l.mapping.RawName] || sameFolder(l.mapping.RawName, "INBOX") {
			return l
		}
		if first == nil {
			first = l
		}
	}
	return first
}
