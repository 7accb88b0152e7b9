package web

import (
	"mailroom/templates"
)

// showChoices lists the addresses that belong to several people.
func showChoices(c *call) error {
	list, err := c.Portal.Choices(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	return c.show(templates.Choices(c.page("mail", "choice.title"), list))
}

// decide answers one of them.
func decide(c *call) error {
	f, err := c.form("message", "address", "person", "all", "back")
	if err != nil {
		return err
	}
	err = c.Portal.Decide(c.r.Context(), c.user, f.Value("message"), f.Value("address"), f.Value("person"), f.Is("all", "yes"))
	switch list, ok := complaints(err); {
	case ok:
		for _, e := range list {
			c.flashText("bad", templates.ErrorText(c.t, e))
		}
	case err != nil:
		return err
	case f.Value("person") == "":
		c.flash("done", "choice.nobody", "address", f.Value("address"))
	default:
		c.flash("done", "choice.decided", "address", f.Value("address"))
	}
	return c.redirect(ownPath(f.Value("back"), "/mail/choices"))
}
