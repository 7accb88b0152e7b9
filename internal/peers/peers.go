// Package peers starts the real servers that Mailroom's tests talk to: Dovecot,
// an OpenID-certified provider (npm oidc-provider), PostgreSQL and Chromium.
// Nobody here wrote them, which is the point: they are the proof beside the
// pretend world.
//
// Every server is private to the test that asked for it: loopback only, a port
// of its own, its files in a temporary directory. It ends with the test, and
// also when the test process is killed.
//
// The package does not install anything (tools/setup.sh does) and never skips:
// a peer that is missing fails the test and says how to get it. It knows
// nothing of Mailroom's rules, and no program imports it.
package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startLimit bounds how long a peer may take until it answers. Generous, since
// several test processes may share two cores.
const startLimit = 60 * time.Second

const setupHint = "run `make setup` (it installs what the tests need), or `make test`"

// leash runs a peer and ends it, whatever becomes of the test process: its
// standard input is a pipe whose other end only the test process holds, so a
// test that is killed with -9 ends the peer too. Pdeathsig is not enough, since
// the servers have children of their own and leave a directory behind.
// PIPE is ignored because a dead test no longer reads what is printed here.
// The last `kill 0` reaches only the process group that the leash leads.
const leash = `
sig=$1 dir=$2
shift 2
exec 3<&0 </dev/null
"$@" 3<&- &
peer=$!
trap '' PIPE
{
	read -r _ <&3
	trap '' TERM
	kill -s "$sig" "$peer"
	n=0
	while kill -0 "$peer" && [ $n -lt 250 ]; do sleep 0.02; n=$((n + 1)); done
	kill -s KILL "$peer"
} 2>/dev/null &
watch=$!
exec 3<&-
wait "$peer"
echo "peer ended with status $?" >&2
kill "$watch" 2>/dev/null
wait "$watch"
[ -e "$dir/.keep" ] || rm -rf "$dir"
kill -s KILL 0
`

// child is one peer on its leash.
type child struct {
	name string
	pid  int // the leash; also the process group
	hold io.Closer
	done chan struct{} // closed when the leash has ended
	log  *logBuffer
}

// spawn describes a peer to start.
type spawn struct {
	name string
	args []string
	env  []string            // added to the test's own
	cred *syscall.Credential // nil: as the test's own user
	dir  string              // removed when the peer ends, unless it holds a file ".keep"
	stop string              // the signal for an orderly end, as kill -s names it
}

func start(s spawn) (*child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	c := &child{name: s.name, hold: w, done: make(chan struct{}), log: &logBuffer{}}
	cmd := exec.Command("/bin/sh", append([]string{"-c", leash, "leash-" + s.name, s.stop, s.dir}, s.args...)...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Dir = "/"
	cmd.Stdin = r
	cmd.Stdout, cmd.Stderr = c.log, c.log
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.cred}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	c.pid = cmd.Process.Pid
	go func() {
		defer close(c.done)
		// The leash always ends by its own SIGKILL; what matters is in the log.
		_ = cmd.Wait()
	}()
	return c, nil
}

// stop ends the peer and everything that it started, and reports what survived.
func (c *child) stop() error {
	c.hold.Close()
	select {
	case <-c.done:
	case <-time.After(15 * time.Second):
	}
	// A group outlives its leader while members remain.
	if err := syscall.Kill(-c.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end %s: %w", c.name, err)
	}
	<-c.done
	return within(10*time.Second, func() error {
		if left := living(c.pid); len(left) > 0 {
			return fmt.Errorf("%s: processes %v are left", c.name, left)
		}
		return nil
	})
}

// living lists the processes of a group, from /proc. Zombies do not count: when
// the init of a container reaps them is not ours to say.
func living(group int) []string {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	var left []string
	for _, f := range files {
		stat, err := os.ReadFile(f)
		if err != nil {
			continue // it ended meanwhile
		}
		// proc(5): pid (name) state ppid pgrp …; the name may hold anything.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && fields[0] != "Z" {
			left = append(left, filepath.Base(filepath.Dir(f)))
		}
	}
	return left
}

// ready polls until probe succeeds, the peer dies or startLimit passes.
func (c *child) ready(probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("%s ended before it was ready:\n%s", c.name, c.log)
		case <-ctx.Done():
			return fmt.Errorf("%s was not ready in %v (%v):\n%s", c.name, startLimit, err, c.log)
		case <-tick.C:
		}
	}
}

// within polls until probe succeeds or limit passes, and returns its last error.
func within(limit time.Duration, probe func() error) error {
	deadline := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe()
		if err == nil {
			return nil
		}
		select {
		case <-deadline:
			return err
		case <-tick.C:
		}
	}
}

// logBuffer keeps the last 256 KiB that a peer printed.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p)
	if over := l.buf.Len() - 256<<10; over > 0 {
		l.buf.Next(over)
	}
	return len(p), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// keep hands the child to the test: stopped at its end, its log shown if the test failed.
func (c *child) keep(t testing.TB) {
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", c.name, c.log)
		}
	})
}

// freePorts returns n loopback ports that were free a moment ago. Another
// process may take one before the peer does: callers try again.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// attempts is how often a peer is started on fresh ports.
const attempts = 4

// servant returns the account that servers run as: the test's own, or nobody
// when the test is root, since PostgreSQL and Dovecot refuse to serve as root.
func servant() (cred *syscall.Credential, name, group string, err error) {
	if os.Geteuid() != 0 {
		u, err := user.Current()
		if err != nil {
			return nil, "", "", err
		}
		g, err := user.LookupGroupId(u.Gid)
		if err != nil {
			return nil, "", "", err
		}
		return nil, u.Username, g.Name, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, "", "", err
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		return nil, "", "", err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, "", "", err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, "", "", err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, u.Username, g.Name, nil
}

// privateDir makes a short temporary directory that cred owns. It is short
// because the path of a Unix socket ends at 107 bytes; t.TempDir is not.
func privateDir(name string, cred *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp(tempRoot(), "mailroom-"+name+"-")
	if err != nil {
		return "", err
	}
	return dir, give(dir, cred)
}

// tempRoot is memory where there is enough of it and nobody has asked for another
// place: a mailbox of 20,000 files takes a second there, and twenty on some disks.
// (A container's /dev/shm may be as small as 64 MB.)
func tempRoot() string {
	const shm, enough = "/dev/shm", 4 << 30
	var space syscall.Statfs_t
	if os.Getenv("TMPDIR") == "" && syscall.Statfs(shm, &space) == nil && space.Bavail*uint64(space.Bsize) >= enough {
		return shm
	}
	return os.TempDir()
}

func give(path string, cred *syscall.Credential) error {
	if cred == nil {
		return nil
	}
	return os.Chown(path, int(cred.Uid), int(cred.Gid))
}

// program finds the first of the named programs, by path pattern or in PATH.
func program(names ...string) (string, error) {
	for _, name := range names {
		if filepath.IsAbs(name) {
			found, _ := filepath.Glob(name)
			if len(found) > 0 {
				return found[len(found)-1], nil
			}
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: %s", names[0], setupHint)
}

// npmDir is the directory of package.json and node_modules beside this file.
func npmDir() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(file), "npm")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "oidc-provider", "package.json")); err != nil {
		return "", fmt.Errorf("the npm packages of %s are not installed: %s", dir, setupHint)
	}
	return dir, nil
}
