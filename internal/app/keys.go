package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailroom/internal/access"
	"mailroom/internal/vault"
)

// Keys tells of the key-encryption keys.
func (t *Tool) Keys(ctx context.Context) (access.KeyState, error) { return t.access.Keys(ctx) }

// errKeysFromEnvironment: what stands in a variable only its setter can change.
var errKeysFromEnvironment = errors.New("the keys stand in MAILROOM_KEY, which only who sets it can change")

// AddKey adds a key that waits: it opens, and seals nothing before RotateKeys. With
// the keys in the environment line is what to add there.
func (t *Tool) AddKey() (id, line string, err error) {
	if t.cfg.Key != "" {
		line = vault.NewKey(time.Now())
		id, _, _ = strings.Cut(line, ":")
		return id, line + " waiting", nil
	}
	id, err = vault.AddKey(t.cfg.KeyFile, time.Now())
	return id, "", err
}

// DropKey takes a key out of the key file that nothing needs any more.
func (t *Tool) DropKey(ctx context.Context, id string) error {
	s, err := t.access.Keys(ctx)
	if err != nil {
		return err
	}
	nodes := s.SealedWith(id)
	switch {
	case t.cfg.Key != "":
		return errKeysFromEnvironment
	case s.Seals[id] > 0:
		return fmt.Errorf("%d values are still sealed by %s: `mailroom keys rotate` seals them again", s.Seals[id], id)
	case len(nodes) > 0:
		return fmt.Errorf("%s still seals with %s: give it the new key file", strings.Join(nodes, ", "), id)
	}
	return vault.DropKey(t.cfg.KeyFile, id)
}

// How long a rotation waits for the processes that run to seal with the new key,
// and how often it looks.
const (
	keyWait = 2 * time.Minute
	keyLook = time.Second
)

// RotateKeys has the newest key that waits seal from now on, and seals again what
// any other key seals. Everything goes on meanwhile; cut off, it is simply done
// again. say is told of each step.
func (t *Tool) RotateKeys(ctx context.Context, say func(format string, args ...any)) error {
	s, err := t.access.Keys(ctx)
	if err != nil {
		return err
	}
	if id := s.Next(); id != "" {
		if err := t.useKey(ctx, id, say); err != nil {
			return err
		}
		say("%s seals from now on", id)
	}
	done, err := t.rewrap(ctx, say)
	if err != nil {
		return err
	}
	if err := t.await(ctx, say, func(s access.KeyState) []string { return s.NotSealingWith(done.Key) }); err != nil {
		return fmt.Errorf("%w; until then the old keys are needed", err)
	}
	if done, err = t.rewrap(ctx, say); err != nil { // what was sealed by those who had not heard
		return err
	}
	return t.rotated(ctx, done, say)
}

// useKey has a key seal, once every process that runs can open what it seals.
func (t *Tool) useKey(ctx context.Context, id string, say func(string, ...any)) error {
	if t.cfg.Key != "" {
		return fmt.Errorf("%w: take the word waiting away from %s, start Mailroom again on every node, and call this once more", errKeysFromEnvironment, id)
	}
	if err := t.await(ctx, say, func(s access.KeyState) []string { return s.Without(id) }); err != nil {
		return err
	}
	return vault.UseKey(t.cfg.KeyFile, id)
}

func (t *Tool) rewrap(ctx context.Context, say func(string, ...any)) (access.Rewrapped, error) {
	done, err := t.access.Rewrap(ctx)
	if done.Done > 0 {
		say("%d values sealed again by %s", done.Done, done.Key)
	}
	return done, err
}

// await waits until no process that runs is behind the key file any more.
func (t *Tool) await(ctx context.Context, say func(string, ...any), behind func(access.KeyState) []string) error {
	ctx, cancel := context.WithTimeout(ctx, keyWait)
	defer cancel()
	tick := time.NewTicker(keyLook)
	defer tick.Stop()
	for told := false; ; told = true {
		s, err := t.access.Keys(ctx)
		if err != nil {
			return err
		}
		nodes := strings.Join(behind(s), ", ")
		if nodes == "" {
			return nil
		}
		if !told {
			say("waiting for %s to read the key file", nodes)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s does not read this key file: bring it there and call this again", nodes)
		}
	}
}

// rotated tells what came of it, and which keys are needed no more.
func (t *Tool) rotated(ctx context.Context, done access.Rewrapped, say func(string, ...any)) error {
	s, err := t.access.Keys(ctx)
	if err != nil {
		return err
	}
	if unused := s.Unused(); len(unused) > 0 {
		say("everything is sealed by %s; needed no more: %s", done.Key, strings.Join(unused, ", "))
		say("(a backup of the database from before needs them still, and so does a link that was sent to an IT administrator before)")
	} else if len(done.Shut) == 0 {
		say("everything is sealed by %s", done.Key)
	}
	if len(done.Shut) == 0 {
		return nil
	}
	var shut []string
	for id, n := range done.Shut {
		shut = append(shut, fmt.Sprintf("%d by %s", n, id))
	}
	slices.Sort(shut)
	return fmt.Errorf("some values do not open: sealed %s; bring that key back, or have those mailboxes granted again", strings.Join(shut, ", "))
}
