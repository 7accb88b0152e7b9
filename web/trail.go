package web

import (
	"mailroom/internal/portal"
	"mailroom/templates"
)

// showTrail is the page to ask why a mail is, or is not, in OTYS. What is asked
// is personal, so it comes by POST and never stands in an address.
func showTrail(c *call) error { return c.showTrail("") }

func askTrail(c *call) error { return c.askTrail("") }

// showMailboxTrail is the same for administrators, about any mailbox of their
// organization.
func showMailboxTrail(c *call) error { return c.showTrail(c.param("id")) }

func askMailboxTrail(c *call) error { return c.askTrail(c.param("id")) }

func (c *call) showTrail(mailboxID string) error {
	v, err := c.Portal.TrailPage(c.r.Context(), c.user, mailboxID)
	if err != nil {
		return err
	}
	return c.show(templates.Trail(c.page(trailNav(v), "trail.title"), v, templates.Form{}))
}

func (c *call) askTrail(mailboxID string) error {
	f, err := c.form("text", "look")
	if err != nil {
		return err
	}
	v, err := c.Portal.Trail(c.r.Context(), c.user, mailboxID, portal.TrailForm{Text: f.Value("text"), Look: f.Is("look", "yes")})
	if v.Mailbox.ID != "" && c.complain(&f, err) {
		return c.showAgain(templates.Trail(c.page(trailNav(v), "trail.title"), v, f))
	}
	if err != nil {
		return err
	}
	return c.show(templates.Trail(c.page(trailNav(v), "trail.title"), v, f))
}

func trailNav(v portal.TrailPage) string {
	if v.Blind {
		return "sync"
	}
	return "mail"
}
