package imapconn

import (
	"context"
	"errors"
	"strings"

	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
)

// Folders lists every folder with its role and counts: one round trip with
// LIST-STATUS (RFC 5819), two without. Counts that the server does not tell are -1.
func (c *Conn) Folders(ctx context.Context) ([]mailroom.Folder, error) {
	entries, err := c.list(ctx, c.wire.Has("LIST-STATUS"))
	if err != nil {
		return nil, err
	}
	folders := c.read(entries)
	giveRoles(folders, entriesByName(entries))
	if err := c.count(ctx, folders); err != nil {
		return nil, c.fail(err)
	}
	return folders, nil
}

// list asks for the folders, with their counts if extended.
func (c *Conn) list(ctx context.Context, extended bool) ([]imapwire.ListEntry, error) {
	opt := imapwire.ListOptions{}
	if extended {
		opt.Status = c.statusItems()
		opt.ReturnSpecialUse = c.wire.Has("SPECIAL-USE")
	}
	entries, err := c.wire.List(opt).Wait(ctx)
	var refused *imapwire.ResponseError
	if errors.As(err, &refused) && extended {
		// Announced and not understood: the plain form always is.
		entries, err = c.wire.List(imapwire.ListOptions{}).Wait(ctx)
	}
	return entries, c.fail(err)
}

func (c *Conn) statusItems() imapwire.StatusItems {
	items := imapwire.StatusMessages | imapwire.StatusUnseen | imapwire.StatusUIDNext | imapwire.StatusUIDValidity
	if c.CanCondStore() {
		items |= imapwire.StatusHighestModSeq
	}
	if c.wire.Has("STATUS=SIZE") {
		items |= imapwire.StatusSize
	}
	if c.wire.Has("OBJECTID") {
		items |= imapwire.StatusMailboxID
	}
	return items
}

func entriesByName(entries []imapwire.ListEntry) map[string]imapwire.ListEntry {
	m := make(map[string]imapwire.ListEntry, len(entries))
	for _, e := range entries {
		m[mailroom.FolderKey(e.Name)] = e
	}
	return m
}

// read turns LIST entries into folders, each name once.
func (c *Conn) read(entries []imapwire.ListEntry) []mailroom.Folder {
	seen := make(map[string]bool, len(entries))
	out := make([]mailroom.Folder, 0, len(entries))
	for _, e := range entries {
		if seen[e.Name] || e.Name == "" {
			continue
		}
		seen[e.Name] = true
		f := mailroom.Folder{
			RawName: mailroom.FolderKey(e.Name), Name: c.wire.DecodeName(e.Name), Delimiter: e.Delimiter,
			Selectable: !e.HasAttr(`\Noselect`) && !e.HasAttr(`\NonExistent`),
			Messages:   -1, Unseen: -1, Size: -1,
		}
		f.Path = []string{f.Name}
		if f.Delimiter != "" {
			f.Path = strings.Split(f.Name, f.Delimiter)
		}
		if e.Status != nil {
			setCounts(&f, *e.Status)
		}
		out = append(out, f)
	}
	return out
}

func setCounts(f *mailroom.Folder, s imapwire.Status) {
	if s.Has&imapwire.StatusMessages != 0 {
		f.Messages = int64(s.Messages)
	}
	if s.Has&imapwire.StatusUnseen != 0 {
		f.Unseen = int64(s.Unseen)
	}
	if s.Has&imapwire.StatusSize != 0 {
		f.Size = s.Size
	}
	if s.Has&imapwire.StatusMailboxID != 0 {
		f.ObjectID = s.MailboxID
	}
	f.UIDValidity, f.UIDNext = s.UIDValidity, s.UIDNext
}

// count asks for what LIST did not tell, all in one flight. A folder that
// refuses keeps its unknown counts: one bad folder stops nothing else.
func (c *Conn) count(ctx context.Context, folders []mailroom.Folder) error {
	items := c.statusItems()
	calls := make([]*imapwire.Call[imapwire.Status], len(folders))
	for i, f := range folders {
		if f.Selectable && f.Role != mailroom.RoleNonMail && f.Messages < 0 && f.RawName != c.open {
			calls[i] = c.wire.Status(mailroom.FolderBytes(f.RawName), items)
		}
	}
	for i, call := range calls {
		if call == nil {
			continue
		}
		st, err := call.Wait(ctx)
		var refused *imapwire.ResponseError
		if errors.As(err, &refused) {
			if e := mailroom.AsError(c.fail(err)); e.Kind == mailroom.Throttled || e.Kind == mailroom.NeedsAdmin {
				return e
			}
			continue
		}
		if err != nil {
			return err
		}
		setCounts(&folders[i], st)
	}
	return nil
}

// Statuses asks for the state of several folders in one flight. Folders that
// refuse are missing from the answer. Not for the folder that is open: many
// servers answer stale counts for it (RFC 3501 §6.3.10).
func (c *Conn) Statuses(ctx context.Context, rawNames []string) (map[string]mailroom.FolderStatus, error) {
	items := c.statusItems() &^ imapwire.StatusSize
	calls := make([]*imapwire.Call[imapwire.Status], len(rawNames))
	for i, name := range rawNames {
		calls[i] = c.wire.Status(mailroom.FolderBytes(name), items)
	}
	out := make(map[string]mailroom.FolderStatus, len(rawNames))
	for i, call := range calls {
		st, err := call.Wait(ctx)
		var refused *imapwire.ResponseError
		if errors.As(err, &refused) {
			if e := mailroom.AsError(c.fail(err)); e.Kind != mailroom.Unavailable {
				return nil, e
			}
			continue
		}
		if err != nil {
			return nil, c.fail(err)
		}
		if st.Has&imapwire.StatusMessages == 0 {
			continue
		}
		fs := mailroom.FolderStatus{
			Messages: st.Messages, UIDValidity: st.UIDValidity, UIDNext: st.UIDNext,
			HighestModSeq: st.HighestModSeq, Unseen: -1, ObjectID: st.MailboxID,
		}
		if st.Has&imapwire.StatusUnseen != 0 {
			fs.Unseen = int64(st.Unseen)
		}
		out[rawNames[i]] = fs
	}
	return out, nil
}

// Examine opens a folder for reading only. NotFound "folder.error.gone" when it
// is no longer there.
func (c *Conn) Examine(ctx context.Context, rawName string) (mailroom.FolderStatus, error) {
	c.open, c.news = "", false
	box, err := c.wire.Examine(mailroom.FolderBytes(rawName), imapwire.ExamineOptions{CondStore: c.CanCondStore()}).Wait(ctx)
	if err != nil {
		return mailroom.FolderStatus{}, c.folderError(err)
	}
	return c.opened(rawName, box), nil
}

func (c *Conn) opened(rawName string, box imapwire.Mailbox) mailroom.FolderStatus {
	c.open, c.exists = rawName, box.Exists
	return mailroom.FolderStatus{
		Messages: box.Exists, UIDValidity: box.UIDValidity, UIDNext: box.UIDNext,
		HighestModSeq: box.HighestModSeq, Unseen: -1, ObjectID: box.MailboxID,
	}
}
