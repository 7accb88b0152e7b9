package store

import (
	"cmp"
	"context"
	"slices"

	"mailroom/internal/mailroom"
)

// The machine's side of linking: what a new mail is matched with, and what a new
// address of a person finds among the mail already here. Both obey what a person
// has decided: a link taken away is a tombstone and stays, a choice decided is
// not asked again.

// holders returns who of the organization has which of the addresses.
func (t *tx) holders(ctx context.Context, orgID string, addresses []string) (map[string][]mailroom.Holder, error) {
	out := map[string][]mailroom.Holder{}
	err := each(ctx, t, func(r row) error {
		var h mailroom.Holder
		err := r.Scan(&h.Address, &h.PersonID)
		out[h.Address] = append(out[h.Address], h)
		return err
	}, `SELECT address, person_id FROM person_addresses WHERE org_id = $1 AND address IN `+t.s.in("$2"), orgID, list(addresses))
	return out, err
}

// matching collects what Match decided for the mails of a batch.
type matching struct {
	links, choices []matchedLink
	known          []int64 // messages that were here before the batch
}

type matchedLink struct {
	mailroom.Link
	seq, receivedAt int64
}

type messageAddress struct {
	seq     int64
	address string
}

func (m *matching) add(seq int64, fresh bool, receivedAt int64, found mailroom.Matched) {
	for _, l := range found.Links {
		m.links = append(m.links, matchedLink{l, seq, receivedAt})
	}
	for _, l := range found.Choices {
		m.choices = append(m.choices, matchedLink{l, seq, receivedAt})
	}
	if !fresh && len(found.Links)+len(found.Choices) > 0 {
		m.known = append(m.known, seq)
	}
}

// saveMatched writes the links and choices of a batch.
func (t *tx) saveMatched(ctx context.Context, orgID string, m *matching) error {
	settled, err := t.settled(ctx, orgID, m.known)
	if err != nil {
		return err
	}
	var links, choices [][]any
	for _, l := range m.links {
		if !settled.decided[messageAddress{l.seq, l.Address}] {
			links = append(links, []any{orgID, l.seq, l.PersonID, l.Address, string(l.Role), string(mailroom.ByAddress), l.receivedAt, t.at})
		}
	}
	for _, l := range m.choices {
		if !settled.linked[messageAddress{l.seq, l.Address}] {
			choices = append(choices, []any{orgID, l.seq, l.Address, string(l.Role), t.at})
		}
	}
	bySeq := func(a, b []any) int { // see saveBlobs
		return cmp.Or(cmp.Compare(a[1].(int64), b[1].(int64)), cmp.Compare(a[2].(string), b[2].(string)))
	}
	slices.SortFunc(links, bySeq)
	slices.SortFunc(choices, bySeq)
	if err := t.insert(ctx, `INSERT INTO links(org_id, message_seq, person_id, address, role, reason, received_at, created_at) VALUES `,
		` ON CONFLICT (message_seq, person_id) DO NOTHING`, links); err != nil {
		return err
	}
	return t.insert(ctx, `INSERT INTO choices(org_id, message_seq, address, role, created_at) VALUES `,
		` ON CONFLICT (message_seq, address) DO NOTHING`, choices)
}

// settlement is what has been settled of messages that were here before.
type settlement struct {
	decided map[messageAddress]bool // a person has chosen
	linked  map[messageAddress]bool // linked to one of those who have the address
}

func (t *tx) settled(ctx context.Context, orgID string, seqs []int64) (v settlement, err error) {
	v = settlement{map[messageAddress]bool{}, map[messageAddress]bool{}}
	if len(seqs) == 0 {
		return v, nil
	}
	into := func(m map[messageAddress]bool) func(row) error {
		return func(r row) error {
			var k messageAddress
			err := r.Scan(&k.seq, &k.address)
			m[k] = true
			return err
		}
	}
	if err = each(ctx, t, into(v.decided), `SELECT message_seq, address FROM choices
		WHERE message_seq IN `+t.s.inNumbers("$1")+` AND decided_at <> 0`, list(seqs)); err != nil {
		return v, err
	}
	err = each(ctx, t, into(v.linked), `SELECT l.message_seq, a.address FROM links l
		JOIN person_addresses a ON a.person_id = l.person_id AND a.org_id = $2
		WHERE l.message_seq IN `+t.s.inNumbers("$1")+` AND l.removed_at = 0`, list(seqs), orgID)
	return v, err
}

// linkAddresses decides anew about all mail already here that carries one of
// addresses, after who holds them has changed in this transaction (see
// lockPeople). An address that now belongs to exactly one person links; one that
// belongs to several asks, unless the message is linked to one of them; links
// made before stay. It returns how many links it made.
func (t *tx) linkAddresses(ctx context.Context, orgID string, addresses []string) (linked int64, err error) {
	holders, err := t.holders(ctx, orgID, addresses)
	if err != nil {
		return 0, err
	}
	for _, address := range addresses {
		switch hs := holders[address]; len(hs) {
		case 0:
			err = t.dropChoices(ctx, orgID, address)
		case 1:
			var n int64
			n, err = t.linkAddress(ctx, orgID, hs[0])
			linked += n
		default:
			err = t.askAddress(ctx, orgID, address)
		}
		if err != nil {
			return 0, err
		}
	}
	return linked, nil
}

// linkAddress links all mail that carries the address of its one holder.
func (t *tx) linkAddress(ctx context.Context, orgID string, h mailroom.Holder) (int64, error) {
	n, err := t.exec(ctx, `INSERT INTO links(org_id, message_seq, person_id, address, role, reason, received_at, created_at)
		SELECT a.org_id, a.message_seq, $3, a.address, a.role, $4, m.received_at, CAST($5 AS BIGINT)
		FROM message_addresses a JOIN messages m ON m.seq = a.message_seq
		WHERE a.org_id = $1 AND a.address = $2 AND NOT EXISTS (SELECT 1 FROM choices c
		  WHERE c.message_seq = a.message_seq AND c.address = a.address AND c.decided_at <> 0)
		ON CONFLICT (message_seq, person_id) DO NOTHING`, orgID, h.Address, h.PersonID, string(mailroom.ByAddress), t.at)
	if err != nil {
		return 0, err
	}
	return n, t.dropChoices(ctx, orgID, h.Address)
}

// askAddress puts all mail that carries the address on the choose list.
func (t *tx) askAddress(ctx context.Context, orgID, address string) error {
	_, err := t.exec(ctx, `INSERT INTO choices(org_id, message_seq, address, role, created_at)
		SELECT a.org_id, a.message_seq, a.address, a.role, CAST($3 AS BIGINT) FROM message_addresses a
		WHERE a.org_id = $1 AND a.address = $2 AND NOT EXISTS (SELECT 1 FROM links l
		  JOIN person_addresses p ON p.person_id = l.person_id AND p.org_id = a.org_id AND p.address = a.address
		  WHERE l.message_seq = a.message_seq AND l.removed_at = 0)
		ON CONFLICT (message_seq, address) DO NOTHING`, orgID, address, t.at)
	return err
}

// dropChoices takes back the questions about an address that needs no choice any more.
func (t *tx) dropChoices(ctx context.Context, orgID, address string) error {
	_, err := t.exec(ctx, `DELETE FROM choices WHERE org_id = $1 AND address = $2 AND decided_at = 0`, orgID, address)
	return err
}
