package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// runner runs statements: in a transaction (*tx), or reading outside of one
// (Store.read). Texts use $1, $2… and are the same for both engines.
type runner interface {
	query(ctx context.Context, text string, args ...any) (rows, error)
	dialect() *Store
}

// rows is *sql.Rows, which closes a statement that is not kept along with it.
type rows struct {
	*sql.Rows
	once *sql.Stmt
}

func (r rows) Close() error {
	err := r.Rows.Close()
	if r.once != nil {
		r.once.Close()
	}
	return err
}

// row is what a scan function reads: one row of a result.
type row interface{ Scan(dest ...any) error }

// tx is a write transaction.
type tx struct {
	s      *Store
	sql    *sql.Tx // nil on SQLite, where the writer is ours for the time
	topics []string
	// at is the transaction's time, the same for all its rows, as micros.
	at int64
}

const txAttempts = 8

// tx runs fn in a write transaction. An error of fn rolls everything back.
// When PostgreSQL refuses a transaction for its concurrency with another, fn is
// run again from the start, so it must reset what it writes outside of the
// database. Topics given to notify go out after the commit only.
func (s *Store) tx(ctx context.Context, fn func(*tx) error) error {
	for attempt := 1; ; attempt++ {
		err := s.txOnce(ctx, fn)
		if err == nil || attempt == txAttempts || !s.again(err) {
			return s.fault(err)
		}
		pause := time.Duration(rand.Int64N(int64(5*time.Millisecond) << attempt))
		select {
		case <-ctx.Done():
			return s.fault(ctx.Err())
		case <-time.After(pause):
		}
	}
}

func (s *Store) txOnce(ctx context.Context, fn func(*tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := &tx{s: s, at: mailroom.Micros(s.now())}
	if s.pg {
		if t.sql, err = s.db.BeginTx(ctx, nil); err != nil {
			return err
		}
	} else if err := s.writer.begin(ctx); err != nil {
		return err
	}
	open := true
	rollback := func() {
		if open && s.pg {
			t.sql.Rollback()
		} else if open {
			s.writer.end("ROLLBACK")
		}
		open = false
	}
	defer rollback() // for a panic of fn
	if err = fn(t); err == nil {
		err = ctx.Err()
	}
	slices.Sort(t.topics)
	t.topics = slices.Compact(t.topics)
	if err == nil && s.pg && len(t.topics) > 0 {
		err = notifyPostgres(ctx, t.sql, s.node, t.topics)
	}
	if err != nil {
		rollback()
		return err
	}
	open = false
	if s.pg {
		err = t.sql.Commit()
	} else {
		err = s.writer.end("COMMIT")
	}
	if err == nil {
		s.hub.publish(t.topics...)
	}
	return err
}

// notify signals the watchers of topics once the transaction has committed.
func (t *tx) notify(topics ...string) { t.topics = append(t.topics, topics...) }

func (t *tx) dialect() *Store { return t.s }

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(ctx context.Context, text string, args ...any) (int64, error) {
	res, err := t.execResult(ctx, text, args)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *tx) execResult(ctx context.Context, text string, args []any) (sql.Result, error) {
	t.s.traced(text, args)
	if t.sql != nil {
		return t.sql.ExecContext(ctx, text, args...)
	}
	st, once, err := t.s.writer.stmt(text)
	if err != nil {
		return nil, err
	}
	if once {
		defer st.Close()
	}
	// A context that can end costs a goroutine per statement, and SQLite's are
	// short: it is looked at before and after the transaction.
	return st.ExecContext(context.WithoutCancel(ctx), args...)
}

func (t *tx) query(ctx context.Context, text string, args ...any) (rows, error) {
	t.s.traced(text, args)
	if t.sql != nil {
		rs, err := t.sql.QueryContext(ctx, text, args...)
		return rows{Rows: rs}, err
	}
	st, once, err := t.s.writer.stmt(text)
	if err != nil {
		return rows{}, err
	}
	rs, err := st.QueryContext(context.WithoutCancel(ctx), args...)
	if !once {
		return rows{Rows: rs}, err
	}
	return rows{Rows: rs, once: st}, err
}

// reader reads outside of a transaction: every statement sees the newest commit.
type reader struct{ s *Store }

// read is for queries that need no transaction of their own.
func (s *Store) read() runner { return reader{s} }

func (r reader) dialect() *Store { return r.s }

func (r reader) query(ctx context.Context, text string, args ...any) (rows, error) {
	r.s.traced(text, args)
	if r.s.pg {
		rs, err := r.s.db.QueryContext(ctx, text, args...)
		return rows{Rows: rs}, err
	}
	st, err := r.s.texts.get(ctx, r.s.db, text)
	if err != nil {
		return rows{}, err
	}
	if st == nil {
		rs, err := r.s.db.QueryContext(ctx, text, args...)
		return rows{Rows: rs}, err
	}
	rs, err := st.QueryContext(ctx, args...)
	return rows{Rows: rs}, err
}

// snapshot reads in a read-only transaction: all its statements see one state.
type snapshot struct {
	s  *Store
	tx *sql.Tx
}

func (v snapshot) dialect() *Store { return v.s }

func (v snapshot) query(ctx context.Context, text string, args ...any) (rows, error) {
	v.s.traced(text, args)
	rs, err := v.tx.QueryContext(ctx, text, args...)
	return rows{Rows: rs}, err
}

// view runs fn on one unchanging state of the database.
func (s *Store) view(ctx context.Context, fn func(runner) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if s.pg {
		opts.Isolation = sql.LevelRepeatableRead
	}
	t, err := s.db.BeginTx(ctx, opts)
	if err != nil {
		return s.fault(err)
	}
	defer t.Rollback()
	return s.fault(fn(snapshot{s, t}))
}

func (s *Store) traced(text string, args []any) {
	if s.trace != nil {
		s.trace(text, args)
	}
}

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

// again reports whether the engine refused a transaction only for what else
// happened at that moment.
func (s *Store) again(err error) bool {
	switch pgCode(err) {
	case "40001", "40P01", "55P03": // serialization_failure, deadlock_detected, lock_not_available
		return true
	}
	switch sqliteCode(err) & 0xff {
	case 5, 6: // SQLITE_BUSY after its timeout, SQLITE_LOCKED
		return true
	}
	return errors.Is(err, driver.ErrBadConn)
}

// fault classifies an engine's error. Errors that are classified already, and
// the context's, pass through.
func (s *Store) fault(err error) error {
	var known *mailroom.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, mailroom.ErrFenced),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, sql.ErrNoRows):
		return mailroom.E(mailroom.NotFound, "error.not_found")
	}
	if s.pg {
		return faultPostgres(err)
	}
	return faultSQLite(err)
}

func faultPostgres(err error) error {
	switch code := pgCode(err); {
	case code == "23505": // unique_violation
		return mailroom.E(mailroom.Conflict, "error.conflict", err)
	case code == "53100": // disk_full
		return mailroom.E(mailroom.Unavailable, "error.disk_full", err)
	case code == "25006": // read_only_sql_transaction
		return mailroom.E(mailroom.Unavailable, "error.read_only", err)
	case code == "", code[:2] == "08", code[:2] == "53", code[:2] == "57", code[:2] == "40":
		// no answer, connection, resources, shutdown, refused for concurrency
		return mailroom.E(mailroom.Unavailable, "error.database", err)
	}
	return fmt.Errorf("store: %w", err)
}

func faultSQLite(err error) error {
	switch code := sqliteCode(err); code {
	case 2067, 1555: // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY
		return mailroom.E(mailroom.Conflict, "error.conflict", err)
	default:
		switch code & 0xff {
		case 13: // SQLITE_FULL
			return mailroom.E(mailroom.Unavailable, "error.disk_full", err)
		case 8: // SQLITE_READONLY
			return mailroom.E(mailroom.Unavailable, "error.read_only", err)
		case 5, 6, 10, 14: // BUSY, LOCKED, IOERR, CANTOPEN
			return mailroom.E(mailroom.Unavailable, "error.database", err)
		}
	}
	return fmt.Errorf("store: %w", err)
}

// duplicate reports whether err is a broken UNIQUE or PRIMARY KEY.
func duplicate(err error) bool {
	c := sqliteCode(err)
	return pgCode(err) == "23505" || c == 2067 || c == 1555
}

func asType[T error](err error) (T, bool) {
	var e T
	ok := errors.As(err, &e)
	return e, ok
}

// at scans a time kept as microseconds.
func at(t *time.Time) sql.Scanner { return (*scanTime)(t) }

type scanTime time.Time

func (t *scanTime) Scan(v any) error {
	us, ok := v.(int64)
	if !ok {
		return errColumn("time", v)
	}
	*t = scanTime(mailroom.FromMicros(us))
	return nil
}

// asJSON is a TEXT column that holds JSON, or ” for the zero value. To write
// give the value, to read a pointer to it.
func asJSON(v any) jsonColumn { return jsonColumn{v} }

type jsonColumn struct{ v any }

func (c jsonColumn) Value() (driver.Value, error) {
	if rv := reflect.ValueOf(c.v); !rv.IsValid() || rv.IsZero() || rv.Kind() == reflect.Slice && rv.Len() == 0 {
		return "", nil
	}
	b, err := json.Marshal(c.v)
	return string(b), err
}

func (c jsonColumn) Scan(v any) error {
	var b []byte
	switch v := v.(type) {
	case string:
		b = []byte(v)
	case []byte:
		b = v
	case nil:
	default:
		return errColumn("JSON", v)
	}
	if len(b) == 0 {
		return nil
	}
	return json.Unmarshal(b, c.v)
}

func errColumn(what string, v any) error { return fmt.Errorf("%s column holds %T", what, v) }

// prefixed puts "table." before each plain column of a list of columns.
func prefixed(table, columns string) string {
	parts := strings.Split(columns, ",")
	for i, p := range parts {
		parts[i] = table + "." + strings.TrimSpace(p)
	}
	return strings.Join(parts, ", ")
}
