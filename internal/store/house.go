package store

import (
	"context"
	"time"
)

// keepRuns is how long the history of readings is kept. The audit trail is kept
// for ever.
const keepRuns = 30 * 24 * time.Hour

// KeepHouse drops what has run out: web sessions, begun grants, old runs.
func (s *Store) KeepHouse(ctx context.Context) error {
	return s.tx(ctx, func(t *tx) error {
		for _, old := range []struct {
			text   string
			before int64
		}{
			{`DELETE FROM sessions WHERE expiry < $1`, t.at},
			{`DELETE FROM auth_requests WHERE expires_at < $1`, t.at},
			{`DELETE FROM runs WHERE started_at < $1`, t.at - keepRuns.Microseconds()},
		} {
			if _, err := t.exec(ctx, old.text, old.before); err != nil {
				return err
			}
		}
		return nil
	})
}

// Ready proves that the database takes a write: a full disk or a read-only file
// answers questions and keeps nothing.
func (s *Store) Ready(ctx context.Context) error {
	return s.SetSetting(ctx, "ready.probe", time.Now().UTC().Format(time.RFC3339))
}
