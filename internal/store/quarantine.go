package store

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// DueQuarantine are the UIDs of a mapping's present generation whose time to be
// tried again has come.
func (s *Store) DueQuarantine(ctx context.Context, mappingID string, now time.Time) (mailroom.UIDSet, error) {
	return uidRanges(ctx, s.read(), `SELECT q.uid FROM quarantine q JOIN progress p ON p.mapping_id = q.mapping_id
		WHERE q.mapping_id = $1 AND q.retry_at <= $2 AND q.uid_validity = p.uid_validity`, mappingID, mailroom.Micros(now))
}

// QuarantineOf returns a mapping's quarantine rows by UID, of its present
// generation: how often each was tried decides when it is tried again.
func (s *Store) QuarantineOf(ctx context.Context, mappingID string) (map[uint32]mailroom.Quarantine, error) {
	rs, err := all(ctx, s.read(), scanQuarantine, `SELECT `+prefixed("q", quarantineColumns)+` FROM quarantine q
		JOIN progress p ON p.mapping_id = q.mapping_id WHERE q.mapping_id = $1 AND q.uid_validity = p.uid_validity`, mappingID)
	out := map[uint32]mailroom.Quarantine{}
	for _, q := range rs {
		out[q.UID] = q
	}
	return out, err
}
