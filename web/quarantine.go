package web

import "mailroom/templates"

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

func downloadQuarantined(c *call) error {
	d, err := c.Portal.QuarantinedRaw(c.r.Context(), c.user, c.param("id"))
	if err != nil {
		return err
	}
	return c.download(d)
}
