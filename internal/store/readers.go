package store

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// ReadersSeen is the last sign of life of any node that reads mailboxes; zero
// when none has given one, or all have left in good order.
func (s *Store) ReadersSeen(ctx context.Context) (time.Time, error) {
	us, err := value[int64](ctx, s.read(), `SELECT COALESCE(MAX(seen_at), 0) FROM nodes`)
	return mailroom.FromMicros(us), err
}
