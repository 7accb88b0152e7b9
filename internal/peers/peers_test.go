package peers_test

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailroom/internal/peers"
)

// TestKilledTestLeavesNothing runs the test below in a process of its own, kills that
// with -9 while its peers run, and looks for what is left.
func TestKilledTestLeavesNothing(t *testing.T) {
	// The path of a Unix socket must stay short, and Go's own directory is not.
	short, err := os.MkdirTemp("", "mailroom-killed-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	if err := os.Chmod(short, 0o777); err != nil {
		t.Fatal(err)
	}
	victim := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	victim.Env = append(os.Environ(), "PEERS_VICTIM=yes", "TMPDIR="+short)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	victim.Stderr = os.Stderr
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if list, ok := strings.CutPrefix(lines.Text(), "serving "); ok {
			addresses = strings.Fields(list)
			break
		}
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	victim.Wait() // it was killed: that is its error
	if len(addresses) != 3 {
		t.Fatalf("the victim served at %v", addresses)
	}

	var left []string
	deadline := time.After(20 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		left = left[:0]
		for _, address := range addresses {
			if conn, err := net.Dial("tcp", address); err == nil {
				conn.Close()
				left = append(left, address)
			}
		}
		files, _ := filepath.Glob(filepath.Join(short, "*"))
		if left = append(left, append(files, mentioning(short)...)...); len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("left behind: %v", left)
		}
	}
}

// mentioning lists the living processes whose command line names a directory.
func mentioning(dir string) []string {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var found []string
	for _, f := range files {
		if line, err := os.ReadFile(f); err == nil && strings.Contains(string(line), dir) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// TestVictim is the process that TestKilledTestLeavesNothing kills; by itself it
// only starts the peers and stops them again.
func TestVictim(t *testing.T) {
	d := peers.Dovecot(t, peers.DovecotOptions{})
	op := peers.OIDCProvider(t, peers.OIDCOptions{})
	peers.Chromium(t)
	pg, err := url.Parse(peers.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("serving", d.Addr, strings.TrimPrefix(op.Issuer, "http://"), pg.Host)
	if os.Getenv("PEERS_VICTIM") != "" {
		<-t.Context().Done() // never: the test is killed
	}
}
