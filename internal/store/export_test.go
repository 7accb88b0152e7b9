package store

import "context"

// Trace tells fn of every statement that s runs from now on.
func (s *Store) Trace(fn func(text string, args []any)) { s.trace = fn }

// Write runs statements in one write transaction and then fails with err, if any.
func (s *Store) Write(ctx context.Context, err error, topics []string, texts ...string) error {
	return s.tx(ctx, func(t *tx) error {
		for _, text := range texts {
			if _, err := t.exec(ctx, text); err != nil {
				return err
			}
		}
		t.notify(topics...)
		return err
	})
}

// WriteFunc runs fn in a write transaction that sets a fact of the installation.
func (s *Store) WriteFunc(ctx context.Context, name, value string, fn func()) error {
	return s.tx(ctx, func(t *tx) error {
		if err := t.setSetting(ctx, name, value); err != nil {
			return err
		}
		fn()
		return nil
	})
}

// DropOrphans deletes those of messages that nobody has any more.
func (s *Store) DropOrphans(ctx context.Context, orgID string, seqs []int64) (n int64, err error) {
	err = s.tx(ctx, func(t *tx) error {
		n, err = t.dropOrphans(ctx, orgID, seqs)
		return err
	})
	return n, err
}
