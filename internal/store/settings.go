package store

import (
	"context"
	"errors"

	"mailroom/internal/mailroom"
)

// Setting returns a fact of the installation, "" when it was never set.
func (s *Store) Setting(ctx context.Context, name string) (string, error) {
	return setting(ctx, s.read(), name)
}

// SetSetting keeps a fact of the installation; "" removes it.
func (s *Store) SetSetting(ctx context.Context, name, text string) error {
	return s.tx(ctx, func(t *tx) error { return t.setSetting(ctx, name, text) })
}

func setting(ctx context.Context, q runner, name string) (string, error) {
	v, err := value[string](ctx, q, `SELECT value FROM settings WHERE name = $1`, name)
	if e := (*mailroom.Error)(nil); errors.As(err, &e) && e.Kind == mailroom.NotFound {
		return "", nil
	}
	return v, err
}

func (t *tx) setSetting(ctx context.Context, name, text string) error {
	if text == "" {
		_, err := t.exec(ctx, `DELETE FROM settings WHERE name = $1`, name)
		return err
	}
	_, err := t.exec(ctx, `INSERT INTO settings(name, value) VALUES ($1,$2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, text)
	return err
}
