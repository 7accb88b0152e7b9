package notice

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// known is all from which an organization's expiries follow.
type known struct {
	providers   mailroom.Providers
	credentials []mailroom.Credential
	grants      map[string][]mailroom.AgingGrant // by provider
	keys        []Key
}

// grantsAhead is how long before its end a refresh token that nothing uses is
// listed: more than the first notice, less than a healthy one ever comes to.
const grantsAhead = 45 * 24 * time.Hour

// agingBefore is when a provider's grant must have been refreshed last to be
// listed; ok is false where none grows old.
func agingBefore(p mailroom.Provider, at time.Time) (before time.Time, ok bool) {
	switch {
	case p.Testing: // counts from the grant, however fresh its token is
		return at.Add(time.Minute), true
	case p.RefreshDays > 0:
		return at.Add(grantsAhead).AddDate(0, 0, -p.RefreshDays), true
	}
	return time.Time{}, false
}

// foresee lists what will break, soonest first; what has no known date, and what
// is replaced already, at the end.
func foresee(k known) []mailroom.Expiry {
	var out []mailroom.Expiry
	for _, p := range k.providers {
		own := ownCredentials(k.credentials, p)
		out = append(out, own...)
		if !p.Configured() {
			continue
		}
		if !slices.ContainsFunc(own, func(e mailroom.Expiry) bool { return e.Use == mailroom.UseMail }) {
			out = append(out, operatorCredential(p)...)
		}
		for _, g := range k.grants[p.ID] {
			e := mailroom.Expiry{Kind: mailroom.ExpiryGrant, Subject: g.MailboxID, Provider: p.ID, Name: p.Name, Address: g.Address, OwnerID: g.OwnerID,
				At: g.RefreshedAt.AddDate(0, 0, p.RefreshDays)}
			if p.Testing {
				e.Kind, e.At = mailroom.ExpiryTesting, g.GrantedAt.Add(mailroom.TestingLife)
			}
			out = append(out, e)
		}
	}
	for _, key := range k.keys {
		if key.Seals {
			e := mailroom.Expiry{Kind: mailroom.ExpiryKey, Subject: key.ID, Name: key.ID, Operator: true}
			if !key.Made.IsZero() {
				e.At = key.Made.Add(mailroom.KeyLife)
			}
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b mailroom.Expiry) int {
		if last := rank(a) - rank(b); last != 0 {
			return last
		}
		return a.At.Compare(b.At)
	})
	return out
}

func rank(e mailroom.Expiry) int {
	switch {
	case e.Replaced:
		return 2
	case e.At.IsZero():
		return 1
	}
	return 0
}

// ownCredentials are those that the organization entered for a provider. One that
// ends before another that is proved breaks nothing.
func ownCredentials(all []mailroom.Credential, p mailroom.Provider) []mailroom.Expiry {
	var out []mailroom.Expiry
	for _, c := range all {
		if c.ProviderID != p.ID {
			continue
		}
		out = append(out, mailroom.Expiry{
			Kind: expiryKind(c.Kind), Subject: c.ID, Provider: p.ID, Name: p.Name, Use: c.Use, At: c.ExpiresAt,
			Replaced: slices.ContainsFunc(all, func(o mailroom.Credential) bool { return outlasts(o, c) }),
		})
	}
	return out
}

// outlasts reports whether o is proved and goes on when c has ended.
func outlasts(o, c mailroom.Credential) bool {
	return o.ID != c.ID && o.ProviderID == c.ProviderID && o.Use == c.Use && !o.ProvedAt.IsZero() &&
		!c.ExpiresAt.IsZero() && o.ExpiresAt.After(c.ExpiresAt)
}

func expiryKind(k mailroom.CredentialKind) mailroom.ExpiryKind {
	if k == mailroom.ClientCertificate {
		return mailroom.ExpiryCertificate
	}
	return mailroom.ExpirySecret
}

// operatorCredential is what whoever runs Mailroom set for a provider.
func operatorCredential(p mailroom.Provider) []mailroom.Expiry {
	e := mailroom.Expiry{Kind: mailroom.ExpirySecret, Subject: p.ID, Provider: p.ID, Name: p.Name, Use: mailroom.UseMail, At: p.SecretExpires, Operator: true}
	switch {
	case p.ClientCertificate != "":
		e.Kind = mailroom.ExpiryCertificate
		if e.At.IsZero() {
			e.At = certificateEnd(p.ClientCertificate)
		}
	case p.ClientSecret == "", p.Company == "Google" && p.SecretExpires.IsZero():
		return nil // Google's secrets have no end
	}
	return []mailroom.Expiry{e}
}

// certificateEnd is when a certificate in PEM form ends; zero for none that can
// be read.
func certificateEnd(text string) time.Time {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return time.Time{}
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}
	}
	return c.NotAfter.UTC()
}
