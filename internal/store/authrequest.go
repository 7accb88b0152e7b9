package store

import (
	"context"

	"mailroom/internal/mailroom"
)

const authRequestColumns = `state_hash, binding, org_id, user_id, mailbox_id, provider_id, verifier_key, verifier_data,
	nonce, forced, created_at, expires_at`

func scanAuthRequest(r row) (a mailroom.AuthRequest, err error) {
	err = r.Scan(&a.StateHash, &a.Binding, &a.OrgID, &a.UserID, &a.MailboxID, &a.ProviderID, &a.Verifier.KeyID, &a.Verifier.Data,
		&a.Nonce, &a.Forced, at(&a.CreatedAt), at(&a.ExpiresAt))
	return a, err
}

// SaveAuthRequest keeps a grant that has been begun. Requests that expired an hour
// ago or more are forgotten; until then a late answer can still be told that it is late.
func (s *Store) SaveAuthRequest(ctx context.Context, a mailroom.AuthRequest) error {
	return s.tx(ctx, func(t *tx) error {
		const hour = 3600 * 1_000_000
		if _, err := t.exec(ctx, `DELETE FROM auth_requests WHERE expires_at < $1`, t.at-hour); err != nil {
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO auth_requests(`+authRequestColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)`,
			a.StateHash, a.Binding, a.OrgID, a.UserID, a.MailboxID, a.ProviderID, a.Verifier.KeyID, a.Verifier.Data,
			a.Nonce, a.Forced, mailroom.Micros(a.CreatedAt), mailroom.Micros(a.ExpiresAt))
		return err
	})
}

// TakeAuthRequest returns a begun grant and deletes it in one statement: of two
// callbacks with the same state one gets it, the other NotFound.
func (s *Store) TakeAuthRequest(ctx context.Context, stateHash string) (a mailroom.AuthRequest, err error) {
	err = s.tx(ctx, func(t *tx) error {
		a, err = one(ctx, t, scanAuthRequest, `DELETE FROM auth_requests WHERE state_hash = $1 RETURNING `+authRequestColumns, stateHash)
		return err
	})
	return a, err
}
