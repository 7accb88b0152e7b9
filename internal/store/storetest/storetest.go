// Package storetest holds what tests of other rooms need of a store: a fresh
// one on a temporary SQLite file, and the conformance suite that every engine
// must pass. It is imported by tests only.
package storetest

import (
	"log/slog"
	"path/filepath"
	"testing"

	"mailroom/internal/store"
)

// Open returns a migrated store on a temporary SQLite file, closed with the test.
func Open(t testing.TB) *store.Store {
	t.Helper()
	return OpenDSN(t, filepath.Join(t.TempDir(), "mailroom.db"))
}

// OpenDSN opens and migrates the database at dsn; it is closed with the test.
func OpenDSN(t testing.TB, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{DSN: dsn, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}
