package syncer

import (
	"context"
	"errors"
	"time"

	"mailroom/internal/mailroom"
)

const (
	// justNow: a list of folders this young is not asked for again.
	justNow = 10 * time.Second
	// sampled and agreed are how many Message-IDs, of the newest mails that have
	// one, show that a folder is the one that was read under another name.
	sampled, agreed = 5, 3
)

// errReload: rows were changed by this session and are to be loaded again.
var errReload = errors.New("mappings follow their folders")

// relist brings the list of folders up to date, finds mapped ones again that have
// another name, and takes on new subfolders: then errReload. A list that cannot
// be had stops nothing: EXAMINE decides.
func (s *session) relist(ctx context.Context) error {
	now := s.now()
	s.relistRest = pause{now, s.relistEvery()}
	folders, err := s.conn.Folders(ctx)
	if err != nil {
		if wide(err) || ctx.Err() != nil {
			return err
		}
		s.log.Warn("folders cannot be listed", cause(err))
		return nil
	}
	s.listed = pause{s.now(), justNow}
	s.inboxes = map[string]bool{}
	for _, f := range folders {
		if f.Role == mailroom.RoleInbox {
			s.inboxes[f.RawName] = true
		}
	}
	if err := s.k.Store.SaveFolders(ctx, s.work.Mailbox.ID, folders, now); err != nil {
		return storeErr(err)
	}
	followed, err := s.follow(ctx, folders)
	if err != nil {
		return err
	}
	added := 0
	if s.subfolders() {
		if added, err = s.k.Store.ExpandSubfolders(ctx, s.claim); err != nil {
			return storeErr(err)
		}
	}
	if followed || added > 0 {
		return errReload
	}
	return nil
}

// relistUnlessJust is relist, but for a list that is only seconds old.
func (s *session) relistUnlessJust(ctx context.Context) error {
	if !s.listed.over(s.now()) {
		return nil
	}
	return s.relist(ctx)
}

// relistEvery is how often folders are listed: new subfolders show only there.
func (s *session) relistEvery() time.Duration {
	if s.subfolders() {
		return min(s.k.RelistEvery, s.k.SubfoldersEvery)
	}
	return s.k.RelistEvery
}

// subfolders reports whether a mapping brings its subfolders along.
func (s *session) subfolders() bool {
	for _, m := range s.work.Mappings {
		if m.Subfolders {
			return true
		}
	}
	return false
}

// follow looks for mapped folders that the list does not show any more, or shows
// as another folder, under another name. A folder that is there again is taken
// up at once.
func (s *session) follow(ctx context.Context, folders []mailroom.Folder) (followed bool, err error) {
	for _, l := range s.ledgers {
		there := listed(folders, l.mapping.RawName)
		id := s.objectID(l)
		if there != nil && (id == "" || there.ObjectID == "" || there.ObjectID == id) {
			l.back()
			if err := s.note(ctx, l, there.ObjectID); err != nil {
				return followed, err
			}
			continue
		}
		to, err := s.find(ctx, l, id, folders)
		if err != nil {
			return followed, err
		}
		if to == nil {
			if there != nil { // the old one is nowhere: the name says which is meant
				l.back()
				err = s.note(ctx, l, there.ObjectID)
			}
			if err != nil {
				return followed, err
			}
			continue
		}
		switch err := s.k.Store.FollowFolder(ctx, s.claim, l.mapping.ID, *to); {
		case err == nil:
			s.log.Info("folder has another name", "mapping", l.mapping.ID)
			followed = true
		case mailroom.KindOf(err) == mailroom.NotFound:
			return followed, errRemapped
		case mailroom.KindOf(err) == mailroom.Conflict: // somebody has mapped it just now
			s.log.Info("folder is not followed", "mapping", l.mapping.ID, cause(err))
		default:
			return followed, storeErr(err)
		}
	}
	return followed, nil
}

func listed(folders []mailroom.Folder, rawName string) *mailroom.Folder {
	for i := range folders {
		if sameFolder(folders[i].RawName, rawName) {
			return &folders[i]
		}
	}
	return nil
}

// objectID is the identity of the mapping's folder, "" where servers give none.
func (s *session) objectID(l *ledger) string {
	if id, ok := s.objects[l.mapping.ID]; ok {
		return id
	}
	return l.mapping.ObjectID
}

// note keeps the folder's identity, by which it is found again.
func (s *session) note(ctx context.Context, l *ledger, id string) error {
	if id == "" || id == s.objectID(l) {
		return nil
	}
	if err := s.k.Store.NoteObjectID(ctx, s.claim, l.mapping.ID, id); err != nil {
		return storeErr(err)
	}
	if s.objects == nil {
		s.objects = map[string]string{}
	}
	s.objects[l.mapping.ID] = id
	return nil
}

// find is the folder that the mapping's folder has become: the one with its id
// (RFC 8474), else the one of its UIDVALIDITY in which the newest mails have the
// UIDs that they had. Where not exactly one is it, nobody guesses: nil.
func (s *session) find(ctx context.Context, l *ledger, id string, folders []mailroom.Folder) (*mailroom.Folder, error) {
	taken := map[string]bool{}
	for _, m := range s.work.Mappings {
		taken[m.RawName] = m.ParentID == ""
	}
	var same, maybe []*mailroom.Folder
	for i := range folders {
		f := &folders[i]
		switch {
		case id != "" && f.ObjectID == id:
			same = append(same, f)
		case taken[f.RawName] || !f.Mappable() || sameFolder(f.RawName, l.mapping.RawName):
		case id != "" && f.ObjectID != "": // known to be another one
		case f.UIDValidity != 0 && f.UIDValidity == l.generation():
			maybe = append(maybe, f)
		}
	}
	if len(same) > 0 {
		if len(same) > 1 || taken[same[0].RawName] || !same[0].Mappable() {
			return nil, nil
		}
		return same[0], nil
	}
	if len(maybe) == 0 {
		return nil, nil
	}
	sample, err := s.k.Store.SampleMessageIDs(ctx, l.mapping.MailboxID, l.mapping.RawName, l.generation(), sampled)
	if err != nil || len(sample) == 0 {
		return nil, storeErr(err)
	}
	var found *mailroom.Folder
	for _, f := range maybe {
		ok, err := s.holds(ctx, f.RawName, l.generation(), sample)
		switch {
		case err != nil && (wide(err) || ctx.Err() != nil):
			return nil, err
		case err != nil: // nobody knows whether it is this one
			s.log.Info("folder cannot be looked into", "mapping", l.mapping.ID, cause(err))
			return nil, nil
		case ok && found != nil:
			return nil, nil
		case ok:
			found = f
		}
	}
	return found, nil
}

// holds reports whether the mails of a sample of Message-IDs lie in a folder
// under the same UIDs. Some may have left it since.
func (s *session) holds(ctx context.Context, rawName string, uidValidity uint32, sample map[uint32]string) (bool, error) {
	s.selected = rawName
	st, err := s.conn.Examine(ctx, rawName)
	if err != nil || st.UIDValidity != uidValidity {
		return false, err
	}
	var uids []uint32
	for uid := range sample {
		uids = append(uids, uid)
	}
	ids, err := s.conn.MessageIDs(ctx, mailroom.UIDs(uids...))
	if err != nil {
		return false, err
	}
	n := 0
	for uid, id := range ids {
		if want, asked := sample[uid]; !asked || id != want {
			return false, nil
		}
		n++
	}
	return n >= min(agreed, len(sample)), nil
}

// recognized makes sure that the folder that answers to the mapping's name is the
// mapping's: names are given to other folders.
func (s *session) recognized(ctx context.Context, l *ledger, st mailroom.FolderStatus) (mailroom.FolderStatus, error) {
	stranger := func() bool {
		id := s.objectID(l)
		return id != "" && st.ObjectID != "" && st.ObjectID != id
	}
	if !stranger() {
		return st, nil
	}
	if err := s.relist(ctx); err != nil {
		return st, err
	}
	s.selected = ""
	st, err := s.examine(ctx, s.conn, l)
	if err == nil && stranger() {
		err = mailroom.E(mailroom.NotFound, "folder.error.gone")
	}
	s.selected = l.mapping.RawName
	return st, err
}
