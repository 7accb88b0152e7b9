package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// A mapping follows its folder: what was read of it under the old name is the
// new name's.

// NoteObjectID keeps the identity that the server gives a mapped folder, by which
// it is found again under another name. Empty forgets it.
func (s *Store) NoteObjectID(ctx context.Context, c mailroom.Claim, mappingID, objectID string) error {
	return s.tx(ctx, func(t *tx) error {
		if _, err := t.fence(ctx, c); err != nil {
			return err
		}
		_, err := t.exec(ctx, `UPDATE mappings SET object_id = $1 WHERE id = $2 AND mailbox_id = $3`, clean(objectID), mappingID, c.MailboxID)
		return err
	})
}

// FollowFolder gives a mapping whose folder was renamed or moved on the server
// its new name, with all that was read under the old one. A row that followed
// another mapping and stands at the new name gives way; Conflict
// "mapping.error.followed" when a person mapped the new name. What was read under
// the new name in the same generation, by that row or in an earlier life, is of
// the same folder, and one with what the mapping has. NotFound
// "mapping.error.removed" when the mapping is gone.
func (s *Store) FollowFolder(ctx context.Context, c mailroom.Claim, mappingID string, to mailroom.Folder) error {
	return s.tx(ctx, func(t *tx) error {
		f, err := t.fenceAs(ctx, c, s.forUpdate())
		if err != nil {
			return err
		}
		ms, err := all(ctx, t, scanMapping, `SELECT `+mappingColumns+` FROM mappings WHERE mailbox_id = $1 AND (id = $2 OR raw_name = $3)`,
			c.MailboxID, mappingID, to.RawName)
		if err != nil {
			return err
		}
		var m, there mailroom.Mapping
		for _, v := range ms {
			if v.ID == mappingID {
				m = v
			} else {
				there = v
			}
		}
		switch {
		case m.ID == "":
			return mailroom.E(mailroom.NotFound, "mapping.error.removed")
		case m.RawName == to.RawName:
			return nil
		case there.ID != "" && there.ParentID == "":
			return mailroom.E(mailroom.Conflict, "mapping.error.followed").With("folder", m.Name).With("to", clean(to.Name))
		}
		if there.ID != "" {
			if err := t.giveWay(ctx, f.userID, there, m); err != nil {
				return err
			}
		}
		if err := t.rename(ctx, f.userID, m, to); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE mailboxes SET mappings_version = mappings_version + 1 WHERE id = $1`, c.MailboxID); err != nil {
			return err
		}
		return t.audit(ctx, mailroom.AuditEvent{OrgID: m.OrgID, Action: "mapping.followed", Subject: m.ID,
			Details: map[string]any{"from": m.Name, "to": clean(to.Name)}})
	})
}

// giveWay takes away the row of a subfolder that m follows to: what it brought is
// m's from now on.
func (t *tx) giveWay(ctx context.Context, userID string, child, m mailroom.Mapping) error {
	if child.OTYSFolderID != m.OTYSFolderID {
		if _, err := t.exec(ctx, `UPDATE mappings SET otys_folder_id = $1 WHERE id = $2`, m.OTYSFolderID, child.ID); err != nil {
			return err
		}
		if err := t.moveDeliveries(ctx, userID, aiming{child.ID, child.OTYSFolderID, m.OTYSFolderID}); err != nil {
			return err
		}
		if err := t.recountFolders(ctx, []string{child.OTYSFolderID, m.OTYSFolderID}); err != nil {
			return err
		}
	}
	for _, table := range []string{"placements", "quarantine"} {
		if _, err := t.exec(ctx, `UPDATE `+table+` SET mapping_id = $1 WHERE mapping_id = $2`, m.ID, child.ID); err != nil {
			return err
		}
	}
	return t.removeMapping(ctx, child.ID)
}

// rename moves what was read under the old name of m to the new one, where
// something may lie already.
func (t *tx) rename(ctx context.Context, userID string, m mailroom.Mapping, to mailroom.Folder) error {
	generation, err := value[uint32](ctx, t, `SELECT COALESCE(MAX(uid_validity), 0) FROM progress WHERE mapping_id = $1`, m.ID)
	if err != nil {
		return err
	}
	is := m
	is.RawName = to.RawName
	recount, err := t.adoptPlacements(ctx, userID, is, generation)
	if err != nil {
		return err
	}
	for _, table := range []string{"placements", "quarantine"} {
		// The same UID of the same generation is the same mail: the row stays that
		// has been followed all along.
		if _, err := t.exec(ctx, `DELETE FROM `+table+` WHERE mailbox_id = $1 AND raw_name = $2 AND EXISTS (SELECT 1 FROM `+table+` o
			WHERE o.mailbox_id = $1 AND o.raw_name = $3 AND o.uid_validity = `+table+`.uid_validity AND o.uid = `+table+`.uid)`,
			m.MailboxID, to.RawName, m.RawName); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE `+table+` SET raw_name = $1 WHERE mailbox_id = $2 AND raw_name = $3`,
			to.RawName, m.MailboxID, m.RawName); err != nil {
			return err
		}
	}
	if _, err := t.exec(ctx, `UPDATE mappings SET raw_name = $1, name = $2, followed_from = $3, followed_at = $4,
		object_id = CASE WHEN $5 = '' THEN object_id ELSE $5 END WHERE id = $6`,
		to.RawName, clean(to.Name), m.Name, t.at, clean(to.ObjectID), m.ID); err != nil {
		return err
	}
	return t.recountFolders(ctx, recount)
}

// SeenFollowed clears the notice that a mapping followed its folder: a person
// has seen it.
func (s *Store) SeenFollowed(ctx context.Context, orgID, mappingID string) error {
	return s.tx(ctx, func(t *tx) error {
		users, err := values[string](ctx, t, `SELECT b.user_id FROM mappings m JOIN mailboxes b ON b.id = m.mailbox_id
			WHERE m.id = $1 AND m.org_id = $2`, mappingID, orgID)
		if err != nil {
			return err
		}
		if len(users) == 0 {
			return mailroom.E(mailroom.NotFound, "error.not_found")
		}
		t.notify(TopicUser(users[0]), TopicOrg(orgID))
		_, err = t.exec(ctx, `UPDATE mappings SET followed_from = '', followed_at = 0 WHERE id = $1`, mappingID)
		return err
	})
}
