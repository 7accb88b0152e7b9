package store

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// Share says that node is alive, forgets the nodes that have not said so within
// alive, and returns how many mailboxes are this node's fair part: all that may
// be read, whoever holds them, over the nodes that live; at least 1. It also ends
// the leases that only a clock that was wrong can have given (mailroom.MaxLease).
func (s *Store) Share(ctx context.Context, node string, now time.Time, alive time.Duration) (share int, err error) {
	err = s.tx(ctx, func(t *tx) error {
		if _, err := t.exec(ctx, `INSERT INTO nodes(name, seen_at) VALUES ($1,$2)
			ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at`, node, mailroom.Micros(now)); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE mailboxes SET lease_until = 0 WHERE retired_at = 0 AND lease_until > $1`,
			mailroom.Micros(now.Add(mailroom.MaxLease))); err != nil {
			return err
		}
		// A beat from far in the future is that of a node whose clock was wrong.
		_, err := t.exec(ctx, `DELETE FROM nodes WHERE seen_at < $1 OR seen_at > $2`,
			mailroom.Micros(now.Add(-alive)), mailroom.Micros(now.Add(mailroom.MaxLease)))
		return err
	})
	if err != nil {
		return 0, err
	}
	// Beside the transaction: counting takes SQLite's one writer from nobody. The
	// bound on lease_until, which every row keeps, names the index to walk.
	boxes, nodes := 0, 0
	err = each(ctx, s.read(), func(r row) error { return r.Scan(&boxes, &nodes) }, `SELECT
		(SELECT COUNT(*) FROM mailboxes m WHERE m.lease_until >= 0 AND `+workable+`), (SELECT COUNT(*) FROM nodes)`)
	nodes = max(nodes, 1)
	return max((boxes+nodes-1)/nodes, 1), err
}

// Leave says that node is alive no more: the others take its part at once.
func (s *Store) Leave(ctx context.Context, node string) error {
	return s.tx(ctx, func(t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM nodes WHERE name = $1`, node)
		t.notify(TopicWork)
		return err
	})
}

// ReadersSeen is the last sign of life of any node that reads mailboxes; zero
// when none has given one, or all have left in good order.
func (s *Store) ReadersSeen(ctx context.Context) (time.Time, error) {
	us, err := value[int64](ctx, s.read(), `SELECT COALESCE(MAX(seen_at), 0) FROM nodes`)
	return mailroom.FromMicros(us), err
}
