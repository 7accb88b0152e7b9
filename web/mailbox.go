package web

import (
	"net/url"

	"mailroom/templates"
)

const (
	integrationsPath = "/settings/integrations"
	activationPath   = integrationsPath + "/oauth"
	mappingPath      = integrationsPath + "/mapping"
)

// integrations is the page with the four settings and what was typed into the
// first two.
func (c *call) integrations(address, password templates.Form) (templates.IntegrationsView, error) {
	v, err := c.Portal.Integrations(c.r.Context(), c.user)
	if address.OK() && address.Value("address") == "" {
		address.Set("address", v.Mailbox.Address)
	}
	return templates.IntegrationsView{Integrations: v, Address: address, Password: password}, err
}

func showIntegrations(c *call) error {
	v, err := c.integrations(templates.Form{}, templates.Form{})
	if err != nil {
		return err
	}
	return c.show(templates.Integrations(c.page("settings", "integrations.title"), v))
}

// saveAddress is Mail - Incoming IMAP Username. What would be lost is asked
// first, on a page of its own.
func saveAddress(c *call) error {
	f, err := c.form("address", "confirmed")
	if err != nil {
		return err
	}
	ctx, address := c.r.Context(), f.Value("address")
	confirmed := f.Is("confirmed", "yes")
	if !confirmed {
		change, err := c.Portal.AddressChange(ctx, c.user, address)
		if err != nil {
			return err
		}
		if change != nil {
			return c.redirect(integrationsPath + "/username?address=" + url.QueryEscape(address))
		}
	}
	err = c.Portal.SaveAddress(ctx, c.user, address, confirmed)
	if c.complain(&f, err) {
		v, err := c.integrations(f, templates.Form{})
		if err != nil {
			return err
		}
		return c.showAgain(templates.Integrations(c.page("settings", "integrations.title"), v))
	}
	if err != nil {
		return err
	}
	c.flash("done", "integrations.username.saved")
	return c.redirect(integrationsPath)
}

// confirmAddress says what another address would do, and asks.
func confirmAddress(c *call) error {
	address := c.query("address")
	change, err := c.Portal.AddressChange(c.r.Context(), c.user, address)
	if err != nil {
		return err
	}
	if change == nil { // nothing to ask any more
		return c.redirect(integrationsPath)
	}
	f := templates.Form{}
	f.Set("address", address)
	v, err := c.integrations(f, templates.Form{})
	if err != nil {
		return err
	}
	return c.show(templates.ConfirmAddress(c.page("settings", "integrations.confirm.title"), v, *change))
}

// savePassword is Mail - Incoming IMAP Password (SE2936).
func savePassword(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	err = c.Portal.SavePassword(c.r.Context(), c.user, c.secret("password"))
	if c.complain(&f, err) {
		v, err := c.integrations(templates.Form{}, f)
		if err != nil {
			return err
		}
		return c.showAgain(templates.Integrations(c.page("settings", "integrations.title"), v))
	}
	if err != nil {
		return err
	}
	if c.secret("password") != "" {
		c.flash("done", "integrations.password.saved")
	}
	return c.redirect(integrationsPath)
}

func clearPassword(c *call) error {
	f, err := c.form("back")
	if err != nil {
		return err
	}
	if err := c.Portal.ClearPassword(c.r.Context(), c.user); err != nil {
		return err
	}
	c.flash("done", "integrations.password.cleared")
	return c.redirect(ownPath(f.Value("back"), integrationsPath))
}
