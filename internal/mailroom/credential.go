package mailroom

import "time"

// CredentialKind says how a client proves itself at the token endpoint.
type CredentialKind string

const (
	ClientSecret      CredentialKind = "secret"      // RFC 6749 §2.3.1
	ClientCertificate CredentialKind = "certificate" // signed assertion, RFC 7523 §2.2
)

// CredentialUse is which of a provider's two registrations a credential is for:
// the one that reads mail, or the doctor's read-only one.
type CredentialUse string

const (
	UseMail   CredentialUse = "mail"
	UseDoctor CredentialUse = "doctor"
)

// Credential is with what an organization's registration at a provider proves
// itself, without the secret. Two may live side by side: a new one is proved by a
// real token request before the one before is dropped.
type Credential struct {
	ID, OrgID, ProviderID string
	Use                   CredentialUse
	Kind                  CredentialKind
	ClientID              string
	// Certificate is the public part in PEM form, Thumbprint its SHA-256 in
	// base64url (x5t#S256, RFC 7515 §4.1.8); "" for a secret.
	Certificate, Thumbprint string
	ExpiresAt               time.Time // zero when nobody knows
	CreatedBy               string    // user id
	CreatedAt               time.Time
	ProvedAt                time.Time // of the first token request that it proved; zero: on trial
	Problem                 *Problem  // why the provider refused it last, nil if it did not
	Sealed                  Sealed    // secret or private key in PEM form, sealed by a key-encryption key
}

// NewCredential is what an administrator enters to prove a registration with.
type NewCredential struct {
	ProviderID string
	Use        CredentialUse
	Kind       CredentialKind
	ClientID   string // of the doctor's registration; the mail one's is the provider's
	Secret     string
	ExpiresAt  time.Time // of a secret; a certificate says so itself
	// PEM is a certificate with its private key; "" for one that is made here.
	PEM string
}
