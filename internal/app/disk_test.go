package app_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mailroom/internal/peers"
)

// TestNoRoomToWrite: files can grow no further while mail comes in. The program
// says so on /readyz, goes on by itself when there is room, and has lost nothing.
func TestNoRoomToWrite(t *testing.T) {
	d := dovecot(t)
	d.Deliver(owner, "INBOX", mails(0, 300)...)
	s := newSite(t, "MAILROOM_ALLOW_PRIVATE_HOSTS=true", "MAILROOM_POLL=5s")
	s.settle(t, d)
	p := s.serve(t)
	within(t, "it has begun to read", func() bool { return filed(t, p.url()) > 0 })

	limit := func(soft string) {
		t.Helper()
		out, err := exec.Command("prlimit", fmt.Sprintf("--pid=%d", p.cmd.Process.Pid), "--fsize="+soft+":").CombinedOutput()
		if err != nil {
			t.Fatalf("prlimit: %v %s", err, out)
		}
	}
	limit("4096")
	d.Deliver(owner, "INBOX", mails(300, 40)...)
	d.Deliver(owner, "Sent", mails(400, 10)...)
	if !holds(time.Minute, func() bool {
		code, text := ask(t, p.url()+"/readyz")
		return code == 503 && strings.HasPrefix(text, "database: error.")
	}) {
		t.Fatal("/readyz does not say that nothing can be written")
	}
	if code, _ := ask(t, p.url()+"/healthz"); code != 200 {
		t.Errorf("/healthz: %d", code)
	}
	if code, _ := ask(t, p.url()+"/sign-in"); code != 200 {
		t.Errorf("the door to the pages: %d", code)
	}
	limit("unlimited")
	within(t, "it is ready again", func() bool { code, _ := ask(t, p.url()+"/readyz"); return code == 200 })
	db := s.database(t)
	for name, n := range map[string]int64{"INBOX": 340, "Sent": 10} {
		if !holds(2*time.Minute, func() bool {
			return number(t, db, `SELECT COUNT(*) FROM progress p JOIN mappings m ON m.id = p.mapping_id WHERE m.raw_name = $1
				AND stored = $2 AND on_server = $2 AND backlog = '' AND p.problem = ''`, name, n) == 1
		}) {
			t.Fatalf("%s: not all is there: %s", name, told(t, db, name))
		}
	}
	if code, _ := p.terminate(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	e := evidence{t: t, s: s, db: db, addr: d.Addr, server: map[string]peers.FolderState{}}
	for _, name := range mapped {
		e.server[name] = d.Folder(owner, name)
	}
	e.books()
	e.deliveries()
	e.bytes()
}
