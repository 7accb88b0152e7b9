package mailroom

import (
	"regexp"
	"strings"
	"time"
)

// ConsumerTenant is where Microsoft keeps personal accounts (docs/providers.md 2.3).
// Nobody administers it, so nobody can consent for it.
const ConsumerTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// ConsentLink is a link for an IT administrator who has no account here: it leads
// to a page that says what is asked and why, and to the provider's consent for a
// whole tenant. Its token is signed and not kept.
type ConsentLink struct {
	ID, OrgID, ProviderID string
	MailboxID             string // it was made for, "" for the whole company
	Tenant                string // GUID or domain, "" when nobody knows
	CreatedBy             string // user id
	CreatedAt, ExpiresAt  time.Time
	RevokedAt             time.Time // withdrawn by a person
	OpenedAt              time.Time // first time that the page was asked for
	ProvedAt              time.Time // since it was made, consent of its tenant was proved
}

// ConsentJourney is an administrator who was sent to the provider to consent for a
// tenant. The state is single use; what comes back is a report and proves nothing.
type ConsentJourney struct {
	ID, OrgID, ProviderID string
	StateHash             string // SHA-256 of the state parameter, hex
	LinkID                string // came by this link, "" for a signed-in administrator
	UserID                string // the signed-in administrator, "" by a link
	Binding               string // hash of a secret of the browser session that went
	Tenant                string // that was asked for, "" for organizations
	CreatedAt, ExpiresAt  time.Time
	AnsweredAt            time.Time
	Reported              string   // tenant as the answer names it, which anybody may write
	Problem               *Problem // as which the provider refused, nil when it did not
}

// ConsentAnswer is what a provider sends an administrator's browser back with.
type ConsentAnswer struct {
	ProviderID, State                string // ProviderID is whose door it came in by
	Consented                        bool   // admin_consent, as anybody may write it
	Tenant                           string
	Error, ErrorDescription, Subcode string
}

// Tenant is what is known of a tenant's consent.
type Tenant struct {
	OrgID, ProviderID, ID string
	ReportedAt            time.Time // a browser brought an answer back
	ProvedAt              time.Time // last proof: a grant from there, or a reading of its directory
	ProvedBy              ConsentProof
}

// ConsentProof names what proved consent.
type ConsentProof = string

const (
	ProvedByGrant   ConsentProof = "grant"   // a grant from the tenant succeeded
	ProvedByRefresh ConsentProof = "refresh" // a token that was refused for want of consent came again
	ProvedByDoctor  ConsentProof = "doctor"  // the tenant's directory was read
)

// ConsentState is how far consent for a company is, from nothing to proved.
type ConsentState string

const (
	ConsentNone      ConsentState = "none"      // nobody was asked
	ConsentSent      ConsentState = "sent"      // a link was made
	ConsentOpened    ConsentState = "opened"    // somebody opened it
	ConsentAsked     ConsentState = "asked"     // somebody went on to the provider and has not come back
	ConsentDeclined  ConsentState = "declined"  // came back with a refusal
	ConsentReported  ConsentState = "reported"  // came back with consent, which is not proved yet
	ConsentProved    ConsentState = "proved"    // a grant or the directory showed it
	ConsentMissing   ConsentState = "missing"   // was there, and mailboxes are refused for want of it
	ConsentExpired   ConsentState = "expired"   // of a link
	ConsentWithdrawn ConsentState = "withdrawn" // of a link, by a person
)

// State of a link with the journeys that began at it, newest first.
func (l ConsentLink) State(journeys []ConsentJourney, now time.Time) ConsentState {
	switch {
	case !l.RevokedAt.IsZero():
		return ConsentWithdrawn
	case !l.ProvedAt.IsZero():
		return ConsentProved
	}
	state := ConsentSent
	if !l.OpenedAt.IsZero() {
		state = ConsentOpened
	}
	if s := JourneysState(journeys); s != ConsentNone {
		state = s
	}
	// What was reported in time may be proved later.
	if state != ConsentReported && !now.Before(l.ExpiresAt) {
		return ConsentExpired
	}
	return state
}

// JourneysState is how far journeys, newest first, have come: consent that one of
// them reported stands until a later one was refused.
func JourneysState(journeys []ConsentJourney) ConsentState {
	state := ConsentNone
	for _, j := range journeys {
		switch {
		case j.AnsweredAt.IsZero():
			state = ConsentAsked
		case j.Problem == nil:
			return ConsentReported
		case state == ConsentNone:
			return ConsentDeclined
		default:
			return state
		}
	}
	return state
}

var (
	tenantGUID   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	tenantDomain = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)
)

// NormalTenant is a tenant's GUID or domain in normal form; ok is false for
// anything else. "common", "organizations" and "consumers" name no tenant.
func NormalTenant(s string) (tenant string, ok bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if len(s) > 253 || s == ConsumerTenant {
		return "", false
	}
	return s, tenantGUID.MatchString(s) || tenantDomain.MatchString(s)
}

// IsTenantID reports whether s is the GUID of a tenant.
func IsTenantID(s string) bool { return tenantGUID.MatchString(s) && s != ConsumerTenant }

// personalDomains are those under which Microsoft gives addresses to persons: no
// company's administrator stands behind them.
var personalDomains = regexp.MustCompile(`^(outlook|hotmail|live|msn)\.([a-z]{2,3}\.)?[a-z]{2,3}$`)

// TenantOf is the tenant to ask for when only an address is known: its domain, ""
// when that says nothing.
func TenantOf(address string) string {
	_, domain, _ := strings.Cut(NormalAddress(address), "@")
	domain, ok := NormalTenant(domain)
	if !ok || personalDomains.MatchString(domain) {
		return ""
	}
	return domain
}
