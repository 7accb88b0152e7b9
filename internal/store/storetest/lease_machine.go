package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// fencedOff fails unless err says that the lease is lost.
func fencedOff(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, mailroom.ErrFenced) {
		t.Fatalf("got %v, want ErrFenced", err)
	}
}

// free reports whether a node would get the mailbox at a time, without keeping it.
func (w World) free(t testing.TB, now time.Time) bool {
	t.Helper()
	found := false
	for _, c := range got(w.Store.ClaimMailboxes(t.Context(), "looker", time.Minute, 1000, now)) {
		if c.MailboxID == w.Mailbox.ID {
			found = true
		}
		w.exec(t, `UPDATE mailboxes SET owner = '', lease_until = 0 WHERE id = $1`, c.MailboxID)
	}
	return found
}

func testClaimable(t *testing.T, w World) {
	id, now := w.Mailbox.ID, time.Now()
	if !w.free(t, now) {
		t.Fatal("a mailbox with grant and mappings is not claimed")
	}
	for name, c := range map[string]struct{ breaks, mend string }{
		"paused":        {`UPDATE mailboxes SET paused = TRUE WHERE id = $1`, `UPDATE mailboxes SET paused = FALSE WHERE id = $1`},
		"retired":       {`UPDATE mailboxes SET retired_at = 5 WHERE id = $1`, `UPDATE mailboxes SET retired_at = 0 WHERE id = $1`},
		"user disabled": {`UPDATE users SET disabled_at = 5 WHERE id = (SELECT user_id FROM mailboxes WHERE id = $1)`, `UPDATE users SET disabled_at = 0 WHERE id = (SELECT user_id FROM mailboxes WHERE id = $1)`},
		"all mappings paused": {`UPDATE mappings SET paused = TRUE WHERE mailbox_id = $1`,
			`UPDATE mappings SET paused = FALSE WHERE mailbox_id = $1`},
		"no grant": {`UPDATE grants SET mailbox_id = (SELECT id FROM mailboxes WHERE id <> $1 AND id NOT IN (SELECT mailbox_id FROM grants)) WHERE mailbox_id = $1`,
			`UPDATE grants SET mailbox_id = $1 WHERE org_id = (SELECT org_id FROM mailboxes WHERE id = $1)`},
	} {
		if name == "no grant" { // a colleague's mailbox to park the grant at
			other := w.AddRecruiter(t)
			w.exec(t, `DELETE FROM grants WHERE mailbox_id = $1`, other.Mailbox.ID)
		}
		w.exec(t, c.breaks, id)
		if w.free(t, now) {
			t.Errorf("%s: claimed", name)
		}
		w.exec(t, c.mend, id)
		if !w.free(t, now) {
			t.Errorf("%s, mended: not claimed", name)
		}
	}
	w.exec(t, `DELETE FROM grants WHERE mailbox_id = $1`, id)
	w.exec(t, `UPDATE mailboxes SET account = 'other', provider_id = '' WHERE id = $1`, id)
	if w.free(t, now) {
		t.Error("claimed with neither grant nor password")
	}
	w.exec(t, `UPDATE mailboxes SET password_key = 'k1' WHERE id = $1`, id)
	if !w.free(t, now) {
		t.Error("a mailbox with an app password is not claimed")
	}
}

func testClaimDue(t *testing.T, w World) {
	ctx, s, now := t.Context(), w.Store, time.Now()
	must(t, s.Release(ctx, w.take(t, "n1"), now.Add(time.Hour), nil, 0))
	if w.free(t, now) {
		t.Error("claimed before its time")
	}
	if !w.free(t, now.Add(time.Hour)) {
		t.Error("not claimed when its time had come")
	}
	must(t, s.RequestSync(ctx, w.OrgID, w.Mailbox.ID, w.act("sync.now")))
	if !w.free(t, now) {
		t.Error("asked for, and not claimed")
	}
	c := w.take(t, "n1")
	if w.free(t, now) {
		t.Error("claimed while another node holds it")
	}
	later := now.Add(2 * time.Hour) // the lease was for one
	claims := got(s.ClaimMailboxes(ctx, "n2", time.Minute, 1000, later))
	i := slices.IndexFunc(claims, func(v mailroom.Claim) bool { return v.MailboxID == w.Mailbox.ID })
	if i < 0 || claims[i].Epoch <= c.Epoch {
		t.Errorf("after the lease had lapsed: %v, before: %v", claims, c)
	}
}

func testClaimRace(t *testing.T, w World) {
	boxes := map[string]bool{w.Mailbox.ID: true}
	for range 11 {
		boxes[w.AddRecruiter(t).Mailbox.ID] = true
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	owners := map[string][]string{}
	now := time.Now()
	for n := range 4 {
		wg.Go(func() {
			node := fmt.Sprintf("n%d", n)
			for range 6 {
				claims, err := w.Store.ClaimMailboxes(t.Context(), node, time.Hour, 2, now)
				if err != nil {
					t.Error(err)
				}
				if len(claims) > 2 {
					t.Errorf("asked for 2, got %d", len(claims))
				}
				mu.Lock()
				for _, c := range claims {
					owners[c.MailboxID] = append(owners[c.MailboxID], node)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for id := range boxes {
		if len(owners[id]) != 1 {
			t.Errorf("%s is held by %v", id, owners[id])
		}
	}
}

func testLease(t *testing.T, w World) {
	ctx, s, now := t.Context(), w.Store, time.Now()
	c := w.take(t, "n1")
	kept := got(s.RenewLeases(ctx, "n1", []mailroom.Claim{c, {MailboxID: "mbx_unknown", Epoch: 1}}, 3*time.Hour, now))
	if !slices.Equal(kept, []mailroom.Claim{c}) {
		t.Fatalf("kept %v of %v", kept, c)
	}
	if w2 := got(s.ClaimMailboxes(ctx, "n2", time.Hour, 1000, now.Add(2*time.Hour))); slices.ContainsFunc(w2, func(v mailroom.Claim) bool { return v.MailboxID == c.MailboxID }) {
		t.Fatal("a renewed lease was taken")
	}
	for name, v := range map[string]mailroom.Claim{"older epoch": {MailboxID: c.MailboxID, Epoch: c.Epoch - 1}} {
		if kept := got(s.RenewLeases(ctx, "n1", []mailroom.Claim{v}, time.Hour, now)); len(kept) > 0 {
			t.Errorf("%s is kept", name)
		}
	}
	if kept := got(s.RenewLeases(ctx, "n2", []mailroom.Claim{c}, time.Hour, now)); len(kept) > 0 {
		t.Error("another node renews it")
	}
	if kept := got(s.RenewLeases(ctx, "n1", nil, time.Hour, now)); len(kept) > 0 {
		t.Error("nothing renewed gives", kept)
	}
	must(t, s.SaveProgress(ctx, c, mailroom.Progress{MappingID: w.Inbox.ID}))
	// Pausing evicts: not one thing more is stored.
	must(t, s.ChangeMailbox(ctx, w.OrgID, w.Mailbox.ID, func(m *mailroom.Mailbox) error { m.Paused = true; return nil }, w.act("mailbox.paused")))
	fencedOff(t, s.SaveProgress(ctx, c, mailroom.Progress{MappingID: w.Inbox.ID}))
	if kept := got(s.RenewLeases(ctx, "n1", []mailroom.Claim{c}, time.Hour, now)); len(kept) > 0 {
		t.Error("kept after the mailbox was paused")
	}
}

// A process that was killed gives nothing back itself.
func testTakeBack(t *testing.T, w World) {
	ctx, s, now := t.Context(), w.Store, time.Now()
	c := w.take(t, "crashed")
	if w.free(t, now) {
		t.Fatal("claimed although it is held")
	}
	if s.Postgres() {
		got(s.TakeBack(ctx, "another"))
		if w.free(t, now) {
			t.Error("the lease of a node that lives was taken")
		}
	}
	if n := got(s.TakeBack(ctx, "crashed")); n < 1 {
		t.Errorf("%d leases taken back", n)
	}
	if !w.free(t, now) {
		t.Error("not claimed again at once")
	}
	fencedOff(t, s.SaveProgress(ctx, c, mailroom.Progress{MappingID: w.Inbox.ID}))
}

func testWanted(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	node := "node of " + w.Mailbox.ID
	c := w.take(t, node)
	first := got(s.Wanted(ctx, node))
	if len(first) != 1 || first[c.MailboxID].Stop {
		t.Fatalf("%+v", first)
	}
	must(t, s.RequestSync(ctx, w.OrgID, w.Mailbox.ID, w.act("sync.now")))
	v := got(s.Wanted(ctx, node))[c.MailboxID]
	if v.Wanted != first[c.MailboxID].Wanted+1 || v.Done != first[c.MailboxID].Done {
		t.Errorf("asked: %+v, before: %+v", v, first)
	}
	must(t, s.Answered(ctx, c, v.Wanted))
	must(t, s.Answered(ctx, c, v.Wanted-1)) // an older answer takes nothing back
	if v := got(s.Wanted(ctx, node))[c.MailboxID]; v.Done != v.Wanted {
		t.Errorf("answered: %+v", v)
	}
	for _, stop := range []string{`UPDATE mailboxes SET paused = TRUE WHERE id = $1`, `DELETE FROM grants WHERE mailbox_id = $1`} {
		w.exec(t, stop, w.Mailbox.ID)
		if v := got(s.Wanted(ctx, node))[c.MailboxID]; !v.Stop {
			t.Errorf("%s does not stop the node", stop)
		}
	}
}

func testRelease(t *testing.T, w World) {
	ctx, s, now := t.Context(), w.Store, time.Now()
	c := w.take(t, "n1")
	p := &mailroom.Problem{Kind: mailroom.NeedsConsent, Key: "imap.error.auth", Args: map[string]any{"address": "a@b.example"}, Since: now.UTC().Truncate(time.Microsecond)}
	must(t, s.Release(ctx, c, now.Add(time.Hour), p, 3))
	box := got(s.MailboxByID(ctx, w.OrgID, w.Mailbox.ID)).Mailbox
	if box.Problem == nil || box.Problem.Key != p.Key || box.Problem.Args["address"] != "a@b.example" || !box.Problem.Since.Equal(p.Since) {
		t.Fatalf("problem: %+v", box.Problem)
	}
	fencedOff(t, s.Release(ctx, c, now, nil, 0))
	fencedOff(t, s.Answered(ctx, c, 1))
	w.exec(t, `UPDATE mailboxes SET retry_at = 0 WHERE id = $1`, w.Mailbox.ID)
	c = w.take(t, "n2")
	if v := got(s.LoadWork(ctx, c)); v.Failures != 3 {
		t.Errorf("%d failures came back", v.Failures)
	}
	signalled(t, s, "user:"+w.UserID, func(ctx context.Context) error { return s.Release(ctx, c, now, nil, 0) })
	if box := got(s.MailboxByID(ctx, w.OrgID, w.Mailbox.ID)).Mailbox; box.Problem != nil {
		t.Errorf("problem after a good run: %+v", box.Problem)
	}
}

func testReleaseAnswers(t *testing.T, w World) {
	ctx, s, now := t.Context(), w.Store, time.Now()
	must(t, s.RequestSync(ctx, w.OrgID, w.Mailbox.ID, w.act("sync.now")))
	c := w.take(t, "n1")
	p := mailroom.ProblemOf(mailroom.E(mailroom.Unavailable, "imap.error.network"), now)
	must(t, s.Release(ctx, c, now.Add(time.Hour), p, 1))
	if w.free(t, now) {
		t.Error("a failing mailbox is claimed again at once")
	}
	w.exec(t, `UPDATE mailboxes SET retry_at = 0 WHERE id = $1`, w.Mailbox.ID)
	c = w.take(t, "n1")
	must(t, s.RequestSync(ctx, w.OrgID, w.Mailbox.ID, w.act("sync.now"))) // while the run fails
	must(t, s.Release(ctx, c, now.Add(time.Hour), p, 2))
	if !w.free(t, now) {
		t.Error("what was asked during a failing run is forgotten")
	}
}

func testLoadWork(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	v := got(s.LoadWork(ctx, c))
	if v.Mailbox.ID != w.Mailbox.ID || v.Mailbox.Address != w.Mailbox.Address || v.Owner.ID != w.UserID {
		t.Errorf("%+v", v)
	}
	if len(v.Mappings) != 2 || v.Progress[w.Inbox.ID].MappingID != w.Inbox.ID || v.Progress[w.Sent.ID].MailboxID != w.Mailbox.ID {
		t.Errorf("mappings %+v, progress %+v", v.Mappings, v.Progress)
	}
	_, err := s.LoadWork(ctx, mailroom.Claim{MailboxID: c.MailboxID, Epoch: c.Epoch - 1})
	fencedOff(t, err)
}

func testSaveProgress(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	at := time.UnixMicro(1_700_000_000_123_456).UTC()
	p := mailroom.Progress{
		MappingID: w.Inbox.ID, MailboxID: w.Mailbox.ID, Stage: mailroom.StageBackfill,
		Cursor:  mailroom.Cursor{UIDValidity: 1<<32 - 1, UIDNext: 1<<32 - 2, HighestModSeq: 1<<63 - 1},
		Backlog: mailroom.UIDRanges(mailroom.UIDRange{From: 1, To: 100}, mailroom.UIDRange{From: 200, To: 200}), Skipped: mailroom.UIDs(300),
		OnServer: 5, Stored: 6, Quarantined: 7, CheckedAt: at, Problem: mailroom.ProblemOf(mailroom.E(mailroom.Throttled, "imap.error.throttled"), at),
		Failures: 2, RetryAt: at.Add(time.Second), BackfillTotal: 8, BackfillStarted: at,
	}
	must(t, s.SaveProgress(ctx, c, p))
	if v := got(s.LoadWork(ctx, c)).Progress[w.Inbox.ID]; fmt.Sprintf("%+v %+v", v, v.Problem) != fmt.Sprintf("%+v %+v", p, p.Problem) {
		t.Errorf("came back as\n%+v, want\n%+v", v, p)
	}
	must(t, s.SaveProgress(ctx, c, mailroom.Progress{MappingID: "map_gone"})) // taken away meanwhile: no error
	if n := w.Count(t, `progress WHERE mailbox_id = $1`, w.Mailbox.ID); n != 2 {
		t.Errorf("%d progress rows for 2 mappings", n)
	}
	fencedOff(t, s.SaveProgress(ctx, mailroom.Claim{MailboxID: c.MailboxID, Epoch: c.Epoch + 1}, p))
}
