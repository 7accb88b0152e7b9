package syncer

import (
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func testLedger() *ledger {
	t := Tuning{}.withDefaults()
	l := newLedger(mailroom.Mapping{ID: "map_1"}, mailroom.Progress{}, &t, time.Unix(1, 0), 0)
	l.begin(mailroom.Cursor{UIDValidity: 7, UIDNext: 1}, mailroom.Held{}, time.Unix(1, 0))
	l.compareRest = pause{time.Unix(1, 0), time.Hour}
	return l
}

// A mail that leaves the server while it is being fetched is filed, and is not
// counted as being on the server: it is looked for soon.
func TestFiledAfterItLeft(t *testing.T) {
	now := time.Unix(100, 0)
	l := testLedger()
	l.found(mailroom.Range(1, 10), mailroom.UIDSet{}, 11, now)
	l.gone(mailroom.UIDs(4), now)
	l.filed(haul{placed: mailroom.Range(1, 10)}, now)
	p := l.progress()
	if p.OnServer != 9 || p.Stored != 9 || !p.Backlog.Empty() {
		t.Errorf("%+v", p)
	}
	if !l.compareDue(mailroom.FolderStatus{Messages: 9}, now) {
		t.Error("nobody looks for the one that left")
	}
	l.gone(mailroom.UIDs(4), now)
	l.compared(true, false, mailroom.FolderStatus{Messages: 9}, 9, now)
	if l.compareDue(mailroom.FolderStatus{Messages: 9}, now) {
		t.Error("looked for again and again")
	}
}

// The finish time has something to reckon with: what this stretch of backfill
// began with and when, new mail included, and nothing when it is over.
func TestStretchOfBackfill(t *testing.T) {
	start := time.Unix(1000, 0)
	l := testLedger()
	l.found(mailroom.Range(1, 5000), mailroom.Range(1, 100), 5001, start)
	p := l.progress()
	if p.Stage != mailroom.StageBackfill || p.BackfillTotal != 4900 || !p.BackfillStarted.Equal(start) || p.Skipped.Len() != 100 {
		t.Errorf("%+v", p)
	}
	l.filed(haul{placed: mailroom.Range(3001, 5000)}, start)
	l.found(mailroom.Range(5001, 5001), mailroom.UIDSet{}, 5002, start.Add(time.Minute))
	if p = l.progress(); p.BackfillTotal != 4901 || !p.BackfillStarted.Equal(start) || p.Backlog.Len() != 2901 {
		t.Errorf("%+v", p)
	}
	l.filed(haul{placed: mailroom.Range(101, 5001)}, start)
	if p = l.progress(); p.BackfillTotal != 0 || !p.BackfillStarted.IsZero() || p.Stage != mailroom.StageIdle || p.Cursor.UIDNext != 5002 {
		t.Errorf("%+v", p)
	}
}

// The two lanes never read the same mail, and few mails at once are all live.
func TestLanesShareTheBacklog(t *testing.T) {
	now := time.Unix(1000, 0)
	l := testLedger()
	l.found(mailroom.Range(1, 1000), mailroom.UIDSet{}, 1001, now)
	live, bulk := l.takeLive(), l.take(2000, now)
	if live.Len() != 50 || live.Max() != 1000 || bulk.Len() != 950 || !live.Intersect(bulk).Empty() {
		t.Errorf("live %s, bulk %s", live, bulk)
	}
	l.proved(now)
	l.found(mailroom.Range(1001, 1100), mailroom.UIDSet{}, 1101, now)
	if live = l.takeLive(); live.Len() != 150 || l.take(2000, now).Max() != 950 {
		t.Errorf("live %s", live)
	}
	l.tookLive(live) // some did not answer: they are the bulk lane's now
	if l.take(2000, now).Max() != 1100 || !l.takeLive().Empty() {
		t.Error("what the live lane could not read is read by nobody")
	}
}
