package portal

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"mailroom/internal/mailroom"
)

// Registrar proves the organization at a provider: it seals credentials, and has
// them tried.
type Registrar interface {
	AddCredential(ctx context.Context, u mailroom.User, n mailroom.NewCredential) (mailroom.Credential, error)
	// ProveCredential has the provider judge a credential by a token request.
	ProveCredential(ctx context.Context, orgID, id string) (mailroom.Check, error)
	// CheckProvider looks at everything that can be seen without a person.
	CheckProvider(ctx context.Context, orgID, providerID string) ([]mailroom.Check, error)
}

type providerStore interface {
	ProviderRows(ctx context.Context, orgID string) ([]mailroom.ProviderRow, error)
	// SaveProvider is a Conflict when grants of another client would be lost, unless
	// again says that this is meant.
	SaveProvider(ctx context.Context, p mailroom.ProviderRow, again bool, ev mailroom.AuditEvent) error
	DropProvider(ctx context.Context, orgID, id string, ev mailroom.AuditEvent) error
	ProviderGrants(ctx context.Context, orgID string) (map[string]int, error)
	ClientCredentials(ctx context.Context, orgID string) ([]mailroom.Credential, error)
	ClientCredential(ctx context.Context, orgID, id string) (mailroom.Credential, error)
	DropClientCredential(ctx context.Context, orgID, id string, force bool, ev mailroom.AuditEvent) error
}

// ProviderSource says whose a provider's registration is.
type ProviderSource string

const (
	ProviderNobodys   ProviderSource = "none"         // offered to nobody yet
	ProviderOperators ProviderSource = "operator"     // by configuration
	ProviderOwn       ProviderSource = "organization" // the organization's own registration at a known provider
	ProviderAdded     ProviderSource = "added"        // a provider that the organization added
)

// ProviderLine is a provider as administrators see it.
type ProviderLine struct {
	Provider mailroom.Provider // without secrets
	Source   ProviderSource
	ClientID string // "" for the operator's: it is not the organization's business
	Ready    bool   // recruiters can choose it
	Grants   int
	// Credentials of the organization's registration, the one that is tried first
	// first.
	Credentials []mailroom.Credential
	// Expires is when the last credential that works runs out; zero when nobody knows.
	Expires time.Time
}

// Redirect is an address that has to be registered at a provider. Use is "grant",
// "consent" or "doctor".
type Redirect struct{ Use, URL string }

// ProviderPage is one provider with all that an administrator enters about it.
type ProviderPage struct {
	ProviderLine
	Set       mailroom.ProviderSet
	HasTenant bool // its endpoints have a place for one
	Doctor    []mailroom.Credential
	Redirects []Redirect
	Now       time.Time
}

// CredentialPage is one credential and the provider that it is for.
type CredentialPage struct {
	Credential mailroom.Credential
	Provider   mailroom.Provider
	// Last is set where no other credential is known to work.
	Last   bool
	Grants int
}

// Passwords lists the servers that are known by name and need no registration.
func (p *Portal) Passwords(ctx context.Context, u mailroom.User) ([]mailroom.Provider, error) {
	offered, err := p.d.Providers(ctx, u.OrgID)
	return slices.DeleteFunc(slices.Clone(offered), func(pr mailroom.Provider) bool { return !pr.Password }), err
}

// Providers lists what can be set up, for administrators.
func (p *Portal) Providers(ctx context.Context, u mailroom.User) ([]ProviderLine, error) {
	if !u.IsAdmin() {
		return nil, forbidden()
	}
	offered, err := p.d.Providers(ctx, u.OrgID)
	if err != nil {
		return nil, err
	}
	rows, err := p.d.Store.ProviderRows(ctx, u.OrgID)
	if err != nil {
		return nil, err
	}
	cs, err := p.d.Store.ClientCredentials(ctx, u.OrgID)
	if err != nil {
		return nil, err
	}
	grants, err := p.d.Store.ProviderGrants(ctx, u.OrgID)
	if err != nil {
		return nil, err
	}
	out := make([]ProviderLine, 0, len(offered))
	for _, pr := range offered {
		if pr.Password {
			continue
		}
		out = append(out, providerLine(pr, rows, cs, grants[pr.ID]))
	}
	return out, nil
}

func providerLine(pr mailroom.Provider, rows []mailroom.ProviderRow, cs []mailroom.Credential, grants int) ProviderLine {
	l := ProviderLine{Source: ProviderNobodys, Ready: pr.Configured(), Grants: grants}
	i := slices.IndexFunc(rows, func(r mailroom.ProviderRow) bool { return r.ID == pr.ID })
	switch {
	case i >= 0 && rows[i].Set.Own != nil:
		l.Source, l.ClientID = ProviderAdded, rows[i].Set.ClientID
	case i >= 0 && rows[i].Set.ClientID != "":
		l.Source, l.ClientID = ProviderOwn, rows[i].Set.ClientID
	case pr.Configured():
		l.Source, l.Expires = ProviderOperators, pr.SecretExpires
	}
	if l.ClientID != "" {
		l.Credentials = mailroom.Live(cs, pr.ID, mailroom.UseMail, l.ClientID)
		for _, c := range l.Credentials {
			if c.Problem == nil && c.ExpiresAt.After(l.Expires) {
				l.Expires = c.ExpiresAt
			}
		}
	}
	pr.ClientSecret, pr.ClientKey = "", "" // pages need none
	if pr.Directory != nil {
		d := *pr.Directory
		d.ClientSecret, d.ClientKey = "", ""
		pr.Directory = &d
	}
	l.Provider = pr
	return l
}

// ProviderPage is one provider, for administrators. NotFound when the organization
// is not offered it.
func (p *Portal) ProviderPage(ctx context.Context, u mailroom.User, id string) (ProviderPage, error) {
	lines, err := p.Providers(ctx, u)
	if err != nil {
		return ProviderPage{}, err
	}
	i := slices.IndexFunc(lines, func(l ProviderLine) bool { return l.Provider.ID == id })
	if i < 0 {
		return ProviderPage{}, notFound()
	}
	v := ProviderPage{ProviderLine: lines[i], Now: p.now()}
	rows, err := p.d.Store.ProviderRows(ctx, u.OrgID)
	if err != nil {
		return ProviderPage{}, err
	}
	for _, r := range rows {
		if r.ID == id {
			v.Set = r.Set
		}
	}
	cs, err := p.d.Store.ClientCredentials(ctx, u.OrgID)
	if err != nil {
		return ProviderPage{}, err
	}
	v.Doctor = mailroom.Live(cs, id, mailroom.UseDoctor, "")
	v.HasTenant = v.Provider.HasTenant() || v.Set.Tenant != ""
	v.Redirects = p.redirects(v.Provider)
	return v, nil
}

// redirects are the addresses that a provider may send a browser to, exactly as
// they have to be registered.
func (p *Portal) redirects(pr mailroom.Provider) []Redirect {
	if p.d.BaseURL == nil {
		return nil
	}
	base := p.d.BaseURL()
	out := []Redirect{{"grant", base + "/oauth/callback/" + pr.ID}}
	if pr.AdminConsentURL != "" {
		out = append(out, Redirect{"consent", base + "/consent/callback/" + pr.ID})
	}
	if pr.Directory != nil {
		out = append(out, Redirect{"doctor", base + "/doctor/callback/" + pr.ID})
	}
	return out
}

var (
	uuidText   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	domainText = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$`)
	// Printable and without spaces (RFC 6749 appendix A.1 allows spaces; nobody uses them).
	clientText = regexp.MustCompile(`^[\x21-\x7e]{1,200}$`)
)

// SaveProvider sets the organization's own registration at a known provider, or
// changes one that it added.
func (p *Portal) SaveProvider(ctx context.Context, u mailroom.User, id string, f ProviderForm) error {
	v, err := p.ProviderPage(ctx, u, id)
	if err != nil {
		return err
	}
	var errs complaints
	set := mailroom.ProviderSet{ClientID: f.ClientID, Testing: f.Testing}
	if v.Source == ProviderAdded {
		own, err := p.ownProvider(id, f)
		errs.add(err)
		set.Own = &own
	} else if v.HasTenant {
		set.Tenant = strings.ToLower(f.Tenant)
		switch set.Tenant {
		case "", "organizations", "consumers":
		default:
			if !uuidText.MatchString(set.Tenant) && !domainText.MatchString(set.Tenant) {
				errs.add(invalid("tenant", "provider.error.tenant"))
			}
		}
	}
	errs.add(checkClient(v.Provider, f.ClientID))
	if err := errs.join(); err != nil {
		return err
	}
	row := mailroom.ProviderRow{OrgID: u.OrgID, ID: id, Set: set}
	return p.d.Store.SaveProvider(ctx, row, f.Again, p.event(u, "provider.saved", id, map[string]any{"provider": v.Provider.Name}))
}

func checkClient(pr mailroom.Provider, client string) error {
	switch {
	case client == "":
		return invalid("client_id", "provider.error.client_missing")
	case !clientText.MatchString(client):
		return invalid("client_id", "provider.error.client")
	case pr.Kind == mailroom.Outlook && !pr.Loopback && !uuidText.MatchString(client):
		return invalid("client_id", "provider.error.client_entra")
	case pr.Kind == mailroom.Gmail && !pr.Loopback && !strings.HasSuffix(client, ".apps.googleusercontent.com"):
		return invalid("client_id", "provider.error.client_google")
	}
	return nil
}

// AddProvider adds a provider that the program does not know, and returns its id.
func (p *Portal) AddProvider(ctx context.Context, u mailroom.User, f ProviderForm) (id string, err error) {
	offered, err := p.Providers(ctx, u)
	if err != nil {
		return "", err
	}
	if id = freeID(slug(f.Name), offered); id == "" {
		return "", invalid("name", "provider.error.name_taken")
	}
	var errs complaints
	own, err := p.ownProvider(id, f)
	errs.add(err)
	errs.add(checkClient(own, f.ClientID))
	if err := errs.join(); err != nil {
		return "", err
	}
	row := mailroom.ProviderRow{OrgID: u.OrgID, ID: id, Set: mailroom.ProviderSet{ClientID: f.ClientID, Testing: f.Testing, Own: &own}}
	return id, p.d.Store.SaveProvider(ctx, row, false, p.event(u, "provider.added", id, map[string]any{"provider": own.Name, "host": own.IMAP.Host}))
}

// freeID is a name's id that no provider has yet, "" after a few tries.
func freeID(name string, taken []ProviderLine) string {
	for _, id := range []string{name, name + "-2", name + "-3", name + "-4"} {
		if !slices.ContainsFunc(taken, func(l ProviderLine) bool { return l.Provider.ID == id }) {
			return id
		}
	}
	return ""
}

var marks, notSlug = regexp.MustCompile(`\p{Mn}+`), regexp.MustCompile(`[^a-z0-9]+`)

// slug is a name as part of an address: it stands in the redirect URI for ever.
func slug(name string) string {
	s := strings.ToLower(marks.ReplaceAllString(norm.NFD.String(name), ""))
	s = strings.Trim(notSlug.ReplaceAllString(s, "-"), "-")
	if len(s) > 24 {
		s = strings.Trim(s[:24], "-")
	}
	if s == "" {
		return "provider"
	}
	return s
}

const wellKnown = "/.well-known/"

// ownProvider is a form as a provider, or what is wrong with it.
func (p *Portal) ownProvider(id string, f ProviderForm) (mailroom.Provider, error) {
	var errs complaints
	name, err := checkName("name", f.Name, "provider.error.name")
	errs.add(err)
	own := mailroom.Provider{
		ID: id, Name: name, Kind: mailroom.Other, Issuer: f.Issuer, DiscoveryURL: f.DiscoveryURL, AuthURL: f.AuthURL, TokenURL: f.TokenURL,
		JWKSURL: f.JWKSURL, RevokeURL: f.RevokeURL, TokenAuth: f.TokenAuth, Scopes: strings.Fields(f.Scopes), SASL: f.SASL,
		SubjectClaims: []string{"sub"}, AddressClaims: []string{"email", "preferred_username"}, IMAP: f.IMAP, MaxConnections: 2, SignIns: 4, IdleSeconds: 540,
	}
	own.AuthParams, err = authParams(f.AuthParams)
	errs.add(err)
	if own.Issuer == "" { // the document's place follows from it (OpenID Connect Discovery §4)
		own.Issuer, _, _ = strings.Cut(own.DiscoveryURL, wellKnown)
	}
	errs.add(checkEndpoints(own))
	if len(own.Scopes) == 0 {
		errs.add(invalid("scopes", "provider.error.scopes"))
	}
	if len(own.SASL) == 0 {
		errs.add(invalid("sasl", "provider.error.sasl"))
	}
	if own.IMAP.Host == "" || strings.ContainsAny(own.IMAP.Host, " /:@") {
		errs.add(invalid("host", "account.error.host"))
	}
	if own.IMAP.Port < 1 || own.IMAP.Port > 65535 {
		errs.add(invalid("port", "account.error.port"))
	}
	if err := errs.join(); err != nil {
		return own, err
	}
	if p.d.CheckProvider != nil {
		if field, err := p.d.CheckProvider(own); err != nil {
			p.d.Log.Info("a provider is refused", "field", field, "err", err)
			return own, mailroom.E(mailroom.Invalid, "provider.error.field", err).With("field", field)
		}
	}
	return own, nil
}

// checkEndpoints wants https everywhere, and either discovery or the endpoints.
func checkEndpoints(own mailroom.Provider) error {
	var errs complaints
	given := func(field, raw string) {
		u, err := url.Parse(raw)
		if raw != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "") {
			errs.add(invalid(field, "provider.error.url"))
		}
	}
	given("discovery_url", own.DiscoveryURL)
	given("issuer", own.Issuer)
	given("auth_url", own.AuthURL)
	given("token_url", own.TokenURL)
	given("jwks_url", own.JWKSURL)
	given("revoke_url", own.RevokeURL)
	if own.DiscoveryURL == "" && (own.AuthURL == "" || own.TokenURL == "") {
		errs.add(invalid("discovery_url", "provider.error.endpoints"))
	}
	if slices.Contains(own.Scopes, "openid") {
		if own.Issuer == "" {
			errs.add(invalid("issuer", "provider.error.issuer"))
		}
		if own.DiscoveryURL == "" && own.JWKSURL == "" {
			errs.add(invalid("jwks_url", "provider.error.jwks"))
		}
	}
	return errs.join()
}

// authParams reads lines of name=value.
func authParams(text string) (map[string]string, error) {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, invalid("auth_params", "provider.error.params")
		}
		out[name] = strings.TrimSpace(value)
	}
	return out, nil
}

// DropProvider takes away the organization's registration or the provider that it
// added, with all credentials.
func (p *Portal) DropProvider(ctx context.Context, u mailroom.User, id string) error {
	v, err := p.ProviderPage(ctx, u, id)
	if err != nil {
		return err
	}
	return p.d.Store.DropProvider(ctx, u.OrgID, id, p.event(u, "provider.dropped", id, map[string]any{"provider": v.Provider.Name}))
}

// CheckProvider looks at everything of a provider that can be seen without a
// person, step by step.
func (p *Portal) CheckProvider(ctx context.Context, u mailroom.User, id string) ([]mailroom.Check, error) {
	v, err := p.ProviderPage(ctx, u, id)
	if err != nil {
		return nil, err
	}
	checks, err := p.d.Registrar.CheckProvider(ctx, u.OrgID, id)
	if err == nil && p.d.CheckMailServer != nil {
		checks = append(checks, p.d.CheckMailServer(ctx, v.Provider))
	}
	return checks, err
}
