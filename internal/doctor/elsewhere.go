package doctor

import "mailroom/internal/mailroom"

// refusals say which row a provider's refusal is about: the families of
// oauth's catalogue.
var refusals = map[string]string{
	"oauth.error.app_missing":       appRow,
	"oauth.error.app_disabled":      appRow,
	"oauth.error.not_assigned":      assignedRow,
	"oauth.error.consent_missing":   consentRow,
	"oauth.error.consent_requested": consentRow,
	"oauth.error.no_exchange":       licenceRow,
	"oauth.error.account_locked":    userRow,
	"oauth.error.wrong_account":     userRow,
	"oauth.error.policy":            policyRow,
}

// elsewhere answers a row from what the provider itself did last: it refused for
// that very reason, or it gave a permission that still holds, which it does only
// where the application is there, consented to, and open to the person.
func (r *rules) elsewhere(row string) (mailroom.Check, bool) {
	p := r.patient
	if why := p.Refusal; why != nil {
		if refusals[why.Key] != row {
			return mailroom.Check{}, false
		}
		return mailroom.Check{Name: row, Result: mailroom.CheckFailed, Problem: why}, true
	}
	if p.Grant == nil {
		return mailroom.Check{}, false
	}
	switch row {
	case appRow, assignedRow, consentRow:
		return mailroom.Passed(row+"_granted", args("account", p.Grant.Account)), true
	}
	return mailroom.Check{}, false
}

// imap sharpens what the mail server says: it calls a mailbox that is not
// licensed and one for which IMAP is off by the same words (docs/providers.md 3.4).
// The directory, where it was read, tells them apart.
func (r *rules) imap(checks []mailroom.Check) []mailroom.Check {
	for i, c := range checks {
		if c.Result != mailroom.CheckFailed || c.Problem == nil || c.Problem.Key != "imap.error.not_connected" {
			continue
		}
		licence := r.licence()
		switch {
		case licence.Result == mailroom.CheckFailed:
			checks[i] = r.need(mailroom.NeedsAdmin, c.Name, "imap_licence", "mailbox", r.patient.Address)
		case mailroom.NormalAddress(r.patient.Account) != mailroom.NormalAddress(r.patient.Address):
			checks[i] = r.need(mailroom.NeedsAdmin, c.Name, "imap_shared", "mailbox", r.patient.Address)
		case licence.Result == mailroom.CheckOK:
			checks[i] = r.need(mailroom.NeedsAdmin, c.Name, "imap_off", "mailbox", r.patient.Address)
		default:
			checks[i] = r.need(mailroom.NeedsAdmin, c.Name, "imap_perhaps", "mailbox", r.patient.Address)
		}
		checks[i].Took = c.Took
	}
	return checks
}
