package mailroom

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// ProviderRow is a provider as an organization's administrators set it. No secret
// stands in it: those are its Credentials.
type ProviderRow struct {
	OrgID, ID            string
	Set                  ProviderSet
	CreatedAt, ChangedAt time.Time
}

// ProviderSet is what an organization sets over a provider of the installation's,
// or the whole of one that it added.
type ProviderSet struct {
	// ClientID of the organization's own registration.
	ClientID string `json:"client_id,omitempty"`
	// Tenant, a directory's id or domain, takes the place of "common" in Microsoft's
	// endpoints, where the registration is for one tenant only (AADSTS50194).
	Tenant  string `json:"tenant,omitempty"`
	Testing bool   `json:"testing,omitempty"`
	// Own is a provider that the organization added; nil over one that is there.
	Own *Provider `json:"own,omitempty"`
}

// Overlaid is ps with an organization's rows over and beside it. What a row names
// is its organization's own registration: the installation's credentials never go
// with it, so that no administrator can have them sent anywhere.
func (ps Providers) Overlaid(rows []ProviderRow) Providers {
	if len(rows) == 0 {
		return ps
	}
	out := slices.Clone(ps)
	for _, r := range rows {
		i := slices.IndexFunc(out, func(p Provider) bool { return p.ID == r.ID })
		switch {
		case i >= 0:
			out[i] = out[i].set(r.Set)
		case r.Set.Own != nil:
			own := r.Set.Own.withoutCredentials()
			own.ID, own.ClientID, own.Testing, own.Loopback = r.ID, r.Set.ClientID, r.Set.Testing, false
			out = append(out, own)
		}
	}
	return out
}

func (p Provider) set(s ProviderSet) Provider {
	if s.ClientID == "" {
		return p
	}
	p = p.withoutCredentials()
	p.ClientID, p.Testing = s.ClientID, s.Testing
	if s.Tenant != "" {
		for _, u := range []*string{&p.DiscoveryURL, &p.AuthURL, &p.TokenURL, &p.JWKSURL} {
			*u = strings.Replace(*u, "/common/", "/"+s.Tenant+"/", 1)
		}
	}
	return p
}

// withoutCredentials is a copy that proves nobody.
func (p Provider) withoutCredentials() Provider {
	p.ClientID, p.ClientSecret, p.ClientKey, p.ClientCertificate, p.SecretExpires = "", "", "", "", time.Time{}
	if p.Directory != nil {
		d := *p.Directory
		d.ClientID, d.ClientSecret, d.ClientKey, d.Certificate = "", "", "", ""
		p.Directory = &d
	}
	p.AuthParams, p.Consoles = maps.Clone(p.AuthParams), maps.Clone(p.Consoles)
	return p
}

// HasTenant reports whether a provider's endpoints have a place for a tenant.
func (p Provider) HasTenant() bool {
	return strings.Contains(p.TokenURL, "/common/") || strings.Contains(p.DiscoveryURL, "/common/")
}

// Live are the credentials of a use that may be tried, the best first: those that
// were proved and not refused since, then those on trial, then the refused; of each
// the newest. What is for another client proves nothing here; "" for any client.
func Live(cs []Credential, providerID string, use CredentialUse, clientID string) []Credential {
	var out []Credential
	for _, c := range cs {
		if c.ProviderID == providerID && c.Use == use && (clientID == "" || c.ClientID == clientID) {
			out = append(out, c)
		}
	}
	rank := func(c Credential) int {
		switch {
		case c.Problem != nil:
			return 2
		case c.ProvedAt.IsZero():
			return 1
		}
		return 0
	}
	slices.SortStableFunc(out, func(a, b Credential) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return b.CreatedAt.Compare(a.CreatedAt)
	})
	return out
}
