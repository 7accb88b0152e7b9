package mailroom

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Refusal is that a mailbox is refused by its provider, while it stands: at a
// refresh of its token, or when signing in to IMAP.
type Refusal struct {
	MailboxID, OrgID, ProviderID, TenantID string
	Kind                                   Kind
	Key                                    string // the provider's reason, as a message key
	FirstAt, LastAt                        time.Time
	Shown                                  *Problem // what the mailbox shows for it
}

// KeyProviderFault is what a mailbox shows that is refused along with many others
// of its tenant. Its argument "reason" is the key of what the provider said.
const KeyProviderFault = "grant.error.provider_fault"

const (
	// FaultLeast is how many mailboxes of a tenant must be refused for one reason to
	// be no coincidence.
	FaultLeast = 5
	// FaultBelieved is how long a mailbox's refusal must stand without a break to be
	// believed in spite of the others.
	FaultBelieved = 6 * time.Hour
)

// Refused reports whether p is a provider's word that a mailbox may not be read,
// which is kept as a Refusal.
func (p *Problem) Refused() bool {
	switch {
	case p == nil:
		return false
	case strings.HasPrefix(p.Key, "oauth.error."):
		return p.Kind == NeedsConsent || p.Kind == NeedsAdmin || p.Kind == NeedsVendor
	}
	return p.Key == "imap.error.auth" || strings.HasPrefix(p.Key, "imap.error.") && p.Kind == NeedsAdmin
}

// Doubtful reports whether a refusal may be a fault of the provider's: where it
// says "grant again", or IMAP lets nobody in without a reason. What an
// administrator or the vendor has to mend it says in so many words.
func (p *Problem) Doubtful() bool {
	return p.Refused() && (p.Kind == NeedsConsent || p.Key == "imap.error.not_connected")
}

// ProviderFault tells a fault of a provider from the end of single grants, for the
// mailboxes of one tenant: refused is since when those stand that are refused for
// one reason, fine when the others last proved that they are not. It is a fault when
// since some moment at least FaultLeast were refused, and no more were fine: tokens
// run out one after another, so that half of all that were tried is half of all. A
// refusal that stands for FaultBelieved is believed, and counts no more. since is
// when the fault began (precedent: EX1215307, docs/providers.md 3.1).
func ProviderFault(refused, fine []time.Time, now time.Time) (since time.Time, fault bool) {
	refused = slices.DeleteFunc(slices.Clone(refused), func(t time.Time) bool { return now.Sub(t) >= FaultBelieved })
	slices.SortFunc(refused, time.Time.Compare)
	for i, t := range refused {
		bad, good := len(refused)-i, 0
		for _, f := range fine {
			if !f.Before(t) {
				good++
			}
		}
		if bad >= FaultLeast && bad >= good {
			return t, true
		}
	}
	return time.Time{}, false
}

// Fault is one trouble of many mailboxes, to be told once.
type Fault struct {
	ProviderID, TenantID string
	// Kind is Unavailable for what looks like a fault of the provider's and passes by
	// itself; NeedsAdmin and NeedsVendor for what one person mends for all.
	Kind       Kind
	Reason     *Problem // what the provider says
	Mailboxes  []string
	Since      time.Time
	LastAt     time.Time
	BelievedAt time.Time // Unavailable: from when on each counts for itself
}

// Faults gathers what many mailboxes share out of an organization's refusals,
// oldest first.
func Faults(refusals []Refusal) []Fault {
	type tenant struct {
		provider, tenant, key string
		kind                  Kind
	}
	groups := map[tenant]*Fault{}
	for _, r := range refusals {
		if r.Shown == nil {
			continue
		}
		shared := r.Shown.Key == KeyProviderFault
		if !shared && (r.Shown.Key != r.Key || r.Shown.Kind != NeedsAdmin && r.Shown.Kind != NeedsVendor) {
			continue
		}
		id := tenant{r.ProviderID, r.TenantID, r.Key, r.Shown.Kind}
		f := groups[id]
		if f == nil {
			f = &Fault{ProviderID: r.ProviderID, TenantID: r.TenantID, Kind: r.Shown.Kind, Since: r.FirstAt,
				Reason: &Problem{Kind: r.Kind, Key: r.Key, Args: r.Shown.Args}}
			groups[id] = f
		}
		f.Mailboxes = append(f.Mailboxes, r.MailboxID)
		if r.FirstAt.Before(f.Since) {
			f.Since = r.FirstAt
		}
		if r.LastAt.After(f.LastAt) {
			f.LastAt = r.LastAt
		}
		if shared {
			f.BelievedAt = f.Since.Add(FaultBelieved)
		}
	}
	var out []Fault
	for _, f := range groups {
		if f.Kind == Unavailable || len(f.Mailboxes) > 1 {
			out = append(out, *f)
		}
	}
	slices.SortFunc(out, func(a, b Fault) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.Reason.Key, b.Reason.Key), strings.Compare(a.TenantID, b.TenantID))
	})
	return out
}
