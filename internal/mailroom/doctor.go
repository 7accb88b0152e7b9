package mailroom

import "time"

// What a tenant's directory says, in the words of Microsoft Graph: the doctor
// reads it through a small interface and judges it (docs/providers.md 5).

// DirectoryApp is an application as a tenant has it (a service principal).
type DirectoryApp struct {
	ID    string // of the object in this tenant; what other rows point to
	AppID string // the same in every tenant: the client id
	Name  string
	// Enabled is "Enabled for users to sign-in" on the application's page.
	Enabled bool
	// AssignmentRequired: only who is assigned may sign in.
	AssignmentRequired bool
	// Disabled is why the vendor itself blocked the application; "" if it did not.
	Disabled string
}

// DirectoryUser is a person of a tenant, or the account behind a shared mailbox.
type DirectoryUser struct {
	ID, Name string
	SignIn   string // userPrincipalName
	// Addresses are those of the mailbox, in lower case, without the prefix "smtp:".
	Addresses []string
	// Enabled is nil when it was not told, as for somebody who reads only themselves.
	Enabled *bool
}

// DirectoryAssignment gives an application to somebody.
type DirectoryAssignment struct {
	PrincipalID   string
	PrincipalName string
	Group         bool   // to the direct members of a group
	AppID         string // object id of the application
}

// DirectoryGroup is a group that somebody is in.
type DirectoryGroup struct {
	ID, Name string
	Nested   bool // only through another group
}

// DirectoryConsent is a permission grant: what an application may ask of a
// service on behalf of people.
type DirectoryConsent struct {
	ResourceID  string // object id of the service
	Everybody   bool   // consentType AllPrincipals
	PrincipalID string // of whom it is, if not everybody's
	Scopes      []string
}

// DirectoryPlan is one service in one of a person's licences.
type DirectoryPlan struct {
	ID      string // GUID, the same everywhere
	Name    string // "EXCHANGE_S_STANDARD"
	Status  string // provisioningStatus: Success, Disabled, Error, Pending…
	Licence string // skuPartNumber of the licence that it is in
	Company bool   // appliesTo Company: nobody's own
}

// DirectoryRequests is the admin consent workflow: whether people can ask their
// administrator from the sign-in page itself.
type DirectoryRequests struct {
	Enabled   bool
	Reviewers int
}

// DoctorRequest is a look into a tenant's directory that has been begun: what
// its callback must match. It is single use, as AuthRequest is.
type DoctorRequest struct {
	StateHash  string // SHA-256 of the state parameter, hex
	Binding    string // SHA-256 of the browser session's secret
	OrgID      string
	UserID     string // who looks
	ProviderID string
	MailboxID  string // "" for an address that is no mailbox here
	Address    string // whom it is about
	Self       bool   // with User.Read only, about oneself
	Verifier   Sealed // PKCE code verifier (RFC 7636)
	Nonce      string
	CreatedAt  time.Time
	ExpiresAt  time.Time
}

// DoctorPermit is what a provider gave for one look: it lives in memory, for
// the length of one request, and is stored nowhere.
type DoctorPermit struct {
	Request  DoctorRequest // without its verifier
	Provider Provider
	Token    string
	Scopes   []string
	// TenantID, Subject and Addresses are of whoever signed in, from the verified ID token.
	TenantID, Subject string
	Addresses         []string
}

// DoctorReport is what was found, once.
type DoctorReport struct {
	ID         string
	OrgID      string
	ProviderID string
	MailboxID  string // "" for an address that is no mailbox here
	Address    string
	AskedBy    string // user id
	Self       bool
	TenantID   string // of the directory that was read; "" when none was
	At         time.Time
	Checks     []Check
}

// Patient is a mailbox, or an address that is none here, and what is known of it
// before the doctor looks.
type Patient struct {
	Provider Provider
	Address  string   // of the mailbox
	Account  string   // who signs in for it: another than Address where the mailbox is shared
	Mailbox  *Mailbox // nil for an address that is no mailbox here
	Grant    *Grant   // nil without one
	Ready    bool     // there is a grant or a password to sign in with
	// Refusal is why the provider refused last; nil when it did not, or was
	// satisfied since.
	Refusal *Problem
}

// Examination is what the doctor found.
type Examination struct {
	Checks []Check
	// Consented: the tenant's directory itself says that an administrator has
	// consented for everybody, to all that mail needs.
	Consented bool
}
