package imapconn

import (
	"context"
	"slices"
	"time"

	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
)

// What a preview looks at: sizes and dates of messages spread evenly over the
// folder, headers of the newest.
const (
	previewSizes   = 1000
	previewHeaders = 200
)

// Preview says what mapping a folder would bring, from sizes, dates and headers
// only. since leaves out older messages; zero for none. NotFound
// "folder.error.gone" when the folder is no longer there.
func (c *Conn) Preview(ctx context.Context, rawName string, since time.Time) (mailroom.FolderPreview, error) {
	var p mailroom.FolderPreview
	whole := int64(-1)
	if since.IsZero() {
		whole = c.folderSize(ctx, rawName)
	}
	st, err := c.Examine(ctx, rawName)
	if err != nil {
		return p, err
	}
	p.Messages, p.BytesExact = int64(st.Messages), true
	var set mailroom.UIDSet
	switch {
	case st.Messages == 0:
		return p, nil
	case since.IsZero():
		set, err = c.UIDs(ctx, 1)
	default:
		set, err = c.UIDsSince(ctx, since)
	}
	if p.Matching = set.Len(); err != nil || p.Matching == 0 {
		return p, err
	}
	if err := c.sizes(ctx, set, &p); err != nil {
		return p, err
	}
	if whole >= 0 {
		p.Bytes, p.BytesExact = whole, true
	}
	p.Headers, err = c.newestHeaders(ctx, set)
	return p, err
}

// sizes reckons the octets of a set, and between which dates its messages came.
func (c *Conn) sizes(ctx context.Context, set mailroom.UIDSet, p *mailroom.FolderPreview) error {
	var answered, octets int64
	err := c.Sample(ctx, set.Spread(previewSizes), false, func(s mailroom.Sampled) {
		answered++
		octets += s.Size
		if at := s.InternalDate; !at.IsZero() {
			if p.Oldest.IsZero() || at.Before(p.Oldest) {
				p.Oldest = at
			}
			if at.After(p.Newest) {
				p.Newest = at
			}
		}
	})
	if err != nil || answered == 0 {
		return err
	}
	p.BytesExact = answered == p.Matching
	p.Bytes = int64(float64(octets) / float64(answered) * float64(p.Matching))
	return nil
}

func (c *Conn) newestHeaders(ctx context.Context, set mailroom.UIDSet) ([][]byte, error) {
	var found []mailroom.Sampled
	err := c.Sample(ctx, set.Newest(previewHeaders), true, func(s mailroom.Sampled) { found = append(found, s) })
	slices.SortFunc(found, func(a, b mailroom.Sampled) int { return int(int64(b.UID) - int64(a.UID)) })
	out := make([][]byte, len(found))
	for i, s := range found {
		out[i] = s.Header
	}
	return out, err
}

// folderSize is the octets of a folder where the server knows them (RFC 8438),
// else -1. Whatever goes wrong shows when the folder is opened.
func (c *Conn) folderSize(ctx context.Context, rawName string) int64 {
	if !c.wire.Has("STATUS=SIZE") {
		return -1
	}
	st, err := c.wire.Status(mailroom.FolderBytes(rawName), imapwire.StatusSize).Wait(ctx)
	if err != nil || st.Has&imapwire.StatusSize == 0 {
		return -1
	}
	return st.Size
}
