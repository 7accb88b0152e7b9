package storetest

import (
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

const (
	refusedKey = "oauth.error.grant_ended"
	imapKey    = "imap.error.auth"
)

// colleagues are recruiters of one tenant, with grants.
func (w World) colleagues(t testing.TB, n int) (all []World) {
	t.Helper()
	for range n {
		v := w.AddRecruiter(t)
		g := v.newGrant(1)
		g.Grant.RefreshedAt = time.Now().Add(-time.Hour).UTC()
		must(t, v.Store.SaveGrant(t.Context(), g))
		all = append(all, v)
	}
	return all
}

// refreshing leases the mailbox's grant.
func (w World) refreshing(t testing.TB) mailroom.Grant {
	t.Helper()
	g, now := *w.credentials(t).Grant, time.Now()
	if !got(w.Store.LeaseGrant(t.Context(), g.ID, "a", g.Version, now, now.Add(time.Minute))) {
		t.Fatal("not leased")
	}
	return g
}

// refused has the mailbox's refresh refused and returns what was written.
func (w World) refused(t testing.TB, kind mailroom.Kind, key string) *mailroom.Problem {
	t.Helper()
	g := w.refreshing(t)
	return got(w.Store.FailRefresh(t.Context(), w.Mailbox.ID, g.ID, "a", g.Version, &mailroom.Problem{Kind: kind, Key: key, Since: time.Now().UTC()}))
}

// renewed has the mailbox's refresh succeed.
func (w World) renewed(t testing.TB) {
	t.Helper()
	g := w.refreshing(t)
	if !got(w.Store.SaveRefreshed(t.Context(), mailroom.Refreshed{MailboxID: w.Mailbox.ID, GrantID: g.ID, Owner: "a", Version: g.Version,
		Access: sealed("a"), At: time.Now().UTC(), ExpiresAt: time.Now().Add(time.Hour)})) {
		t.Fatal("not saved")
	}
}

// shows fails unless each mailbox shows the key, "" for nothing.
func shows(t testing.TB, all []World, key string) {
	t.Helper()
	for i, v := range all {
		p := v.credentials(t).Problem
		if p == nil && key == "" || p != nil && p.Key == key {
			continue
		}
		t.Errorf("mailbox %d shows %v, want %q", i, p, key)
	}
}

// age has the refusals of the mailboxes stand for longer.
func age(t testing.TB, all []World, by time.Duration) {
	t.Helper()
	for _, v := range all {
		v.Exec(t, `UPDATE refusals SET first_at = first_at - $1 WHERE mailbox_id = $2`, by.Microseconds(), v.Mailbox.ID)
	}
}

func testManyRefused(t *testing.T, w World) {
	all := w.colleagues(t, 8)
	for _, v := range all[:4] {
		if p := v.refused(t, mailroom.NeedsConsent, refusedKey); p.Kind != mailroom.NeedsConsent {
			t.Errorf("one of four: %v", p)
		}
	}
	shows(t, all[:4], refusedKey)
	w.Exec(t, `UPDATE mailboxes SET retry_at = $1 WHERE org_id = $2`, time.Now().Add(10*time.Hour).UnixMicro(), w.OrgID)
	p := all[4].refused(t, mailroom.NeedsConsent, refusedKey)
	if p.Kind != mailroom.Unavailable || p.Key != mailroom.KeyProviderFault || p.Args["reason"] != refusedKey || time.Since(p.Since) > time.Minute {
		t.Errorf("the fifth: %+v", p)
	}
	shows(t, all[:5], mailroom.KeyProviderFault) // the four are taken back
	shows(t, all[5:], "")
	for i, v := range all[:4] {
		if v.Count(t, `mailboxes WHERE id = $1 AND retry_at < $2`, v.Mailbox.ID, time.Now().Add(6*time.Minute).UnixMicro()) != 1 {
			t.Errorf("mailbox %d is not tried again soon", i)
		}
	}
	faults := mailroom.Faults(got(w.Store.Refusals(t.Context(), w.OrgID)))
	if len(faults) != 1 || len(faults[0].Mailboxes) != 5 || faults[0].Reason.Key != refusedKey || faults[0].TenantID != "tid" {
		t.Fatalf("told as %+v", faults)
	}
	if len(got(w.Store.Refusals(t.Context(), "org_other"))) != 0 {
		t.Error("another organization sees it")
	}

	// The provider is well again: each mailbox finds out by itself.
	all[0].renewed(t)
	shows(t, all[:1], "")
	shows(t, all[1:5], mailroom.KeyProviderFault)
	for _, v := range all[1:] {
		v.renewed(t)
	}
	shows(t, all, "")
	if len(got(w.Store.Refusals(t.Context(), w.OrgID))) != 0 {
		t.Error("refusals stand that were disproved")
	}

	// Another day it does not pass.
	for _, v := range all {
		v.refused(t, mailroom.NeedsConsent, refusedKey)
	}
	shows(t, all, mailroom.KeyProviderFault)
	age(t, all, 5*time.Hour+59*time.Minute)
	if p := all[0].refused(t, mailroom.NeedsConsent, refusedKey); p.Key != mailroom.KeyProviderFault {
		t.Errorf("before six hours are over: %+v", p)
	}
	age(t, all, 2*time.Minute)
	p = all[0].refused(t, mailroom.NeedsConsent, refusedKey)
	if p.Kind != mailroom.NeedsConsent || p.Key != refusedKey || time.Since(p.Since) < 6*time.Hour {
		t.Errorf("after six hours: %+v", p)
	}
	shows(t, all[:1], refusedKey)

	// Who grants anew meanwhile is out of it.
	must(t, all[1].Store.SaveGrant(t.Context(), all[1].newGrant(all[1].credentials(t).Grant.Version)))
	shows(t, all[1:2], "")
	if n := w.Count(t, `refusals WHERE mailbox_id = $1`, all[1].Mailbox.ID); n != 0 {
		t.Error("the refusal of the former grant stands")
	}
}

func testManyRefusedByIMAP(t *testing.T, w World) {
	all := w.colleagues(t, 6)
	end := func(v World, key string) mailroom.Credentials {
		t.Helper()
		now := time.Now().UTC()
		v.Exec(t, `UPDATE mailboxes SET wanted = wanted + 1 WHERE id = $1`, v.Mailbox.ID)
		claim := v.take(t, "n")
		p := &mailroom.Problem{Kind: mailroom.NeedsConsent, Key: key, Since: now, Until: now.Add(9 * time.Hour)}
		must(t, v.Store.Release(t.Context(), claim, p.Until, p, 5))
		return v.credentials(t)
	}
	for _, v := range all[:4] {
		end(v, imapKey)
	}
	shows(t, all[:4], imapKey)
	c := end(all[4], imapKey)
	shows(t, all[:5], mailroom.KeyProviderFault)
	if c.Problem.Kind != mailroom.Unavailable || c.Problem.Args["reason"] != imapKey || time.Until(c.Problem.Until) > 6*time.Minute {
		t.Errorf("the fifth: %+v", c.Problem)
	}
	if w.Count(t, `mailboxes WHERE org_id = $1 AND retry_at > $2`, w.OrgID, time.Now().Add(6*time.Minute).UnixMicro()) != 0 {
		t.Error("a mailbox is not tried again soon")
	}
	// A token that is refreshed says nothing about IMAP.
	all[0].renewed(t)
	shows(t, all[:1], mailroom.KeyProviderFault)

	// The sixth signs in: it is answered, and out of it.
	end(all[5], imapKey)
	all[5].Exec(t, `UPDATE mailboxes SET wanted = wanted + 1 WHERE id = $1`, all[5].Mailbox.ID)
	must(t, w.Store.Answered(t.Context(), all[5].take(t, "n"), 9))
	shows(t, all[5:], "")
	if n := w.Count(t, `refusals WHERE mailbox_id = $1`, all[5].Mailbox.ID); n != 0 {
		t.Error("the refusal of a mailbox that is read stands")
	}

	age(t, all[:5], 7*time.Hour)
	c = end(all[0], imapKey)
	if c.Problem.Key != imapKey || time.Until(c.Problem.Until) > 16*time.Minute {
		t.Errorf("after six hours: %+v", c.Problem)
	}
	if w.Count(t, `mailboxes WHERE id = $1 AND failures = 1`, all[0].Mailbox.ID) != 1 {
		t.Error("the pauses of the fault are counted on")
	}
}

func testOneRefused(t *testing.T, w World) {
	all := w.colleagues(t, 12)
	for _, v := range all[:5] { // one after another, while the others are fine
		if p := v.refused(t, mailroom.NeedsConsent, refusedKey); p.Kind != mailroom.NeedsConsent {
			t.Errorf("shown as %+v", p)
		}
		for _, o := range all[5:] {
			o.renewed(t)
		}
	}
	shows(t, all[:5], refusedKey)
	if f := mailroom.Faults(got(w.Store.Refusals(t.Context(), w.OrgID))); len(f) != 0 {
		t.Errorf("told as %+v", f)
	}
	// Another tenant's refusals are not this one's.
	other := w.colleagues(t, 5)
	for i, v := range other {
		w.Exec(t, `UPDATE grants SET tenant_id = $1 WHERE mailbox_id = $2`, "tid"+v.UserID, v.Mailbox.ID)
		if p := v.refused(t, mailroom.NeedsConsent, refusedKey); p.Kind != mailroom.NeedsConsent {
			t.Errorf("%d of as many tenants: %+v", i, p)
		}
	}
	// A grant that is revoked is refused no more.
	got(w.Store.ShredGrant(t.Context(), all[0].Mailbox.ID, w.act("grant.revoked")))
	if n := w.Count(t, `refusals WHERE mailbox_id = $1`, all[0].Mailbox.ID); n != 0 {
		t.Error("the refusal of a revoked grant stands")
	}
}

func testRefusedForAll(t *testing.T, w World) {
	all := w.colleagues(t, 6)
	for _, v := range all {
		if p := v.refused(t, mailroom.NeedsAdmin, "oauth.error.consent_missing"); p.Kind != mailroom.NeedsAdmin {
			t.Errorf("shown as %+v", p)
		}
	}
	faults := mailroom.Faults(got(w.Store.Refusals(t.Context(), w.OrgID)))
	if len(faults) != 1 || faults[0].Kind != mailroom.NeedsAdmin || len(faults[0].Mailboxes) != 6 {
		t.Errorf("told as %+v", faults)
	}
}
