package mailroom

import (
	"slices"
	"strings"
	"time"
)

// PersonKind is candidate or contact person.
type PersonKind string

const (
	Candidate PersonKind = "candidate"
	Contact   PersonKind = "contact"
)

// Person is a candidate or a contact person of a client.
type Person struct {
	ID, OrgID string
	Kind      PersonKind
	Name      string
	Company   string // contact persons: whom they work for
	Reference string // number in the recruitment system, unique per kind when given
	Addresses []string
	CreatedAt time.Time
}

// LinkReason says why a message is linked to a person.
type LinkReason string

const (
	ByAddress LinkReason = "address" // the machine, since exactly one person has the address
	ByHand    LinkReason = "hand"    // a recruiter
)

// Link ties a message to a person.
type Link struct {
	MessageID string
	PersonID  string
	Address   string     // through which it matched, "" by hand without one
	Role      HeaderRole // header it stood in
	Reason    LinkReason
	MadeBy    string // user id, "" for the machine
	CreatedAt time.Time
	// RemovedAt, when a recruiter took it away; the machine then never makes it again.
	RemovedAt time.Time
	RemovedBy string
}

// NormalAddress is an address as it is compared: trimmed, lower case, without
// "mailto:" and angle brackets. No plus-tag folding (RFC 5321 §2.3.11 leaves
// the local part to its host; in practice case never matters).
func NormalAddress(s string) string {
	s = strings.Trim(strings.ToLower(s), "<> \t\r\n")
	return strings.TrimSpace(strings.TrimPrefix(s, "mailto:"))
}

// Holder says that a person has an address.
type Holder struct {
	Address  string // normal form
	PersonID string
}

// Matched is what Match decided.
type Matched struct {
	Links   []Link // Reason ByAddress
	Choices []Link // the address belongs to several persons: PersonID is "", a person decides
}

// IsSent reports whether the mail was sent by the mailbox's owner: From is the
// owner's address, whatever the folder.
func (m Message) IsSent(owner string) bool {
	owner = NormalAddress(owner)
	if owner == "" {
		return false
	}
	for _, a := range m.From {
		if NormalAddress(a.Addr) == owner {
			return true
		}
	}
	return false
}

// LinkAddresses are the addresses that decide whom a message belongs to: all in
// From for incoming mail, all in To, Cc and Bcc for sent mail, the owner's own
// address left out. Each once, in normal form, with the header it first stood in.
func (m Message) LinkAddresses(owner string) []Link {
	type header struct {
		role HeaderRole
		list []Address
	}
	headers := []header{{RoleFrom, m.From}}
	if m.IsSent(owner) {
		headers = []header{{RoleTo, m.To}, {RoleCc, m.Cc}, {RoleBcc, m.Bcc}}
	}
	owner = NormalAddress(owner)
	seen := map[string]bool{owner: true, "": true}
	var out []Link
	for _, h := range headers {
		for _, a := range h.list {
			addr := NormalAddress(a.Addr)
			if seen[addr] {
				continue
			}
			seen[addr] = true
			out = append(out, Link{Address: addr, Role: h.role})
		}
	}
	return out
}

// Match decides whom a message belongs to, given who holds its addresses. An
// address that belongs to exactly one person links; one that belongs to
// several is left to a person.
func Match(m Message, owner string, holders []Holder) Matched {
	byAddr := map[string][]string{}
	for _, h := range holders {
		if !slices.Contains(byAddr[h.Address], h.PersonID) {
			byAddr[h.Address] = append(byAddr[h.Address], h.PersonID)
		}
	}
	var out Matched
	linked := map[string]bool{}
	for _, l := range m.LinkAddresses(owner) {
		switch ids := byAddr[l.Address]; len(ids) {
		case 0:
		case 1:
			if !linked[ids[0]] {
				linked[ids[0]] = true
				l.PersonID, l.Reason = ids[0], ByAddress
				out.Links = append(out.Links, l)
			}
		default:
			out.Choices = append(out.Choices, l)
		}
	}
	return out
}
