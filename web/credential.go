package web

import (
	"encoding/pem"
	"io"
	"strings"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/templates"
)

const credentialsPath = "/admin/credentials"

func showNewCredential(c *call) error {
	f := templates.Form{}
	f.Set("use", c.query("use"))
	if !f.Is("use", string(mailroom.UseDoctor)) {
		f.Set("use", string(mailroom.UseMail))
	}
	f.Set("kind", portal.CredentialSecret)
	return c.newCredential(200, f)
}

func (c *call) newCredential(status int, f templates.Form) error {
	v, err := c.Portal.ProviderPage(c.r.Context(), c.user, c.param("id"))
	if err != nil {
		return err
	}
	if f.Is("use", string(mailroom.UseDoctor)) && v.Provider.Directory == nil {
		return mailroom.E(mailroom.NotFound, "error.not_found")
	}
	if len(v.Doctor) > 0 && f.Value("client_id") == "" {
		f.Set("client_id", v.Doctor[0].ClientID)
	}
	return c.showStatus(status, templates.NewCredential(c.page("settings", "credential.new.title"), v, templates.ProviderForm(v), f))
}

// addCredential tries what was added at once, and ends where that can be read.
func addCredential(c *call) error {
	f, err := c.form("use", "kind", "client_id", "expires")
	if err != nil {
		return err
	}
	cr, check, err := c.Portal.AddCredential(c.r.Context(), c.user, c.param("id"), portal.CredentialForm{
		Use: mailroom.CredentialUse(f.Value("use")), Kind: f.Value("kind"), ClientID: f.Value("client_id"),
		Secret: c.secret("secret"), Expires: f.Value("expires"), PEM: c.secret("pem"),
	})
	if mailroom.KindOf(err) == mailroom.NotFound {
		return err
	}
	if c.complain(&f, err) {
		return c.newCredential(422, f)
	}
	if err != nil {
		return err
	}
	at := credentialsPath + "/" + cr.ID
	if check != nil {
		if err := c.keepChecks(at, []mailroom.Check{*check}); err != nil {
			return err
		}
	}
	c.flash("done", "credential.added")
	return c.redirect(at)
}

func showCredential(c *call) error {
	v, err := c.Portal.CredentialPage(c.r.Context(), c.user, c.param("id"))
	if err != nil {
		return err
	}
	return c.show(templates.Credential(c.page("settings", "credential.title"), v, c.checksOf(credentialsPath+"/"+v.Credential.ID)))
}

func proveCredential(c *call) error {
	at := credentialsPath + "/" + c.param("id")
	_, check, err := c.Portal.ProveCredential(c.r.Context(), c.user, c.param("id"))
	if mailroom.KindOf(err) == mailroom.Conflict {
		c.flashText("bad", templates.ErrorText(c.t, mailroom.AsError(err)))
		return c.redirect(at)
	}
	if err != nil {
		return err
	}
	if err := c.keepChecks(at, []mailroom.Check{check}); err != nil {
		return err
	}
	return c.redirect(at)
}

func confirmDropCredential(c *call) error {
	v, err := c.Portal.CredentialPage(c.r.Context(), c.user, c.param("id"))
	if err != nil {
		return err
	}
	return c.show(templates.ConfirmDropCredential(c.page("settings", "credential.drop.title"), v, ""))
}

func dropCredential(c *call) error {
	f, err := c.form("force")
	if err != nil {
		return err
	}
	v, err := c.Portal.CredentialPage(c.r.Context(), c.user, c.param("id"))
	if err != nil {
		return err
	}
	providerID, err := c.Portal.DropCredential(c.r.Context(), c.user, v.Credential.ID, f.Is("force", "yes"))
	if e := mailroom.AsError(err); e != nil && e.Kind == mailroom.Conflict {
		return c.showAgain(templates.ConfirmDropCredential(c.page("settings", "credential.drop.title"), v, templates.ErrorText(c.t, e)))
	}
	if err != nil {
		return err
	}
	c.flash("done", "credential.dropped")
	return c.redirect(providersPath + "/" + providerID + "#credentials")
}

// downloadCertificate gives the public part: in DER form (.cer), which Entra takes
// on every system, or in PEM form.
func downloadCertificate(c *call) error {
	v, err := c.Portal.CredentialPage(c.r.Context(), c.user, c.param("id"))
	if err != nil {
		return err
	}
	block, _ := pem.Decode([]byte(v.Credential.Certificate))
	if block == nil {
		return mailroom.E(mailroom.NotFound, "error.not_found")
	}
	name, body := "mailroom-"+v.Provider.ID+".cer", string(block.Bytes)
	if c.query("as") == "pem" {
		name, body = "mailroom-"+v.Provider.ID+".pem", v.Credential.Certificate
	}
	return c.download(portal.Download{Name: name, Size: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))})
}
