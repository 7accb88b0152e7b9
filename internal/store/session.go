package store

import (
	"context"
	"errors"
	"time"

	"mailroom/internal/mailroom"
)

// The store keeps web sessions for scs: scs.CtxStore and scs.IterableCtxStore.

// FindCtx returns a session's data; found is false for an unknown or expired one.
func (s *Store) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	data, err = value[[]byte](ctx, s.read(), `SELECT data FROM sessions WHERE token = $1 AND expiry > $2`,
		token, mailroom.Micros(s.now()))
	if e := (*mailroom.Error)(nil); errors.As(err, &e) && e.Kind == mailroom.NotFound {
		return nil, false, nil
	}
	return data, err == nil, err
}

// CommitCtx writes a session.
func (s *Store) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	return s.tx(ctx, func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO sessions(token, data, expiry) VALUES ($1,$2,$3)
			ON CONFLICT (token) DO UPDATE SET data = excluded.data, expiry = excluded.expiry`,
			token, data, mailroom.Micros(expiry))
		return err
	})
}

// DeleteCtx removes a session; an unknown one is no error.
func (s *Store) DeleteCtx(ctx context.Context, token string) error {
	return s.tx(ctx, func(t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM sessions WHERE token = $1`, token)
		return err
	})
}

// AllCtx returns every session that has not expired, by token.
func (s *Store) AllCtx(ctx context.Context) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := each(ctx, s.read(), func(r row) error {
		var token string
		var data []byte
		if err := r.Scan(&token, &data); err != nil {
			return err
		}
		out[token] = data
		return nil
	}, `SELECT token, data FROM sessions WHERE expiry > $1`, mailroom.Micros(s.now()))
	return out, err
}

// Find is FindCtx without a context, as scs.Store wants it.
func (s *Store) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is CommitCtx without a context.
func (s *Store) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// Delete is DeleteCtx without a context.
func (s *Store) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }
