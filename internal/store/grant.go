package store

import (
	"context"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

const grantColumns = `id, org_id, mailbox_id, provider_id, subject, account, tenant_id, scopes, granted_by, granted_at,
	refreshed_at, expires_at, version, via`

func scanGrant(r row) (g mailroom.Grant, err error) {
	var scopes string
	err = r.Scan(&g.ID, &g.OrgID, &g.MailboxID, &g.ProviderID, &g.Subject, &g.Account, &g.TenantID, &scopes, &g.GrantedBy,
		at(&g.GrantedAt), at(&g.RefreshedAt), at(&g.ExpiresAt), &g.Version, &g.Via)
	g.Scopes = strings.Fields(scopes)
	return g, err
}

// Grant returns a mailbox's grant, without its secrets. NotFound without one.
func (s *Store) Grant(ctx context.Context, orgID, mailboxID string) (mailroom.Grant, error) {
	return one(ctx, s.read(), scanGrant, `SELECT `+grantColumns+` FROM grants WHERE mailbox_id = $1 AND org_id = $2`, mailboxID, orgID)
}

// IdleGrants lists, by id from behind after on, grants that were last refreshed
// before a time: those of mailboxes that are not retired, whose user is not shut
// out, and for which nobody is asked to act. Paused ones are among them.
func (s *Store) IdleGrants(ctx context.Context, before time.Time, after string, limit int) ([]mailroom.Grant, error) {
	return all(ctx, s.read(), scanGrant, `SELECT `+prefixed("g", grantColumns)+`
		FROM grants g JOIN mailboxes m ON m.id = g.mailbox_id JOIN users u ON u.id = m.user_id
		WHERE g.refreshed_at < $1 AND g.id > $2 AND g.refresh_key <> '' AND m.retired_at = 0 AND u.disabled_at = 0
		  AND m.problem NOT LIKE '%"kind":"needs_%'
		ORDER BY g.id LIMIT $3`, mailroom.Micros(before), after, limit)
}

// Credentials returns what a mailbox signs in with, sealed. NotFound without
// such a mailbox; Grant is nil without a grant.
func (s *Store) Credentials(ctx context.Context, mailboxID string) (mailroom.Credentials, error) {
	return credentials(ctx, s.read(), mailboxID)
}

func credentials(ctx context.Context, q runner, mailboxID string) (mailroom.Credentials, error) {
	return one(ctx, q, scanCredentials, `
		SELECT m.id, m.org_id, m.user_id, m.address, m.provider_id, m.retired_at, m.problem, m.owner,
			m.data_key_id, m.data_key_sealed, m.password_key, m.password_sealed,
			COALESCE(g.id, ''), COALESCE(g.provider_id, ''), COALESCE(g.subject, ''), COALESCE(g.account, ''),
			COALESCE(g.tenant_id, ''), COALESCE(g.scopes, ''), COALESCE(g.granted_by, ''), COALESCE(g.granted_at, 0),
			COALESCE(g.refreshed_at, 0), COALESCE(g.expires_at, 0), COALESCE(g.version, 0), COALESCE(g.via, ''),
			COALESCE(g.access_key, ''), g.access_data, COALESCE(g.refresh_key, ''), g.refresh_data,
			COALESCE(g.lease_owner, ''), COALESCE(g.lease_until, 0)
		FROM mailboxes m LEFT JOIN grants g ON g.mailbox_id = m.id
		WHERE m.id = $1`, mailboxID)
}

func scanCredentials(r row) (c mailroom.Credentials, err error) {
	var g mailroom.Grant
	var scopes string
	var retired time.Time
	err = r.Scan(&c.MailboxID, &c.OrgID, &c.UserID, &c.Address, &c.ProviderID, at(&retired), asJSON(&c.Problem), &c.Reader,
		&c.DataKey.KeyID, &c.DataKey.Data, &c.Password.KeyID, &c.Password.Data,
		&g.ID, &g.ProviderID, &g.Subject, &g.Account, &g.TenantID, &scopes, &g.GrantedBy, at(&g.GrantedAt),
		at(&g.RefreshedAt), at(&g.ExpiresAt), &g.Version, &g.Via,
		&c.Secrets.Access.KeyID, &c.Secrets.Access.Data, &c.Secrets.Refresh.KeyID, &c.Secrets.Refresh.Data,
		&c.LeaseOwner, at(&c.LeaseUntil))
	c.Retired = !retired.IsZero()
	if g.ID != "" {
		g.OrgID, g.MailboxID, g.Scopes = c.OrgID, c.MailboxID, strings.Fields(scopes)
		c.Grant = &g
	}
	return c, err
}

// lockCredentials reads a mailbox's credentials and holds its row, so that a grant
// that comes, goes or is refreshed at the same time waits.
func (t *tx) lockCredentials(ctx context.Context, mailboxID string) (mailroom.Credentials, error) {
	if _, err := value[string](ctx, t, `SELECT id FROM mailboxes WHERE id = $1`+t.s.forUpdate(), mailboxID); err != nil {
		return mailroom.Credentials{}, err
	}
	return credentials(ctx, t, mailboxID)
}

// SaveGrant stores a grant in place of the version that it replaces, with its
// data key and audit event, clears what stood in the mailbox's way and asks for a
// sync. Errors: Conflict "grant.error.changed" when another grant came between,
// "grant.error.mailbox_changed" when the mailbox is retired,
// "password.blocks_grant" while it has a password.
func (s *Store) SaveGrant(ctx context.Context, n mailroom.NewGrant) error {
	return s.txDurable(ctx, func(t *tx) error {
		g := n.Grant
		c, err := t.lockCredentials(ctx, g.MailboxID)
		switch {
		case err != nil:
			return err
		case c.OrgID != g.OrgID:
			return mailroom.E(mailroom.NotFound, "error.not_found")
		case c.Retired:
			return mailroom.E(mailroom.Conflict, "grant.error.mailbox_changed")
		case c.Password.KeyID != "":
			return mailroom.E(mailroom.Conflict, "password.blocks_grant")
		case versionOf(c) != n.Replaces:
			return mailroom.E(mailroom.Conflict, "grant.error.changed")
		}
		if _, err := t.exec(ctx, `DELETE FROM grants WHERE mailbox_id = $1`, g.MailboxID); err != nil {
			return err
		}
		// What waited for a choice is answered, or overtaken.
		if _, err := t.exec(ctx, `DELETE FROM pending_grants WHERE mailbox_id = $1`, g.MailboxID); err != nil {
			return err
		}
		if err := t.insertGrant(ctx, n); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE mailboxes SET data_key_id = $1, data_key_sealed = $2, problem = '', failures = 0
			WHERE id = $3`, n.DataKey.KeyID, n.DataKey.Data, g.MailboxID); err != nil {
			return err
		}
		if err := t.proveGrant(ctx, g); err != nil {
			return err
		}
		return t.credentialsChanged(ctx, c, n.Event)
	})
}

func versionOf(c mailroom.Credentials) int64 {
	if c.Grant == nil {
		return 0
	}
	return c.Grant.Version
}

func (t *tx) insertGrant(ctx context.Context, n mailroom.NewGrant) error {
	g := n.Grant
	_, err := t.exec(ctx, `INSERT INTO grants(`+grantColumns+`, access_key, access_data, refresh_key, refresh_data)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18)`,
		g.ID, g.OrgID, g.MailboxID, g.ProviderID, clean(g.Subject), clean(g.Account), clean(g.TenantID), clean(strings.Join(g.Scopes, " ")),
		g.GrantedBy, mailroom.Micros(g.GrantedAt), mailroom.Micros(g.RefreshedAt), mailroom.Micros(g.ExpiresAt), g.Version, g.Via,
		n.Secrets.Access.KeyID, n.Secrets.Access.Data, n.Secrets.Refresh.KeyID, n.Secrets.Refresh.Data)
	return err
}

// credentialsChanged asks for a sync with the new credentials, records the act
// and tells the pages.
func (t *tx) credentialsChanged(ctx context.Context, c mailroom.Credentials, e mailroom.AuditEvent) error {
	if err := t.accepted(ctx, c.MailboxID); err != nil {
		return err
	}
	if err := t.want(ctx, c.MailboxID); err != nil {
		return err
	}
	t.notify(TopicUser(c.UserID), TopicOrg(c.OrgID))
	return t.audit(ctx, e)
}

// LeaseGrant lets owner alone refresh this version of a grant until the given
// time. false: somebody else is at it, or the version has passed.
func (s *Store) LeaseGrant(ctx context.Context, grantID, owner string, version int64, now, until time.Time) (ok bool, err error) {
	err = s.tx(ctx, func(t *tx) error {
		n, err := t.exec(ctx, `UPDATE grants SET lease_owner = $1, lease_until = $2
			WHERE id = $3 AND version = $4 AND (lease_owner = '' OR lease_until <= $5)`,
			owner, mailroom.Micros(until), grantID, version, mailroom.Micros(now))
		ok = n == 1
		return err
	})
	return ok, err
}

// SaveRefreshed stores a renewed token as the next version, gives the lease back
// and clears a problem that the grant had caused. false, and nothing stored, when
// the lease is another's by now or the version has passed.
func (s *Store) SaveRefreshed(ctx context.Context, r mailroom.Refreshed) (ok bool, err error) {
	err = s.txDurable(ctx, func(t *tx) error {
		ok = false
		c, err := t.lockCredentials(ctx, r.MailboxID)
		if err != nil {
			return err
		}
		// An empty refresh token keeps the one that is there (RFC 6749 §6).
		n, err := t.exec(ctx, `UPDATE grants SET access_key = $1, access_data = $2,
			refresh_key = CASE WHEN $3 = '' THEN refresh_key ELSE $3 END,
			refresh_data = CASE WHEN $3 = '' THEN refresh_data ELSE $4 END,
			scopes = $5, expires_at = $6, refreshed_at = $7, version = version + 1, lease_owner = '', lease_until = 0
			WHERE id = $8 AND mailbox_id = $9 AND version = $10 AND lease_owner = $11`,
			r.Access.KeyID, r.Access.Data, r.Refresh.KeyID, r.Refresh.Data, clean(strings.Join(r.Scopes, " ")),
			mailroom.Micros(r.ExpiresAt), mailroom.Micros(r.At), r.GrantID, r.MailboxID, r.Version, r.Owner)
		if err != nil || n == 0 {
			return err
		}
		ok = true
		// Those who wait for this refresh look again.
		t.notify(TopicMailbox(r.MailboxID))
		if _, err := t.exec(ctx, `DELETE FROM refusals WHERE mailbox_id = $1 AND key NOT LIKE 'imap.%'`, r.MailboxID); err != nil {
			return err
		}
		if !grantProblem(c.Problem) {
			return nil
		}
		if _, err := t.exec(ctx, `UPDATE mailboxes SET problem = '', failures = 0 WHERE id = $1`, r.MailboxID); err != nil {
			return err
		}
		if g := c.Grant; g != nil && c.Problem.Kind == mailroom.NeedsAdmin {
			if err := t.proveTenant(ctx, c.OrgID, g.ProviderID, g.TenantID, mailroom.ProvedByRefresh, ""); err != nil {
				return err
			}
		}
		t.notify(TopicUser(c.UserID), TopicOrg(c.OrgID))
		return t.want(ctx, r.MailboxID)
	})
	return ok, err
}

// grantProblem reports whether a mailbox's problem is about its grant: a refresh
// that succeeds disproves it. What IMAP said stays until IMAP says otherwise.
func grantProblem(p *mailroom.Problem) bool {
	if p == nil {
		return false
	}
	key := p.Key
	if reason, ok := p.Args["reason"].(string); ok && key == mailroom.KeyProviderFault {
		key = reason
	}
	return strings.HasPrefix(key, "oauth.error.") || strings.HasPrefix(key, "grant.error.")
}

// FailRefresh gives the lease of a refresh back. p, when not nil, is written on
// the mailbox, unless another grant or token has come meanwhile. What was written
// comes back: a refusal that many share is a fault of their provider
// (mailroom.ProviderFault).
func (s *Store) FailRefresh(ctx context.Context, mailboxID, grantID, owner string, version int64, p *mailroom.Problem) (shown *mailroom.Problem, err error) {
	err = s.tx(ctx, func(t *tx) error {
		shown = p
		if p.Refused() {
			if _, err := t.lockRefusals(ctx, mailboxID); err != nil {
				return err
			}
		}
		c, err := t.lockCredentials(ctx, mailboxID)
		if err != nil {
			return err
		}
		n, err := t.exec(ctx, `UPDATE grants SET lease_owner = '', lease_until = 0
			WHERE id = $1 AND version = $2 AND lease_owner = $3`, grantID, version, owner)
		if err != nil || n == 0 {
			return err
		}
		t.notify(TopicMailbox(mailboxID))
		if p == nil {
			return nil
		}
		if p.Refused() {
			if shown, err = t.judge(ctx, c, p); err != nil {
				return err
			}
		}
		if c.Problem != nil && c.Problem.Key == shown.Key && c.Problem.Since.Before(shown.Since) {
			shown.Since = c.Problem.Since // it is the same trouble still
		}
		t.notify(TopicUser(c.UserID), TopicOrg(c.OrgID))
		_, err = t.exec(ctx, `UPDATE mailboxes SET problem = $1 WHERE id = $2`, asJSON(shown), mailboxID)
		return err
	})
	return shown, err
}

// ShredGrant deletes a mailbox's grant, begun grants and data key, and throws
// whoever reads the mailbox out. What it deleted comes back; NotFound when there
// was no grant.
func (s *Store) ShredGrant(ctx context.Context, mailboxID string, e mailroom.AuditEvent) (c mailroom.Credentials, err error) {
	err = s.txDurable(ctx, func(t *tx) error {
		if c, err = t.lockCredentials(ctx, mailboxID); err != nil {
			return err
		}
		if c.Grant == nil {
			return mailroom.E(mailroom.NotFound, "grant.error.none")
		}
		for _, text := range []string{
			`DELETE FROM grants WHERE mailbox_id = $1`,
			`DELETE FROM auth_requests WHERE mailbox_id = $1`,
			`DELETE FROM pending_grants WHERE mailbox_id = $1`,
			`DELETE FROM refusals WHERE mailbox_id = $1`,
			`UPDATE mailboxes SET data_key_id = '', data_key_sealed = NULL, password_key = '', password_sealed = NULL,
				problem = '', failures = 0 WHERE id = $1`,
		} {
			if _, err := t.exec(ctx, text, mailboxID); err != nil {
				return err
			}
		}
		if err := t.evict(ctx, mailboxID); err != nil {
			return err
		}
		t.notify(TopicWork, TopicMailbox(mailboxID), TopicUser(c.UserID), TopicOrg(c.OrgID))
		return t.audit(ctx, e)
	})
	if err == nil && s.writer != nil {
		if lerr := s.writer.emptyLog(ctx); lerr != nil {
			s.log.Warn("a shredded key may still lie in the write-ahead log", "error", lerr)
		}
	}
	return c, err
}

// SavePassword stores a sealed password with the data key that opens it, clears
// the mailbox's problem and asks for a sync. Errors: Conflict
// "grant.error.password_with_grant" while the mailbox has a grant,
// "grant.error.mailbox_changed" when it is retired.
func (s *Store) SavePassword(ctx context.Context, mailboxID string, password, dataKey mailroom.Sealed, e mailroom.AuditEvent) error {
	return s.txDurable(ctx, func(t *tx) error {
		c, err := t.lockCredentials(ctx, mailboxID)
		switch {
		case err != nil:
			return err
		case c.Retired:
			return mailroom.E(mailroom.Conflict, "grant.error.mailbox_changed")
		case c.Grant != nil:
			return mailroom.E(mailroom.Conflict, "grant.error.password_with_grant")
		}
		if _, err := t.exec(ctx, `UPDATE mailboxes SET password_key = $1, password_sealed = $2, data_key_id = $3, data_key_sealed = $4,
			problem = '', failures = 0 WHERE id = $5`, password.KeyID, password.Data, dataKey.KeyID, dataKey.Data, mailboxID); err != nil {
			return err
		}
		return t.credentialsChanged(ctx, c, e)
	})
}

// SaveAudit records an act that changed nothing of ours.
func (s *Store) SaveAudit(ctx context.Context, e mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error { return t.audit(ctx, e) })
}

// ExpireToken has the access token of a grant's version count as run out, so that
// the next who asks refreshes it.
func (s *Store) ExpireToken(ctx context.Context, grantID string, version int64) error {
	return s.tx(ctx, func(t *tx) error {
		_, err := t.exec(ctx, `UPDATE grants SET expires_at = 0 WHERE id = $1 AND version = $2`, grantID, version)
		return err
	})
}
