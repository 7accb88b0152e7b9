package store

import (
	"context"

	"mailroom/internal/mailroom"
)

const organizationColumns = `id, name, share_linked_mail, allow_private_hosts, created_at`

func scanOrganization(r row) (o mailroom.Organization, err error) {
	err = r.Scan(&o.ID, &o.Name, &o.ShareLinkedMail, &o.AllowPrivateHosts, at(&o.CreatedAt))
	return o, err
}

// Organizations lists all organizations of the installation, oldest first.
func (s *Store) Organizations(ctx context.Context) ([]mailroom.Organization, error) {
	return all(ctx, s.read(), scanOrganization, `SELECT `+organizationColumns+` FROM organizations ORDER BY created_at, id`)
}

// Organization returns an organization.
func (s *Store) Organization(ctx context.Context, id string) (mailroom.Organization, error) {
	return one(ctx, s.read(), scanOrganization, `SELECT `+organizationColumns+` FROM organizations WHERE id = $1`, id)
}

// SaveOrganization changes an organization's name and settings.
func (s *Store) SaveOrganization(ctx context.Context, o mailroom.Organization, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		n, err := t.exec(ctx, `UPDATE organizations SET name = $1, share_linked_mail = $2, allow_private_hosts = $3 WHERE id = $4`,
			clean(o.Name), o.ShareLinkedMail, o.AllowPrivateHosts, o.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return mailroom.E(mailroom.NotFound, "error.not_found")
		}
		t.notify(TopicOrg(o.ID))
		return t.audit(ctx, ev)
	})
}

// setupToken is the setting that holds the hash of the setup token.
const setupToken = "setup_token"

// SaveSetupToken keeps the hash of a new setup token; older ones are void.
func (s *Store) SaveSetupToken(ctx context.Context, hash string) error {
	return s.SetSetting(ctx, setupToken, hash)
}

// SetupToken is the hash of the setup token, "" when there is none.
func (s *Store) SetupToken(ctx context.Context) (hash string, err error) {
	return s.Setting(ctx, setupToken)
}

// Found makes an organization and its first administrator. With a token's hash
// it must be the installation's first, and the token is used up: NotFound
// "organization.error.setup_used" the second time.
func (s *Store) Found(ctx context.Context, tokenHash string, o mailroom.Organization, admin mailroom.User, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		if tokenHash != "" {
			n, err := t.exec(ctx, `DELETE FROM settings WHERE name = $1 AND value = $2 AND NOT EXISTS (SELECT 1 FROM organizations)`,
				setupToken, tokenHash)
			if err != nil {
				return err
			}
			if n == 0 {
				return mailroom.E(mailroom.NotFound, "organization.error.setup_used")
			}
		}
		if _, err := t.exec(ctx, `INSERT INTO organizations(`+organizationColumns+`) VALUES ($1,$2,$3,$4,$5)`,
			o.ID, clean(o.Name), o.ShareLinkedMail, o.AllowPrivateHosts, mailroom.Micros(o.CreatedAt)); err != nil {
			return err
		}
		if err := t.addUser(ctx, admin); err != nil {
			return err
		}
		return t.audit(ctx, ev)
	})
}
