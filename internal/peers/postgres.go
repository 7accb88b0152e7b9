package peers

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
)

// cluster is the one PostgreSQL of this test process: initdb takes seconds, a
// fresh database in a running cluster takes a tenth of one. Its leash ends it
// with the process.
var cluster struct {
	once  sync.Once
	child *child // referred to here, lest the collector close the leash's pipe
	port  int
	err   error

	mu   sync.Mutex
	last int // databases made so far
}

// Postgres makes an empty database and returns its address, as in
// "postgres://mailroom@127.0.0.1:5433/t1?sslmode=disable". The database is dropped when
// the test ends; the server behind it is shared by all tests of the process.
// It trusts every local connection and does not fsync: a test ground, not a store.
func Postgres(t testing.TB) string {
	t.Helper()
	cluster.once.Do(func() { cluster.child, cluster.port, cluster.err = startPostgres() })
	if cluster.err != nil {
		t.Fatalf("PostgreSQL: %v", cluster.err)
	}
	cluster.mu.Lock()
	cluster.last++
	name := fmt.Sprintf("t%d", cluster.last)
	cluster.mu.Unlock()
	if err := admin("CREATE DATABASE " + name); err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := admin("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("PostgreSQL: %v", err)
		}
	})
	return dsn(cluster.port, name)
}

func dsn(port int, database string) string {
	return fmt.Sprintf("postgres://mailroom@127.0.0.1:%d/%s?sslmode=disable", port, database)
}

func admin(statement string) error {
	db, err := sql.Open("pgx", dsn(cluster.port, "postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(statement)
	return err
}

func startPostgres() (c *child, port int, err error) {
	for range attempts {
		if c, port, err = tryPostgres(); err == nil || !strings.Contains(err.Error(), "could not bind") {
			return c, port, err
		}
	}
	return c, port, err
}

func tryPostgres() (*child, int, error) {
	initdb, err := program("/usr/lib/postgresql/*/bin/initdb", "initdb")
	if err != nil {
		return nil, 0, err
	}
	cred, _, _, err := servant()
	if err != nil {
		return nil, 0, err
	}
	dir, err := privateDir("pg", cred)
	if err != nil {
		return nil, 0, err
	}
	data := filepath.Join(dir, "data")
	cmd := exec.Command(initdb, "-D", data, "-U", "mailroom", "-A", "trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return nil, 0, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, 0, err
	}
	c, err := start(spawn{
		name: "postgres",
		args: []string{filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-p", fmt.Sprint(ports[0]),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
			"-c", "max_connections=300", "-c", "shared_buffers=64MB",
			"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "logging_collector=off"},
		cred: cred,
		dir:  dir,
		stop: "QUIT", // immediate shutdown: the data goes anyway
	})
	if err != nil {
		os.RemoveAll(dir)
		return nil, 0, err
	}
	err = c.ready(func(ctx context.Context) error {
		db, err := sql.Open("pgx", dsn(ports[0], "postgres"))
		if err != nil {
			return err
		}
		defer db.Close()
		return db.PingContext(ctx)
	})
	return c, ports[0], err
}
