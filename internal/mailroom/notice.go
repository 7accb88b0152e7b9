package mailroom

import (
	"fmt"
	"strings"
	"time"
)

// ExpiryKind is what will stop working at a time that is known beforehand.
type ExpiryKind string

const (
	ExpirySecret      ExpiryKind = "secret"      // a client secret
	ExpiryCertificate ExpiryKind = "certificate" // a client certificate
	ExpiryGrant       ExpiryKind = "grant"       // a refresh token that grows old unused
	ExpiryTesting     ExpiryKind = "testing"     // a grant of a registration in testing mode, Google's seven days
	ExpiryKey         ExpiryKind = "key"         // a key-encryption key that is old enough to be rotated; nothing breaks
)

// ExpiryKinds are all of them.
var ExpiryKinds = []ExpiryKind{ExpirySecret, ExpiryCertificate, ExpiryGrant, ExpiryTesting, ExpiryKey}

const (
	// TestingLife is how long a grant lives while Google's registration is in
	// testing mode (docs/providers.md 4).
	TestingLife = 7 * 24 * time.Hour
	// KeyLife is after which a key-encryption key is due for rotation.
	KeyLife = 365 * 24 * time.Hour
)

// Expiry is something that will stop working, and when.
type Expiry struct {
	Kind     ExpiryKind    `json:"kind"`
	Subject  string        `json:"subject"`            // id of the credential, provider, mailbox or key
	Provider string        `json:"provider,omitempty"` // id
	Name     string        `json:"name"`               // of the provider, or the key's id
	Use      CredentialUse `json:"use,omitempty"`
	Address  string        `json:"address,omitempty"` // of the mailbox
	OwnerID  string        `json:"owner,omitempty"`   // whose mailbox
	At       time.Time     `json:"at,omitzero"`       // zero when nobody knows
	// Replaced: a newer credential is proved, so that nothing breaks.
	Replaced bool `json:"replaced,omitempty"`
	// Operator: whoever runs Mailroom renews it, not the organization.
	Operator bool `json:"operator,omitempty"`
}

// Ahead is how many days before its end an Expiry is told of, most urgent first;
// 0 is told when it is over.
var Ahead = []int{0, 1, 7, 30}

// Stage is the most urgent of Ahead that has been reached; ok is false when none
// is, or the date is unknown.
func (e Expiry) Stage(at time.Time) (days int, ok bool) {
	if e.At.IsZero() || e.Replaced {
		return 0, false
	}
	for _, days := range Ahead {
		if !e.At.After(at.Add(time.Duration(days) * 24 * time.Hour)) {
			return days, true
		}
	}
	return 0, false
}

// WhatKey is the key of the words that name it, with {name} and {address}.
func (e Expiry) WhatKey() string {
	switch {
	case e.Use == UseDoctor:
		return "expiry.what.doctor_" + string(e.Kind)
	case e.Kind == ExpiryTesting && e.Address == "":
		return "expiry.what.testing_all"
	}
	return "expiry.what." + string(e.Kind)
}

// NoticeKind is what a notice says.
type NoticeKind string

const (
	NoticeExpiry    NoticeKind = "expiry"    // something will break
	NoticeFailed    NoticeKind = "failed"    // a mailbox needs somebody
	NoticeRecovered NoticeKind = "recovered" // it does not any more
	NoticeTest      NoticeKind = "test"      // somebody tries whether notices arrive
)

// Notice is one fact told to one audience, once: no two have the same
// organization, subject, stage and audience.
type Notice struct {
	ID, OrgID string
	Subject   string // "mailbox:mbx_…", "secret:crd_…"
	Stage     string // "failed/1700000000000000", "30/1700000000000000"
	Audience  Audience
	CreatedAt time.Time
	SentAt    time.Time // zero while it is open
	Tries     int64
	RetryAt   time.Time // not before; while it is being sent, until when it is claimed
	Data      NoticeData
}

// NoticeData is what the notice's words need. It holds no token and no mail.
type NoticeData struct {
	Kind    NoticeKind `json:"kind"`
	Expiry  *Expiry    `json:"expiry,omitempty"`
	Problem *Problem   `json:"problem,omitempty"`
	Address string     `json:"address,omitempty"` // of the mailbox
	Owner   string     `json:"owner,omitempty"`   // name of its owner
	Since   time.Time  `json:"since,omitzero"`
	Refused *Problem   `json:"refused,omitempty"` // why it could not be sent last
}

// Audience is who is told: "user:ID" is the owner of a mailbox, "admin:ID" an
// administrator by mail, AudienceWebhook the installation's webhook.
type Audience string

const AudienceWebhook Audience = "webhook"

// ToOwner and ToAdmin are a person as audience.
func ToOwner(userID string) Audience { return Audience("user:" + userID) }
func ToAdmin(userID string) Audience { return Audience("admin:" + userID) }

// UserID is whom a mail goes to, "" for the webhook.
func (a Audience) UserID() string {
	_, id, _ := strings.Cut(string(a), ":")
	return id
}

// Admin reports whether an administrator is told as such.
func (a Audience) Admin() bool { return strings.HasPrefix(string(a), "admin:") }

// Stage names of a mailbox's episode, which begins at a time.
func FailedSince(t time.Time) string    { return fmt.Sprintf("failed/%d", Micros(t)) }
func RecoveredSince(t time.Time) string { return fmt.Sprintf("recovered/%d", Micros(t)) }

// NeedyMailbox is a mailbox as notices see it: who owns it, and what stands in
// its way.
type NeedyMailbox struct {
	ID, OrgID, Address string
	Owner              User
	Problem            *Problem
}

// AgingGrant is a grant and whose it is.
type AgingGrant struct {
	MailboxID, Address, OwnerID, ProviderID string
	GrantedAt, RefreshedAt                  time.Time
}

// NeedsSomebody reports whether a kind of trouble waits for a person to act.
func (k Kind) NeedsSomebody() bool { return k == NeedsConsent || k == NeedsAdmin || k == NeedsVendor }
