package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailroom/internal/peers"
)

// This test binary is also the program that is measured: started with a role it
// plays that instead of testing, so that its CPU time and memory are a client's
// alone, as a peer's are.
const (
	roleVar = "BENCH_ROLE"
	jobVar  = "BENCH_JOB"
)

// job is what a program is to do.
type job struct {
	Dir    string // for its data
	Source peers.Source
	Count  int // of messages, or of mailboxes: user0@…, user1@…
	CAFile string
}

// word is what a program says when it is ready or done.
type word struct {
	Wall    time.Duration // from Save Mappings to the last mail
	Visible time.Duration // to the first in the list
	Base    int64         // octets of memory before it began
}

func TestMain(m *testing.M) {
	role := os.Getenv(roleVar)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := play(role); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
}

func play(role string) error {
	var j job
	if err := json.Unmarshal([]byte(os.Getenv(jobVar)), &j); err != nil {
		return err
	}
	say := func(w word) { fmt.Println(string(encoded(w))) }
	// It ends with its standard input, which the test holds: also when that is
	// killed. A line asks it to give back what it does not need, and to say so.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			rest()
			say(word{})
		}
		cancel()
	}()
	if dir := os.Getenv("BENCH_PROFILE"); dir != "" {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", role, os.Getpid())))
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	switch role {
	case "settle":
		return playSettle(ctx, j)
	case "first-sync":
		return playFirstSync(ctx, j, say)
	case "watch":
		return playWatch(ctx, j, say)
	case "idle-mailroom":
		return playIdle(ctx, j, say, idleMailroom)
	case "idle-go-imap":
		return playIdle(ctx, j, say, idleGoIMAP)
	}
	return fmt.Errorf("no such role")
}

func encoded(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// program is this binary in a role.
func program(t testing.TB, role string, j job) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVar+"="+role, jobVar+"="+string(encoded(j)))
	cmd.Stderr = os.Stderr
	return cmd
}

// usage is what a program took from its start to its end.
type usage struct {
	wall, cpu time.Duration
	peak      int64 // octets resident at most
	said      string
}

// run starts a program and waits for its end.
func run(t testing.TB, cmd *exec.Cmd) usage {
	t.Helper()
	r := start(t, cmd)
	text, err := io.ReadAll(r.out)
	must(t, err)
	u := r.end()
	u.said = string(text)
	return u
}

// running is a program that has been started.
type running struct {
	t       testing.TB
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	started time.Time
	ended   chan struct{}
	peak    chan int64
	over    bool
}

func start(t testing.TB, cmd *exec.Cmd) *running {
	t.Helper()
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	r := &running{t: t, cmd: cmd, in: in, out: bufio.NewReader(out), ended: make(chan struct{}), peak: make(chan int64, 1), started: time.Now()}
	must(t, cmd.Start())
	// Not the maxrss of wait4: that begins with what the process was before exec,
	// a copy of this one (Linux, exec_mmap).
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		var peak int64
		for {
			peak = max(peak, memory(cmd.Process.Pid, "VmHWM"))
			select {
			case <-r.ended:
				r.peak <- peak
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() {
		if !r.over {
			r.cmd.Process.Kill()
			r.end()
		}
	})
	return r
}

// hear waits for a program's word.
func (r *running) hear() (w word) {
	r.t.Helper()
	line, err := r.out.ReadBytes('\n')
	if err != nil {
		r.t.Fatalf("%s said nothing: %v", r.cmd.Path, err)
	}
	must(r.t, json.Unmarshal(line, &w))
	return w
}

// end closes the program's standard input and waits for it.
func (r *running) end() usage {
	r.t.Helper()
	r.over = true
	_, _ = io.Copy(io.Discard, r.out) // until it has closed its output: it ends by itself or by its input
	err := r.cmd.Wait()
	wall := time.Since(r.started)
	close(r.ended)
	if err != nil && !r.t.Failed() {
		r.t.Fatalf("%s: %v", r.cmd, err)
	}
	s := r.cmd.ProcessState
	return usage{wall: wall, cpu: s.UserTime() + s.SystemTime(), peak: <-r.peak}
}

// finish is end for a program that waits for its input to end.
func (r *running) finish() usage {
	r.in.Close()
	return r.end()
}

// memory is a figure of /proc/PID/status in octets; 0 when the process is gone.
func memory(pid int, name string) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}

// processor is the CPU time that a process has taken so far.
func processor(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	must(t, err)
	// proc(5): fields 14 and 15 are utime and stime in ticks of 10 ms; the name may hold spaces.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err := strconv.ParseInt(fields[11], 10, 64)
	must(t, err)
	system, err := strconv.ParseInt(fields[12], 10, 64)
	must(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// rest gives back what nobody needs any more, so that what is left is what is held.
func rest() {
	runtime.GC()
	debug.FreeOSMemory()
}

// settle has a program that holds something give back what it does not need.
func (r *running) settle() {
	r.t.Helper()
	_, err := io.WriteString(r.in, "rest\n")
	must(r.t, err)
	r.hear()
}

// onDisk is what the files of a directory occupy.
func onDisk(t testing.TB, dir string) int64 {
	t.Helper()
	var total int64
	must(t, walkFiles(dir, func(s *syscall.Stat_t) { total += s.Blocks * 512 }))
	return total
}
