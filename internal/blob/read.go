package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"mailroom/internal/mailroom"
)

// ErrGone says that a pack is not there any more. Sweep may have moved its mails
// since the reference was read: read it again.
var ErrGone = errors.New("blob: pack is gone")

// Open returns a raw mail. Its SHA-256 is checked: what a bad disk changed is an
// error and never a mail.
func (p *Packs) Open(ctx context.Context, ref mailroom.BlobRef) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stored, err := p.stored(ref)
	if err != nil {
		return nil, err
	}
	raw := stored[headerSize:]
	if ref.Codec == CodecZstd {
		if raw, err = p.dec.DecodeAll(raw, make([]byte, 0, min(ref.Size, smallMail))); err != nil {
			return nil, fmt.Errorf("blob: %s at %d: %w", ref.Pack, ref.Offset, err)
		}
	}
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != ref.Hash {
		return nil, fmt.Errorf("blob: %s at %d: the octets have changed", ref.Pack, ref.Offset)
	}
	return raw, nil
}

// stored reads a record as it lies in its pack, header included.
func (p *Packs) stored(ref mailroom.BlobRef) ([]byte, error) {
	if ref.Pack == "" || strings.ContainsAny(ref.Pack, `/\`) || ref.Length < 0 {
		return nil, fmt.Errorf("blob: %q is no pack", ref.Pack)
	}
	// Opened for each read: a hundredth of the time of what a page does with it,
	// and a pack may go at any time.
	f, err := os.Open(p.path(ref.Pack))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrGone, ref.Pack)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || ref.Offset < 0 || st.Size()-ref.Offset-headerSize < ref.Length {
		return nil, errors.Join(err, fmt.Errorf("blob: %s ends before %d+%d", ref.Pack, ref.Offset, ref.Length))
	}
	b := make([]byte, headerSize+ref.Length)
	if _, err := f.ReadAt(b, ref.Offset); err != nil {
		return nil, fmt.Errorf("blob: %s at %d: %w", ref.Pack, ref.Offset, err)
	}
	h, err := parseHeader(b)
	if err != nil || h.Hash != ref.Hash || h.Length != ref.Length || h.Size != ref.Size || h.Codec != ref.Codec {
		return nil, fmt.Errorf("blob: %s at %d holds another record", ref.Pack, ref.Offset)
	}
	return b, nil
}
