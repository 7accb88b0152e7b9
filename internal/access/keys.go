package access

import (
	"context"
	"errors"
	"slices"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/vault"
)

// keyStore is the part of Store that is about key-encryption keys.
type keyStore interface {
	// SealedRows lists a column's values that another key than newest seals.
	SealedRows(ctx context.Context, c mailroom.SealedColumn, newest, after string, limit int) ([]mailroom.SealedRow, error)
	SealedBy(ctx context.Context, c mailroom.SealedColumn) (map[string]int64, error)
	// Reseal writes those that are still what was read, and says how many.
	Reseal(ctx context.Context, c mailroom.SealedColumn, rows []mailroom.Resealed) (int64, error)
	ForgetResealed(ctx context.Context) error

	NoteKeys(ctx context.Context, k mailroom.NodeKeys) error
	ForgetKeys(ctx context.Context, node string) error
	KeysOfNodes(ctx context.Context, since time.Time) ([]mailroom.NodeKeys, error)
}

const (
	// rewrapBatch bounds a transaction of a rotation: others wait for it.
	rewrapBatch = 100
	// keyTick is how often a process looks which keys it has, keyBeat how often it
	// says so unasked, and keySilence after what time without that it counts as gone.
	keyTick    = 5 * time.Second
	keyBeat    = 20 * time.Second
	keySilence = time.Minute
)

// KeyState is what there is to know about key-encryption keys.
type KeyState struct {
	Keys  []vault.Key
	Seals map[string]int64 // values by the id of their key, of keys that are not here too
	Nodes []mailroom.NodeKeys
}

// Unused are the keys that nothing is sealed by and no running process seals with:
// they can go. Never the one that seals, nor one that waits for its turn.
func (s KeyState) Unused() (ids []string) {
	for _, k := range s.Keys {
		if k.Seals || k.Waiting || s.Seals[k.ID] > 0 || len(s.SealedWith(k.ID)) > 0 {
			continue
		}
		ids = append(ids, k.ID)
	}
	return ids
}

// SealedWith are the running processes that seal with a key.
func (s KeyState) SealedWith(id string) (nodes []string) {
	for _, n := range s.Nodes {
		if n.Newest == id {
			nodes = append(nodes, n.Node)
		}
	}
	return nodes
}

// NotSealingWith are the running processes that seal with another key.
func (s KeyState) NotSealingWith(id string) (nodes []string) {
	for _, n := range s.Nodes {
		if n.Newest != id {
			nodes = append(nodes, n.Node)
		}
	}
	return nodes
}

// Next is the newest key that waits, "" for none.
func (s KeyState) Next() (id string) {
	for _, k := range s.Keys {
		if k.Waiting {
			id = k.ID
		}
	}
	return id
}

// Without are the running processes that do not know a key: what it seals they
// could not open.
func (s KeyState) Without(id string) (nodes []string) {
	for _, n := range s.Nodes {
		if !slices.Contains(n.Known, id) {
			nodes = append(nodes, n.Node)
		}
	}
	return nodes
}

// Keys tells of the keys, of what they seal, and of the processes that use them.
func (a *Access) Keys(ctx context.Context) (KeyState, error) {
	s := KeyState{Keys: a.Vault.Keys(), Seals: map[string]int64{}}
	for _, c := range sealedColumns {
		by, err := a.Store.SealedBy(ctx, c.SealedColumn)
		if err != nil {
			return s, err
		}
		for id, n := range by {
			s.Seals[id] += n
		}
	}
	var err error
	s.Nodes, err = a.Store.KeysOfNodes(ctx, a.Now().Add(-keySilence))
	return s, err
}

// Rewrapped is what sealing everything again came to.
type Rewrapped struct {
	Key  string // by which everything is sealed now
	Done int64
	// Shut could not be opened, by the id of their key: it is not here, or the value
	// is damaged.
	Shut map[string]int64
}

// Rewrap seals with the newest key what another one seals: the data keys of
// mailboxes, and the few secrets that belong to none. Mail, tokens and passwords
// are not touched. It may run beside everything else, be cut off at any moment,
// and be done again: what it has done is done.
func (a *Access) Rewrap(ctx context.Context) (Rewrapped, error) {
	out := Rewrapped{Key: a.Vault.Newest(), Shut: map[string]int64{}}
	for _, c := range sealedColumns {
		for after := ""; ; {
			rows, err := a.Store.SealedRows(ctx, c.SealedColumn, out.Key, after, rewrapBatch)
			if err != nil {
				return out, err
			}
			if len(rows) == 0 {
				break
			}
			after = rows[len(rows)-1].ID
			again := a.resealed(c, rows, out.Shut)
			done, err := a.Store.Reseal(ctx, c.SealedColumn, again)
			if err != nil {
				return out, err
			}
			out.Done += done
		}
	}
	if out.Done > 0 {
		if err := a.Store.ForgetResealed(ctx); err != nil {
			a.Log.Warn("what the old key sealed may still lie in the write-ahead log", "err", err)
		}
		a.Log.Info("sealed again", "key", out.Key, "values", out.Done)
	}
	return out, nil
}

// resealed seals rows again; those that do not open are counted in shut.
func (a *Access) resealed(c sealedColumn, rows []mailroom.SealedRow, shut map[string]int64) (out []mailroom.Resealed) {
	for _, r := range rows {
		id, data, changed, err := a.Vault.Rewrap(c.identity(r.ID), r.Sealed.KeyID, r.Sealed.Data)
		if err != nil {
			shut[r.Sealed.KeyID]++
			if !errors.Is(err, vault.ErrUnknownKey) {
				a.Log.Error("a sealed value is damaged", "table", c.Table, "key", r.Sealed.KeyID)
			}
			continue
		}
		if changed {
			out = append(out, mailroom.Resealed{ID: r.ID, Before: r.Sealed, After: mailroom.Sealed{KeyID: id, Data: data}})
		}
	}
	return out
}

// tellKeys says which keys this process knows, at once when they change, until
// ctx ends.
func (a *Access) tellKeys(ctx context.Context) {
	tick := time.NewTicker(keyTick)
	defer tick.Stop()
	var told mailroom.NodeKeys
	for {
		now := mailroom.NodeKeys{Node: a.Node, Newest: a.Vault.Newest(), SeenAt: a.Now()}
		for _, k := range a.Vault.Keys() {
			now.Known = append(now.Known, k.ID)
		}
		if now.Newest != told.Newest || !slices.Equal(now.Known, told.Known) || now.SeenAt.Sub(told.SeenAt) >= keyBeat {
			if err := a.Store.NoteKeys(ctx, now); err == nil {
				told = now
			} else if ctx.Err() == nil {
				a.Log.Warn("it is not told which keys this process knows", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if err := a.Store.ForgetKeys(last, a.Node); err != nil {
				a.Log.Warn("it is not told that this process has ended", "err", err)
			}
			return
		case <-tick.C:
		}
	}
}
