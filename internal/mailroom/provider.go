package mailroom

import (
	"cmp"
	"slices"
	"time"
)

// AccountKind is the choice under "IMAP Account" in the oAuth 2.0 dialog.
type AccountKind string

const (
	Outlook AccountKind = "outlook"
	Gmail   AccountKind = "gmail"
	Other   AccountKind = "other"
)

// TLSMode says how a connection to an IMAP server is secured.
type TLSMode string

const (
	ImplicitTLS TLSMode = "tls"      // TLS from the first byte, port 993 (RFC 8314)
	StartTLS    TLSMode = "starttls" // upgrade before signing in (RFC 3501 §6.2.1)
	PlainText   TLSMode = "plain"    // loopback only
)

// Endpoint is where an IMAP server listens.
type Endpoint struct {
	Host string  `json:"host"`
	Port int     `json:"port"`
	TLS  TLSMode `json:"tls"`
}

// Provider is an OAuth provider and the IMAP service that its tokens open. It
// is data: a new one needs no Go code.
type Provider struct {
	ID   string      `json:"id"`   // "microsoft"; part of its redirect URI, so never changed
	Name string      `json:"name"` // as people call it: "Outlook"
	Kind AccountKind `json:"kind"`
	// Company runs it: "Microsoft"; Name where it is left out.
	Company string `json:"company,omitempty"`

	// Issuer as in ID tokens; "{tenantid}" in it is replaced by the token's tid
	// (Microsoft's multi-tenant form, docs/providers.md 2.3).
	Issuer string `json:"issuer"`
	// DiscoveryURL is read for the endpoints that are empty below; "" for none.
	DiscoveryURL string `json:"discovery_url,omitempty"`
	AuthURL      string `json:"auth_url,omitempty"`
	TokenURL     string `json:"token_url,omitempty"`
	JWKSURL      string `json:"jwks_url,omitempty"`
	RevokeURL    string `json:"revoke_url,omitempty"` // RFC 7009; "" where there is none (Microsoft)
	// RevokePage is where the person can take back consent by hand.
	RevokePage string `json:"revoke_page,omitempty"`

	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	// TokenAuth says how the secret goes to the token endpoint: "basic" (RFC 6749
	// §2.3.1, the default) or "post", in the body.
	TokenAuth  string            `json:"token_auth,omitempty"`
	Scopes     []string          `json:"scopes"`
	AuthParams map[string]string `json:"auth_params,omitempty"` // e.g. prompt=select_account
	// SubjectClaims together name the person for ever: tid+oid at Microsoft.
	SubjectClaims []string `json:"subject_claims"`
	// AddressClaims may carry the mailbox address, best first.
	AddressClaims []string `json:"address_claims"`

	IMAP Endpoint `json:"imap"`
	SASL []string `json:"sasl"` // in order of preference: XOAUTH2, OAUTHBEARER
	// MaxConnections per mailbox, in all.
	MaxConnections int `json:"max_connections"`
	// SignIns at a time from one node, over all mailboxes; 0 for 16.
	SignIns int `json:"sign_ins,omitempty"`
	// IdleSeconds after which IDLE is renewed (RFC 2177: under 29 minutes).
	IdleSeconds int `json:"idle_seconds"`
	// Loopback allows plain text and private addresses: the demo's and tests' world.
	Loopback bool `json:"loopback,omitempty"`
}

// Operator is who runs the provider's servers.
func (p Provider) Operator() string { return cmp.Or(p.Company, p.Name) }

// Configured reports whether grants can be asked for at all.
func (p Provider) Configured() bool { return p.ClientID != "" }

// IdleRenewal is how long one IDLE may stand; 10 minutes unless told otherwise.
func (p Provider) IdleRenewal() time.Duration {
	if p.IdleSeconds <= 0 {
		return 10 * time.Minute
	}
	return time.Duration(p.IdleSeconds) * time.Second
}

// Providers is the list that an installation offers.
type Providers []Provider

// ByID finds a provider.
func (ps Providers) ByID(id string) (Provider, bool) {
	i := slices.IndexFunc(ps, func(p Provider) bool { return p.ID == id })
	if i < 0 {
		return Provider{}, false
	}
	return ps[i], true
}

// OfKind lists the configured providers of a kind.
func (ps Providers) OfKind(k AccountKind) []Provider {
	var out []Provider
	for _, p := range ps {
		if p.Kind == k && p.Configured() {
			out = append(out, p)
		}
	}
	return out
}
