package mailroom

import "time"

// Organization is the agency. Every other row belongs to exactly one, and no
// query crosses that wall.
type Organization struct {
	ID   string
	Name string
	// ShareLinkedMail lets every recruiter of the organization read mail that
	// is linked to a person, whoever's mailbox it came from.
	ShareLinkedMail bool
	// AllowPrivateHosts lets users type IMAP hosts that resolve to private or
	// link-local addresses.
	AllowPrivateHosts bool
	CreatedAt         time.Time
}

// Role is what a user may do.
type Role string

const (
	Recruiter     Role = "recruiter"
	Administrator Role = "administrator"
)

// User is a person who signs in.
type User struct {
	ID, OrgID    string
	Email        string // lower case; unique over the installation
	Name         string
	Role         Role
	PasswordHash string // argon2id, PHC string
	Language     string // "en", "nl", or "" to follow the browser
	DisabledAt   time.Time
	// SessionEpoch is kept in every session; a session with an older one is
	// signed out. "Sign out everywhere" and a new password raise it.
	SessionEpoch int64
	CreatedAt    time.Time
}

// IsAdmin reports whether the user administers the organization.
func (u User) IsAdmin() bool { return u.Role == Administrator }

// AuditEvent says who did what to what. It is never changed.
type AuditEvent struct {
	ID, OrgID string
	At        time.Time
	ActorID   string // user id, or "" for the machine
	Action    string // "grant.given", "mapping.saved", …
	Subject   string // id of what it was done to
	Details   map[string]any
}
