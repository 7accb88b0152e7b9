package store

import (
	"context"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// SealedRows lists values of a column that are sealed by another key than newest,
// by row, from behind after on. It knows no key and opens nothing.
func (s *Store) SealedRows(ctx context.Context, c mailroom.SealedColumn, newest, after string, limit int) ([]mailroom.SealedRow, error) {
	return all(ctx, s.read(), func(r row) (v mailroom.SealedRow, err error) {
		err = r.Scan(&v.ID, &v.Sealed.KeyID, &v.Sealed.Data)
		return v, err
	}, `SELECT `+c.Row+`, `+c.Key+`, `+c.Data+` FROM `+c.Table+` WHERE `+c.Key+` <> '' AND `+c.Key+` <> $1 AND `+c.Row+` > $2
		ORDER BY `+c.Row+` LIMIT $3`, newest, after, limit)
}

// SealedBy counts a column's values by the key that seals them.
func (s *Store) SealedBy(ctx context.Context, c mailroom.SealedColumn) (map[string]int64, error) {
	out := map[string]int64{}
	err := each(ctx, s.read(), func(r row) error {
		var id string
		var n int64
		err := r.Scan(&id, &n)
		out[id] = n
		return err
	}, `SELECT `+c.Key+`, COUNT(*) FROM `+c.Table+` WHERE `+c.Key+` <> '' GROUP BY `+c.Key)
	return out, err
}

// Reseal writes values under their new key, each only where it is still the one
// that was read: what has changed meanwhile was sealed anew. It returns how many
// it wrote.
func (s *Store) Reseal(ctx context.Context, c mailroom.SealedColumn, rows []mailroom.Resealed) (done int64, err error) {
	err = s.txDurable(ctx, func(t *tx) error {
		done = 0
		for _, v := range rows {
			n, err := t.exec(ctx, `UPDATE `+c.Table+` SET `+c.Key+` = $1, `+c.Data+` = $2 WHERE `+c.Row+` = $3 AND `+c.Key+` = $4 AND `+c.Data+` = $5`,
				v.After.KeyID, v.After.Data, v.ID, v.Before.KeyID, v.Before.Data)
			if err != nil {
				return err
			}
			done += n
		}
		return nil
	})
	return done, err
}

// ForgetResealed has SQLite's log emptied, so that what a former key sealed is not
// to be found in it any more.
func (s *Store) ForgetResealed(ctx context.Context) error {
	if s.writer == nil {
		return nil
	}
	return s.writer.emptyLog(ctx)
}

// NoteKeys says which keys a running process knows.
func (s *Store) NoteKeys(ctx context.Context, k mailroom.NodeKeys) error {
	return s.tx(ctx, func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO node_keys(node, newest, known, seen_at) VALUES ($1,$2,$3,$4)
			ON CONFLICT (node) DO UPDATE SET newest = excluded.newest, known = excluded.known, seen_at = excluded.seen_at`,
			k.Node, k.Newest, strings.Join(k.Known, " "), mailroom.Micros(k.SeenAt))
		return err
	})
}

// ForgetKeys says that a process runs no more.
func (s *Store) ForgetKeys(ctx context.Context, node string) error {
	return s.tx(ctx, func(t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM node_keys WHERE node = $1`, node)
		return err
	})
}

// KeysOfNodes lists what the processes know that have said so since a time, and
// forgets the others.
func (s *Store) KeysOfNodes(ctx context.Context, since time.Time) (out []mailroom.NodeKeys, err error) {
	err = s.tx(ctx, func(t *tx) (err error) {
		if _, err = t.exec(ctx, `DELETE FROM node_keys WHERE seen_at < $1`, mailroom.Micros(since)); err != nil {
			return err
		}
		out, err = all(ctx, t, func(r row) (k mailroom.NodeKeys, err error) {
			var known string
			err = r.Scan(&k.Node, &k.Newest, &known, at(&k.SeenAt))
			k.Known = strings.Fields(known)
			return k, err
		}, `SELECT node, newest, known, seen_at FROM node_keys ORDER BY node`)
		return err
	})
	return out, err
}
