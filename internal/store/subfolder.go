package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"mailroom/internal/mailroom"
)

// A mapping may say "and its subfolders, also future ones". Each subfolder then
// has a row of its own that follows it: where it goes, from which date, what
// becomes of removed mail and whether it is paused are its parent's, the progress
// is its own.

// family is the mapping rows of a mailbox as they shall be: those that a person
// made, and those that follow them.
type family struct {
	persons  []mailroom.Mapping
	children []mailroom.Mapping
	leftOut  map[string]int // by id of the parent
}

// follow works out which rows follow persons, given the rows that there are
// (before) and the folders as last listed. The nearest mapping above a folder is
// the one that it follows. A row that follows keeps doing so when its folder is
// gone or has moved elsewhere, as long as its parent asks for it.
func follow(persons, before []mailroom.Mapping, folders []mailroom.Folder) family {
	f := family{persons: persons, leftOut: map[string]int{}}
	byID, taken, known := map[string]mailroom.Mapping{}, map[string]bool{}, map[string]mailroom.Mapping{}
	var parents []mailroom.Mapping
	for _, m := range persons {
		taken[m.RawName] = true
		if m.Subfolders {
			byID[m.ID], parents = m, append(parents, m)
		}
	}
	if len(parents) == 0 {
		return f
	}
	for _, m := range before {
		known[m.RawName] = m
	}
	// Those that there are come first, so that a new folder never pushes one out.
	var fresh []mailroom.Mapping
	for _, folder := range folders {
		parent, ok := nearest(parents, folder)
		if taken[folder.RawName] || !ok || !brought(folder) {
			continue
		}
		taken[folder.RawName] = true
		was, there := known[folder.RawName]
		m := childOf(parent, was)
		m.RawName, m.Name, m.ObjectID = folder.RawName, folder.Name, cmp.Or(folder.ObjectID, was.ObjectID)
		if there {
			f.children = append(f.children, m)
		} else {
			fresh = append(fresh, m)
		}
	}
	for _, m := range before {
		if parent, ok := byID[m.ParentID]; ok && !taken[m.RawName] {
			f.children = append(f.children, childOf(parent, m))
		}
	}
	room := max(mailroom.MaxSubfolders-len(f.children), 0)
	for _, m := range fresh[min(room, len(fresh)):] {
		f.leftOut[m.ParentID]++
	}
	f.children = append(f.children, fresh[:min(room, len(fresh))]...)
	return f
}

// nearest is the closest of the mappings that a folder lies below.
func nearest(parents []mailroom.Mapping, f mailroom.Folder) (found mailroom.Mapping, ok bool) {
	for _, m := range parents {
		if below(f, m.RawName) && (!ok || len(m.RawName) > len(found.RawName)) {
			found, ok = m, true
		}
	}
	return found, ok
}

// below reports whether a folder lies below the one of that raw name. INBOX has
// no case (RFC 3501 §5.1), and some servers write it otherwise before a delimiter.
func below(f mailroom.Folder, rawName string) bool {
	name, above := mailroom.FolderBytes(f.RawName), mailroom.FolderBytes(rawName)
	n := len(above)
	if f.Delimiter == "" || len(name) <= n+len(f.Delimiter) || name[n:n+len(f.Delimiter)] != f.Delimiter {
		return false
	}
	return name[:n] == above || strings.EqualFold(above, "INBOX") && strings.EqualFold(name[:n], above)
}

// brought reports whether a folder comes along with the one above it. Where all
// folders lie below INBOX, "and its subfolders" means neither drafts nor what
// was thrown away: whoever wants those maps them.
func brought(f mailroom.Folder) bool {
	switch f.Role {
	case mailroom.RoleTrash, mailroom.RoleJunk, mailroom.RoleDrafts:
		return false
	}
	return f.Mappable()
}

// childOf is the row that follows parent; was is what there is of it.
func childOf(parent, was mailroom.Mapping) mailroom.Mapping {
	was.OrgID, was.MailboxID, was.ParentID = parent.OrgID, parent.MailboxID, parent.ID
	was.OTYSFolderID, was.Since, was.Removal, was.Paused, was.Subfolders = parent.OTYSFolderID, parent.Since, parent.Removal, parent.Paused, false
	return was
}

// foldersOf are a mailbox's folders by name.
func foldersOf(ctx context.Context, q runner, mailboxID string) ([]mailroom.Folder, error) {
	return all(ctx, q, scanFolder, `SELECT `+folderColumns+` FROM folders WHERE mailbox_id = $1 ORDER BY name, raw_name`, mailboxID)
}

func hasSubfolders(rows []mailroom.Mapping) bool {
	return slices.ContainsFunc(rows, func(m mailroom.Mapping) bool { return m.Subfolders })
}

// family is follow with the folders as last listed. Rows that are new get ids.
func (t *tx) family(ctx context.Context, mailboxID string, persons, before []mailroom.Mapping) (family, error) {
	if !hasSubfolders(persons) {
		return family{persons: persons}, nil
	}
	folders, err := foldersOf(ctx, t, mailboxID)
	if err != nil {
		return family{}, err
	}
	f := follow(persons, before, folders)
	for i := range f.children {
		if c := &f.children[i]; c.ID == "" {
			c.ID = mailroom.NewID(mailroom.PrefixMapping)
			c.CreatedAt = mailroom.FromMicros(t.at + int64(i)) // what rows are sorted by
		}
	}
	return f, nil
}

// ExpandSubfolders gives every listed folder below a mapping with subfolders that
// has no row yet one that follows it, and returns how many. The version of the
// rows stays: what a person has open on the page is not touched by it.
func (s *Store) ExpandSubfolders(ctx context.Context, c mailroom.Claim) (added int, err error) {
	// Mostly nobody asks for it, which costs no turn of the writer.
	asked, err := value[bool](ctx, s.read(), `SELECT EXISTS (SELECT 1 FROM mappings WHERE mailbox_id = $1 AND subfolders)`, c.MailboxID)
	if err != nil || !asked {
		return 0, err
	}
	err = s.tx(ctx, func(t *tx) error {
		added = 0
		f, err := t.fenceAs(ctx, c, s.forUpdate())
		if err != nil {
			return err
		}
		before, err := mappingsOf(ctx, t, c.MailboxID)
		if err != nil {
			return err
		}
		known := map[string]bool{}
		for _, m := range before {
			known[m.RawName] = true
		}
		is, err := t.family(ctx, c.MailboxID, personsRows(before), before)
		if err != nil {
			return err
		}
		fresh := slices.DeleteFunc(is.children, func(m mailroom.Mapping) bool { return known[m.RawName] })
		added = len(fresh)
		recount, err := t.addMappings(ctx, f.userID, fresh)
		if err != nil {
			return err
		}
		if err := t.auditSubfolders(ctx, is.persons, fresh); err != nil {
			return err
		}
		return t.recountFolders(ctx, recount)
	})
	if err != nil {
		return 0, err
	}
	return added, nil
}

// personsRows are the rows that a person made.
func personsRows(rows []mailroom.Mapping) []mailroom.Mapping {
	return slices.DeleteFunc(slices.Clone(rows), func(m mailroom.Mapping) bool { return m.ParentID != "" })
}

// maxAudited bounds the names that one event of the history lists.
const maxAudited = 50

// auditSubfolders tells of rows that came along with others, one event for each
// parent.
func (t *tx) auditSubfolders(ctx context.Context, parents, fresh []mailroom.Mapping) error {
	for _, p := range parents {
		var names []string
		for _, m := range fresh {
			if m.ParentID == p.ID {
				names = append(names, m.Name)
			}
		}
		if len(names) == 0 {
			continue
		}
		// Below what a person did in the same transaction.
		when := mailroom.FromMicros(t.at - 1)
		if err := t.audit(ctx, mailroom.AuditEvent{OrgID: p.OrgID, At: when, Action: "mapping.subfolder_added", Subject: p.ID, Details: map[string]any{
			"folder": p.Name, "folders": names[:min(len(names), maxAudited)], "added": len(names),
		}}); err != nil {
			return err
		}
	}
	return nil
}

// leftOut are the subfolders that got no row since there are too many, by the id
// of the mapping that asks for them.
func leftOut(ctx context.Context, q runner, mappings []mailroom.Mapping) (map[string]int, error) {
	byBox := map[string][]mailroom.Mapping{}
	for _, m := range mappings {
		byBox[m.MailboxID] = append(byBox[m.MailboxID], m)
	}
	out := map[string]int{}
	for id, rows := range byBox {
		persons := personsRows(rows)
		if len(rows)-len(persons) < mailroom.MaxSubfolders {
			continue
		}
		folders, err := foldersOf(ctx, q, id)
		if err != nil {
			return nil, err
		}
		for parent, n := range follow(persons, rows, folders).leftOut {
			out[parent] = n
		}
	}
	return out, nil
}
