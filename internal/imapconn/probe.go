package imapconn

import (
	"context"

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
