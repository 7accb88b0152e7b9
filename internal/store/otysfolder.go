package store

import (
	"context"

	"mailroom/internal/mailroom"
)

const otysFolderColumns = `id, org_id, user_id, name, role, total, unread, created_at`

func scanOTYSFolder(r row) (f mailroom.OTYSFolder, err error) {
	err = r.Scan(&f.ID, &f.OrgID, &f.UserID, &f.Name, &f.Role, &f.Total, &f.Unread, at(&f.CreatedAt))
	return f, err
}

// OTYSFolders lists the folders of a user's OTYS mailbox: Inbox and Sent items,
// then the added ones by name.
func (s *Store) OTYSFolders(ctx context.Context, userID string) ([]mailroom.OTYSFolder, error) {
	return all(ctx, s.read(), scanOTYSFolder, `SELECT `+otysFolderColumns+` FROM otys_folders WHERE user_id = $1
		ORDER BY CASE role WHEN 'inbox' THEN 0 WHEN 'sent' THEN 1 ELSE 2 END, lower(name), id`, userID)
}

// AddOTYSFolder adds a folder. Conflict "folder.error.name_taken" when the user
// has one of that name, whatever the case.
func (s *Store) AddOTYSFolder(ctx context.Context, f mailroom.OTYSFolder, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		same, err := value[int](ctx, t, `SELECT COUNT(*) FROM otys_folders WHERE user_id = $1 AND lower(name) = lower($2)`, f.UserID, clean(f.Name))
		if err != nil {
			return err
		}
		added := int64(0)
		if same == 0 {
			if added, err = t.addOTYSFolder(ctx, f); err != nil {
				return err
			}
		}
		if added == 0 {
			return mailroom.E(mailroom.Conflict, "folder.error.name_taken").On("name").With("name", f.Name)
		}
		t.notify(TopicUser(f.UserID))
		return t.audit(ctx, ev)
	})
}

func (t *tx) addOTYSFolder(ctx context.Context, f mailroom.OTYSFolder) (added int64, err error) {
	return t.exec(ctx, `INSERT INTO otys_folders(id, org_id, user_id, name, role, created_at) VALUES ($1,$2,$3,$4,$5,$6)
		ON CONFLICT (user_id, name) DO NOTHING`, f.ID, f.OrgID, f.UserID, clean(f.Name), string(f.Role), mailroom.Micros(f.CreatedAt))
}

// recountFolders makes the counters of folders true after a move of many mails.
// They are kept for the transaction first: a mail that is marked read meanwhile
// counts once, before or after.
func (t *tx) recountFolders(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	if _, err := values[string](ctx, t, `SELECT id FROM otys_folders WHERE id IN `+t.s.in("$1")+` ORDER BY id`+t.s.forUpdate(), list(ids)); err != nil {
		return err
	}
	_, err := t.exec(ctx, `UPDATE otys_folders SET
		total = (SELECT COUNT(*) FROM deliveries d WHERE d.otys_folder_id = otys_folders.id),
		unread = (SELECT COUNT(*) FROM deliveries d WHERE d.otys_folder_id = otys_folders.id AND d.unread)
		WHERE id IN `+t.s.in("$1"), list(ids))
	return err
}
