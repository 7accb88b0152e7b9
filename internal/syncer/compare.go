package syncer

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// compareDue reports whether the whole UID set is to be compared now: fewer held
// than there are is urgent, more held (something was removed) is not.
func (l *ledger) compareDue(st mailroom.FolderStatus, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.acc.held()
	if held != int64(st.Messages) || !l.strays.Empty() {
		l.compareSoon = true
	}
	if l.compareRest.over(now) {
		return true
	}
	return l.compareSoon && passed(l.comparedAt, now, l.tuning.CompareAgain)
}

// compare sets the ledger against everything the folder lists. What is missing
// from one listing is gone only if a second one lacks it too and has as many
// messages as EXAMINE counts. What the server counts but does not list is a
// fault of the folder, and shown.
func (s *session) compare(ctx context.Context, conn Conn, l *ledger) error {
	now := s.now()
	l.mu.Lock()
	known, strays := l.acc.server, l.strays
	l.comparedAt, l.compareSoon = now, false
	l.compareRest = pause{now, l.tuning.CompareEvery}
	l.mu.Unlock()

	st, err := s.examine(ctx, conn, l)
	if err != nil {
		return err
	}
	if st.UIDValidity != l.generation() {
		return nil // the next check sees to it
	}
	list, err := conn.UIDs(ctx, 1)
	if err != nil {
		return err
	}
	missing := known.Union(strays).Minus(list)
	if !missing.Empty() || short(list, st) {
		if st, err = s.examine(ctx, conn, l); err != nil {
			return err
		}
		first := list
		if list, err = conn.UIDs(ctx, 1); err != nil {
			return err
		}
		agreed := listedNow(list, st) == int64(st.Messages)
		l.compared(agreed, short(list, st), st, list.Len(), s.now())
		if !agreed {
			missing = mailroom.UIDSet{}
		}
		missing = missing.Minus(list)
		list = list.Union(first.Intersect(known))
	} else {
		l.compared(true, false, st, list.Len(), s.now())
	}
	skip, err := s.tooOld(ctx, conn, l, list.Minus(known))
	if err != nil {
		return err
	}
	if err := s.settleGone(ctx, l, missing, list, skip, st); err != nil {
		return err
	}
	l.comparedAll(s.now())
	return s.saveFindings(ctx, l)
}

// compared notes how a comparison went. Two in a row that list less than the
// folder counts are shown: nobody knows what is missing, so nothing is proved.
func (l *ledger) compared(agreed, short bool, st mailroom.FolderStatus, listed int64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.compareSoon = !agreed
	if !short {
		l.shorts = 0
		l.mend(now)
		return
	}
	l.shorts++
	if l.shorts > 1 {
		l.differs(mailroom.FoundShort, mailroom.UIDSet{}, int64(st.Messages)-listed, now)
	}
	l.shortage = map[string]any{"server": int64(st.Messages), "listed": listed}
}

// listedNow is how many of a listing the EXAMINE before it can have counted.
func listedNow(list mailroom.UIDSet, st mailroom.FolderStatus) int64 {
	if st.UIDNext == 0 {
		return list.Len()
	}
	return list.Intersect(mailroom.Range(1, st.UIDNext-1)).Len()
}

// short reports whether a listing lacks messages that the server counts.
func short(list mailroom.UIDSet, st mailroom.FolderStatus) bool {
	return list.Len() < int64(st.Messages)
}

func (s *session) settleGone(ctx context.Context, l *ledger, gone, list, skip mailroom.UIDSet, st mailroom.FolderStatus) error {
	l.write.Lock()
	defer l.write.Unlock()
	if l.generation() != st.UIDValidity {
		return nil
	}
	if !gone.Empty() {
		l.mu.Lock()
		rows := gone.Intersect(l.acc.placed.Union(l.acc.quarantined).Union(l.acc.dropped).Union(l.strays))
		l.mu.Unlock()
		if err := s.markGone(ctx, l, st.UIDValidity, rows); err != nil {
			return err
		}
		l.gone(gone, s.now())
	}
	l.found(list, skip, st.UIDNext, s.now())
	return nil
}

// comparedAll notes that ledger and folder have been held against each other.
func (l *ledger) comparedAll(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.p.ComparedAt = now
	if !l.acc.skipped.Empty() {
		l.limited, l.relimit = false, l.relimit || l.limited // the server's word on dates is asked for again, too
	}
}

func (s *session) markGone(ctx context.Context, l *ledger, uidValidity uint32, gone mailroom.UIDSet) error {
	if gone.Empty() {
		return nil
	}
	s.log.Info("mails left the server", "mapping", l.mapping.ID, "count", gone.Len())
	return storeErr(s.k.Store.MarkGone(ctx, s.claim, l.mapping.ID, uidValidity, gone))
}
