package app

import (
	"context"
	"slices"
	"time"

	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
)

const (
	// askLimit is how long a person waits for a search of the whole mailbox, and
	// askFolders how many folders it goes through.
	askLimit   = 20 * time.Second
	askFolders = 60
)

// ask looks into the folders of a mailbox for mails of which any of the terms
// holds, the inbox first. Folders are only examined. What there was no time for
// has no At.
func (o *mailboxes) ask(ctx context.Context, m mailroom.Mailbox, anyOf []mailroom.FindTerms) ([]mailroom.FolderFind, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	conn, err := o.visit(ctx, m)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	folders, err := conn.Folders(ctx)
	if err != nil {
		return nil, err
	}
	folders = slices.DeleteFunc(folders, func(f mailroom.Folder) bool { return !f.Mappable() })
	slices.SortStableFunc(folders, func(a, b mailroom.Folder) int {
		switch {
		case a.Role == mailroom.RoleInbox && b.Role != mailroom.RoleInbox:
			return -1
		case b.Role == mailroom.RoleInbox && a.Role != mailroom.RoleInbox:
			return 1
		}
		return 0
	})
	var finds []mailroom.FolderFind
	var refused error
	searched := false
	for i, f := range folders {
		find := mailroom.FolderFind{RawName: f.RawName, Folder: f.Name, Error: true}
		if i < askFolders && ctx.Err() == nil {
			find, err = askFolder(ctx, conn.Conn, f, anyOf)
			searched = searched || err == nil
			if refused == nil {
				refused = err
			}
		}
		finds = append(finds, find)
	}
	if !searched && refused != nil { // not a folder's fault
		return nil, refused
	}
	return finds, nil
}

func askFolder(ctx context.Context, conn *imapconn.Conn, f mailroom.Folder, anyOf []mailroom.FindTerms) (mailroom.FolderFind, error) {
	find := mailroom.FolderFind{RawName: f.RawName, Folder: f.Name, At: time.Now()}
	st, err := conn.Examine(ctx, f.RawName)
	find.UIDValidity = st.UIDValidity
	for _, terms := range anyOf {
		if err != nil {
			break
		}
		var uids mailroom.UIDSet
		if uids, err = conn.Find(ctx, terms); err == nil {
			find.UIDs = find.UIDs.Union(uids)
		}
	}
	find.Error = err != nil
	return find, err
}
