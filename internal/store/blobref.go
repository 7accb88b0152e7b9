package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// KnownBlobs says which raw mails the organization has already.
func (s *Store) KnownBlobs(ctx context.Context, orgID string, hashes []string) (map[string]bool, error) {
	return s.knownBlobs(ctx, s.read(), orgID, hashes)
}

func (s *Store) knownBlobs(ctx context.Context, q runner, orgID string, hashes []string) (map[string]bool, error) {
	out := map[string]bool{}
	have, err := values[string](ctx, q, `SELECT hash FROM blobs WHERE org_id = $1 AND hash IN `+s.in("$2"), orgID, list(hashes))
	for _, h := range have {
		out[h] = true
	}
	return out, err
}

// BlobRef says where a raw mail of the organization lies. NotFound when it has
// no such mail.
func (s *Store) BlobRef(ctx context.Context, orgID, hash string) (mailroom.BlobRef, error) {
	return one(ctx, s.read(), scanBlobRef, `SELECT hash, pack, pos, length, size, codec FROM blobs WHERE org_id = $1 AND hash = $2`, orgID, hash)
}

func scanBlobRef(r row) (b mailroom.BlobRef, err error) {
	err = r.Scan(&b.Hash, &b.Pack, &b.Offset, &b.Length, &b.Size, &b.Codec)
	return b, err
}
