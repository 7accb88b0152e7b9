package portal_test

import (
	"strings"
	"testing"

	"github.com/alexedwards/argon2id"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/internal/store/storetest"
)

func TestSetupOnce(t *testing.T) {
	p := portal.New(portal.Deps{Store: storetest.Open(t), Argon: &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}})
	ctx := t.Context()
	old := got(p.SetupToken(ctx))
	token := got(p.SetupToken(ctx))
	if token == "" || token == old {
		t.Fatalf("tokens %q, %q", old, token)
	}
	if got(p.SetupOpen(ctx, old)) || !got(p.SetupOpen(ctx, token)) || got(p.SetupOpen(ctx, "")) {
		t.Fatal("only the newest link may be open")
	}
	form := portal.SetupForm{Organization: " Werk  & Co ", Name: "Ad", Email: "Ad@Werk.example", Password: "correct horse"}
	_, err := p.Setup(ctx, old, form)
	refused(t, err, mailroom.NotFound, "organization.error.setup_used")
	_, err = p.Setup(ctx, token, portal.SetupForm{Name: "x", Email: "no address", Password: "short"})
	complains(t, err, "organization organization.error.name", "email user.error.email", "password user.error.password_short")

	u := got(p.Setup(ctx, token, form))
	if u.Email != "ad@werk.example" || !u.IsAdmin() || strings.Contains(u.PasswordHash, "correct") {
		t.Fatalf("founded by %+v", u)
	}
	if o := got(p.Organization(ctx, u)); o.Name != "Werk & Co" {
		t.Fatalf("founded %+v", o)
	}
	if got(p.SetupOpen(ctx, token)) {
		t.Fatal("a used link is open")
	}
	if _, err = p.Setup(ctx, token, form); err == nil {
		t.Fatal("set up twice")
	}
	if left := got(p.SetupToken(ctx)); left != "" {
		t.Fatal("a link is offered although there is an organization")
	}
	if v := got(p.SignIn(ctx, "AD@werk.example", "correct horse")); v.ID != u.ID {
		t.Fatalf("signed in %+v", v)
	}
	list := got(p.Mails(ctx, u, portal.MailQuery{}))
	if len(list.Folders) != 2 || list.Current.Role != mailroom.RoleInbox || list.State != mailroom.StateNotSetUp {
		t.Fatalf("the OTYS mailbox begins as %+v", list)
	}
}

func TestSignIn(t *testing.T) {
	w := newWorld(t)
	_, password, err := w.AddUser(w.ctx, w.admin, portal.UserForm{Email: "bob@werk.example", Name: "Bob", Role: mailroom.Recruiter})
	must(t, err)
	bob := got(w.SignIn(w.ctx, "bob@werk.example", password))
	for _, try := range [][2]string{{"bob@werk.example", "wrong"}, {"nobody@werk.example", password}, {"", ""}, {"bob@werk.example", strings.Repeat("x", 5000)}} {
		_, err := w.SignIn(w.ctx, try[0], try[1])
		refused(t, err, mailroom.Invalid, "signin.error.wrong")
	}

	complains(t, w.ChangePassword(w.ctx, bob, "wrong", "another long one"), "old user.error.password_wrong")
	complains(t, w.ChangePassword(w.ctx, bob, password, "short"), "new user.error.password_short")
	complains(t, w.ChangePassword(w.ctx, bob, password, "BOB@werk.example"), "new user.error.password_email")
	must(t, w.ChangePassword(w.ctx, bob, password, "another long one"))
	_, err = w.UserForSession(w.ctx, bob.ID, bob.SessionEpoch)
	refused(t, err, mailroom.NotFound, "error.not_found")
	bob = got(w.UserForSession(w.ctx, bob.ID, bob.SessionEpoch+1))
	must(t, w.SignOutEverywhere(w.ctx, bob))
	_, err = w.UserForSession(w.ctx, bob.ID, bob.SessionEpoch)
	refused(t, err, mailroom.NotFound, "error.not_found")

	must(t, w.DisableUser(w.ctx, w.admin, bob.ID))
	w.audited("user.disabled")
	_, err = w.SignIn(w.ctx, "bob@werk.example", "wrong")
	refused(t, err, mailroom.Invalid, "signin.error.wrong")
	_, err = w.SignIn(w.ctx, "bob@werk.example", "another long one")
	refused(t, err, mailroom.Forbidden, "signin.error.disabled")
	must(t, w.EnableUser(w.ctx, w.admin, bob.ID))
	reset := got(w.ResetPassword(w.ctx, w.admin, bob.ID))
	bob = got(w.SignIn(w.ctx, "bob@werk.example", reset))
	must(t, w.SetLanguage(w.ctx, bob, "nl"))
	must(t, w.SaveProfile(w.ctx, bob, " Bob  B "))
	refused(t, w.SetLanguage(w.ctx, bob, "de"), mailroom.Invalid, "user.error.language")
	if v := got(w.SignIn(w.ctx, "bob@werk.example", reset)); v.Language != "nl" || v.Name != "Bob B" {
		t.Fatalf("profile is %+v", v)
	}
}

func TestUsersAreTheAdministrators(t *testing.T) {
	w := newWorld(t)
	_, err := w.Users(w.ctx, w.anna)
	refused(t, err, mailroom.Forbidden, "error.forbidden")
	_, _, err = w.AddUser(w.ctx, w.anna, portal.UserForm{Email: "x@werk.example", Name: "X", Role: mailroom.Administrator})
	refused(t, err, mailroom.Forbidden, "error.forbidden")
	refused(t, w.ChangeRole(w.ctx, w.anna, w.anna.ID, mailroom.Administrator), mailroom.Forbidden, "error.forbidden")
	refused(t, w.SaveOrganization(w.ctx, w.anna, portal.OrganizationForm{Name: "x"}), mailroom.Forbidden, "error.forbidden")
	_, err = w.Audit(w.ctx, w.anna, 0)
	refused(t, err, mailroom.Forbidden, "error.forbidden")
	_, err = w.ResetPassword(w.ctx, w.anna, w.admin.ID)
	refused(t, err, mailroom.Forbidden, "error.forbidden")

	_, _, err = w.AddUser(w.ctx, w.admin, portal.UserForm{Email: "x y@werk", Role: "king"})
	complains(t, err, "name user.error.name", "email user.error.email", "role user.error.role")
	_, _, err = w.AddUser(w.ctx, w.admin, portal.UserForm{Email: "ANNA@werk.example", Name: "Again", Role: mailroom.Recruiter})
	complains(t, err, "email user.error.email_taken")

	refused(t, w.ChangeRole(w.ctx, w.admin, w.admin.ID, mailroom.Recruiter), mailroom.Conflict, "user.error.last_admin")
	refused(t, w.DisableUser(w.ctx, w.admin, w.admin.ID), mailroom.Conflict, "user.error.self")
	must(t, w.ChangeRole(w.ctx, w.admin, w.anna.ID, mailroom.Administrator))
	must(t, w.ChangeRole(w.ctx, w.admin, w.admin.ID, mailroom.Recruiter))
	if users := got(w.Users(w.ctx, w.admin)); len(users) != 2 { // the value from before its demotion
		t.Fatalf("%d users", len(users))
	}

	other := w.otherAgency()
	for _, err := range []error{
		w.ChangeRole(w.ctx, other, w.anna.ID, mailroom.Recruiter), w.DisableUser(w.ctx, other, w.anna.ID), w.EnableUser(w.ctx, other, w.anna.ID),
		w.SetPassword(w.ctx, other, w.anna.ID, "correct horse battery"),
	} {
		refused(t, err, mailroom.NotFound, "error.not_found")
	}
	if users := got(w.Users(w.ctx, other)); len(users) != 1 {
		t.Fatalf("another organization lists %d users", len(users))
	}
	if evs := got(w.Audit(w.ctx, other, 0)); len(evs) != 1 {
		t.Fatalf("another organization reads %d events", len(evs))
	}
}
