package imapconn

import (
	"context"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// The steps of a probe, in their order.
const (
	StepReach   = "probe.reach"   // dialled and secured
	StepSignIn  = "probe.sign_in" // the credentials are accepted
	StepOpen    = "probe.open"    // a mailbox is behind the account
	StepFolders = "probe.folders" // and shows its folders
)

// ProbeSteps are the steps of Probe.
func ProbeSteps() []string { return []string{StepReach, StepSignIn, StepOpen, StepFolders} }

// Probe goes the way of every reading, a step at a time, and leaves again. What
// it found stands in s, which waits for ProbeSteps; the error is that of the step
// that did not come out well.
func Probe(ctx context.Context, a Account, s *mailroom.Steps) error {
	c := prepare(a)
	defer func() {
		if c.wire != nil {
			c.Close()
		}
	}()
	if err := s.Do(StepReach, func() (map[string]any, error) {
		return map[string]any{"host": a.Endpoint.Host, "port": a.Endpoint.Port}, c.fail(c.connect(ctx))
	}); err != nil {
		return err
	}
	if err := s.Do(StepSignIn, func() (map[string]any, error) {
		return map[string]any{"address": a.Username}, c.fail(c.signIn(ctx))
	}); err != nil {
		return err
	}
	if err := s.Do(StepOpen, func() (map[string]any, error) {
		return map[string]any{"address": a.Username}, c.fail(c.introduce(ctx))
	}); err != nil {
		return err
	}
	return s.Do(StepFolders, func() (map[string]any, error) {
		folders, err := c.names(ctx)
		if err != nil {
			return nil, err
		}
		n := 0
		for _, f := range folders {
			if f.Selectable && f.Role != mailroom.RoleNonMail {
				n++
			}
		}
		if n == 0 {
			return nil, mailroom.E(mailroom.NeedsAdmin, "imap.error.no_folders")
		}
		return map[string]any{"n": n}, nil
	})
}

// names lists the folders without their counts.
func (c *Conn) names(ctx context.Context) ([]mailroom.Folder, error) {
	entries, err := c.list(ctx, false)
	if err != nil {
		return nil, err
	}
	folders := c.read(entries)
	giveRoles(folders, entriesByName(entries))
	return folders, nil
}

const (
	lookedFolders = 20 // beside the inbox
	lookedMails   = 10
)

// Look reads what a mailbox is recognized by: how its inbox and its first folders
// are numbered, and the newest mails of the inbox.
func (c *Conn) Look(ctx context.Context) (mailroom.MailboxLook, error) {
	l := mailroom.MailboxLook{Folders: map[string]mailroom.FolderMark{}, Newest: map[uint32]string{}}
	folders, err := c.names(ctx)
	if err != nil {
		return l, err
	}
	var names []string
	for _, f := range folders {
		if f.Role == mailroom.RoleInbox {
			continue
		}
		l.Folders[f.RawName] = mailroom.FolderMark{}
		if f.Selectable && f.Role != mailroom.RoleNonMail {
			names = append(names, f.RawName)
		}
	}
	slices.Sort(names)
	marks, err := c.Statuses(ctx, names[:min(len(names), lookedFolders)])
	if err != nil {
		return l, err
	}
	for name, st := range marks {
		l.Folders[name] = mailroom.FolderMark{UIDValidity: st.UIDValidity, UIDNext: st.UIDNext}
	}
	st, err := c.Examine(ctx, "INBOX")
	if err != nil {
		return l, err
	}
	l.Inbox = mailroom.FolderMark{UIDValidity: st.UIDValidity, UIDNext: st.UIDNext}
	if st.Messages == 0 {
		return l, nil
	}
	from := uint32(1)
	if st.UIDNext > 20*lookedMails { // not all of a large one
		from = st.UIDNext - 20*lookedMails
	}
	uids, err := c.UIDs(ctx, from)
	if err != nil {
		return l, err
	}
	err = c.Sample(ctx, uids.Newest(lookedMails), true, func(s mailroom.Sampled) {
		l.Newest[s.UID] = messageID(s.Header) + " " + s.InternalDate.UTC().Format(time.RFC3339)
	})
	return l, err
}
