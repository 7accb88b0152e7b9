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
