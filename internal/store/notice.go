package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// Notices: who was told what. A row is made once for each fact and audience by
// its unique key, and sent by whoever claims it: retry_at is moved ahead while
// somebody sends, and is the fence for saying how that went.

const noticeColumns = `id, org_id, subject, stage, audience, created_at, sent_at, tries, retry_at, data`

func scanNotice(r row) (n mailroom.Notice, err error) {
	err = r.Scan(&n.ID, &n.OrgID, &n.Subject, &n.Stage, &n.Audience, at(&n.CreatedAt), at(&n.SentAt), &n.Tries, at(&n.RetryAt), asJSON(&n.Data))
	return n, err
}

// Notices lists an organization's, newest first; limit 0 for all that are kept.
func (s *Store) Notices(ctx context.Context, orgID string, limit int) ([]mailroom.Notice, error) {
	if limit <= 0 {
		limit = 1 << 30
	}
	return all(ctx, s.read(), scanNotice, `SELECT `+noticeColumns+` FROM notices WHERE org_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2`, orgID, limit)
}

// PlanNotices adds what is to be told, unless it is there already, and drops by
// id what need not be told any more: what is sent, or being sent, stays.
func (s *Store) PlanNotices(ctx context.Context, add []mailroom.Notice, drop []string) (added int64, err error) {
	if len(add) == 0 && len(drop) == 0 {
		return 0, nil
	}
	err = s.tx(ctx, func(t *tx) error {
		added = 0
		if len(drop) > 0 {
			if _, err := t.exec(ctx, `DELETE FROM notices WHERE sent_at = 0 AND (tries = 0 OR retry_at <= $1) AND id IN `+s.in("$2"), t.at, list(drop)); err != nil {
				return err
			}
		}
		for _, n := range add {
			one, err := t.exec(ctx, `INSERT INTO notices(`+noticeColumns+`) VALUES ($1,$2,$3,$4,$5,$6,0,0,$7,$8)
				ON CONFLICT (org_id, subject, stage, audience) DO NOTHING`,
				n.ID, n.OrgID, n.Subject, n.Stage, n.Audience, mailroom.Micros(n.CreatedAt), mailroom.Micros(n.RetryAt), asJSON(n.Data))
			if err != nil {
				return err
			}
			added += one
		}
		return nil
	})
	return added, err
}

// ClaimNotices takes all that is due for one audience, oldest first, and keeps it
// from others until a time. An administrator who was told something since pause
// ago waits, so that what goes wrong one by one comes in one mail. Nothing due:
// no rows, no error.
func (s *Store) ClaimNotices(ctx context.Context, until time.Time, pause time.Duration) (claimed []mailroom.Notice, err error) {
	err = s.tx(ctx, func(t *tx) error {
		claimed = nil
		// One at a time, or two nodes would halve what belongs in one mail.
		if err := t.advise(ctx, "pg_advisory_xact_lock", "notices"); err != nil {
			return err
		}
		first, err := all(ctx, t, scanNotice, `SELECT `+noticeColumns+` FROM notices n WHERE sent_at = 0 AND retry_at <= $1
			AND (audience NOT LIKE 'admin:%' OR NOT EXISTS (SELECT 1 FROM notices s
				WHERE s.org_id = n.org_id AND s.audience = n.audience AND s.sent_at > $2))
			ORDER BY retry_at, created_at, id LIMIT 1`, t.at, t.at-pause.Microseconds())
		if err != nil || len(first) == 0 {
			return err
		}
		n := first[0]
		claimed, err = all(ctx, t, scanNotice, `UPDATE notices SET retry_at = $1, tries = tries + 1
			WHERE org_id = $2 AND audience = $3 AND sent_at = 0 AND retry_at <= $4 RETURNING `+noticeColumns,
			mailroom.Micros(until), n.OrgID, n.Audience, t.at)
		return err
	})
	// RETURNING promises no order.
	slices.SortFunc(claimed, func(a, b mailroom.Notice) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return claimed, err
}

// SettleNotices says how sending what was claimed went: sent at a time, or, with
// the zero time, to be tried again at retry, for the reason why. A claim that has
// lapsed and was taken by another changes nothing.
func (s *Store) SettleNotices(ctx context.Context, claimed []mailroom.Notice, sent, retry time.Time, why *mailroom.Problem) error {
	return s.tx(ctx, func(t *tx) error {
		for _, n := range claimed {
			next := n.RetryAt
			n.Data.Refused = why
			if sent.IsZero() {
				next = retry
			}
			if _, err := t.exec(ctx, `UPDATE notices SET sent_at = $1, retry_at = $2, data = $3 WHERE id = $4 AND sent_at = 0 AND retry_at = $5`,
				mailroom.Micros(sent), mailroom.Micros(next), asJSON(n.Data), n.ID, mailroom.Micros(n.RetryAt)); err != nil {
				return err
			}
		}
		return nil
	})
}

// NeedyMailboxes lists an organization's mailboxes that wait for somebody, and
// those with the ids whatever their state: live ones, of users who may sign in.
func (s *Store) NeedyMailboxes(ctx context.Context, orgID string, ids []string) ([]mailroom.NeedyMailbox, error) {
	scan := func(r row) (m mailroom.NeedyMailbox, err error) {
		err = r.Scan(&m.ID, &m.OrgID, &m.Address, asJSON(&m.Problem), &m.Owner.ID, &m.Owner.Name, &m.Owner.Email, &m.Owner.Role, &m.Owner.Language)
		m.Owner.OrgID = m.OrgID
		return m, err
	}
	return all(ctx, s.read(), scan, `SELECT m.id, m.org_id, m.address, m.problem, u.id, u.name, u.email, u.role, u.language
		FROM mailboxes m JOIN users u ON u.id = m.user_id
		WHERE m.org_id = $1 AND m.retired_at = 0 AND u.disabled_at = 0 AND (m.problem LIKE '%"kind":"needs_%' OR m.id IN `+s.in("$2")+`)
		ORDER BY m.id`, orgID, list(ids))
}

// AgingGrants lists the grants of an organization's live mailboxes that nobody
// need act for, oldest sign of life first: of a provider, refreshed before a time.
func (s *Store) AgingGrants(ctx context.Context, orgID, providerID string, before time.Time) ([]mailroom.AgingGrant, error) {
	scan := func(r row) (g mailroom.AgingGrant, err error) {
		err = r.Scan(&g.MailboxID, &g.Address, &g.OwnerID, &g.ProviderID, at(&g.GrantedAt), at(&g.RefreshedAt))
		return g, err
	}
	return all(ctx, s.read(), scan, `SELECT m.id, m.address, m.user_id, g.provider_id, g.granted_at, g.refreshed_at
		FROM grants g JOIN mailboxes m ON m.id = g.mailbox_id JOIN users u ON u.id = m.user_id
		WHERE g.org_id = $1 AND g.provider_id = $2 AND g.refreshed_at < $3 AND m.retired_at = 0 AND u.disabled_at = 0
		  AND m.problem NOT LIKE '%"kind":"needs_%'
		ORDER BY g.refreshed_at, m.id LIMIT 1000`, orgID, providerID, mailroom.Micros(before))
}

// ExpiringCredentials are an organization's credentials without their secrets,
// oldest first.
func (s *Store) ExpiringCredentials(ctx context.Context, orgID string) ([]mailroom.Credential, error) {
	scan := func(r row) (c mailroom.Credential, err error) {
		err = r.Scan(&c.ID, &c.OrgID, &c.ProviderID, &c.Use, &c.Kind, at(&c.ExpiresAt), at(&c.CreatedAt), at(&c.ProvedAt))
		return c, err
	}
	return all(ctx, s.read(), scan, `SELECT id, org_id, provider_id, use, kind, expires_at, created_at, proved_at
		FROM credentials WHERE org_id = $1 ORDER BY created_at, id`, orgID)
}
