package portal_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mailroom/internal/access"
	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/internal/vault"
)

const aTenant = "11111111-2222-4333-8444-555555555555"

// signer is the real one.
func (w *world) signer() *access.Access {
	w.t.Helper()
	return access.New(access.Deps{Store: w.store, Vault: got(vault.Parse(vault.NewKey(time.Now()))), Now: w.now,
		ConsentRedirectURL: func(id string) string { return "https://mailroom.example/consent/callback/" + id }})
}

// blocked gives a user a mailbox at Microsoft without permission.
func (w *world) blocked(u mailroom.User) mailroom.Mailbox {
	w.t.Helper()
	must(w.t, w.SaveAddress(w.ctx, u, u.Email, false))
	must(w.t, w.ChooseAccount(w.ctx, u, portal.AccountForm{Account: mailroom.Outlook}))
	return w.mailbox(u).Mailbox
}

// reports brings back that a tenant approved, by a link.
func (w *world) reports(token, tenant string) mailroom.ConsentJourney {
	w.t.Helper()
	to := got(w.GoByLink(w.ctx, token, "browser", false))
	_, state, _ := strings.Cut(to, "&state=")
	j, back, err := w.FinishConsent(w.ctx, "browser", mailroom.ConsentAnswer{ProviderID: "microsoft", State: state, Consented: true, Tenant: tenant})
	must(w.t, err)
	if i, err := w.OpenInvitation(w.ctx, mailroom.User{}, back); err != nil || i.Link.ID != j.LinkID {
		w.t.Errorf("the way back leads to %+v, %v", i.Link, err)
	}
	return j
}

// companies are the lines of the administrator's page in short.
func (w *world) companies() (out []string) {
	w.t.Helper()
	for _, pr := range got(w.Consents(w.ctx, w.admin)).Providers {
		for _, c := range pr.Companies {
			out = append(out, fmt.Sprintf("%s %s %s %d/%d %d", c.Name(), c.Tenant[:4], c.State, c.Connected, c.Mailboxes, c.Blocked))
		}
	}
	return out
}

func (w *world) wantCompanies(want ...string) {
	w.t.Helper()
	if got := w.companies(); strings.Join(got, ", ") != strings.Join(want, ", ") {
		w.t.Errorf("companies:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestConsentByCompany(t *testing.T) {
	w := newWorld(t)
	w.wantCompanies()
	box := w.blocked(w.anna)
	w.blocked(w.addUser("ben@werk.example", "Ben", mailroom.Recruiter))
	w.blocked(w.addUser("cor@hotmail.nl", "Cor", mailroom.Recruiter)) // has no company
	w.blocked(w.addUser("dirk@elders.example", "Dirk", mailroom.Recruiter))
	w.wantCompanies("werk.example werk none 0/2 0", "elders.example elde none 0/1 0")

	token := got(w.MakeConsentLink(w.ctx, w.anna))
	w.wantCompanies("werk.example werk sent 0/2 0", "elders.example elde none 0/1 0")
	got(w.OpenInvitation(w.ctx, w.admin, token)) // our own people
	w.wantCompanies("werk.example werk sent 0/2 0", "elders.example elde none 0/1 0")
	got(w.OpenInvitation(w.ctx, mailroom.User{}, token))
	w.wantCompanies("werk.example werk opened 0/2 0", "elders.example elde none 0/1 0")
	got(w.GoByLink(w.ctx, token, "browser", false))
	w.wantCompanies("werk.example werk asked 0/2 0", "elders.example elde none 0/1 0")
	w.reports(token, aTenant)
	w.wantCompanies("werk.example 1111 reported 0/2 0", "elders.example elde none 0/1 0")
	if link := got(w.ConsentLink(w.ctx, w.admin, got(w.store.ConsentLinks(w.ctx, w.anna.OrgID))[0].ID)); link.State != mailroom.ConsentReported || link.Token != token {
		t.Errorf("the link is %+v", link)
	}

	must(t, w.store.ProveTenant(w.ctx, w.anna.OrgID, "microsoft", aTenant, mailroom.ProvedByDoctor))
	w.wantCompanies("werk.example 1111 proved 0/2 0", "elders.example elde none 0/1 0")
	if own := got(w.OwnConsent(w.ctx, w.anna)); own.Invitation == nil || own.Invitation.State != mailroom.ConsentProved || own.HasGrant {
		t.Errorf("the recruiter reads %+v", own)
	}
	w.problem(box, mailroom.E(mailroom.NeedsAdmin, "oauth.error.consent_missing"))
	w.wantCompanies("werk.example 1111 missing 0/2 1", "elders.example elde none 0/1 0")
	second := got(w.MakeConsentLink(w.ctx, w.anna))
	if second == token {
		t.Error("a link that has done its work is given out again")
	}
	w.wantCompanies("werk.example 1111 missing 0/2 1", "elders.example elde none 0/1 0")
}

// problem is what a mailbox's last try ended in, an hour from now.
func (w *world) problem(m mailroom.Mailbox, e *mailroom.Error) {
	w.t.Helper()
	w.exec(`UPDATE mailboxes SET problem = $1 WHERE id = $2`, fmt.Sprintf(`{"kind":%q,"key":%q,"since":%q}`, e.Kind, e.Key, w.now().Add(time.Hour).Format(time.RFC3339)), m.ID)
}

// A link that is still good for a week is given out again, so that the inbox of an
// administrator does not fill with links to the same thing.
func TestConsentLinkGivenAgain(t *testing.T) {
	w := newWorld(t)
	w.blocked(w.anna)
	first := got(w.MakeConsentLink(w.ctx, w.anna))
	w.pass(6 * 24 * time.Hour)
	if again := got(w.MakeConsentLink(w.ctx, w.anna)); again != first {
		t.Errorf("after six days %q, want %q", again, first)
	}
	w.pass(2 * 24 * time.Hour)
	later := got(w.MakeConsentLink(w.ctx, w.anna))
	if later == first {
		t.Error("one that soon ends is given out")
	}
	must(t, w.WithdrawConsentLink(w.ctx, w.admin, got(w.store.ConsentLinks(w.ctx, w.anna.OrgID))[0].ID))
	if again := got(w.MakeConsentLink(w.ctx, w.anna)); again == later || again == first {
		t.Error("one that was withdrawn is given out")
	}
}

func TestConsentIsForThoseItConcerns(t *testing.T) {
	w := newWorld(t)
	w.blocked(w.anna)
	token := got(w.MakeConsentLink(w.ctx, w.anna))
	id := got(w.store.ConsentLinks(w.ctx, w.anna.OrgID))[0].ID
	el := w.otherAgency()
	for name, who := range map[string]mailroom.User{"a recruiter": w.anna, "another organization's administrator": el} {
		want, key := mailroom.Forbidden, "error.forbidden"
		if who.ID == el.ID {
			want, key = mailroom.NotFound, "error.not_found"
		} else {
			_, err := w.Consents(w.ctx, who)
			refused(t, err, mailroom.Forbidden, "error.forbidden")
			_, err = w.MakeCompanyLink(w.ctx, who, "microsoft", "")
			refused(t, err, mailroom.Forbidden, "error.forbidden")
			_, err = w.BeginConsent(w.ctx, who, "b", "microsoft", "")
			refused(t, err, mailroom.Forbidden, "error.forbidden")
		}
		_, err := w.ConsentLink(w.ctx, who, id)
		refused(t, err, want, key)
		refused(t, w.WithdrawConsentLink(w.ctx, who, id), want, key)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	w.reports(token, aTenant)
	if page := got(w.Consents(w.ctx, el)); len(page.Providers) != 1 || len(page.Providers[0].Companies)+len(page.Providers[0].Links) != 0 {
		t.Errorf("another organization reads %+v", page)
	}
	for _, tenant := range []string{"common", "no domain", "../x", mailroom.ConsumerTenant} {
		_, err := w.MakeCompanyLink(w.ctx, w.admin, "microsoft", tenant)
		refused(t, err, mailroom.Invalid, "consent.error.tenant")
	}
	_, err := w.MakeCompanyLink(w.ctx, w.admin, "google", "") // not set up
	refused(t, err, mailroom.NotFound, "error.not_found")
	_, err = w.MakeConsentLink(w.ctx, w.addUser("new@werk.example", "New", mailroom.Recruiter))
	if err == nil {
		t.Error("a link for no mailbox")
	}
}

// What strangers read holds no secret of ours.
func TestInvitationHoldsNoSecrets(t *testing.T) {
	w := newWorld(t)
	w.blocked(w.anna)
	i := got(w.OpenInvitation(w.ctx, mailroom.User{}, got(w.MakeConsentLink(w.ctx, w.anna))))
	if text := fmt.Sprintf("%+v %+v", i, i.Provider.Directory); strings.Contains(text, "SECRET") {
		t.Errorf("the invitation holds a secret: %s", text)
	}
	if text := fmt.Sprintf("%+v", got(w.Consents(w.ctx, w.admin))); strings.Contains(text, "SECRET") {
		t.Errorf("the page holds a secret: %s", text)
	}
	if len(i.Addresses) != 1 || i.Addresses[0] != "anna@werk.example" || i.Organization != "Werk & Co" || i.By.Name != "Anna" {
		t.Errorf("the invitation is %+v", i)
	}
	w.addUser("ben@werk.example", "Ben", mailroom.Recruiter)
	id := got(w.MakeCompanyLink(w.ctx, w.admin, "microsoft", "werk.example"))
	if all := got(w.ConsentLink(w.ctx, w.admin, id)); len(all.Addresses) != 1 {
		t.Errorf("a company's link names %v", all.Addresses)
	}
	if none := got(w.ConsentLink(w.ctx, w.admin, got(w.MakeCompanyLink(w.ctx, w.admin, "microsoft", "")))); len(none.Addresses) != 0 || !strings.Contains(none.PlainURL, "/organizations/") {
		t.Errorf("a link for any company names %v", none.Addresses)
	}
}

// What an administrator approves without the link counts for who waits with one, when
// it came after the link: a proof from before it was made did not help them.
func TestOwnConsentHearsOfOthers(t *testing.T) {
	w := newWorld(t)
	w.blocked(w.anna)
	state := func() mailroom.ConsentState {
		t.Helper()
		own := got(w.OwnConsent(w.ctx, w.anna))
		if own.Invitation == nil {
			return mailroom.ConsentNone
		}
		return own.Invitation.State
	}
	approve := func() {
		t.Helper()
		w.pass(time.Minute)
		to := got(w.BeginConsent(w.ctx, w.admin, "browser", "microsoft", "Werk.Example"))
		_, state, _ := strings.Cut(to, "&state=")
		_, token, err := w.FinishConsent(w.ctx, "browser", mailroom.ConsentAnswer{ProviderID: "microsoft", State: state, Consented: true, Tenant: aTenant})
		if err != nil || token != "" {
			t.Errorf("the administrator comes back to %q, %v", token, err)
		}
	}
	approve()
	must(t, w.store.ProveTenant(w.ctx, w.anna.OrgID, "microsoft", aTenant, mailroom.ProvedByGrant))
	w.pass(time.Minute)
	got(w.MakeConsentLink(w.ctx, w.anna))
	if s := state(); s != mailroom.ConsentSent {
		t.Errorf("after an older proof the link is %s", s)
	}
	approve()
	if s := state(); s != mailroom.ConsentReported {
		t.Errorf("after an administrator approved the link is %s", s)
	}
}
