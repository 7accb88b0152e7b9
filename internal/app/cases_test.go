package app_test

import (
	"net/url"
	"strings"
	"testing"

	"mailroom/internal/pretend/issuer"
	"mailroom/internal/pretend/world"
)

// TestEveryRefusalEndsOnAPage: whatever the provider makes of a grant, the
// person lands on a page that says what happened and has a way on, by the right
// hands: their own, or the company's IT by a link that is one press away.
func TestEveryRefusalEndsOnAPage(t *testing.T) {
	s := newSiege(t)
	const again, ask = `href="/settings/integrations/oauth"`, `action="/settings/integrations/consent-link"`
	for _, c := range []struct {
		account, reason, way string
		before               func()
	}{
		{"needs-admin", "oauth.error.consent_missing", ask, nil},
		{"declined", "oauth.error.declined", ask, nil},
		{"not-assigned", "oauth.error.not_assigned", ask, nil},
		{"blocked", "oauth.error.policy", ask, nil},
		{"wrong-account", "grant.error.wrong_account", "thomas@" + world.Domain, nil},
		{"no-refresh", "grant.error.no_refresh_token", again, nil},
		{"fewer-scopes", "grant.error.scope_missing", "IMAP.AccessAsUser.All", nil},
		{"provider-down", "oauth.error.transient", again, nil},
		{"provider-slow", "oauth.error.network", again, nil}, // waited for fifteen seconds
		{"malformed", "oauth.error.malformed", again, nil},
		{"mfa", "oauth.error.mfa", again, func() {
			s.world.Issuer.SetPlay("mfa@"+world.Domain, issuer.Play{Code: &issuer.Refusal{Error: "interaction_required", Suberror: "basic_action", Code: 50076, Text: "You must use multi-factor authentication."}})
		}},
		{"quirks", "oauth.error.secret_expired", again, func() {
			s.world.Issuer.RefuseClient(issuer.Refusal{Error: "invalid_client", Status: 401, Code: 7000222, Text: "The provided client secret keys are expired."})
		}},
	} {
		t.Run(c.account, func(t *testing.T) {
			was := s.t
			s.t = t
			defer func() { s.t = was }()
			defer s.world.Issuer.StopFailing()
			if c.before != nil {
				c.before()
			}
			v := s.user(c.account + "@" + world.Domain)
			s.refused(v, v.answer(s.world.Issuer, v.begin("microsoft"), c.account+"@"+world.Domain).String(), c.reason)
			if !strings.Contains(v.page, c.way) {
				t.Errorf("the page has no %s:\n%s", c.way, v.page)
			}
		})
	}
	t.Run("cancel", func(t *testing.T) {
		v := s.user("slow@" + world.Domain)
		cb, err := s.world.Issuer.Cancel(v.begin("microsoft"))
		if err != nil {
			t.Fatal(err)
		}
		s.refused(v, cb.String(), "oauth.error.denied")
		for _, way := range []string{again, ask} { // it is ambiguous: both remedies
			if !strings.Contains(v.page, way) {
				t.Errorf("after Cancel the page has no %s", way)
			}
		}
	})
	t.Run("both windows", func(t *testing.T) {
		// Two tabs, and then the browser's Back: the second answer is not lost on a
		// blank page, and the first stands.
		v := s.user("renumbered@" + world.Domain)
		first, second := v.begin("microsoft"), v.begin("microsoft")
		answers := []*url.URL{v.answer(s.world.Issuer, first, "renumbered@"+world.Domain), v.answer(s.world.Issuer, second, "renumbered@"+world.Domain)}
		for _, cb := range answers {
			if v.get(cb.String()); v.status != 200 || !s.granted(v) {
				t.Errorf("%d at %s", v.status, v.at)
			}
		}
		if v.get(answers[0].String()); v.status != 200 || !strings.Contains(v.page, "role=\"alert\"") || !s.granted(v) {
			t.Errorf("back again: %d at %s", v.status, v.at)
		}
	})
}
