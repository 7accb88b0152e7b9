package storetest

import (
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/store"
)

// RunDoctor is the conformance suite of the doctor's requests and reports.
func RunDoctor(t *testing.T, open func(testing.TB) *store.Store) {
	s := open(t)
	for _, p := range []struct {
		name string
		run  func(*testing.T, World)
	}{
		{"request taken once", testLookTakenOnce},
		{"requests forgotten", testLooksForgotten},
		{"reports", testDoctorReports},
		{"reports forgotten", testDoctorReportsForgotten},
	} {
		t.Run(p.name, func(t *testing.T) { p.run(t, Seed(t, s)) })
	}
}

func (w World) lookRequest(state string, expires time.Time) mailroom.DoctorRequest {
	now := time.UnixMicro(1_700_000_000_123_456).UTC()
	return mailroom.DoctorRequest{StateHash: state + w.Mailbox.ID, Binding: "b", OrgID: w.OrgID, UserID: w.UserID, MailboxID: w.Mailbox.ID,
		ProviderID: "microsoft", Address: "a@werk.example", Self: true, Verifier: mailroom.Sealed{KeyID: "k", Data: []byte{0, 1, 255}}, Nonce: "n",
		CreatedAt: now, ExpiresAt: expires.UTC().Truncate(time.Microsecond)}
}

func testLookTakenOnce(t *testing.T, w World) {
	want := w.lookRequest("s", time.Now().Add(time.Minute))
	must(t, w.Store.SaveDoctorRequest(t.Context(), want))
	var took, missed atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			r, err := w.Store.TakeDoctorRequest(t.Context(), want.StateHash)
			switch {
			case err == nil && reflect.DeepEqual(r, want):
				took.Add(1)
			case mailroom.KindOf(err) == mailroom.NotFound:
				missed.Add(1)
			default:
				t.Errorf("got %+v, %v, want %+v", r, err, want)
			}
		})
	}
	wg.Wait()
	if took.Load() != 1 || missed.Load() != 3 {
		t.Errorf("taken %d times, missed %d times, of 4 at once", took.Load(), missed.Load())
	}
}

func testLooksForgotten(t *testing.T, w World) {
	late, old := w.lookRequest("late", time.Now().Add(-time.Minute)), w.lookRequest("old", time.Now().Add(-2*time.Hour))
	for _, r := range []mailroom.DoctorRequest{late, old, w.lookRequest("new", time.Now())} {
		must(t, w.Store.SaveDoctorRequest(t.Context(), r))
	}
	if _, err := w.Store.TakeDoctorRequest(t.Context(), old.StateHash); mailroom.KindOf(err) != mailroom.NotFound {
		t.Errorf("a request of two hours ago: %v", err)
	}
	if _, err := w.Store.TakeDoctorRequest(t.Context(), late.StateHash); err != nil {
		t.Errorf("one that expired a minute ago can no longer be told that it is late: %v", err)
	}
	must(t, w.Store.SaveDoctorRequest(t.Context(), late))
	must(t, w.Store.KeepHouse(t.Context()))
	if n := w.Count(t, `doctor_requests WHERE org_id = $1`, w.OrgID); n != 0 {
		t.Errorf("%d requests that have run out are kept", n)
	}
}

func (w World) report(at time.Time, self bool) mailroom.DoctorReport {
	return mailroom.DoctorReport{ID: mailroom.NewID(mailroom.PrefixDoctor), OrgID: w.OrgID, ProviderID: "microsoft", MailboxID: w.Mailbox.ID,
		Address: "a@werk.example", AskedBy: w.UserID, Self: self, TenantID: "tid", At: at.UTC().Truncate(time.Microsecond),
		Checks: []mailroom.Check{
			{Name: "doctor.check.app", Result: mailroom.CheckOK, Args: map[string]any{"app": "Mailroom"}, Took: time.Second},
			{Name: "doctor.check.consent", Result: mailroom.CheckFailed, Problem: &mailroom.Problem{Kind: mailroom.NeedsAdmin, Key: "k",
				Args: map[string]any{"scopes": "s"}, Since: at.UTC().Truncate(time.Microsecond)}},
		}}
}

func testDoctorReports(t *testing.T, w World) {
	now := time.Now()
	own, other, newest := w.report(now.Add(-time.Hour), true), w.report(now.Add(-time.Minute), false), w.report(now, true)
	newest.MailboxID = "mbx_of_somebody_else"
	for _, r := range []mailroom.DoctorReport{other, own, newest} {
		must(t, w.Store.SaveDoctorReport(t.Context(), r, w.act("doctor.examined")))
	}
	w.audited(t, "doctor.examined")
	if r, err := w.Store.DoctorReport(t.Context(), w.OrgID, own.ID); err != nil || !reflect.DeepEqual(r, own) {
		t.Errorf("read %+v, %v, want %+v", r, err, own)
	}
	if _, err := w.Store.DoctorReport(t.Context(), "org_other", own.ID); mailroom.KindOf(err) != mailroom.NotFound {
		t.Errorf("another organization's report: %v", err)
	}
	list := got(w.Store.DoctorReports(t.Context(), w.OrgID, 2))
	if len(list) != 2 || list[0].ID != newest.ID || list[1].ID != other.ID {
		t.Errorf("the two newest are %+v", list)
	}
	if rest := got(w.Store.DoctorReports(t.Context(), "org_other", 9)); len(rest) != 0 {
		t.Errorf("another organization reads %+v", rest)
	}
	if r, err := w.Store.SelfReport(t.Context(), w.OrgID, w.Mailbox.ID); err != nil || r.ID != own.ID {
		t.Errorf("one's own: %+v, %v", r, err)
	}
	if _, err := w.Store.SelfReport(t.Context(), "org_other", w.Mailbox.ID); mailroom.KindOf(err) != mailroom.NotFound {
		t.Errorf("somebody else's own: %v", err)
	}
}

func testDoctorReportsForgotten(t *testing.T, w World) {
	must(t, w.Store.SaveDoctorReport(t.Context(), w.report(time.Now().Add(-200*24*time.Hour), true), w.act("doctor.examined")))
	kept := w.report(time.Now(), false)
	must(t, w.Store.SaveDoctorReport(t.Context(), kept, w.act("doctor.examined")))
	if list := got(w.Store.DoctorReports(t.Context(), w.OrgID, 9)); len(list) != 1 || list[0].ID != kept.ID {
		t.Errorf("kept %+v", list)
	}
}
