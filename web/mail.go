package web

import (
	"mailroom/internal/portal"
	"mailroom/templates"
)

// showMails is the OTYS mailbox.
func showMails(c *call) error {
	v, err := c.Portal.Mails(c.r.Context(), c.user, portal.MailQuery{
		FolderID: c.query("folder"), Search: c.query("q"), Unread: c.query("unread") != "", Before: c.query("before"),
	})
	if err != nil {
		return err
	}
	page := c.page("mail", "mail.title")
	page.Title = templates.MailTitle(page, v)
	return c.show(templates.Mails(page, v))
}
