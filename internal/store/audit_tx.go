package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// audit records who did what, in the transaction of the act itself. ID and At
// are filled in when empty. An event without an action is none.
func (t *tx) audit(ctx context.Context, e mailroom.AuditEvent) error {
	if e.Action == "" {
		return nil
	}
	if e.ID == "" {
		e.ID = mailroom.NewID(mailroom.PrefixAudit)
	}
	when := t.at
	if !e.At.IsZero() {
		when = mailroom.Micros(e.At)
	}
	_, err := t.exec(ctx, `INSERT INTO audit(id, org_id, at, actor_id, action, subject, details)
		VALUES ($1,$2,$3,$4,$5,$6,$7)`, e.ID, e.OrgID, when, e.ActorID, e.Action, e.Subject, asJSON(e.Details))
	return err
}
