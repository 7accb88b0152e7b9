package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// Waiting counts the messages of a user that wait for a choice, and those in
// quarantine that nobody has given up.
func (s *Store) Waiting(ctx context.Context, orgID, userID string) (choices, quarantined int, err error) {
	q := s.read()
	if choices, err = value[int](ctx, q, `SELECT COUNT(DISTINCT c.message_seq) FROM choices c WHERE c.org_id = $1 AND c.decided_at = 0
		AND EXISTS (SELECT 1 FROM deliveries d WHERE d.message_seq = c.message_seq AND d.user_id = $2)`, orgID, userID); err != nil {
		return 0, 0, err
	}
	quarantined, err = value[int](ctx, q, `SELECT COUNT(*) FROM quarantine q JOIN mailboxes b ON b.id = q.mailbox_id
		WHERE b.user_id = $1 AND b.retired_at = 0 AND q.dropped_at = 0`, userID)
	return choices, quarantined, err
}

// WaitingChoices lists the addresses about which a user must choose, each with
// the newest of the messages that wait for it.
func (s *Store) WaitingChoices(ctx context.Context, orgID, userID string, limit int) (out []mailroom.WaitingChoice, err error) {
	err = s.view(ctx, func(q runner) error {
		out, err = waitingChoices(ctx, q, orgID, userID, "", limit)
		return err
	})
	return out, err
}

// waitingChoices is WaitingChoices; with messageID only those of that message.
func waitingChoices(ctx context.Context, q runner, orgID, userID, messageID string, limit int) ([]mailroom.WaitingChoice, error) {
	out, err := all(ctx, q, func(r row) (w mailroom.WaitingChoice, err error) {
		cells := splitRow(r, 3, columnCount(messageColumns))
		if w.Message, err = scanMessage(cells[1]); err != nil {
			return w, err
		}
		err = cells[0].Scan(&w.Address, &w.Role, &w.Others)
		return w, err
	}, `SELECT c.address, c.role, c.waiting - 1, `+prefixed("m", messageColumns)+` FROM (
		  SELECT c.address, c.role, c.message_seq, COUNT(*) OVER (PARTITION BY c.address) AS waiting,
		    ROW_NUMBER() OVER (PARTITION BY c.address ORDER BY CASE WHEN m.id = $3 THEN 0 ELSE 1 END, m.received_at DESC, m.seq DESC) AS place
		  FROM choices c JOIN messages m ON m.seq = c.message_seq
		  WHERE c.org_id = $1 AND c.decided_at = 0
		    AND EXISTS (SELECT 1 FROM deliveries d WHERE d.message_seq = c.message_seq AND d.user_id = $2)) c
		JOIN messages m ON m.seq = c.message_seq
		WHERE c.place = 1 AND ($3 = '' OR m.id = $3) ORDER BY m.received_at DESC, m.seq DESC, c.address LIMIT $4`, orgID, userID, messageID, limit)
	if err != nil || len(out) == 0 {
		return out, err
	}
	return out, addCandidates(ctx, q, orgID, out)
}

func addCandidates(ctx context.Context, q runner, orgID string, choices []mailroom.WaitingChoice) error {
	var addresses []string
	at := map[string][]int{}
	for i, c := range choices {
		addresses = append(addresses, c.Address)
		at[c.Address] = append(at[c.Address], i)
	}
	return eachHolder(ctx, q, orgID, addresses, func(address string, p mailroom.Person) {
		for _, i := range at[address] {
			choices[i].Candidates = append(choices[i].Candidates, p)
		}
	})
}

// Decide answers a choice for one message of the user, or for all of theirs that
// wait for the same address; it returns for how many. NotFound when the user has
// no such message, Conflict "choice.error.decided" when nothing waits there any
// more, Invalid "choice.error.not_candidate" when the person has not that address.
func (s *Store) Decide(ctx context.Context, c mailroom.ChoiceDecision, ev mailroom.AuditEvent) (decided int64, err error) {
	err = s.tx(ctx, func(t *tx) error {
		if err := t.lockPeople(ctx, c.OrgID); err != nil {
			return err
		}
		seqs, role, err := t.decisionSeqs(ctx, c)
		if err != nil {
			return err
		}
		if decided, err = t.exec(ctx, `UPDATE choices SET decided_at = $1, decided_by = $2 WHERE address = $3 AND decided_at = 0
			AND message_seq IN `+t.s.inNumbers("$4"), t.at, ev.ActorID, c.Address, list(seqs)); err != nil {
			return err
		}
		if c.PersonID == "" {
			if err := t.notifyReaders(ctx, c.OrgID, seqs); err != nil {
				return err
			}
			return t.audit(ctx, ev)
		}
		held, err := value[int](ctx, t, `SELECT COUNT(*) FROM person_addresses WHERE org_id = $1 AND address = $2 AND person_id = $3`,
			c.OrgID, c.Address, c.PersonID)
		if err != nil {
			return err
		}
		if held == 0 {
			return mailroom.E(mailroom.Invalid, "choice.error.not_candidate").On("person")
		}
		l := mailroom.Link{PersonID: c.PersonID, Address: c.Address, Role: role}
		if err := t.linkByHand(ctx, c.OrgID, seqs, l, ev.ActorID); err != nil {
			return err
		}
		return t.audit(ctx, ev)
	})
	if err != nil {
		return 0, err
	}
	return decided, nil
}

// decisionSeqs are the messages that a decision is about.
func (t *tx) decisionSeqs(ctx context.Context, c mailroom.ChoiceDecision) (seqs []int64, role mailroom.HeaderRole, err error) {
	seq, err := value[int64](ctx, t, `SELECT m.seq FROM messages m WHERE m.id = $1 AND m.org_id = $2
		AND EXISTS (SELECT 1 FROM deliveries d WHERE d.message_seq = m.seq AND d.user_id = $3)`, c.MessageID, c.OrgID, c.UserID)
	if err != nil {
		return nil, "", err
	}
	roles, err := values[string](ctx, t, `SELECT role FROM choices WHERE message_seq = $1 AND address = $2 AND decided_at = 0`, seq, c.Address)
	if err != nil {
		return nil, "", err
	}
	if len(roles) == 0 {
		return nil, "", mailroom.E(mailroom.Conflict, "choice.error.decided")
	}
	seqs = []int64{seq}
	if c.All {
		seqs, err = values[int64](ctx, t, `SELECT c.message_seq FROM choices c WHERE c.org_id = $1 AND c.address = $2 AND c.decided_at = 0
			AND EXISTS (SELECT 1 FROM deliveries d WHERE d.message_seq = c.message_seq AND d.user_id = $3)`, c.OrgID, c.Address, c.UserID)
	}
	return seqs, mailroom.HeaderRole(roles[0]), err
}
