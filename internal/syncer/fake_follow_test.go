package syncer

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// What the fakes know of folders that change their names.

func (c *fakeConn) MessageIDs(ctx context.Context, set mailroom.UIDSet) (out map[uint32]string, err error) {
	out = map[uint32]string{}
	err = c.call(ctx, "messageids:"+c.name(), func() error {
		for _, m := range c.selected.mails {
			if set.Contains(m.uid) {
				h, _ := textproto.NewReader(bufio.NewReader(bytes.NewReader(m.raw))).ReadMIMEHeader()
				out[m.uid] = mailroom.CleanMessageID(h.Get("Message-ID"))
			}
		}
		return nil
	})
	return out, err
}

func (s *fakeServer) objectID(f *fakeFolder) string {
	if !s.objectIDs {
		return ""
	}
	return f.object
}

// rename gives a folder another name.
func (w *world) rename(from, to string) {
	w.server.change(from, func(f *fakeFolder) {
		delete(w.server.folders, from)
		f.name = to
		w.server.folders[to] = f
	})
}

func (s *fakeStore) SampleMessageIDs(_ context.Context, _, raw string, validity uint32, n int) (map[uint32]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var uids []uint32
	for at, p := range s.placed {
		if at.raw == raw && at.validity == validity && !p.gone {
			uids = append(uids, at.uid)
		}
	}
	slices.SortFunc(uids, func(a, b uint32) int { return cmp.Compare(b, a) })
	out := map[uint32]string{}
	for _, uid := range uids[:min(n, len(uids))] {
		_, out[uid], _ = strings.Cut(s.placed[place{raw, validity, uid}].key, ":")
	}
	return out, s.down
}

func (s *fakeStore) NoteObjectID(_ context.Context, c mailroom.Claim, mappingID, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fence(c); err != nil {
		return err
	}
	for i := range s.mappings {
		if s.mappings[i].ID == mappingID {
			s.mappings[i].ObjectID = id
		}
	}
	return nil
}

func (s *fakeStore) FollowFolder(_ context.Context, c mailroom.Claim, mappingID string, to mailroom.Folder) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fence(c); err != nil {
		return err
	}
	for _, m := range s.mappings {
		if m.RawName == to.RawName && m.ParentID == "" {
			return mailroom.E(mailroom.Conflict, "mapping.error.followed")
		}
	}
	for i := range s.mappings {
		m := &s.mappings[i]
		if m.ID != mappingID {
			continue
		}
		for at, p := range s.placed {
			if at.raw == m.RawName {
				delete(s.placed, at)
				at.raw = to.RawName
				s.placed[at] = p
			}
		}
		for at, q := range s.quarantine {
			if at.raw == m.RawName {
				delete(s.quarantine, at)
				at.raw, q.RawName = to.RawName, to.RawName
				s.quarantine[at] = q
			}
		}
		m.FollowedFrom, m.FollowedAt = m.Name, time.Now()
		m.RawName, m.Name = to.RawName, to.Name
		if to.ObjectID != "" {
			m.ObjectID = to.ObjectID
		}
		s.mailbox.MappingsVersion++
	}
	return nil
}

func (s *fakeStore) ExpandSubfolders(_ context.Context, c mailroom.Claim) (added int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fence(c); err != nil {
		return 0, err
	}
	for _, m := range slices.Clone(s.mappings) {
		if !m.Subfolders {
			continue
		}
		for _, f := range s.folders {
			known := slices.ContainsFunc(s.mappings, func(o mailroom.Mapping) bool { return o.RawName == f.RawName })
			if !known && strings.HasPrefix(f.RawName, m.RawName+"/") {
				child := mailroom.Mapping{ID: "map_" + f.RawName, OrgID: m.OrgID, MailboxID: m.MailboxID, RawName: f.RawName, Name: f.Name,
					OTYSFolderID: m.OTYSFolderID, ParentID: m.ID}
				s.mappings = append(s.mappings, child)
				added++
			}
		}
	}
	return added, nil
}

func (s *fakeStore) Share(context.Context, string, time.Time, time.Duration) (int, error) {
	return 1 << 20, nil
}

func (s *fakeStore) Leave(context.Context, string) error { return nil }

func (w *world) followedFrom(name string) string {
	return fmt.Sprint(cmp.Or(w.mapping(name).FollowedFrom, "none"))
}
