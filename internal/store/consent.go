package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// manyConsents bounds lists that grow with what people do.
const manyConsents = 500

const consentLinkColumns = `id, org_id, provider_id, mailbox_id, tenant, created_by, created_at, expires_at,
	revoked_at, opened_at, proved_at`

func scanConsentLink(r row) (l mailroom.ConsentLink, err error) {
	err = r.Scan(&l.ID, &l.OrgID, &l.ProviderID, &l.MailboxID, &l.Tenant, &l.CreatedBy, at(&l.CreatedAt), at(&l.ExpiresAt),
		at(&l.RevokedAt), at(&l.OpenedAt), at(&l.ProvedAt))
	return l, err
}

const journeyColumns = `id, org_id, provider_id, state_hash, link_id, user_id, binding, tenant, created_at, expires_at,
	answered_at, reported, problem`

func scanJourney(r row) (j mailroom.ConsentJourney, err error) {
	err = r.Scan(&j.ID, &j.OrgID, &j.ProviderID, &j.StateHash, &j.LinkID, &j.UserID, &j.Binding, &j.Tenant,
		at(&j.CreatedAt), at(&j.ExpiresAt), at(&j.AnsweredAt), &j.Reported, asJSON(&j.Problem))
	return j, err
}

func scanTenant(r row) (t mailroom.Tenant, err error) {
	err = r.Scan(&t.OrgID, &t.ProviderID, &t.ID, at(&t.ReportedAt), at(&t.ProvedAt), &t.ProvedBy)
	return t, err
}

// AddConsentLink keeps a new link.
func (s *Store) AddConsentLink(ctx context.Context, l mailroom.ConsentLink, e mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO consent_links(`+consentLinkColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,0,0,0)`,
			l.ID, l.OrgID, l.ProviderID, l.MailboxID, l.Tenant, l.CreatedBy, mailroom.Micros(l.CreatedAt), mailroom.Micros(l.ExpiresAt))
		if err != nil {
			return err
		}
		t.notify(TopicOrg(l.OrgID), TopicUser(l.CreatedBy))
		return t.audit(ctx, e)
	})
}

// ConsentLink finds a link by its id alone: whoever asks has proved by its
// signature that it was given to them.
func (s *Store) ConsentLink(ctx context.Context, id string) (mailroom.ConsentLink, error) {
	return one(ctx, s.read(), scanConsentLink, `SELECT `+consentLinkColumns+` FROM consent_links WHERE id = $1`, id)
}

// ConsentLinks lists an organization's links, newest first.
func (s *Store) ConsentLinks(ctx context.Context, orgID string) ([]mailroom.ConsentLink, error) {
	return all(ctx, s.read(), scanConsentLink, `SELECT `+consentLinkColumns+` FROM consent_links
		WHERE org_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2`, orgID, manyConsents)
}

// OpenedConsentLink notes that a link's page was asked for; the first time counts.
func (s *Store) OpenedConsentLink(ctx context.Context, id string) error {
	return s.tx(ctx, func(t *tx) error {
		l, err := one(ctx, t, scanConsentLink, `UPDATE consent_links SET opened_at = $1 WHERE id = $2 AND opened_at = 0
			RETURNING `+consentLinkColumns, t.at, id)
		if mailroom.KindOf(err) == mailroom.NotFound {
			return nil
		}
		t.notify(TopicOrg(l.OrgID), TopicUser(l.CreatedBy))
		return err
	})
}

// WithdrawConsentLink makes a link void. NotFound in another organization, and for
// one that is void already.
func (s *Store) WithdrawConsentLink(ctx context.Context, orgID, id string, e mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		l, err := one(ctx, t, scanConsentLink, `UPDATE consent_links SET revoked_at = $1 WHERE id = $2 AND org_id = $3 AND revoked_at = 0
			RETURNING `+consentLinkColumns, t.at, id, orgID)
		if err != nil {
			return err
		}
		t.notify(TopicOrg(l.OrgID), TopicUser(l.CreatedBy))
		return t.audit(ctx, e)
	})
}

// manyJourneys is how often a link may lead to the provider within a day: whoever
// has it has no account here, and each time leaves rows.
const manyJourneys = 50

// AddConsentJourney keeps that an administrator was sent to the provider. Throttled
// when a link was used for that too often.
func (s *Store) AddConsentJourney(ctx context.Context, j mailroom.ConsentJourney, e mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		const day = 24 * 3600 * 1_000_000
		n, err := value[int64](ctx, t, `SELECT COUNT(*) FROM consent_requests WHERE link_id = $1 AND link_id <> '' AND created_at > $2`, j.LinkID, t.at-day)
		if err == nil && n >= manyJourneys {
			err = mailroom.E(mailroom.Throttled, "consent.error.too_often")
		}
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `INSERT INTO consent_requests(`+journeyColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,0,'','')`,
			j.ID, j.OrgID, j.ProviderID, j.StateHash, j.LinkID, j.UserID, j.Binding, j.Tenant, mailroom.Micros(j.CreatedAt), mailroom.Micros(j.ExpiresAt))
		if err != nil {
			return err
		}
		if err := t.consentChanged(ctx, j); err != nil {
			return err
		}
		return t.audit(ctx, e)
	})
}

// ConsentJourney finds one by the hash of its state.
func (s *Store) ConsentJourney(ctx context.Context, stateHash string) (mailroom.ConsentJourney, error) {
	return one(ctx, s.read(), scanJourney, `SELECT `+journeyColumns+` FROM consent_requests WHERE state_hash = $1`, stateHash)
}

// AnswerConsentJourney keeps what a journey's answer reported. Of two answers one
// gets in, the other is NotFound.
func (s *Store) AnswerConsentJourney(ctx context.Context, j mailroom.ConsentJourney, e mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		n, err := t.exec(ctx, `UPDATE consent_requests SET answered_at = $1, reported = $2, problem = $3 WHERE id = $4 AND answered_at = 0`,
			t.at, clean(j.Reported), asJSON(j.Problem), j.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return mailroom.E(mailroom.NotFound, "error.not_found")
		}
		if j.Problem == nil && j.Reported != "" {
			if _, err := t.exec(ctx, `INSERT INTO tenants(org_id, provider_id, tenant_id, reported_at) VALUES ($1,$2,$3,$4)
				ON CONFLICT (org_id, provider_id, tenant_id) DO UPDATE SET reported_at = excluded.reported_at`,
				j.OrgID, j.ProviderID, j.Reported, t.at); err != nil {
				return err
			}
		}
		if err := t.consentChanged(ctx, j); err != nil {
			return err
		}
		return t.audit(ctx, e)
	})
}

// consentChanged tells the pages of the organization, and of whoever made the link.
func (t *tx) consentChanged(ctx context.Context, j mailroom.ConsentJourney) error {
	t.notify(TopicOrg(j.OrgID))
	if j.LinkID == "" {
		return nil
	}
	by, err := value[string](ctx, t, `SELECT created_by FROM consent_links WHERE id = $1`, j.LinkID)
	if err == nil {
		t.notify(TopicUser(by))
	}
	return err
}

// ConsentJourneys lists an organization's, newest first.
func (s *Store) ConsentJourneys(ctx context.Context, orgID string) ([]mailroom.ConsentJourney, error) {
	return all(ctx, s.read(), scanJourney, `SELECT `+journeyColumns+` FROM consent_requests
		WHERE org_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2`, orgID, manyConsents)
}

// ConsentJourneysOf lists those that began at a link, newest first.
func (s *Store) ConsentJourneysOf(ctx context.Context, linkID string) ([]mailroom.ConsentJourney, error) {
	return all(ctx, s.read(), scanJourney, `SELECT `+journeyColumns+` FROM consent_requests
		WHERE link_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2`, linkID, manyConsents)
}

// Tenants lists what is known of the tenants of an organization.
func (s *Store) Tenants(ctx context.Context, orgID string) ([]mailroom.Tenant, error) {
	return all(ctx, s.read(), scanTenant, `SELECT org_id, provider_id, tenant_id, reported_at, proved_at, proved_by FROM tenants
		WHERE org_id = $1 ORDER BY provider_id, tenant_id`, orgID)
}

// GrantTenants says of which tenant each mailbox's grant is; "" for one that knows
// no tenants.
func (s *Store) GrantTenants(ctx context.Context, orgID string) (map[string]string, error) {
	out := map[string]string{}
	err := each(ctx, s.read(), func(r row) error {
		var mailboxID, tenant string
		err := r.Scan(&mailboxID, &tenant)
		out[mailboxID] = tenant
		return err
	}, `SELECT mailbox_id, tenant_id FROM grants WHERE org_id = $1`, orgID)
	return out, err
}

// ProveTenant records that a tenant's consent is there, as its directory showed.
// by names the proof.
func (s *Store) ProveTenant(ctx context.Context, orgID, providerID, tenantID string, by mailroom.ConsentProof) error {
	return s.tx(ctx, func(t *tx) error { return t.proveTenant(ctx, orgID, providerID, tenantID, by, "") })
}

// proveTenant records a proof, and turns the links green that wait for it: those
// of the tenant, those through which it was reported, and those for mailboxes that
// its grants are of. by names the proof, actor who gave it, "" for nobody.
func (t *tx) proveTenant(ctx context.Context, orgID, providerID, tenantID string, by mailroom.ConsentProof, actor string) error {
	if tenantID == "" || tenantID == mailroom.ConsumerTenant {
		return nil
	}
	tenantID = clean(tenantID)
	known, err := value[int64](ctx, t, `SELECT COUNT(*) FROM tenants
		WHERE org_id = $1 AND provider_id = $2 AND tenant_id = $3 AND proved_at > 0`, orgID, providerID, tenantID)
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, `INSERT INTO tenants(org_id, provider_id, tenant_id, proved_at, proved_by) VALUES ($1,$2,$3,$4,$5)
		ON CONFLICT (org_id, provider_id, tenant_id) DO UPDATE SET proved_at = excluded.proved_at, proved_by = excluded.proved_by`,
		orgID, providerID, tenantID, t.at, by); err != nil {
		return err
	}
	if err := t.proveLinks(ctx, orgID, providerID, `tenant = $4
		OR id IN (SELECT link_id FROM consent_requests WHERE org_id = $2 AND reported = $4 AND problem = '')
		OR mailbox_id IN (SELECT mailbox_id FROM grants WHERE org_id = $2 AND provider_id = $3 AND tenant_id = $4)
		OR tenant <> '' AND EXISTS (SELECT 1 FROM grants g JOIN mailboxes m ON m.id = g.mailbox_id
			WHERE g.org_id = $2 AND g.provider_id = $3 AND g.tenant_id = $4 AND LOWER(m.address) LIKE '%@' || consent_links.tenant)`, tenantID); err != nil {
		return err
	}
	if known > 0 {
		return nil
	}
	// Just before the act that proves it, which has the same time and stays the newest.
	return t.audit(ctx, mailroom.AuditEvent{OrgID: orgID, At: mailroom.FromMicros(t.at - 1), ActorID: actor, Action: "consent.proved", Subject: tenantID,
		Details: map[string]any{"provider": providerID, "tenant": tenantID, "by": by}})
}

// proveGrant is what a grant proves: its tenant's consent; where there are no
// tenants, what its own mailbox and domain were asked for.
func (t *tx) proveGrant(ctx context.Context, g mailroom.Grant) error {
	if g.TenantID != "" {
		return t.proveTenant(ctx, g.OrgID, g.ProviderID, g.TenantID, mailroom.ProvedByGrant, g.GrantedBy)
	}
	return t.proveLinks(ctx, g.OrgID, g.ProviderID, `mailbox_id = $4
		OR tenant <> '' AND EXISTS (SELECT 1 FROM mailboxes m WHERE m.id = $4 AND LOWER(m.address) LIKE '%@' || consent_links.tenant)`, g.MailboxID)
}

// proveLinks turns an organization's links green that wait and are meant.
func (t *tx) proveLinks(ctx context.Context, orgID, providerID, which, what string) error {
	makers, err := all(ctx, t, scanValue[string], `UPDATE consent_links SET proved_at = $1
		WHERE org_id = $2 AND provider_id = $3 AND proved_at = 0 AND revoked_at = 0 AND (`+which+`) RETURNING created_by`,
		t.at, orgID, providerID, what)
	for _, by := range makers {
		t.notify(TopicUser(by))
	}
	t.notify(TopicOrg(orgID))
	return err
}
