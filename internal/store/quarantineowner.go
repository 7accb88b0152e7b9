package store

import (
	"context"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"mailroom/internal/mailroom"
)

// The person's side of quarantine.

// QuarantineRows lists what lies in quarantine of a user's mailbox, newest first;
// what a person has given up comes last.
func (s *Store) QuarantineRows(ctx context.Context, userID string) ([]mailroom.Quarantine, error) {
	return all(ctx, s.read(), scanQuarantine, `SELECT `+prefixed("q", quarantineColumns)+` FROM quarantine q
		JOIN mailboxes b ON b.id = q.mailbox_id WHERE b.user_id = $1 AND b.retired_at = 0
		ORDER BY CASE WHEN q.dropped_at = 0 THEN 0 ELSE 1 END, q.created_at DESC, q.id DESC LIMIT 1000`, userID)
}

// QuarantineRow returns one of a user's.
func (s *Store) QuarantineRow(ctx context.Context, userID, id string) (mailroom.Quarantine, error) {
	return one(ctx, s.read(), scanQuarantine, `SELECT `+prefixed("q", quarantineColumns)+` FROM quarantine q
		JOIN mailboxes b ON b.id = q.mailbox_id WHERE b.user_id = $1 AND q.id = $2`, userID, id)
}

// quarantinedOf reads one of a user's rows and keeps its mailbox for this
// transaction.
func (t *tx) quarantinedOf(ctx context.Context, userID, id string) (q mailroom.Quarantine, box mailroom.Mailbox, err error) {
	read := func() (mailroom.Quarantine, error) {
		return one(ctx, t, scanQuarantine, `SELECT `+quarantineColumns+` FROM quarantine WHERE id = $1`, id)
	}
	if q, err = read(); err != nil {
		return q, box, err
	}
	if box, err = t.lockMailbox(ctx, q.MailboxID); err != nil {
		return q, box, err
	}
	if box.UserID != userID {
		return q, box, mailroom.E(mailroom.NotFound, "error.not_found")
	}
	q, err = read() // it may have been filed while the mailbox was waited for
	return q, box, err
}

// maxReason is the longest reason for giving a mail up, in characters.
const maxReason = 200

// DropQuarantine gives a mail up: it is not tried again, and whoever reads the
// mailbox counts it as dropped from now on. Invalid "quarantine.error.reason" and
// "quarantine.error.reason_long" on field "reason".
func (s *Store) DropQuarantine(ctx context.Context, userID, id, reason string, ev mailroom.AuditEvent) error {
	reason = strings.TrimSpace(clean(reason))
	switch {
	case reason == "":
		return mailroom.E(mailroom.Invalid, "quarantine.error.reason").On("reason")
	case utf8.RuneCountInString(reason) > maxReason:
		return mailroom.E(mailroom.Invalid, "quarantine.error.reason_long").On("reason").With("max", maxReason)
	}
	details := maps.Clone(ev.Details)
	if details == nil {
		details = map[string]any{}
	}
	details["reason"] = reason
	ev.Details = details
	return s.tx(ctx, func(t *tx) error {
		_, box, err := t.quarantinedOf(ctx, userID, id)
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE quarantine SET dropped_at = $1, dropped_by = $2, dropped_reason = $3 WHERE id = $4`,
			t.at, ev.ActorID, reason, id); err != nil {
			return err
		}
		if err := t.remapped(ctx, box, false); err != nil {
			return err
		}
		return t.audit(ctx, ev)
	})
}

// KeepQuarantine takes it back that a mail was given up, and has it tried again
// at once.
func (s *Store) KeepQuarantine(ctx context.Context, userID, id string, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		_, box, err := t.quarantinedOf(ctx, userID, id)
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE quarantine SET dropped_at = 0, dropped_by = '', dropped_reason = '', retry_at = $1 WHERE id = $2`,
			t.at, id); err != nil {
			return err
		}
		if err := t.remapped(ctx, box, false); err != nil {
			return err
		}
		return t.audit(ctx, ev)
	})
}

// RetryQuarantine has a message tried again from at on, and asks for a sync.
// Conflict "quarantine.error.dropped" when a person has given it up.
func (s *Store) RetryQuarantine(ctx context.Context, userID, id string, at time.Time, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		q, box, err := t.quarantinedOf(ctx, userID, id)
		if err != nil {
			return err
		}
		if !q.DroppedAt.IsZero() {
			return mailroom.E(mailroom.Conflict, "quarantine.error.dropped")
		}
		if err := t.want(ctx, box.ID); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE quarantine SET retry_at = $1 WHERE id = $2`, mailroom.Micros(at), id); err != nil {
			return err
		}
		t.notify(TopicUser(userID))
		return t.audit(ctx, ev)
	})
}
