package store

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// The person's side of quarantine.

// QuarantineRows lists what lies in quarantine of a user's mailbox, newest first.
func (s *Store) QuarantineRows(ctx context.Context, userID string) ([]mailroom.Quarantine, error) {
	return all(ctx, s.read(), scanQuarantine, `SELECT `+prefixed("q", quarantineColumns)+` FROM quarantine q
		JOIN mailboxes b ON b.id = q.mailbox_id WHERE b.user_id = $1 AND b.retired_at = 0 ORDER BY q.created_at DESC, q.id DESC LIMIT 1000`, userID)
}

// QuarantineRow returns one of a user's.
func (s *Store) QuarantineRow(ctx context.Context, userID, id string) (mailroom.Quarantine, error) {
	return one(ctx, s.read(), scanQuarantine, `SELECT `+prefixed("q", quarantineColumns)+` FROM quarantine q
		JOIN mailboxes b ON b.id = q.mailbox_id WHERE b.user_id = $1 AND q.id = $2`, userID, id)
}

// RetryQuarantine has a message tried again from at on, and asks for a sync.
func (s *Store) RetryQuarantine(ctx context.Context, userID, id string, at time.Time, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		box, err := value[string](ctx, t, `SELECT q.mailbox_id FROM quarantine q JOIN mailboxes b ON b.id = q.mailbox_id
			WHERE q.id = $1 AND b.user_id = $2`, id, userID)
		if err != nil {
			return err
		}
		if err := t.want(ctx, box); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE quarantine SET retry_at = $1 WHERE id = $2`, mailroom.Micros(at), id); err != nil {
			return err
		}
		t.notify(TopicUser(userID))
		return t.audit(ctx, ev)
	})
}
