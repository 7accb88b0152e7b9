package store

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"slices"
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
func (s *Store) tx(ctx context.Context, fn func(*tx) error) error { return s.txAs(ctx, plain, fn) }

// txDurable is tx for what no server can be asked for again, such as a token that
// the provider has just put in the place of the last one: a power cut takes
// nothing back that it has committed (see sqliteURI).
func (s *Store) txDurable(ctx context.Context, fn func(*tx) error) error {
	return s.txAs(ctx, durable, fn)
}

// safety is how a transaction is committed on SQLite. PostgreSQL's are all durable.
type safety bool

const plain, durable safety = false, true

func (s *Store) txAs(ctx context.Context, how safety, fn func(*tx) error) error {
	for attempt := 1; ; attempt++ {
		err := s.txOnce(ctx, how, fn)
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

func (s *Store) txOnce(ctx context.Context, how safety, fn func(*tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := &tx{s: s, at: mailroom.Micros(s.now())}
	if s.pg {
		if t.sql, err = s.db.BeginTx(ctx, nil); err != nil {
			return err
		}
	} else if err := s.writer.begin(ctx, how); err != nil {
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
