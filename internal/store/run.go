package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// StartRun records that a reading of a mapping has begun. One that a crash left
// open is closed as interrupted.
func (s *Store) StartRun(ctx context.Context, v mailroom.SyncRun) error {
	return s.tx(ctx, func(t *tx) error {
		cut := &mailroom.Problem{Kind: mailroom.Unavailable, Key: "run.error.interrupted", Since: v.StartedAt}
		if _, err := t.exec(ctx, `UPDATE runs SET ended_at = $1, problem = $2 WHERE mapping_id = $3 AND ended_at = 0 AND id <> $4`,
			mailroom.Micros(v.StartedAt), asJSON(cut), v.MappingID, v.ID); err != nil {
			return err
		}
		return t.saveRun(ctx, v)
	})
}

// FinishRun records what a reading came to.
func (s *Store) FinishRun(ctx context.Context, v mailroom.SyncRun) error {
	return s.tx(ctx, func(t *tx) error { return t.saveRun(ctx, v) })
}

func (t *tx) saveRun(ctx context.Context, v mailroom.SyncRun) error {
	_, err := t.exec(ctx, `INSERT INTO runs(id, org_id, mailbox_id, mapping_id, started_at, ended_at, stored, quarantined, bytes, problem)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)
		ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, stored = excluded.stored,
		  quarantined = excluded.quarantined, bytes = excluded.bytes, problem = excluded.problem`,
		v.ID, v.OrgID, v.MailboxID, v.MappingID, mailroom.Micros(v.StartedAt), mailroom.Micros(v.EndedAt), v.Stored, v.Quarantined,
		v.Bytes, asJSON(v.Problem))
	t.notify(TopicOrg(v.OrgID))
	return err
}
