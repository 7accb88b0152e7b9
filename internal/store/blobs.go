package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"mailroom/internal/mailroom"
)

// Packs is where raw mail lies in SQLite mode: internal/blob.
type Packs interface {
	Put(ctx context.Context, orgID string, hashes []string, raws [][]byte) ([]mailroom.BlobRef, error)
	Open(ctx context.Context, ref mailroom.BlobRef) ([]byte, error)
}

// Blobs keeps raw mail by hash: in packs, or as rows on PostgreSQL, where nodes
// share no disk. What Put returns is durable before any transaction names it.
type Blobs struct {
	s     *Store
	packs Packs
	enc   *zstd.Encoder
	dec   *zstd.Decoder
}

// Blobs returns the raw mail of this database. packs is not looked at on
// PostgreSQL.
func (s *Store) Blobs(packs Packs) *Blobs {
	b := &Blobs{s: s, packs: packs}
	if s.pg {
		// Neither option can be wrong here, and New fails for nothing else.
		b.enc, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		b.dec, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0))
	}
	return b
}

// smallMail is the largest mail that is compressed, as in internal/blob.
const smallMail = 64 << 10

// keepUnnamed is how long raw mail is kept for the transaction that will name it.
const keepUnnamed = time.Hour

// Put keeps raws, whose SHA-256 in hex are hashes, and says where.
func (b *Blobs) Put(ctx context.Context, orgID string, hashes []string, raws [][]byte) ([]mailroom.BlobRef, error) {
	if !b.s.pg {
		return b.packs.Put(ctx, orgID, hashes, raws)
	}
	refs, data := b.encode(hashes, raws)
	// By hash, so that two nodes that keep the same mails wait for each other
	// instead of dead-locking; each once, since one statement may not meet a row twice.
	order := make([]int, len(refs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(hashes[x], hashes[y]) })
	order = slices.CompactFunc(order, func(x, y int) bool { return hashes[x] == hashes[y] })
	err := b.s.tx(ctx, func(t *tx) error {
		vals := make([][]any, len(order))
		for k, i := range order {
			vals[k] = []any{orgID, hashes[i], data[i], t.at}
		}
		// A mail that is there already is as good as new to the sweeper.
		return t.insert(ctx, `INSERT INTO blob_data(org_id, hash, data, at) VALUES `,
			` ON CONFLICT (org_id, hash) DO UPDATE SET at = excluded.at`, vals)
	})
	return refs, err
}

// encode compresses small mails, in parallel.
func (b *Blobs) encode(hashes []string, raws [][]byte) ([]mailroom.BlobRef, [][]byte) {
	refs, data := make([]mailroom.BlobRef, len(raws)), make([][]byte, len(raws))
	workers := min(runtime.GOMAXPROCS(0), 4)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(raws); i += workers {
				out, codec := raws[i], "raw"
				if len(out) <= smallMail {
					if small := b.enc.EncodeAll(out, make([]byte, 0, len(out))); len(small) < len(out) {
						out, codec = small, "zstd"
					}
				}
				data[i] = out
				refs[i] = mailroom.BlobRef{Hash: hashes[i], Length: int64(len(out)), Size: int64(len(raws[i])), Codec: codec}
			}
		})
	}
	wg.Wait()
	return refs, data
}

// Open returns a raw mail of the organization. NotFound when it has none of that
// hash.
func (b *Blobs) Open(ctx context.Context, orgID, hash string) ([]byte, error) {
	ref, err := b.s.BlobRef(ctx, orgID, hash)
	if err != nil {
		return nil, err
	}
	if b.s.pg {
		return b.row(ctx, orgID, ref)
	}
	raw, err := b.packs.Open(ctx, ref)
	if err != nil {
		// The sweeper may have moved it since.
		if again, rerr := b.s.BlobRef(ctx, orgID, hash); rerr == nil && again != ref {
			return b.packs.Open(ctx, again)
		}
	}
	return raw, err
}

func (b *Blobs) row(ctx context.Context, orgID string, ref mailroom.BlobRef) ([]byte, error) {
	raw, err := value[[]byte](ctx, b.s.read(), `SELECT data FROM blob_data WHERE org_id = $1 AND hash = $2`, orgID, ref.Hash)
	if err == nil && ref.Codec == "zstd" {
		raw, err = b.dec.DecodeAll(raw, make([]byte, 0, min(ref.Size, smallMail)))
	}
	if err != nil {
		return nil, fmt.Errorf("raw mail: %w", err)
	}
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != ref.Hash {
		return nil, fmt.Errorf("raw mail: the octets have changed")
	}
	return raw, nil
}

// BlobsIn are the references into a pack, of all organizations (blob.Index).
func (s *Store) BlobsIn(ctx context.Context, pack string) ([]mailroom.BlobRef, error) {
	return all(ctx, s.read(), scanBlobRef, `SELECT hash, pack, pos, length, size, codec FROM blobs WHERE pack = $1`, pack)
}

// MoveBlobs points what names from[i] to to[i] (blob.Index).
func (s *Store) MoveBlobs(ctx context.Context, from, to []mailroom.BlobRef) error {
	return s.tx(ctx, func(t *tx) error {
		for i, f := range from {
			if _, err := t.exec(ctx, `UPDATE blobs SET pack = $1, pos = $2 WHERE pack = $3 AND pos = $4`,
				to[i].Pack, to[i].Offset, f.Pack, f.Offset); err != nil {
				return err
			}
		}
		return nil
	})
}

// unnamedBlobs finds the raw mails that nothing names, of those whose hash is
// not below from, and below to. EXCEPT, since no table has an index by hash: one
// that serves only the sweeper would cost every mail.
func (s *Store) unnamedBlobs(ctx context.Context, from, to string, byOrg map[string][]string) error {
	return each(ctx, s.read(), func(r row) error {
		var org, hash string
		err := r.Scan(&org, &hash)
		byOrg[org] = append(byOrg[org], hash)
		return err
	}, `SELECT org_id, hash FROM blobs WHERE hash >= $1 AND hash < $2
		EXCEPT SELECT org_id, raw_hash FROM messages WHERE raw_hash >= $1 AND raw_hash < $2
		EXCEPT SELECT m.org_id, p.raw_hash FROM placements p JOIN messages m ON m.seq = p.message_seq WHERE p.raw_hash >= $1 AND p.raw_hash < $2
		EXCEPT SELECT org_id, raw_hash FROM quarantine WHERE raw_hash >= $1 AND raw_hash < $2 LIMIT 1000`, from, to)
}

// SweepBlobs forgets raw mails that no message, placement or quarantine names,
// and on PostgreSQL erases their rows, and those of batches that never came to be,
// once they are older than keepUnnamed. On SQLite the packs are swept afterwards
// (blob.Packs.Sweep). It returns how many it forgot.
func (s *Store) SweepBlobs(ctx context.Context) (forgotten int, err error) {
	byOrg := map[string][]string{}
	const bounds = "0123456789abcdefg" // a sixteenth at a time: memory stays flat
	for i := range len(bounds) - 1 {
		if err := s.unnamedBlobs(ctx, bounds[i:i+1], bounds[i+1:i+2], byOrg); err != nil {
			return 0, err
		}
	}
	for org, hashes := range byOrg {
		err := s.tx(ctx, func(t *tx) error {
			// A batch that counts on one of them holds this lock until it names it.
			if err := t.lockPeople(ctx, org); err != nil {
				return err
			}
			some := s.in("$2")
			n, err := t.exec(ctx, `DELETE FROM blobs WHERE org_id = $1 AND hash IN `+some+`
				AND NOT hash IN (SELECT raw_hash FROM messages WHERE raw_hash IN `+some+`)
				AND NOT hash IN (SELECT raw_hash FROM placements WHERE raw_hash IN `+some+`)
				AND NOT hash IN (SELECT raw_hash FROM quarantine WHERE raw_hash IN `+some+`)`, org, list(hashes))
			forgotten += int(n)
			return err
		})
		if err != nil {
			return forgotten, err
		}
	}
	if !s.pg {
		return forgotten, nil
	}
	return forgotten, s.tx(ctx, func(t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM blob_data d WHERE d.at < $1
			AND NOT EXISTS (SELECT 1 FROM blobs b WHERE b.org_id = d.org_id AND b.hash = d.hash)`, t.at-keepUnnamed.Microseconds())
		return err
	})
}
