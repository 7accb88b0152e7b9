package web

import (
	"testing"

	"mailroom/internal/mailroom"
)

func TestSetupFoundsTheOrganizationOnce(t *testing.T) {
	s := emptySite(t)
	token, err := s.portal.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := s.browser()
	page := b.get("/setup?token="+token).wants(200).shows("h1", "Set up Mailroom")
	token = page.attr("input[name=token]", "value")
	page = b.post("/setup", "token", token, "organization", "Werk & Co", "name", "", "email", "anna@werk.example", "password", "short").wants(422)
	page.shows("#f-name-complaint", "").shows("#f-password-complaint", "12")
	if page.attr("#f-organization", "value") != "Werk & Co" {
		t.Error("what was typed is forgotten")
	}
	page = b.post("/setup", "token", token, "organization", "Werk & Co", "name", "Anna", "email", "anna@werk.example", "password", password).leadsTo(integrationsPath)
	page.shows(".flashes", "Werk & Co is ready").shows(".top", "Sync state")
	b.get("/setup?token=" + token).wants(404)
}

func TestSetupLinkOfAnInstallationInUse(t *testing.T) {
	s := openSite(t)
	s.browser().get("/setup?token=anything").wants(404).shows("#error", "has been used")
	s.browser().post("/setup", "token", "x", "organization", "Mine", "name", "Me", "email", "me@x.example", "password", password).wants(404)
}

func TestNewUserGetsAPasswordThatIsShownOnce(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	b.get("/admin/users/new").wants(200).shows("dialog h1", "Add a user")
	page := b.post("/admin/users", "name", "", "email", "nobody", "role", "recruiter").wants(422)
	page.shows("#f-name-complaint", "").shows("#f-email-complaint", "")

	page = b.post("/admin/users", "name", "Noor Visser", "email", "noor@werk.example", "role", "recruiter").wants(200)
	given := page.text("#secret")
	if len(given) < 12 {
		t.Fatalf("the password is %q", given)
	}
	b.post("/admin/users", "name", "Twin", "email", "NOOR@werk.example", "role", "recruiter").wants(422).shows("#f-email-complaint", "")

	n := s.browser()
	n.post("/sign-in", "email", "noor@werk.example", "password", given).wants(303)
	page = n.post("/settings/profile/password", "old", "wrong", "new", password).wants(422)
	page.shows("#f-old-complaint", "")
	other := s.browser()
	other.post("/sign-in", "email", "noor@werk.example", "password", given).wants(303)
	n.post("/settings/profile/password", "old", given, "new", password).leadsTo("/settings/profile").shows(".flashes", "changed")
	other.get("/settings/profile").wants(303) // signed out elsewhere
}

func TestAdministratorManagesUsers(t *testing.T) {
	s := openSite(t)
	u := s.addUser("Noor Visser", "noor@werk.example", mailroom.Recruiter)
	b := s.as(s.admin)
	b.post("/admin/users/"+u.ID+"/role", "role", "administrator").leadsTo("/admin/users").shows(".flashes", "role is changed")
	n := s.as(u)
	n.get("/admin/users").wants(200)

	b.get("/admin/users/"+u.ID+"/disable").wants(200).shows("dialog", "Noor Visser is signed out")
	b.post("/admin/users/"+u.ID+"/disable").leadsTo("/admin/users").shows("table", "Disabled")
	n.get("/admin/users").wants(303)
	b.post("/admin/users/"+s.admin.ID+"/role", "role", "recruiter").leadsTo("/admin/users").shows(".flashes .bad", "")
	b.get("/admin/users").wants(200) // the last administrator stays one
	b.post("/admin/users/"+s.admin.ID+"/disable").leadsTo("/admin/users").shows(".flashes .bad", "")
	b.post("/admin/users/"+u.ID+"/enable").leadsTo("/admin/users").shows(".flashes", "can sign in again")

	given := b.post("/admin/users/" + u.ID + "/password").wants(200).text("#secret")
	s.browser().post("/sign-in", "email", u.Email, "password", password).wants(422)
	s.browser().post("/sign-in", "email", u.Email, "password", given).wants(303)

	mine := b.post("/admin/users/" + s.admin.ID + "/password").wants(200).text("#secret")
	b.get("/admin/users").wants(200) // one's own browser stays signed in
	s.browser().post("/sign-in", "email", s.admin.Email, "password", mine).wants(303)
}

func TestOrganizationAndHistory(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	b.post("/admin/organization", "name", " ").wants(422).shows("#f-name-complaint", "")
	b.post("/admin/organization", "name", "Werk en Meer", "share", "yes").leadsTo("/admin/organization").shows(".flashes", "saved")
	page := b.get("/admin/organization")
	if page.attr("input[name=name]", "value") != "Werk en Meer" || !page.has("input[name=share][checked]") || page.has("input[name=private][checked]") {
		t.Error("the settings do not come back as saved")
	}
	b.get("/admin/audit").wants(200).shows("tbody tr:first-child", "Changed the organization").shows("tbody tr:first-child", "Anna de Boer")
}

func TestLanguage(t *testing.T) {
	s := openSite(t)
	stranger := s.browser()
	stranger.header.Set("Accept-Language", "nl-NL,nl;q=0.9")
	page := stranger.get("/sign-in").shows("h1", "Inloggen")
	if page.attr("html", "lang") != "nl" {
		t.Error("the page does not say its language")
	}
	stranger.post("/language", "lang", "en", "back", "/sign-in").leadsTo("/sign-in").shows("h1", "Sign in")

	b := s.as(s.admin)
	b.post("/settings/profile", "name", "Anna", "language", "nl").leadsTo("/settings/profile").shows(".flashes", "opgeslagen").shows("h1", "Profiel")
	again := s.as(s.admin) // another browser: the choice is the user's
	again.get("/settings/integrations").shows("h1", "Integraties")
	b.post("/language", "lang", "en", "back", "https://evil.example/").leadsTo("/").wants(303)
	b.post("/settings/profile", "name", "", "language", "nl").wants(422).shows("#f-name-complaint", "")
}

func TestSignOutEverywhere(t *testing.T) {
	s := openSite(t)
	b, other := s.as(s.admin), s.as(s.admin)
	b.post("/settings/profile/sign-out-everywhere").leadsTo("/sign-in").shows(".flashes", "everywhere")
	other.get("/settings/profile").wants(303)
	b.get("/settings/profile").wants(303)
}
