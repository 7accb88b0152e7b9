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

// sessionRefusal keeps why the last grant failed, so that the page that says so
// has a URL without the provider's code in it.
const sessionRefusal = "refusal"

// sessionLeft is when the browser left for a provider and has not come back, in
// Unix seconds: whoever closes that window half-way finds out here that nothing
// has happened.
const sessionLeft = "left"

// leftFor is how long that is worth a word: as long as the request is good.
const leftFor = 10 * time.Minute

// showActivation is the popup of Mail - IMAP Incoming - oAuth 2.0 activation.
func showActivation(c *call) error {
	return c.activation(200, templates.Form{})
}

func (c *call) activation(status int, f templates.Form) error {
	v, err := c.integrations(templates.Form{}, templates.Form{})
	if err != nil {
		return err
	}
	var extra templates.ActivationExtra
	extra.Fresh = c.query("granted") != ""
	if v.Grant != nil && (extra.Fresh || c.query("checked") != "") {
		// What is found out is shown as it comes; the page itself waits for nobody.
		if extra.Steps, err = c.Portal.Probe(c.r.Context(), c.user, false); err != nil {
			return err
		}
		extra.StepsURL = c.r.URL.RequestURI()
	}
	if extra.Choice, err = c.Portal.GrantChoice(c.r.Context(), c.user, c.binding()); err != nil {
		c.Log.Warn("what waits cannot be read", "request", reference(c.r), "err", err) // and is no reason not to show the rest
	}
	if left := c.sessions.GetInt64(c.r.Context(), sessionLeft); left > 0 && c.Now().Sub(time.Unix(left, 0)) < leftFor {
		extra.LeftAt = time.Unix(left, 0)
	}
	if f.Value("account") == "" {
		f.Set("account", templates.AccountChoice(v.Integrations))
		f.Set("host", v.Mailbox.IMAP.Host)
		if v.Mailbox.IMAP.Port > 0 {
			f.Set("port", strconv.Itoa(v.Mailbox.IMAP.Port))
		}
		f.Set("tls", string(v.Mailbox.IMAP.TLS))
	}
	page := c.page("settings", "activation.title")
	return c.showStatus(status, templates.Activation(page, v, f, templates.Revoked(c.query("revoked")), extra))
}

// grantPermission is Grant Permission: the browser leaves for the provider. For
// an account with a password it only keeps the choice.
func grantPermission(c *call) error {
	f, err := c.form("account", "host", "port", "tls", "other")
	if err != nil {
		return err
	}
	form := accountForm(f)
	ctx := c.r.Context()
	if form.Account == mailroom.Other && form.ProviderID == "" {
		err := c.Portal.ChooseAccount(ctx, c.user, form)
		if c.complain(&f, err) {
			return c.activation(422, f)
		}
		if err != nil {
			return err
		}
		c.flash("done", "activation.chosen")
		return c.redirect(integrationsPath + "#password")
	}
	form.Other = f.Is("other", "yes")
	to, err := c.Portal.BeginGrant(ctx, c.user, c.binding(), form)
	if c.complain(&f, err) {
		return c.activation(422, f)
	}
	if err != nil {
		return err
	}
	c.sessions.Remove(ctx, sessionRefusal)
	c.sessions.Put(ctx, sessionLeft, c.Now().Unix())
	return c.sendOn(to)
}

// sendOn leaves for a provider: see policy for why this is a page and not 303.
func (c *call) sendOn(to string) error {
	page := c.page("settings", "activation.leaving")
	page.Refresh = to
	return c.show(templates.Leaving(page, to))
}

// accountForm reads the choice: "outlook:microsoft", "other:" for a password, and
// "password:icloud" for one at a server that is known by name.
func accountForm(f templates.Form) portal.AccountForm {
	kind, provider, _ := strings.Cut(f.Value("account"), ":")
	if kind == "password" {
		return portal.AccountForm{Account: mailroom.Other, Server: provider}
	}
	form := portal.AccountForm{Account: mailroom.AccountKind(kind), ProviderID: provider}
	if form.Account == mailroom.Other && provider == "" {
		port, err := strconv.Atoi(f.Value("port"))
		if err != nil && f.Value("port") != "" {
			port = -1 // no number: the portal says what a port is
		}
		form.IMAP = mailroom.Endpoint{Host: f.Value("host"), Port: port, TLS: mailroom.TLSMode(f.Value("tls"))}
	}
	return form
}

// finishGrant is where the provider sends the browser back to. Whatever it
// brings ends on a page that says what happened and what next.
func finishGrant(c *call) error {
	if c.user.ID == "" { // the session ended while the person was away
		c.flash("note", "activation.signed_out")
		return c.redirect("/sign-in?next=" + queryEscape(activationPath))
	}
	ctx := c.r.Context()
	c.sessions.Remove(ctx, sessionLeft)
	outcome, err := c.Portal.FinishGrant(ctx, c.user, c.binding(), portal.Callback{
		ProviderID: c.param("provider"),
		State:      c.query("state"), Code: c.query("code"), Issuer: c.query("iss"),
		Error: c.query("error"), ErrorDescription: c.query("error_description"), Subcode: c.query("error_subcode"),
	})
	return c.granted(outcome, err)
}

// granted goes on after what a provider or a person answered.
func (c *call) granted(outcome mailroom.GrantOutcome, err error) error {
	switch {
	case err != nil:
		return c.refused(err)
	case outcome.Again != "":
		return c.sendOn(outcome.Again)
	case outcome.Choice != nil:
		return c.redirect(choicePath)
	}
	ctx := c.r.Context()
	c.sessions.Remove(ctx, sessionRefusal)
	if _, err := c.Portal.Probe(ctx, c.user, true); err != nil {
		c.Log.Warn("the mailbox is not tried", "request", reference(c.r), "err", err)
	}
	return c.redirect(activationPath + "?granted=1")
}

const choicePath = activationPath + "/choice"

// showGrantChoice asks what only the person knows, or says why it could not be
// told whose mailbox it is.
func showGrantChoice(c *call) error {
	choice, err := c.Portal.GrantChoice(c.r.Context(), c.user, c.binding())
	if err != nil {
		return err
	}
	if choice == nil {
		return c.redirect(activationPath)
	}
	v, err := c.integrations(templates.Form{}, templates.Form{})
	if err != nil {
		return err
	}
	title := "activation.untold.title"
	if choice.Shared {
		title = "activation.shared.title"
	}
	return c.show(templates.GrantChoice(c.page("settings", title), v, *choice))
}

func decideGrant(c *call) error {
	f, err := c.form("id", "do")
	if err != nil {
		return err
	}
	outcome, err := c.Portal.DecideGrant(c.r.Context(), c.user, c.binding(), f.Value("id"), f.Value("do"))
	switch {
	case err == nil && f.Is("do", portal.ChoiceDecline):
		c.flash("note", "activation.choice.forgotten")
		return c.redirect(activationPath)
	case mailroom.KindOf(err) == mailroom.Invalid && mailroom.AsError(err).Key == "error.form":
		return err
	}
	return c.granted(outcome, err)
}

// checkMailbox has the steps after a grant tried once more.
func checkMailbox(c *call) error {
	if _, err := c.Portal.Probe(c.r.Context(), c.user, true); err != nil {
		return err
	}
	return c.redirect(activationPath + "?checked=1#steps")
}

// refusal is a failed grant as it is kept for its page.
type refusal struct {
	Problem   mailroom.Problem
	Reference string
}

func (c *call) refused(err error) error {
	e := mailroom.AsError(err)
	c.Log.Info("grant failed", "request", reference(c.r), "kind", e.Kind, "key", e.Key)
	data, err := json.Marshal(refusal{*mailroom.ProblemOf(e, c.Now()), reference(c.r)})
	if err != nil {
		return e
	}
	c.sessions.Put(c.r.Context(), sessionRefusal, data)
	return c.redirect(activationPath + "/refused")
}

func showRefusal(c *call) error {
	var r refusal
	data := c.sessions.GetBytes(c.r.Context(), sessionRefusal)
	if data == nil || json.Unmarshal(data, &r) != nil {
		return c.redirect(activationPath)
	}
	v, err := c.integrations(templates.Form{}, templates.Form{})
	if err != nil {
		return err
	}
	choice, err := c.Portal.GrantChoice(c.r.Context(), c.user, c.binding())
	if err != nil {
		c.Log.Warn("what waits cannot be read", "request", reference(c.r), "err", err)
	}
	page := c.page("settings", "activation.refused.title")
	page.Reference = r.Reference
	return c.show(templates.Refused(page, v, &r.Problem, choice != nil))
}

func confirmRevoke(c *call) error {
	v, err := c.integrations(templates.Form{}, templates.Form{})
	if err != nil {
		return err
	}
	if v.Grant == nil {
		return c.redirect(activationPath)
	}
	return c.show(templates.ConfirmRevoke(c.page("settings", "activation.revoke.title"), v))
}

// revokePermission erases our tokens and says honestly what remains.
func revokePermission(c *call) error {
	outcome, err := c.Portal.Revoke(c.r.Context(), c.user)
	switch {
	case mailroom.KindOf(err) == mailroom.Conflict: // revoked already, in another tab
		return c.redirect(activationPath)
	case err != nil:
		return err
	}
	how := templates.RevokedHere
	switch {
	case outcome.ProviderRevoked:
		how = templates.RevokedThere
	case outcome.ProviderFailed:
		how = templates.RevokeFailed
	}
	if outcome.ConnectionsOpen {
		how = how.StillOpen()
	}
	return c.redirect(activationPath + "?revoked=" + string(how))
}
