package peers_test

import (
	"database/sql"
	"testing"

	"mailroom/internal/peers"
)

func TestPostgresGivesEachTestItsOwnDatabase(t *testing.T) {
	open := func(t *testing.T) *sql.DB {
		db, err := sql.Open("pgx", peers.Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	first, second := open(t), open(t)
	if _, err := first.Exec(`CREATE TABLE letters (id TEXT PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	var n int
	err := second.QueryRow(`SELECT count(*) FROM pg_tables WHERE tablename = 'letters'`).Scan(&n)
	if err != nil || n != 0 {
		t.Fatalf("the second database knows %d tables of the first (%v)", n, err)
	}
}

func TestPostgresDropsTheDatabase(t *testing.T) {
	var dsn string
	t.Run("uses one", func(t *testing.T) { dsn = peers.Postgres(t) })
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err == nil {
		t.Error("the database is still there after its test")
	}
}
