package web

import (
	"context"
	"encoding/json"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/templates"
)

// doctor: what stands between a person and their mail.
type doctor interface {
	DoctorPage(ctx context.Context, u mailroom.User) (portal.DoctorPage, error)
	DoctorReport(ctx context.Context, u mailroom.User, id string) (portal.DoctorReportPage, error)
	Examine(ctx context.Context, u mailroom.User, f portal.DoctorForm) (reportID string, err error)
	BeginLook(ctx context.Context, u mailroom.User, binding string, f portal.DoctorForm) (redirectURL string, err error)
	BeginSelfLook(ctx context.Context, u mailroom.User, binding string) (redirectURL string, err error)
	FinishLook(ctx context.Context, u mailroom.User, binding string, cb portal.Callback) (portal.LookOutcome, error)
	Licence(ctx context.Context, u mailroom.User) (portal.LicencePage, error)
}

const (
	doctorPath  = "/admin/doctor"
	licencePath = integrationsPath + "/licence"
	// sessionLookRefusal keeps why the last look failed, for a page whose URL has no
	// code of the provider's in it.
	sessionLookRefusal = "look_refusal"
)

// showDoctor is the page to choose whom the doctor looks at.
func showDoctor(c *call) error {
	f := templates.Form{}
	f.Set("mailbox", c.query("mailbox"))
	f.Set("address", c.query("address"))
	return c.chooseWhom(200, f)
}

func (c *call) chooseWhom(status int, f templates.Form) error {
	v, err := c.Portal.DoctorPage(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	if f.Value("mailbox") == "" && f.Value("address") == "" && f.OK() && len(v.Mailboxes) > 0 {
		f.Set("mailbox", v.Mailboxes[0].Mailbox.ID)
	}
	page := c.page("settings", "doctor.title")
	return c.showStatus(status, templates.Doctor(page, v, f, c.lookRefusal(&page)))
}

func (c *call) doctorForm() (templates.Form, portal.DoctorForm, error) {
	f, err := c.form("mailbox", "address", "provider")
	return f, portal.DoctorForm{MailboxID: f.Value("mailbox"), Address: f.Value("address"), ProviderID: f.Value("provider")}, err
}

// examine looks without the company's directory.
func examine(c *call) error {
	f, form, err := c.doctorForm()
	if err != nil {
		return err
	}
	id, err := c.Portal.Examine(c.r.Context(), c.user, form)
	if c.complain(&f, err) {
		return c.chooseWhom(422, f)
	}
	if err != nil {
		return err
	}
	return c.redirect(doctorPath + "/" + id)
}

// beginLook leaves for the provider, where an administrator of the company signs in.
func beginLook(c *call) error {
	f, form, err := c.doctorForm()
	if err != nil {
		return err
	}
	to, err := c.Portal.BeginLook(c.r.Context(), c.user, c.binding(), form)
	if c.complain(&f, err) {
		return c.chooseWhom(422, f)
	}
	if err != nil {
		return err
	}
	c.sessions.Remove(c.r.Context(), sessionLookRefusal)
	return c.sendOn(to)
}

// finishLook is where the provider sends the browser back to, for both kinds of
// looking.
func finishLook(c *call) error {
	if c.user.ID == "" { // the session ended while the person was away
		c.flash("note", "doctor.signed_out")
		return c.redirect("/sign-in?next=" + queryEscape(integrationsPath))
	}
	ctx := c.r.Context()
	out, err := c.Portal.FinishLook(ctx, c.user, c.binding(), portal.Callback{
		ProviderID: c.param("provider"),
		State:      c.query("state"), Code: c.query("code"), Issuer: c.query("iss"),
		Error: c.query("error"), ErrorDescription: c.query("error_description"), Subcode: c.query("error_subcode"),
	})
	back := doctorPath
	if out.Self {
		back = licencePath
	}
	if err != nil {
		e := mailroom.AsError(err)
		c.Log.Info("look failed", "request", reference(c.r), "kind", e.Kind, "key", e.Key)
		data, err := json.Marshal(refusal{*mailroom.ProblemOf(e, c.Now()), reference(c.r)})
		if err != nil {
			return e
		}
		c.sessions.Put(ctx, sessionLookRefusal, data)
		return c.redirect(back + "?refused=1")
	}
	c.sessions.Remove(ctx, sessionLookRefusal)
	if out.Self {
		return c.redirect(licencePath)
	}
	return c.redirect(doctorPath + "/" + out.ReportID)
}

// lookRefusal is why the last look failed, where the page is to say so.
func (c *call) lookRefusal(page *templates.Page) *mailroom.Problem {
	var r refusal
	data := c.sessions.GetBytes(c.r.Context(), sessionLookRefusal)
	if c.query("refused") == "" || data == nil || json.Unmarshal(data, &r) != nil {
		return nil
	}
	page.Reference = r.Reference
	return &r.Problem
}

func showDoctorReport(c *call) error {
	v, err := c.Portal.DoctorReport(c.r.Context(), c.user, c.param("id"))
	if err != nil {
		return err
	}
	return c.show(templates.DoctorReport(c.page("settings", "doctor.report.title", "address", v.Report.Address), v))
}

// showLicence is a recruiter's own licence.
func showLicence(c *call) error {
	v, err := c.Portal.Licence(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	page := c.page("settings", "doctor.licence.title")
	return c.show(templates.Licence(page, v, c.lookRefusal(&page)))
}

// beginSelfLook leaves for the provider with User.Read only.
func beginSelfLook(c *call) error {
	to, err := c.Portal.BeginSelfLook(c.r.Context(), c.user, c.binding())
	switch e := mailroom.AsError(err); {
	case e == nil:
	case e.Kind == mailroom.Conflict, e.Kind == mailroom.NeedsVendor: // the page says so too
		return c.redirect(licencePath)
	default:
		return err
	}
	c.sessions.Remove(c.r.Context(), sessionLookRefusal)
	return c.sendOn(to)
}
