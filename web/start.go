package web

// showStart leads to where one's work is: the mail, which says itself when it
// has yet to be connected.
func showStart(c *call) error { return c.redirect("/mail") }

func showSettings(c *call) error { return c.redirect("/settings/integrations") }
