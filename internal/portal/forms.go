package portal

import "mailroom/internal/mailroom"

// SetupForm founds the installation: the organization and its first
// administrator.
type SetupForm struct {
	Organization string
	Name, Email  string
	Password     string
}

// UserForm is a new user as typed by an administrator.
type UserForm struct {
	Email, Name string
	Role        mailroom.Role
}

// OrganizationForm is the organization's settings.
type OrganizationForm struct {
	Name              string
	ShareLinkedMail   bool
	AllowPrivateHosts bool
}

// ProviderForm is a provider's registration, and the provider itself where the
// organization added it.
type ProviderForm struct {
	ClientID, Tenant string
	Testing          bool
	Again            bool // grants of another client may be lost

	Name, Issuer, DiscoveryURL, AuthURL, TokenURL, JWKSURL, RevokeURL string
	TokenAuth                                                         string
	Scopes                                                            string // separated by spaces or lines
	AuthParams                                                        string // lines of name=value
	SASL                                                              []string
	IMAP                                                              mailroom.Endpoint
}

// What kind of credential is added.
const (
	CredentialSecret = "secret"
	CredentialMade   = "made"   // a certificate made here
	CredentialPasted = "pasted" // a certificate with its key
)

// CredentialForm is a credential as typed by an administrator.
type CredentialForm struct {
	Use      mailroom.CredentialUse
	Kind     string
	ClientID string // of the doctor's registration
	Secret   string
	Expires  string // day, as in 2026-11-24
	PEM      string
}
