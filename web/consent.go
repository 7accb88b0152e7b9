package web

import (
	"crypto/rand"
	"net/http"
	"strings"

	"mailroom/internal/mailroom"
	"mailroom/templates"
)

const (
	consentsPath   = "/admin/consent"
	ownConsentPath = "/settings/integrations/consent"
	// sessionConsent ties journeys to a provider's consent to this browser session,
	// a stranger's too.
	sessionConsent = "consent"
	// sessionAnswer keeps what became of an answer, see answered.
	sessionAnswer = "consent_answer"
)

// consentBinding is made when somebody leaves for a provider, and stays.
func (c *call) consentBinding() string {
	ctx := c.r.Context()
	if b := c.sessions.GetString(ctx, sessionConsent); b != "" {
		return b
	}
	b := rand.Text()
	c.sessions.Put(ctx, sessionConsent, b)
	return b
}

// invitationURL is a link's address as it is sent to people.
func (c *call) invitationURL(token string) string {
	return c.PublicURL.Scheme + "://" + c.PublicURL.Host + invitationPath(token)
}

func invitationPath(token string) string { return "/consent/" + token }

func showConsents(c *call) error {
	return c.consents(http.StatusOK, templates.Form{})
}

func (c *call) consents(status int, f templates.Form) error {
	v, err := c.Portal.Consents(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	return c.showStatus(status, templates.Consents(c.page("settings", "consent.title"), v, f))
}

// goConsent sends the signed-in administrator to the provider.
func goConsent(c *call) error {
	f, err := c.form("provider", "tenant")
	if err != nil {
		return err
	}
	to, err := c.Portal.BeginConsent(c.r.Context(), c.user, c.consentBinding(), f.Value("provider"), f.Value("tenant"))
	if c.complain(&f, err) {
		return c.consents(http.StatusUnprocessableEntity, f)
	}
	if err != nil {
		return err
	}
	return c.sendOn(to)
}

func makeConsentLink(c *call) error {
	f, err := c.form("provider", "tenant")
	if err != nil {
		return err
	}
	id, err := c.Portal.MakeCompanyLink(c.r.Context(), c.user, f.Value("provider"), f.Value("tenant"))
	if c.complain(&f, err) {
		return c.consents(http.StatusUnprocessableEntity, f)
	}
	if err != nil {
		return err
	}
	return c.redirect(consentsPath + "/links/" + id)
}

// showConsentLink is a link to copy, to mail, and to withdraw.
func showConsentLink(c *call) error {
	v, err := c.Portal.ConsentLink(c.r.Context(), c.user, c.param("id"))
	if err != nil {
		return err
	}
	return c.show(templates.ConsentLink(c.page("settings", "consent.link.title"), v, c.invitationURL(v.Token)))
}

func withdrawConsentLink(c *call) error {
	if err := c.Portal.WithdrawConsentLink(c.r.Context(), c.user, c.param("id")); err != nil {
		return err
	}
	c.flash("done", "consent.withdrawn")
	return c.redirect(consentsPath)
}

// showOwnConsent is where a recruiter waits for their company's approval.
func showOwnConsent(c *call) error {
	v, err := c.Portal.OwnConsent(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	url := ""
	if v.Invitation != nil {
		url = c.invitationURL(v.Invitation.Token)
	}
	return c.show(templates.OwnConsent(c.page("settings", "consent.own.title"), v, url))
}

func makeOwnConsentLink(c *call) error {
	_, err := c.Portal.MakeConsentLink(c.r.Context(), c.user)
	switch mailroom.KindOf(err) {
	case "":
	case mailroom.Conflict, mailroom.NotFound: // no address yet, or nobody to ask: the page says so
	default:
		return err
	}
	return c.redirect(ownConsentPath)
}

// showInvitation is what an IT administrator without an account reads.
func showInvitation(c *call) error {
	v, err := c.Portal.OpenInvitation(c.r.Context(), c.user, c.param("token"))
	if err != nil {
		return c.consentEnds(err)
	}
	return c.show(templates.Invitation(c.page("", "consent.page.title", "organization", v.Organization), v, c.invitationURL(v.Token)))
}

// goByLink sends the holder of a link to the provider. It is a POST, so that no
// program that only looks at links goes there.
func goByLink(c *call) error {
	f, err := c.form("any")
	if err != nil {
		return err
	}
	to, err := c.Portal.GoByLink(c.r.Context(), c.param("token"), c.consentBinding(), f.Is("any", "yes"))
	if err != nil {
		return c.consentEnds(err)
	}
	return c.sendOn(to)
}

// finishConsent is where a provider sends an administrator's browser back to. The
// page that follows has an address without what came.
func finishConsent(c *call) error {
	a := mailroom.ConsentAnswer{
		ProviderID: c.param("provider"), State: c.query("state"), Tenant: c.query("tenant"), Consented: strings.EqualFold(c.query("admin_consent"), "true"),
		Error: c.query("error"), ErrorDescription: c.query("error_description"), Subcode: c.query("error_subcode"),
	}
	if a.State == "" { // by the plain link: nobody here sent them
		if a.Error == "" && a.Consented {
			return c.answered(plainConsent)
		}
		return c.answered(plainRefusal)
	}
	j, token, err := c.Portal.FinishConsent(c.r.Context(), c.sessions.GetString(c.r.Context(), sessionConsent), a)
	switch {
	case err != nil && strings.HasPrefix(mailroom.AsError(err).Key, "consent.error."):
		c.Log.Info("consent not noted", "request", reference(c.r), "key", mailroom.AsError(err).Key)
		return c.answered(mailroom.AsError(err).Key)
	case err != nil:
		return err
	case token != "":
		return c.redirect(invitationPath(token) + "#state")
	case c.user.ID == "": // signed out while they were away
		c.flash("note", "consent.signed_out")
		return c.redirect("/sign-in?next=" + queryEscape(consentsPath))
	}
	if j.Problem != nil {
		c.flashText("bad", templates.ConsentRefusal(c.t, j.Problem))
	} else {
		c.flash("note", "consent.reported.flash")
	}
	return c.redirect(consentsPath)
}

// Answers by the provider's plain link.
const (
	plainConsent = "plain"
	plainRefusal = "plain.not"
)

// answered keeps what became of an answer, so that the page that says so has an
// address without what the provider sent.
func (c *call) answered(what string) error {
	c.sessions.Put(c.r.Context(), sessionAnswer, what)
	return c.redirect("/consent/answer")
}

// showConsentAnswer says what became of an answer that no link's page tells of.
func showConsentAnswer(c *call) error {
	switch what := c.sessions.GetString(c.r.Context(), sessionAnswer); what {
	case plainConsent:
		return c.show(templates.ConsentByPlainLink(c.page("", "consent.plain.title"), true))
	case plainRefusal:
		return c.show(templates.ConsentByPlainLink(c.page("", "consent.plain.title.not"), false))
	case "":
		what = "consent.error.state" // an old address, or a browser that keeps no cookies
		fallthrough
	default:
		return c.show(templates.ConsentEnds(c.page("", "consent.ends.answer"), mailroom.E(mailroom.Conflict, what)))
	}
}

// consentEnds is the page for a link that is not good, for people who may have no
// account here: it says what happened and what next. Our own faults are for the page
// of errors.
func (c *call) consentEnds(err error) error {
	e := mailroom.AsError(err)
	if !strings.HasPrefix(e.Key, "consent.error.") {
		return err
	}
	c.Log.Info("consent link not good", "request", reference(c.r), "kind", e.Kind, "key", e.Key)
	return c.showStatus(status(e.Kind), templates.ConsentEnds(c.page("", "consent.ends.link"), e))
}
