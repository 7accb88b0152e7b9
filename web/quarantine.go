package web

import (
	"slices"

	"github.com/a-h/templ"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/templates"
)

// showQuarantine lists the messages that could not be filed.
func showQuarantine(c *call) error {
	rows, err := c.Portal.Quarantined(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	return c.show(templates.Quarantine(c.page("mail", "quarantine.title"), rows))
}

func retryQuarantined(c *call) error {
	if err := c.Portal.RetryQuarantined(c.r.Context(), c.user, c.param("id")); err != nil {
		return err
	}
	c.flash("done", "quarantine.retried")
	return c.redirect("/mail/quarantine")
}

// confirmGiveUp asks for the reason, over the list.
func confirmGiveUp(c *call) error {
	return c.giveUpDialog(templates.Form{}, c.show)
}

func (c *call) giveUpDialog(f templates.Form, show func(templ.Component) error) error {
	rows, err := c.Portal.Quarantined(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rows, func(q portal.QuarantineRow) bool { return q.ID == c.param("id") && q.DroppedAt.IsZero() })
	if i < 0 {
		return mailroom.E(mailroom.NotFound, "error.not_found")
	}
	return show(templates.GiveUp(c.page("mail", "quarantine.give_up.title"), rows, rows[i], f))
}

func giveUpQuarantined(c *call) error {
	f, err := c.form("reason")
	if err != nil {
		return err
	}
	err = c.Portal.GiveUp(c.r.Context(), c.user, c.param("id"), f.Value("reason"))
	if c.complain(&f, err) {
		return c.giveUpDialog(f, c.showAgain)
	}
	if err != nil {
		return err
	}
	c.flash("done", "quarantine.given_up")
	return c.redirect("/mail/quarantine")
}

func keepQuarantined(c *call) error {
	if err := c.Portal.KeepTrying(c.r.Context(), c.user, c.param("id")); err != nil {
		return err
	}
	c.flash("done", "quarantine.kept")
	return c.redirect("/mail/quarantine")
}

func downloadQuarantined(c *call) error {
	d, err := c.Portal.QuarantinedRaw(c.r.Context(), c.user, c.param("id"))
	if err != nil {
		return err
	}
	return c.download(d)
}
