package store

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

const pendingGrantColumns = `id, binding, org_id, user_id, mailbox_id, provider_id, account, sealed_key, sealed_data, created_at, expires_at`

func scanPendingGrant(r row) (p mailroom.PendingGrant, err error) {
	err = r.Scan(&p.ID, &p.Binding, &p.OrgID, &p.UserID, &p.MailboxID, &p.ProviderID, &p.Account, &p.Data.KeyID, &p.Data.Data,
		at(&p.CreatedAt), at(&p.ExpiresAt))
	return p, err
}

// SavePendingGrant keeps a grant that waits, in place of every other of the same
// mailbox. Expired ones are forgotten.
func (s *Store) SavePendingGrant(ctx context.Context, p mailroom.PendingGrant) error {
	return s.tx(ctx, func(t *tx) error {
		if _, err := t.exec(ctx, `DELETE FROM pending_grants WHERE mailbox_id = $1 OR expires_at < $2`, p.MailboxID, t.at); err != nil {
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO pending_grants(`+pendingGrantColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)`,
			p.ID, p.Binding, p.OrgID, p.UserID, p.MailboxID, p.ProviderID, clean(p.Account), p.Data.KeyID, p.Data.Data,
			mailroom.Micros(p.CreatedAt), mailroom.Micros(p.ExpiresAt))
		return err
	})
}

// ChangePendingGrant keeps what was found out of a grant that waits. Conflict
// "grant.error.choice_gone" when it is over, or another took its place.
func (s *Store) ChangePendingGrant(ctx context.Context, orgID, id string, data mailroom.Sealed) error {
	return s.tx(ctx, func(t *tx) error {
		n, err := t.exec(ctx, `UPDATE pending_grants SET sealed_key = $1, sealed_data = $2 WHERE id = $3 AND org_id = $4`, data.KeyID, data.Data, id, orgID)
		if err == nil && n == 0 {
			err = mailroom.E(mailroom.Conflict, "grant.error.choice_gone")
		}
		return err
	})
}

// PendingGrant returns the user's newest grant that waits for the browser session
// with this binding and is not over yet; NotFound without one.
func (s *Store) PendingGrant(ctx context.Context, orgID, userID, binding string, now time.Time) (mailroom.PendingGrant, error) {
	return one(ctx, s.read(), scanPendingGrant, `SELECT `+pendingGrantColumns+` FROM pending_grants
		WHERE org_id = $1 AND user_id = $2 AND binding = $3 AND expires_at > $4 ORDER BY created_at DESC, id DESC LIMIT 1`,
		orgID, userID, binding, mailroom.Micros(now))
}

// DropPendingGrant forgets a grant that waits, with the audit event; NotFound when
// it is gone already.
func (s *Store) DropPendingGrant(ctx context.Context, orgID, id string, e mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		n, err := t.exec(ctx, `DELETE FROM pending_grants WHERE id = $1 AND org_id = $2`, id, orgID)
		if err == nil && n == 0 {
			err = mailroom.E(mailroom.NotFound, "error.not_found")
		}
		if err != nil {
			return err
		}
		return t.audit(ctx, e)
	})
}
