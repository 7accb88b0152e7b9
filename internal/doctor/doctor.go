package doctor

import (
	"context"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// limit bounds one examination: a person waits for it.
const limit = 50 * time.Second

// Directory is a tenant's directory as graph reads it. Errors are
// *mailroom.Error: NotFound for what is not there, Forbidden for what the token
// may not see.
type Directory interface {
	Application(ctx context.Context, appID string) (mailroom.DirectoryApp, error)
	User(ctx context.Context, address string) (mailroom.DirectoryUser, error)
	Assigned
	Consenting
	Licensed
}

// Assigned tells to whom an application is assigned.
type Assigned interface {
	Assignments(ctx context.Context, userID, appObjectID string) ([]mailroom.DirectoryAssignment, error)
	Assigned(ctx context.Context, appObjectID string) ([]mailroom.DirectoryAssignment, error)
	Groups(ctx context.Context, userID string) ([]mailroom.DirectoryGroup, error)
}

// Consenting tells what was consented, and who may consent.
type Consenting interface {
	Consents(ctx context.Context, appObjectID string) ([]mailroom.DirectoryConsent, error)
	ConsentPolicies(ctx context.Context) ([]string, error)
	ConsentRequests(ctx context.Context) (mailroom.DirectoryRequests, error)
}

// Licensed tells of licences; Me is whoever the token is of, "" in Plans too.
type Licensed interface {
	Me(ctx context.Context) (mailroom.DirectoryUser, error)
	Plans(ctx context.Context, userID string) ([]mailroom.DirectoryPlan, error)
}

// Doctor is safe for use by many goroutines.
type Doctor struct {
	// Open opens a provider's directory with a token.
	Open func(p mailroom.Provider, token string) Directory
	// Probe signs in to a mailbox as reading does and says how far it comes.
	Probe func(ctx context.Context, m mailroom.Mailbox) []mailroom.Check
	Now   func() time.Time // nil for time.Now
}

// Examine looks at every step. With a permit it reads the tenant's directory;
// without, it says what can be said from here, and of the rest that it was not
// looked at.
func (d *Doctor) Examine(ctx context.Context, p mailroom.Patient, permit *mailroom.DoctorPermit) mailroom.Examination {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	at := d.now()
	r := rules{patient: p, at: at}
	probed := make(chan []mailroom.Check, 1)
	go func() { probed <- d.probe(ctx, p, at) }()
	if p.Provider.Directory == nil { // nothing to read, and none of its rows mean anything
		r.unread(mailroom.E(mailroom.Unavailable, "doctor.problem.row_before"))
		return mailroom.Examination{Checks: r.imap(<-probed)}
	}
	switch {
	case permit == nil:
		r.unread(mailroom.E(mailroom.Unavailable, "doctor.problem.not_looked"))
	case otherTenant(p, permit):
		r.otherTenant(permit)
	default:
		r.f = gather(ctx, d.Open(p.Provider, permit.Token), p)
	}
	checks := r.directory()
	return mailroom.Examination{Checks: append(checks, r.imap(<-probed)...), Consented: r.consented}
}

// ExamineSelf looks at what a person may read of themselves: who they are, and
// whether Exchange Online is in their licence.
func (d *Doctor) ExamineSelf(ctx context.Context, p mailroom.Patient, permit mailroom.DoctorPermit) mailroom.Examination {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r := rules{patient: p, at: d.now()}
	dir := d.Open(p.Provider, permit.Token)
	r.f.user = ask(dir.Me(ctx))
	if permit.TenantID == personalTenant {
		return mailroom.Examination{Checks: []mailroom.Check{r.self(), mailroom.Passed(licenceRow+"_personal", nil)}}
	}
	r.f.plans = ask(dir.Plans(ctx, ""))
	return mailroom.Examination{Checks: []mailroom.Check{r.self(), r.licence()}}
}

// personalTenant is that of Microsoft's personal accounts (docs/providers.md 2.3):
// no licence stands behind them.
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

func (d *Doctor) now() time.Time {
	if d.Now == nil {
		return time.Now().UTC()
	}
	return d.Now().UTC()
}

// probe tries the mailbox itself: the only way to learn whether IMAP is on
// (docs/providers.md 3.7).
func (d *Doctor) probe(ctx context.Context, p mailroom.Patient, at time.Time) []mailroom.Check {
	unseen := func(key string) []mailroom.Check {
		return []mailroom.Check{mailroom.Unseen(imapRow, mailroom.E(mailroom.NeedsConsent, key).With("mailbox", p.Address), at)}
	}
	switch {
	case p.Mailbox == nil:
		return unseen("doctor.problem.no_mailbox_here")
	case !p.Ready:
		return unseen("doctor.problem.no_grant")
	case d.Probe == nil:
		return unseen("doctor.problem.no_probe")
	}
	return d.Probe(ctx, *p.Mailbox)
}

func otherTenant(p mailroom.Patient, permit *mailroom.DoctorPermit) bool {
	return p.Grant != nil && p.Grant.TenantID != "" && permit.TenantID != "" && !strings.EqualFold(p.Grant.TenantID, permit.TenantID)
}
