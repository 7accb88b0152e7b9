package web

import (
	"slices"
	"strings"
	"testing"

	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/oauth"
	"mailroom/templates"
)

var allRefusals = slices.Concat(oauth.ReadCatalogue().Listed(), imapconn.Refusals())

func withRefusals(d *Deps) { d.Refusals = allRefusals }

// The catalogue is whole, in both languages, for whoever reads it without signing
// in: an IT administrator has no account here.
func TestCatalogueIsWhole(t *testing.T) {
	s := openSite(t, withRefusals)
	for _, lang := range []string{"en", "nl"} {
		b := s.browser()
		b.header.Set("Accept-Language", lang)
		a := b.get("/help/errors").wants(200)
		if n := len(a.find(".family")); n != len(allRefusals) {
			t.Errorf("%s: %d families of %d", lang, n, len(allRefusals))
		}
		for _, f := range allRefusals {
			at := "#" + f.Anchor()
			for _, reader := range []string{"recruiter", "administrator"} {
				text := a.text(at + " [data-reader=" + reader + "]")
				if len(text) < 30 || strings.ContainsAny(text, "{}") || strings.Contains(text, "oauth.") {
					t.Errorf("%s: %s for the %s is %q", lang, f.Key, reader, text)
				}
			}
			if !a.has("#" + f.Kind.Fixer() + " " + at) {
				t.Errorf("%s does not stand under %q", f.Key, f.Kind.Fixer())
			}
			for _, code := range f.Codes {
				if !a.has(at + ` a[href="https://login.microsoftonline.com/error?code=` + code + `"]`) {
					t.Errorf("%s: no look-up link for %s", f.Key, code)
				}
			}
			if f.Kind == mailroom.NeedsVendor && templates.HelpFor(f.Kind, f.Key) != "errors#"+f.Anchor() {
				t.Errorf("%s: its help is %q", f.Key, templates.HelpFor(f.Kind, f.Key))
			}
		}
	}
	s.browser().get("/help").shows(`a[href="/help/errors"]`, "Error catalogue")
}

func TestCatalogueIsLookedUpIn(t *testing.T) {
	s := openSite(t, withRefusals)
	b := s.browser()
	for _, asked := range []string{"50105", "AADSTS50105", "aadsts%2050105"} {
		a := b.get("/help/errors?q="+asked).wants(200).shows("#found", "not assigned")
		if !a.has("#found details[open]") {
			t.Errorf("%s: the family is not open", asked)
		}
	}
	b.get("/help/errors?q=admin_policy_enforced").shows("#found", "policy blocks")
	b.get("/help/errors?q=AADSTS4242424").wants(200).shows("#found", "AADSTS4242424 is not in this list").
		shows(`#found a[href="https://login.microsoftonline.com/error?code=4242424"]`, "AADSTS4242424")
	a := b.get("/help/errors?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E").wants(200).shows("#found", "is not in this list").lacks("#found a")
	if strings.Contains(a.raw, "<script>alert") {
		t.Error("what was typed becomes script")
	}
}

// A code that is not in the catalogue reaches the person with its number and a
// link to Microsoft's page; a link from anywhere else never does.
func TestUnknownCodeIsLookedUp(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	refused := func(lookup string) *answer {
		t.Helper()
		s.consent.refusal = mailroom.E(mailroom.NeedsConsent, "oauth.error.unknown_code_you").
			With("provider", "Outlook").With("code", "AADSTS4242424").With("ref", "MR-1").With("lookup", lookup)
		if err := s.portal.SaveAddress(t.Context(), s.admin, s.admin.Email, false); err != nil {
			t.Fatal(err)
		}
		b.post("/settings/integrations/oauth", "account", "outlook:microsoft").wants(200)
		return b.get("/oauth/callback/microsoft?state=state&error=invalid_grant").leadsTo("/settings/integrations/oauth/refused").shows("[role=alert]", "AADSTS4242424")
	}
	const page = "https://login.microsoftonline.com/error?code=4242424"
	refused(page).shows(`[role=alert] a[href="`+page+`"]`, "AADSTS4242424")
	refused("https://evil.example/").lacks(`[role=alert] a[href^="https:"]`)
}
