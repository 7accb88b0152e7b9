package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

// engines runs a test on each engine, with an empty database.
func engines(t *testing.T, run func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { run(t, filepath.Join(t.TempDir(), "odd name? 100%", "mailroom.db")) })
	t.Run("postgres", func(t *testing.T) { run(t, peers.Postgres(t)) })
}

func TestMigrateTwiceAndByTwoNodes(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		open := func() *store.Store {
			s, err := store.Open(t.Context(), store.Options{DSN: dsn, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var applied []string
		nodes := []*store.Store{open()}
		if nodes[0].Postgres() {
			nodes = append(nodes, open())
		}
		for _, s := range nodes {
			wg.Go(func() {
				names, err := s.Migrate(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				applied = append(applied, names...)
				mu.Unlock()
			})
		}
		wg.Wait()
		if len(applied) < 2 || applied[0] != "0001_init.sql" {
			t.Errorf("applied: %v", applied)
		}
		if again, err := nodes[0].Migrate(t.Context()); err != nil || len(again) > 0 {
			t.Errorf("a second time: %v, %v", again, err)
		}
	})
}

func TestDatabaseFileIsNobodyElses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := storetest.OpenDSN(t, filepath.Join(dir, "mailroom.db"))
	if err := s.SetSetting(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s may be read by others: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFailedTransactionLeavesNothing(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		s := storetest.OpenDSN(t, dsn)
		set := func(text string) string { return `INSERT INTO settings(name, value) VALUES ('x', '` + text + `')` }
		failed := errors.New("no")
		if err := s.Write(t.Context(), failed, nil, set("1")); !errors.Is(err, failed) {
			t.Errorf("got %v", err)
		}
		func() {
			defer func() { recover() }()
			s.WriteFunc(t.Context(), "x", "2", func() { panic("in the middle") })
		}()
		ctx, cancel := context.WithCancel(t.Context())
		if err := s.WriteFunc(ctx, "x", "3", cancel); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if v, err := s.Setting(t.Context(), "x"); v != "" || err != nil {
			t.Errorf("left behind: %q, %v", v, err)
		}
		// And the next one is not in its way.
		if err := s.Write(t.Context(), nil, nil, set("4")); err != nil {
			t.Error(err)
		}
		err := s.Write(t.Context(), nil, nil, set("5"))
		if e := mailroom.AsError(err); e.Kind != mailroom.Conflict || e.Key != "error.conflict" {
			t.Errorf("a second row with one key: %v", err)
		}
		if mailroom.KindOf(s.Write(t.Context(), nil, nil, `NOT EVEN SQL`)) != mailroom.Internal {
			t.Error("nonsense is not our own fault")
		}
	})
}

func TestUnreachableDatabaseIsToldAsSuch(t *testing.T) {
	dsn := peers.Postgres(t)
	s := storetest.OpenDSN(t, dsn)
	db := storetest.SQL(t, s)
	if _, err := db.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	// A pooled connection that died is replaced, at the latest at the second try.
	var err error
	for range 20 {
		if err = s.SetSetting(t.Context(), "a", "b"); err == nil {
			break
		}
		if e := mailroom.AsError(err); e.Kind != mailroom.Unavailable {
			t.Fatalf("told as %v", err)
		}
	}
	if err != nil {
		t.Errorf("not taken up again: %v", err)
	}
	_, err = store.Open(t.Context(), store.Options{DSN: "postgres://nobody@127.0.0.1:1/none?sslmode=disable&connect_timeout=2"})
	if e := mailroom.AsError(err); e.Kind != mailroom.Unavailable || e.Key != "error.database" {
		t.Errorf("no server: %v", err)
	}
	if _, err := store.Open(t.Context(), store.Options{DSN: t.TempDir()}); err == nil {
		t.Error("a directory was opened as a database")
	}
}

func TestFullDiskIsToldAsSuch(t *testing.T) {
	s := storetest.Open(t)
	if err := s.Write(t.Context(), nil, nil, `PRAGMA max_page_count = 10`); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 1<<20)
	err := s.SetSetting(t.Context(), "a", big)
	if e := mailroom.AsError(err); e.Kind != mailroom.Unavailable || e.Key != "error.disk_full" {
		t.Errorf("told as %v", err)
	}
	if err := s.Write(t.Context(), nil, nil, `PRAGMA max_page_count = 100000`); err != nil {
		t.Fatal(err)
	}
	if err := s.SetSetting(t.Context(), "a", big); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestWritersTakeTurns: many at once, none refused, readers undisturbed.
func TestWritersTakeTurns(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		s := storetest.OpenDSN(t, dsn)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for k := range 10 {
					name := fmt.Sprintf("%d/%d", i, k)
					if err := s.SetSetting(t.Context(), name, name); err != nil {
						t.Error(err)
					}
					if v, err := s.Setting(t.Context(), name); v != name || err != nil {
						t.Errorf("wrote %s, read %q, %v", name, v, err)
					}
				}
			})
		}
		wg.Wait()
		waiting, cancel := context.WithCancel(t.Context())
		err := s.WriteFunc(t.Context(), "a", "b", func() {
			if s.Postgres() {
				cancel()
				return
			}
			done := make(chan error)
			go func() { done <- s.SetSetting(waiting, "c", "d") }()
			cancel()
			select {
			case err := <-done:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("gave up with %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("waits for its turn though nobody waits for it")
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestLeaseDuringABatch: on PostgreSQL a batch under way lets its lease be
// renewed, and holds up only who would take the mailbox away.
func TestLeaseDuringABatch(t *testing.T) {
	s := storetest.OpenDSN(t, peers.Postgres(t))
	w := storetest.Seed(t, s)
	c := w.Claim(t, "n1")
	batch, err := w.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := batch.Exec(`SELECT 1 FROM mailboxes WHERE id = $1 FOR KEY SHARE`, c.MailboxID); err != nil { // as Deliver does
		t.Fatal(err)
	}
	quick, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if kept, err := s.RenewLeases(quick, "n1", []mailroom.Claim{c}, time.Hour, time.Now()); err != nil || len(kept) != 1 {
		t.Errorf("not renewed: %v, %v", kept, err)
	}
	ev := mailroom.AuditEvent{OrgID: w.OrgID, Action: "x"}
	if err := s.Answered(quick, c, 1); err != nil {
		t.Errorf("not answered: %v", err)
	}
	if claims, err := s.ClaimMailboxes(quick, "n2", time.Hour, 10, time.Now().Add(2*time.Hour)); err != nil || len(claims) > 0 {
		t.Errorf("claimed from under a batch: %v, %v", claims, err)
	}
	paused := make(chan error, 1)
	go func() {
		paused <- s.ChangeMailbox(t.Context(), w.OrgID, w.Mailbox.ID, func(m *mailroom.Mailbox) error { m.Paused = true; return nil }, ev)
	}()
	select {
	case err := <-paused:
		t.Errorf("paused while a batch was being stored: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if err := batch.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-paused; err != nil {
		t.Error(err)
	}
	if _, err := s.Deliver(t.Context(), c, w.Batch(w.Inbox, w.Mail(1, "a@x.example", "x", "x"))); !errors.Is(err, mailroom.ErrFenced) {
		t.Errorf("stored after the pause: %v", err)
	}
}
