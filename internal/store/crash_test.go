package store_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/store/storetest"
)

const crashBatch = 20

// TestCrashHelper is no test: it is what TestKilledInTheMiddle kills. It files
// batches, one after the other, until it dies.
func TestCrashHelper(t *testing.T) {
	dsn := os.Getenv("STORE_CRASH_DSN")
	if dsn == "" {
		return
	}
	s := storetest.OpenDSN(t, dsn)
	w := storetest.World{Store: s}
	n, err := strconv.Atoi(os.Getenv("STORE_CRASH_FROM"))
	if err != nil {
		t.Fatal(err)
	}
	from := uint32(n)
	w.Mailbox.ID, w.Inbox.ID = os.Getenv("STORE_CRASH_MAILBOX"), os.Getenv("STORE_CRASH_MAPPING")
	w.Inbox.MailboxID, w.Inbox.RawName = w.Mailbox.ID, "INBOX"
	c := w.Claim(t, "crash")
	fmt.Println("filing")
	for {
		var mails []mailroom.Mail
		for range crashBatch {
			from++
			mails = append(mails, w.Mail(from, "eva@x.example", fmt.Sprintf("Mail %d", from), "text"))
		}
		b := w.Batch(w.Inbox, mails...)
		b.Progress.Stored = int64(from)
		if _, err := s.Deliver(t.Context(), c, b); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKilledInTheMiddle: killed at any instant, a batch is there with its
// progress and its counters, or it is not there at all.
func TestKilledInTheMiddle(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		w := storetest.Seed(t, storetest.OpenDSN(t, dsn))
		w.AddPerson(t, "Eva", "eva@x.example")
		stored := 0
		for round := range 5 {
			killWhileFiling(t, dsn, w, stored, time.Duration(round*7)*time.Millisecond)
			w.Exec(t, `UPDATE mailboxes SET lease_until = 0`) // time passes
			c := claimSoon(t, w)                              // as another node would
			work, err := w.Store.LoadWork(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			now := int(work.Progress[w.Inbox.ID].Stored)
			if now < stored || now%crashBatch != 0 {
				t.Errorf("round %d: %d stored, before %d", round, now, stored)
			}
			stored = now
			if err := w.Store.Release(t.Context(), c, time.Now(), nil, 0); err != nil {
				t.Fatal(err)
			}
			for _, table := range []string{"messages", "placements", "deliveries", "links", "message_addresses", "blobs", "message_fts"} {
				if n := w.Count(t, table); n != stored {
					t.Errorf("round %d: %d rows in %s, progress says %d", round, n, table, stored)
				}
			}
			if n := w.Count(t, `otys_folders WHERE total = $1 AND unread = $1 AND id = $2`, stored, w.Inbox.OTYSFolderID); n != 1 {
				t.Errorf("round %d: the folder's counters do not say %d", round, stored)
			}
		}
		if stored == 0 {
			t.Error("nothing was ever stored")
		}
	})
}

// claimSoon takes the mailbox once PostgreSQL has noticed that who held it is dead.
func claimSoon(t *testing.T, w storetest.World) (c mailroom.Claim) {
	t.Helper()
	await(t, func() bool {
		claims, err := w.Store.ClaimMailboxes(t.Context(), "n1", time.Hour, 10, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(claims) == 1 {
			c = claims[0]
		}
		return len(claims) == 1
	}, func() string { return "the mailbox of a dead node was never free" })
	return c
}

func killWhileFiling(t *testing.T, dsn string, w storetest.World, from int, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashHelper$", "-test.v")
	cmd.Env = append(os.Environ(), "STORE_CRASH_DSN="+dsn, "STORE_CRASH_FROM="+strconv.Itoa(from),
		"STORE_CRASH_MAILBOX="+w.Mailbox.ID, "STORE_CRASH_MAPPING="+w.Inbox.ID)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "filing") {
		said = append(said, lines.Text())
	}
	// Once some batches are in, the kill falls anywhere.
	await(t, func() bool {
		return w.Count(t, `progress WHERE mapping_id = $1 AND stored >= $2`, w.Inbox.ID, from+2*crashBatch) == 1
	}, func() string { return strings.Join(said, "\n") })
	<-time.After(after)
	cmd.Process.Kill()
	cmd.Wait()
}

func await(t *testing.T, done func() bool, said func() string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", said())
		}
		<-time.After(5 * time.Millisecond)
	}
}
