package store

import (
	"context"
	"maps"
	"slices"

	"mailroom/internal/mailroom"
)

// What has been read of a folder is not read twice: a mapping takes over what an
// earlier one left, and delivers it from here.

// held is the condition that a message stays in an OTYS folder whatever becomes
// of mapping except: another mapping that aims there has it, or had it and keeps
// what is removed; or a mapping had it that was taken away and left its mail (see
// removeMapping). What is being undone holds nothing. seq is an expression, the
// others are arguments; user is whose folder it is.
func held(seq, folder, user, except string) string {
	return `EXISTS (SELECT 1 FROM placements p JOIN mailboxes b ON b.id = p.mailbox_id LEFT JOIN mappings m ON m.id = p.mapping_id
		WHERE p.message_seq = ` + seq + ` AND b.user_id = ` + user + ` AND p.mapping_id <> ` + except + `
		AND (m.otys_folder_id = ` + folder + ` AND (p.gone_at = 0 OR m.removal = 'keep')
		  OR m.id IS NULL AND NOT EXISTS (SELECT 1 FROM undos u WHERE u.mapping_id = p.mapping_id)))`
}

// adoptPlacements hands what was read of a folder under other mappings to this
// one: the syncer will not read it again, so it is delivered from here. With a
// generation only what is of that one. It returns the OTYS folders to be counted
// anew.
func (t *tx) adoptPlacements(ctx context.Context, userID string, m mailroom.Mapping, generation uint32) (recount []string, err error) {
	undone := map[string][]int64{} // what of it is being taken back, by OTYS folder
	if err := each(ctx, t, func(r row) error {
		var seq int64
		var folder string
		err := r.Scan(&seq, &folder)
		undone[folder] = append(undone[folder], seq)
		return err
	}, `SELECT p.message_seq, u.otys_folder_id FROM undos u JOIN placements p ON p.mapping_id = u.mapping_id
		WHERE u.mailbox_id = $1 AND u.finished_at = 0 AND p.raw_name = $2 AND ($3 = 0 OR p.uid_validity = $3)`,
		m.MailboxID, m.RawName, int64(generation)); err != nil {
		return nil, err
	}
	n, err := t.exec(ctx, `UPDATE placements SET mapping_id = $3 WHERE mailbox_id = $1 AND raw_name = $2 AND mapping_id <> $3
		AND ($4 = 0 OR uid_validity = $4)`, m.MailboxID, m.RawName, m.ID, int64(generation))
	if err != nil || n == 0 {
		return nil, err
	}
	if err := t.redeliver(ctx, userID, m); err != nil {
		return nil, err
	}
	recount = append(slices.Collect(maps.Keys(undone)), m.OTYSFolderID)
	for folder, seqs := range undone {
		if err := t.takeFrom(ctx, userID, m, folder, seqs); err != nil {
			return nil, err
		}
	}
	return recount, nil
}

// takeFrom ends what an undo had begun with messages that m has taken over: they
// leave the OTYS folder from which they were being taken, unless m brings them
// there.
func (t *tx) takeFrom(ctx context.Context, userID string, m mailroom.Mapping, folder string, seqs []int64) error {
	_, err := t.exec(ctx, `DELETE FROM deliveries WHERE otys_folder_id = $1 AND message_seq IN `+t.s.inNumbers("$2")+`
		AND NOT ($1 = $3 AND received_at >= $4) AND NOT `+held("deliveries.message_seq", "$1", "$5", "$6"),
		folder, list(seqs), m.OTYSFolderID, mailroom.Micros(m.Since), userID, m.ID)
	return err
}

// redeliver makes the mail that a mapping has, and that is not older than its
// date, lie in its OTYS folder. What the user has in another folder is put here
// too; what they have nowhere is forgotten and so will be read again. What was
// removed here with its source stays away.
func (t *tx) redeliver(ctx context.Context, userID string, m mailroom.Mapping) error {
	var seqs []int64
	keys := map[int64]string{}
	if err := each(ctx, t, func(r row) error {
		var seq int64
		var key string
		err := r.Scan(&seq, &key)
		seqs, keys[seq] = append(seqs, seq), digest(key)
		return err
	}, `SELECT DISTINCT g.seq, g.dedupe_key FROM placements p JOIN messages g ON g.seq = p.message_seq
		WHERE p.mapping_id = $1 AND p.gone_at = 0 AND g.received_at >= $2
		AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.otys_folder_id = $3 AND d.message_seq = p.message_seq)`,
		m.ID, mailroom.Micros(m.Since), m.OTYSFolderID); err != nil || len(seqs) == 0 {
		return err
	}
	dead, err := t.buried(ctx, m.ID, slices.Collect(maps.Values(keys)))
	if err != nil {
		return err
	}
	seqs = slices.DeleteFunc(seqs, func(seq int64) bool { return dead[keys[seq]] })
	if _, err := t.exec(ctx, `INSERT INTO deliveries(otys_folder_id, message_seq, org_id, user_id, received_at, unread, sent, created_at)
		SELECT CAST($1 AS TEXT), d.message_seq, d.org_id, d.user_id, d.received_at, d.unread, d.sent, CAST($2 AS BIGINT)
		FROM deliveries d WHERE d.user_id = $3 AND d.message_seq IN `+t.s.inNumbers("$4")+`
		AND d.otys_folder_id = (SELECT MIN(e.otys_folder_id) FROM deliveries e WHERE e.message_seq = d.message_seq AND e.user_id = d.user_id)
		ON CONFLICT (otys_folder_id, message_seq) DO NOTHING`, m.OTYSFolderID, t.at, userID, list(seqs)); err != nil {
		return err
	}
	nowhere, err := values[int64](ctx, t, `DELETE FROM placements WHERE mapping_id = $1 AND message_seq IN `+t.s.inNumbers("$2")+` AND gone_at = 0
		AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.otys_folder_id = $3 AND d.message_seq = placements.message_seq)
		RETURNING message_seq`, m.ID, list(seqs), m.OTYSFolderID)
	if err != nil {
		return err
	}
	_, err = t.dropOrphans(ctx, m.OrgID, nowhere)
	return err
}
