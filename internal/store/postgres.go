package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// channel is the one NOTIFY channel; its payload is the sender's node, then topics.
const channel = "mailroom"

func (s *Store) openPostgres(conns int) error {
	if conns == 0 {
		conns = 16
	}
	cfg, err := pgx.ParseConfig(s.dsn)
	if err != nil {
		return err
	}
	cfg.RuntimeParams["application_name"] = "mailroom"
	const generation = "mailroom.generation"
	s.db = stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(func(_ context.Context, c *pgx.Conn) error {
		c.PgConn().CustomData()[generation] = s.distrusted.Load()
		return nil
	}), stdlib.OptionResetSession(func(_ context.Context, c *pgx.Conn) error {
		if made, ok := c.PgConn().CustomData()[generation].(int64); ok && made < s.distrusted.Load() {
			return driver.ErrBadConn // the pool makes another
		}
		return nil
	}))
	s.db.SetMaxOpenConns(conns)
	s.db.SetMaxIdleConns(conns)
	s.db.SetConnMaxIdleTime(5 * time.Minute)
	return nil
}

// listenPostgres turns other nodes' notifications into local signals until ctx
// ends. After every gap it wakes everybody, since notifications that nobody
// listened to are lost.
func (s *Store) listenPostgres(ctx context.Context) {
	const slowest = 10 * time.Second
	pause := 100 * time.Millisecond
	for ctx.Err() == nil {
		listening, err := s.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if listening {
			pause = 100 * time.Millisecond
		}
		s.log.Warn("database notifications interrupted", "error", err, "again_in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, slowest)
	}
}

func (s *Store) listenOnce(ctx context.Context) (listening bool, err error) {
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return false, err
	}
	s.hub.publishAll()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return true, err
		}
		from, topics, _ := strings.Cut(n.Payload, " ")
		if from != s.node {
			s.hub.publish(strings.Fields(topics)...)
		}
	}
}

// notifyPostgres queues the topics with the transaction: they go out when it
// commits and are lost when it does not. A payload holds under 8,000 bytes.
func notifyPostgres(ctx context.Context, t *sql.Tx, node string, topics []string) error {
	const limit = 7500
	payload := node
	flush := func() error {
		_, err := t.ExecContext(ctx, "SELECT pg_notify($1, $2)", channel, payload)
		payload = node
		return err
	}
	for _, topic := range topics {
		if len(payload)+1+len(topic) > limit {
			if err := flush(); err != nil {
				return err
			}
		}
		payload += " " + topic
	}
	return flush()
}

// nodeID names this Store among all that share a database.
func nodeID() string { return rand.Text() }

// pgCode is the SQLSTATE of an error, "" if it is none.
func pgCode(err error) string {
	if e, ok := asType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}
