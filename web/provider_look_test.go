package web

import (
	"testing"

	"mailroom/internal/mailroom"
)

// The pages of providers in their states: set by the operator, under way, with
// credentials that work and do not, checked, and in Dutch.
func TestProviderPagesLookRight(t *testing.T) {
	s := openSite(t)
	karin := s.addUser("Karin Admin", "karin@werk.example", mailroom.Administrator)
	rita := s.addUser("Rita Beheer", "rita@werk.example", mailroom.Administrator)
	if err := s.portal.SetLanguage(t.Context(), rita, "nl"); err != nil {
		t.Fatal(err)
	}
	b := s.as(karin)
	var made, refused string
	const microsoft = providersPath + "/microsoft"
	lookThrough(t, s, []scene{
		{name: "providers", path: providersPath, who: karin},
		{name: "provider-operator", path: microsoft, who: karin},
		{name: "provider-new", path: providersPath + "/new", who: karin},
		{name: "provider-without-credential", path: microsoft, who: karin, prepare: func() { b.registered() }},
		{name: "credential-new", path: microsoft + "/credentials/new", who: karin},
		{name: "provider-credentials", path: microsoft, who: rita, prepare: func() {
			made, _ = b.credential("kind", "made")
			refused, _ = b.credential("kind", "secret", "secret", "SECRET-bad", "expires", "2099-01-02")
			s.as(rita).post(microsoft + "/check").wants(303)
		}},
	})
	lookThrough(t, s, []scene{
		{name: "credential-certificate", path: made, who: karin},
		{name: "credential-refused", path: refused, who: karin},
		{name: "credential-drop", path: refused + "/remove", who: rita},
	})
}
