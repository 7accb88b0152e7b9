package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// MappingRows returns a mailbox's mappings with all that is known of them, in
// the order in which they were made.
func (s *Store) MappingRows(ctx context.Context, mailboxID string) ([]mailroom.MappingRow, error) {
	return s.mappingRows(ctx, `= $1`, mailboxID)
}

// MappingRowsOfOrg returns the mappings of every mailbox of an organization that
// is not retired.
func (s *Store) MappingRowsOfOrg(ctx context.Context, orgID string) ([]mailroom.MappingRow, error) {
	return s.mappingRows(ctx, `IN (SELECT id FROM mailboxes WHERE org_id = $1 AND retired_at = 0)`, orgID)
}

// mappingRows reads everything in five statements, however many mailboxes there
// are; which is the condition on mailbox_id.
func (s *Store) mappingRows(ctx context.Context, which, arg string) (out []mailroom.MappingRow, err error) {
	err = s.view(ctx, func(q runner) error {
		mappings, err := all(ctx, q, scanMapping, `SELECT `+mappingColumns+` FROM mappings WHERE mailbox_id `+which+` ORDER BY created_at, id`, arg)
		if err != nil {
			return err
		}
		progress := map[string]mailroom.Progress{}
		ps, err := all(ctx, q, scanProgress, `SELECT `+progressColumns+` FROM progress WHERE mailbox_id `+which, arg)
		for _, p := range ps {
			progress[p.MappingID] = p
		}
		if err != nil {
			return err
		}
		folders, err := otysFoldersOf(ctx, q, which, arg)
		if err != nil {
			return err
		}
		runs, err := lastRuns(ctx, q, which, arg)
		if err != nil {
			return err
		}
		gone, err := goneFolders(ctx, q, which, arg)
		if err != nil {
			return err
		}
		left, err := leftOut(ctx, q, mappings)
		if err != nil {
			return err
		}
		out = make([]mailroom.MappingRow, 0, len(mappings))
		for _, m := range mappings {
			r := mailroom.MappingRow{
				Mapping: m, Progress: progress[m.ID], OTYSFolder: folders[m.OTYSFolderID], Gone: gone[folderKey{m.MailboxID, m.RawName}],
				LeftOut: left[m.ID],
			}
			if run, ok := runs[m.ID]; ok {
				r.LastRun = &run
			}
			r.Progress.MappingID, r.Progress.MailboxID = m.ID, m.MailboxID
			out = append(out, r)
		}
		return nil
	})
	return out, err
}

func otysFoldersOf(ctx context.Context, q runner, which, arg string) (map[string]mailroom.OTYSFolder, error) {
	fs, err := all(ctx, q, scanOTYSFolder, `SELECT `+otysFolderColumns+` FROM otys_folders
		WHERE id IN (SELECT otys_folder_id FROM mappings WHERE mailbox_id `+which+`)`, arg)
	out := map[string]mailroom.OTYSFolder{}
	for _, f := range fs {
		out[f.ID] = f
	}
	return out, err
}

func lastRuns(ctx context.Context, q runner, which, arg string) (map[string]mailroom.SyncRun, error) {
	rs, err := all(ctx, q, scanRun, `SELECT `+runColumns+` FROM runs WHERE id IN (
		SELECT (SELECT r.id FROM runs r WHERE r.mapping_id = m.id ORDER BY r.started_at DESC LIMIT 1)
		FROM mappings m WHERE m.mailbox_id `+which+`)`, arg)
	out := map[string]mailroom.SyncRun{}
	for _, r := range rs {
		out[r.MappingID] = r
	}
	return out, err
}

type folderKey struct{ mailboxID, rawName string }

func goneFolders(ctx context.Context, q runner, which, arg string) (map[folderKey]bool, error) {
	out := map[folderKey]bool{}
	err := each(ctx, q, func(r row) error {
		var k folderKey
		err := r.Scan(&k.mailboxID, &k.rawName)
		out[k] = true
		return err
	}, `SELECT mailbox_id, raw_name FROM folders WHERE gone_at <> 0 AND mailbox_id `+which, arg)
	return out, err
}

// mappingsOf are a mailbox's mappings in the order in which they were made.
func mappingsOf(ctx context.Context, q runner, mailboxID string) ([]mailroom.Mapping, error) {
	return all(ctx, q, scanMapping, `SELECT `+mappingColumns+` FROM mappings WHERE mailbox_id = $1 ORDER BY created_at, id`, mailboxID)
}

// MappingByID returns a mapping of an organization.
func (s *Store) MappingByID(ctx context.Context, orgID, id string) (mailroom.Mapping, error) {
	return one(ctx, s.read(), scanMapping, `SELECT `+mappingColumns+` FROM mappings WHERE id = $1 AND org_id = $2`, id, orgID)
}

// PauseMapping pauses a mapping or lets it go on, and the rows that follow it.
func (s *Store) PauseMapping(ctx context.Context, orgID, id string, paused bool, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		m, err := one(ctx, t, scanMapping, `SELECT `+mappingColumns+` FROM mappings WHERE id = $1 AND org_id = $2`, id, orgID)
		if err != nil {
			return err
		}
		box, err := t.lockMailbox(ctx, m.MailboxID)
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE mappings SET paused = $1 WHERE mailbox_id = $3 AND (id = $2 OR parent_id = $2)`,
			paused, id, box.ID); err != nil {
			return err
		}
		if err := t.remapped(ctx, box, paused); err != nil {
			return err
		}
		return t.audit(ctx, ev)
	})
}

// remapped says that the rows of a mailbox have changed. With evict, whoever
// reads it must not store one more thing by the old ones.
func (t *tx) remapped(ctx context.Context, box mailroom.Mailbox, evict bool) error {
	if _, err := t.exec(ctx, `UPDATE mailboxes SET mappings_version = mappings_version + 1 WHERE id = $1`, box.ID); err != nil {
		return err
	}
	if evict {
		if err := t.evict(ctx, box.ID); err != nil {
			return err
		}
	}
	t.notify(TopicUser(box.UserID), TopicOrg(box.OrgID))
	return t.want(ctx, box.ID)
}

// Runs are the last readings of a mapping, newest first.
func (s *Store) Runs(ctx context.Context, orgID, mappingID string, limit int) ([]mailroom.SyncRun, error) {
	return all(ctx, s.read(), scanRun, `SELECT `+runColumns+` FROM runs WHERE mapping_id = $1 AND org_id = $2
		ORDER BY started_at DESC LIMIT $3`, mappingID, orgID, limit)
}
