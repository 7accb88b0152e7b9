package portal

import (
	"context"
	"slices"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// AddCredential adds a secret or a certificate beside what a registration has. A
// secret, and a certificate that was registered before, are tried at once; check
// is nil for one that is made here, since the provider has to be shown it first.
func (p *Portal) AddCredential(ctx context.Context, u mailroom.User, providerID string, f CredentialForm) (mailroom.Credential, *mailroom.Check, error) {
	v, err := p.ProviderPage(ctx, u, providerID)
	if err != nil {
		return mailroom.Credential{}, nil, err
	}
	var errs complaints
	n := mailroom.NewCredential{ProviderID: providerID, Use: f.Use, Kind: mailroom.ClientCertificate, ClientID: f.ClientID, PEM: f.PEM}
	switch f.Kind {
	case CredentialSecret:
		n.Kind, n.Secret = mailroom.ClientSecret, strings.TrimSpace(f.Secret)
		n.ExpiresAt, err = p.expiry(f.Expires)
		errs.add(err)
		errs.add(checkSecret(v.Provider, n.Secret))
	case CredentialPasted:
		if strings.TrimSpace(f.PEM) == "" {
			errs.add(invalid("pem", "credential.error.pem"))
		}
	case CredentialMade:
		n.PEM = ""
	default:
		errs.add(invalid("kind", "credential.error.kind"))
	}
	switch f.Use {
	case mailroom.UseMail:
	case mailroom.UseDoctor:
		errs.add(checkClient(v.Provider, f.ClientID))
	default:
		return mailroom.Credential{}, nil, notFound()
	}
	if err := errs.join(); err != nil {
		return mailroom.Credential{}, nil, err
	}
	c, err := p.d.Registrar.AddCredential(ctx, u, n)
	if err != nil || f.Kind == CredentialMade {
		return c, nil, err
	}
	check, err := p.d.Registrar.ProveCredential(ctx, u.OrgID, c.ID)
	if err != nil { // it is kept, and can be tried again
		check = mailroom.Unseen("credential.check.refresh", err, p.now())
	}
	return c, &check, nil
}

// checkSecret complains of what cannot be one. The most frequent mistake in Entra
// is to copy the secret's ID, which stands beside its value (AADSTS7000215).
func checkSecret(pr mailroom.Provider, secret string) error {
	switch {
	case secret == "":
		return invalid("secret", "credential.error.secret")
	case len(secret) > 4000:
		return invalid("secret", "credential.error.secret_long")
	case pr.Kind == mailroom.Outlook && uuidText.MatchString(secret):
		return invalid("secret", "credential.error.secret_id")
	}
	return nil
}

// expiry reads a day, "2026-11-24"; "" for unknown. A secret counts as good until
// that day begins.
func (p *Portal) expiry(day string) (time.Time, error) {
	if day == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, day)
	switch {
	case err != nil:
		return time.Time{}, invalid("expires", "credential.error.day")
	case !t.After(p.now()):
		return time.Time{}, invalid("expires", "credential.error.day_past")
	}
	return t, nil
}

// CredentialPage is one credential, for administrators.
func (p *Portal) CredentialPage(ctx context.Context, u mailroom.User, id string) (CredentialPage, error) {
	if !u.IsAdmin() {
		return CredentialPage{}, forbidden()
	}
	c, err := p.d.Store.ClientCredential(ctx, u.OrgID, id)
	if err != nil {
		return CredentialPage{}, err
	}
	v, err := p.ProviderPage(ctx, u, c.ProviderID)
	if err != nil {
		return CredentialPage{}, err
	}
	others := v.Credentials
	if c.Use == mailroom.UseDoctor {
		others = v.Doctor
	}
	out := CredentialPage{Credential: c, Provider: v.Provider, Grants: v.Grants}
	out.Last = !slices.ContainsFunc(others, func(o mailroom.Credential) bool {
		return o.ID != c.ID && o.Problem == nil && (!o.ProvedAt.IsZero() || v.Grants == 0)
	})
	return out, nil
}

// ProveCredential has a credential tried by a real token request.
func (p *Portal) ProveCredential(ctx context.Context, u mailroom.User, id string) (providerID string, check mailroom.Check, err error) {
	v, err := p.CredentialPage(ctx, u, id)
	if err != nil {
		return "", check, err
	}
	check, err = p.d.Registrar.ProveCredential(ctx, u.OrgID, id)
	return v.Credential.ProviderID, check, err
}

// DropCredential forgets a credential; force also the last that is known to work.
func (p *Portal) DropCredential(ctx context.Context, u mailroom.User, id string, force bool) (providerID string, err error) {
	v, err := p.CredentialPage(ctx, u, id)
	if err != nil {
		return "", err
	}
	return v.Credential.ProviderID, p.d.Store.DropClientCredential(ctx, u.OrgID, id, force,
		p.event(u, "credential.dropped", id, map[string]any{"provider": v.Provider.Name, "use": string(v.Credential.Use)}))
}
