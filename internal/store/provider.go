package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// TopicProviders is about what an organization set as its providers and their
// credentials.
func TopicProviders(orgID string) string { return "providers:" + orgID }

const providerColumns = `org_id, id, data, created_at, changed_at`

func scanProvider(r row) (p mailroom.ProviderRow, err error) {
	err = r.Scan(&p.OrgID, &p.ID, asJSON(&p.Set), at(&p.CreatedAt), at(&p.ChangedAt))
	return p, err
}

// ProviderRows are the providers as an organization set them.
func (s *Store) ProviderRows(ctx context.Context, orgID string) ([]mailroom.ProviderRow, error) {
	return all(ctx, s.read(), scanProvider, `SELECT `+providerColumns+` FROM providers WHERE org_id = $1 ORDER BY created_at, id`, orgID)
}

// ProviderSettings are an organization's rows and credentials as they stand
// together.
func (s *Store) ProviderSettings(ctx context.Context, orgID string) (rows []mailroom.ProviderRow, cs []mailroom.Credential, err error) {
	err = s.view(ctx, func(q runner) error {
		if rows, err = all(ctx, q, scanProvider, `SELECT `+providerColumns+` FROM providers WHERE org_id = $1 ORDER BY created_at, id`, orgID); err != nil {
			return err
		}
		cs, err = all(ctx, q, scanCredential, `SELECT `+credentialColumns+` FROM credentials WHERE org_id = $1 ORDER BY created_at, id`, orgID)
		return err
	})
	return rows, cs, err
}

// SaveProvider keeps a row, in place of one with its id if there is one. A new
// client has nothing to do with what proved the one before: an organization that
// names another may do so only while no grant of the old one is left, else Conflict
// "provider.error.granted" with n, unless again is set: then everybody has to grant
// again.
func (s *Store) SaveProvider(ctx context.Context, p mailroom.ProviderRow, again bool, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		before, err := all(ctx, t, scanProvider, `SELECT `+providerColumns+` FROM providers WHERE org_id = $1 AND id = $2`+s.forUpdate(), p.OrgID, p.ID)
		if err != nil {
			return err
		}
		if (len(before) == 0 || before[0].Set.ClientID != p.Set.ClientID) && !again {
			n, err := value[int64](ctx, t, `SELECT COUNT(*) FROM grants WHERE org_id = $1 AND provider_id = $2`, p.OrgID, p.ID)
			if err != nil {
				return err
			}
			if n > 0 {
				return mailroom.E(mailroom.Conflict, "provider.error.granted").With("n", n).On("again")
			}
		}
		if _, err := t.exec(ctx, `INSERT INTO providers(`+providerColumns+`) VALUES ($1,$2,$3,$4,$4)
			ON CONFLICT (org_id, id) DO UPDATE SET data = excluded.data, changed_at = excluded.changed_at`,
			p.OrgID, p.ID, asJSON(p.Set), t.at); err != nil {
			return err
		}
		return t.providersChanged(ctx, p.OrgID, ev)
	})
}

// DropProvider takes an organization's row away, with its credentials. Errors:
// Conflict "provider.error.in_use" with n while mailboxes are granted through it.
func (s *Store) DropProvider(ctx context.Context, orgID, id string, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		n, err := value[int64](ctx, t, `SELECT COUNT(*) FROM grants WHERE org_id = $1 AND provider_id = $2`, orgID, id)
		if err != nil {
			return err
		}
		if n > 0 {
			return mailroom.E(mailroom.Conflict, "provider.error.in_use").With("n", n)
		}
		if n, err = t.exec(ctx, `DELETE FROM providers WHERE org_id = $1 AND id = $2`, orgID, id); err != nil {
			return err
		}
		if n == 0 {
			return mailroom.E(mailroom.NotFound, "error.not_found")
		}
		if _, err := t.exec(ctx, `DELETE FROM credentials WHERE org_id = $1 AND provider_id = $2`, orgID, id); err != nil {
			return err
		}
		return t.providersChanged(ctx, orgID, ev)
	})
}

func (t *tx) providersChanged(ctx context.Context, orgID string, ev mailroom.AuditEvent) error {
	t.notify(TopicProviders(orgID), TopicOrg(orgID))
	return t.audit(ctx, ev)
}

// ProviderGrants counts an organization's grants by provider.
func (s *Store) ProviderGrants(ctx context.Context, orgID string) (map[string]int, error) {
	out := map[string]int{}
	err := each(ctx, s.read(), func(r row) error {
		var id string
		var n int
		err := r.Scan(&id, &n)
		out[id] = n
		return err
	}, `SELECT provider_id, COUNT(*) FROM grants WHERE org_id = $1 GROUP BY provider_id`, orgID)
	return out, err
}

// ProvableMailboxes are mailboxes of an organization whose grant at a provider is
// good as far as is known, the one refreshed last first: a refresh of one proves a
// credential.
func (s *Store) ProvableMailboxes(ctx context.Context, orgID, providerID string, limit int) ([]string, error) {
	return values[string](ctx, s.read(), `SELECT g.mailbox_id FROM grants g JOIN mailboxes m ON m.id = g.mailbox_id
		WHERE g.org_id = $1 AND g.provider_id = $2 AND g.refresh_key <> '' AND m.retired_at = 0 AND m.problem = ''
		ORDER BY g.refreshed_at DESC, g.mailbox_id LIMIT $3`, orgID, providerID, limit)
}
