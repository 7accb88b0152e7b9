package web

import "mailroom/templates"

// showSyncState is every mailbox of the organization.
func showSyncState(c *call) error {
	v, err := c.Portal.SyncState(c.r.Context(), c.user, c.query("trouble") != "")
	if err != nil {
		return err
	}
	return c.show(templates.SyncState(c.page("sync", "sync.title"), v))
}

// showRuns are the last readings of one mapping.
func showRuns(c *call) error {
	v, err := c.Portal.Runs(c.r.Context(), c.user, c.param("id"))
	if err != nil {
		return err
	}
	return c.show(templates.Runs(c.page("sync", "sync.runs"), v))
}
