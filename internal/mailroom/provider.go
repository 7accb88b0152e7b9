package mailroom

import (
	"cmp"
	"context"
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
	// ClientKey and ClientCertificate, both in PEM form, prove the client by a
	// signed assertion in place of a secret (RFC 7523 §2.2).
	ClientKey         string `json:"client_key,omitempty"`
	ClientCertificate string `json:"client_certificate,omitempty"`
	// SecretExpires is when the client's secret or certificate runs out; zero when
	// nobody said.
	SecretExpires time.Time `json:"secret_expires,omitzero"`
	// TokenAuth says how the secret goes to the token endpoint: "basic" (RFC 6749
	// §2.3.1, the default), "post", in the body, or "none" where there is no secret
	// (a public client, RFC 6749 §2.1).
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
	// RefreshDays after which a refresh token that is not used dies; 0 for never.
	RefreshDays int `json:"refresh_days,omitempty"`
	// Testing: the registration is in testing mode, whose refresh tokens live seven
	// days from the grant on (Google).
	Testing bool `json:"testing,omitempty"`
	// Password: there is no OAuth, people sign in with an (app) password; only ID,
	// Name, Kind and IMAP count.
	Password bool `json:"password,omitempty"`
	// Untested: taken from the vendor's pages and tried by nobody here.
	Untested bool `json:"untested,omitempty"`
	// AdminConsentURL is where an administrator consents for a whole tenant,
	// "{tenant}" in it is replaced (docs/providers.md 2.4); "" where there is no such
	// thing.
	AdminConsentURL string `json:"admin_consent_url,omitempty"`
	// Consoles are the administrator's web pages that help names: "entra",
	// "exchange", "licences", "apps".
	Consoles map[string]string `json:"consoles,omitempty"`
	// Directory is what the doctor reads; nil where there is nothing to read.
	Directory *Directory `json:"directory,omitempty"`
	// Loopback allows plain text and private addresses: the demo's and tests' world.
	Loopback bool `json:"loopback,omitempty"`
	// Private allows private addresses, over TLS: an organization whose
	// administrators allow them, and that added the provider itself.
	Private bool `json:"-"`
}

// Directory is the read-only door to a tenant's directory, with a registration of
// its own: granting consent again to the mail registration can drop what the tenant
// had granted it before (docs/providers.md 2.1).
type Directory struct {
	URL          string   `json:"url"` // "https://graph.microsoft.com/v1.0"
	ClientID     string   `json:"client_id,omitempty"`
	ClientSecret string   `json:"client_secret,omitempty"`
	ClientKey    string   `json:"client_key,omitempty"`
	Certificate  string   `json:"client_certificate,omitempty"`
	Scopes       []string `json:"scopes"`      // with an administrator's consent
	SelfScopes   []string `json:"self_scopes"` // which a person may give for themselves
	MailService  string   `json:"mail_service"`
}

// Operator is who runs the provider's servers.
func (p Provider) Operator() string { return cmp.Or(p.Company, p.Name) }

// Configured reports whether grants can be asked for at all.
func (p Provider) Configured() bool { return p.ClientID != "" }

// AsDirectory is the provider as the doctor's registration speaks to it: the same
// endpoints, that registration's client, and the scopes to ask for.
func (p Provider) AsDirectory(scopes []string) (Provider, bool) {
	d := p.Directory
	if d == nil || d.ClientID == "" {
		return Provider{}, false
	}
	p.ClientID, p.ClientSecret, p.ClientKey, p.ClientCertificate = d.ClientID, d.ClientSecret, d.ClientKey, d.Certificate
	p.Scopes = scopes
	return p, true
}

// IdleRenewal is how long one IDLE may stand; 10 minutes unless told otherwise.
func (p Provider) IdleRenewal() time.Duration {
	if p.IdleSeconds <= 0 {
		return 10 * time.Minute
	}
	return time.Duration(p.IdleSeconds) * time.Second
}

// Providers is a list of what is offered.
type Providers []Provider

// ProvidersOf is what an organization is offered: the installation's providers,
// with what the organization's administrators set over and beside them.
type ProvidersOf func(ctx context.Context, orgID string) (Providers, error)

// Of is a ProvidersOf that offers the same to everybody.
func (ps Providers) Of(context.Context, string) (Providers, error) { return ps, nil }

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
