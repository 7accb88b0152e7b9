package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// AuditEvents lists the newest events of an organization, newest first.
func (s *Store) AuditEvents(ctx context.Context, orgID string, limit int) ([]mailroom.AuditEvent, error) {
	return all(ctx, s.read(), scanAudit, `SELECT id, org_id, at, actor_id, action, subject, details FROM audit
		WHERE org_id = $1 ORDER BY at DESC, id DESC LIMIT $2`, orgID, limit)
}

func scanAudit(r row) (e mailroom.AuditEvent, err error) {
	err = r.Scan(&e.ID, &e.OrgID, at(&e.At), &e.ActorID, &e.Action, &e.Subject, asJSON(&e.Details))
	return e, err
}

// audit records who did what, in the transaction of the act itself. ID and At
// are filled in when empty.
func (t *tx) audit(ctx context.Context, e mailroom.AuditEvent) error {
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
