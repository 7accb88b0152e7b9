// Package storetest holds what tests need of a store: a fresh one on a
// temporary SQLite file, an agency to fill it with, and the conformance suite
// that every engine must pass. It is imported by tests only, and is no example of
// how to write to a store: Seed writes rows past its methods.
package storetest

import (
	"database/sql"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mailroom/internal/store"
)

// dsns remembers where each store opened here lies, for SQL.
var dsns sync.Map

// Open returns a migrated store on a temporary SQLite file, closed with the test.
func Open(t testing.TB) *store.Store {
	t.Helper()
	return OpenDSN(t, filepath.Join(t.TempDir(), "mailroom.db"))
}

// OpenDSN opens and migrates the database at dsn; it is closed with the test.
func OpenDSN(t testing.TB, dsn string) *store.Store {
	t.Helper()
	return OpenAt(t, dsn, nil)
}

// OpenAt is OpenDSN with a clock.
func OpenAt(t testing.TB, dsn string, now func() time.Time) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{DSN: dsn, Log: slog.New(slog.DiscardHandler), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	dsns.Store(s, dsn)
	t.Cleanup(func() {
		dsns.Delete(s)
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// SQL returns a connection of the test's own to the database of a store that was
// opened here: to look past its methods.
func SQL(t testing.TB, s *store.Store) *sql.DB {
	t.Helper()
	v, ok := dsns.Load(s)
	if !ok {
		t.Fatal("storetest.SQL: the store was not opened by storetest")
	}
	dsn, driver := v.(string), "sqlite"
	if strings.HasPrefix(dsn, "postgres") {
		driver = "pgx"
	} else {
		u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: dsn}).EscapedPath(), RawQuery: "_pragma=busy_timeout(10000)"}
		dsn = u.String()
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}
