package web

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// playedDoctor finds what it is told to, and is let in with the code "good".
type playedDoctor struct {
	mu        sync.Mutex
	checks    []mailroom.Check
	consented bool
	begun     mailroom.DoctorRequest
	binding   string
	seen      []mailroom.Patient
	permits   []*mailroom.DoctorPermit
}

func (d *playedDoctor) Examine(_ context.Context, p mailroom.Patient, permit *mailroom.DoctorPermit) mailroom.Examination {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen, d.permits = append(d.seen, p), append(d.permits, permit)
	return mailroom.Examination{Checks: d.checks, Consented: d.consented && permit != nil}
}

func (d *playedDoctor) ExamineSelf(ctx context.Context, p mailroom.Patient, permit mailroom.DoctorPermit) mailroom.Examination {
	return d.Examine(ctx, p, &permit)
}

func (d *playedDoctor) BeginDoctor(_ context.Context, u mailroom.User, p mailroom.Provider, r mailroom.DoctorRequest, binding string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r.OrgID, r.UserID, r.ProviderID, r.StateHash = u.OrgID, u.ID, p.ID, "state"
	d.begun, d.binding = r, binding
	return p.AuthURL + "?state=state&login_hint=" + url.QueryEscape(r.Address), nil
}

func (d *playedDoctor) FinishDoctor(_ context.Context, u mailroom.User, binding, providerID, state, code, _ string) (mailroom.DoctorPermit, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.begun.StateHash != state || d.begun.UserID != u.ID || binding != d.binding {
		return mailroom.DoctorPermit{}, mailroom.E(mailroom.Invalid, "doctor.error.state")
	}
	permit := mailroom.DoctorPermit{Request: d.begun, TenantID: "tenant", Token: "secret-token"}
	permit.Provider, _ = playedProviders.ByID(providerID)
	d.begun = mailroom.DoctorRequest{}
	if code != "good" {
		return permit, mailroom.E(mailroom.Unavailable, "oauth.error.network").With("provider", "Outlook")
	}
	return permit, nil
}

func (d *playedDoctor) RefusedDoctor(_ context.Context, u mailroom.User, binding, _, state, _, _, _ string) (mailroom.DoctorRequest, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.begun.StateHash != state || d.begun.UserID != u.ID || binding != d.binding {
		return mailroom.DoctorRequest{}, mailroom.E(mailroom.Invalid, "doctor.error.state")
	}
	r := d.begun
	d.begun = mailroom.DoctorRequest{}
	return r, mailroom.E(mailroom.NeedsAdmin, "doctor.error.denied").With("provider", "Microsoft").With("code", "AADSTS90094").With("ref", "r-1")
}

// reported puts one report about a user's mailbox.
func (s *site) reported(u mailroom.User, box mailroom.Mailbox) string {
	s.t.Helper()
	r := mailroom.DoctorReport{ID: mailroom.NewID(mailroom.PrefixDoctor), OrgID: u.OrgID, ProviderID: "microsoft", MailboxID: box.ID,
		Address: box.Address, AskedBy: u.ID, At: time.Now(), Checks: []mailroom.Check{mailroom.Passed("doctor.check.app", map[string]any{"app": "Mailroom"})}}
	if err := s.store.SaveDoctorReport(s.t.Context(), r, mailroom.AuditEvent{ID: mailroom.NewID(mailroom.PrefixAudit), OrgID: u.OrgID, At: time.Now(), ActorID: u.ID, Action: "doctor.examined"}); err != nil {
		s.t.Fatal(err)
	}
	return r.ID
}

// found is a report of all three kinds.
func found() []mailroom.Check {
	return []mailroom.Check{
		mailroom.Passed("doctor.check.app", map[string]any{"app": "Mailroom"}),
		mailroom.Failing("doctor.check.assigned", mailroom.E(mailroom.NeedsAdmin, "doctor.problem.not_assigned").
			With("app", "Mailroom").With("address", "noor@werk.example"), time.Now()),
		mailroom.Unseen("doctor.check.policy", mailroom.E(mailroom.Forbidden, "doctor.error.forbidden").With("code", "403"), time.Now()),
	}
}

const doctorCallback = "/doctor/callback/microsoft?state=state&code="

func TestAdministratorLooksIntoTheDirectory(t *testing.T) {
	s := openSite(t)
	noor := s.addUser("Noor", "noor@werk.example", mailroom.Recruiter)
	box := s.connected(noor)
	s.doctor.checks, s.doctor.consented = found(), true
	b := s.as(s.admin)
	b.get(doctorPath).wants(200).shows("select[name=mailbox]", box.Address+" · Noor").shows("#ask", "Directory.Read.All").
		shows("#reports", "No reports yet").lacks(`#ask a[href="/admin/providers"]`)
	link := b.get("/admin/sync").attr(`a[href^="/admin/doctor"]`, "href")
	if got := b.get(link).attr("select[name=mailbox] option[selected]", "value"); got != box.ID {
		t.Errorf("from the Sync state, %s chooses %q", link, got)
	}
	a := b.post(doctorPath+"/look", "mailbox", box.ID).wants(200)
	if to := a.attr("meta[http-equiv=refresh]", "content"); !strings.Contains(to, "https://login.example/authorize") {
		t.Fatalf("the browser is sent to %q", to)
	}
	a = b.get(doctorCallback + "good").wants(303)
	to := a.header.Get("Location")
	if !strings.HasPrefix(to, doctorPath+"/doc_") || strings.Contains(to, "code") || strings.Contains(to, "state") {
		t.Fatalf("leads to %q", to)
	}
	report := b.get(to).wants(200).shows("h1", box.Address).shows("#report header", "1 not OK · 1 not checked").
		shows(".checks li:nth-child(1)", "Mailroom is among the enterprise apps").
		shows(".checks li:nth-child(2)", "Users and groups › Add user/group › noor@werk.example › Assign").
		shows(".checks li:nth-child(2)", "Your IT administrator can mend this.").
		shows(".checks li:nth-child(3)", "Not checked").shows("#next", "thrown away").shows("#report", "tenant")
	if report.attr(".checks li:nth-child(3) .state", "class") != "state " && report.attr(".checks li:nth-child(3) .state", "class") != "state" {
		t.Error("what was not checked looks failed")
	}
	report.shows(`#next a[href="https://entra.example"]`, "Entra admin center").shows(`#next a[href="/admin/consent"]`, "Approval by IT")
	b.get(doctorPath).shows("#reports", "1 not OK · 1 not checked").shows("#reports", "Anna de Boer")
	b.get("/admin/audit").shows("#audit", "Had the doctor look at a mailbox")
	if p := s.doctor.seen[0]; p.Address != box.Address || p.Grant == nil || !p.Ready || p.Provider.ID != "microsoft" || s.doctor.permits[0] == nil {
		t.Errorf("the doctor was shown %+v", p)
	}
	var proved int
	if err := sqlOf(t, s).QueryRow(`SELECT count(*) FROM tenants WHERE tenant_id = 'tenant' AND proved_at > 0 AND proved_by = 'doctor'`).Scan(&proved); err != nil || proved != 1 {
		t.Errorf("consent that was seen is not proved: %d, %v", proved, err)
	}
	// The answer is good once; a reload reads nothing again.
	b.get(doctorCallback+"good").leadsTo(doctorPath+"?refused=1").shows("main", "used already")
	if len(s.doctor.seen) != 1 {
		t.Error("looked twice with one answer")
	}
}

func TestAdministratorChecksFromHere(t *testing.T) {
	s := openSite(t)
	box := s.connected(s.addUser("Noor", "noor@werk.example", mailroom.Recruiter))
	s.doctor.checks = found()[:1]
	b := s.as(s.admin)
	to := b.post(doctorPath, "mailbox", box.ID).wants(303).header.Get("Location")
	b.get(to).wants(200).shows("#report header", "All OK").lacks("#report code").shows("#next button", "Look into Microsoft 365")
	// An address that somebody has is that mailbox; any other is none here.
	b.post(doctorPath, "mailbox", "", "address", "NOOR@werk.example").wants(303)
	b.post(doctorPath, "mailbox", "", "address", "new@werk.example").wants(303)
	seen := s.doctor.seen
	if seen[0].Mailbox.ID != box.ID || seen[1].Mailbox.ID != box.ID || seen[2].Mailbox != nil || seen[2].Provider.ID != "microsoft" {
		t.Errorf("the doctor was shown %+v", seen)
	}
	b.post(doctorPath, "mailbox", "", "address", "nonsense").wants(422).shows(".complaint", "address")
	b.post(doctorPath+"/look", "mailbox", "", "address", "").wants(422)
	b.post(doctorPath, "mailbox", s.rowsOf(s.otherOrganization())["mailbox"]).wants(404)
	b.get(doctorPath + "?address=x@werk.example").has(`input[name=address][value="x@werk.example"]`)
}

func TestLookIsRefused(t *testing.T) {
	s := openSite(t)
	box := s.connected(s.addUser("Noor", "noor@werk.example", mailroom.Recruiter))
	b := s.as(s.admin)
	b.post(doctorPath+"/look", "mailbox", box.ID).wants(200)
	b.get("/doctor/callback/microsoft?state=state&error=access_denied&error_description=AADSTS90094:+secret").
		leadsTo(doctorPath+"?refused=1").shows(".notice", "Cloud Application Administrator").shows(".notice", "AADSTS90094").shows(".notice", "r-1")
	b.get("/admin/audit").shows("#audit", "Was not let in to look at a mailbox")
	b.get(doctorPath).lacks(".notice.bad") // said once, on its own page
	b.post(doctorPath+"/look", "mailbox", box.ID).wants(200)
	b.get(doctorCallback+"bad").leadsTo(doctorPath+"?refused=1").shows(".notice", "cannot be reached")
	// A stranger's browser, and somebody else's.
	s.browser().get(doctorCallback+"good").leadsTo("/sign-in?next=%2Fsettings%2Fintegrations").shows("main", "signed out while you were away")
	other := s.as(s.addUser("Pim", "pim@werk.example", mailroom.Administrator))
	b.post(doctorPath+"/look", "mailbox", box.ID).wants(200)
	other.get(doctorCallback+"good").leadsTo(doctorPath+"?refused=1").shows(".notice", "Nothing was read")
	if len(s.doctor.seen) != 0 {
		t.Error("something was looked at")
	}
}

func TestRecruiterChecksTheirLicence(t *testing.T) {
	s := openSite(t)
	noor := s.addUser("Noor", "noor@werk.example", mailroom.Recruiter)
	b := s.as(noor)
	b.get(licencePath).wants(200).shows("#licence", "No mailbox yet").lacks("form[action='" + licencePath + "']")
	b.post(licencePath).leadsTo(licencePath).wants(200)
	box := s.connected(noor)
	b.get(integrationsPath).shows("#licence a", "Check my licence")
	b.get(licencePath).shows("#licence", "User.Read").shows("#licence", box.Address)
	b.post(licencePath).wants(200)
	if r := s.doctor.begun; !r.Self || r.MailboxID != box.ID || r.Address != box.Address {
		t.Errorf("begun %+v", r)
	}
	s.doctor.checks = []mailroom.Check{mailroom.Failing("doctor.check.licence", mailroom.E(mailroom.NeedsAdmin, "doctor.problem.licence_missing").
		With("address", box.Address).With("app", "Mailroom"), time.Now())}
	b.get(doctorCallback+"good").leadsTo(licencePath).shows("#report", "has no licence at all").shows("#report", "Your IT administrator can mend this.")
	// Refused: back on the recruiter's own page.
	b.post(licencePath).wants(200)
	b.get("/doctor/callback/microsoft?state=state&error=access_denied").leadsTo(licencePath+"?refused=1").shows(".notice", "Looking was not allowed")
	// The administrators see it among the reports; colleagues do not.
	s.as(s.admin).get(doctorPath).shows("#reports", "Noor, at their own licence").shows("#reports", "1 not OK")
	pim := s.addUser("Pim", "pim@werk.example", mailroom.Recruiter)
	s.connected(pim)
	s.as(pim).get(licencePath).lacks("#report")
}

func TestDoctorSpeaksDutch(t *testing.T) {
	s := openSite(t)
	s.doctor.checks = found()
	b := s.as(s.admin)
	b.post("/language", "lang", "nl", "back", "/").wants(303)
	to := b.post(doctorPath, "mailbox", "", "address", "noor@werk.example").wants(303).header.Get("Location")
	b.get(to).shows(".checks li:nth-child(2)", "Gebruikers en groepen › Gebruiker/groep toevoegen › noor@werk.example › Toewijzen").shows("#report header", "1 niet in orde · 1 niet gecontroleerd")
}

func TestWithoutARegistrationThereIsNoLooking(t *testing.T) {
	was := playedProviders[0].Directory.ClientID
	playedProviders[0].Directory.ClientID = ""
	defer func() { playedProviders[0].Directory.ClientID = was }()
	s := openSite(t)
	noor := s.addUser("Noor", "noor@werk.example", mailroom.Recruiter)
	box := s.connected(noor)
	b := s.as(s.admin)
	b.get(doctorPath).shows("#ask", "no registration of its own").shows(`#ask a[href="/admin/providers"]`, "Providers")
	b.get(doctorPath).lacks(`button[formaction="/admin/doctor/look"]`)
	b.post(doctorPath+"/look", "mailbox", box.ID).wants(422).shows(".complaint", "no registration")
	b.post(doctorPath, "mailbox", box.ID).wants(303)
	r := s.as(noor)
	r.get(integrationsPath).lacks("#licence")
	r.get(licencePath).shows("#licence", "Your IT administrator can").lacks("#licence button")
	r.post(licencePath).leadsTo(licencePath).wants(200)
}
