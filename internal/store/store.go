// Package store keeps everything of Mailroom in SQL but the raw mail: one text
// for SQLite (one node, nothing to install) and PostgreSQL (many nodes), web
// sessions, the leases on mailboxes and the change signals too.
//
// An exported method is one transaction; unexported functions take the
// transaction. The store applies no rule about who may ask for what: it is
// given the organization or the user and never crosses that wall, and the rules
// stand in portal and syncer.
//
// It parses no mail, opens no seal and speaks to no server but its database.
// Raw mail lies in internal/blob; in PostgreSQL mode, where nodes share no
// disk, Blobs keeps it as rows behind the same seam.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say which database to open.
type Options struct {
	// DSN is "postgres://…" for PostgreSQL, anything else is the path of an
	// SQLite file, which is made when missing.
	DSN string
	Log *slog.Logger
	// Now is the clock, time.Now unless a test says otherwise.
	Now func() time.Time
	// MaxConns bounds the connections to PostgreSQL (16), or SQLite's readers (4).
	MaxConns int
}

// Store is an open database. Its methods may be called concurrently.
type Store struct {
	db     *sql.DB // PostgreSQL: the pool; SQLite: the readers
	writer *writer // SQLite's one writing connection, nil on PostgreSQL
	pg     bool
	dsn    string
	log    *slog.Logger
	now    func() time.Time
	// distrusted counts how often the connections made so far led to a server that
	// takes no writes: those are not used again, since after a failover another does.
	distrusted atomic.Int64
	node       string // tells our own notifications from those of other nodes
	hub        *hub
	texts      preparedTexts
	inserts    sync.Map // insertKey → text
	// trace is told of every statement; tests ask the engine how it runs them.
	trace func(text string, args []any)

	stop   context.CancelFunc // of the listener
	listen sync.WaitGroup
}

// Open opens the database. It does not migrate: see Migrate.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{dsn: o.DSN, log: o.Log, now: o.Now, node: nodeID(), hub: newHub()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.pg = strings.HasPrefix(o.DSN, "postgres://") || strings.HasPrefix(o.DSN, "postgresql://")
	var err error
	if s.pg {
		err = s.openPostgres(o.MaxConns)
	} else {
		err = s.openSQLite(ctx, o.MaxConns)
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := s.Ping(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	if s.pg {
		lctx, stop := context.WithCancel(context.Background())
		s.stop = stop
		s.listen.Go(func() { s.listenPostgres(lctx) })
	}
	return s, nil
}

// Ping reports whether the database answers and can be written to.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.db.PingContext(ctx); err != nil {
		return s.fault(err)
	}
	return s.tx(ctx, func(t *tx) error {
		_, err := value[int64](ctx, t, `SELECT 1`)
		return err
	})
}

// Postgres reports whether the store stands on PostgreSQL, where several nodes
// share it and raw mail lies in the database.
func (s *Store) Postgres() bool { return s.pg }

// Close ends all connections. Every Watch channel stays silent from then on.
func (s *Store) Close() error {
	if s.stop != nil {
		s.stop()
		s.listen.Wait()
	}
	s.texts.close()
	var err error
	if s.writer != nil {
		err = s.writer.close()
	}
	return errors.Join(err, s.db.Close())
}

// preparedTexts keeps the readers' prepared statements by their text: parsing
// SQL costs SQLite more than running most of ours. pgx does so by itself.
type preparedTexts struct {
	mu sync.Mutex
	m  map[string]*sql.Stmt
}

// maxTexts bounds the statements kept; dynamic texts beyond it are parsed anew.
const maxTexts = 300

func (p *preparedTexts) get(ctx context.Context, db *sql.DB, text string) (*sql.Stmt, error) {
	p.mu.Lock()
	st, full := p.m[text], len(p.m) >= maxTexts
	p.mu.Unlock()
	if st != nil || full {
		return st, nil
	}
	st, err := db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.m[text]; other != nil {
		st.Close()
		return other, nil
	}
	if p.m == nil {
		p.m = map[string]*sql.Stmt{}
	}
	p.m[text] = st
	return st, nil
}

func (p *preparedTexts) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, st := range p.m {
		st.Close()
	}
	p.m = nil
}
