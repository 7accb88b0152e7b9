package web

import (
	"mailroom/internal/portal"
	"mailroom/templates"
)

func setupForm(f templates.Form, password string) portal.SetupForm {
	return portal.SetupForm{
		Organization: f.Value("organization"), Name: f.Value("name"),
		Email: f.Value("email"), Password: password,
	}
}

func showProfile(c *call) error {
	return c.show(templates.Profile(c.page("settings", "profile.title"), c.profileForm(), templates.Form{}))
}

func (c *call) profileForm() (f templates.Form) {
	f.Set("name", c.user.Name)
	f.Set("language", c.user.Language)
	return f
}

func saveProfile(c *call) error {
	f, err := c.form("name", "language")
	if err != nil {
		return err
	}
	err = c.Portal.SaveProfile(c.r.Context(), c.user, f.Value("name"))
	if err == nil {
		err = c.Portal.SetLanguage(c.r.Context(), c.user, f.Value("language"))
	}
	if c.complain(&f, err) {
		return c.showAgain(templates.Profile(c.page("settings", "profile.title"), f, templates.Form{}))
	}
	if err != nil {
		return err
	}
	c.user.Language = f.Value("language")
	c.t = c.texts(c.r, c.user) // say it in the language just chosen
	c.flash("done", "profile.saved")
	return c.redirect("/settings/profile")
}

// saveOwnPassword signs every other browser out and keeps this one.
func saveOwnPassword(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	err = c.Portal.ChangePassword(c.r.Context(), c.user, c.secret("old"), c.secret("new"))
	if c.complain(&f, err) {
		return c.showAgain(templates.Profile(c.page("settings", "profile.title"), c.profileForm(), f))
	}
	if err != nil {
		return err
	}
	// The portal raised the epoch, which ends every session; this one goes on.
	c.user.SessionEpoch++
	if err := c.remember(c.r.Context(), c.user); err != nil {
		return err
	}
	c.flash("done", "profile.password.saved")
	return c.redirect("/settings/profile")
}

func signOutEverywhere(c *call) error {
	if err := c.Portal.SignOutEverywhere(c.r.Context(), c.user); err != nil {
		return err
	}
	if err := c.forget(c.r.Context()); err != nil {
		return err
	}
	c.flash("done", "profile.signed_out")
	return c.redirect("/sign-in")
}
