package syncer

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// differs opens a finding, unless one of the kind that is open says as much. mu
// is held.
func (l *ledger) differs(kind mailroom.FindingKind, uids mailroom.UIDSet, count int64, now time.Time) {
	for _, f := range l.findings {
		if f.Kind == kind && f.RepairedAt.IsZero() {
			if kind == mailroom.FoundShort {
				return
			}
			uids = uids.Minus(f.UIDs)
		}
	}
	if kind != mailroom.FoundShort {
		if count = uids.Len(); count == 0 {
			return
		}
	}
	m := l.mapping
	l.findings = append(l.findings, finding{unsaved: true, Finding: mailroom.Finding{ID: mailroom.NewID(mailroom.PrefixFinding),
		OrgID: m.OrgID, MailboxID: m.MailboxID, MappingID: m.ID, Kind: kind, At: now, Count: count, UIDs: uids}})
}

// finding is a difference that is open, or whose repair is not recorded yet.
type finding struct {
	mailroom.Finding
	unsaved bool
}

// mend notes which differences are no more. mu is held.
func (l *ledger) mend(now time.Time) {
	for i := range l.findings {
		f := &l.findings[i]
		over := l.acc.backlog.Intersect(f.UIDs).Empty()
		if f.Kind == mailroom.FoundShort {
			over = l.shorts == 0
		}
		if over && f.RepairedAt.IsZero() {
			f.RepairedAt, f.unsaved = now, true
		}
	}
}

// remember takes over the differences that former sessions found.
func (l *ledger) remember(open []mailroom.Finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range open {
		if f.Kind == mailroom.FoundShort {
			l.shorts, l.compareSoon = 1, true // not over before a comparison says so
		}
		l.findings = append(l.findings, finding{Finding: f})
	}
}

// nextFinding is one that is to be written.
func (l *ledger) nextFinding() (f mailroom.Finding, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.findings {
		if f.unsaved {
			return f.Finding, true
		}
	}
	return f, false
}

// findingSaved notes that it is written; what is repaired is then history.
func (l *ledger) findingSaved(saved mailroom.Finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.findings[:0]
	for _, f := range l.findings {
		if f.ID == saved.ID {
			f.unsaved = !f.RepairedAt.Equal(saved.RepairedAt)
			if !saved.RepairedAt.IsZero() {
				continue
			}
		}
		kept = append(kept, f)
	}
	l.findings = kept
}

// saveFindings writes what has been found and what has been repaired.
func (s *session) saveFindings(ctx context.Context, l *ledger) error {
	for {
		f, ok := l.nextFinding()
		if !ok {
			return nil
		}
		if f.RepairedAt.IsZero() {
			s.log.Warn("server and ledger differ", "mapping", l.mapping.ID, "kind", f.Kind, "count", f.Count)
		}
		if err := s.k.Store.SaveFinding(ctx, s.claim, f); err != nil {
			return storeErr(err)
		}
		if f.RepairedAt.IsZero() {
			s.k.counters.differences.Add(1)
		}
		l.findingSaved(f)
	}
}
