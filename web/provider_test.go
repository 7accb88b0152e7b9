package web

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

const (
	ourClient = "7f9f9c38-1f2e-4f66-9d5e-0a7c2f6b1d11"
	goodWord  = "SECRET-good"
)

// CheckClient is a provider that takes one secret, and every certificate.
func (refusals) CheckClient(_ context.Context, p mailroom.Provider, _ string) error {
	if p.ClientSecret == goodWord || p.ClientKey != "" {
		return nil
	}
	return mailroom.E(mailroom.NeedsVendor, "oauth.error.secret_wrong").With("provider", p.Name).With("code", "AADSTS7000215").With("ref", "r1")
}

func (refusals) Check(_ context.Context, p mailroom.Provider, redirectURL string) []mailroom.Check {
	return []mailroom.Check{mailroom.Passed("provider.check.redirect", map[string]any{"uri": redirectURL})}
}

// registered gives an administrator's organization a registration at Microsoft.
func (b *browser) registered() *answer {
	b.s.t.Helper()
	return b.post(providersPath+"/microsoft", "client_id", ourClient).leadsTo(providersPath + "/microsoft")
}

// credential adds one, and gives its page.
func (b *browser) credential(fields ...string) (at string, page *answer) {
	b.s.t.Helper()
	at = b.post(providersPath+"/microsoft/credentials", append([]string{"use", "mail"}, fields...)...).wants(303).header.Get("Location")
	return at, b.get(at).wants(200)
}

func TestProviderIsSetUp(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	list := b.get(providersPath).wants(200).shows("table", "Outlook").shows("table", "Set by the operator").shows("#passwords", "iCloud")
	if strings.Contains(list.raw, `"id"`) {
		t.Error("the operator's client ID is shown")
	}
	page := b.get(providersPath+"/microsoft").wants(200).shows("#registration", "Set by the operator").lacks("#credentials")
	if got := page.text("#redirect-grant"); got != s.URL+"/oauth/callback/microsoft" {
		t.Errorf("to copy: %q", got)
	}
	b.post(providersPath+"/microsoft", "client_id", "my app").wants(422).shows(".complaint", "no spaces")
	b.post(providersPath+"/microsoft", "client_id", "Mailroom").wants(422).shows(".complaint", "Application (client) ID")
	page = b.registered().shows(".flashes", "saved").shows("#credentials", "No credential yet")
	if page.attr("#f-client_id", "value") != ourClient {
		t.Error("what was saved is not shown")
	}
	b.get(providersPath).shows("table", "Credential missing")

	// Not the secret, but its ID: the most frequent mistake.
	dialog := b.post(providersPath+"/microsoft/credentials", "use", "mail", "kind", "secret", "secret", ourClient, "expires", "soon").wants(422)
	dialog.shows("form", "Secret ID").shows("form", "Enter a day")
	if strings.Contains(dialog.text("input"), ourClient) || dialog.attr("#f-secret", "value") != "" {
		t.Error("a secret comes back to the page")
	}
	at, page := b.credential("kind", "secret", "secret", "SECRET-bad", "expires", "2099-01-02")
	page.shows("#state", "Refused").shows("#state", "client secret").shows("#facts", "2099")
	_, page = b.credential("kind", "secret", "secret", goodWord)
	page.shows("#state", "On trial").shows(".checks", "no proof")
	b.get(providersPath).shows("table", "Ready")
	b.get(at+"/remove").wants(200).shows("dialog", "goes on with the other")
	b.post(at+"/remove").leadsTo(providersPath+"/microsoft#credentials").shows(".flashes", "removed")
	b.get(at).wants(404)
	for _, e := range []string{"SECRET-bad", goodWord} {
		if strings.Contains(s.log.String(), e) || strings.Contains(page.raw, e) {
			t.Errorf("%s is in the log or on a page", e)
		}
	}
}

func TestProviderIsChecked(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	b.registered()
	page := b.post(providersPath + "/microsoft/check").leadsTo(providersPath + "/microsoft#checks")
	page.shows("#checks", "Form of the redirect URI").shows("#checks", s.URL+"/oauth/callback/microsoft").shows("#checks", "no credential")
	b.get(providersPath + "/campus").wants(200).lacks("#checks") // is another provider's
	b.credential("kind", "secret", "secret", goodWord)
	b.post(providersPath+"/microsoft/check").leadsTo(providersPath+"/microsoft#checks").shows("#checks", "invented code")
}

func TestCertificateIsMadeAndDownloaded(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	b.registered()
	at, page := b.credential("kind", "made")
	page.shows("#certificate", "Upload").shows("#state", "On trial").lacks(".checks")
	der := b.get(at + "/certificate?as=cer").wants(200)
	cert, err := x509.ParseCertificate([]byte(der.raw))
	if err != nil || !strings.Contains(der.header.Get("Content-Disposition"), "mailroom-microsoft.cer") {
		t.Fatal(err, der.header)
	}
	if left := time.Until(cert.NotAfter); left < 700*24*time.Hour || left > 740*24*time.Hour {
		t.Errorf("good for %s", left)
	}
	text := b.get(at + "/certificate?as=pem").wants(200)
	if block, _ := pem.Decode([]byte(text.raw)); block == nil || !bytes.Equal(block.Bytes, cert.Raw) || strings.Contains(text.raw, "PRIVATE") {
		t.Errorf("in PEM form: %s", text.raw)
	}
	b.post(at+"/prove").leadsTo(at).shows(".checks", "good sign")
	secret, _ := b.credential("kind", "secret", "secret", goodWord)
	b.get(secret + "/certificate").wants(404)
	if b.post(providersPath+"/microsoft/credentials", "use", "mail", "kind", "pasted", "pem", "no PEM").wants(422).text(".complaint") == "" {
		t.Error("nothing said of what is no certificate")
	}
}

func TestRegistrationWithGrantsIsChangedOnPurpose(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	s.connected(s.addUser("Noor", "noor@werk.example", mailroom.Recruiter))
	page := b.post(providersPath+"/microsoft", "client_id", ourClient).wants(422).shows(".notice", "1 mailbox was granted")
	if !page.has(`input[name=again]`) || page.attr("#f-client_id", "value") != ourClient {
		t.Error("no way to go on")
	}
	b.post(providersPath+"/microsoft", "client_id", ourClient, "again", "yes").wants(303)
	b.post(providersPath+"/microsoft/remove").wants(422).shows("dialog", "revoked first")
	// The last credential that works goes only on purpose.
	at, _ := b.credential("kind", "secret", "secret", goodWord)
	sqlExec(t, s, `UPDATE credentials SET proved_at = 1`)
	b.post(at+"/remove").wants(422).shows("dialog", "Prove another one first")
	b.post(at+"/remove", "force", "yes").wants(303)
}

func TestProviderIsAdded(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	b.get(providersPath + "/new").wants(200)
	fields := []string{"name", "Universiteit Süd", "client_id", "mailroom", "scopes", "openid email imap", "sasl", "XOAUTH2", "host", "IMAP.uni.example", "port", "993", "tls", "tls"}
	bad := b.post(providersPath, append(fields, "discovery_url", "http://id.uni.example/x", "auth_params", "nothing")...).wants(422)
	bad.shows("form", "begins with https://").shows("form", "name=value")
	if bad.attr("#f-name", "value") != "Universiteit Süd" {
		t.Error("what was typed is gone")
	}
	const discovery = "https://id.uni.example/.well-known/openid-configuration"
	page := b.post(providersPath, append(fields, "discovery_url", discovery, "token_auth", "none", "auth_params", "access_type=offline")...).
		leadsTo(providersPath+"/universiteit-sud").shows("h1", "Universiteit Süd")
	if page.text("#redirect-grant") != s.URL+"/oauth/callback/universiteit-sud" || page.attr("#f-host", "value") != "imap.uni.example" {
		t.Errorf("page %s", page.text("main"))
	}
	// A public client needs no credential: recruiters can choose it at once.
	page.lacks("#credentials")
	recruiter := s.as(s.addUser("Noor", "noor@werk.example", mailroom.Recruiter))
	recruiter.post(integrationsPath+"/username", "address", "noor@uni.example").wants(303)
	recruiter.get(activationPath).wants(200).shows("form", "Universiteit Süd")
	// Not in another organization.
	other := s.otherOrganization()
	if ps, _ := s.signer.Providers(t.Context(), other.OrgID); len(ps) != len(playedProviders) {
		t.Errorf("others are offered %d providers", len(ps))
	}
	b.get(providersPath + "/universiteit-sud/remove").wants(200)
	b.post(providersPath+"/universiteit-sud/remove").leadsTo(providersPath).shows(".flashes", "Universiteit Süd")
	b.get(providersPath + "/universiteit-sud").wants(404)
}

func TestDoctorsRegistrationIsEntered(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	page := b.get(providersPath+"/microsoft").shows("#doctor", "/doctor/callback/microsoft")
	b.get(page.attr("#doctor .actions a", "href")).wants(200).shows("dialog", "Client ID")
	at := b.post(providersPath+"/microsoft/credentials", "use", "doctor", "kind", "secret", "client_id", ourClient, "secret", goodWord).wants(303).header.Get("Location")
	b.get(at).shows(".head", "doctor")
	b.get(providersPath+"/microsoft").shows("#doctor", ourClient)
	b.get(providersPath + "/campus/credentials/new?use=doctor").wants(404)
	ps, err := s.signer.Providers(t.Context(), s.admin.OrgID)
	if p, _ := ps.ByID("microsoft"); err != nil || p.Directory.ClientID != ourClient || p.ClientID != "id" {
		t.Errorf("%+v %v", p, err)
	}
}
