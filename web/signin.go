package web

import (
	"strings"
	"time"

	"github.com/go-chi/httprate"

	"mailroom/internal/mailroom"
	"mailroom/templates"
)

// signInLimits slow down who guesses passwords: from one address, whatever the
// account, and at one account, from wherever.
type signInLimits struct{ byIP, byAccount *httprate.RateLimiter }

func newSignInLimits() signInLimits {
	return signInLimits{
		byIP:      httprate.NewRateLimiter(30, time.Minute),
		byAccount: httprate.NewRateLimiter(10, 5*time.Minute),
	}
}

func showSignIn(c *call) error {
	if c.user.ID != "" {
		return c.redirect(ownPath(c.query("next"), "/"))
	}
	f := templates.Form{}
	f.Set("next", ownPath(c.query("next"), ""))
	return c.show(templates.SignIn(c.page("", "signin.title"), f))
}

func signIn(c *call) error {
	f, err := c.form("email", "next")
	if err != nil {
		return err
	}
	if c.limits.byIP.OnLimit(c.w, c.r, c.clientIP(c.r)) ||
		c.limits.byAccount.OnLimit(c.w, c.r, strings.ToLower(f.Value("email"))) {
		err = mailroom.E(mailroom.Throttled, "signin.error.often")
	} else {
		var u mailroom.User
		if u, err = c.Portal.SignIn(c.r.Context(), f.Value("email"), c.secret("password")); err == nil {
			if err := c.remember(c.r.Context(), u); err != nil {
				return err
			}
			return c.redirect(ownPath(f.Value("next"), "/"))
		}
	}
	if mailroom.KindOf(err) == mailroom.Forbidden { // disabled: a word at the door, not a page
		f.Complain("", templates.ErrorText(c.t, mailroom.AsError(err)))
		return c.showAgain(templates.SignIn(c.page("", "signin.title"), f))
	}
	if c.complain(&f, err) {
		return c.showAgain(templates.SignIn(c.page("", "signin.title"), f))
	}
	return err
}

func signOut(c *call) error {
	if err := c.forget(c.r.Context()); err != nil {
		return err
	}
	return c.redirect("/sign-in")
}

// saveLanguage keeps the choice with the user, or in the session of a stranger.
func saveLanguage(c *call) error {
	f, err := c.form("lang", "back")
	if err != nil {
		return err
	}
	if c.user.ID != "" {
		if err := c.Portal.SetLanguage(c.r.Context(), c.user, f.Value("lang")); err != nil {
			return err
		}
	} else {
		c.sessions.Put(c.r.Context(), sessionLanguage, f.Value("lang"))
	}
	return c.redirect(ownPath(f.Value("back"), "/"))
}

// showSetup is the page of the one-time link that the program prints when there
// is no organization yet.
func showSetup(c *call) error {
	open, err := c.Portal.SetupOpen(c.r.Context(), c.query("token"))
	if err != nil {
		return err
	}
	if !open {
		return mailroom.E(mailroom.NotFound, "setup.error.closed")
	}
	f := templates.Form{}
	f.Set("token", c.query("token"))
	return c.show(templates.Setup(c.page("", "setup.title"), f))
}

func saveSetup(c *call) error {
	f, err := c.form("token", "organization", "name", "email")
	if err != nil {
		return err
	}
	u, err := c.Portal.Setup(c.r.Context(), f.Value("token"), setupForm(f, c.secret("password")))
	if c.complain(&f, err) {
		return c.showAgain(templates.Setup(c.page("", "setup.title"), f))
	}
	if err != nil {
		return err
	}
	if err := c.remember(c.r.Context(), u); err != nil {
		return err
	}
	c.flash("done", "setup.done", "organization", f.Value("organization"))
	return c.redirect("/settings/integrations")
}
