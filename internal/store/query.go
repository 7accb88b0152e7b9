package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// one returns the first row of a query, or a NotFound error when there is none.
func one[T any](ctx context.Context, q runner, scan func(row) (T, error), text string, args ...any) (T, error) {
	var none T
	rs, err := q.query(ctx, text, args...)
	if err != nil {
		return none, q.dialect().fault(err)
	}
	defer rs.Close()
	if !rs.Next() {
		if err := rs.Err(); err != nil {
			return none, q.dialect().fault(err)
		}
		return none, mailroom.E(mailroom.NotFound, "error.not_found")
	}
	v, err := scan(rs)
	if err != nil {
		return none, q.dialect().fault(err)
	}
	return v, q.dialect().fault(rs.Close())
}

// all returns every row of a query.
func all[T any](ctx context.Context, q runner, scan func(row) (T, error), text string, args ...any) ([]T, error) {
	var out []T
	err := each(ctx, q, func(r row) error {
		v, err := scan(r)
		out = append(out, v)
		return err
	}, text, args...)
	return out, err
}

// each calls fn with every row of a query.
func each(ctx context.Context, q runner, fn func(row) error, text string, args ...any) error {
	rs, err := q.query(ctx, text, args...)
	if err != nil {
		return q.dialect().fault(err)
	}
	defer rs.Close()
	for rs.Next() {
		if err := fn(rs); err != nil {
			return q.dialect().fault(err)
		}
	}
	return q.dialect().fault(rs.Err())
}

// value returns the one column of the first row: a count, an id.
func value[T any](ctx context.Context, q runner, text string, args ...any) (T, error) {
	return one(ctx, q, scanValue[T], text, args...)
}

// values returns the one column of every row.
func values[T any](ctx context.Context, q runner, text string, args ...any) ([]T, error) {
	return all(ctx, q, scanValue[T], text, args...)
}

func scanValue[T any](r row) (v T, err error) {
	err = r.Scan(&v)
	return v, err
}
