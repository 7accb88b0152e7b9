package web

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/templates"
)

const providersPath = "/admin/providers"

// sessionChecks keeps what was looked at last, so that the page that shows it can
// be loaded again without looking again.
const sessionChecks = "provider_checks"

// lookedAt is the outcome of a Check as it is kept. Of is a path.
type lookedAt struct {
	Of     string
	At     time.Time
	Checks []mailroom.Check
}

func (c *call) keepChecks(of string, checks []mailroom.Check) error {
	data, err := json.Marshal(lookedAt{of, c.Now(), checks})
	if err != nil {
		return err
	}
	c.sessions.Put(c.r.Context(), sessionChecks, data)
	return nil
}

// checksOf is what was looked at last at a path, nothing when it was elsewhere.
func (c *call) checksOf(of string) templates.LookedAt {
	var l lookedAt
	data := c.sessions.GetBytes(c.r.Context(), sessionChecks)
	if data == nil || json.Unmarshal(data, &l) != nil || l.Of != of {
		return templates.LookedAt{}
	}
	return templates.LookedAt{At: l.At, Checks: l.Checks}
}

func showProviders(c *call) error {
	lines, err := c.Portal.Providers(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	passwords, err := c.Portal.Passwords(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	return c.show(templates.Providers(c.page("settings", "provider.title"), lines, passwords))
}

func showNewProvider(c *call) error {
	f := templates.Form{}
	f.Set("scopes", "openid email offline_access")
	f.Set("sasl", "both")
	f.Set("port", "993")
	f.Set("tls", string(mailroom.ImplicitTLS))
	return c.newProvider(200, f)
}

func (c *call) newProvider(status int, f templates.Form) error {
	return c.showStatus(status, templates.NewProvider(c.page("settings", "provider.new.title"), f))
}

var providerFields = []string{"client_id", "tenant", "testing", "again", "name", "issuer", "discovery_url", "auth_url", "token_url", "jwks_url",
	"revoke_url", "token_auth", "scopes", "auth_params", "sasl", "host", "port", "tls"}

func providerForm(f templates.Form) portal.ProviderForm {
	port, err := strconv.Atoi(f.Value("port"))
	if err != nil {
		port = -1 // no number: the portal says what a port is
	}
	form := portal.ProviderForm{
		ClientID: f.Value("client_id"), Tenant: f.Value("tenant"), Testing: f.Is("testing", "yes"), Again: f.Is("again", "yes"),
		Name: f.Value("name"), Issuer: f.Value("issuer"), DiscoveryURL: f.Value("discovery_url"), AuthURL: f.Value("auth_url"),
		TokenURL: f.Value("token_url"), JWKSURL: f.Value("jwks_url"), RevokeURL: f.Value("revoke_url"), TokenAuth: f.Value("token_auth"),
		Scopes: f.Value("scopes"), AuthParams: f.Value("auth_params"),
		IMAP: mailroom.Endpoint{Host: strings.ToLower(f.Value("host")), Port: port, TLS: mailroom.TLSMode(f.Value("tls"))},
	}
	switch f.Value("sasl") {
	case "both":
		form.SASL = []string{"XOAUTH2", "OAUTHBEARER"}
	case "XOAUTH2", "OAUTHBEARER":
		form.SASL = []string{f.Value("sasl")}
	}
	return form
}

func addProvider(c *call) error {
	f, err := c.form(providerFields...)
	if err != nil {
		return err
	}
	id, err := c.Portal.AddProvider(c.r.Context(), c.user, providerForm(f))
	if c.complain(&f, err) {
		return c.newProvider(422, f)
	}
	if err != nil {
		return err
	}
	c.flash("done", "provider.added", "name", f.Value("name"))
	return c.redirect(providersPath + "/" + id)
}

func showProvider(c *call) error { return c.providerPage(200, nil) }

// providerPage shows one provider; f is what was typed, nil for what is kept.
func (c *call) providerPage(status int, f *templates.Form) error {
	v, err := c.Portal.ProviderPage(c.r.Context(), c.user, c.param("id"))
	if err != nil {
		return err
	}
	if f == nil {
		kept := templates.ProviderForm(v)
		f = &kept
	}
	page := c.page("settings", "provider.title")
	page.Title = v.Provider.Name
	return c.showStatus(status, templates.Provider(page, v, *f, c.checksOf(providersPath+"/"+v.Provider.ID)))
}

func saveProvider(c *call) error {
	f, err := c.form(providerFields...)
	if err != nil {
		return err
	}
	id := c.param("id")
	err = c.Portal.SaveProvider(c.r.Context(), c.user, id, providerForm(f))
	if mailroom.KindOf(err) == mailroom.NotFound {
		return err
	}
	if c.complain(&f, err) {
		return c.providerPage(422, &f)
	}
	if err != nil {
		return err
	}
	c.flash("done", "provider.saved")
	return c.redirect(providersPath + "/" + id)
}

func confirmDropProvider(c *call) error {
	v, err := c.Portal.ProviderPage(c.r.Context(), c.user, c.param("id"))
	if err != nil {
		return err
	}
	return c.show(templates.ConfirmDropProvider(c.page("settings", "provider.drop.title"), v, ""))
}

func dropProvider(c *call) error {
	id := c.param("id")
	v, err := c.Portal.ProviderPage(c.r.Context(), c.user, id)
	if err != nil {
		return err
	}
	err = c.Portal.DropProvider(c.r.Context(), c.user, id)
	if e := mailroom.AsError(err); e != nil && e.Kind == mailroom.Conflict {
		return c.showAgain(templates.ConfirmDropProvider(c.page("settings", "provider.drop.title"), v, templates.ErrorText(c.t, e)))
	}
	if err != nil {
		return err
	}
	c.flash("done", "provider.dropped", "name", v.Provider.Name)
	return c.redirect(providersPath)
}

// checkProvider looks at everything that can be seen without a person. It may take
// as long as the provider and its mail server take to answer.
func checkProvider(c *call) error {
	id := c.param("id")
	checks, err := c.Portal.CheckProvider(c.r.Context(), c.user, id)
	if err != nil {
		return err
	}
	if err := c.keepChecks(providersPath+"/"+id, checks); err != nil {
		return err
	}
	return c.redirect(providersPath + "/" + id + "#checks")
}
