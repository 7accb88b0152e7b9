package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// dropOrphans deletes those of an organization's messages that nobody has in an
// OTYS folder and that lie in no folder of any mailbox any more, with everything
// that hangs on them: words, addresses, links, choices and the places where they
// lay. A link or a choice that a person made goes too: there is no mail left that
// it could be about, and who had the mail removed is who owns its mapping. Raw
// copies are left to SweepBlobs. It returns how many messages it deleted.
//
// It takes lockPeople, so that nobody can be filing a copy of such a message at
// this moment (see saveMessages): a transaction that has more to do takes that
// lock itself, before it touches deliveries or folders.
func (t *tx) dropOrphans(ctx context.Context, orgID string, seqs []int64) (dropped int64, err error) {
	if len(seqs) == 0 {
		return 0, nil
	}
	if err := t.lockPeople(ctx, orgID); err != nil {
		return 0, err
	}
	var orphans []int64
	var addresses [][2]any // address, message_seq
	if err := each(ctx, t, func(r row) error {
		var seq int64
		var h headers
		if err := r.Scan(&seq, asJSON(&h)); err != nil {
			return err
		}
		orphans = append(orphans, seq)
		for _, list := range [][]mailroom.Address{h.From, h.To, h.Cc, h.Bcc} {
			for _, a := range list {
				addresses = append(addresses, [2]any{clean(mailroom.NormalAddress(a.Addr)), seq})
			}
		}
		return nil
	}, `SELECT m.seq, m.headers FROM messages m WHERE m.seq IN `+t.s.inNumbers("$1")+` AND m.org_id = $2
		AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message_seq = m.seq)
		AND NOT EXISTS (SELECT 1 FROM placements p WHERE p.message_seq = m.seq AND p.gone_at = 0)`, list(seqs), orgID); err != nil {
		return 0, err
	}
	if len(orphans) == 0 {
		return 0, nil
	}
	// An index of addresses by message would cost every mail that is filed; the
	// message itself tells which they can be.
	if _, err := t.exec(ctx, `DELETE FROM message_addresses WHERE org_id = $1 AND (address, message_seq) IN `+t.s.inPairs("$2"),
		orgID, list(addresses)); err != nil {
		return 0, err
	}
	these := t.s.inNumbers("$1")
	for _, text := range []string{
		`DELETE FROM links WHERE message_seq IN ` + these,
		`DELETE FROM choices WHERE message_seq IN ` + these,
		`DELETE FROM placements WHERE message_seq IN ` + these,
		`DELETE FROM message_fts WHERE rowid IN ` + these,
	} {
		if _, err := t.exec(ctx, text, list(orphans)); err != nil {
			return 0, err
		}
	}
	return t.exec(ctx, `DELETE FROM messages WHERE seq IN `+these, list(orphans))
}
