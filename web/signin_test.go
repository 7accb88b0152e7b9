package web

import (
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func TestSignIn(t *testing.T) {
	s := openSite(t)
	b := s.browser()
	page := b.get("/settings/profile").leadsTo("/sign-in?next=%2Fsettings%2Fprofile")
	page.wants(200).shows("h1", "Sign in")
	next := page.attr(`input[name=next]`, "value")

	page = b.post("/sign-in", "email", "anna@werk.example", "password", "wrong", "next", next).wants(422)
	page.shows("[role=alert]", "do not belong together")
	if got := page.attr(`input[name=email]`, "value"); got != "anna@werk.example" {
		t.Errorf("the address that was typed is forgotten: %q", got)
	}
	if page.attr(`input[name=password]`, "value") != "" {
		t.Error("the password comes back in the page")
	}
	page = b.post("/sign-in", "email", "ANNA@werk.example", "password", password, "next", next).leadsTo("/settings/profile")
	page.wants(200).shows(".menu", "Anna de Boer")

	b.post("/sign-out").leadsTo("/sign-in").wants(200)
	b.get("/settings/profile").wants(303)
}

func TestSignInNeverLeadsElsewhere(t *testing.T) {
	s := openSite(t)
	for _, next := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "\t//evil.example", ""} {
		b := s.browser()
		if got := b.post("/sign-in", "email", s.admin.Email, "password", password, "next", next).header.Get("Location"); got != "/" {
			t.Errorf("next %q leads to %q", next, got)
		}
	}
}

func TestSignInRenewsTheSession(t *testing.T) {
	s := openSite(t)
	b := s.browser()
	b.post("/language", "lang", "nl", "back", "/sign-in") // gives a stranger a session
	before := b.cookie()
	b.post("/sign-in", "email", s.admin.Email, "password", password).wants(303)
	if after := b.cookie(); before == "" || after == "" || before == after {
		t.Errorf("the session token before signing in (%q) is still good afterwards (%q)", before, after)
	}
}

func TestSignInIsSlowedDown(t *testing.T) {
	s := openSite(t)
	for range 10 {
		s.browser().post("/sign-in", "email", s.admin.Email, "password", "guess").wants(422)
	}
	s.browser().post("/sign-in", "email", s.admin.Email, "password", password).wants(422).shows("[role=alert]", "Too many attempts")
	other := s.addUser("Noor", "noor@werk.example", mailroom.Recruiter)
	s.browser().post("/sign-in", "email", other.Email, "password", password).wants(303)
}

func TestDisabledUserIsTold(t *testing.T) {
	s := openSite(t)
	u := s.addUser("Noor", "noor@werk.example", mailroom.Recruiter)
	b := s.as(u)
	b.get("/settings/profile").wants(200)
	s.as(s.admin).post("/admin/users/"+u.ID+"/disable").leadsTo("/admin/users").shows(".flashes", "disabled")
	b.get("/settings/profile").wants(303)
	s.browser().post("/sign-in", "email", u.Email, "password", password).wants(422).lacks(".menu")
}

func TestIdleSessionEnds(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	now := s.clock()
	s.clock = func() time.Time { return now }
	for range 4 { // used now and then: stays
		now = now.Add(idleLifetime - time.Second)
		b.get("/settings/profile").wants(200)
	}
	now = now.Add(idleLifetime + time.Second)
	b.get("/settings/profile").wants(303)
}
