package syncer

import (
	"cmp"
	"context"
	"slices"

	"mailroom/internal/mailroom"
)

// flagged is what the flags of a mail were when last looked at.
type flagged struct {
	uid  uint32
	bits uint8
}

func bitsOf(f mailroom.Flags) (b uint8) {
	for i, on := range []bool{f.Seen, f.Flagged, f.Answered, f.Deleted, f.Draft} {
		if on {
			b |= 1 << i
		}
	}
	return b
}

// followFlags brings the source's flags over: what changed, where the server
// keeps count (RFC 7162), else by looking at the newest mails often and at the
// older ones seldom.
func (s *session) followFlags(ctx context.Context, l *ledger, st mailroom.FolderStatus, news resynced) error {
	placed := l.account().placed
	if placed.Empty() {
		return nil
	}
	if news.known {
		if st.HighestModSeq <= l.progress().Cursor.HighestModSeq {
			return nil
		}
		return s.flagsUpTo(ctx, l, news.changes, news.flying, st.HighestModSeq)
	}
	if s.conn.CanCondStore() && st.HighestModSeq > 0 {
		return s.flagsChanged(ctx, l, placed, st.HighestModSeq)
	}
	now := s.now()
	if passed(l.flagsAt, now, s.k.FlagsEvery) || s.noticed != nil {
		l.flagsAt = now
		if err := s.flagsWindow(ctx, l, placed.Newest(s.k.FlagsWindow)); err != nil {
			return err
		}
	}
	if !l.scanRest.over(now) {
		return nil
	}
	l.scanRest = pause{now, s.k.FlagsScanEvery}
	return s.flagsScan(ctx, l, placed.Minus(placed.Newest(s.k.FlagsWindow)))
}

func (s *session) flagsChanged(ctx context.Context, l *ledger, placed mailroom.UIDSet, modseq uint64) error {
	since := l.progress().Cursor.HighestModSeq
	if modseq <= since {
		return nil
	}
	set := mailroom.Range(1, l.account().server.Max())
	if since == 0 { // the server did not keep count before
		set = placed.Newest(s.k.FlagsWindow)
	}
	flying := l.inFlight()
	var changes []mailroom.FlagChange
	err := s.conn.Flags(ctx, set, since, func(c mailroom.FlagChange) { changes = append(changes, c) })
	if err != nil {
		return err
	}
	return s.flagsUpTo(ctx, l, changes, flying, modseq)
}

// flagsUpTo applies what the server says has changed up to modseq; flying are the
// mails that were on their way when it was asked. One of those may have been
// fetched before its change and be filed after this: then the question is put
// again at the next look.
func (s *session) flagsUpTo(ctx context.Context, l *ledger, changes []mailroom.FlagChange, flying mailroom.UIDSet, modseq uint64) error {
	flying = flying.Union(l.inFlight())
	placed := l.account().placed
	var filed []mailroom.FlagChange
	early := false
	for _, c := range changes {
		if placed.Contains(c.UID) {
			filed = append(filed, c)
		} else if flying.Contains(c.UID) {
			early = true
		}
	}
	if err := s.applyFlags(ctx, l, filed); err != nil || early {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.p.Cursor.HighestModSeq, l.dirty = modseq, true
	return nil
}

func (l *ledger) inFlight() mailroom.UIDSet {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flying
}

// flagsScan looks at the next part of the older mails, downwards, and keeps how
// far it came, so that a restart goes on from there.
func (s *session) flagsScan(ctx context.Context, l *ledger, older mailroom.UIDSet) error {
	if edge := l.progress().FlagsEdge; edge > 0 {
		older = older.Intersect(mailroom.Range(1, edge-1))
	}
	set := older.Newest(s.k.FlagsChunk)
	if !set.Empty() {
		var changes []mailroom.FlagChange
		err := s.conn.Flags(ctx, set, 0, func(c mailroom.FlagChange) {
			if set.Contains(c.UID) {
				changes = append(changes, c)
			}
		})
		if err != nil {
			return err
		}
		if err := s.applyFlags(ctx, l, changes); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if set.Len() == older.Len() {
		l.p.FlagsEdge, l.p.FlagsAt = 0, s.now()
	} else {
		l.p.FlagsEdge = set.Ranges()[0].From
	}
	l.dirty = l.dirty || !set.Empty()
	return nil
}

func (s *session) flagsWindow(ctx context.Context, l *ledger, set mailroom.UIDSet) error {
	var changes []mailroom.FlagChange
	var seen []flagged
	byUID := func(a flagged, uid uint32) int { return cmp.Compare(a.uid, uid) }
	err := s.conn.Flags(ctx, set, 0, func(c mailroom.FlagChange) {
		if !set.Contains(c.UID) {
			return
		}
		f := flagged{c.UID, bitsOf(c.Flags)}
		seen = append(seen, f)
		if i, ok := slices.BinarySearchFunc(l.flags, c.UID, byUID); !ok || l.flags[i].bits != f.bits {
			changes = append(changes, c)
		}
	})
	if err != nil {
		return err
	}
	if err := s.applyFlags(ctx, l, changes); err != nil {
		return err
	}
	slices.SortFunc(seen, func(a, b flagged) int { return cmp.Compare(a.uid, b.uid) })
	l.flags = seen
	return nil
}

// applyFlags writes in transactions that nobody has to wait for.
func (s *session) applyFlags(ctx context.Context, l *ledger, changes []mailroom.FlagChange) error {
	for part := range slices.Chunk(changes, 500) {
		if err := s.k.Store.ApplyFlags(ctx, s.claim, l.mapping, l.generation(), part); err != nil {
			return storeErr(err)
		}
	}
	return nil
}
