package syncer

import (
	"context"

	"mailroom/internal/mailroom"
)

// resynced is what the server said on its own of changes since the cursor, when
// the folder was opened (RFC 7162 §3.2.5).
type resynced struct {
	known    bool // it did say; else the rest is empty
	changes  []mailroom.FlagChange
	vanished mailroom.UIDSet
	flying   mailroom.UIDSet // on their way when it was asked
}

// reopen opens the mapping's folder, with all that has changed since the last
// look where the server keeps count of both changes and removals.
func (s *session) reopen(ctx context.Context, l *ledger) (st mailroom.FolderStatus, news resynced, err error) {
	c := l.progress().Cursor
	if !s.conn.CanResync() || c.UIDValidity == 0 || c.HighestModSeq == 0 {
		st, err = s.examine(ctx, s.conn, l)
		return st, news, err
	}
	news.flying = l.inFlight()
	st, news.changes, news.vanished, err = s.conn.Resync(ctx, l.mapping.RawName, c.UIDValidity, c.HighestModSeq)
	if err != nil {
		return st, resynced{}, err
	}
	if st.UIDValidity == 0 {
		st.UIDValidity = 1
	}
	if st.UIDValidity != c.UIDValidity || st.HighestModSeq == 0 {
		return st, resynced{}, nil
	}
	news.known = true
	return st, news, nil
}

// vanish takes away what the server says is gone, if the ledger then comes out at
// what it counts. If not, all is compared.
func (s *session) vanish(ctx context.Context, l *ledger, st mailroom.FolderStatus, news resynced) error {
	if news.vanished.Empty() || l.generation() != st.UIDValidity {
		return nil
	}
	l.mu.Lock()
	gone := news.vanished.Intersect(l.acc.server.Union(l.strays))
	agreed := listedNow(l.acc.server.Minus(gone), st) == int64(st.Messages)
	l.compareSoon = l.compareSoon || !gone.Empty() && !agreed
	l.mu.Unlock()
	if gone.Empty() || !agreed {
		return nil
	}
	return s.settleGone(ctx, l, gone, mailroom.UIDSet{}, mailroom.UIDSet{}, st)
}
