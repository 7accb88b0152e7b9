package store

import (
	"context"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// DueQuarantine are up to limit mails of a mapping whose time to be tried again
// has come, the newest first: those of its present generation, and those that
// have left the server of which the raw copy is kept.
func (s *Store) DueQuarantine(ctx context.Context, mappingID string, now time.Time, limit int) ([]mailroom.Quarantine, error) {
	return all(ctx, s.read(), scanQuarantine, `SELECT `+prefixed("q", quarantineColumns)+` FROM quarantine q
		JOIN progress p ON p.mapping_id = q.mapping_id
		WHERE q.mapping_id = $1 AND q.retry_at <= $2 AND q.dropped_at = 0
		  AND (q.gone_at = 0 AND q.uid_validity = p.uid_validity OR q.gone_at <> 0 AND q.raw_hash <> '')
		ORDER BY q.uid DESC LIMIT $3`, mappingID, mailroom.Micros(now), limit)
}

// QuarantineOf returns a mapping's quarantine rows by UID, of its present
// generation: how often each was tried decides when it is tried again.
func (s *Store) QuarantineOf(ctx context.Context, mappingID string) (map[uint32]mailroom.Quarantine, error) {
	rs, err := all(ctx, s.read(), scanQuarantine, `SELECT `+prefixed("q", quarantineColumns)+` FROM quarantine q
		JOIN progress p ON p.mapping_id = q.mapping_id WHERE q.mapping_id = $1 AND q.uid_validity = p.uid_validity AND q.gone_at = 0`, mappingID)
	out := map[uint32]mailroom.Quarantine{}
	for _, q := range rs {
		out[q.UID] = q
	}
	return out, err
}

// RetryAfterUpgrade has all mails tried again that another version of the program
// could not file, but for those that the server does not give or a person has
// given up. It returns how many that are, and asks for a sync of their mailboxes.
func (s *Store) RetryAfterUpgrade(ctx context.Context, version string) (n int64, err error) {
	err = s.tx(ctx, func(t *tx) error {
		boxes, err := values[string](ctx, t, `UPDATE quarantine SET retry_at = $1 WHERE version <> $2 AND dropped_at = 0 AND retry_at > $1
			AND NOT reason LIKE '%"quarantine.reason.placeholder"%' AND NOT reason LIKE '%"quarantine.reason.empty"%'
			RETURNING mailbox_id`, t.at, clean(version))
		n = int64(len(boxes))
		if err != nil {
			return err
		}
		slices.Sort(boxes)
		for _, id := range slices.Compact(boxes) {
			if err := t.want(ctx, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
