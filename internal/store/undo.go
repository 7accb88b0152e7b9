package store

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// Undoing a mapping takes back what it alone brought in: afterwards the OTYS
// mailbox is as if the folder had never been mapped. The row goes at once, the
// mail in steps, each a transaction of its own, so that a long undo holds nobody
// up and goes on after a crash.

// keepUndos is how long an undo that is finished is told of.
const keepUndos = 24 * time.Hour

// Undo takes a mapping's row away, with those of the subfolders that follow it and
// what lies in their quarantine, and begins to take back what they brought in
// (see UndoStep). Conflict "mapping.error.undo_subfolder" for a row that follows
// another: it would come again.
func (s *Store) Undo(ctx context.Context, orgID, mappingID string, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		m, err := one(ctx, t, scanMapping, `SELECT `+mappingColumns+` FROM mappings WHERE id = $1 AND org_id = $2`, mappingID, orgID)
		if err != nil {
			return err
		}
		box, err := t.lockMailbox(ctx, m.MailboxID)
		if err != nil {
			return err
		}
		family, err := all(ctx, t, scanMapping, `SELECT `+mappingColumns+` FROM mappings
			WHERE mailbox_id = $1 AND (id = $2 OR parent_id = $2) ORDER BY created_at, id`, box.ID, mappingID)
		switch {
		case err != nil:
			return err
		case len(family) == 0:
			return mailroom.E(mailroom.NotFound, "error.not_found")
		case m.ParentID != "":
			return mailroom.E(mailroom.Conflict, "mapping.error.undo_subfolder").With("folder", m.Name)
		}
		for _, m := range family {
			if _, err := t.exec(ctx, `INSERT INTO undos(mapping_id, org_id, mailbox_id, user_id, otys_folder_id, name, total, started_at)
				SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT), CAST($6 AS TEXT),
				  COUNT(*), CAST($7 AS BIGINT) FROM placements WHERE mapping_id = $1`,
				m.ID, m.OrgID, box.ID, box.UserID, m.OTYSFolderID, m.Name, t.at); err != nil {
				return err
			}
			if err := t.removeMapping(ctx, m.ID); err != nil {
				return err
			}
		}
		if err := t.remapped(ctx, box, true); err != nil {
			return err
		}
		return t.audit(ctx, ev)
	})
}

const undoColumns = `mapping_id, org_id, mailbox_id, user_id, otys_folder_id, name, total, done, kept, started_at, finished_at`

func scanUndo(r row) (u mailroom.Undo, err error) {
	err = r.Scan(&u.MappingID, &u.OrgID, &u.MailboxID, &u.UserID, &u.OTYSFolderID, &u.Name, &u.Total, &u.Done, &u.Kept,
		at(&u.StartedAt), at(&u.FinishedAt))
	return u, err
}

// Undos are the mappings of a mailbox that are being taken back, and those that
// have been within a day, the newest first.
func (s *Store) Undos(ctx context.Context, mailboxID string) ([]mailroom.Undo, error) {
	return all(ctx, s.read(), scanUndo, `SELECT `+undoColumns+` FROM undos WHERE mailbox_id = $1 AND (finished_at = 0 OR finished_at > $2)
		ORDER BY started_at DESC, mapping_id`, mailboxID, mailroom.Micros(s.now().Add(-keepUndos)))
}

// UndoCounts foretells an undo: how many mails a mapping, with those that follow
// it, alone brought in, and how many would stay since something else brings them
// too.
func (s *Store) UndoCounts(ctx context.Context, orgID, mappingID string) (take, keep int64, err error) {
	const family = `SELECT f.id FROM mappings f JOIN mappings m ON m.mailbox_id = f.mailbox_id AND (f.id = m.id OR f.parent_id = m.id)
		WHERE m.id = $1 AND m.org_id = $2`
	err = s.view(ctx, func(q runner) error {
		user, err := value[string](ctx, q, `SELECT b.user_id FROM mappings m JOIN mailboxes b ON b.id = m.mailbox_id
			WHERE m.id = $1 AND m.org_id = $2`, mappingID, orgID)
		if err != nil {
			return err
		}
		return each(ctx, q, func(r row) error {
			var n int64
			var stays bool
			err := r.Scan(&stays, &n)
			if stays {
				keep = n
			} else {
				take = n
			}
			return err
		}, `SELECT v.stays, COUNT(*) FROM (SELECT EXISTS (
			  SELECT 1 FROM placements p JOIN mailboxes b ON b.id = p.mailbox_id LEFT JOIN mappings m ON m.id = p.mapping_id
			  WHERE p.message_seq = x.message_seq AND b.user_id = $3 AND p.mapping_id NOT IN (`+family+`)
			  AND (p.gone_at = 0 AND m.id IS NOT NULL OR m.removal = 'keep'
			    OR m.id IS NULL AND NOT EXISTS (SELECT 1 FROM undos u WHERE u.mapping_id = p.mapping_id))) AS stays
			FROM (SELECT DISTINCT o.message_seq FROM placements o WHERE o.mapping_id IN (`+family+`)) x
			WHERE EXISTS (SELECT 1 FROM deliveries d WHERE d.message_seq = x.message_seq AND d.user_id = $3)) v GROUP BY v.stays`,
			mappingID, orgID, user)
	})
	return take, keep, err
}

// UndoStep goes on with the oldest undo that no other node is at: it takes back
// up to about limit placements in one transaction. worked is false when there is
// nothing to be undone.
func (s *Store) UndoStep(ctx context.Context, limit int) (worked bool, err error) {
	// Asked in vain most of the time: that must not cost a turn of the one writer.
	open, err := value[bool](ctx, s.read(), `SELECT EXISTS (SELECT 1 FROM undos WHERE finished_at = 0)`)
	if err != nil || !open {
		return false, err
	}
	err = s.tx(ctx, func(t *tx) error {
		us, err := all(ctx, t, scanUndo, `SELECT `+undoColumns+` FROM undos WHERE finished_at = 0
			ORDER BY started_at, mapping_id LIMIT 1`+s.forClaim("undos"))
		worked = len(us) > 0
		if err != nil || !worked {
			return err
		}
		return t.undo(ctx, us[0], limit)
	})
	if err != nil {
		return false, err
	}
	return worked, nil
}

func (t *tx) undo(ctx context.Context, u mailroom.Undo, limit int) error {
	// Nobody may map the folder anew, or file into the mailbox, in the middle of it.
	if _, err := values[string](ctx, t, `SELECT id FROM mailboxes WHERE id = $1`+t.s.forUpdate(), u.MailboxID); err != nil {
		return err
	}
	if err := t.lockPeople(ctx, u.OrgID); err != nil {
		return err
	}
	t.notify(TopicUser(u.UserID), TopicOrg(u.OrgID))
	// All places of a message at once, so that it counts once.
	seqs, err := values[int64](ctx, t, `SELECT DISTINCT x.message_seq FROM (SELECT message_seq FROM placements WHERE mapping_id = $1 LIMIT $2) x`,
		u.MappingID, limit)
	if err != nil {
		return err
	}
	if len(seqs) == 0 {
		// What is missing to the total was mapped again meanwhile.
		_, err := t.exec(ctx, `UPDATE undos SET done = total, finished_at = $1 WHERE mapping_id = $2`, t.at, u.MappingID)
		return err
	}
	if err := t.takeBack(ctx, u, seqs); err != nil {
		return err
	}
	done, err := t.exec(ctx, `DELETE FROM placements WHERE mapping_id = $1 AND message_seq IN `+t.s.inNumbers("$2"), u.MappingID, list(seqs))
	if err != nil {
		return err
	}
	kept, err := value[int64](ctx, t, `SELECT COUNT(DISTINCT message_seq) FROM deliveries WHERE message_seq IN `+t.s.inNumbers("$1")+` AND user_id = $2`,
		list(seqs), u.UserID)
	if err != nil {
		return err
	}
	if _, err := t.dropOrphans(ctx, u.OrgID, seqs); err != nil {
		return err
	}
	_, err = t.exec(ctx, `UPDATE undos SET done = done + $1, kept = kept + $2 WHERE mapping_id = $3`, done, kept, u.MappingID)
	return err
}

// takeBack takes messages out of the OTYS folder of an undo that nothing else
// holds there. One that had come from another mapped folder of the user, which
// keeps what is removed from it, goes back to where that one had brought it.
func (t *tx) takeBack(ctx context.Context, u mailroom.Undo, seqs []int64) error {
	back := map[string][]int64{} // by folder; "" for nowhere
	if err := each(ctx, t, func(r row) error {
		var seq int64
		var to string
		err := r.Scan(&seq, &to)
		back[to] = append(back[to], seq)
		return err
	}, `SELECT d.message_seq, COALESCE((SELECT MIN(m.otys_folder_id) FROM placements p JOIN mailboxes b ON b.id = p.mailbox_id
		    JOIN mappings m ON m.id = p.mapping_id WHERE p.message_seq = d.message_seq AND b.user_id = $3
		    AND m.otys_folder_id <> $1 AND m.removal = 'keep' AND p.gone_at <> 0
		    AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.message_seq = d.message_seq AND e.user_id = $3 AND e.otys_folder_id <> $1)), '')
		FROM deliveries d WHERE d.otys_folder_id = $1 AND d.message_seq IN `+t.s.inNumbers("$2")+`
		AND NOT `+held("d.message_seq", "$1", "$3", "$4"), u.OTYSFolderID, list(seqs), u.UserID, u.MappingID); err != nil {
		return err
	}
	counted := map[string]tally{}
	for to, some := range back {
		text, args := `DELETE FROM deliveries`, []any{u.OTYSFolderID, list(some)}
		if to != "" {
			text, args = `UPDATE deliveries SET otys_folder_id = $3`, append(args, to)
		}
		unread, err := values[bool](ctx, t, text+` WHERE otys_folder_id = $1 AND message_seq IN `+t.s.inNumbers("$2")+` RETURNING unread`, args...)
		if err != nil {
			return err
		}
		n := tallied(unread)
		counted[u.OTYSFolderID] = counted[u.OTYSFolderID].minus(n)
		if to != "" {
			counted[to] = counted[to].plus(n)
		}
	}
	return t.count(ctx, counted)
}
