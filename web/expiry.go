package web

import (
	"encoding/json"

	"mailroom/internal/mailroom"
	"mailroom/templates"
)

// sessionTried keeps how a test of the notices came out, for the page after it.
const sessionTried = "tried"

// showExpiry is "What will break, and when".
func showExpiry(c *call) error {
	v, err := c.Portal.Expiry(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	var tried []mailroom.Check
	if data := c.sessions.GetBytes(c.r.Context(), sessionTried); data != nil {
		c.sessions.Remove(c.r.Context(), sessionTried)
		_ = json.Unmarshal(data, &tried) // from an older version: no result then
	}
	return c.show(templates.Expiry(c.page("settings", "expiry.title"), v, tried))
}

// tryNotices is Send a test.
func tryNotices(c *call) error {
	tried, err := c.Portal.TryNotices(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	if len(tried) == 0 {
		c.flash("note", "expiry.test.none")
		return c.redirect("/admin/expiry")
	}
	if data, err := json.Marshal(tried); err == nil {
		c.sessions.Put(c.r.Context(), sessionTried, data)
	}
	return c.redirect("/admin/expiry#test")
}
