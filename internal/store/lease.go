package store

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// workable is the condition under which mailbox m may be read at all: nothing
// that a person has to do is missing, and nobody said no.
const workable = `m.retired_at = 0 AND NOT m.paused
	AND (EXISTS (SELECT 1 FROM grants g WHERE g.mailbox_id = m.id)
	  OR m.account = 'other' AND m.provider_id = '' AND m.password_key <> '')
	AND EXISTS (SELECT 1 FROM users u WHERE u.id = m.user_id AND u.disabled_at = 0)
	AND EXISTS (SELECT 1 FROM mappings p WHERE p.mailbox_id = m.id AND NOT p.paused)`

// due is the condition under which mailbox m waits for a node: arguments n and
// n+1 are dueArgs.
func due(n int) string {
	now, bound := argument(n), argument(n+1)
	return `m.lease_until <= ` + now + ` AND (m.retry_at <= ` + now + ` OR m.retry_at > ` + bound + ` OR m.wanted > m.done) AND ` + workable
}

// dueArgs are the time, and the bound behind which a next try was written by a
// clock that was wrong.
func dueArgs(now time.Time) []any {
	return []any{mailroom.Micros(now), mailroom.Micros(now.Add(mailroom.MaxRetry))}
}

func (s *Store) claimText() string {
	return `UPDATE mailboxes SET owner = $1, epoch = epoch + 1, lease_until = $2, claimed_wanted = wanted
	WHERE id IN (
	  SELECT m.id FROM mailboxes m WHERE ` + due(4) + `
	  ORDER BY m.wanted > m.done DESC, m.retry_at LIMIT $3` + s.forClaim("m") + `)
	RETURNING id, epoch`
}

// ClaimMailboxes takes up to limit mailboxes that may be read, are due (somebody
// asked, or the time of the next try has come) and that nobody holds. Each gets
// a new epoch: whoever held it before can write no more. A next try that lies
// further ahead than mailroom.MaxRetry counts for nothing; for leases see Share.
func (s *Store) ClaimMailboxes(ctx context.Context, node string, lease time.Duration, limit int, now time.Time) (claims []mailroom.Claim, err error) {
	// Asked in vain most of the time: on SQLite that must not cost a turn of the
	// one writer.
	if !s.pg {
		found, err := value[int64](ctx, s.read(), `SELECT COUNT(*) FROM (SELECT 1 FROM mailboxes m WHERE `+due(1)+` LIMIT 1) found`,
			dueArgs(now)...)
		if err != nil || found == 0 {
			return nil, err
		}
	}
	err = s.tx(ctx, func(t *tx) (err error) {
		claims, err = all(ctx, t, scanClaim, s.claimText(), append([]any{node, mailroom.Micros(now.Add(lease)), limit}, dueArgs(now)...)...)
		return err
	})
	return claims, err
}

func scanClaim(r row) (c mailroom.Claim, err error) {
	err = r.Scan(&c.MailboxID, &c.Epoch)
	return c, err
}

// RenewLeases puts off the end of all of claims in one statement and returns
// those that still hold.
func (s *Store) RenewLeases(ctx context.Context, node string, claims []mailroom.Claim, lease time.Duration, now time.Time) (kept []mailroom.Claim, err error) {
	if len(claims) == 0 {
		return nil, nil
	}
	ids, epochs := make([]string, len(claims)), map[string]int64{}
	for i, c := range claims {
		ids[i], epochs[c.MailboxID] = c.MailboxID, c.Epoch
	}
	err = s.tx(ctx, func(t *tx) error {
		held, err := all(ctx, t, scanClaim, `UPDATE mailboxes SET lease_until = $1
			WHERE owner = $2 AND id IN `+s.in("$3")+` RETURNING id, epoch`, mailroom.Micros(now.Add(lease)), node, list(ids))
		kept = kept[:0]
		for _, c := range held {
			if epochs[c.MailboxID] == c.Epoch {
				kept = append(kept, c)
			}
		}
		return err
	})
	return kept, err
}

// Wanted tells what people ask of the mailboxes that node holds.
func (s *Store) Wanted(ctx context.Context, node string) (map[string]mailroom.Signal, error) {
	out := map[string]mailroom.Signal{}
	err := each(ctx, s.read(), func(r row) error {
		var id string
		var v mailroom.Signal
		err := r.Scan(&id, &v.Wanted, &v.Done, &v.MappingsVersion, &v.Stop)
		out[id] = v
		return err
	}, `SELECT m.id, m.wanted, m.done, m.mappings_version, NOT (`+workable+`) FROM mailboxes m WHERE m.owner = $1 AND m.owner <> ''`, node)
	return out, err
}

// Release gives a lease back: the mailbox is due again at retryAt, or at once
// when somebody asked meanwhile. problem replaces the mailbox's, nil clears it; a
// refusal that many share is a fault of their provider (mailroom.ProviderFault).
// With a problem everything that had been asked before the claim counts as
// answered, by that problem; else a mailbox that always fails would be claimed
// again and again without a pause.
func (s *Store) Release(ctx context.Context, c mailroom.Claim, retryAt time.Time, problem *mailroom.Problem, failures int) error {
	return s.tx(ctx, func(t *tx) error {
		e := ended{retryAt: retryAt, problem: problem, failures: failures}
		var box mailroom.Credentials
		var err error
		if problem.Refused() || problem != nil && problem.Key == mailroom.KeyProviderFault {
			if box, err = t.lockRefusals(ctx, c.MailboxID); err != nil {
				return err
			}
		}
		if _, err := t.fenceAs(ctx, c, s.forUpdate()); err != nil {
			return err
		}
		switch {
		case problem == nil:
			err = t.accepted(ctx, c.MailboxID)
		case box.MailboxID != "":
			err = t.judgeEnd(ctx, box, &e)
		}
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `UPDATE mailboxes SET owner = '', lease_until = 0, retry_at = $1, problem = $2, failures = $3,
			done = CASE WHEN $4 AND done < claimed_wanted THEN claimed_wanted ELSE done END WHERE id = $5`,
			mailroom.Micros(e.retryAt), asJSON(e.problem), e.failures, e.problem != nil, c.MailboxID)
		t.notify(TopicWork)
		return err
	})
}

// TakeBack gives up the leases of processes that are no more, so that their
// mailboxes are due at once and not when the leases run out: those of a former
// node of this name, and on SQLite, which one process serves at a time, all.
func (s *Store) TakeBack(ctx context.Context, node string) (taken int64, err error) {
	err = s.tx(ctx, func(t *tx) error {
		who, args := `owner <> ''`, []any{}
		if s.pg {
			who, args = `id IN (SELECT id FROM mailboxes WHERE owner = $1 FOR UPDATE)`, []any{node}
		}
		if taken, err = t.exec(ctx, `UPDATE mailboxes SET epoch = epoch + 1, owner = '', lease_until = 0 WHERE `+who, args...); err != nil {
			return err
		}
		if !s.pg { // nor do they get a part any more (see Share)
			_, err = t.exec(ctx, `DELETE FROM nodes`)
		}
		t.notify(TopicWork)
		return err
	})
	return taken, err
}

// Answered says that the asking numbered wanted, and all before it, have been
// answered, and clears the mailbox's problem.
func (s *Store) Answered(ctx context.Context, c mailroom.Claim, wanted int64) error {
	return s.tx(ctx, func(t *tx) error {
		if _, err := t.fence(ctx, c); err != nil {
			return err
		}
		if err := t.accepted(ctx, c.MailboxID); err != nil {
			return err
		}
		_, err := t.exec(ctx, `UPDATE mailboxes SET done = CASE WHEN done < $1 THEN $1 ELSE done END, problem = '', failures = 0
			WHERE id = $2`, wanted, c.MailboxID)
		return err
	})
}

// fenced is what a fence knows of the mailbox behind it.
type fenced struct{ orgID, userID, address string }

// fence makes sure that the claim still holds, and that it will until this
// transaction ends: a new owner waits for it. It signals the pages that show
// the mailbox, since every write behind a fence changes what they show.
func (t *tx) fence(ctx context.Context, c mailroom.Claim) (f fenced, err error) {
	return t.fenceAs(ctx, c, t.s.forShare())
}

func (t *tx) fenceAs(ctx context.Context, c mailroom.Claim, lock string) (f fenced, err error) {
	found := false
	err = each(ctx, t, func(r row) error {
		found = true
		return r.Scan(&f.orgID, &f.userID, &f.address)
	}, `SELECT org_id, user_id, address FROM mailboxes WHERE id = $1 AND epoch = $2 AND owner <> ''`+lock, c.MailboxID, c.Epoch)
	if err == nil && !found {
		err = mailroom.ErrFenced
	}
	t.notify(TopicUser(f.userID), TopicOrg(f.orgID))
	return f, err
}

// evict takes the lease away from whoever holds it: a run under way cannot
// store one thing more. For revoking, pausing, retiring and disabling.
func (t *tx) evict(ctx context.Context, mailboxID string) error {
	if _, err := values[string](ctx, t, `SELECT id FROM mailboxes WHERE id = $1`+t.s.forUpdate(), mailboxID); err != nil {
		return err
	}
	_, err := t.exec(ctx, `UPDATE mailboxes SET epoch = epoch + 1, owner = '', lease_until = 0 WHERE id = $1`, mailboxID)
	t.notify(TopicWork, TopicMailbox(mailboxID))
	return err
}

// want asks for a sync of the mailbox, now.
func (t *tx) want(ctx context.Context, mailboxID string) error {
	_, err := t.exec(ctx, `UPDATE mailboxes SET wanted = wanted + 1 WHERE id = $1`, mailboxID)
	t.notify(TopicWork, TopicMailbox(mailboxID))
	return err
}
