package web

import (
	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/templates"
)

func showOrganization(c *call) error {
	o, err := c.Portal.Organization(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	f := templates.Form{}
	f.Set("name", o.Name)
	f.Set("share", yes(o.ShareLinkedMail))
	f.Set("private", yes(o.AllowPrivateHosts))
	return c.show(templates.Organization(c.page("settings", "org.title"), f))
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}

func saveOrganization(c *call) error {
	f, err := c.form("name", "share", "private")
	if err != nil {
		return err
	}
	err = c.Portal.SaveOrganization(c.r.Context(), c.user, portal.OrganizationForm{
		Name: f.Value("name"), ShareLinkedMail: f.Is("share", "yes"), AllowPrivateHosts: f.Is("private", "yes"),
	})
	if c.complain(&f, err) {
		return c.showAgain(templates.Organization(c.page("settings", "org.title"), f))
	}
	if err != nil {
		return err
	}
	c.flash("done", "org.saved")
	return c.redirect("/admin/organization")
}

// showAudit is the history of the organization: who did what.
func showAudit(c *call) error {
	events, err := c.Portal.Audit(c.r.Context(), c.user, 0)
	if err != nil {
		return err
	}
	users, err := c.Portal.Users(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	names := map[string]mailroom.User{}
	for _, u := range users {
		names[u.ID] = u
	}
	return c.show(templates.Audit(c.page("settings", "audit.title"), events, names))
}
