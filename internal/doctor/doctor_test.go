package doctor_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"mailroom/internal/doctor"
	"mailroom/internal/graph"
	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
	pretend "mailroom/internal/pretend/graph"
)

const (
	noor    = "noor@werk.example"
	mailApp = "11111111-2222-4333-8444-555555555555"
	tenant  = "aaaaaaaa-2222-4333-8444-555555555555"
	imap    = "https://outlook.office.com/IMAP.AccessAsUser.All"
)

var scopes = []string{imap, "offline_access", "openid", "email", "profile"}

// ward is a tenant in which everything is well, with the switches to make it
// otherwise.
type ward struct {
	t       *testing.T
	dir     *pretend.Server
	doctor  *doctor.Doctor
	patient mailroom.Patient
	permit  *mailroom.DoctorPermit
	probed  []mailroom.Check
	may     []string
}

func openWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{t: t, may: []string{"Directory.Read.All", "Policy.Read.All"}}
	well := pretend.Tenant{
		Users:    []pretend.User{{Email: noor, Name: "Noor", SignIn: "n.visser@werk.example", Licences: []pretend.Licence{pretend.Basic(), pretend.Business()}}},
		Policies: []string{pretend.Recommended},
		Groups:   []pretend.Group{{Name: "Recruiters", Members: []string{noor}}, {Name: "All staff", Members: []string{"Recruiters"}}},
	}
	well.Consent(mailApp, "Mailroom", scopes...)
	a := well.App(mailApp)
	a.AssignmentRequired, a.Assigned = true, []string{noor}
	var err error
	w.dir, err = pretend.Start(pretend.Options{Tenant: well, Read: func(string) (pretend.Reader, bool) {
		return pretend.Reader{Email: noor, Scopes: w.may}, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.dir.Close() })
	c := graph.New(graph.Options{})
	w.doctor = &doctor.Doctor{
		Open:  func(p mailroom.Provider, token string) doctor.Directory { return c.Directory(p, token) },
		Probe: func(context.Context, mailroom.Mailbox) []mailroom.Check { return w.probed },
	}
	w.probed = []mailroom.Check{mailroom.Passed("probe.open", nil)}
	w.patient = mailroom.Patient{
		Provider: mailroom.Provider{ID: "microsoft", Name: "Outlook", Company: "Microsoft", ClientID: mailApp, Scopes: scopes, Loopback: true,
			Directory: &mailroom.Directory{URL: w.dir.URL(), MailService: pretend.MailService}},
		Address: noor, Account: noor, Mailbox: &mailroom.Mailbox{ID: "mbx_1", Address: noor}, Grant: &mailroom.Grant{Account: noor, TenantID: tenant}, Ready: true,
	}
	w.permit = &mailroom.DoctorPermit{Token: "good", TenantID: tenant}
	return w
}

func (w *ward) tenant(change func(*pretend.Tenant)) { w.dir.Change(change) }
func (w *ward) app(change func(*pretend.App)) {
	w.dir.Change(func(t *pretend.Tenant) { change(t.App(mailApp)) })
}
func (w *ward) user(change func(*pretend.User)) {
	w.dir.Change(func(t *pretend.Tenant) { change(t.User(noor)) })
}

// plan gives Noor one licence with one plan.
func (w *ward) plan(id, name, status string) {
	w.user(func(u *pretend.User) {
		u.Licences = []pretend.Licence{{Name: "SKU", Plans: []pretend.Plan{pretend.Foundation, {ID: id, Name: name, Status: status}}}}
	})
}

// row finds a row whose name begins so.
func row(checks []mailroom.Check, name string) mailroom.Check {
	for _, c := range checks {
		if strings.HasPrefix(c.Name, "doctor.check."+name) || c.Name == name {
			return c
		}
	}
	return mailroom.Check{}
}

// said is a check in a word: "ok", "ok assigned_group", "not_assigned", "? forbidden".
func said(c mailroom.Check, name string) string {
	variant := strings.TrimPrefix(strings.TrimPrefix(c.Name, "doctor.check."), name)
	switch c.Result {
	case mailroom.CheckOK:
		return "ok" + variant
	case mailroom.CheckFailed:
		return lastWord(c.Problem.Key) + " → " + c.Problem.Kind.Fixer()
	case mailroom.CheckUnknown:
		return "? " + lastWord(c.Problem.Key)
	}
	return "no such row"
}

func lastWord(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// speaks fails on a row without words in either language, or with a gap in them.
func speaks(t *testing.T, checks []mailroom.Check) {
	t.Helper()
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if !strings.HasPrefix(c.Name, "doctor.") {
			continue
		}
		for _, lang := range i18n.Languages {
			words := []string{c.Name}
			args := c.Args
			if c.Result == mailroom.CheckOK {
				words = append(words, c.Name+".ok")
			} else {
				words, args = append(words, c.Problem.Key), c.Problem.Args
			}
			for _, key := range words {
				text := b.For(lang).Text(key, args)
				if !b.For(lang).Has(key) || strings.ContainsAny(text, "{}") {
					t.Errorf("%s: %s says %q", lang, key, text)
				}
			}
		}
	}
}

var forever = -1

func TestEveryRow(t *testing.T) {
	forbidden := pretend.Reply{Status: 403, Body: `{"error":{"code":"Authorization_RequestDenied"}}`}
	later := pretend.Reply{Status: 429}
	own := func(w *ward) {
		w.app(func(a *pretend.App) {
			a.Consents = []pretend.Consent{{User: noor, Scopes: []string{"imap.accessasuser.all"}}}
		})
	}
	none := func(w *ward) { w.app(func(a *pretend.App) { a.Consents = nil }) }
	for _, c := range []struct {
		name string
		make func(*ward)
		row  string
		want string
	}{
		{"well", nil, "user", "ok"},
		{"user by alias", func(w *ward) {
			w.user(func(u *pretend.User) { u.Email, u.Aliases = "other@werk.example", []string{noor} })
		}, "user", "ok"},
		{"nobody of that address", func(w *ward) { w.patient.Account = "nora@werk.example" }, "user", "user_missing → you"},
		{"blocked", func(w *ward) { w.user(func(u *pretend.User) { u.Disabled = true }) }, "user", "user_blocked → admin"},
		{"users not to be seen", func(w *ward) { w.dir.FailNext("users", forever, forbidden) }, "user", "? forbidden"},
		{"another company", func(w *ward) { w.permit.TenantID = "bbbbbbbb-2222-4333-8444-555555555555" }, "user", "other_tenant → you"},

		{"well", nil, "app", "ok"},
		{"never consented", func(w *ward) { w.tenant(func(t *pretend.Tenant) { t.Apps = nil }) }, "app", "app_missing → admin"},
		{"switched off", func(w *ward) { w.app(func(a *pretend.App) { a.Disabled = true }) }, "app", "app_disabled → admin"},
		{"blocked by Microsoft", func(w *ward) {
			w.app(func(a *pretend.App) { a.DisabledByVendor = "DisabledDueToViolationOfServicesAgreement" })
		}, "app", "app_blocked → vendor"},
		{"not to be seen, and no grant", func(w *ward) { w.dir.FailNext("servicePrincipals", forever, forbidden); w.patient.Grant = nil }, "app", "? forbidden"},
		{"not to be seen, but granted", func(w *ward) { w.dir.FailNext("servicePrincipals", forever, forbidden) }, "app", "ok_granted"},

		{"well", nil, "assigned", "ok"},
		{"not required", func(w *ward) { w.app(func(a *pretend.App) { a.AssignmentRequired, a.Assigned = false, nil }) }, "assigned", "ok_open"},
		{"by group", func(w *ward) { w.app(func(a *pretend.App) { a.Assigned = []string{"Recruiters"} }) }, "assigned", "ok_group"},
		{"by a group in a group", func(w *ward) { w.app(func(a *pretend.App) { a.Assigned = []string{"All staff"} }) }, "assigned", "assigned_nested → admin"},
		{"not", func(w *ward) { w.app(func(a *pretend.App) { a.Assigned = []string{"pim@werk.example"} }) }, "assigned", "not_assigned → admin"},
		{"not, and groups not to be seen", func(w *ward) {
			w.app(func(a *pretend.App) { a.Assigned = nil })
			w.dir.FailNext("memberOf", forever, forbidden)
		}, "assigned", "not_assigned → admin"},
		{"seen from the other side", func(w *ward) { w.dir.FailNext("appRoleAssignments", forever, forbidden) }, "assigned", "ok"},
		{"by group, from the other side", func(w *ward) {
			w.app(func(a *pretend.App) { a.Assigned = []string{"Recruiters"} })
			w.dir.FailNext("appRoleAssignments", forever, forbidden)
		}, "assigned", "ok_group"},
		{"not to be seen from either side", func(w *ward) {
			w.patient.Grant = nil
			w.dir.FailNext("appRoleAssignments", forever, forbidden)
			w.dir.FailNext("appRoleAssignedTo", forever, forbidden)
		}, "assigned", "? forbidden"},
		{"no application to be assigned to", func(w *ward) { w.tenant(func(t *pretend.Tenant) { t.Apps = nil }); w.patient.Grant = nil }, "assigned", "? row_before"},

		{"well", nil, "consent", "ok"},
		{"nobody's", none, "consent", "consent_missing → admin"},
		{"one's own", own, "consent", "ok_own"},
		{"somebody else's", func(w *ward) {
			w.app(func(a *pretend.App) {
				a.Consents = []pretend.Consent{{User: "pim@werk.example", Scopes: []string{"IMAP.AccessAsUser.All"}}}
			})
		}, "consent", "consent_missing → admin"},
		{"without mail", func(w *ward) { w.tenant(func(t *pretend.Tenant) { t.Consent(mailApp, "", "openid", "profile") }) }, "consent", "consent_scopes → admin"},
		{"a scope that only begins the same", func(w *ward) {
			w.app(func(a *pretend.App) {
				a.Consents = []pretend.Consent{{Scopes: []string{"IMAP.AccessAsUser.All.Shared"}}}
			})
		}, "consent", "consent_scopes → admin"},
		{"of another service", func(w *ward) {
			w.app(func(a *pretend.App) {
				a.Consents = []pretend.Consent{{Service: "00000003-0000-0000-c000-000000000000", Scopes: []string{"IMAP.AccessAsUser.All"}}}
			})
			w.patient.Grant = nil
		}, "consent", "? consent_elsewhere"},
		{"without signing in, where people may", func(w *ward) { w.tenant(func(t *pretend.Tenant) { t.Consent(mailApp, "", imap) }) }, "consent", "ok"},
		{"without signing in, where nobody may", func(w *ward) {
			w.tenant(func(t *pretend.Tenant) { t.Consent(mailApp, "", imap); t.Policies = nil })
		}, "consent", "consent_scopes → admin"},
		{"no Exchange Online", func(w *ward) { w.tenant(func(t *pretend.Tenant) { t.WithoutExchange = true }) }, "consent", "no_exchange → admin"},
		{"not to be seen", func(w *ward) { w.dir.FailNext("oauth2PermissionGrants", forever, forbidden); w.patient.Grant = nil }, "consent", "? forbidden"},
		{"asked to wait", func(w *ward) { w.dir.FailNext("oauth2PermissionGrants", forever, later); w.patient.Grant = nil }, "consent", "? throttled"},

		{"consented already", nil, "policy", "ok_unneeded"},
		{"people may", func(w *ward) {
			none(w)
			w.tenant(func(t *pretend.Tenant) { t.Policies = []string{pretend.Low, pretend.Legacy} })
		}, "policy", "ok"},
		{"only the rest", none, "policy", "policy_blocks → admin"},
		{"nothing", func(w *ward) { none(w); w.tenant(func(t *pretend.Tenant) { t.Policies = nil }) }, "policy", "policy_blocks → admin"},
		{"owners of groups", func(w *ward) {
			none(w)
			w.tenant(func(t *pretend.Tenant) {
				t.Policies = []string{"ManagePermissionGrantsForOwnedResource.microsoft-dynamically-managed"}
			})
		}, "policy", "policy_blocks → admin"},
		{"they may ask", func(w *ward) { none(w); w.tenant(func(t *pretend.Tenant) { t.Requests = true }) }, "policy", "policy_asks → admin"},
		{"a rule of one's own", func(w *ward) {
			none(w)
			w.tenant(func(t *pretend.Tenant) { t.Policies = []string{"managePermissionGrantsForSelf.our-rule", pretend.Low} })
		}, "policy", "? policy_own"},
		{"consent not to be seen", func(w *ward) { w.dir.FailNext("oauth2PermissionGrants", forever, forbidden); w.patient.Grant = nil }, "policy", "? policy_blind"},
		{"never consented", func(w *ward) { w.tenant(func(t *pretend.Tenant) { t.Apps = nil }) }, "policy", "policy_blocks → admin"},
		{"not to be seen", func(w *ward) { w.may = w.may[:1] }, "policy", "? forbidden"},

		{"well", nil, "licence", "ok"},
		{"none at all", func(w *ward) { w.user(func(u *pretend.User) { u.Licences = nil }) }, "licence", "licence_missing → admin"},
		{"the foundation is no mailbox", func(w *ward) { w.user(func(u *pretend.User) { u.Licences = []pretend.Licence{pretend.Basic()} }) }, "licence", "licence_other → admin"},
		{"the foundation by another id", func(w *ward) { w.plan("x", "EXCHANGE_S_FOUNDATION", "Success") }, "licence", "licence_other → admin"},
		{"an archive alone", func(w *ward) { w.plan("x", "EXCHANGE_S_ARCHIVE_ADDON", "Success") }, "licence", "licence_other → admin"},
		{"unticked", func(w *ward) { w.plan(pretend.Exchange.ID, "EXCHANGE_S_STANDARD", "Disabled") }, "licence", "licence_off → admin"},
		{"in error", func(w *ward) { w.plan(pretend.Exchange.ID, "EXCHANGE_S_STANDARD", "Error") }, "licence", "licence_broken → admin"},
		{"being made", func(w *ward) { w.plan(pretend.Exchange.ID, "EXCHANGE_S_STANDARD", "PendingProvisioning") }, "licence", "licence_pending → nobody"},
		{"unknown", func(w *ward) { w.plan("x", "EXCHANGE_S_NEXT", "Success") }, "licence", "? licence_perhaps"},
		{"unknown, unticked", func(w *ward) { w.plan("x", "EXCHANGE_S_NEXT", "Disabled") }, "licence", "licence_off → admin"},
		{"Kiosk", func(w *ward) { w.plan("4A82B400-A79F-41A4-B4E2-E94F5787B113", "EXCHANGE_S_DESKLESS", "Success") }, "licence", "ok"},
		{"a shared mailbox", func(w *ward) { w.user(func(u *pretend.User) { u.Licences, u.Disabled = nil, true }) }, "licence", "? licence_shared"},
		{"unticked in one, ticked in another", func(w *ward) {
			w.user(func(u *pretend.User) {
				off := pretend.Exchange
				off.Status = "Disabled"
				u.Licences = []pretend.Licence{{Name: "OFF", Plans: []pretend.Plan{off}}, pretend.Business()}
			})
		}, "licence", "ok"},
		{"not to be seen", func(w *ward) { w.dir.FailNext("licenseDetails", forever, forbidden) }, "licence", "? forbidden"},
		{"nobody of that address", func(w *ward) { w.patient.Account = "nora@werk.example" }, "licence", "? row_before"},

		{"no grant", func(w *ward) { w.patient.Grant, w.patient.Ready = nil, false }, "imap", "? no_grant"},
		{"no mailbox here", func(w *ward) { w.patient.Mailbox = nil }, "imap", "? no_mailbox_here"},
	} {
		t.Run(c.row+"/"+c.name, func(t *testing.T) {
			w := openWard(t)
			if c.make != nil {
				c.make(w)
			}
			e := w.doctor.Examine(t.Context(), w.patient, w.permit)
			if got := said(row(e.Checks, c.row), c.row); got != c.want {
				t.Errorf("says %q, want %q", got, c.want)
			}
			if want := strings.HasPrefix(said(row(e.Checks, "consent"), "consent"), "ok") && row(e.Checks, "consent").Name == "doctor.check.consent"; e.Consented != want {
				t.Errorf("consented: %v, and the row says %+v", e.Consented, row(e.Checks, "consent"))
			}
			speaks(t, e.Checks)
		})
	}
}

// Where nobody was let in, or nobody asked, nothing is called wrong.
func TestWhatIsNotSeenIsNotFailed(t *testing.T) {
	for name, make := range map[string]func(*ward){
		"not looked":        func(w *ward) { w.permit = nil },
		"nothing allowed":   func(w *ward) { w.may = nil },
		"directory is down": func(w *ward) { w.dir.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			w := openWard(t)
			make(w)
			w.patient.Grant, w.patient.Ready = nil, false
			e := w.doctor.Examine(t.Context(), w.patient, w.permit)
			if len(e.Checks) != 7 || e.Consented {
				t.Fatalf("%d rows, consented %v", len(e.Checks), e.Consented)
			}
			for _, c := range e.Checks {
				if c.Result != mailroom.CheckUnknown {
					t.Errorf("%s is %s", c.Name, c.Result)
				}
			}
			speaks(t, e.Checks)
		})
	}
}

func TestWithoutTheDirectoryItSaysWhatItCan(t *testing.T) {
	w := openWard(t)
	e := w.doctor.Examine(t.Context(), w.patient, nil)
	for name, want := range map[string]string{"app": "ok_granted", "assigned": "ok_granted", "consent": "ok_granted", "user": "? not_looked", "policy": "? not_looked", "licence": "? not_looked"} {
		if got := said(row(e.Checks, name), name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if c := row(e.Checks, "probe.open"); c.Result != mailroom.CheckOK || e.Consented {
		t.Errorf("connecting: %+v, consented %v", c, e.Consented)
	}
	speaks(t, e.Checks)
	// What the provider refused last is a finding, with its code and number.
	for key, name := range map[string]string{"oauth.error.not_assigned": "assigned", "oauth.error.app_disabled": "app",
		"oauth.error.consent_missing": "consent", "oauth.error.no_exchange": "licence"} {
		w.patient.Grant, w.patient.Ready = nil, false
		w.patient.Refusal = &mailroom.Problem{Kind: mailroom.NeedsAdmin, Key: key, Args: map[string]any{"code": "AADSTS1", "ref": "r"}, Since: time.Now()}
		e := w.doctor.Examine(t.Context(), w.patient, nil)
		if c := row(e.Checks, name); c.Result != mailroom.CheckFailed || c.Problem.Args["code"] != "AADSTS1" {
			t.Errorf("%s: %+v", key, c)
		}
		for _, c := range e.Checks {
			if c.Result == mailroom.CheckOK {
				t.Errorf("%s: %s is called well", key, c.Name)
			}
		}
	}
	// The directory goes before it: it may have been mended since.
	w.patient.Refusal.Key = "oauth.error.not_assigned"
	if c := row(w.doctor.Examine(t.Context(), w.patient, w.permit).Checks, "assigned"); c.Result != mailroom.CheckOK {
		t.Errorf("what the directory says does not count: %+v", c)
	}
}

// The mail server says one thing for four reasons; the directory tells them apart.
func TestNotConnectedIsToldApart(t *testing.T) {
	for _, c := range []struct {
		name, want string
		make       func(*ward)
	}{
		{"IMAP is off", "imap_off", func(*ward) {}},
		{"no licence", "imap_licence", func(w *ward) { w.user(func(u *pretend.User) { u.Licences = nil }) }},
		{"a shared mailbox", "imap_shared", func(w *ward) { w.patient.Address, w.patient.Mailbox.Address = "jobs@werk.example", "jobs@werk.example" }},
		{"nobody looked", "imap_perhaps", func(w *ward) { w.permit = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := openWard(t)
			w.probed = []mailroom.Check{mailroom.Passed("probe.sign_in", nil),
				mailroom.Failing("probe.open", mailroom.E(mailroom.NeedsAdmin, "imap.error.not_connected"), time.Now())}
			c.make(w)
			e := w.doctor.Examine(t.Context(), w.patient, w.permit)
			got := row(e.Checks, "probe.open")
			if got.Result != mailroom.CheckFailed || lastWord(got.Problem.Key) != c.want {
				t.Errorf("says %+v, want %s", got.Problem, c.want)
			}
			got.Name = "doctor.check.imap"
			speaks(t, []mailroom.Check{got})
			if c.want == "imap_off" && got.Problem.Args["mailbox"] != noor {
				t.Error("the command lacks the mailbox")
			}
		})
	}
	w := openWard(t)
	w.probed = []mailroom.Check{mailroom.Failing("probe.open", mailroom.E(mailroom.Unavailable, "imap.error.network"), time.Now())}
	if c := row(w.doctor.Examine(t.Context(), w.patient, w.permit).Checks, "probe.open"); c.Problem.Key != "imap.error.network" {
		t.Errorf("another fault is given other words: %+v", c.Problem)
	}
}

func TestOneself(t *testing.T) {
	for _, c := range []struct {
		name          string
		make          func(*ward)
		self, licence string
	}{
		{"well", func(*ward) {}, "ok", "ok"},
		{"no licence", func(w *ward) { w.user(func(u *pretend.User) { u.Licences = nil }) }, "ok", "licence_missing → admin"},
		{"another account", func(w *ward) { w.patient.Account = "pim@werk.example" }, "self_other → you", "ok"},
		{"personal account", func(w *ward) { w.permit.TenantID = "9188040d-6c67-4c5b-b112-36a304b66dad" }, "ok", "ok_personal"},
		{"not allowed", func(w *ward) { w.may = nil }, "? forbidden", "? forbidden"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := openWard(t)
			w.may = []string{"User.Read"}
			c.make(w)
			e := w.doctor.ExamineSelf(t.Context(), w.patient, *w.permit)
			if self, licence := said(row(e.Checks, "self"), "self"), said(row(e.Checks, "licence"), "licence"); self != c.self || licence != c.licence {
				t.Errorf("self %q licence %q, want %q %q", self, licence, c.self, c.licence)
			}
			speaks(t, e.Checks)
		})
	}
}

// Where a provider has no directory that can be read, connecting is all there is.
func TestWithoutADirectoryItConnects(t *testing.T) {
	w := openWard(t)
	w.patient.Provider.Directory = nil
	if e := w.doctor.Examine(t.Context(), w.patient, nil); len(e.Checks) != 1 || e.Checks[0].Name != "probe.open" {
		t.Errorf("rows %+v", e.Checks)
	}
}

// Nothing but reading: a doctor that asks for more than its two scopes gets 403,
// and would say so.
func TestTwoScopesAreEnough(t *testing.T) {
	w := openWard(t)
	for _, c := range w.doctor.Examine(t.Context(), w.patient, w.permit).Checks {
		if c.Result != mailroom.CheckOK {
			t.Errorf("%s: %v", c.Name, c.Problem)
		}
	}
}
