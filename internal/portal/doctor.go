package portal

import (
	"context"
	"slices"
	"strings"

	"mailroom/internal/mailroom"
)

// Doctor examines a mailbox: with a permit it reads the company's directory,
// without it says what it can.
type Doctor interface {
	Examine(ctx context.Context, p mailroom.Patient, permit *mailroom.DoctorPermit) mailroom.Examination
	ExamineSelf(ctx context.Context, p mailroom.Patient, permit mailroom.DoctorPermit) mailroom.Examination
}

// Looking gets a permit for one look. It is used and thrown away.
type Looking interface {
	BeginDoctor(ctx context.Context, u mailroom.User, p mailroom.Provider, r mailroom.DoctorRequest, binding string) (url string, err error)
	// FinishDoctor sets the permit's Request as soon as it is known, with an error too.
	FinishDoctor(ctx context.Context, u mailroom.User, binding, providerID, state, code, issuer string) (mailroom.DoctorPermit, error)
	RefusedDoctor(ctx context.Context, u mailroom.User, binding, providerID, state, oauthError, description, subcode string) (mailroom.DoctorRequest, error)
}

type doctorStore interface {
	SaveDoctorReport(context.Context, mailroom.DoctorReport, mailroom.AuditEvent) error
	DoctorReport(ctx context.Context, orgID, id string) (mailroom.DoctorReport, error)
	DoctorReports(ctx context.Context, orgID string, limit int) ([]mailroom.DoctorReport, error)
	// SelfReport is the newest that a mailbox's owner made about themselves.
	SelfReport(ctx context.Context, orgID, mailboxID string) (mailroom.DoctorReport, error)
	// ProveTenant records that a tenant's consent is there.
	ProveTenant(ctx context.Context, orgID, providerID, tenantID string, by mailroom.ConsentProof) error
}

// doctorReports is how many reports the page shows.
const doctorReports = 50

// DoctorPage is the administrator's page to choose whom it is about.
type DoctorPage struct {
	Mailboxes []mailroom.MailboxRow
	// Directories are the providers into whose directories can be looked; Missing
	// those that have one, and no registration of ours to look with.
	Directories, Missing []mailroom.Provider
	Reports              []DoctorLine
}

// DoctorLine is one report with who made it and how it came out.
type DoctorLine struct {
	Report                mailroom.DoctorReport
	By                    mailroom.User // zero for somebody who is no more
	OK, Failed, NotLooked int
}

// DoctorReportPage is one report.
type DoctorReportPage struct {
	DoctorLine
	Provider *mailroom.Provider // nil when it is not offered any more
	CanLook  bool               // into the directory, with a registration of ours
}

// LicencePage is a recruiter's own licence.
type LicencePage struct {
	Mailbox  mailroom.Mailbox // zero ID without one
	Provider *mailroom.Provider
	CanLook  bool
	Report   *DoctorLine // the newest; nil when there is none
}

// DoctorForm says whom it is about: a mailbox, or for "" an address.
type DoctorForm struct {
	MailboxID, Address, ProviderID string
}

// LookOutcome is what the answer of a provider ended in. Self is known with an
// error too, and says which page it belongs to.
type LookOutcome struct {
	ReportID string
	Self     bool
}

// canLook: the provider has a directory, and we a registration to read it with.
func canLook(p mailroom.Provider) bool {
	return p.Configured() && p.Directory != nil && p.Directory.ClientID != ""
}

// DoctorPage is for administrators.
func (p *Portal) DoctorPage(ctx context.Context, u mailroom.User) (v DoctorPage, err error) {
	if !u.IsAdmin() {
		return v, forbidden()
	}
	rows, err := p.d.Store.MailboxRows(ctx, u.OrgID)
	if err != nil {
		return v, err
	}
	for _, r := range rows {
		if r.Mailbox.RetiredAt.IsZero() && r.Mailbox.Address != "" {
			v.Mailboxes = append(v.Mailboxes, r)
		}
	}
	offered, err := p.d.Providers(ctx, u.OrgID)
	if err != nil {
		return v, err
	}
	for _, pr := range offered {
		switch {
		case canLook(pr):
			v.Directories = append(v.Directories, pr)
		case pr.Configured() && pr.Directory != nil:
			v.Missing = append(v.Missing, pr)
		}
	}
	reports, err := p.d.Store.DoctorReports(ctx, u.OrgID, doctorReports)
	if err != nil {
		return v, err
	}
	users, err := p.d.Store.Users(ctx, u.OrgID)
	if err != nil {
		return v, err
	}
	for _, r := range reports {
		v.Reports = append(v.Reports, doctorLine(r, users))
	}
	return v, nil
}

func doctorLine(r mailroom.DoctorReport, users []mailroom.User) DoctorLine {
	l := DoctorLine{Report: r}
	if i := slices.IndexFunc(users, func(u mailroom.User) bool { return u.ID == r.AskedBy }); i >= 0 {
		l.By = users[i]
	}
	for _, c := range r.Checks {
		switch c.Result {
		case mailroom.CheckOK:
			l.OK++
		case mailroom.CheckFailed:
			l.Failed++
		default:
			l.NotLooked++
		}
	}
	return l
}

// DoctorReport is one report, for administrators.
func (p *Portal) DoctorReport(ctx context.Context, u mailroom.User, id string) (v DoctorReportPage, err error) {
	if !u.IsAdmin() {
		return v, forbidden()
	}
	r, err := p.d.Store.DoctorReport(ctx, u.OrgID, id)
	if err != nil {
		return v, err
	}
	users, err := p.d.Store.Users(ctx, u.OrgID)
	if err != nil {
		return v, err
	}
	v.DoctorLine = doctorLine(r, users)
	if pr, ok := p.provider(ctx, u.OrgID, r.ProviderID); ok {
		v.Provider, v.CanLook = &pr, canLook(pr)
	}
	return v, nil
}

// Examine looks at a mailbox without its company's directory, and returns the id
// of the report.
func (p *Portal) Examine(ctx context.Context, u mailroom.User, f DoctorForm) (reportID string, err error) {
	patient, err := p.patient(ctx, u, f)
	if err != nil {
		return "", err
	}
	return p.report(ctx, u, patient, nil, p.d.Doctor.Examine(ctx, patient, nil))
}

// BeginLook is where the browser goes so that an administrator of the company lets
// the doctor look into its directory.
func (p *Portal) BeginLook(ctx context.Context, u mailroom.User, binding string, f DoctorForm) (redirectURL string, err error) {
	patient, err := p.patient(ctx, u, f)
	if err != nil {
		return "", err
	}
	return p.beginLook(ctx, u, binding, patient, false)
}

func (p *Portal) beginLook(ctx context.Context, u mailroom.User, binding string, patient mailroom.Patient, self bool) (string, error) {
	if !canLook(patient.Provider) {
		return "", mailroom.E(mailroom.NeedsVendor, "doctor.error.not_registered").With("provider", patient.Provider.Operator()).On("mailbox")
	}
	r := mailroom.DoctorRequest{Address: patient.Address, Self: self}
	if self { // who signs in, where the mailbox is a shared one
		r.Address = patient.Account
	}
	if patient.Mailbox != nil {
		r.MailboxID = patient.Mailbox.ID
	}
	return p.d.Looking.BeginDoctor(ctx, u, patient.Provider, r, binding)
}

// BeginSelfLook is where the browser goes so that a recruiter shows their own
// licence, with User.Read and no more.
func (p *Portal) BeginSelfLook(ctx context.Context, u mailroom.User, binding string) (redirectURL string, err error) {
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return "", err
	}
	patient, err := p.patientOf(ctx, row)
	if err != nil {
		return "", err
	}
	return p.beginLook(ctx, u, binding, patient, true)
}

// FinishLook takes what the provider sent the browser back with, looks, and
// stores the report. The permit ends with the call.
func (p *Portal) FinishLook(ctx context.Context, u mailroom.User, binding string, cb Callback) (out LookOutcome, err error) {
	out.Self = !u.IsAdmin()
	if cb.Error != "" {
		r, err := p.d.Looking.RefusedDoctor(ctx, u, binding, cb.ProviderID, cb.State, cb.Error, cb.ErrorDescription, cb.Subcode)
		if r.StateHash == "" { // not one of ours: there is nothing to write down
			return out, err
		}
		out.Self = r.Self
		return out, p.refusedLook(ctx, u, r, err)
	}
	permit, err := p.d.Looking.FinishDoctor(ctx, u, binding, cb.ProviderID, cb.State, cb.Code, cb.Issuer)
	r := permit.Request
	if r.StateHash == "" {
		return out, err
	}
	out.Self = r.Self
	if err != nil {
		return out, p.refusedLook(ctx, u, r, err)
	}
	var patient mailroom.Patient
	if r.Self {
		patient, err = p.ownPatient(ctx, u, r)
	} else {
		patient, err = p.patient(ctx, u, DoctorForm{MailboxID: r.MailboxID, Address: r.Address, ProviderID: r.ProviderID})
	}
	if err != nil {
		return out, err
	}
	patient.Provider = permit.Provider
	var e mailroom.Examination
	if r.Self {
		e = p.d.Doctor.ExamineSelf(ctx, patient, permit)
	} else {
		e = p.d.Doctor.Examine(ctx, patient, &permit)
	}
	if e.Consented && permit.TenantID != "" {
		if err := p.d.Store.ProveTenant(ctx, u.OrgID, r.ProviderID, permit.TenantID, mailroom.ProvedByDoctor); err != nil {
			return out, err
		}
	}
	out.ReportID, err = p.report(ctx, u, patient, &permit, e)
	return out, err
}

// refusedLook writes down that a look was refused. It returns err.
func (p *Portal) refusedLook(ctx context.Context, u mailroom.User, r mailroom.DoctorRequest, err error) error {
	e := mailroom.AsError(err)
	details := map[string]any{"provider": r.ProviderID, "address": r.Address, "reason": e.Key}
	if serr := p.d.Store.SaveAudit(ctx, p.event(u, "doctor.refused", r.MailboxID, details)); serr != nil {
		p.d.Log.Error("audit of a refused look", "err", serr)
	}
	return err
}

func (p *Portal) report(ctx context.Context, u mailroom.User, patient mailroom.Patient, permit *mailroom.DoctorPermit, e mailroom.Examination) (string, error) {
	// What was found is worth keeping although the browser has gone meanwhile.
	ctx = context.WithoutCancel(ctx)
	r := mailroom.DoctorReport{
		ID: mailroom.NewID(mailroom.PrefixDoctor), OrgID: u.OrgID, ProviderID: patient.Provider.ID, Address: patient.Address,
		AskedBy: u.ID, At: p.now(), Checks: e.Checks,
	}
	details := map[string]any{"address": r.Address}
	if patient.Mailbox != nil {
		r.MailboxID = patient.Mailbox.ID
	}
	if permit != nil {
		r.TenantID, r.Self = permit.TenantID, permit.Request.Self
		details["provider"], details["tenant"] = patient.Provider.ID, r.TenantID
	}
	return r.ID, p.d.Store.SaveDoctorReport(ctx, r, p.event(u, "doctor.examined", r.MailboxID, details))
}

// patient is whom an administrator asks about: any mailbox of the organization,
// or any address.
func (p *Portal) patient(ctx context.Context, u mailroom.User, f DoctorForm) (mailroom.Patient, error) {
	if !u.IsAdmin() {
		return mailroom.Patient{}, forbidden()
	}
	if f.MailboxID != "" {
		row, err := p.reach(ctx, u, f.MailboxID)
		if err != nil {
			return mailroom.Patient{}, err
		}
		return p.patientOf(ctx, row)
	}
	address, err := checkAddress("address", f.Address, "mailbox.error.address")
	if err != nil {
		return mailroom.Patient{}, err
	}
	rows, err := p.d.Store.MailboxRows(ctx, u.OrgID)
	if err != nil {
		return mailroom.Patient{}, err
	}
	for _, row := range rows {
		if row.Mailbox.RetiredAt.IsZero() && sameAddress(row.Mailbox.Address, address) {
			return p.patientOf(ctx, row)
		}
	}
	pr, err := p.directoryOf(ctx, u.OrgID, f.ProviderID)
	return mailroom.Patient{Provider: pr, Address: address, Account: address}, err
}

// directoryOf is the provider with a directory, which for "" is the first.
func (p *Portal) directoryOf(ctx context.Context, orgID, providerID string) (mailroom.Provider, error) {
	offered, err := p.d.Providers(ctx, orgID)
	if err != nil {
		return mailroom.Provider{}, err
	}
	// One that can be read goes before one that cannot.
	for _, good := range []func(mailroom.Provider) bool{canLook, func(pr mailroom.Provider) bool { return pr.Configured() && pr.Directory != nil }} {
		for _, pr := range offered {
			if good(pr) && (providerID == "" || pr.ID == providerID) {
				return pr, nil
			}
		}
	}
	return mailroom.Provider{}, mailroom.E(mailroom.NeedsVendor, "doctor.error.no_directory").On("address")
}

func (p *Portal) ownPatient(ctx context.Context, u mailroom.User, r mailroom.DoctorRequest) (mailroom.Patient, error) {
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return mailroom.Patient{}, err
	}
	if row.Mailbox.ID != r.MailboxID {
		return mailroom.Patient{}, mailroom.E(mailroom.Conflict, "grant.error.mailbox_changed")
	}
	return p.patientOf(ctx, row)
}

// patientOf is a mailbox with what is known of its grant.
func (p *Portal) patientOf(ctx context.Context, row mailroom.MailboxRow) (mailroom.Patient, error) {
	m := row.Mailbox
	out := mailroom.Patient{Address: m.Address, Account: m.Address, Mailbox: &m, Ready: row.Ready()}
	pr, ok := p.provider(ctx, m.OrgID, m.ProviderID)
	if !ok && !m.UsesPassword() {
		// Nobody has chosen yet: what is most likely meant.
		if d, err := p.directoryOf(ctx, m.OrgID, ""); err == nil {
			pr = d
		}
	}
	out.Provider = pr
	if row.HasGrant {
		g, err := p.d.Store.Grant(ctx, m.OrgID, m.ID)
		if err != nil {
			return out, err
		}
		out.Grant = &g
		if g.Via == mailroom.ViaShared {
			out.Account = g.Account
		}
		if why := m.Problem; why != nil && strings.HasPrefix(why.Key, "oauth.") {
			out.Refusal = why
		}
		return out, nil
	}
	var err error
	out.Refusal, err = p.lastRefusal(ctx, m)
	return out, err
}

// auditReach is how far back in the history a refusal is looked for.
const auditReach = 500

// lastRefusal is why the provider refused a mailbox's grant last: the history
// knows it.
func (p *Portal) lastRefusal(ctx context.Context, m mailroom.Mailbox) (*mailroom.Problem, error) {
	events, err := p.d.Store.AuditEvents(ctx, m.OrgID, auditReach)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		if e.Subject != m.ID || !strings.HasPrefix(e.Action, "grant.") {
			continue
		}
		key, _ := e.Details["reason"].(string)
		if e.Action != "grant.refused" || !strings.HasPrefix(key, "oauth.error.") {
			return nil, nil
		}
		kind := mailroom.NeedsAdmin
		if key == "oauth.error.account_locked" || key == "oauth.error.wrong_account" {
			kind = mailroom.NeedsConsent
		}
		words := map[string]any{"provider": e.Details["provider"], "code": e.Details["code"], "ref": e.Details["ref"]}
		if pr, ok := p.provider(ctx, m.OrgID, m.ProviderID); ok {
			words["provider"] = pr.Name
		}
		return &mailroom.Problem{Kind: kind, Key: key, Args: words, Since: e.At}, nil
	}
	return nil, nil
}

// Licence is a recruiter's page about their own licence.
func (p *Portal) Licence(ctx context.Context, u mailroom.User) (v LicencePage, err error) {
	row, err := p.mailboxOf(ctx, u)
	if err != nil || row.Mailbox.ID == "" {
		return v, err
	}
	v.Mailbox = row.Mailbox
	patient, err := p.patientOf(ctx, row)
	if err != nil {
		return v, err
	}
	if patient.Provider.ID != "" {
		v.Provider, v.CanLook = &patient.Provider, canLook(patient.Provider)
	}
	r, err := p.d.Store.SelfReport(ctx, u.OrgID, row.Mailbox.ID)
	if mailroom.KindOf(err) == mailroom.NotFound {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	line := doctorLine(r, []mailroom.User{u})
	v.Report = &line
	return v, nil
}
