package app_test

import (
	"net/url"
	"strings"
	"testing"

	"mailroom/internal/app"
	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/internal/pretend/world"
)

// clinic is a Mailroom in the pretend world with an administrator, Marieke, and
// two recruiters, driven without a browser.
type clinic struct {
	t     *testing.T
	w     *world.World
	app   *app.App
	admin mailroom.User
}

func openClinic(t *testing.T) *clinic {
	w, err := world.Start(world.Options{Large: 20, Huge: 20, RedirectURIs: []string{"http://127.0.0.1/oauth/callback/microsoft"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	c := &clinic{t: t, w: w, app: start(t, ground{mailbox: w.Users[0].Mailbox, known: "a subject that nobody wrote", providers: mailroom.Providers{w.Provider()}}, "")}
	c.admin, err = c.app.Portal.AddOrganization(t.Context(), portal.SetupForm{Organization: "Havenlicht", Name: "Marieke", Email: "marieke@havenlicht.example", Password: "a long admin password"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const session = "the browser session's own secret"

// recruiter types the address of a mailbox, and grants if the provider lets them.
func (c *clinic) recruiter(address string, grant bool) mailroom.User {
	c.t.Helper()
	ctx := c.t.Context()
	u, _, err := c.app.Portal.AddUser(ctx, c.admin, portal.UserForm{Email: address, Name: address, Role: mailroom.Recruiter})
	if err == nil {
		err = c.app.Portal.SaveAddress(ctx, u, address, false)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	to, err := c.app.Portal.BeginGrant(ctx, u, session, portal.AccountForm{Account: mailroom.Outlook, ProviderID: "microsoft"})
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.app.Portal.FinishGrant(ctx, u, session, c.answer(to, address)); (err == nil) != grant {
		c.t.Fatalf("%s grants: %v", address, err)
	}
	return u
}

// answer is what the browser brings back when somebody signs in and accepts.
func (c *clinic) answer(to, email string) portal.Callback {
	c.t.Helper()
	at, err := c.w.Issuer.Code(to, email)
	if err != nil {
		c.t.Fatal(err)
	}
	q := at.Query()
	return portal.Callback{ProviderID: "microsoft", State: q.Get("state"), Code: q.Get("code"), Error: q.Get("error"), ErrorDescription: q.Get("error_description"), Subcode: q.Get("error_subcode")}
}

func (c *clinic) mailbox(address string) string {
	c.t.Helper()
	v, err := c.app.Portal.DoctorPage(c.t.Context(), c.admin)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, m := range v.Mailboxes {
		if m.Mailbox.Address == address {
			return m.Mailbox.ID
		}
	}
	c.t.Fatalf("no mailbox %s", address)
	return ""
}

// looks has Marieke look into the directory, signed in at the provider as somebody.
func (c *clinic) looks(address, as string) (map[string]string, error) {
	c.t.Helper()
	ctx := c.t.Context()
	to, err := c.app.Portal.BeginLook(ctx, c.admin, session, portal.DoctorForm{MailboxID: c.mailbox(address)})
	if err != nil {
		c.t.Fatal(err)
	}
	if q, _ := url.Parse(to); q.Query().Get("client_id") != c.w.DoctorID || q.Query().Get("code_challenge") == "" || strings.Contains(q.Query().Get("scope"), "IMAP") {
		c.t.Errorf("the browser is sent to %s", to)
	}
	out, err := c.app.Portal.FinishLook(ctx, c.admin, session, c.answer(to, as))
	if err != nil {
		return nil, err
	}
	return c.rows(out.ReportID), nil
}

// rows are a report's rows in a word each: "ok", or the last word of the reason.
func (c *clinic) rows(id string) map[string]string {
	c.t.Helper()
	v, err := c.app.Portal.DoctorReport(c.t.Context(), c.admin, id)
	if err != nil {
		c.t.Fatal(err)
	}
	out := map[string]string{}
	for _, r := range v.Report.Checks {
		name, variant, _ := strings.Cut(r.Name[strings.LastIndexByte(r.Name, '.')+1:], "_")
		if strings.HasPrefix(r.Name, "probe.") {
			name = r.Name
		}
		switch {
		case r.Result == mailroom.CheckOK && strings.HasPrefix(r.Name, "probe."):
			out[name] = "ok"
		case r.Result == mailroom.CheckOK:
			out[name] = strings.TrimSpace("ok " + variant)
		case r.Result == mailroom.CheckFailed:
			out[name] = "not ok: " + r.Problem.Key[strings.LastIndexByte(r.Problem.Key, '.')+1:]
		default:
			out[name] = "not checked: " + r.Problem.Key[strings.LastIndexByte(r.Problem.Key, '.')+1:]
		}
	}
	return out
}

func (c *clinic) wants(got map[string]string, want map[string]string) {
	c.t.Helper()
	for name, w := range want {
		if got[name] != w {
			c.t.Errorf("%s is %q, want %q in %v", name, got[name], w, got)
		}
	}
}

// The guide's steps in the pretend tenant, each gone wrong at the provider, the
// mail server and the directory alike, and the doctor names it.
func TestDoctorNamesWhoCanMendIt(t *testing.T) {
	c := openClinic(t)
	sanne, thomas, boss := c.w.Users[0].Email, c.w.Users[1].Email, c.w.Users[2].Email
	c.recruiter(sanne, true)
	rows, err := c.looks(sanne, boss)
	if err != nil {
		t.Fatal(err)
	}
	c.wants(rows, map[string]string{"user": "ok", "app": "ok", "assigned": "ok group", "consent": "ok own", "policy": "ok", "licence": "ok", "probe.open": "ok", "probe.folders": "ok"})

	// Only an administrator may consent, and has not.
	c.w.SetUsersConsent(false)
	c.recruiter(thomas, false)
	rows, err = c.looks(thomas, boss)
	if err != nil {
		t.Fatal(err)
	}
	c.wants(rows, map[string]string{"app": "ok", "consent": "not ok: consent_missing", "policy": "not ok: policy_asks", "imap": "not checked: no_grant"})
	id, err := c.app.Portal.Examine(t.Context(), c.admin, portal.DoctorForm{MailboxID: c.mailbox(thomas)})
	if err != nil {
		t.Fatal(err)
	}
	// Without looking, what the provider said is known all the same.
	c.wants(c.rows(id), map[string]string{"consent": "not ok: consent_missing", "app": "not checked: not_looked", "licence": "not checked: not_looked"})

	// The administrator consents, and takes Thomas off the list.
	c.w.Issuer.GrantAdminConsent(true)
	c.w.Assign(thomas, false)
	rows, err = c.looks(thomas, boss)
	if err != nil {
		t.Fatal(err)
	}
	c.wants(rows, map[string]string{"consent": "ok", "policy": "ok unneeded", "assigned": "not ok: not_assigned"})

	// A licence without a mailbox: the mail server says the same as for IMAP off.
	c.w.License(sanne, false)
	rows, err = c.looks(sanne, boss)
	if err != nil {
		t.Fatal(err)
	}
	c.wants(rows, map[string]string{"licence": "not ok: licence_other", "probe.sign_in": "ok", "probe.open": "not ok: imap_licence"})

	// Somebody who may not consent to looking.
	if _, err := c.looks(sanne, sanne); mailroom.AsError(err) == nil || mailroom.AsError(err).Key != "doctor.error.denied" {
		t.Errorf("a recruiter lets the doctor in: %v", err)
	}
}

func TestRecruiterSeesTheirOwnLicence(t *testing.T) {
	c := openClinic(t)
	sanne := c.recruiter(c.w.Users[0].Email, true)
	self := func() map[string]string {
		t.Helper()
		to, err := c.app.Portal.BeginSelfLook(t.Context(), sanne, session)
		if err != nil {
			t.Fatal(err)
		}
		if q, _ := url.Parse(to); strings.Contains(q.Query().Get("scope"), "Directory") || q.Query().Get("login_hint") != c.w.Users[0].Email {
			t.Errorf("the browser is sent to %s", to)
		}
		out, err := c.app.Portal.FinishLook(t.Context(), sanne, session, c.answer(to, c.w.Users[0].Email))
		if err != nil || !out.Self {
			t.Fatal(out, err)
		}
		return c.rows(out.ReportID)
	}
	c.wants(self(), map[string]string{"self": "ok", "licence": "ok"})
	c.w.License(c.w.Users[0].Email, false)
	c.wants(self(), map[string]string{"self": "ok", "licence": "not ok: licence_other"})
}

// lookInto has the doctor look at a mailbox, with an administrator who consents at
// the provider, in a browser.
func lookInto(v visit, mailbox, as string) {
	v.t.Helper()
	v.open("/admin/doctor?address=" + url.QueryEscape(mailbox))
	v.press("Look into Microsoft 365")
	v.click("[data-account='" + as + "']")
	v.click("#consent-accept")
	v.see("What was found", mailbox)
}
