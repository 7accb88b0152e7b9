package store_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/store/storetest"
)

// TestUndoHelper is no test: it is what TestKilledWhileUndoing kills.
func TestUndoHelper(t *testing.T) {
	dsn := os.Getenv("STORE_UNDO_DSN")
	if dsn == "" {
		return
	}
	s := storetest.OpenDSN(t, dsn)
	for worked := true; worked; {
		var err error
		if worked, err = s.UndoStep(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKilledWhileUndoing: killed at any instant, an undo goes on where it was, and
// comes to what it would have come to.
func TestKilledWhileUndoing(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		s := storetest.OpenDSN(t, dsn)
		w := storetest.Seed(t, s)
		w.AddPerson(t, "Eva", "eva@x.example")
		const n, shared = 900, 50
		var mails []mailroom.Mail
		for uid := range uint32(n) {
			mails = append(mails, w.Mail(uid+1, "eva@x.example", fmt.Sprintf("Mail %d", uid), "text"))
		}
		c := w.Claim(t, "n1")
		for _, b := range []mailroom.Batch{w.Batch(w.Inbox, mails...), w.Batch(w.Sent, mails[:shared]...)} {
			if _, err := s.Deliver(t.Context(), c, b); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Undo(t.Context(), w.OrgID, w.Inbox.ID, mailroom.AuditEvent{OrgID: w.OrgID, Action: "mapping.undone"}); err != nil {
			t.Fatal(err)
		}
		done := 0
		for round := range 4 {
			killWhileUndoing(t, dsn, w, done, time.Duration(round*3)*time.Millisecond)
			us, err := s.Undos(t.Context(), w.Mailbox.ID)
			if err != nil || len(us) != 1 {
				t.Fatalf("%+v, %v", us, err)
			}
			left := w.Count(t, `placements WHERE mapping_id = $1`, w.Inbox.ID)
			if int(us[0].Done)+left != n {
				t.Errorf("round %d: %d done and %d left", round, us[0].Done, left)
			}
			if w.Count(t, `deliveries WHERE otys_folder_id = $1`, w.Inbox.OTYSFolderID) != left {
				t.Errorf("round %d: folder and placements differ", round)
			}
			if w.Count(t, `otys_folders WHERE id = $1 AND total = $2 AND unread = $2`, w.Inbox.OTYSFolderID, left) != 1 {
				t.Errorf("round %d: the folder's counters do not say %d", round, left)
			}
			done = int(us[0].Done)
		}
		await(t, func() bool { // another process goes on, once PostgreSQL has noticed that the last one is dead
			worked, err := s.UndoStep(t.Context(), 500)
			if err != nil {
				t.Fatal(err)
			}
			return !worked && w.Count(t, `undos WHERE finished_at = 0`) == 0
		}, func() string { return "never finished" })
		for from, want := range map[string]int{
			"messages": shared, "placements": shared, "deliveries": shared, "links": shared, "message_addresses": shared, "message_fts": shared,
			"undos WHERE finished_at <> 0 AND done = total AND total = 900 AND kept = 50": 1,
		} {
			if n := w.Count(t, from); n != want {
				t.Errorf("%s: %d rows, want %d", from, n, want)
			}
		}
	})
}

func killWhileUndoing(t *testing.T, dsn string, w storetest.World, from int, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestUndoHelper$")
	cmd.Env = append(os.Environ(), "STORE_UNDO_DSN="+dsn)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool {
		return w.Count(t, `undos WHERE mapping_id = $1 AND done > $2`, w.Inbox.ID, from) == 1
	}, func() string { return "nothing is undone" })
	<-time.After(after)
	cmd.Process.Kill()
	cmd.Wait()
}
