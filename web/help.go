package web

import (
	"mailroom/internal/mailroom"
	"mailroom/templates"
)

func showHelp(c *call) error {
	return c.show(templates.Help(c.page("help", "help.title")))
}

// showHelpPage is open to strangers: an IT administrator who has no account
// here must be able to read what to do.
func showHelpPage(c *call) error {
	page, ok := templates.HelpText(c.t.Lang, c.param("page"))
	if !ok {
		return mailroom.E(mailroom.NotFound, "error.not_found")
	}
	return c.show(templates.HelpPage(c.page("help", "help.title."+c.param("page")), c.param("page"), page))
}
