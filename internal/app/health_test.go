package app_test

import (
	"database/sql"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mailroom/internal/app"
	"mailroom/internal/peers"
)

// ask makes a request and returns status and body. headers are name, value, …
func ask(t *testing.T, address string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
	must(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Client{Timeout: 15 * time.Second}).Do(r)
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, string(body)
}

func TestMetricsAreForTheOperatorOnly(t *testing.T) {
	d := dovecot(t)
	d.Deliver(owner, "INBOX", mails(0, 7)...)
	a := run(t, configured(newSite(t)))
	u := settled(t, a, d)
	synced(t, a, u, "INBOX", 7)

	code, text := ask(t, a.URL()+"/metrics")
	if code != 200 || !strings.Contains(text, "\nmailroom_messages_stored_total 7\n") || !strings.Contains(text, "\nmailroom_mailboxes_watched 1\n") {
		t.Errorf("%d, without the figures of what happened:\n%s", code, text)
	}
	if strings.Contains(text, "agency.example") || strings.Contains(text, "INBOX") {
		t.Error("figures name somebody's mail")
	}
	for _, h := range []string{"X-Forwarded-For", "Forwarded"} {
		if code, _ := ask(t, a.URL()+"/metrics", h, "for=198.51.100.7"); code != 403 {
			t.Errorf("through a proxy (%s): %d", h, code)
		}
	}

	cfg := configured(newSite(t))
	cfg.MetricsToken = "a-long-token"
	b := run(t, cfg)
	for _, c := range []struct {
		authorization string
		want          int
	}{{"", 403}, {"Bearer a-long-tokem", 403}, {"a-long-token", 403}, {"Bearer ", 403}, {"Bearer a-long-token", 200}} {
		if code, _ := ask(t, b.URL()+"/metrics", "Authorization", c.authorization, "X-Forwarded-For", "198.51.100.7"); code != c.want {
			t.Errorf("Authorization %q: %d, want %d", c.authorization, code, c.want)
		}
	}
}

// TestNotReadyWithoutADatabase: /readyz says when the database takes no write,
// in time, and when it does again; /healthz says that the process lives.
func TestNotReadyWithoutADatabase(t *testing.T) {
	t.Run("SQLite is held by somebody else", func(t *testing.T) {
		s := newSite(t)
		a := run(t, configured(s))
		is(t, a, 200, "ready\n")
		db := s.database(t)
		db.SetMaxOpenConns(1)
		for _, text := range []string{"BEGIN IMMEDIATE", "CREATE TABLE held(x)"} {
			_, err := db.Exec(text)
			must(t, err)
		}
		began := time.Now()
		is(t, a, 503, "database: error.")
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("the answer took %s: a prober has gone by then", took)
		}
		_, err := db.Exec("ROLLBACK")
		must(t, err)
		within(t, "it is ready again", func() bool { code, _ := ask(t, a.URL()+"/readyz"); return code == 200 })
	})

	t.Run("PostgreSQL is gone, then read-only", func(t *testing.T) {
		dsn, err := url.Parse(peers.Postgres(t))
		must(t, err)
		direct := dsn.String()
		road := newRoad(t, dsn.Host)
		dsn.Host = road.addr
		s := newSite(t, "MAILROOM_DATABASE="+dsn.String())
		d := dovecot(t)
		d.Deliver(owner, "INBOX", mails(0, 5)...)
		a := run(t, configured(s))
		u := settled(t, a, d)
		synced(t, a, u, "INBOX", 5)
		is(t, a, 200, "ready\n")

		road.close()
		is(t, a, 503, "database: error.database\n")
		d.Deliver(owner, "INBOX", mails(5, 2)...) // while nothing can be kept
		road.open()
		within(t, "it is ready again", func() bool { code, _ := ask(t, a.URL()+"/readyz"); return code == 200 })
		synced(t, a, u, "INBOX", 7)

		db, err := sql.Open("pgx", direct)
		must(t, err)
		defer db.Close()
		name := strings.TrimPrefix(dsn.Path, "/")
		_, err = db.Exec(`ALTER DATABASE ` + name + ` SET default_transaction_read_only = on`)
		must(t, err)
		road.close()
		road.open()
		within(t, "it is read-only", func() bool {
			code, text := ask(t, a.URL()+"/readyz")
			return code == 503 && text == "database: error.read_only\n"
		})
		// As after a failover: who connects now finds a server that takes writes, and
		// the connections that stand would go on to lead to one that does not.
		_, err = db.Exec(`BEGIN; SET TRANSACTION READ WRITE; ALTER DATABASE ` + name + ` RESET default_transaction_read_only; COMMIT`)
		must(t, err)
		within(t, "it is ready again", func() bool { code, _ := ask(t, a.URL()+"/readyz"); return code == 200 })
		d.Deliver(owner, "INBOX", mails(7, 1)...)
		synced(t, a, u, "INBOX", 8)
	})
}

func is(t *testing.T, a *app.App, want int, text string) {
	t.Helper()
	code, body := ask(t, a.URL()+"/readyz")
	if code != want || !strings.HasPrefix(body, text) {
		t.Errorf("/readyz: %d %q, want %d %q", code, body, want, text)
	}
	if code, _ := ask(t, a.URL()+"/healthz"); code != 200 {
		t.Errorf("/healthz: %d", code)
	}
}

// road is a way to a server that can be closed.
type road struct {
	t        *testing.T
	addr, to string
	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
}

func newRoad(t *testing.T, to string) *road {
	r := &road{t: t, to: to, addr: "127.0.0.1:0"}
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *road) open() {
	r.t.Helper()
	l, err := net.Listen("tcp", r.addr)
	must(r.t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listener, r.addr = l, l.Addr().String()
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", r.to)
			if err != nil {
				in.Close()
				continue
			}
			r.mu.Lock()
			if r.listener != l {
				in.Close()
				out.Close()
			}
			r.conns = append(r.conns, in, out)
			r.mu.Unlock()
			go func() { io.Copy(out, in); out.Close() }()
			go func() { io.Copy(in, out); in.Close() }()
		}
	}()
}

// close lets nobody through and ends what is under way.
func (r *road) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener != nil {
		r.listener.Close()
		r.listener = nil
	}
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

var storedFigure = regexp.MustCompile(`(?m)^mailroom_messages_stored_total (\d+)$`)

// filed is what a process says it has filed since it began.
func filed(t *testing.T, address string) int {
	t.Helper()
	_, text := ask(t, address+"/metrics")
	m := storedFigure.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no figure of stored messages in:\n%s", text)
	}
	n, err := strconv.Atoi(m[1])
	must(t, err)
	return n
}
