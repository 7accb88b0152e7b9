package store

import (
	"context"
	"time"
)

// keepRuns is how long the history of readings is kept. The audit trail is kept
// for ever.
const keepRuns = 30 * 24 * time.Hour

// keepNodes is how long a node may be silent before its row goes. Share forgets
// it far earlier, where other nodes live.
const keepNodes = 24 * time.Hour

// keepFindings is how long a difference that has been repaired is told of.
const keepFindings = 90 * 24 * time.Hour

// keepConsent is how long a link for an administrator is told of after its end.
const keepConsent = 90 * 24 * time.Hour

// keepNotices is how long it is remembered who was told what: longer than any
// fact stands that would be told of again.
const keepNotices = 3 * 365 * 24 * time.Hour

// KeepHouse drops what has run out: web sessions, begun grants, old runs,
// finished undos, repaired differences, nodes that are no more. What belongs to a
// mapping (sightings, open findings, tombstones) goes with its row.
func (s *Store) KeepHouse(ctx context.Context) error {
	return s.tx(ctx, func(t *tx) error {
		for _, old := range []struct {
			text   string
			before int64
		}{
			{`DELETE FROM sessions WHERE expiry < $1`, t.at},
			{`DELETE FROM auth_requests WHERE expires_at < $1`, t.at},
			{`DELETE FROM doctor_requests WHERE expires_at < $1`, t.at},
			{`DELETE FROM runs WHERE started_at < $1`, t.at - keepRuns.Microseconds()},
			{`DELETE FROM undos WHERE finished_at <> 0 AND finished_at < $1`, t.at - keepUndos.Microseconds()},
			{`DELETE FROM findings WHERE repaired_at <> 0 AND repaired_at < $1`, t.at - keepFindings.Microseconds()},
			{`DELETE FROM consent_requests WHERE expires_at < $1`, t.at - keepConsent.Microseconds()},
			{`DELETE FROM consent_links WHERE expires_at < $1`, t.at - keepConsent.Microseconds()},
			{`DELETE FROM notices WHERE sent_at <> 0 AND sent_at < $1`, t.at - keepNotices.Microseconds()},
			{`DELETE FROM notices WHERE sent_at = 0 AND created_at < $1`, t.at - keepNotices.Microseconds()},
			{`DELETE FROM nodes WHERE seen_at < $1`, t.at - keepNodes.Microseconds()},
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
