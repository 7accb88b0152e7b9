package portal

import (
	"context"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// AdminConsent signs links for IT administrators, sends them to the provider and
// takes what they come back with.
type AdminConsent interface {
	ConsentToken(l mailroom.ConsentLink) string
	// OpenConsentLink is the link of a token; with a Conflict for one that is void,
	// the link comes back too while it is remembered.
	OpenConsentLink(ctx context.Context, token string) (mailroom.ConsentLink, error)
	// ConsentURL is the provider's consent for a tenant, "" for organizations.
	ConsentURL(p mailroom.Provider, tenant, state string) (string, error)
	BeginConsent(ctx context.Context, p mailroom.Provider, l mailroom.ConsentLink, u mailroom.User, tenant, binding string) (string, error)
	FinishConsent(ctx context.Context, binding string, a mailroom.ConsentAnswer) (mailroom.ConsentJourney, error)
}

type consentStore interface {
	AddConsentLink(context.Context, mailroom.ConsentLink, mailroom.AuditEvent) error
	OpenedConsentLink(ctx context.Context, id string) error
	WithdrawConsentLink(ctx context.Context, orgID, id string, ev mailroom.AuditEvent) error
	// ConsentLinks, ConsentJourneys and ConsentJourneysOf list the newest first.
	ConsentLinks(ctx context.Context, orgID string) ([]mailroom.ConsentLink, error)
	ConsentJourneys(ctx context.Context, orgID string) ([]mailroom.ConsentJourney, error)
	ConsentJourneysOf(ctx context.Context, linkID string) ([]mailroom.ConsentJourney, error)
	Tenants(ctx context.Context, orgID string) ([]mailroom.Tenant, error)
	// GrantTenants is the tenant of each mailbox's grant.
	GrantTenants(ctx context.Context, orgID string) (map[string]string, error)
}

const (
	// consentLinkLife is how long a link is good: long enough for a holiday, short
	// enough for a mail that lies about.
	consentLinkLife = 14 * 24 * time.Hour
	// freshLink is how long a link must still be good to be given out once more.
	freshLink = 7 * 24 * time.Hour
	// manyAddresses bounds how many mailboxes a link's page names.
	manyAddresses = 25
)

// Invitation is the page that a link leads to: an IT administrator without an
// account reads it.
type Invitation struct {
	Link         mailroom.ConsentLink
	Token        string
	State        mailroom.ConsentState
	Organization string
	By           mailroom.User     // who made the link: name and address only
	Provider     mailroom.Provider // without secrets
	// Addresses are the mailboxes that it is about, none when nobody knows.
	Addresses []string
	// PlainURL is the provider's consent as a link that anybody may follow, "" where
	// there is none.
	PlainURL string
	Problem  *mailroom.Problem // why the provider refused last
	At       time.Time         // since when it stands so
}

// OwnConsent is what a recruiter sees of the approval that their mailbox waits for.
type OwnConsent struct {
	Mailbox    mailroom.Mailbox
	Provider   mailroom.Provider // without secrets
	HasGrant   bool
	Invitation *Invitation // the newest that they made for it; nil for none
}

// MakeConsentLink makes a link for the IT administrator of the user's own mailbox,
// and returns its token. A link that is still good for a while is given out again.
func (p *Portal) MakeConsentLink(ctx context.Context, u mailroom.User) (token string, err error) {
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return "", err
	}
	pr, err := p.consentProvider(ctx, u, row.Mailbox)
	if err != nil {
		return "", err
	}
	links, err := p.d.Store.ConsentLinks(ctx, u.OrgID)
	if err != nil {
		return "", err
	}
	// Its domain is what whoever gets the link knows the company by.
	now, tenant := p.now(), mailroom.TenantOf(row.Mailbox.Address)
	for _, l := range links {
		if l.CreatedBy == u.ID && l.MailboxID == row.Mailbox.ID && l.ProviderID == pr.ID && l.Tenant == tenant &&
			l.RevokedAt.IsZero() && l.ProvedAt.IsZero() && l.ExpiresAt.Sub(now) > freshLink {
			return p.d.AdminConsent.ConsentToken(l), nil
		}
	}
	return p.makeLink(ctx, u, mailroom.ConsentLink{ProviderID: pr.ID, MailboxID: row.Mailbox.ID, Tenant: tenant})
}

// consentProvider is the provider of a mailbox, or for one whose account is not
// chosen yet the one that a company's administrator is usually asked at.
func (p *Portal) consentProvider(ctx context.Context, u mailroom.User, m mailroom.Mailbox) (mailroom.Provider, error) {
	offered, err := p.d.Providers(ctx, u.OrgID)
	if err != nil {
		return mailroom.Provider{}, err
	}
	if pr, ok := offered.ByID(m.ProviderID); ok && pr.Configured() {
		return pr, nil
	}
	if m.ProviderID == "" {
		for _, pr := range offered {
			if pr.Configured() && pr.AdminConsentURL != "" {
				return pr, nil
			}
		}
	}
	return mailroom.Provider{}, mailroom.E(mailroom.Conflict, "consent.error.no_provider")
}

// MakeCompanyLink makes a link for a whole company, for administrators; tenant is a
// GUID or a domain, "" for whichever company its reader belongs to. It returns the id.
func (p *Portal) MakeCompanyLink(ctx context.Context, u mailroom.User, providerID, tenant string) (id string, err error) {
	pr, tenant, err := p.askable(ctx, u, providerID, tenant)
	if err != nil {
		return "", err
	}
	l := mailroom.ConsentLink{ID: mailroom.NewID(mailroom.PrefixConsentLink), ProviderID: pr.ID, Tenant: tenant}
	_, err = p.makeLink(ctx, u, l)
	return l.ID, err
}

// askable checks that u may ask for a tenant at a provider.
func (p *Portal) askable(ctx context.Context, u mailroom.User, providerID, tenant string) (mailroom.Provider, string, error) {
	if !u.IsAdmin() {
		return mailroom.Provider{}, "", forbidden()
	}
	pr, ok := p.provider(ctx, u.OrgID, providerID)
	if !ok || !pr.Configured() {
		return mailroom.Provider{}, "", notFound()
	}
	if tenant == "" {
		return pr, "", nil
	}
	normal, ok := mailroom.NormalTenant(tenant)
	if !ok {
		return mailroom.Provider{}, "", invalid("tenant", "consent.error.tenant")
	}
	return pr, normal, nil
}

func (p *Portal) makeLink(ctx context.Context, u mailroom.User, l mailroom.ConsentLink) (token string, err error) {
	if l.ID == "" {
		l.ID = mailroom.NewID(mailroom.PrefixConsentLink)
	}
	l.OrgID, l.CreatedBy, l.CreatedAt = u.OrgID, u.ID, p.now()
	l.ExpiresAt = l.CreatedAt.Add(consentLinkLife)
	err = p.d.Store.AddConsentLink(ctx, l, p.event(u, "consent.link_made", l.ID, map[string]any{"provider": l.ProviderID, "tenant": l.Tenant}))
	return p.d.AdminConsent.ConsentToken(l), err
}

// WithdrawConsentLink makes a link void, for administrators.
func (p *Portal) WithdrawConsentLink(ctx context.Context, u mailroom.User, id string) error {
	if !u.IsAdmin() {
		return forbidden()
	}
	return p.d.Store.WithdrawConsentLink(ctx, u.OrgID, id, p.event(u, "consent.link_withdrawn", id, nil))
}

// ConsentLink is a link with all that can be done with it, for administrators.
func (p *Portal) ConsentLink(ctx context.Context, u mailroom.User, id string) (Invitation, error) {
	if !u.IsAdmin() {
		return Invitation{}, forbidden()
	}
	links, err := p.d.Store.ConsentLinks(ctx, u.OrgID)
	if err != nil {
		return Invitation{}, err
	}
	for _, l := range links {
		if l.ID == id {
			return p.invitation(ctx, l)
		}
	}
	return Invitation{}, notFound()
}

// OwnConsent is the approval that the user's mailbox waits for.
func (p *Portal) OwnConsent(ctx context.Context, u mailroom.User) (OwnConsent, error) {
	row, err := p.mailboxOf(ctx, u)
	if err != nil || row.Mailbox.Address == "" {
		return OwnConsent{}, err
	}
	v := OwnConsent{Mailbox: row.Mailbox, HasGrant: row.HasGrant && (row.Mailbox.Problem == nil || row.Mailbox.Problem.Kind.Fixer() == "nobody")}
	pr, err := p.consentProvider(ctx, u, row.Mailbox)
	if mailroom.KindOf(err) == mailroom.Conflict {
		return v, nil // the page says that there is nothing to ask for
	}
	if err != nil {
		return v, err
	}
	v.Provider = bare(pr)
	links, err := p.d.Store.ConsentLinks(ctx, u.OrgID)
	if err != nil {
		return v, err
	}
	for _, l := range links {
		if l.CreatedBy == u.ID && l.MailboxID == row.Mailbox.ID && l.ProviderID == pr.ID {
			i, err := p.invitation(ctx, l)
			if err == nil {
				err = p.reportedElsewhere(ctx, &i)
			}
			v.Invitation = &i
			return v, err
		}
	}
	return v, nil
}

// reportedElsewhere has a link count as reported when an administrator approved for
// the same company without it, after it was made.
func (p *Portal) reportedElsewhere(ctx context.Context, i *Invitation) error {
	switch i.State {
	case mailroom.ConsentProved, mailroom.ConsentReported:
		return nil
	}
	journeys, err := p.d.Store.ConsentJourneys(ctx, i.Link.OrgID)
	for _, j := range journeys {
		if j.ProviderID == i.Link.ProviderID && j.Tenant == i.Link.Tenant && !j.AnsweredAt.IsZero() && j.Problem == nil && j.CreatedAt.After(i.Link.CreatedAt) {
			i.State, i.At, i.Problem = mailroom.ConsentReported, j.AnsweredAt, nil
			break
		}
	}
	return err
}

// OpenInvitation is the page behind a link, for whoever holds it. That it was opened
// is noted, unless by the organization's own people. A link that is void but proved
// has done its work and still tells so.
func (p *Portal) OpenInvitation(ctx context.Context, u mailroom.User, token string) (Invitation, error) {
	l, err := p.d.AdminConsent.OpenConsentLink(ctx, token)
	if err != nil && (l.ProvedAt.IsZero() || !l.RevokedAt.IsZero()) {
		return Invitation{}, err
	}
	if u.OrgID != l.OrgID && l.OpenedAt.IsZero() {
		if err := p.d.Store.OpenedConsentLink(ctx, l.ID); err != nil {
			return Invitation{}, err
		}
		l.OpenedAt = p.now()
	}
	return p.invitation(ctx, l)
}

func (p *Portal) invitation(ctx context.Context, l mailroom.ConsentLink) (Invitation, error) {
	v := Invitation{Link: l, Token: p.d.AdminConsent.ConsentToken(l), At: l.CreatedAt}
	pr, ok := p.provider(ctx, l.OrgID, l.ProviderID)
	if !ok || !pr.Configured() {
		return v, mailroom.E(mailroom.Conflict, "consent.error.provider_gone")
	}
	v.Provider = bare(pr)
	if pr.AdminConsentURL != "" {
		var err error
		if v.PlainURL, err = p.d.AdminConsent.ConsentURL(pr, l.Tenant, ""); err != nil {
			return v, err
		}
	}
	org, err := p.d.Store.Organization(ctx, l.OrgID)
	if err != nil {
		return v, err
	}
	v.Organization = org.Name
	by, err := p.d.Store.User(ctx, l.OrgID, l.CreatedBy)
	if err != nil && mailroom.KindOf(err) != mailroom.NotFound {
		return v, err
	}
	v.By = mailroom.User{Name: by.Name, Email: by.Email}
	journeys, err := p.d.Store.ConsentJourneysOf(ctx, l.ID)
	if err != nil {
		return v, err
	}
	v.State = l.State(journeys, p.now())
	v.Problem, v.At = lastWord(v.State, journeys, v.At)
	switch v.State {
	case mailroom.ConsentProved:
		v.At = l.ProvedAt
	case mailroom.ConsentOpened:
		v.At = l.OpenedAt
	}
	v.Addresses, err = p.addressesOf(ctx, l)
	return v, err
}

// bare is a provider as pages may hold it.
func bare(pr mailroom.Provider) mailroom.Provider {
	pr.ClientSecret, pr.ClientKey, pr.Directory = "", "", nil
	return pr
}

// lastWord is the journey that a state is about: its refusal, and when it came.
func lastWord(s mailroom.ConsentState, journeys []mailroom.ConsentJourney, at time.Time) (*mailroom.Problem, time.Time) {
	for _, j := range journeys {
		switch {
		case s == mailroom.ConsentAsked && j.AnsweredAt.IsZero():
			return nil, j.CreatedAt
		case s == mailroom.ConsentReported && !j.AnsweredAt.IsZero() && j.Problem == nil:
			return nil, j.AnsweredAt
		case s == mailroom.ConsentDeclined && j.Problem != nil:
			return j.Problem, j.AnsweredAt
		}
	}
	return nil, at
}

// addressesOf are the mailboxes that a link is about: its own, else those of its
// tenant.
func (p *Portal) addressesOf(ctx context.Context, l mailroom.ConsentLink) (out []string, err error) {
	rows, err := p.d.Store.MailboxRows(ctx, l.OrgID)
	if err != nil || l.MailboxID == "" && l.Tenant == "" {
		return nil, err
	}
	tenants, err := p.d.Store.GrantTenants(ctx, l.OrgID)
	for _, r := range rows {
		m := r.Mailbox
		about := m.ID == l.MailboxID
		if l.MailboxID == "" {
			about = m.ProviderID == l.ProviderID && (tenants[m.ID] == l.Tenant || mailroom.TenantOf(m.Address) == l.Tenant)
		}
		if about && m.Address != "" && len(out) < manyAddresses {
			out = append(out, mailroom.NormalAddress(m.Address))
		}
	}
	slices.Sort(out)
	return out, err
}

// GoByLink is where the browser of a link's holder goes to approve. any leaves the
// company out, for when the provider does not know it by its domain.
func (p *Portal) GoByLink(ctx context.Context, token, binding string, anyCompany bool) (to string, err error) {
	l, err := p.d.AdminConsent.OpenConsentLink(ctx, token)
	if err != nil {
		return "", err
	}
	pr, ok := p.provider(ctx, l.OrgID, l.ProviderID)
	if !ok {
		return "", mailroom.E(mailroom.Conflict, "consent.error.provider_gone")
	}
	tenant := l.Tenant
	if anyCompany {
		tenant = ""
	}
	return p.d.AdminConsent.BeginConsent(ctx, pr, l, mailroom.User{}, tenant, binding)
}

// BeginConsent is where the browser of a signed-in administrator goes to approve for
// a tenant, "" for the company that they sign in with there.
func (p *Portal) BeginConsent(ctx context.Context, u mailroom.User, binding, providerID, tenant string) (to string, err error) {
	pr, tenant, err := p.askable(ctx, u, providerID, tenant)
	if err != nil {
		return "", err
	}
	return p.d.AdminConsent.BeginConsent(ctx, pr, mailroom.ConsentLink{}, u, tenant, binding)
}

// FinishConsent takes what a provider sent an administrator's browser back with, and
// returns the token of the link that they came by, "" for a signed-in one.
func (p *Portal) FinishConsent(ctx context.Context, binding string, a mailroom.ConsentAnswer) (j mailroom.ConsentJourney, token string, err error) {
	j, err = p.d.AdminConsent.FinishConsent(ctx, binding, a)
	if err != nil || j.LinkID == "" {
		return j, "", err
	}
	links, err := p.d.Store.ConsentLinks(ctx, j.OrgID)
	for _, l := range links {
		if l.ID == j.LinkID {
			return j, p.d.AdminConsent.ConsentToken(l), err
		}
	}
	return j, "", err
}
