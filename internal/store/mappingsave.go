package store

import (
	"cmp"
	"context"
	"slices"

	"mailroom/internal/mailroom"
)

// SaveMappings makes c.Rows the rows of a mailbox that a person made, and asks for
// a sync. Rows are told apart by their IMAP folder: a known one keeps its id and
// progress, a new one takes the id that c gives it. Rows of subfolders come and go
// with the rows that they follow, and one of them for which c has a row becomes
// the person's. Mail stays when its row goes, and moves when its row is aimed at
// another OTYS folder. Conflict "mapping.error.version" when the rows are not
// those of c.Version any more.
func (s *Store) SaveMappings(ctx context.Context, c mailroom.MappingChange, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		box, err := t.lockMailbox(ctx, c.MailboxID)
		if err != nil {
			return err
		}
		if box.UserID != c.UserID {
			return mailroom.E(mailroom.NotFound, "error.not_found")
		}
		if box.MappingsVersion != c.Version {
			return mailroom.E(mailroom.Conflict, "mapping.error.version")
		}
		if err := t.ownFolders(ctx, c); err != nil {
			return err
		}
		before, err := all(ctx, t, scanMapping, `SELECT `+mappingColumns+` FROM mappings WHERE mailbox_id = $1 ORDER BY id`, c.MailboxID)
		if err != nil {
			return err
		}
		is, err := t.family(ctx, box.ID, saved(box, before, c.Rows), before)
		if err != nil {
			return err
		}
		changed, err := t.replaceMappings(ctx, box, before, is)
		if err != nil {
			return err
		}
		if err := t.remapped(ctx, box, changed); err != nil {
			return err
		}
		return t.audit(ctx, ev)
	})
}

// saved are the rows of a form, each with the id by which it is known already.
func saved(box mailroom.Mailbox, before, form []mailroom.Mapping) []mailroom.Mapping {
	ids := map[string]string{}
	for _, m := range before {
		ids[m.RawName] = m.ID
	}
	rows := slices.Clone(form)
	for i := range rows {
		r := &rows[i]
		r.ID = cmp.Or(ids[r.RawName], r.ID)
		r.OrgID, r.MailboxID, r.ParentID, r.Removal = box.OrgID, box.ID, "", cmp.Or(r.Removal, mailroom.RemovalKeep)
	}
	return rows
}

// ownFolders makes sure that every OTYS folder of a change is the user's.
func (t *tx) ownFolders(ctx context.Context, c mailroom.MappingChange) error {
	var ids []string
	for _, r := range c.Rows {
		ids = append(ids, r.OTYSFolderID)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	n, err := value[int](ctx, t, `SELECT COUNT(*) FROM otys_folders WHERE user_id = $1 AND id IN `+t.s.in("$2"), c.UserID, list(ids))
	if err == nil && n != len(ids) {
		err = mailroom.E(mailroom.NotFound, "error.not_found")
	}
	return err
}

// aiming is a mapping that was turned from one OTYS folder to another.
type aiming struct{ mappingID, from, to string }

// replaceMappings writes the rows; changed reports whether one that was there
// is not the same any more.
func (t *tx) replaceMappings(ctx context.Context, box mailroom.Mailbox, before []mailroom.Mapping, is family) (changed bool, err error) {
	old := map[string]mailroom.Mapping{}
	for _, m := range before {
		old[m.RawName] = m
	}
	var added, other []mailroom.Mapping // other: aimed elsewhere, or of another date
	var aimed []aiming
	for _, r := range slices.Concat(is.persons, is.children) {
		was, known := old[r.RawName]
		if !known {
			added = append(added, r)
			continue
		}
		delete(old, r.RawName)
		if was.OTYSFolderID != r.OTYSFolderID {
			aimed = append(aimed, aiming{was.ID, was.OTYSFolderID, r.OTYSFolderID})
		}
		if was.OTYSFolderID != r.OTYSFolderID || !was.Since.Equal(r.Since) {
			other = append(other, r)
		}
		different, err := t.changeMapping(ctx, was, r)
		if err != nil {
			return false, err
		}
		changed = changed || different
	}
	for _, m := range before {
		if _, gone := old[m.RawName]; gone {
			changed = true
			if err := t.removeMapping(ctx, m.ID); err != nil {
				return false, err
			}
		}
	}
	// All rows stand as they shall be by now: what moves is judged by where every
	// row aims, so that two rows can change places.
	var recount []string
	for _, a := range aimed {
		recount = append(recount, a.from, a.to)
		if err := t.moveDeliveries(ctx, box.UserID, a); err != nil {
			return false, err
		}
	}
	// Where two rows had a mail in one folder and part, the first has taken it along.
	for _, m := range other {
		recount = append(recount, m.OTYSFolderID)
		if err := t.redeliver(ctx, box.UserID, m); err != nil {
			return false, err
		}
	}
	folders, err := t.addMappings(ctx, box.UserID, added)
	if err != nil {
		return false, err
	}
	if err := t.auditSubfolders(ctx, is.persons, added); err != nil {
		return false, err
	}
	return changed, t.recountFolders(ctx, append(recount, folders...))
}

// addMappings makes rows, which take over what was read of their folders before.
// It returns the OTYS folders to be counted anew.
func (t *tx) addMappings(ctx context.Context, userID string, rows []mailroom.Mapping) (recount []string, err error) {
	for _, m := range rows {
		if err := t.addMapping(ctx, m); err != nil {
			return nil, err
		}
		folders, err := t.adoptPlacements(ctx, userID, m, 0)
		if err != nil {
			return nil, err
		}
		recount = append(recount, folders...)
	}
	return recount, nil
}

func (t *tx) addMapping(ctx context.Context, m mailroom.Mapping) error {
	if _, err := t.exec(ctx, `INSERT INTO mappings(`+mappingColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)`,
		m.ID, m.OrgID, m.MailboxID, m.RawName, clean(m.Name), m.OTYSFolderID, mailroom.Micros(m.Since), m.Paused,
		string(cmp.Or(m.Removal, mailroom.RemovalKeep)), m.Subfolders, m.ParentID, clean(m.ObjectID), clean(m.FollowedFrom),
		mailroom.Micros(m.FollowedAt), mailroom.Micros(m.CreatedAt)); err != nil {
		return err
	}
	_, err := t.exec(ctx, `INSERT INTO progress(mapping_id, mailbox_id) VALUES ($1, $2)`, m.ID, m.MailboxID)
	return err
}

func (t *tx) changeMapping(ctx context.Context, was, is mailroom.Mapping) (different bool, err error) {
	since := mailroom.Micros(is.Since)
	// What changes where or whether mail is stored, or taken away.
	different = was.OTYSFolderID != is.OTYSFolderID || was.Paused != is.Paused || mailroom.Micros(was.Since) != since || was.Removal != is.Removal
	if _, err := t.exec(ctx, `UPDATE mappings SET name = $1, otys_folder_id = $2, since = $3, paused = $4, removal = $5, subfolders = $6,
		parent_id = $7 WHERE id = $8`, clean(is.Name), is.OTYSFolderID, since, is.Paused, string(is.Removal), is.Subfolders,
		is.ParentID, was.ID); err != nil {
		return false, err
	}
	if mailroom.Micros(was.Since) == since {
		return different, nil
	}
	// Which mails are too old is to be found out again, by listing the folder as
	// if for the first time; what is filed already is known by its UID.
	_, err = t.exec(ctx, `UPDATE progress SET stage = $1, uid_validity = 0, uid_next = 0, highest_modseq = 0, backlog = '', skipped = '',
		checked_at = 0, problem = '', failures = 0, retry_at = 0, backfill_total = 0, backfill_started = 0 WHERE mapping_id = $2`,
		string(mailroom.StageIdle), was.ID)
	return different, err
}

// removeMapping takes a row away with its progress and quarantine. Placements
// stay, so that the same folder mapped again is not read twice.
func (t *tx) removeMapping(ctx context.Context, id string) error {
	if _, err := t.exec(ctx, `DELETE FROM quarantine WHERE mapping_id = $1`, id); err != nil {
		return err
	}
	_, err := t.exec(ctx, `DELETE FROM mappings WHERE id = $1`, id)
	return err
}

// moveDeliveries takes the mail that a mapping brought to its new OTYS folder.
// What something else holds in the old one stays there as well.
func (t *tx) moveDeliveries(ctx context.Context, userID string, a aiming) error {
	var move, double, both []int64 // move over; drop, since it is there; put there too
	if err := each(ctx, t, func(r row) error {
		var seq int64
		var kept, there bool
		err := r.Scan(&seq, &kept, &there)
		switch {
		case kept && !there:
			both = append(both, seq)
		case !kept && there:
			double = append(double, seq)
		case !kept:
			move = append(move, seq)
		}
		return err
	}, `SELECT d.message_seq,
		  `+held("d.message_seq", "$1", "$4", "$3")+`,
		  EXISTS (SELECT 1 FROM deliveries e WHERE e.otys_folder_id = $2 AND e.message_seq = d.message_seq)
		FROM deliveries d WHERE d.otys_folder_id = $1
		AND EXISTS (SELECT 1 FROM placements p WHERE p.message_seq = d.message_seq AND p.mapping_id = $3)`, a.from, a.to, a.mappingID, userID); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `INSERT INTO deliveries(otys_folder_id, message_seq, org_id, user_id, received_at, unread, sent, created_at)
		SELECT CAST($1 AS TEXT), message_seq, org_id, user_id, received_at, unread, sent, CAST($2 AS BIGINT)
		FROM deliveries WHERE otys_folder_id = $3 AND message_seq IN `+t.s.inNumbers("$4"), a.to, t.at, a.from, list(both)); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM deliveries WHERE otys_folder_id = $1 AND message_seq IN `+t.s.inNumbers("$2"), a.from, list(double)); err != nil {
		return err
	}
	_, err := t.exec(ctx, `UPDATE deliveries SET otys_folder_id = $1 WHERE otys_folder_id = $2 AND message_seq IN `+t.s.inNumbers("$3"),
		a.to, a.from, list(move))
	return err
}
