package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// LoadWork returns everything a node needs to read a mailbox that it has
// claimed, paused mappings included.
func (s *Store) LoadWork(ctx context.Context, c mailroom.Claim) (w mailroom.Work, err error) {
	err = s.view(ctx, func(q runner) error {
		held, err := value[int64](ctx, q, `SELECT COUNT(*) FROM mailboxes WHERE id = $1 AND epoch = $2 AND owner <> ''`, c.MailboxID, c.Epoch)
		if err != nil {
			return err
		}
		if held == 0 {
			return mailroom.ErrFenced
		}
		if w.Mailbox, err = one(ctx, q, scanMailbox, `SELECT `+mailboxColumns+` FROM mailboxes WHERE id = $1`, c.MailboxID); err != nil {
			return err
		}
		if w.Failures, err = value[int](ctx, q, `SELECT failures FROM mailboxes WHERE id = $1`, c.MailboxID); err != nil {
			return err
		}
		if w.Owner, err = one(ctx, q, scanUser, `SELECT `+userColumns+` FROM users WHERE id = $1`, w.Mailbox.UserID); err != nil {
			return err
		}
		if w.Mappings, err = mappingsOf(ctx, q, c.MailboxID); err != nil {
			return err
		}
		ps, err := all(ctx, q, scanProgress, `SELECT `+progressColumns+` FROM progress WHERE mailbox_id = $1`, c.MailboxID)
		w.Progress = map[string]mailroom.Progress{}
		for _, p := range ps {
			w.Progress[p.MappingID] = p
		}
		return err
	})
	return w, err
}

// SaveProgress writes the machine's side of a mapping. A mapping that a person
// has taken away meanwhile is left alone: nothing is written, without error.
func (s *Store) SaveProgress(ctx context.Context, c mailroom.Claim, p mailroom.Progress) error {
	return s.tx(ctx, func(t *tx) error {
		if _, err := t.fence(ctx, c); err != nil {
			return err
		}
		return t.saveProgress(ctx, c.MailboxID, p)
	})
}

// saveProgress upserts, since a mapping may have been saved without its row.
func (t *tx) saveProgress(ctx context.Context, mailboxID string, p mailroom.Progress) error {
	n, err := t.exec(ctx, `INSERT INTO progress(mapping_id, mailbox_id, stage, uid_validity, uid_next, highest_modseq, backlog, skipped,
		  on_server, stored, quarantined, checked_at, problem, failures, retry_at, backfill_total, backfill_started, dropped,
		  compared_at, flags_edge, flags_at, backfill_bytes, backfill_edge, rate_mails, rate_bytes)
		SELECT id, mailbox_id, $3, CAST($4 AS BIGINT), CAST($5 AS BIGINT), CAST($6 AS BIGINT), $7, $8, CAST($9 AS BIGINT),
		  CAST($10 AS BIGINT), CAST($11 AS BIGINT), CAST($12 AS BIGINT), $13, CAST($14 AS BIGINT), CAST($15 AS BIGINT),
		  CAST($16 AS BIGINT), CAST($17 AS BIGINT), CAST($18 AS BIGINT), CAST($19 AS BIGINT), CAST($20 AS BIGINT),
		  CAST($21 AS BIGINT), CAST($22 AS BIGINT), CAST($23 AS BIGINT), CAST($24 AS BIGINT), CAST($25 AS BIGINT)
		FROM mappings WHERE id = $1 AND mailbox_id = $2
		ON CONFLICT (mapping_id) DO UPDATE SET stage = excluded.stage, uid_validity = excluded.uid_validity,
		  uid_next = excluded.uid_next, highest_modseq = excluded.highest_modseq, backlog = excluded.backlog,
		  skipped = excluded.skipped, on_server = excluded.on_server, stored = excluded.stored,
		  quarantined = excluded.quarantined, checked_at = excluded.checked_at, problem = excluded.problem,
		  failures = excluded.failures, retry_at = excluded.retry_at, backfill_total = excluded.backfill_total,
		  backfill_started = excluded.backfill_started, dropped = excluded.dropped, compared_at = excluded.compared_at,
		  flags_edge = excluded.flags_edge, flags_at = excluded.flags_at, backfill_bytes = excluded.backfill_bytes,
		  backfill_edge = excluded.backfill_edge, rate_mails = excluded.rate_mails, rate_bytes = excluded.rate_bytes`,
		p.MappingID, mailboxID, string(p.Stage), p.Cursor.UIDValidity, p.Cursor.UIDNext, int64(p.Cursor.HighestModSeq),
		p.Backlog.String(), p.Skipped.String(), p.OnServer, p.Stored, p.Quarantined, mailroom.Micros(p.CheckedAt),
		asJSON(p.Problem), p.Failures, mailroom.Micros(p.RetryAt), p.BackfillTotal, mailroom.Micros(p.BackfillStarted), p.Dropped,
		mailroom.Micros(p.ComparedAt), p.FlagsEdge, mailroom.Micros(p.FlagsAt), p.BackfillBytes, mailroom.Micros(p.BackfillEdge),
		p.RateMails, p.RateBytes)
	if err != nil || n == 0 {
		return err
	}
	var seen [][]any
	for _, v := range p.Sighted {
		seen = append(seen, []any{p.MappingID, v.UIDValidity, v.First, v.Last, mailroom.Micros(v.At)})
	}
	return t.insert(ctx, `INSERT INTO sightings(mapping_id, uid_validity, first_uid, last_uid, at) VALUES `, ` ON CONFLICT DO NOTHING`, seen)
}
