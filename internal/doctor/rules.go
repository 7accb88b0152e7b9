package doctor

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// Rows of a report, in their order. Some have a second name for a good result
// that means something else: the part after the underscore.
const (
	prefix = "doctor.check."

	userRow     = prefix + "user"
	appRow      = prefix + "app"
	assignedRow = prefix + "assigned"
	consentRow  = prefix + "consent"
	policyRow   = prefix + "policy"
	licenceRow  = prefix + "licence"
	selfRow     = prefix + "self"

	// imapRow is the row of a mailbox that was not tried; one that was has the rows of the trial.
	imapRow = prefix + "imap"
)

// rules turn facts into rows. They ask nobody.
type rules struct {
	patient   mailroom.Patient
	at        time.Time
	f         facts
	consented bool
}

// unread: nothing of the directory was read, for one reason.
func (r *rules) unread(err error) {
	f := &r.f
	f.app.err, f.mail.err, f.user.err, f.assignments.err, f.assigned.err = err, err, err, err, err
	f.groups.err, f.consents.err, f.policies.err, f.requests.err, f.plans.err = err, err, err, err, err
}

func (r *rules) otherTenant(permit *mailroom.DoctorPermit) {
	r.unread(mailroom.E(mailroom.Invalid, "doctor.problem.other_tenant").
		With("account", r.patient.Account).With("tenant", permit.TenantID).With("want", r.patient.Grant.TenantID))
}

// directory is every row that the directory can answer. What it does not answer
// may show in what the provider itself did last.
func (r *rules) directory() []mailroom.Check {
	consent := r.consent()
	rows := []mailroom.Check{r.user(), r.app(), r.assigned(), consent, r.policy(consent), r.licence()}
	for i, c := range rows {
		if c.Result == mailroom.CheckUnknown {
			if other, ok := r.elsewhere(c.Name); ok {
				rows[i] = other
			}
		}
	}
	return rows
}

// appName is how people find the application in their console.
func (r *rules) appName() string { return cmp.Or(r.f.app.is.Name, "Mailroom") }

// need is a row that somebody has to mend.
func (r *rules) need(kind mailroom.Kind, row, problem string, args ...string) mailroom.Check {
	e := mailroom.E(kind, "doctor.problem."+problem)
	for i := 0; i+1 < len(args); i += 2 {
		e.With(args[i], args[i+1])
	}
	return mailroom.Failing(row, e.With("app", r.appName()).With("address", r.patient.Account), r.at)
}

// unseen is a row that could not be looked at. A question that was not asked
// names the row that it waits for.
func (r *rules) unseen(row string, err error) mailroom.Check {
	if errors.Is(err, errAfter) || mailroom.KindOf(err) == mailroom.NotFound {
		err = mailroom.E(mailroom.Unavailable, "doctor.problem.row_before")
	}
	return mailroom.Unseen(row, err, r.at)
}

func args(kv ...string) map[string]any {
	out := map[string]any{}
	for i := 0; i+1 < len(kv); i += 2 {
		out[kv[i]] = kv[i+1]
	}
	return out
}

func (r *rules) user() mailroom.Check {
	u := r.f.user
	switch {
	case mailroom.AsError(u.err) != nil && mailroom.AsError(u.err).Key == "doctor.problem.other_tenant":
		return mailroom.Failing(userRow, u.err, r.at)
	case mailroom.KindOf(u.err) == mailroom.NotFound:
		return r.need(mailroom.Invalid, userRow, "user_missing")
	case u.err != nil:
		return r.unseen(userRow, u.err)
	case u.is.Enabled != nil && !*u.is.Enabled:
		return r.need(mailroom.NeedsAdmin, userRow, "user_blocked", "name", u.is.Name)
	}
	return mailroom.Passed(userRow, args("name", u.is.Name, "sign_in", u.is.SignIn))
}

func (r *rules) app() mailroom.Check {
	a := r.f.app
	switch {
	case mailroom.KindOf(a.err) == mailroom.NotFound:
		return r.need(mailroom.NeedsAdmin, appRow, "app_missing", "client", r.patient.Provider.ClientID)
	case a.err != nil:
		return r.unseen(appRow, a.err)
	case a.is.Disabled != "":
		return r.need(mailroom.NeedsVendor, appRow, "app_blocked", "status", a.is.Disabled)
	case !a.is.Enabled:
		return r.need(mailroom.NeedsAdmin, appRow, "app_disabled")
	}
	return mailroom.Passed(appRow, args("app", r.appName()))
}

func (r *rules) assigned() mailroom.Check {
	f := r.f
	if f.app.err != nil {
		return r.unseen(assignedRow, f.app.err)
	}
	if !f.app.is.AssignmentRequired {
		return mailroom.Passed(assignedRow+"_open", args("app", r.appName()))
	}
	if f.user.err != nil {
		return r.unseen(assignedRow, f.user.err)
	}
	if len(f.assignments.is) == 0 {
		return r.assignedToGroups()
	}
	if a := f.assignments.is[0]; a.Group {
		return mailroom.Passed(assignedRow+"_group", args("address", r.patient.Account, "app", r.appName(), "group", a.PrincipalName))
	}
	return mailroom.Passed(assignedRow, args("address", r.patient.Account, "app", r.appName()))
}

// assignedToGroups settles it from the other side: to whom the application is
// assigned, and which groups the person is in. Who is in a group only through
// another group is not assigned (docs/providers.md 2.1).
func (r *rules) assignedToGroups() mailroom.Check {
	f := r.f
	if err := cmp.Or(f.assigned.err, f.groups.err); err != nil {
		if f.assignments.err == nil { // it said that there is none
			return r.need(mailroom.NeedsAdmin, assignedRow, "not_assigned")
		}
		return r.unseen(assignedRow, f.assignments.err)
	}
	nested := ""
	for _, a := range f.assigned.is {
		if a.PrincipalID == f.user.is.ID {
			return mailroom.Passed(assignedRow, args("address", r.patient.Account, "app", r.appName()))
		}
		i := slices.IndexFunc(f.groups.is, func(g mailroom.DirectoryGroup) bool { return g.ID == a.PrincipalID })
		switch {
		case i < 0:
		case f.groups.is[i].Nested:
			nested = f.groups.is[i].Name
		default:
			return mailroom.Passed(assignedRow+"_group", args("address", r.patient.Account, "app", r.appName(), "group", f.groups.is[i].Name))
		}
	}
	if nested != "" {
		return r.need(mailroom.NeedsAdmin, assignedRow, "assigned_nested", "group", nested)
	}
	return r.need(mailroom.NeedsAdmin, assignedRow, "not_assigned")
}

// openID are the scopes of signing in, which the directory keeps at another
// service than mail; people may mostly give them by themselves.
var openID = []string{"openid", "profile", "email", "offline_access"}

// short is a scope without its service: "IMAP.AccessAsUser.All".
func short(scope string) string { return scope[strings.LastIndexByte(scope, '/')+1:] }

// wanted are the scopes that mail needs, and those of signing in.
func (r *rules) wanted() (mail, signIn []string) {
	for _, s := range r.patient.Provider.Scopes {
		if slices.Contains(openID, s) {
			signIn = append(signIn, s)
		} else {
			mail = append(mail, short(s))
		}
	}
	return mail, signIn
}

// lacking are the wanted scopes that are not among those given, in whatever case.
func lacking(wanted, given []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(w string) bool {
		return slices.ContainsFunc(given, func(g string) bool { return strings.EqualFold(g, w) })
	})
}

func (r *rules) consent() mailroom.Check {
	f := r.f
	switch {
	case f.app.err != nil:
		return r.unseen(consentRow, f.app.err)
	case f.consents.err != nil:
		return r.unseen(consentRow, f.consents.err)
	case mailroom.KindOf(f.mail.err) == mailroom.NotFound:
		return r.need(mailroom.NeedsAdmin, consentRow, "no_exchange")
	case f.mail.err != nil:
		return r.unseen(consentRow, f.mail.err)
	}
	mail, signIn := r.wanted()
	var forMail, elsewhere, anywhere, own []string // scopes given
	for _, c := range f.consents.is {
		here := c.ResourceID == f.mail.is.ID
		switch {
		case c.Everybody && here:
			forMail = append(forMail, c.Scopes...)
		case c.Everybody:
			elsewhere = append(elsewhere, c.Scopes...)
		case here && f.user.err == nil && c.PrincipalID == f.user.is.ID:
			own = append(own, c.Scopes...)
		}
		if c.Everybody {
			anywhere = append(anywhere, c.Scopes...)
		}
	}
	switch missing := lacking(mail, forMail); {
	case len(missing) == 0 && r.nobodyMay() && len(lacking(signIn, anywhere)) > 0:
		// Where people may give nothing by themselves, even signing in waits for it.
		return r.need(mailroom.NeedsAdmin, consentRow, "consent_scopes", "missing", strings.Join(lacking(signIn, anywhere), ", "))
	case len(missing) == 0:
		r.consented = true
		return mailroom.Passed(consentRow, args("app", r.appName(), "scopes", strings.Join(mail, ", ")))
	case len(lacking(mail, own)) == 0:
		return mailroom.Passed(consentRow+"_own", args("address", r.patient.Account))
	case len(lacking(mail, elsewhere)) == 0:
		return mailroom.Unseen(consentRow, mailroom.E(mailroom.NeedsAdmin, "doctor.problem.consent_elsewhere").
			With("scopes", strings.Join(mail, ", ")), r.at)
	case len(anywhere) > 0:
		return r.need(mailroom.NeedsAdmin, consentRow, "consent_scopes", "missing", strings.Join(missing, ", "))
	}
	return r.need(mailroom.NeedsAdmin, consentRow, "consent_missing", "scopes", strings.Join(mail, ", "))
}

// What people may consent to by themselves.
type mayConsent int

const (
	mayNothing mayConsent = iota
	mayLittle             // not to reading mail: the default setting since late 2025
	mayMail
	mayOwnRules // a policy of the tenant's own, which only its administrators know
)

// consentPolicy reads the names of policies; their case varies in real answers.
func consentPolicy(names []string) (may mayConsent, policy string) {
	for _, n := range names {
		prefix, name, ok := strings.Cut(strings.ToLower(n), ".")
		if !ok || prefix != "managepermissiongrantsforself" {
			continue // what owners of groups and chats may consent to
		}
		is := mayOwnRules
		switch name {
		case "microsoft-user-default-legacy":
			is = mayMail
		case "microsoft-user-default-recommended", "microsoft-user-default-low", "microsoft-user-default-allow-consent-apps":
			is = mayLittle
		}
		// The most generous one counts; an unknown one may be it.
		if policy == "" || is == mayMail || is == mayOwnRules && may != mayMail {
			may, policy = is, name
		}
	}
	return may, policy
}

func (r *rules) nobodyMay() bool {
	may, _ := consentPolicy(r.f.policies.is)
	return r.f.policies.err == nil && may == mayNothing
}

func (r *rules) policy(consent mailroom.Check) mailroom.Check {
	if r.f.policies.err != nil {
		return r.unseen(policyRow, r.f.policies.err)
	}
	may, policy := consentPolicy(r.f.policies.is)
	policy = cmp.Or(policy, "–")
	switch {
	case may == mayMail:
		return mailroom.Passed(policyRow, args("policy", policy))
	case consent.Result == mailroom.CheckOK:
		return mailroom.Passed(policyRow+"_unneeded", args("policy", policy))
	case may == mayOwnRules:
		return mailroom.Unseen(policyRow, mailroom.E(mailroom.NeedsAdmin, "doctor.problem.policy_own").With("policy", policy), r.at)
	case consent.Result == mailroom.CheckUnknown && mailroom.KindOf(r.f.app.err) != mailroom.NotFound:
		return mailroom.Unseen(policyRow, mailroom.E(mailroom.NeedsAdmin, "doctor.problem.policy_blind").With("policy", policy), r.at)
	case r.f.requests.err == nil && r.f.requests.is.Enabled:
		return r.need(mailroom.NeedsAdmin, policyRow, "policy_asks", "policy", policy)
	}
	return r.need(mailroom.NeedsAdmin, policyRow, "policy_blocks", "policy", policy)
}

func (r *rules) self() mailroom.Check {
	u, mailbox := r.f.user, mailroom.NormalAddress(r.patient.Account)
	switch {
	case u.err != nil:
		return r.unseen(selfRow, u.err)
	case mailroom.NormalAddress(u.is.SignIn) == mailbox, slices.Contains(u.is.Addresses, mailbox):
		return mailroom.Passed(selfRow, args("name", u.is.Name, "sign_in", u.is.SignIn))
	}
	return r.need(mailroom.Invalid, selfRow, "self_other", "sign_in", u.is.SignIn)
}
