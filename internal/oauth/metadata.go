package oauth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"mailroom/internal/mailroom"
)

const (
	metadataLife  = time.Hour
	metadataStale = 24 * time.Hour // still used when it cannot be read again
)

// metadata is the part of a discovery document that we use (OpenID Connect
// Discovery §3, RFC 8414 §2).
type metadata struct {
	Issuer    string `json:"issuer"`
	AuthURL   string `json:"authorization_endpoint"`
	TokenURL  string `json:"token_endpoint"`
	JWKSURL   string `json:"jwks_uri"`
	RevokeURL string `json:"revocation_endpoint"`
	SendsIss  bool   `json:"authorization_response_iss_parameter_supported"` // RFC 9207 §3

	readAt time.Time
}

// endpoints of a provider: its own data first, discovery for what is missing.
func (c *Client) endpoints(ctx context.Context, p mailroom.Provider) (metadata, error) {
	m := metadata{Issuer: p.Issuer, AuthURL: p.AuthURL, TokenURL: p.TokenURL, JWKSURL: p.JWKSURL, RevokeURL: p.RevokeURL}
	complete := m.AuthURL != "" && m.TokenURL != "" && (m.JWKSURL != "" || !asksIDToken(p))
	if p.DiscoveryURL != "" {
		found, err := c.discover(ctx, p)
		switch {
		case err != nil && !complete:
			return metadata{}, err
		case err == nil:
			m.Issuer = firstOf(m.Issuer, found.Issuer)
			m.AuthURL = firstOf(m.AuthURL, found.AuthURL)
			m.TokenURL = firstOf(m.TokenURL, found.TokenURL)
			m.JWKSURL = firstOf(m.JWKSURL, found.JWKSURL)
			m.RevokeURL = firstOf(m.RevokeURL, found.RevokeURL)
			m.SendsIss = found.SendsIss
		}
	}
	for name, u := range map[string]string{"authorization": m.AuthURL, "token": m.TokenURL, "keys": m.JWKSURL, "revocation": m.RevokeURL} {
		required := name == "authorization" || name == "token" || (name == "keys" && asksIDToken(p))
		if err := checkURL(u, p.Loopback); err != nil && (u != "" || required) {
			return metadata{}, mailroom.E(mailroom.NeedsVendor, "oauth.error.metadata",
				fmt.Errorf("%s endpoint: %w", name, err)).With("provider", p.Name)
		}
	}
	return m, nil
}

// discover reads a discovery document, at most once an hour.
func (c *Client) discover(ctx context.Context, p mailroom.Provider) (metadata, error) {
	if err := checkURL(p.DiscoveryURL, p.Loopback); err != nil {
		return metadata{}, mailroom.E(mailroom.NeedsVendor, "oauth.error.metadata", err).With("provider", p.Name)
	}
	id := p.ID + " " + p.DiscoveryURL
	c.mu.Lock()
	known, ok := c.metadata[id]
	c.mu.Unlock()
	if ok && c.now().Sub(known.readAt) < metadataLife {
		return known, nil
	}
	found, err := c.readMetadata(ctx, p)
	if err != nil {
		if ok && c.now().Sub(known.readAt) < metadataStale {
			return known, nil
		}
		return metadata{}, err
	}
	c.mu.Lock()
	c.metadata[id] = found
	c.mu.Unlock()
	return found, nil
}

func (c *Client) readMetadata(ctx context.Context, p mailroom.Provider) (metadata, error) {
	body, err := c.fetch(ctx, p, p.DiscoveryURL)
	if err != nil {
		return metadata{}, err
	}
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return metadata{}, mailroom.E(mailroom.Unavailable, "oauth.error.malformed", err).With("provider", p.Name)
	}
	// A document that speaks for another issuer is the start of a mix-up
	// (OpenID Connect Discovery §4.3). Microsoft's carries the template itself.
	if p.Issuer != "" && m.Issuer != p.Issuer {
		return metadata{}, mailroom.E(mailroom.NeedsVendor, "oauth.error.metadata",
			fmt.Errorf("discovery speaks for issuer %q, want %q", m.Issuer, p.Issuer)).With("provider", p.Name)
	}
	m.readAt = c.now()
	return m, nil
}

func (c *Client) config(p mailroom.Provider, m metadata, redirectURL string) *oauth2.Config {
	secret := p.ClientSecret
	if p.ClientKey != "" {
		secret = "" // one way at a time (RFC 6749 §2.3)
	}
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: secret, RedirectURL: redirectURL, Scopes: p.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: m.AuthURL, TokenURL: m.TokenURL, AuthStyle: authStyle(p)},
	}
}

// authStyle is never auto-detected: x/oauth2 would send every refused code and
// refresh token a second time, and reuse can void a token family (RFC 9700 §4.14.2).
func authStyle(p mailroom.Provider) oauth2.AuthStyle {
	if p.TokenAuth == "post" || p.ClientSecret == "" || p.ClientKey != "" {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// asksIDToken reports whether a provider is asked for an ID token: OpenID
// Connect, not plain OAuth 2.0.
func asksIDToken(p mailroom.Provider) bool {
	for _, s := range p.Scopes {
		if s == "openid" {
			return true
		}
	}
	return false
}

const tenantPlaceholder = "{tenantid}"

var tenantForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// issuerOf is the issuer that a token of a tenant must carry: the provider's, with
// Microsoft's "{tenantid}" filled in (docs/providers.md 2.3). false when the template
// needs a tenant and this is none.
func issuerOf(template, tenant string) (string, bool) {
	if !strings.Contains(template, tenantPlaceholder) {
		return template, template != ""
	}
	if !tenantForm.MatchString(tenant) {
		return "", false
	}
	return strings.ReplaceAll(template, tenantPlaceholder, tenant), true
}

// sameIssuer compares the iss of a callback, which comes without a tenant.
func sameIssuer(template, iss string) bool {
	before, after, isTemplate := strings.Cut(template, tenantPlaceholder)
	if !isTemplate {
		return iss == template
	}
	tenant, ok := strings.CutPrefix(iss, before)
	if !ok {
		return false
	}
	tenant, ok = strings.CutSuffix(tenant, after)
	return ok && tenantForm.MatchString(tenant)
}

// checkURL demands https, and allows plain http in the loopback world.
func checkURL(raw string, loopback bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return err
	case raw == "":
		return fmt.Errorf("missing")
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q is not an absolute https address", raw)
	case u.Scheme == "https", u.Scheme == "http" && loopback:
		return nil
	}
	return fmt.Errorf("%q is not https", raw)
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
