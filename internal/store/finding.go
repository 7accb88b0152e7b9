package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// Differences between the server and the ledger, as comparisons found them.

const findingColumns = `id, org_id, mailbox_id, mapping_id, kind, at, count, uids, repaired_at`

func scanFinding(r row) (f mailroom.Finding, err error) {
	err = r.Scan(&f.ID, &f.OrgID, &f.MailboxID, &f.MappingID, &f.Kind, at(&f.At), &f.Count, uidSet{&f.UIDs}, at(&f.RepairedAt))
	return f, err
}

// SaveFinding records a difference, or what became of it, under its id. One of a
// mapping that a person has taken away meanwhile is nobody's any more: nothing is
// written, without error.
func (s *Store) SaveFinding(ctx context.Context, c mailroom.Claim, f mailroom.Finding) error {
	return s.tx(ctx, func(t *tx) error {
		if _, err := t.fence(ctx, c); err != nil {
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO findings(id, org_id, mailbox_id, mapping_id, kind, at, count, uids, repaired_at)
			SELECT $1, org_id, mailbox_id, id, $2, CAST($3 AS BIGINT), CAST($4 AS BIGINT), $5, CAST($6 AS BIGINT)
			FROM mappings WHERE id = $7 AND mailbox_id = $8
			ON CONFLICT (id) DO UPDATE SET count = excluded.count, uids = excluded.uids, repaired_at = excluded.repaired_at`,
			f.ID, string(f.Kind), mailroom.Micros(f.At), f.Count, f.UIDs.String(), mailroom.Micros(f.RepairedAt), f.MappingID, c.MailboxID)
		return err
	})
}

// OpenFindings are those of a mapping that are not repaired, oldest first.
func (s *Store) OpenFindings(ctx context.Context, mappingID string) ([]mailroom.Finding, error) {
	return all(ctx, s.read(), scanFinding, `SELECT `+findingColumns+` FROM findings
		WHERE mapping_id = $1 AND repaired_at = 0 ORDER BY at, id`, mappingID)
}

// Findings are the last of a mailbox, or with mailboxID "" of a whole
// organization, newest first.
func (s *Store) Findings(ctx context.Context, orgID, mailboxID string, limit int) ([]mailroom.Finding, error) {
	which := `mailbox_id = $2`
	if mailboxID == "" {
		which = `mailbox_id IN (SELECT b.id FROM mailboxes b WHERE b.org_id = $1 AND $2 = '')`
	}
	return all(ctx, s.read(), scanFinding, `SELECT `+findingColumns+` FROM findings
		WHERE `+which+` AND org_id = $1 ORDER BY at DESC, id DESC LIMIT $3`, orgID, mailboxID, limit)
}
