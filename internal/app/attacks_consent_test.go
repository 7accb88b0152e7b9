package app_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mailroom/internal/mailroom"
	"mailroom/internal/pretend/world"
)

// link is made by a recruiter whose company must agree first.
func (v *visitor) link() (token string) {
	v.s.t.Helper()
	v.begin("microsoft") // chooses the provider
	v.post("/settings/integrations/consent-link")
	found := regexp.MustCompile(`/consent/(col_[^"<\s]+)`).FindStringSubmatch(v.page)
	if found == nil {
		v.s.t.Fatalf("no link at %s:\n%s", v.at, v.page)
	}
	return found[1]
}

// leave presses the button of a link's page.
func (v *visitor) leave(token string) *url.URL {
	v.s.t.Helper()
	v.post("/consent/" + token + "/go")
	found := regexp.MustCompile(`<a href="(http[^"]+/adminconsent[^"]+)"`).FindStringSubmatch(v.page)
	if found == nil {
		v.s.t.Fatalf("the button leads nowhere: %d at %s\n%s", v.status, v.at, v.page)
	}
	u, err := url.Parse(strings.ReplaceAll(found[1], "&amp;", "&"))
	if err != nil {
		v.s.t.Fatal(err)
	}
	return u
}

// unheard: an answer ends on a page that says that it is not noted, or asks who
// it is.
func (v *visitor) unheard() bool {
	return v.at.Path == "/sign-in" && !strings.Contains(v.at.RawQuery, "state") ||
		v.at.Path == "/consent/answer" && v.at.RawQuery == "" && strings.Contains(v.page, "This answer is not noted")
}

func attacksOnConsent() []attack {
	return []attack{
		{"consent link forged", func(t *testing.T, s *siege) {
			v := s.user("needs-admin@" + world.Domain)
			token := v.link()
			it := s.stranger()
			if it.get("/consent/" + token); it.status != 200 || !strings.Contains(it.page, "Agency") {
				t.Fatalf("the true link: %d\n%s", it.status, it.page)
			}
			id, rest, _ := strings.Cut(token, ".")
			until, mac, _ := strings.Cut(rest, ".")
			for name, forged := range map[string]string{
				"without signature": id + "." + until, "longer": id + ".zzzzzz." + mac, "another id": id + "x." + until + "." + mac,
				"signature cut": token[:len(token)-1], "id alone": id, "empty parts": "..",
			} {
				for _, page := range []*visitor{it.get("/consent/" + forged), v.get("/consent/" + forged), it.post("/consent/" + forged + "/go")} {
					if page.status != 404 || strings.Contains(page.page, "Agency wants") || strings.Contains(page.page, "adminconsent") {
						t.Errorf("%s: %d at %s", name, page.status, page.at.Path)
					}
				}
			}
			it.site = "cross-site"
			if it.post("/consent/" + token + "/go"); it.status != 403 || strings.Contains(it.page, "adminconsent?") {
				t.Errorf("another site sends an administrator off: %d", it.status)
			}
			if strings.Contains(s.logged.String(), token) || s.onDisk(token) != "" {
				t.Error("the link stands in the log or in clear on disk")
			}
		}},
		{"consent answer made up or replayed", func(t *testing.T, s *siege) {
			v := s.user("not-assigned@" + world.Domain)
			token := v.link()
			it, other := s.stranger(), s.stranger()
			to := it.leave(token)
			if q := to.Query(); strings.Contains(to.Path, "/common/") || !slices.Equal(strings.Fields(q.Get("scope")), s.world.Provider().Scopes) {
				t.Errorf("the provider is asked at %s for %q: never common, always everything", to.Path, q.Get("scope"))
			}
			state := to.Query().Get("state")
			answer := func(state, tenant string) string {
				return "/consent/callback/microsoft?" + url.Values{"admin_consent": {"True"}, "tenant": {tenant}, "scope": {"x"}, "state": {state}}.Encode()
			}
			for name, page := range map[string]*visitor{
				"made up":            s.stranger().get(answer("made-up", s.world.Issuer.TenantID)),
				"another browser":    other.get(answer(state, s.world.Issuer.TenantID)),
				"another provider":   s.stranger().get(strings.Replace(answer(state, s.world.Issuer.TenantID), "/microsoft", "/corp", 1)),
				"a grant's callback": it.get(strings.Replace(answer(state, ""), "/consent/", "/oauth/", 1) + "&code=x"),
			} {
				if !page.unheard() {
					t.Errorf("%s: %d at %s", name, page.status, page.at)
				}
			}
			if it.get("/consent/" + token); strings.Contains(it.page, ">Reported<") || !strings.Contains(it.page, `class="state`) {
				t.Errorf("an answer of nobody's was taken:\n%s", it.page)
			}
			// A true answer is a report: the tenant in it is whatever the browser wrote.
			if it.get(answer(state, s.evil.TenantID)); it.at.Path != "/consent/"+token || it.at.RawQuery != "" || !strings.Contains(it.page, ">Reported<") || strings.Contains(it.page, "It works, which was proved") {
				t.Errorf("the answer ends at %s:\n%s", it.at, it.page)
			}
			if it.get(answer(state, s.evil.TenantID)); !it.unheard() {
				t.Errorf("the same answer again: %d at %s", it.status, it.at)
			}
			known, err := s.app.Portal.Consents(t.Context(), s.admin.user)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range known.Providers {
				for _, company := range p.Companies {
					if company.Tenant == s.evil.TenantID && company.State != mailroom.ConsentReported {
						t.Errorf("a word of a browser makes of a company: %s", company.State)
					}
				}
			}
		}},
	}
}
