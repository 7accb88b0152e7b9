package doctor

import (
	"slices"
	"strings"

	"mailroom/internal/mailroom"
)

// mailboxPlans hold a mailbox (docs/providers.md 5; Microsoft's reference of
// service plans).
var mailboxPlans = []string{
	"9aaf7827-d63c-4b61-89c3-182f06f82e5c", // EXCHANGE_S_STANDARD
	"efb87545-963c-4e0d-99df-69c6916d9eb0", // EXCHANGE_S_ENTERPRISE
	"4a82b400-a79f-41a4-b4e2-e94f5787b113", // EXCHANGE_S_DESKLESS
	"1126bef5-da20-4f07-b45e-ad25d2581aa8", // EXCHANGE_S_ESSENTIALS
	"d42bdbd6-c335-4231-ab3d-c8f348d5aff5", // EXCHANGE_L_STANDARD
	"90927877-dcff-4af6-b346-2332c0b15bb7", // EXCHANGE_B_STANDARD
	"fc52cc4b-ed7d-472d-bbe7-b081c23ecc56", // EXCHANGE_S_STANDARD_MIDMARKET
}

// What a plan says about a mailbox, best first.
type standing int

const (
	hasMailbox  standing = iota
	comingUp             // Pending…: it is being made
	perhaps              // a plan of Exchange's that we do not know
	switchedOff          // unticked in the licence
	broken               // Error
	noMailbox
)

func standingOf(p mailroom.DirectoryPlan) standing {
	name := strings.ToUpper(p.Name)
	known := slices.Contains(mailboxPlans, p.ID)
	switch {
	case !known && !strings.HasPrefix(name, "EXCHANGE_"), p.Company,
		// Named like mailboxes, and none: the ground that others stand on, an
		// archive beside a mailbox, an analysis of one.
		name == "EXCHANGE_S_FOUNDATION", strings.HasPrefix(name, "EXCHANGE_S_ARCHIVE"), strings.HasPrefix(name, "EXCHANGE_ANALYTICS"):
		return noMailbox
	case p.Status == "Disabled":
		return switchedOff
	case p.Status == "Error":
		return broken
	case !known:
		return perhaps
	case p.Status == "Success":
		return hasMailbox
	}
	return comingUp
}

// licence: the best of all plans counts.
func (r *rules) licence() mailroom.Check {
	f := r.f
	if f.user.err != nil {
		return r.unseen(licenceRow, f.user.err)
	}
	if f.plans.err != nil {
		return r.unseen(licenceRow, f.plans.err)
	}
	best, of := noMailbox, mailroom.DirectoryPlan{}
	var licences []string
	for _, p := range f.plans.is {
		if s := standingOf(p); s < best {
			best, of = s, p
		}
		if p.Licence != "" && !slices.Contains(licences, p.Licence) {
			licences = append(licences, p.Licence)
		}
	}
	blocked := f.user.is.Enabled != nil && !*f.user.is.Enabled
	switch best {
	case hasMailbox:
		return mailroom.Passed(licenceRow, args("licence", of.Licence, "plan", of.Name))
	case comingUp:
		return r.need(mailroom.Unavailable, licenceRow, "licence_pending", "licence", of.Licence, "plan", of.Name, "status", of.Status)
	case perhaps:
		return mailroom.Unseen(licenceRow, mailroom.E(mailroom.NeedsAdmin, "doctor.problem.licence_perhaps").
			With("licence", of.Licence).With("plan", of.Name), r.at)
	case switchedOff:
		return r.need(mailroom.NeedsAdmin, licenceRow, "licence_off", "licence", of.Licence, "plan", of.Name)
	case broken:
		return r.need(mailroom.NeedsAdmin, licenceRow, "licence_broken", "licence", of.Licence, "plan", of.Name)
	}
	switch {
	case blocked:
		// As every shared mailbox: blocked for sign-in, and without a licence.
		return mailroom.Unseen(licenceRow, mailroom.E(mailroom.NeedsAdmin, "doctor.problem.licence_shared").With("address", r.patient.Account), r.at)
	case len(licences) > 0:
		return r.need(mailroom.NeedsAdmin, licenceRow, "licence_other", "licences", strings.Join(licences, ", "))
	}
	return r.need(mailroom.NeedsAdmin, licenceRow, "licence_missing")
}
