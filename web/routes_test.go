package web

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"mailroom/internal/mailroom"
)

// foreign are ids of rows that belong to somebody else, one for each pattern
// with a parameter: a colleague's, and another organization's. A route without
// an entry fails the walk, so that nobody forgets it.
type foreign struct {
	colleague, elsewhere map[string]string // by pattern
}

// fill puts an id into a pattern with one parameter.
func fill(pattern, id string) string {
	start, end := strings.Index(pattern, "{"), strings.Index(pattern, "}")
	if start < 0 {
		return pattern
	}
	return fill(pattern[:start]+id+pattern[end+1:], "1")
}

func TestStrangersAreAskedToSignIn(t *testing.T) {
	s := openSite(t)
	for _, rt := range routes() {
		if rt.access == public {
			continue
		}
		b := s.browser()
		path := fill(rt.pattern, "x_1")
		a := b.do(rt.method, path, nil)
		want := "/sign-in"
		if rt.method == http.MethodGet {
			want += "?next=" + queryEscape(path)
		}
		if a.status != 303 || a.header.Get("Location") != want {
			t.Errorf("%s %s: a stranger gets %d to %q", rt.method, rt.pattern, a.status, a.header.Get("Location"))
		}
		b.header.Set("HX-Request", "true")
		if a := b.do(rt.method, path, nil); a.status != 401 || a.header.Get("HX-Refresh") != "true" || a.raw != "" {
			t.Errorf("%s %s: a stranger's fragment is answered with %d", rt.method, rt.pattern, a.status)
		}
	}
}

func TestOnlyAdministratorsAdminister(t *testing.T) {
	s := openSite(t)
	b := s.as(s.addUser("Noor", "noor@werk.example", mailroom.Recruiter))
	for _, rt := range routes() {
		isAdmin := strings.HasPrefix(rt.pattern, "/admin/")
		if isAdmin != (rt.access == admin) {
			t.Errorf("%s %s: its path and its access do not agree", rt.method, rt.pattern)
		}
		if isAdmin {
			b.do(rt.method, fill(rt.pattern, "x_1"), nil).wants(403).shows("h1", "Not allowed")
		}
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	for _, rt := range routes() {
		if rt.method == http.MethodGet {
			continue
		}
		for name, set := range map[string]func(http.Header){
			"Sec-Fetch-Site": func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
			"same site":      func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") },
			"Origin":         func(h http.Header) { h["Sec-Fetch-Site"] = nil; h.Set("Origin", "https://evil.example") },
		} {
			b.header = http.Header{}
			set(b.header)
			if a := b.do(rt.method, fill(rt.pattern, "x_1"), nil); a.status != 403 || !a.has("#error") {
				t.Errorf("%s %s: another site's request (%s) is answered with %d", rt.method, rt.pattern, name, a.status)
			}
		}
	}
	b.header = http.Header{}
	b.get("/settings/profile").wants(200) // still signed in
}

// Whatever belongs to a colleague or to another organization is not found, and
// not merely forbidden: nobody learns that it exists.
func TestOthersRowsAreNotFound(t *testing.T) {
	s := openSite(t)
	ids := s.foreignIDs()
	me := s.addUser("Noor", "noor@werk.example", mailroom.Administrator)
	recruiter := s.addUser("Pim", "pim@werk.example", mailroom.Recruiter)
	s.connected(me)
	s.connected(recruiter)
	asAdmin, asRecruiter := s.as(me), s.as(recruiter)
	for _, rt := range routes() {
		if !strings.Contains(rt.pattern, "{") || rt.access == public {
			continue
		}
		elsewhere, ok := ids.elsewhere[rt.pattern]
		if !ok {
			t.Errorf("%s %s: no row of somebody else's to try it with: add one to foreignIDs", rt.method, rt.pattern)
			continue
		}
		form := ids.form(rt.pattern)
		who := asAdmin
		if rt.access == signedIn {
			asRecruiter.do(rt.method, fill(rt.pattern, elsewhere), form()).wants(404)
			if id := ids.colleague[rt.pattern]; id != "" {
				asRecruiter.do(rt.method, fill(rt.pattern, id), form()).wants(404)
			}
		}
		who.do(rt.method, fill(rt.pattern, elsewhere), form()).wants(404)
		who.do(rt.method, fill(rt.pattern, "x_1"), form()).wants(404)
	}
}

func TestEveryPageHasItsHeaders(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	for _, rt := range routes() {
		if rt.method != http.MethodGet || strings.Contains(rt.pattern, "{") || rt.pattern == "/events" {
			continue
		}
		a := b.get(rt.pattern)
		h := a.header
		if h.Get("Content-Security-Policy") != policy || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", rt.pattern, h)
		}
		if strings.Contains(a.raw, " style=") || strings.Contains(a.raw, "<style") || a.has("script:not([src])") || strings.Contains(a.raw, " onclick=") {
			t.Errorf("%s: inline style or script", rt.pattern)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Error("the policy has a hole: " + policy)
	}
}

// Codes, states and searches stand in queries; the log leaves them out.
func TestLogHoldsNoSecrets(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	b.get("/oauth/callback/microsoft?code=secret-code&state=secret-state")
	b.get("/setup?token=secret-token")
	s.browser().post("/sign-in", "email", "anna@werk.example", "password", "secret-password")
	if !s.log.says("/oauth/callback/{provider}") {
		t.Errorf("the requests are not logged:\n%s", s.log)
	}
	s.browser().get("/help/people").wants(200)
	s.log.says("/help/{page}") // by then the others are written
	log := s.log.String()
	for _, secret := range []string{"secret-", "anna@werk.example", b.cookie()} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
}

func TestCookieIsOutOfReach(t *testing.T) {
	s := openSite(t)
	c := s.browser().post("/sign-in", "email", s.admin.Email, "password", password).header.Get("Set-Cookie")
	if !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Lax") || strings.Contains(c, "Secure") {
		t.Errorf("on loopback: %s", c)
	}
	s = openSite(t, func(d *Deps) { d.PublicURL.Scheme, d.PublicURL.Host = "https", "mail.example" })
	c = s.browser().post("/sign-in", "email", s.admin.Email, "password", password).header.Get("Set-Cookie")
	if !strings.HasPrefix(c, "__Host-mailroom=") || !strings.Contains(c, "Secure") {
		t.Errorf("on the net: %s", c)
	}
}

// A page behind an error still has a way on and a number for the help desk,
// which the log knows too.
func TestErrorPageHasItsReference(t *testing.T) {
	s := openSite(t)
	a := s.browser().get("/nowhere").wants(404)
	_, ref, _ := strings.Cut(a.text("#error"), "Reference for the help desk: ")
	if len(ref) != 10 || !s.log.says("request="+ref) {
		t.Errorf("reference %q is not in the log:\n%s", ref, s.log)
	}
}

func TestStreamTellsOfChanges(t *testing.T) {
	s := openSite(t)
	u := s.addUser("Noor", "noor@werk.example", mailroom.Recruiter)
	b := s.as(u)
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	read := func(want string) {
		t.Helper()
		buf := make([]byte, len(want))
		if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != want {
			t.Fatalf("the stream says %q (%v), want %q", buf, err, want)
		}
	}
	read("event: changed\ndata: .\n\n") // whatever changed before the stream began
	if res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("headers %v", res.Header)
	}
	b.post(integrationsPath+"/username", "address", "noor@werk.example").wants(303)
	read("event: changed\ndata: .\n\n")

	// A disabled user's stream ends with the next change.
	if err := s.portal.DisableUser(t.Context(), s.admin, u.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.portal.ResumeMailbox(t.Context(), s.admin, ""); err == nil {
		t.Error("the administrator has a mailbox?")
	}
	row, err := s.store.MailboxOf(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.portal.PauseMailbox(t.Context(), s.admin, row.Mailbox.ID); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(res.Body); err != nil || strings.Contains(string(rest), "changed") {
		t.Errorf("the stream goes on: %q %v", rest, err)
	}
}
