package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Where a provider sends the browser back to, the address carries a code or a
// state. Whoever it is that comes, neither goes on into a page, into an address
// or into the log.
func TestCallbacksKeepWhatTheyAreGiven(t *testing.T) {
	s := openSite(t)
	callbacks := 0
	for _, rt := range routes() {
		if !strings.Contains(rt.pattern, "/callback/") {
			continue
		}
		callbacks++
		for who, b := range map[string]*browser{"a stranger": s.browser(), "somebody signed in": s.as(s.admin)} {
			for _, q := range []string{
				"code=SECRET-1&state=SECRET-2&session_state=SECRET-3", "code=SECRET-1", "state=SECRET-2",
				"error=SECRET-4&error_description=SECRET-5&state=SECRET-2", "admin_consent=True&tenant=SECRET-6&scope=SECRET-7&state=SECRET-2",
			} {
				a := b.do(http.MethodGet, fill(rt.pattern, "microsoft")+"?"+q, nil)
				for n := 0; ; n++ {
					to := a.header.Get("Location")
					if strings.Contains(to, "SECRET") || strings.Contains(a.raw, "SECRET") {
						t.Errorf("%s: %s is given on what the provider gave: %d to %q", rt.pattern, who, a.status, to)
					}
					if to == "" || n == 5 {
						break
					}
					if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") {
						t.Fatalf("%s: %s is sent to %q", rt.pattern, who, to)
					}
					a = b.get(to)
				}
			}
		}
	}
	if callbacks == 0 {
		t.Error("no callback among the routes")
	}
	s.browser().get("/help/people").wants(200)
	if s.log.says("/help/{page}"); strings.Contains(s.log.String(), "SECRET") {
		t.Errorf("the log holds what the provider gave:\n%s", s.log)
	}
}

// A form's or an address's word for where to go next never leads elsewhere.
func TestNothingLeadsElsewhere(t *testing.T) {
	evil := []string{"https://evil.example/", "//evil.example", `/\evil.example`, `\\evil.example`, "/\t/evil.example", "/\n/evil.example",
		"\t//evil.example", " //evil.example", "javascript:alert(1)", "https:evil.example", "///evil.example", "evil.example", "/\r\nSet-Cookie: a=b"}
	for _, to := range evil {
		base, err := url.Parse("https://mail.example/page")
		if err != nil {
			t.Fatal(err)
		}
		went, err := base.Parse(ownPath(to, "/fallback"))
		if err != nil || went.Host != "mail.example" || strings.ContainsAny(went.String(), "\r\n") {
			t.Errorf("%q leads to %v, %v", to, went, err)
		}
	}
	if got := ownPath("/mail?page=2#x", "/"); got != "/mail?page=2#x" {
		t.Errorf("a path of our own became %q", got)
	}
	s := openSite(t)
	b := s.as(s.admin)
	names := []string{"next", "back", "return", "return_to", "redirect", "redirect_uri", "url", "to"}
	for _, rt := range routes() {
		if rt.pattern == "/events" || rt.pattern == "/sign-out" || strings.HasSuffix(rt.pattern, "/sign-out-everywhere") {
			continue
		}
		form := url.Values{"lang": {"en"}}
		for _, name := range names {
			form.Set(name, "//evil.example/x")
		}
		path, body := fill(rt.pattern, "x_1"), form
		if rt.method == http.MethodGet {
			path, body = path+"?"+form.Encode(), nil
		}
		if to := b.do(rt.method, path, body).header.Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
			t.Errorf("%s %s leads to %q", rt.method, rt.pattern, to)
		}
	}
}
