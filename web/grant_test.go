package web

import (
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func TestGrantLeavesForTheProvider(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	b.get(activationPath).shows("dialog", "Enter the mailbox address")
	b.post(integrationsPath+"/username", "address", s.admin.Email).wants(303)
	page := b.get(activationPath).wants(200).shows("dialog h1", "Mail - IMAP Incoming - oAuth 2.0 activation").shows("dialog legend", "IMAP Account")
	var names []string
	for _, n := range page.find("dialog .choices .name") {
		names = append(names, n.FirstChild.Data)
	}
	if got := strings.Join(names, ", "); got != "Outlook, Gmail, Campus mail, iCloud, Other" {
		t.Errorf("the accounts are %s", got)
	}
	if page.attr("dialog input[name=account][checked]", "value") != "outlook:microsoft" {
		t.Error("Outlook is not chosen to begin with")
	}
	page = b.post(activationPath, "account", "outlook:microsoft").wants(200)
	if got := page.attr("meta[http-equiv=refresh]", "content"); !strings.HasPrefix(got, "0; url=https://login.example/authorize?") {
		t.Errorf("the browser is sent to %q", got)
	}
	if got := page.attr("main a", "href"); !strings.HasPrefix(got, "https://login.example/authorize?") {
		t.Errorf("without a refresh the way leads to %q", got)
	}
	b.post(activationPath, "account", "gmail:").wants(422).shows("dialog [role=alert]", "whoever runs Mailroom")
	b.post(activationPath, "account", "nonsense").wants(422)
}

func TestGrantEndsWithASignThatItWorked(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	b.post(integrationsPath+"/username", "address", s.admin.Email).wants(303)
	b.post(activationPath, "account", "outlook:microsoft").wants(200)
	page := b.get("/oauth/callback/microsoft?state=state&code=good").leadsTo(activationPath + "?granted=1")
	page.shows("dialog .notice.done", "It worked").shows("dialog dl", s.admin.Email).shows("dialog dl", "IMAP.AccessAsUser.All").shows("dialog dl", "Read your mail")
	page.shows("dialog a.button.quiet", "Revoke Permission")
	if page.attr("dialog .actions a", "href") != mappingPath {
		t.Error("the way on does not lead to the mapping")
	}
}

func TestRefusalSaysWhatNext(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	b.post(integrationsPath+"/username", "address", s.admin.Email).wants(303)
	for _, c := range []struct {
		kind        mailroom.Kind
		has, hasNot string
	}{
		{mailroom.NeedsConsent, "IT administrator", "whoever runs"},
		{mailroom.NeedsAdmin, "IT administrator", "whoever runs"},
		{mailroom.NeedsVendor, "whoever runs Mailroom", "sign in as"},
		{mailroom.Unavailable, "Try again", "whoever runs"},
	} {
		s.consent.refusal = mailroom.E(c.kind, "no.such.key")
		page := b.get("/oauth/callback/microsoft?state=state&error=access_denied").leadsTo(activationPath + "/refused")
		page.wants(200).shows("dialog h1", "not granted").shows("dialog .bullets", c.has).shows("dialog", "Reference for the help desk")
		if strings.Contains(page.text("dialog .bullets"), c.hasNot) {
			t.Errorf("%s: %q", c.kind, page.text("dialog .bullets"))
		}
		if strings.Contains(page.text("dialog"), "no.such.key") {
			t.Error("a message key is shown")
		}
		b.get(activationPath+"/refused").wants(200).shows("dialog", "Reference") // a reload says the same
	}
	b.get("/oauth/callback/microsoft?state=state&code=bad").leadsTo(activationPath + "/refused")
}

func TestCallbackOfSomebodySignedOut(t *testing.T) {
	s := openSite(t)
	b := s.browser()
	page := b.get("/oauth/callback/microsoft?state=state&code=good").leadsTo("/sign-in?next=%2Fsettings%2Fintegrations%2Foauth")
	page.shows(".flashes", "signed out of Mailroom while you were at your provider")
}

func TestRevokeAsksOnceAndIsHonest(t *testing.T) {
	s := openSite(t)
	for outcome, says := range map[mailroom.RevokeOutcome]string{
		{ProviderRevoked: true}: "has confirmed", {ProviderFailed: true}: "did not confirm", {}: "no way to withdraw",
		{ConnectionsOpen: true}: "up to a minute",
	} {
		u := s.addUser("U", strings.ReplaceAll(says, " ", "-")+"@werk.example", mailroom.Recruiter)
		s.connected(u)
		s.consent.outcome = outcome
		b := s.as(u)
		b.get(activationPath+"/revoke").wants(200).shows("dialog", "Your folder mapping and the mail that is in OTYS stay")
		b.get(activationPath).shows("dialog", "Revoke Permission")
		to := b.post(activationPath + "/revoke").wants(303).header.Get("Location")
		page := b.get(to).shows("dialog [role=status]", says).shows("dialog button", "Grant Permission")
		if outcome.ConnectionsOpen == strings.Contains(page.text("dialog [role=status]"), "connections to the mailbox are closed") {
			t.Errorf("%s: connections that may be open are told as closed, or the other way", says)
		}
		if remains := page.attr("dialog section a", "href"); (remains == "https://account.example/apps") == outcome.ProviderRevoked {
			t.Errorf("%s: the provider's page is linked as %q", says, remains)
		}
		b.get(integrationsPath).shows("#mapping", "Verzonden items").shows("#oauth .state", "Not granted")
		b.post(activationPath + "/revoke").leadsTo(activationPath)
	}
}

func TestAccountWithAPassword(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	b.post(integrationsPath+"/username", "address", s.admin.Email).wants(303)
	page := b.post(activationPath, "account", "other:", "host", "", "port", "many", "tls", "tls").wants(422)
	page.shows("#f-host-complaint", "").shows("#f-port-complaint", "")
	if page.attr("#f-port", "value") != "many" || page.attr("dialog input[checked]", "value") != "other:" {
		t.Error("what was typed is forgotten")
	}
	b.post(activationPath, "account", "other:", "host", "imap.werk.example", "port", "", "tls", "tls").leadsTo(integrationsPath + "#password")
	b.get(integrationsPath).shows("#oauth", "signs in to imap.werk.example").shows("#password .hint", "imap.werk.example")
	if got := b.get(integrationsPath).attr(".card.next", "id"); got != "password" {
		t.Errorf("the next setting is %q", got)
	}
}

func TestServerThatIsKnownByName(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	b.post(integrationsPath+"/username", "address", s.admin.Email).wants(303)
	b.get(activationPath).shows("dialog .choices", "iCloud")
	b.post(activationPath, "account", "password:campus").wants(422) // no server of a password
	b.post(activationPath, "account", "password:icloud").leadsTo(integrationsPath + "#password")
	b.get(integrationsPath).shows("#oauth", "signs in to imap.icloud.example")
	if got := b.get(activationPath).attr("dialog input[checked]", "value"); got != "password:icloud" {
		t.Errorf("chosen is %q", got)
	}
	b.get("/admin/providers").shows("#passwords", "imap.icloud.example").lacks("#providers a[href$=icloud]")
}

func (s *site) begun() *browser {
	s.t.Helper()
	b := s.as(s.admin)
	b.post(integrationsPath+"/username", "address", s.admin.Email).wants(303)
	b.post(activationPath, "account", "outlook:microsoft").wants(200)
	return b
}

func TestStepsAfterTheGrantAreShownAsTheyCome(t *testing.T) {
	s := openSite(t)
	s.server.steps = make(chan struct{})
	b := s.begun()
	page := b.get("/oauth/callback/microsoft?state=state&code=good").leadsTo(activationPath + "?granted=1")
	page.shows("dialog .notice.done", "It worked").shows("#steps", "Checking…")
	if got := page.attr("#steps", "hx-get"); got != activationPath+"?granted=1" {
		t.Errorf("the steps ask again at %q", got)
	}
	if !page.has("#steps noscript") {
		t.Error("without script there is no way to see the rest")
	}
	s.server.steps <- struct{}{}
	s.until(func() bool { return strings.Contains(b.get(activationPath+"?granted=1").text("#steps"), "OK") })
	s.server.fail(mailroom.E(mailroom.NeedsAdmin, "imap.error.not_connected"))
	close(s.server.steps)
	s.until(func() bool { return !b.get(activationPath + "?granted=1").has("#steps[hx-get]") })
	page = b.get(activationPath+"?granted=1").shows("#steps", "Not OK").shows("#steps", "IMAP is on").shows("#steps", "administrator can mend").shows("#steps", "stored all the same")
	if page.attr("#steps a[href$=licence]", "href") == "" {
		t.Error("no way to look at one's own licence")
	}
	// Of a shared mailbox the right to it is what goes first.
	if _, err := sqlOf(t, s).Exec(`UPDATE grants SET via = 'shared'`); err != nil {
		t.Fatal(err)
	}
	b.post(activationPath + "/check").wants(303)
	s.until(func() bool { return strings.Contains(b.get(activationPath+"?checked=1").text("#steps"), "Full Access") })
	// Mended, and looked at again.
	s.server.fail(nil)
	page = b.post(activationPath + "/check").leadsTo(activationPath + "?checked=1#steps")
	s.until(func() bool { return strings.Contains(b.get(activationPath+"?checked=1").text("#steps"), "opens") })
	if page.has("#steps .notice.bad") {
		t.Error("the old trouble is shown")
	}
}

// until asks again until something is so.
func (s *site) until(so func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !so(); {
		if time.Now().After(deadline) {
			s.t.Fatal("it does not come to be so")
		}
	}
}

func TestSharedMailboxIsAsked(t *testing.T) {
	s := openSite(t)
	b := s.begun()
	s.consent.choice = &mailroom.GrantChoice{ID: "pen_1", Account: "bob@werk.example", Mailbox: "jobs@werk.example", Shared: true, ExpiresAt: time.Now().Add(time.Minute)}
	page := b.get("/oauth/callback/microsoft?state=state&code=other").leadsTo(activationPath + "/choice")
	page.shows("dialog h1", "shared mailbox").shows("dialog", "bob@werk.example gave permission").shows("dialog", "jobs@werk.example")
	if got := page.attr("dialog form[action$=choice] input[name=id]", "value"); got != "pen_1" {
		t.Errorf("it answers for %q", got)
	}
	b.get(activationPath).shows("dialog .notice.warn", "waits for your answer") // who closed the page finds it again
	b.get(integrationsPath).shows("#oauth .state", "Not granted")
	b.post(activationPath+"/choice", "id", "pen_2", "do", "accept").leadsTo(activationPath+"/refused").shows("dialog", "no longer there").
		shows("dialog .bullets", "waits for your answer")
	b.post(activationPath+"/choice", "id", "pen_1", "do", "nonsense").wants(422)
	b.post(activationPath+"/choice", "id", "pen_1", "do", "accept").leadsTo(activationPath+"?granted=1").shows("dialog .notice.done", "It worked")
	b.get(activationPath + "/choice").leadsTo(activationPath)
}

func TestWhatCouldNotBeToldIsTriedAgain(t *testing.T) {
	s := openSite(t)
	b := s.begun()
	s.consent.choice = &mailroom.GrantChoice{ID: "pen_1", Account: "bob@werk.example", Mailbox: "anna@werk.example",
		Problem: &mailroom.Problem{Kind: mailroom.Unavailable, Key: "imap.error.network"}, ExpiresAt: time.Now().Add(time.Minute)}
	b.get("/oauth/callback/microsoft?state=state&code=other").leadsTo(activationPath+"/choice").
		shows("dialog [role=alert]", "cannot be reached").shows("dialog", "needs no new permission").shows("dialog button", "Try again")
	b.post(activationPath+"/choice", "id", "pen_1", "do", "again").leadsTo(activationPath + "/choice")
	s.consent.refusal = mailroom.E(mailroom.Invalid, "grant.error.wrong_account").With("granted", "bob@werk.example").With("mailbox", s.admin.Email)
	page := b.post(activationPath+"/choice", "id", "pen_1", "do", "again").leadsTo(activationPath + "/refused")
	page.shows("dialog [role=alert]", "bob@werk.example").shows("dialog [role=alert]", s.admin.Email)
	s.consent.choice = nil
	b.post(activationPath+"/choice", "id", "pen_1", "do", "decline").leadsTo(activationPath).shows(".flashes", "forgotten")
}

func TestWrongAccountMayChooseAgain(t *testing.T) {
	s := openSite(t)
	b := s.begun()
	s.consent.refusal = mailroom.E(mailroom.Invalid, "grant.error.wrong_account").With("granted", "bob@werk.example").With("mailbox", s.admin.Email)
	page := b.get("/oauth/callback/microsoft?state=state&code=bad").leadsTo(activationPath + "/refused")
	page.shows("dialog .bullets", "sign in as "+s.admin.Email).shows("dialog .bullets", "Full Access").shows("dialog .actions button", "Choose another account")
	if page.attr("dialog .bullets a", "href") != integrationsPath+"#username" {
		t.Error("no way to change the username")
	}
	account := page.attr("dialog .actions input[name=account]", "value")
	page = b.post(activationPath, "account", account, "other", "yes").wants(200)
	if !strings.Contains(page.attr("meta[http-equiv=refresh]", "content"), "prompt=select_account") {
		t.Error("the provider is not told to ask for the account")
	}
}

func TestFewerScopesSayWhich(t *testing.T) {
	s := openSite(t)
	b := s.begun()
	s.consent.refusal = mailroom.E(mailroom.NeedsConsent, "grant.error.scope_missing").With("provider", "Outlook").
		With("scopes", "https://outlook.office.com/IMAP.AccessAsUser.All")
	b.get("/oauth/callback/microsoft?state=state&code=bad").leadsTo(activationPath+"/refused").
		shows("dialog .scopes", "Read your mail").shows("dialog .scopes", "IMAP.AccessAsUser.All").shows("dialog .bullets", "Try again")
}

// Closed half-way, and gone back: each says what happened.
func TestEveryWayOutEndsOnAPage(t *testing.T) {
	s := openSite(t)
	b := s.begun()
	b.get(activationPath).shows("dialog [role=status]", "have not come back")
	b.get("/oauth/callback/microsoft?state=state&code=good").leadsTo(activationPath + "?granted=1")
	b.get(activationPath).wants(200).shows("dialog .state.ok", "Permission granted")
	if strings.Contains(b.get(activationPath).text("dialog"), "have not come back") {
		t.Error("who came back is told that they did not")
	}
	// The browser goes back to the callback: the state is used up, the permission stands.
	s.consent.refusal = mailroom.E(mailroom.Invalid, "grant.error.state")
	page := b.get("/oauth/callback/microsoft?state=state&code=bad").leadsTo(activationPath + "/refused")
	page.shows("dialog .bullets", "is connected").shows("dialog .actions a.button", "Show the permission")
	// Refused for another reason, both remedies are there.
	s.consent.refusal = mailroom.E(mailroom.NeedsConsent, "oauth.error.denied")
	page = b.get("/oauth/callback/microsoft?state=state&error=access_denied").leadsTo(activationPath + "/refused")
	page.shows("dialog .actions a.button", "Try again").shows("dialog .actions button", "Ask your IT administrator")
	if got := page.attr("dialog .actions form", "action"); got != "/settings/integrations/consent-link" {
		t.Errorf("the administrator is asked at %q", got)
	}
	// Pages that mend need nobody: the mail server hangs, and they come.
	s.server.steps = make(chan struct{})
	defer close(s.server.steps)
	b.get(activationPath).wants(200)
	b.get(activationPath + "?checked=1").wants(200)
}
