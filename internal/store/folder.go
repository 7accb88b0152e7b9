package store

import (
	"context"
	"maps"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// Folders returns the folders of a mailbox as last listed, those gone included.
func (s *Store) Folders(ctx context.Context, mailboxID string) ([]mailroom.Folder, error) {
	return foldersOf(ctx, s.read(), mailboxID)
}

// SaveFolders replaces the list of a mailbox's folders; those not in it are
// marked gone, which they stay until they are listed again. Counts that the
// server did not say (-1, 0 for UIDVALIDITY) leave the known ones standing.
// No signal goes out: the page that asks for the list would ask for ever.
func (s *Store) SaveFolders(ctx context.Context, mailboxID string, folders []mailroom.Folder, now time.Time) error {
	return s.tx(ctx, func(t *tx) error {
		n, err := t.exec(ctx, `UPDATE mailboxes SET folders_listed_at = $1 WHERE id = $2`, mailroom.Micros(now), mailboxID)
		if err != nil {
			return err
		}
		if n == 0 {
			return mailroom.E(mailroom.NotFound, "error.not_found")
		}
		vals := make([][]any, 0, len(folders))
		seen := map[string]bool{}
		for _, f := range folders {
			if seen[f.RawName] { // a server may list one twice; the key may not
				continue
			}
			seen[f.RawName] = true
			path := slices.Clone(f.Path)
			for i := range path {
				path[i] = clean(path[i])
			}
			vals = append(vals, []any{mailboxID, f.RawName, clean(f.Name), asText(path), f.Delimiter, string(f.Role),
				f.Selectable, f.Messages, f.Unseen, f.Size, f.UIDValidity, f.UIDNext, clean(f.ObjectID), mailroom.Micros(now)})
		}
		if err := t.insert(ctx, `INSERT INTO folders(mailbox_id, raw_name, name, path, delimiter, role, selectable,
			  messages, unseen, size, uid_validity, uid_next, object_id, listed_at) VALUES `, ` ON CONFLICT (mailbox_id, raw_name) DO UPDATE SET
			  name = excluded.name, path = excluded.path, delimiter = excluded.delimiter, role = excluded.role, selectable = excluded.selectable,
			  messages = CASE WHEN excluded.messages >= 0 THEN excluded.messages ELSE folders.messages END,
			  unseen = CASE WHEN excluded.unseen >= 0 THEN excluded.unseen ELSE folders.unseen END,
			  size = CASE WHEN excluded.size >= 0 THEN excluded.size ELSE folders.size END,
			  uid_validity = CASE WHEN excluded.uid_validity > 0 THEN excluded.uid_validity ELSE folders.uid_validity END,
			  uid_next = CASE WHEN excluded.uid_next > 0 THEN excluded.uid_next ELSE folders.uid_next END,
			  object_id = excluded.object_id, listed_at = excluded.listed_at, gone_at = 0`, vals); err != nil {
			return err
		}
		names := slices.Collect(maps.Keys(seen))
		_, err = t.exec(ctx, `UPDATE folders SET gone_at = $1 WHERE mailbox_id = $2 AND gone_at = 0 AND NOT raw_name IN `+s.in("$3"),
			mailroom.Micros(now), mailboxID, list(names))
		return err
	})
}
