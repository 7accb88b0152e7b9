package store

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

const credentialColumns = `id, org_id, provider_id, use, kind, client_id, certificate, thumbprint, expires_at, created_by,
	created_at, proved_at, problem, sealed_key, sealed_data`

func scanCredential(r row) (c mailroom.Credential, err error) {
	err = r.Scan(&c.ID, &c.OrgID, &c.ProviderID, &c.Use, &c.Kind, &c.ClientID, &c.Certificate, &c.Thumbprint, at(&c.ExpiresAt),
		&c.CreatedBy, at(&c.CreatedAt), at(&c.ProvedAt), asJSON(&c.Problem), &c.Sealed.KeyID, &c.Sealed.Data)
	return c, err
}

// ClientCredentials are an organization's, oldest first.
func (s *Store) ClientCredentials(ctx context.Context, orgID string) ([]mailroom.Credential, error) {
	return all(ctx, s.read(), scanCredential, `SELECT `+credentialColumns+` FROM credentials WHERE org_id = $1 ORDER BY created_at, id`, orgID)
}

// ClientCredential is one of an organization's. NotFound for anybody else's.
func (s *Store) ClientCredential(ctx context.Context, orgID, id string) (mailroom.Credential, error) {
	return one(ctx, s.read(), scanCredential, `SELECT `+credentialColumns+` FROM credentials WHERE id = $1 AND org_id = $2`, id, orgID)
}

// maxCredentials of one use at one provider: a few live side by side while one
// takes the place of another.
const maxCredentials = 5

// AddClientCredential keeps a credential beside those that are there. Errors:
// Conflict "credential.error.many".
func (s *Store) AddClientCredential(ctx context.Context, c mailroom.Credential, ev mailroom.AuditEvent) error {
	return s.txDurable(ctx, func(t *tx) error {
		n, err := value[int64](ctx, t, `SELECT COUNT(*) FROM credentials WHERE org_id = $1 AND provider_id = $2 AND use = $3`,
			c.OrgID, c.ProviderID, c.Use)
		if err != nil {
			return err
		}
		if n >= maxCredentials {
			return mailroom.E(mailroom.Conflict, "credential.error.many").With("n", n)
		}
		if _, err := t.exec(ctx, `INSERT INTO credentials(`+credentialColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)`,
			c.ID, c.OrgID, c.ProviderID, c.Use, c.Kind, clean(c.ClientID), clean(c.Certificate), c.Thumbprint, mailroom.Micros(c.ExpiresAt),
			c.CreatedBy, mailroom.Micros(c.CreatedAt), mailroom.Micros(c.ProvedAt), asJSON(c.Problem), c.Sealed.KeyID, c.Sealed.Data); err != nil {
			return err
		}
		return t.providersChanged(ctx, c.OrgID, ev)
	})
}

// JudgeClientCredential keeps what a token request said of a credential: proved
// at a time, with its problem taken back, or, with the zero time, refused. It
// reports whether that is news.
func (s *Store) JudgeClientCredential(ctx context.Context, orgID, id string, proved time.Time, p *mailroom.Problem) (news bool, err error) {
	err = s.tx(ctx, func(t *tx) error {
		news = false
		c, err := one(ctx, t, scanCredential, `SELECT `+credentialColumns+` FROM credentials WHERE id = $1 AND org_id = $2`+s.forUpdate(), id, orgID)
		if err != nil {
			return err
		}
		switch {
		case p == nil && c.Problem == nil && !c.ProvedAt.IsZero():
			return nil
		case p != nil && c.Problem != nil && c.Problem.Key == p.Key:
			return nil
		case p == nil && c.ProvedAt.IsZero():
			c.ProvedAt = proved
		}
		news = true
		t.notify(TopicProviders(orgID), TopicOrg(orgID))
		_, err = t.exec(ctx, `UPDATE credentials SET proved_at = $1, problem = $2 WHERE id = $3`, mailroom.Micros(c.ProvedAt), asJSON(p), id)
		return err
	})
	return news, err
}

// DropClientCredential forgets a credential. While there are grants, the last that
// is proved goes only after another is, or with force: Conflict
// "credential.error.last_proved".
func (s *Store) DropClientCredential(ctx context.Context, orgID, id string, force bool, ev mailroom.AuditEvent) error {
	return s.txDurable(ctx, func(t *tx) error {
		// All of them are held: two administrators who each drop one would leave none.
		cs, err := all(ctx, t, scanCredential, `SELECT `+credentialColumns+` FROM credentials WHERE org_id = $1 ORDER BY id`+s.forUpdate(), orgID)
		if err != nil {
			return err
		}
		var gone mailroom.Credential
		for _, c := range cs {
			if c.ID == id {
				gone = c
			}
		}
		if gone.ID == "" {
			return mailroom.E(mailroom.NotFound, "error.not_found")
		}
		if !force && gone.Use == mailroom.UseMail && !gone.ProvedAt.IsZero() && !anotherProved(cs, gone) {
			n, err := value[int64](ctx, t, `SELECT COUNT(*) FROM grants WHERE org_id = $1 AND provider_id = $2`, orgID, gone.ProviderID)
			if err != nil {
				return err
			}
			if n > 0 {
				return mailroom.E(mailroom.Conflict, "credential.error.last_proved").With("n", n)
			}
		}
		if _, err := t.exec(ctx, `DELETE FROM credentials WHERE id = $1 AND org_id = $2`, id, orgID); err != nil {
			return err
		}
		return t.providersChanged(ctx, orgID, ev)
	})
}

func anotherProved(cs []mailroom.Credential, gone mailroom.Credential) bool {
	for _, c := range mailroom.Live(cs, gone.ProviderID, gone.Use, gone.ClientID) {
		if c.ID != gone.ID && !c.ProvedAt.IsZero() && c.Problem == nil {
			return true
		}
	}
	return false
}
