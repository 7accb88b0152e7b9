package store

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite" // the SQLite engine, without cgo
)

// sqliteURI is the driver's name for a connection to path. NORMAL in WAL mode can lose the
// last commits in a power cut, never corrupt: the cursor is in the same
// transaction as the mail, so what was lost is read again. What cannot be had again
// is written by txDurable.
func sqliteURI(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)", "temp_store(MEMORY)",
	}, pragmas...)}
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	return u.String()
}

func (s *Store) openSQLite(ctx context.Context, readers int) error {
	if readers == 0 {
		readers = 4
	}
	path, err := filepath.Abs(s.dsn)
	if err != nil {
		return err
	}
	// The file holds sealed tokens and people's mail: nobody else's to read.
	// SQLite gives its WAL the same mode.
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	s.writer = &writer{turn: make(chan struct{}, 1)}
	s.writer.db, err = sql.Open("sqlite", sqliteURI(path, "cache_size(-16384)", "wal_autocheckpoint(4000)", "journal_size_limit(67108864)",
		// What is deleted is overwritten where it lay: a data key that was shredded opens
		// nothing any more. FAST spares only whole pages that are given free; no key fills one.
		"secure_delete(FAST)"))
	if err != nil {
		return err
	}
	s.writer.db.SetMaxOpenConns(1)
	if s.db, err = sql.Open("sqlite", sqliteURI(path, "cache_size(-4096)", "query_only(1)")); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(readers)
	s.db.SetMaxIdleConns(readers)
	// The writer first: it is the one that may turn a new file to WAL.
	if err := s.writer.begin(ctx, plain); err != nil {
		s.db.Close()
		s.writer.db.Close()
		return err
	}
	return s.writer.end("COMMIT")
}

// writer is SQLite's one writing connection, taken in turns. It keeps its
// prepared statements for ever, which database/sql's own transactions do not.
type writer struct {
	db    *sql.DB
	turn  chan struct{} // holds a token while somebody writes
	conn  *sql.Conn
	texts map[string]*sql.Stmt
	how   safety // of the transaction under way
}

// begin waits for its turn and starts a transaction.
func (w *writer) begin(ctx context.Context, how safety) (err error) {
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() {
		if err != nil {
			w.drop()
			<-w.turn
		}
	}()
	if w.conn == nil {
		if w.conn, err = w.db.Conn(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	if how == durable { // not to be changed within a transaction
		if _, err = w.conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = FULL"); err != nil {
			return err
		}
	}
	w.how = how
	// IMMEDIATE: a transaction that reads first and writes later can never be
	// refused for a stale snapshot.
	_, err = w.conn.ExecContext(context.WithoutCancel(ctx), "BEGIN IMMEDIATE")
	return err
}

// end ends the transaction with COMMIT or ROLLBACK and gives the turn away.
func (w *writer) end(how string) error {
	defer func() { <-w.turn }()
	_, err := w.conn.ExecContext(context.Background(), how)
	if err != nil {
		if how == "COMMIT" {
			w.conn.ExecContext(context.Background(), "ROLLBACK")
		}
		w.drop() // whatever state it is in, the next turn begins with a new one
		return err
	}
	if w.how == durable {
		if _, err := w.conn.ExecContext(context.Background(), "PRAGMA synchronous = NORMAL"); err != nil {
			w.drop() // committed all the same
		}
	}
	return nil
}

// emptyLog has everything written into the database file and the log emptied, so
// that what was deleted is not to be found there either. Somebody who reads at this
// moment may keep it from happening, until the log is emptied the next time.
func (w *writer) emptyLog(ctx context.Context) error {
	if err := w.begin(ctx, plain); err != nil { // for the turn, and a connection that works
		return err
	}
	defer func() { <-w.turn }()
	for _, text := range []string{"COMMIT", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := w.conn.ExecContext(context.WithoutCancel(ctx), text); err != nil {
			w.drop()
			return err
		}
	}
	return nil
}

// drop gives up the connection with its statements.
func (w *writer) drop() {
	for _, st := range w.texts {
		st.Close()
	}
	w.texts = nil
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

// stmt is the prepared statement of text; once is true when it is not kept.
func (w *writer) stmt(text string) (st *sql.Stmt, once bool, err error) {
	if st := w.texts[text]; st != nil {
		return st, false, nil
	}
	// Without the request's context: database/sql would tie the statement to it.
	st, err = w.conn.PrepareContext(context.Background(), text)
	if err != nil || len(w.texts) >= maxTexts {
		return st, true, err
	}
	if w.texts == nil {
		w.texts = map[string]*sql.Stmt{}
	}
	w.texts[text] = st
	return st, false, nil
}

func (w *writer) close() error {
	w.turn <- struct{}{}
	defer func() { <-w.turn }() // a second close, and a late writer, find a closed database
	w.drop()
	return w.db.Close()
}

// sqliteCode is the extended result code of an error, 0 if it is none.
func sqliteCode(err error) int {
	if e, ok := asType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}
