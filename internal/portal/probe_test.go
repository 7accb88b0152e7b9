package portal_test

import (
	"context"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// shut is a portal at whose mail server no mailbox opens.
func shut(w *world) *portal.Portal {
	return portal.New(portal.Deps{Store: w.store, Consent: w.consent, Providers: mailroom.Providers{directoryProvider}.Of, Now: w.now,
		Probe: func(_ context.Context, _ mailroom.Mailbox, tell func([]mailroom.Check)) []mailroom.Check {
			cs := []mailroom.Check{mailroom.Failing("probe.open", mailroom.E(mailroom.NeedsAdmin, "imap.error.not_connected"), w.now())}
			tell(cs)
			return cs
		}})
}

// ends is the problem that a probe ends with.
func ends(w *world, p *portal.Portal) string {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-time.After(time.Millisecond) {
		if v := got(p.Probe(w.ctx, w.anna, false)); !v.Running {
			return v.Checks[0].Problem.Key
		}
	}
	w.t.Fatal("the probe does not end")
	return ""
}

func TestNotConnectedIsToldApart(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	licence := func(result mailroom.CheckResult, at time.Time) {
		must(t, w.store.SaveDoctorReport(w.ctx, mailroom.DoctorReport{
			ID: mailroom.NewID(mailroom.PrefixDoctor), OrgID: w.anna.OrgID, ProviderID: "microsoft", MailboxID: w.mailboxID(w.anna),
			Address: w.anna.Email, AskedBy: w.anna.ID, Self: true, At: at, Checks: []mailroom.Check{{Name: "doctor.check.licence", Result: result}},
		}, mailroom.AuditEvent{ID: mailroom.NewID(mailroom.PrefixAudit), OrgID: w.anna.OrgID, At: at, Action: "doctor.self"}))
	}
	want := func(when, key string) {
		t.Helper()
		if got := ends(w, shut(w)); got != key {
			t.Errorf("%s: %s, want %s", when, got, key)
		}
	}
	want("nothing is known", "imap.error.not_connected")
	licence(mailroom.CheckFailed, w.now())
	want("no mailbox in the licence", "imap.error.no_licence")
	w.pass(time.Minute)
	licence(mailroom.CheckOK, w.now())
	want("a mailbox in the licence", "imap.error.likely_off")
	w.pass(25 * time.Hour)
	want("that was long ago", "imap.error.not_connected")
	for _, r := range got(w.MappingPage(w.ctx, w.anna)).Rows {
		w.progress(w.anna, r.Mapping.RawName, func(p *mailroom.Progress) { p.CheckedAt = w.now() })
	}
	want("it is being read", "imap.error.too_many")
	w.pass(5 * time.Minute)
	w.exec(`UPDATE grants SET via = 'shared' WHERE mailbox_id = '` + w.mailboxID(w.anna) + `'`)
	want("a shared mailbox", "imap.error.not_shared")
}
