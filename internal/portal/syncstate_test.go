package portal_test

import (
	"fmt"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

func TestSyncState(t *testing.T) {
	w := newWorld(t)
	bob := w.addUser("bob@werk.example", "bob", mailroom.Recruiter)
	cas := w.addUser("cas@werk.example", "Cas", mailroom.Recruiter)
	for _, u := range []mailroom.User{w.anna, bob} {
		w.connect(u)
	}
	must(t, w.SaveAddress(w.ctx, cas, "cas@werk.example", false))
	save := func(u mailroom.User, folder string, p mailroom.Progress) {
		t.Helper()
		m := w.mapping(u, folder).Mapping
		p.MappingID, p.MailboxID = m.ID, m.MailboxID
		for _, c := range got(w.store.ClaimMailboxes(w.ctx, "n", time.Hour, 10, time.Now())) {
			if c.MailboxID == m.MailboxID {
				must(t, w.store.SaveProgress(w.ctx, c, p))
			}
			must(t, w.store.Release(w.ctx, c, time.Time{}, nil, 0))
		}
	}
	early := w.now().Add(-time.Minute)
	save(w.anna, "INBOX", mailroom.Progress{CheckedAt: w.now(), OnServer: 10, Stored: 9, Quarantined: 1})
	save(w.anna, "Sent Items", mailroom.Progress{CheckedAt: early})
	save(bob, "INBOX", mailroom.Progress{CheckedAt: w.now(), Problem: &mailroom.Problem{Kind: mailroom.Unavailable, Key: "imap.error.network", Since: early}})
	save(bob, "Sent Items", mailroom.Progress{Problem: &mailroom.Problem{Kind: mailroom.NeedsAdmin, Key: "imap.error.not_connected", Since: early}})

	v := got(w.SyncState(w.ctx, w.admin, false))
	if len(v.Rows) != 3 || v.Rows[0].Owner.ID != bob.ID || v.Rows[1].Owner.ID != w.anna.ID || v.Rows[2].State != mailroom.StateNotSetUp {
		t.Fatalf("rows: %+v", v.Rows)
	}
	if r := v.Rows[0]; r.State != mailroom.StateNeedsAdmin || r.Problem.Key != "imap.error.not_connected" || !r.CheckedAt.IsZero() {
		t.Fatalf("in trouble: %+v", r)
	}
	if r := v.Rows[1]; r.State != mailroom.StateUpToDate || !r.CheckedAt.Equal(early) || r.Provider != "Outlook" || len(r.Mappings) != 2 {
		t.Fatalf("fine: %+v", r)
	}
	if v.Counts[mailroom.StateUpToDate] != 1 || v.Counts[mailroom.StateNeedsAdmin] != 1 || v.Counts[mailroom.StateNotSetUp] != 1 {
		t.Fatalf("counts: %v", v.Counts)
	}
	if v := got(w.SyncState(w.ctx, w.admin, true)); len(v.Rows) != 1 || len(v.Counts) != 3 {
		t.Fatalf("in trouble only: %+v", v)
	}

	// What an administrator may do there, and nobody else.
	annas := w.mailbox(w.anna).Mailbox.ID
	must(t, w.PauseMailbox(w.ctx, w.admin, annas))
	must(t, w.ResumeMailbox(w.ctx, w.admin, annas))
	must(t, w.SyncNow(w.ctx, w.admin, annas))
	for _, err := range []error{w.PauseMailbox(w.ctx, bob, annas), w.SyncNow(w.ctx, bob, annas), w.ResumeMailbox(w.ctx, w.otherAgency(), annas)} {
		refused(t, err, mailroom.NotFound, "error.not_found")
	}
	_, err := w.SyncState(w.ctx, bob, false)
	refused(t, err, mailroom.Forbidden, "error.forbidden")

	must(t, w.DisableUser(w.ctx, w.admin, bob.ID))
	for _, r := range got(w.SyncState(w.ctx, w.admin, false)).Rows {
		if r.Owner.ID == bob.ID && r.State != mailroom.StatePaused {
			t.Fatalf("a disabled user's mailbox is %s", r.State)
		}
	}
	refused(t, w.SyncNow(w.ctx, w.admin, w.mailbox(bob).Mailbox.ID), mailroom.Conflict, "mailbox.error.owner_disabled")

	run := mailroom.SyncRun{ID: "run_1", OrgID: w.anna.OrgID, MailboxID: annas, MappingID: w.mapping(w.anna, "INBOX").Mapping.ID, StartedAt: early, Stored: 3}
	must(t, w.store.StartRun(w.ctx, run))
	if runs := got(w.Runs(w.ctx, w.admin, run.MappingID)); len(runs.Runs) != 1 || runs.Runs[0].Stored != 3 || runs.Row.Mapping.ID != run.MappingID {
		t.Fatalf("runs: %+v", runs)
	}
	_, err = w.Runs(w.ctx, cas, run.MappingID)
	refused(t, err, mailroom.NotFound, "error.not_found")
}

func TestChanges(t *testing.T) {
	w := newWorld(t)
	annas, admins := w.Changes(w.ctx, w.anna), w.Changes(w.ctx, w.admin)
	others := w.Changes(w.ctx, w.otherAgency())
	must(t, w.SaveAddress(w.ctx, w.anna, "anna@werk.example", false))
	for name, ch := range map[string]<-chan struct{}{"own": annas, "administrator": admins} {
		select {
		case <-ch:
		case <-time.After(5 * time.Second):
			t.Fatalf("%s pages do not hear of it", name)
		}
	}
	select {
	case _, open := <-others:
		t.Fatalf("another organization hears of it (open: %v)", open)
	default:
	}
	var _ portal.Integrations
}

// A difference that is not repaired, and a sum that does not hold, are not
// green; both are told where the folder is shown.
func TestDifferencesAreNotGreen(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	for _, folder := range []string{"INBOX", "Sent Items"} {
		w.progress(w.anna, folder, func(p *mailroom.Progress) { p.CheckedAt, p.OnServer, p.Stored = w.now(), 5, 5 })
	}
	if v := got(w.Integrations(w.ctx, w.anna)); v.State != mailroom.StateUpToDate {
		t.Fatalf("state %s", v.State)
	}
	m := w.mapping(w.anna, "INBOX").Mapping
	f := mailroom.Finding{ID: "fin_1", OrgID: m.OrgID, MailboxID: m.MailboxID, MappingID: m.ID, Kind: mailroom.FoundMissed, At: w.now(), Count: 3}
	w.exec(`INSERT INTO findings(id, org_id, mailbox_id, mapping_id, kind, at, count, uids) VALUES ($1,$2,$3,$4,$5,$6,$7,'7:9')`,
		f.ID, f.OrgID, f.MailboxID, f.MappingID, f.Kind, mailroom.Micros(f.At), f.Count)
	if r := w.mapping(w.anna, "INBOX"); r.State != mailroom.StateBehind || len(r.Findings) != 1 || r.Findings[0].Count != 3 {
		t.Fatalf("with a difference: %s, %+v", r.State, r.Findings)
	}
	v := got(w.SyncState(w.ctx, w.admin, false))
	if v.Rows[0].State != mailroom.StateBehind || len(got(w.Runs(w.ctx, w.admin, m.ID)).Findings) != 1 {
		t.Fatalf("the administrator's page: %+v", v.Rows[0])
	}
	w.exec(`UPDATE findings SET repaired_at = $1`, mailroom.Micros(w.now()))
	if r := w.mapping(w.anna, "INBOX"); r.State != mailroom.StateUpToDate || len(r.Findings) != 1 {
		t.Fatalf("repaired: %s, %+v", r.State, r.Findings)
	}
	w.progress(w.anna, "INBOX", func(p *mailroom.Progress) { p.OnServer = 6 })
	if r := w.mapping(w.anna, "INBOX"); r.State != mailroom.StateBehind || r.Unaccounted() != 1 {
		t.Fatalf("a sum that does not hold: %s, %d", r.State, r.Unaccounted())
	}
}

// Sync state says that nothing is being read, since when and why.
func TestReadingHasStopped(t *testing.T) {
	w := newWorld(t)
	if v := got(w.SyncState(w.ctx, w.admin, false)); v.Stopped != nil {
		t.Fatalf("before any node has run: %+v", v.Stopped)
	}
	seen := w.now()
	w.exec(`INSERT INTO nodes(name, seen_at) VALUES ('a', $1), ('b', $2)`, mailroom.Micros(seen), mailroom.Micros(seen.Add(-time.Hour)))
	w.pass(time.Minute)
	if v := got(w.SyncState(w.ctx, w.admin, false)); v.Stopped != nil {
		t.Fatalf("one node lives: %+v", v.Stopped)
	}
	w.broken = mailroom.E(mailroom.Unavailable, "error.disk_full")
	if v := got(w.SyncState(w.ctx, w.admin, false)); v.Stopped == nil || v.Stopped.Key != "error.disk_full" || !v.Stopped.Since.Equal(seen) {
		t.Fatalf("the disk is full: %+v", v.Stopped)
	}
	w.broken = nil
	w.pass(time.Hour)
	if v := got(w.SyncState(w.ctx, w.admin, false)); v.Stopped == nil || v.Stopped.Key != "sync.error.nobody_reads" || !v.Stopped.Since.Equal(seen) {
		t.Fatalf("nobody lives: %+v", v.Stopped)
	}
}

// What many mailboxes share is told once, with who mends it.
func TestSyncStateTellsAFaultOnce(t *testing.T) {
	w := newWorld(t)
	var all []mailroom.User
	for i := range 6 {
		u := w.addUser(fmt.Sprintf("u%d@werk.example", i), fmt.Sprintf("User %d", i), mailroom.Recruiter)
		w.connect(u)
		all = append(all, u)
	}
	refuse := func(kind mailroom.Kind, key string) {
		t.Helper()
		for _, u := range all {
			id := w.mailbox(u).Mailbox.ID
			c := got(w.store.Credentials(w.ctx, id))
			now := time.Now()
			got(w.store.LeaseGrant(w.ctx, c.Grant.ID, "n", c.Grant.Version, now, now.Add(time.Minute)))
			got(w.store.FailRefresh(w.ctx, id, c.Grant.ID, "n", c.Grant.Version, &mailroom.Problem{Kind: kind, Key: key, Since: now.UTC()}))
		}
	}
	refuse(mailroom.NeedsConsent, "oauth.error.grant_ended")
	v := got(w.SyncState(w.ctx, w.admin, false))
	if len(v.Faults) != 1 || v.Faults[0].Kind != mailroom.Unavailable || len(v.Faults[0].Mailboxes) != 6 || v.Faults[0].Of != 6 || v.Faults[0].Provider != "Outlook" {
		t.Fatalf("told as %+v", v.Faults)
	}
	if v.Counts[mailroom.StateTrouble] != 6 || v.Counts[mailroom.StateNeedsYou] != 0 {
		t.Errorf("counts %v: nobody is asked to grant again", v.Counts)
	}
	for _, r := range v.Rows {
		if !r.Shared {
			t.Errorf("%s tells it again", r.Owner.Name)
		}
	}

	refuse(mailroom.NeedsAdmin, "oauth.error.consent_missing")
	v = got(w.SyncState(w.ctx, w.admin, true))
	if len(v.Faults) != 1 || v.Faults[0].Kind != mailroom.NeedsAdmin || v.Counts[mailroom.StateNeedsAdmin] != 6 || !v.Rows[0].Shared {
		t.Errorf("told as %+v, counts %v", v.Faults, v.Counts)
	}
	if v := got(w.SyncState(w.ctx, w.otherAgency(), false)); len(v.Faults) != 0 {
		t.Error("another organization sees it")
	}
}
