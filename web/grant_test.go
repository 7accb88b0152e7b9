package web

import (
	"strings"
	"testing"

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
	if got := strings.Join(names, ", "); got != "Outlook, Gmail, Campus mail, Other" {
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
