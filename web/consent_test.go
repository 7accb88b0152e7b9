package web

import (
	"net/url"
	"strings"
	"testing"
	"time"

	rooms "mailroom/internal/access"
	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/internal/vault"
	"mailroom/templates"
)

const aTenant = "11111111-2222-4333-8444-555555555555"

// signing is the real one: links and states that can be forged in a test could be
// forged anywhere.
func (s *site) signing() *rooms.Access {
	s.t.Helper()
	ring, err := vault.Parse(vault.NewKey(time.Now()))
	if err != nil {
		s.t.Fatal(err)
	}
	s.signer = rooms.New(rooms.Deps{
		Store: s.store, OAuth: refusals{}, Vault: ring, Base: playedProviders, Now: func() time.Time { return s.clock() },
		RedirectURL:        func(id string) string { return s.URL + "/oauth/callback/" + id },
		ConsentRedirectURL: func(id string) string { return "https://mailroom.example/consent/callback/" + id },
	})
	return s.signer
}

// refusals puts refusals into words and speaks to nobody.
type refusals struct{ rooms.OAuth }

func (refusals) Refusal(p mailroom.Provider, oauthError, description, _ string) *mailroom.Error {
	family := "denied"
	if strings.Contains(description, "90094") {
		family = "consent_missing"
	}
	return mailroom.E(mailroom.NeedsConsent, "oauth.error."+family).With("provider", p.Name).With("code", oauthError).With("ref", "ref-1")
}

// consentLink is a link that a user made for a mailbox.
func (s *site) consentLink(u mailroom.User, box mailroom.Mailbox) string {
	s.t.Helper()
	l := mailroom.ConsentLink{ID: mailroom.NewID(mailroom.PrefixConsentLink), OrgID: u.OrgID, ProviderID: "microsoft", MailboxID: box.ID,
		CreatedBy: u.ID, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	if err := s.store.AddConsentLink(s.t.Context(), l, mailroom.AuditEvent{OrgID: u.OrgID, Action: "consent.link_made", Subject: l.ID}); err != nil {
		s.t.Fatal(err)
	}
	return l.ID
}

// blocked is a recruiter whose company has not approved, in a browser.
func (s *site) blocked() (mailroom.User, *browser) {
	s.t.Helper()
	u := s.addUser("Noor Jansen", "noor@werk.example", mailroom.Recruiter)
	b := s.as(u)
	b.post(integrationsPath+"/username", "address", u.Email).wants(303)
	b.post(activationPath, "account", "outlook:microsoft").wants(200)
	return u, b
}

// sent is the path of the link that a blocked recruiter makes and sends.
func (s *site) sent() (noor mailroom.User, b *browser, path string) {
	s.t.Helper()
	noor, b = s.blocked()
	page := b.post("/settings/integrations/consent-link").leadsTo(ownConsentPath).wants(200)
	path, ok := strings.CutPrefix(page.text("#link"), s.URL)
	if !ok || !strings.HasPrefix(path, "/consent/col_") {
		s.t.Fatalf("the link to send is %q", page.text("#link"))
	}
	return noor, b, path
}

// left presses the button of a link's page and returns where the browser is sent.
func left(b *browser, path string, fields ...string) url.Values {
	b.s.t.Helper()
	page := b.post(path+"/go", fields...).wants(200)
	to := strings.TrimPrefix(page.attr("meta[http-equiv=refresh]", "content"), "0; url=")
	u, err := url.Parse(to)
	if err != nil || u.Host != "login.example" {
		b.s.t.Fatalf("the browser is sent to %q", to)
	}
	q := u.Query()
	q.Set("path", u.Path)
	return q
}

const callback = "/consent/callback/microsoft?admin_consent=True&tenant=" + aTenant + "&scope=x&state="

// The whole way of a link: made, opened by somebody without an account, approved,
// reported, and green by itself once a colleague grants.
func TestConsentLinkTurnsGreen(t *testing.T) {
	s := openSite(t)
	noor, b, path := s.sent()
	b.get(ownConsentPath).shows("#stands .state", "Link made").shows("#letter", "Noor Jansen of Werk & Co").shows("#letter", path)
	if again := b.post("/settings/integrations/consent-link").leadsTo(ownConsentPath); again.text("#link") == "" || !linksAre(t, s, 1) {
		t.Error("a second press makes a second link")
	}

	it := s.browser()
	page := it.get(path).wants(200).shows("h1", "Approve Mailroom for Werk & Co").shows(".head p", "noor@werk.example")
	page.shows("#state .state", "Waiting for your approval").shows("#asked", "IMAP.AccessAsUser.All").shows("#asked", "offline_access").shows("#asked", "Delegated permission only")
	page.shows("#imap", "Set-CASMailbox -Identity 'noor@werk.example' -ImapEnabled $true").shows("#look", "you add noor@werk.example").shows("#plain", "https://login.example/werk.example/v2.0/adminconsent?client_id=id")
	page.shows("#keep dd", "Noor Jansen").shows("#letter", "five minutes").lacks(".top .menu")
	if page.attr("#state", "hx-trigger") == "" || !strings.HasPrefix(page.attr("a[href^=mailto]", "href"), "mailto:") {
		t.Error("the page does not ask for itself, or cannot be mailed on")
	}
	b.get(ownConsentPath).shows("#stands .state", "Link opened")

	q := left(it, path)
	if q.Get("path") != "/werk.example/v2.0/adminconsent" || q.Get("scope") != "https://outlook.office.com/IMAP.AccessAsUser.All offline_access openid email" ||
		q.Get("client_id") != "id" || q.Get("redirect_uri") != "https://mailroom.example/consent/callback/microsoft" || len(q.Get("state")) < 60 {
		t.Errorf("the provider is asked %v", q)
	}
	b.get(ownConsentPath).shows("#stands .state", "At the provider")
	page = it.get(callback + url.QueryEscape(q.Get("state"))).leadsTo(path + "#state")
	page.shows("#state .state", "Reported").shows("#state", "Thank you").shows("#approve button", "again")
	b.get(ownConsentPath).shows("#stands .state", "Reported").shows("#stands", "Grant Permission")
	s.as(s.admin).get(consentsPath).shows("#companies-microsoft .state", "Reported")

	b.get("/oauth/callback/microsoft?state=state&code=good").leadsTo(activationPath + "?granted=1")
	page = it.get(path).shows("#state .notice.done .state", "Approved").shows("#state", "nothing left for you to do")
	if page.attr("#state", "hx-trigger") != "" {
		t.Error("a page that is done goes on asking")
	}
	b.get(ownConsentPath).shows("#done .state.ok", "connected")
	if n := events(t, s, "consent.proved", noor.ID); n != 0 { // this provider's grants name no tenant
		t.Errorf("proved %d times", n)
	}
}

func linksAre(t *testing.T, s *site, want int) bool {
	t.Helper()
	links, err := s.store.ConsentLinks(t.Context(), s.admin.OrgID)
	return err == nil && len(links) == want
}

func events(t *testing.T, s *site, action, actor string) (n int) {
	t.Helper()
	list, err := s.store.AuditEvents(t.Context(), s.admin.OrgID, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Action == action && e.ActorID == actor {
			n++
		}
	}
	return n
}

// The organization's own people look at the page too: that is not "opened".
func TestConsentOpenedByOthersOnly(t *testing.T) {
	s := openSite(t)
	_, b, path := s.sent()
	b.get(path).wants(200)
	s.as(s.admin).get(path).wants(200)
	b.get(ownConsentPath).shows("#stands .state", "Link made")
}

// Every link that is not good ends on a page of its own, without a sign-in that its
// reader could not pass.
func TestConsentLinkNotGood(t *testing.T) {
	s := openSite(t)
	_, _, path := s.sent()
	it, admin := s.browser(), s.as(s.admin)
	for _, forged := range []string{"/consent/x", path + "x", path[:len(path)-3], strings.Replace(path, "col_0", "col_1", 1), "/consent/callback", "/consent/go"} {
		it.get(forged).wants(404).shows("#ended h1", "This link does not work").shows("#ended", "not one that Mailroom gave out").lacks("a[href='/sign-in']")
		it.post(forged + "/go").wants(404)
	}
	row := admin.get(consentsPath).wants(200).attr("#links-microsoft th a", "href")
	admin.get(row).wants(200).shows("#link", path[:30])
	admin.post(row+"/withdraw").leadsTo(consentsPath).shows("#links-microsoft .state", "Link withdrawn")
	it.get(path).wants(409).shows("#ended", "withdrawn")
	it.post(path+"/go").wants(409).shows("#ended", "withdrawn")
	admin.post(row + "/withdraw").wants(404)

	b := s.as(s.addUser("Pim", "pim@werk.example", mailroom.Recruiter))
	b.post(integrationsPath+"/username", "address", "pim@werk.example").wants(303)
	path, _ = strings.CutPrefix(b.post("/settings/integrations/consent-link").leadsTo(ownConsentPath).text("#link"), s.URL)
	later := time.Now().Add(15 * 24 * time.Hour)
	s.clock = func() time.Time { return later }
	it.get(path).wants(409).shows("#ended", "good until")
	it.post(path + "/go").wants(409)
}

// The domain may be one that the provider does not know: then the company counts
// that the administrator signs in with.
func TestConsentWithoutCompany(t *testing.T) {
	s := openSite(t)
	_, _, path := s.sent()
	if q := left(s.browser(), path, "any", "yes"); q.Get("path") != "/organizations/v2.0/adminconsent" {
		t.Errorf("the provider is asked %v", q)
	}
}

func TestConsentDeclined(t *testing.T) {
	s := openSite(t)
	_, b, path := s.sent()
	it := s.browser()
	it.get(path)
	for query, words := range map[string]string{
		"error=access_denied&error_description=AADSTS65004&admin_consent=True": "somebody chose Cancel",
		"error=access_denied&error_description=AADSTS90094":                    "may not approve for the company",
		"tenant=" + aTenant: "without an answer",
	} {
		page := it.get("/consent/callback/microsoft?" + query + "&state=" + url.QueryEscape(left(it, path).Get("state"))).leadsTo(path + "#state")
		page.shows("#state .state", "Not approved").shows("#state", words).shows("#approve button", "Approve at Microsoft")
	}
	b.get(ownConsentPath).shows("#stands .state", "Not approved").shows("#stands", "The link still works").shows("#link", path)
	it.get(callback+url.QueryEscape(left(it, path).Get("state"))).leadsTo(path+"#state").shows("#state .state", "Reported")
}

// An answer counts once, in the browser that left, and what it carries goes into no
// page's address. Whoever brings another is told that an approval counts all the same.
func TestConsentAnswerNotOurs(t *testing.T) {
	s := openSite(t)
	_, b, path := s.sent()
	it, other := s.browser(), s.browser()
	state := url.QueryEscape(left(it, path).Get("state"))
	other.get(callback+state).leadsTo("/consent/answer").shows("#ended", "in another browser").shows("#ended", "it counts all the same")
	left(other, path) // has a session of its own now
	other.get(callback+state).leadsTo("/consent/answer").shows("#ended", "in another browser")
	it.get("/consent/callback/campus?admin_consent=True&state="+state).leadsTo("/consent/answer").shows("#ended", "another provider")
	b.get(ownConsentPath).shows("#stands .state", "At the provider")
	it.get(callback + state).leadsTo(path + "#state")
	it.get(callback+state).leadsTo("/consent/answer").shows("#ended", "used already").shows("#ended", "nothing left to do here")
	it.get(callback+"made-up").leadsTo("/consent/answer").shows("#ended", "used already")
	s.browser().get("/consent/answer").wants(200).shows("#ended", "used already")

	it.get("/consent/callback/microsoft?admin_consent=True&tenant="+aTenant).leadsTo("/consent/answer").shows("#plain", "the approval counts all the same")
	it.get("/consent/callback/microsoft?error=access_denied").leadsTo("/consent/answer").shows("#plain", "without an approval")
	if tenants, err := s.store.Tenants(t.Context(), s.admin.OrgID); err != nil || len(tenants) != 1 || !tenants[0].ProvedAt.IsZero() {
		t.Errorf("one report made %+v, %v", tenants, err)
	}
}

func TestConsentByAdministrator(t *testing.T) {
	s := openSite(t)
	s.blocked()
	b := s.as(s.admin)
	page := b.get(consentsPath).wants(200).shows("#companies-microsoft strong", "werk.example").shows("#companies-microsoft .state", "Not asked").shows("#companies-microsoft", "1 mailbox, 0 connected")
	if page.attr("a[aria-current=page][href='/admin/consent']", "href") == "" {
		t.Error("the side menu does not show where one is")
	}
	b.post(consentsPath+"/go", "provider", "microsoft", "tenant", "no domain").wants(422).shows("#other-microsoft .complaint", "no domain")
	b.post(consentsPath+"/links", "provider", "microsoft", "tenant", "../x").wants(422)
	b.post(consentsPath+"/go", "provider", "nobody", "tenant", "").wants(404)
	q := leftFrom(b, consentsPath+"/go", "provider", "microsoft", "tenant", "werk.example")
	page = b.get(callback + url.QueryEscape(q.Get("state"))).leadsTo(consentsPath)
	page.shows(".flashes", "turns green here").shows("#companies-microsoft .state", "Reported").shows("#companies-microsoft .mono", aTenant)

	// The directory showed it.
	if err := s.store.ProveTenant(t.Context(), s.admin.OrgID, "microsoft", aTenant, mailroom.ProvedByDoctor); err != nil {
		t.Fatal(err)
	}
	b.get(consentsPath).shows("#companies-microsoft .state.ok", "Approved").shows("#companies-microsoft", "directory shows it")

	link := b.post(consentsPath+"/links", "provider", "microsoft", "tenant", aTenant)
	page = b.get(link.wants(303).header.Get("Location")).wants(200).shows("#stands .state", "Link made").shows("#letter", "Anna de Boer")
	b.get(consentsPath).shows("#companies-microsoft .state.ok", "Approved").shows("#companies-microsoft", "1 newer link waits")
	path, _ := strings.CutPrefix(page.text("#link"), s.URL)
	s.browser().get(path).wants(200).shows("#plain", "/"+aTenant+"/v2.0/adminconsent")

	// Signed out while away: the answer is noted.
	q = leftFrom(b, consentsPath+"/go", "provider", "microsoft", "tenant", "")
	b.post("/sign-out").wants(303)
	b.get(callback+url.QueryEscape(q.Get("state"))).leadsTo("/sign-in?next=%2Fadmin%2Fconsent").shows(".flashes", "counts all the same")
}

func leftFrom(b *browser, path string, fields ...string) url.Values {
	b.s.t.Helper()
	to := strings.TrimPrefix(b.post(path, fields...).wants(200).attr("meta[http-equiv=refresh]", "content"), "0; url=")
	u, err := url.Parse(to)
	if err != nil || u.Host != "login.example" {
		b.s.t.Fatalf("the browser is sent to %q", to)
	}
	return u.Query()
}

// Approval that was there and is gone is told, whatever proved it before.
func TestConsentGone(t *testing.T) {
	s := openSite(t)
	_, noor, path := s.sent()
	it := s.browser()
	it.get(callback + url.QueryEscape(left(it, path).Get("state")))
	if err := s.store.ProveTenant(t.Context(), s.admin.OrgID, "microsoft", aTenant, mailroom.ProvedByDoctor); err != nil {
		t.Fatal(err)
	}
	sqlExec(t, s, `UPDATE mailboxes SET problem = '{"kind":"needs_admin","key":"oauth.error.consent_missing","since":"2099-01-01T00:00:00Z"}' WHERE org_id = $1`, s.admin.OrgID)
	noor.get(integrationsPath).shows(".notice form[action='/settings/integrations/consent-link'] button", "Ask your IT administrator")
	b := s.as(s.admin)
	b.get(consentsPath).shows("#companies-microsoft .state.bad", "Approval is gone").shows("#companies-microsoft", "1 is refused for want of approval")
	b.get("/admin/sync").shows(".syncbox .notice a[href='/admin/consent']", "Approval by IT")
	sqlExec(t, s, `UPDATE mailboxes SET problem = '{"kind":"needs_admin","key":"oauth.error.not_assigned","since":"2099-01-01T00:00:00Z"}' WHERE org_id = $1`, s.admin.OrgID)
	b.get(consentsPath).shows("#companies-microsoft .state.ok", "Approved")
}

func TestOwnConsentWithoutMailbox(t *testing.T) {
	s := openSite(t)
	b := s.as(s.addUser("Noor", "noor@werk.example", mailroom.Recruiter))
	b.get(ownConsentPath).wants(200).shows("#none", "No mailbox yet")
	b.post("/settings/integrations/consent-link").leadsTo(ownConsentPath).shows("#none", "No mailbox yet")
	b.post(integrationsPath+"/username", "address", "noor@werk.example").wants(303)
	b.get(ownConsentPath).shows("#none", "No link yet").shows("#none button", "Make a link")
}

// Dutch, and in whichever language the letter says what the page says.
func TestConsentInDutch(t *testing.T) {
	s := openSite(t)
	_, _, path := s.sent()
	it := s.browser()
	it.header.Set("Accept-Language", "nl")
	it.get(path).wants(200).shows("h1", "Keur Mailroom goed voor Werk & Co").shows("#letter", "Hallo").shows("#approve button", "Goedkeuren bij Microsoft")
	it.get("/consent/x").wants(404).shows("#ended h1", "Deze link werkt niet")
}

// The page of one organization says nothing of another, and a stranger's session is
// good for nothing else.
func TestConsentLinkOpensNothingElse(t *testing.T) {
	s := openSite(t)
	_, _, path := s.sent()
	it := s.browser()
	left(it, path)
	it.get("/settings").wants(303)
	it.get(consentsPath).wants(303)
	otto := s.otherOrganization()
	b := s.as(otto)
	b.get(consentsPath).wants(200).lacks("#links-microsoft")
	if text := b.get(consentsPath).text("main"); strings.Contains(text, "werk.example") {
		t.Errorf("another organization reads %q", text)
	}
}

// Providers that know no consent for a company have a page too, with their own steps.
func TestInvitationOfOtherProviders(t *testing.T) {
	texts, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range i18n.Languages {
		for kind, words := range map[mailroom.AccountKind]string{mailroom.Gmail: "Google Workspace", mailroom.Other: "client"} {
			v := portal.Invitation{Link: mailroom.ConsentLink{ExpiresAt: time.Now()}, Token: "token", State: mailroom.ConsentSent, Organization: "Werk & Co",
				Provider: mailroom.Provider{Name: "Their mail", Kind: kind, ClientID: "the-client-id", Scopes: []string{"https://mail.google.com/", "mail.read"}}}
			var b strings.Builder
			page := templates.Page{T: texts.For(lang), Now: time.Now(), Title: "x"}
			if err := templates.Invitation(page, v, "https://mailroom.example/consent/token").Render(t.Context(), &b); err != nil {
				t.Fatal(err)
			}
			a := &answer{t: t, raw: b.String(), what: string(kind)}
			a.shows("#approve", words).shows("#approve code", "the-client-id").lacks("#approve form").lacks("#imap")
			if strings.Contains(a.text("main"), "consent.") || strings.Contains(a.text("main"), "{") {
				t.Errorf("%s %s: %s", lang, kind, a.text("main"))
			}
		}
	}
}
