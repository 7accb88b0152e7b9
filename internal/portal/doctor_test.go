package portal_test

import (
	"context"
	"testing"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// surgeon notes whom it is shown, and lets everybody look.
type surgeon struct {
	seen      []mailroom.Patient
	request   mailroom.DoctorRequest
	tenant    string
	consented bool
}

func (s *surgeon) Examine(_ context.Context, p mailroom.Patient, _ *mailroom.DoctorPermit) mailroom.Examination {
	s.seen = append(s.seen, p)
	return mailroom.Examination{Consented: s.consented, Checks: []mailroom.Check{mailroom.Passed("doctor.check.app", nil)}}
}

func (s *surgeon) ExamineSelf(ctx context.Context, p mailroom.Patient, permit mailroom.DoctorPermit) mailroom.Examination {
	return s.Examine(ctx, p, &permit)
}

func (s *surgeon) BeginDoctor(_ context.Context, u mailroom.User, p mailroom.Provider, r mailroom.DoctorRequest, _ string) (string, error) {
	s.request = r
	s.request.StateHash, s.request.ProviderID, s.request.UserID = "state", p.ID, u.ID
	return "https://provider.example/authorize", nil
}

func (s *surgeon) FinishDoctor(context.Context, mailroom.User, string, string, string, string, string) (mailroom.DoctorPermit, error) {
	return mailroom.DoctorPermit{Request: s.request, Provider: directoryProvider, TenantID: s.tenant, Token: "token"}, nil
}

func (s *surgeon) RefusedDoctor(context.Context, mailroom.User, string, string, string, string, string, string) (mailroom.DoctorRequest, error) {
	return s.request, mailroom.E(mailroom.NeedsAdmin, "doctor.error.denied")
}

var directoryProvider = mailroom.Provider{ID: "microsoft", Name: "Outlook", Kind: mailroom.Outlook, ClientID: "id", Directory: &mailroom.Directory{ClientID: "doctor"}}

// surgery is the portal of a world with a doctor in it.
func surgery(w *world) (*portal.Portal, *surgeon) {
	s := &surgeon{tenant: "tid"}
	return portal.New(portal.Deps{Store: w.store, Consent: w.consent, Providers: mailroom.Providers{directoryProvider}.Of, Doctor: s, Looking: s, Now: w.now}), s
}

func (w *world) mailboxID(u mailroom.User) string {
	w.t.Helper()
	return got(w.store.MailboxOf(w.ctx, u.ID)).Mailbox.ID
}

func TestOnlyAdministratorsAskTheDoctor(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	p, s := surgery(w)
	form := portal.DoctorForm{MailboxID: w.mailboxID(w.anna)}
	report := got(p.Examine(w.ctx, w.admin, form))
	other := w.otherAgency()
	for name, c := range map[string]struct {
		who  mailroom.User
		kind mailroom.Kind
	}{"a recruiter": {w.anna, mailroom.Forbidden}, "another organization's administrator": {other, mailroom.NotFound}} {
		ask := func(what string, err error) {
			if mailroom.KindOf(err) != c.kind {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
		_, err := p.DoctorReport(w.ctx, c.who, report)
		ask("a report", err)
		_, err = p.Examine(w.ctx, c.who, form)
		ask("examine", err)
		_, err = p.BeginLook(w.ctx, c.who, "b", form)
		ask("look", err)
	}
	if _, err := p.DoctorPage(w.ctx, w.anna); mailroom.KindOf(err) != mailroom.Forbidden {
		t.Errorf("a recruiter opens the page: %v", err)
	}
	if v := got(p.DoctorPage(w.ctx, other)); len(v.Mailboxes)+len(v.Reports) != 0 {
		t.Errorf("another organization sees %+v", v)
	}
	// Who was an administrator when the look began, and is none when it ends.
	got(p.BeginLook(w.ctx, w.admin, "b", form))
	demoted := w.admin
	demoted.Role = mailroom.Recruiter
	if _, err := p.FinishLook(w.ctx, demoted, "b", portal.Callback{ProviderID: "microsoft", Code: "c"}); mailroom.KindOf(err) != mailroom.Forbidden {
		t.Errorf("demoted meanwhile: %v", err)
	}
	if len(s.seen) != 1 {
		t.Errorf("the doctor looked %d times", len(s.seen))
	}
}

// What the provider refused last is known without asking anybody, until it gave in.
func TestDoctorKnowsTheLastRefusal(t *testing.T) {
	w := newWorld(t)
	must(t, w.SaveAddress(w.ctx, w.anna, w.anna.Email, false))
	p, s := surgery(w)
	id := w.mailboxID(w.anna)
	seen := func() *mailroom.Problem {
		t.Helper()
		got(p.Examine(w.ctx, w.admin, portal.DoctorForm{MailboxID: id}))
		return s.seen[len(s.seen)-1].Refusal
	}
	audit := func(action string, details map[string]any) {
		t.Helper()
		w.pass(1e9)
		must(t, w.store.SaveAudit(w.ctx, mailroom.AuditEvent{ID: mailroom.NewID(mailroom.PrefixAudit), OrgID: w.anna.OrgID, At: w.now(), Action: action, Subject: id, Details: details}))
	}
	if r := seen(); r != nil {
		t.Errorf("before anything: %+v", r)
	}
	audit("grant.refused", map[string]any{"reason": "oauth.error.not_assigned", "code": "AADSTS50105", "ref": "r"})
	if r := seen(); r == nil || r.Key != "oauth.error.not_assigned" || r.Kind != mailroom.NeedsAdmin || r.Args["code"] != "AADSTS50105" {
		t.Errorf("refused: %+v", r)
	}
	audit("grant.refused", map[string]any{"reason": "grant.error.wrong_account"})
	if r := seen(); r != nil {
		t.Errorf("our own refusal is the provider's: %+v", r)
	}
	audit("grant.refused", map[string]any{"reason": "oauth.error.not_assigned"})
	w.connect(w.anna)
	if r := seen(); r != nil {
		t.Errorf("after a grant: %+v", r)
	}
	if last := s.seen[len(s.seen)-1]; last.Grant == nil || !last.Ready || last.Account != last.Address {
		t.Errorf("shown %+v", last)
	}
}

func TestSharedMailboxIsLookedAtByWhoSignsIn(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	p, s := surgery(w)
	id := w.mailboxID(w.anna)
	g := got(w.store.Grant(w.ctx, w.anna.OrgID, id))
	g.ID, g.Account, g.Via, g.Version = mailroom.NewID(mailroom.PrefixGrant), "anna@own.example", mailroom.ViaShared, 1
	must(t, w.store.SaveGrant(w.ctx, mailroom.NewGrant{Grant: g, Replaces: 1, Secrets: mailroom.GrantSecrets{Access: mailroom.Sealed{KeyID: "k", Data: []byte("x")}}, Event: mailroom.AuditEvent{OrgID: g.OrgID, Action: "grant.given"}}))
	got(p.Examine(w.ctx, w.admin, portal.DoctorForm{MailboxID: id}))
	if last := s.seen[0]; last.Account != "anna@own.example" || last.Address == last.Account {
		t.Errorf("shown %q for %q", last.Account, last.Address)
	}
	got(p.BeginSelfLook(w.ctx, w.anna, "b"))
	if s.request.Address != "anna@own.example" || !s.request.Self {
		t.Errorf("asked to sign in: %+v", s.request)
	}
}

func TestWhatTheDirectoryShowsIsProof(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	p, s := surgery(w)
	proved := func() (n int) {
		t.Helper()
		for _, tenant := range got(w.store.Tenants(w.ctx, w.anna.OrgID)) {
			if tenant.ID == "tid" && tenant.ProvedBy == mailroom.ProvedByDoctor {
				n++
			}
		}
		return n
	}
	look := func() {
		t.Helper()
		got(p.BeginLook(w.ctx, w.admin, "b", portal.DoctorForm{MailboxID: w.mailboxID(w.anna)}))
		got(p.FinishLook(w.ctx, w.admin, "b", portal.Callback{ProviderID: "microsoft", Code: "c"}))
	}
	look()
	if proved() != 0 {
		t.Error("proved by a look that did not see it")
	}
	s.consented = true
	look()
	if proved() != 1 {
		t.Error("not proved by a look that saw it")
	}
	s.tenant = ""
	look() // a directory that did not say which it is proves nothing
	if n := len(got(w.store.Tenants(w.ctx, w.anna.OrgID))); n != 1 {
		t.Errorf("%d tenants", n)
	}
}

func TestSelfLookIsOfTheMailboxThatBegan(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	p, s := surgery(w)
	got(p.BeginSelfLook(w.ctx, w.anna, "b"))
	must(t, w.SaveAddress(w.ctx, w.anna, "another@mail.example", true))
	out, err := p.FinishLook(w.ctx, w.anna, "b", portal.Callback{ProviderID: "microsoft", Code: "c"})
	if mailroom.KindOf(err) != mailroom.Conflict || !out.Self || len(s.seen) != 0 {
		t.Errorf("%+v, %v, looked %d times", out, err, len(s.seen))
	}
}
