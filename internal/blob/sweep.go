package blob

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// Index is the database's side of the packs.
type Index interface {
	// BlobsIn are the references into a pack, of all organizations.
	BlobsIn(ctx context.Context, pack string) ([]mailroom.BlobRef, error)
	// MoveBlobs points what names from[i] to to[i], in one transaction.
	MoveBlobs(ctx context.Context, from, to []mailroom.BlobRef) error
}

// Swept says what Sweep did.
type Swept struct {
	Removed, Rewritten, Truncated int   // packs
	Freed                         int64 // octets
}

// Sweep takes away what the index does not name: whole packs, torn or unnamed
// tails, and, where under half of a pack is named, everything between by
// rewriting the rest. Packs touched within grace are left alone: what was put
// there may not be named yet. grace must exceed the longest transaction by far.
func (p *Packs) Sweep(ctx context.Context, index Index, grace time.Duration, now time.Time) (s Swept, err error) {
	names, err := p.packs()
	if err != nil {
		return s, err
	}
	var errs []error
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return s, err
		}
		st, err := os.Stat(p.path(name))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if p.appending(name) || now.Sub(st.ModTime()) < grace {
			continue
		}
		if err := p.sweepPack(ctx, index, name, st.Size(), &s); err != nil {
			errs = append(errs, err) // one bad pack keeps no other from its turn
		}
	}
	return s, errors.Join(errs...)
}

func (p *Packs) appending(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cur != nil && p.cur.name == name
}

func (p *Packs) sweepPack(ctx context.Context, index Index, name string, size int64, s *Swept) error {
	refs, err := index.BlobsIn(ctx, name)
	if err != nil {
		return err
	}
	slices.SortFunc(refs, func(a, b mailroom.BlobRef) int { return cmp.Compare(a.Offset, b.Offset) })
	refs = slices.CompactFunc(refs, func(a, b mailroom.BlobRef) bool { return a.Offset == b.Offset })
	var used, end int64
	for _, r := range refs {
		used += headerSize + r.Length
		end = max(end, r.Offset+headerSize+r.Length)
	}
	switch {
	case used == 0:
		s.Removed++
		s.Freed += size
		return os.Remove(p.path(name))
	case used < size/2:
		if err := p.rewrite(ctx, index, refs); err != nil {
			return err
		}
		s.Rewritten++
		s.Freed += size - used
		return os.Remove(p.path(name))
	case end < size:
		s.Truncated++
		s.Freed += size - end
		return os.Truncate(p.path(name), end)
	}
	return nil
}

// rewrite copies records to the newest pack and points the index at the copies.
// The old pack must not go before that has succeeded. A record that cannot be
// read stops it: better a pack too many than a mail lost for good.
func (p *Packs) rewrite(ctx context.Context, index Index, refs []mailroom.BlobRef) error {
	for len(refs) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		var records []record
		n, octets := 0, int64(0)
		for n < len(refs) && (n == 0 || octets+refs[n].Length <= window) {
			if _, err := p.Open(ctx, refs[n]); err != nil {
				return err
			}
			b, err := p.stored(refs[n])
			if err != nil {
				return err
			}
			records = append(records, record{ref: refs[n], data: b[headerSize:]})
			octets += refs[n].Length
			n++
		}
		written, err := p.append(records)
		if err != nil {
			return classify(err)
		}
		for _, m := range written {
			if err := m.c.sync(m.end); err != nil {
				return classify(err)
			}
		}
		to := make([]mailroom.BlobRef, n)
		for i, r := range records {
			to[i] = r.ref
		}
		if err := index.MoveBlobs(ctx, refs[:n], to); err != nil {
			return err
		}
		refs = refs[n:]
	}
	return nil
}
