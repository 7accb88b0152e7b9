package store

import (
	"context"
	"hash/fnv"
	"maps"
	"time"

	"mailroom/internal/mailroom"
)

// Refusals lists the mailboxes of an organization that are refused now, with what
// they show for it. mailroom.Faults gathers what they share.
func (s *Store) Refusals(ctx context.Context, orgID string) ([]mailroom.Refusal, error) {
	return all(ctx, s.read(), func(r row) (v mailroom.Refusal, err error) {
		err = r.Scan(&v.MailboxID, &v.OrgID, &v.ProviderID, &v.TenantID, &v.Kind, &v.Key, at(&v.FirstAt), at(&v.LastAt), asJSON(&v.Shown))
		return v, err
	}, `SELECT r.mailbox_id, r.org_id, r.provider_id, r.tenant_id, r.kind, r.key, r.first_at, r.last_at, m.problem
		FROM refusals r JOIN mailboxes m ON m.id = r.mailbox_id
		WHERE r.org_id = $1 AND m.retired_at = 0 ORDER BY r.first_at, r.mailbox_id`, orgID)
}

// faultPause is when mailboxes that share a fault are tried again, spread over
// some minutes.
func faultPause(mailboxID string) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(mailboxID))
	return time.Minute + time.Duration(float64(4*time.Minute)*float64(h.Sum32())/(1<<32))
}

// believedPause is when a mailbox is tried for the first time whose refusal is
// believed after a fault that did not pass.
const believedPause = 15 * time.Minute

// lockRefusals reads a mailbox's credentials and has those who judge the refusals
// of its tenant take turns: the fifth must see the four before it, and it changes
// their rows. To be called before any row is locked.
func (t *tx) lockRefusals(ctx context.Context, mailboxID string) (mailroom.Credentials, error) {
	c, err := credentials(ctx, t, mailboxID)
	if err != nil || c.Grant == nil {
		return c, err
	}
	return c, t.advise(ctx, "pg_advisory_xact_lock", "refusals "+c.OrgID+" "+c.Grant.ProviderID+" "+c.Grant.TenantID)
}

// judge keeps a refusal and returns what the mailbox is to show for it: the
// refusal, or, when many of its tenant's are refused at once, a fault of their
// provider, which those show then that had been refused just before.
func (t *tx) judge(ctx context.Context, c mailroom.Credentials, p *mailroom.Problem) (*mailroom.Problem, error) {
	if c.Grant == nil {
		return p, nil // revoked meanwhile, or a password
	}
	now := mailroom.FromMicros(t.at)
	if p.Since.Before(now) {
		now = p.Since
	}
	first, err := value[int64](ctx, t, `INSERT INTO refusals(mailbox_id, org_id, provider_id, tenant_id, kind, key, first_at, last_at)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8) ON CONFLICT (mailbox_id) DO UPDATE SET org_id = excluded.org_id, provider_id = excluded.provider_id,
		  tenant_id = excluded.tenant_id, kind = excluded.kind, key = excluded.key, last_at = excluded.last_at,
		  first_at = CASE WHEN refusals.key = excluded.key AND refusals.tenant_id = excluded.tenant_id THEN refusals.first_at ELSE excluded.first_at END
		RETURNING first_at`, c.MailboxID, c.OrgID, c.Grant.ProviderID, c.Grant.TenantID, string(p.Kind), p.Key, mailroom.Micros(now), t.at)
	if err != nil {
		return p, err
	}
	stands := *p
	stands.Since = mailroom.FromMicros(first)
	if !p.Doubtful() {
		return &stands, nil
	}
	since, others, err := t.fault(ctx, c, p.Key)
	if err != nil || since.IsZero() || t.at-first >= mailroom.FaultBelieved.Microseconds() {
		return &stands, err
	}
	args := map[string]any{"reason": p.Key}
	maps.Copy(args, p.Args) // what the reason's words need
	fault := &mailroom.Problem{Kind: mailroom.Unavailable, Key: mailroom.KeyProviderFault, Args: args, Since: since}
	for _, v := range others {
		if err := t.takeBackRefusal(ctx, v, fault); err != nil {
			return nil, err
		}
	}
	t.notify(TopicOrg(c.OrgID))
	return fault, nil
}

// ended is what a session leaves behind.
type ended struct {
	retryAt  time.Time
	problem  *mailroom.Problem
	failures int
}

// judgeEnd decides what a session leaves behind that ended with a refusal, or
// with a fault that a refresh was judged to be.
func (t *tx) judgeEnd(ctx context.Context, c mailroom.Credentials, e *ended) error {
	was := c.Problem != nil && c.Problem.Key == mailroom.KeyProviderFault
	if e.problem.Key == mailroom.KeyProviderFault {
		if was { // as it was judged, with its reason and its beginning
			until := e.problem.Until
			kept := *c.Problem
			kept.Until = until
			e.problem = &kept
		}
		return nil
	}
	until := e.problem.Until
	shown, err := t.judge(ctx, c, e.problem)
	if err != nil {
		return err
	}
	e.problem = shown
	pause := time.Duration(0)
	switch {
	case shown.Key == mailroom.KeyProviderFault:
		pause = faultPause(c.MailboxID)
	case was: // believed now: its pauses begin anew
		pause, e.failures = believedPause, 1
	}
	if soon := mailroom.FromMicros(t.at).Add(pause); pause > 0 && soon.Before(e.retryAt) {
		e.retryAt, until = soon, soon
	}
	e.problem.Until = until
	return nil
}

// refusedBox is a mailbox whose refusal is not shown as a fault yet.
type refusedBox struct{ id, userID string }

// mostRefusals bounds how many refusals of a tenant are looked at, newest first.
const mostRefusals = 2000

// fault reports since when a tenant's refusals for one reason are a fault of its
// provider, zero when they are none, and which of its mailboxes show it otherwise.
func (t *tx) fault(ctx context.Context, c mailroom.Credentials, key string) (since time.Time, others []refusedBox, err error) {
	var refused []time.Time
	var oldest int64
	believed := t.at - mailroom.FaultBelieved.Microseconds()
	err = each(ctx, t, func(r row) error {
		var v refusedBox
		var first int64
		var problem *mailroom.Problem
		if err := r.Scan(&v.id, &v.userID, &first, asJSON(&problem)); err != nil {
			return err
		}
		refused, oldest = append(refused, mailroom.FromMicros(first)), first
		if problem != nil && problem.Key == key {
			others = append(others, v)
		}
		return nil
	}, `SELECT m.id, m.user_id, r.first_at, m.problem FROM refusals r JOIN mailboxes m ON m.id = r.mailbox_id
		WHERE r.org_id = $1 AND r.provider_id = $2 AND r.tenant_id = $3 AND r.key = $4 AND r.first_at > $5 AND m.retired_at = 0
		ORDER BY r.first_at DESC LIMIT $6`, c.OrgID, c.Grant.ProviderID, c.Grant.TenantID, key, believed, mostRefusals)
	if err != nil || len(refused) < mailroom.FaultLeast {
		return time.Time{}, nil, err
	}
	// A refreshed token is the sign that all is well: it is asked for right before
	// signing in.
	fine, err := all(ctx, t, func(r row) (v time.Time, err error) { err = r.Scan(at(&v)); return v, err }, `SELECT g.refreshed_at FROM grants g
		WHERE g.org_id = $1 AND g.provider_id = $2 AND g.tenant_id = $3 AND g.refreshed_at >= $4
		  AND NOT EXISTS (SELECT 1 FROM refusals r WHERE r.mailbox_id = g.mailbox_id)`,
		c.OrgID, c.Grant.ProviderID, c.Grant.TenantID, oldest)
	if err != nil {
		return time.Time{}, nil, err
	}
	since, _ = mailroom.ProviderFault(refused, fine, mailroom.FromMicros(t.at))
	return since, others, nil
}

// takeBackRefusal has a mailbox show a fault of its provider in place of the end of
// its grant, and be tried again soon.
func (t *tx) takeBackRefusal(ctx context.Context, v refusedBox, fault *mailroom.Problem) error {
	soon := t.at + faultPause(v.id).Microseconds()
	_, err := t.exec(ctx, `UPDATE mailboxes SET problem = $1, failures = 1,
		retry_at = CASE WHEN retry_at > $2 THEN $2 ELSE retry_at END WHERE id = $3`, asJSON(fault), soon, v.id)
	t.notify(TopicUser(v.userID))
	return err
}

// accepted forgets that a mailbox was refused.
func (t *tx) accepted(ctx context.Context, mailboxID string) error {
	_, err := t.exec(ctx, `DELETE FROM refusals WHERE mailbox_id = $1`, mailboxID)
	return err
}
