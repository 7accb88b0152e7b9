package mailroom

import "time"

// Grant is consent as the provider recorded it. It holds no token in clear.
type Grant struct {
	ID, OrgID, MailboxID, ProviderID string
	Subject                          string   // provider's key of the person: tid/oid, or sub
	Account                          string   // address or name of the account that granted
	TenantID                         string   // Microsoft tid, "" elsewhere
	Scopes                           []string // given, which may be fewer than asked
	GrantedBy                        string   // user id
	GrantedAt                        time.Time
	RefreshedAt                      time.Time
	ExpiresAt                        time.Time // of the access token
	Version                          int64     // grows with each stored token
	Via                              GrantVia
}

// GrantVia says how the account that granted relates to the mailbox that was typed.
type GrantVia string

const (
	ViaSelf   GrantVia = ""       // the account's own address
	ViaAlias  GrantVia = "alias"  // another name of the same mailbox
	ViaShared GrantVia = "shared" // a shared mailbox that the account may open, by explicit choice
)

// Sealed is a secret at rest: ciphertext and the name of the key that opens it.
type Sealed struct {
	KeyID string
	Data  []byte
}

// GrantSecrets are the sealed parts of a grant.
type GrantSecrets struct {
	Access, Refresh Sealed
}

// AuthRequest is a grant that has been begun and not finished: what the
// callback must match (RFC 9700 §4.7). It is single use.
type AuthRequest struct {
	StateHash  string // SHA-256 of the state parameter, hex
	Binding    string // ties it to the browser session that began it
	OrgID      string
	UserID     string
	MailboxID  string
	ProviderID string
	Verifier   Sealed // PKCE code verifier (RFC 7636)
	Nonce      string
	Forced     bool // consent was asked for explicitly, because no refresh token came
	CreatedAt  time.Time
	ExpiresAt  time.Time
}

// GrantOutcome is what the callback of a grant ended in, for the page that says so.
type GrantOutcome struct {
	MailboxID string
	// Again is a URL to send the browser to once more (Google gave no refresh
	// token: ask with prompt=consent); "" otherwise.
	Again string
	Grant Grant
	// Choice waits for the person, nil when nothing does: nothing is stored yet.
	Choice *GrantChoice
}

// PendingGrant is a grant that came back for another address than was typed, as it
// is kept until it is known or chosen what it is. It is bound to the browser
// session that asked, and does not live long.
type PendingGrant struct {
	ID         string
	Binding    string // hash of the browser session's secret
	OrgID      string
	UserID     string
	MailboxID  string
	ProviderID string
	Account    string // address that granted
	Data       Sealed // tokens and what is known so far
	CreatedAt  time.Time
	ExpiresAt  time.Time
}

// GrantChoice is a pending grant as a person sees it.
type GrantChoice struct {
	ID        string
	MailboxID string
	Mailbox   string // address that was typed
	Account   string // address that granted
	// Shared: the account opens the mailbox, which is not its own; the person decides.
	// Otherwise it could not be told, for the reason in Problem.
	Shared    bool
	Problem   *Problem
	ExpiresAt time.Time
}

// RevokeOutcome says what revoking did, honestly.
type RevokeOutcome struct {
	ProviderRevoked bool   // the provider confirmed
	ProviderFailed  bool   // it has a revocation endpoint, which failed
	RevokePage      string // where the person can finish by hand, "" if nothing remains
	// ConnectionsOpen: not every connection to the mailbox was seen to end, since
	// another node held one, or one did not end in time. It does within a minute.
	ConnectionsOpen bool
}
