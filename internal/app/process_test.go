package app_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mailroom/internal/app"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/portal"
)

// built is the real program, made once with the race detector in it.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "mailroom-program-"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-race", "-o", built.dir, "mailroom/cmd/mailroom").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "mailroom")
}

// site is where the program runs: a data folder, and what else is set.
type site struct {
	data string
	env  []string
}

func newSite(t *testing.T, env ...string) site {
	t.Helper()
	return site{data: filepath.Join(t.TempDir(), "data"), env: env}
}

// database is how the program's database is opened from outside.
func (s site) database(t *testing.T) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", "file:"+filepath.Join(s.data, "mailroom.db")+"?_pragma=busy_timeout(10000)"
	for _, e := range s.env {
		if v, ok := strings.CutPrefix(e, "MAILROOM_DATABASE="); ok && v != "" {
			driver, dsn = "pgx", v
		}
	}
	db, err := sql.Open(driver, dsn)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

// number is the one number that a query gives.
func number(t *testing.T, db *sql.DB, text string, args ...any) (n int64) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), text, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return n
}

func (s site) command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.Command(program(t), args...)
	cmd.Dir = t.TempDir() // what it would leave in its working directory goes too
	for _, keep := range []string{"PATH", "HOME", "TMPDIR"} {
		cmd.Env = append(cmd.Env, keep+"="+os.Getenv(keep))
	}
	cmd.Env = append(cmd.Env, "MAILROOM_DATA="+s.data, "MAILROOM_ADDR=127.0.0.1:0", "MAILROOM_LOG_LEVEL=info")
	cmd.Env = append(cmd.Env, s.env...)
	return cmd
}

// tool runs the program to its end.
func (s site) tool(t *testing.T, stdin string, args ...string) (out, errs string, code int) {
	t.Helper()
	cmd := s.command(t, args...)
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &o, &e
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	noAccident(t, e.String())
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// noAccident: no data race, no panic.
func noAccident(t *testing.T, errs string) {
	t.Helper()
	for _, bad := range []string{"DATA RACE", "panic:", "goroutine 1 ["} {
		if strings.Contains(errs, bad) {
			t.Errorf("the program had an accident:\n%s", errs)
			return
		}
	}
}

// process is the program while it serves.
type process struct {
	t         *testing.T
	cmd       *exec.Cmd
	out, errs output
	ended     chan struct{}
	leash     *exec.Cmd
	hold      io.Closer
}

// launch starts the program and does not wait for anything.
func (s site) launch(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: s.command(t, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errs
	must(t, p.cmd.Start())
	p.tie()
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // ProcessState tells
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the program said:\n%s\n%s", p.out.String(), p.errs.String())
		}
	})
	return p
}

// tie makes sure that the program does not outlive the test, whatever ends that:
// a pipe closes with the process that holds it.
func (p *process) tie() {
	r, w, err := os.Pipe()
	must(p.t, err)
	defer r.Close()
	p.hold = w
	p.leash = exec.Command("/bin/sh", "-c", `read -r _; kill -s KILL "$1"`, "leash", strconv.Itoa(p.cmd.Process.Pid))
	p.leash.Stdin = r
	must(p.t, p.leash.Start())
}

// serve starts the program and waits until it serves.
func (s site) serve(t *testing.T, args ...string) *process {
	t.Helper()
	p := s.launch(t, args...)
	p.ready()
	return p
}

var isAt = regexp.MustCompile(`(?m)^Mailroom is at (http\S+)$`)

// url is where the program serves, "" before it does.
func (p *process) url() string {
	if m := isAt.FindStringSubmatch(p.out.String()); m != nil {
		return m[1]
	}
	return ""
}

func (p *process) ready() {
	p.t.Helper()
	tick, deadline := time.NewTicker(10*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for p.url() == "" {
		select {
		case <-tick.C:
		case <-p.ended:
			p.t.Fatalf("it ended with %v:\n%s", p.cmd.ProcessState, p.errs.String())
		case <-deadline:
			p.t.Fatal("it does not serve within a minute")
		}
	}
}

// kill ends the program at this very instant.
func (p *process) kill() {
	p.t.Helper()
	_ = p.cmd.Process.Kill() // fails only if it has ended
	p.wait(time.Minute)
}

// terminate asks the program to end, as a service manager does.
func (p *process) terminate() (code int, took time.Duration) {
	p.t.Helper()
	began := time.Now()
	must(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.wait(30 * time.Second)
	return p.cmd.ProcessState.ExitCode(), time.Since(began)
}

func (p *process) wait(limit time.Duration) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.t.Fatalf("it goes on after %s:\n%s", limit, p.errs.String())
	}
	if p.leash != nil {
		_ = p.leash.Process.Kill()
		_ = p.leash.Wait()
		p.hold.Close()
		p.leash = nil
		noAccident(p.t, p.errs.String())
	}
}

// output collects what a process prints while others read it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

const (
	owner       = "anna@agency.example"
	appPassword = "app-password"
	longEnough  = "correct horse battery"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mail is a mail like no other, from a candidate that the agency knows.
func mail(n int, size int) peers.Mail {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Minute)
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Carla Candidate <carla@home.example>\r\nTo: %s\r\nMessage-ID: <mail-%d@home.example>\r\nDate: %s\r\nSubject: Mail %d\r\n\r\n",
		owner, n, at.Format(time.RFC1123Z), n)
	for line := 0; b.Len() < size; line++ {
		fmt.Fprintf(&b, "Line %d of mail %d about availability and notice.\r\n", line, n)
	}
	m := peers.Mail{Raw: b.Bytes(), Date: at}
	if n%3 == 0 {
		m.Flags = []string{`\Seen`}
	}
	if n%5 == 0 {
		m.Flags = append(m.Flags, `\Flagged`)
	}
	return m
}

func mails(from, n int) []peers.Mail {
	out := make([]peers.Mail, n)
	for i := range out {
		out[i] = mail(from+i, 500+(from+i)%7*900)
	}
	return out
}

// dovecot is a server with the owner's mailbox, reached by app password.
func dovecot(t *testing.T) *peers.DovecotServer {
	return peers.Dovecot(t, peers.DovecotOptions{
		Users: map[string]string{owner: appPassword}, Folders: append(peers.StandardFolders(), peers.DovecotFolder{Name: "Archive"}),
	})
}

// configured is how a test's own Mailroom is set up on a site.
func configured(s site) app.Config {
	cfg := app.Defaults()
	cfg.Addr, cfg.Data, cfg.AllowPrivateHosts, cfg.Poll = "127.0.0.1:0", s.data, true, 5*time.Second
	cfg.Log = slog.New(slog.DiscardHandler)
	for _, e := range s.env {
		if v, ok := strings.CutPrefix(e, "MAILROOM_DATABASE="); ok {
			cfg.Database = v
		}
	}
	return cfg
}

// folders that the tests map, each to an OTYS folder of its own.
var mapped = []string{"INBOX", "Sent", "Archive"}

// settled makes an organization with one user, whose mailbox is at d, and the
// one person that mail is from, and maps the folders.
func settled(t *testing.T, a *app.App, d *peers.DovecotServer) mailroom.User {
	t.Helper()
	return settledAt(t, a, mailroom.Endpoint{Host: d.Host, Port: d.Port, TLS: mailroom.PlainText})
}

func settledAt(t *testing.T, a *app.App, at mailroom.Endpoint) mailroom.User {
	t.Helper()
	ctx := t.Context()
	u, err := a.Portal.AddOrganization(ctx, portal.SetupForm{Organization: "Agency", Name: "Anna", Email: owner, Password: longEnough})
	must(t, err)
	must(t, a.Portal.SaveAddress(ctx, u, owner, false))
	must(t, a.Portal.ChooseAccount(ctx, u, portal.AccountForm{
		Account: mailroom.Other, IMAP: at,
	}))
	must(t, a.Portal.SavePassword(ctx, u, appPassword))
	_, err = a.Portal.ImportPeople(ctx, u, strings.NewReader("kind,name,emails,company,reference\ncandidate,Carla Candidate,carla@home.example,,C1\n"))
	must(t, err)
	_, err = a.Portal.AddOTYSFolder(ctx, u, "Archive")
	must(t, err)
	page, err := a.Portal.RefreshFolders(ctx, u)
	must(t, err)
	if page.Problem != nil {
		t.Fatal(page.Problem)
	}
	form := portal.MappingsForm{Version: page.Version}
	for i, name := range mapped {
		at := slices.IndexFunc(page.OTYS, func(f mailroom.OTYSFolder) bool {
			return f.Role == []mailroom.FolderRole{mailroom.RoleInbox, mailroom.RoleSent, ""}[i]
		})
		if at < 0 {
			t.Fatalf("no OTYS folder for %s in %+v", name, page.OTYS)
		}
		form.Rows = append(form.Rows, portal.MappingForm{RawName: name, OTYSFolder: page.OTYS[at].ID})
	}
	must(t, a.Portal.SaveMappings(ctx, u, form))
	return u
}

// settle makes the same on a site where no program runs.
func (s site) settle(t *testing.T, d *peers.DovecotServer) {
	t.Helper()
	s.settleAt(t, mailroom.Endpoint{Host: d.Host, Port: d.Port, TLS: mailroom.PlainText})
}

func (s site) settleAt(t *testing.T, at mailroom.Endpoint) {
	t.Helper()
	a, err := app.New(t.Context(), configured(s))
	must(t, err)
	settledAt(t, a, at)
	must(t, a.Close())
}

// run serves within the test's own process until the test ends.
func run(t *testing.T, cfg app.Config) *app.App {
	t.Helper()
	a, err := app.New(t.Context(), cfg)
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Mailroom stopped with %v", err)
		}
	})
	return a
}
