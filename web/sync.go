package web

import (
	"context"

	"mailroom/internal/mailroom"
	"mailroom/templates"
)

// act does one thing to what a button names, says so unless doneKey is "", and
// goes back to the page that the button stood on. Refusals that the person can
// understand become a message there.
func (c *call) act(do func(context.Context, mailroom.User, string) error, id, doneKey string) error {
	f, err := c.form("back")
	if err != nil {
		return err
	}
	err = do(c.r.Context(), c.user, id)
	if list, ok := complaints(err); ok {
		for _, e := range list {
			c.flashText("bad", templates.ErrorText(c.t, e))
		}
	} else if err != nil {
		return err
	} else if doneKey != "" {
		c.flash("done", doneKey)
	}
	return c.redirect(ownPath(f.Value("back"), integrationsPath))
}

func syncOwnMailbox(c *call) error { return c.act(c.Portal.SyncNow, "", "integrations.sync.asked") }

func syncMailbox(c *call) error {
	return c.act(c.Portal.SyncNow, c.param("id"), "integrations.sync.asked")
}

func pauseMailbox(c *call) error {
	return c.act(c.Portal.PauseMailbox, c.param("id"), "integrations.sync.paused")
}

func resumeMailbox(c *call) error {
	return c.act(c.Portal.ResumeMailbox, c.param("id"), "integrations.sync.resumed")
}

func syncMapping(c *call) error {
	return c.act(c.Portal.SyncMapping, c.param("id"), "integrations.sync.asked")
}

func pauseMapping(c *call) error {
	return c.act(c.Portal.PauseMapping, c.param("id"), "mappings.paused")
}

func resumeMapping(c *call) error {
	return c.act(c.Portal.ResumeMapping, c.param("id"), "mappings.resumed")
}

func seenFollowed(c *call) error { return c.act(c.Portal.SeenFollowed, c.param("id"), "") }
