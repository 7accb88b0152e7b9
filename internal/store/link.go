package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// Link links a message to a person by hand, also where the machine had linked
// it or somebody had taken the link away. A question about an address of that
// person is answered by it. NotFound when either is not of the organization.
func (s *Store) Link(ctx context.Context, orgID, messageID, personID string, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		if err := t.lockPeople(ctx, orgID); err != nil {
			return err
		}
		seq, err := value[int64](ctx, t, `SELECT seq FROM messages WHERE id = $1 AND org_id = $2`, messageID, orgID)
		if err != nil {
			return err
		}
		if _, err := value[string](ctx, t, `SELECT id FROM persons WHERE id = $1 AND org_id = $2`, personID, orgID); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE choices SET decided_at = $1, decided_by = $2 WHERE message_seq = $3 AND decided_at = 0
			AND address IN (SELECT address FROM person_addresses WHERE person_id = $4)`, t.at, ev.ActorID, seq, personID); err != nil {
			return err
		}
		// Through which address, if the message carries one of that person.
		found := mailroom.Link{}
		if err := each(ctx, t, func(r row) error { return r.Scan(&found.Address, &found.Role) }, `SELECT a.address, a.role
			FROM message_addresses a JOIN person_addresses p ON p.org_id = a.org_id AND p.address = a.address
			WHERE a.message_seq = $1 AND a.org_id = $2 AND p.person_id = $3 ORDER BY a.address LIMIT 1`, seq, orgID, personID); err != nil {
			return err
		}
		found.PersonID = personID
		if err := t.linkByHand(ctx, orgID, []int64{seq}, found, ev.ActorID); err != nil {
			return err
		}
		return t.audit(ctx, ev)
	})
}

// linkByHand makes the same link of several messages, or makes those that are
// there the person's own.
func (t *tx) linkByHand(ctx context.Context, orgID string, seqs []int64, l mailroom.Link, by string) error {
	_, err := t.exec(ctx, `INSERT INTO links(org_id, message_seq, person_id, address, role, reason, made_by, received_at, created_at)
		SELECT m.org_id, m.seq, CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT), CAST($6 AS TEXT), CAST($7 AS TEXT), m.received_at, CAST($8 AS BIGINT)
		FROM messages m WHERE m.org_id = $1 AND m.seq IN `+t.s.inNumbers("$2")+`
		ON CONFLICT (message_seq, person_id) DO UPDATE SET address = excluded.address, role = excluded.role, reason = excluded.reason,
		  made_by = excluded.made_by, created_at = excluded.created_at, removed_at = 0, removed_by = ''`,
		orgID, list(seqs), l.PersonID, l.Address, string(l.Role), string(mailroom.ByHand), by, t.at)
	if err != nil {
		return err
	}
	return t.notifyReaders(ctx, orgID, seqs)
}

// notifyReaders tells everybody who has one of the messages that it looks
// different now.
func (t *tx) notifyReaders(ctx context.Context, orgID string, seqs []int64) error {
	t.notify(TopicOrg(orgID))
	users, err := values[string](ctx, t, `SELECT DISTINCT user_id FROM deliveries WHERE message_seq IN `+t.s.inNumbers("$1"), list(seqs))
	for _, id := range users {
		t.notify(TopicUser(id))
	}
	return err
}

// Unlink takes a link away. The row stays as a tombstone, by which the machine
// knows not to make it again. NotFound when there is no such link.
func (s *Store) Unlink(ctx context.Context, orgID, messageID, personID string, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		seqs, err := values[int64](ctx, t, `UPDATE links SET removed_at = $1, removed_by = $2 WHERE org_id = $3 AND person_id = $4
			AND message_seq = (SELECT seq FROM messages WHERE id = $5 AND org_id = $3) AND removed_at = 0 RETURNING message_seq`,
			t.at, ev.ActorID, orgID, personID, messageID)
		if err != nil {
			return err
		}
		if len(seqs) == 0 {
			return mailroom.E(mailroom.NotFound, "error.not_found")
		}
		if err := t.notifyReaders(ctx, orgID, seqs); err != nil {
			return err
		}
		return t.audit(ctx, ev)
	})
}
