package mailroom

import "time"

// ConsentRequest is what a consent URL is made of.
type ConsentRequest struct {
	State       string
	Nonce       string // comes back inside the ID token (OpenID Connect Core §3.1.2.1)
	Verifier    string // PKCE code verifier; only its S256 challenge is sent (RFC 7636 §4.2)
	RedirectURL string
	LoginHint   string // address of the account that should sign in
	Force       bool   // ask for consent again, since no refresh token came without
	// Select has the provider ask which account, whoever is signed in there.
	Select bool
}

// CodeRequest turns the code of a callback into tokens.
type CodeRequest struct {
	Code        string
	Verifier    string
	Nonce       string
	RedirectURL string // the same as in the ConsentRequest (RFC 6749 §4.1.3)
	Issuer      string // iss of the callback, "" when none was sent (RFC 9207)
}

// Tokens are what a provider gave, in clear: they live in memory only.
type Tokens struct {
	Access    string
	Refresh   string // "" when none came: the one before stays good (RFC 6749 §6)
	ExpiresAt time.Time
	Scopes    []string // given

	// Of the verified ID token; empty after a refresh and for a provider that
	// is not asked for one.
	Subject   string
	TenantID  string
	Addresses []string // address claims, best first, in normal form
}

// Credentials are what a mailbox signs in with, sealed, and who owns them.
type Credentials struct {
	MailboxID, OrgID, UserID string
	Address                  string
	ProviderID               string // as chosen for the mailbox; the grant names its own
	Retired                  bool
	Problem                  *Problem
	DataKey                  Sealed // seals the secrets below; itself sealed by the named key-encryption key
	Password                 Sealed
	Grant                    *Grant // nil when there is none
	Secrets                  GrantSecrets
	Reader                   string // node that reads the mailbox right now, "" for none
	LeaseOwner               string // who refreshes the grant right now
	LeaseUntil               time.Time
}

// NewGrant is a grant on its way into the store.
type NewGrant struct {
	Grant   Grant
	Secrets GrantSecrets
	DataKey Sealed
	// Replaces is the version of the grant that it takes the place of, 0 for
	// none: two callbacks at once cannot overwrite each other unseen.
	Replaces int64
	Event    AuditEvent
}

// Refreshed is a renewed token on its way into the store.
type Refreshed struct {
	MailboxID string
	GrantID   string
	Owner     string // of the refresh lease
	Version   int64  // of the grant that was refreshed
	Access    Sealed
	Refresh   Sealed // zero: the one that is there stays
	Scopes    []string
	ExpiresAt time.Time
	At        time.Time
}
