package store

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
)

// chunks are the row counts of multi-row inserts: a few fixed texts, which the
// engines keep prepared, for any number of rows.
var chunks = [...]int{64, 16, 4, 1}

// insert writes rows with "head VALUES (…),(…) tail". Every row has the same length.
func (t *tx) insert(ctx context.Context, head, tail string, vals [][]any) error {
	_, err := t.insertCount(ctx, head, tail, vals)
	return err
}

func (t *tx) insertCount(ctx context.Context, head, tail string, vals [][]any) (n int64, err error) {
	err = t.chunked(head, tail, vals, func(text string, args []any) error {
		k, err := t.exec(ctx, text, args...)
		n += k
		return err
	})
	return n, err
}

// insertReturning is insert with a RETURNING in tail, whose rows fn reads.
func (t *tx) insertReturning(ctx context.Context, head, tail string, vals [][]any, fn func(row) error) error {
	return t.chunked(head, tail, vals, func(text string, args []any) error {
		return each(ctx, t, fn, text, args...)
	})
}

func (t *tx) chunked(head, tail string, vals [][]any, run func(text string, args []any) error) error {
	if len(vals) == 0 {
		return nil
	}
	width := len(vals[0])
	args := make([]any, 0, min(len(vals), chunks[0])*width)
	for len(vals) > 0 {
		for _, n := range chunks {
			for len(vals) >= n {
				args = args[:0]
				for _, v := range vals[:n] {
					args = append(args, v...)
				}
				if err := run(t.s.insertText(head, tail, width, n), args); err != nil {
					return err
				}
				vals = vals[n:]
			}
		}
	}
	return nil
}

type insertKey struct {
	head, tail string
	rows       int
}

// insertText is kept, since writing it costs as much as many an insert.
func (s *Store) insertText(head, tail string, width, n int) string {
	key := insertKey{head, tail, n}
	if text, ok := s.inserts.Load(key); ok {
		return text.(string)
	}
	var b strings.Builder
	b.WriteString(head)
	for i := range n * width {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%width == 0:
			b.WriteString("),(")
		default:
			b.WriteByte(',')
		}
		// SQLite takes "$1" for a name, and binding hundreds of names costs a tenth
		// of a batch; a bare "?" has none.
		if s.pg {
			b.WriteString("$" + strconv.Itoa(i+1))
		} else {
			b.WriteByte('?')
		}
	}
	b.WriteString(")")
	b.WriteString(tail)
	s.inserts.Store(key, b.String())
	return b.String()
}

// asText is a JSON text, or "" for nothing: what asJSON writes, made at once.
func asText[T any](v []T) string {
	if len(v) == 0 {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs of strings and numbers always marshal
	}
	return string(b)
}
