package portal

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// ConsentPage is how far approval is for each company, by provider.
type ConsentPage struct {
	Providers []ConsentProvider
}

// ConsentProvider is a provider with the companies whose mailboxes are there.
type ConsentProvider struct {
	Provider  mailroom.Provider // without secrets
	Companies []ConsentCompany
	Links     []ConsentLinkRow
	// PlainURL is the consent link for any company, "" where there is none.
	PlainURL string
}

// ConsentCompany is a tenant, or a domain of which the tenant is not known yet.
type ConsentCompany struct {
	Tenant    string // GUID or domain
	Domains   []string
	Mailboxes int
	Connected int // of them have a grant
	Blocked   int // of them are refused for want of consent
	State     mailroom.ConsentState
	At        time.Time // since when it stands so
	ProvedBy  mailroom.ConsentProof
	// Again is how many links were made since it was proved, and wait: somebody is
	// refused all the same, or wants to be sure.
	Again   int
	Problem *mailroom.Problem // why the provider refused last
}

// ConsentLinkRow is a link in the administrator's list.
type ConsentLinkRow struct {
	Link    mailroom.ConsentLink
	State   mailroom.ConsentState
	Address string // of the mailbox that it was made for
	By      string // name
	Problem *mailroom.Problem
}

// Consents is how far approval is for each company, for administrators.
func (p *Portal) Consents(ctx context.Context, u mailroom.User) (ConsentPage, error) {
	if !u.IsAdmin() {
		return ConsentPage{}, forbidden()
	}
	offered, err := p.d.Providers(ctx, u.OrgID)
	if err != nil {
		return ConsentPage{}, err
	}
	facts, err := p.consentFacts(ctx, u.OrgID)
	if err != nil {
		return ConsentPage{}, err
	}
	var v ConsentPage
	for _, pr := range offered {
		if !pr.Configured() || pr.AdminConsentURL == "" && pr.Kind == mailroom.Other {
			continue
		}
		row := ConsentProvider{Provider: bare(pr), Companies: facts.companies(pr.ID, p.now()), Links: facts.linkRows(pr.ID, p.now())}
		if pr.AdminConsentURL != "" {
			if row.PlainURL, err = p.d.AdminConsent.ConsentURL(pr, "", ""); err != nil {
				return v, err
			}
		}
		v.Providers = append(v.Providers, row)
	}
	return v, nil
}

// consentFacts are an organization's rows that approval is told from.
type consentFacts struct {
	boxes    []mailroom.MailboxRow
	granted  map[string]string // mailbox → tenant
	tenants  []mailroom.Tenant
	links    []mailroom.ConsentLink
	journeys []mailroom.ConsentJourney
	users    map[string]string // id → name
}

func (p *Portal) consentFacts(ctx context.Context, orgID string) (f consentFacts, err error) {
	if f.boxes, err = p.d.Store.MailboxRows(ctx, orgID); err != nil {
		return f, err
	}
	if f.granted, err = p.d.Store.GrantTenants(ctx, orgID); err != nil {
		return f, err
	}
	if f.tenants, err = p.d.Store.Tenants(ctx, orgID); err != nil {
		return f, err
	}
	if f.links, err = p.d.Store.ConsentLinks(ctx, orgID); err != nil {
		return f, err
	}
	if f.journeys, err = p.d.Store.ConsentJourneys(ctx, orgID); err != nil {
		return f, err
	}
	users, err := p.d.Store.Users(ctx, orgID)
	f.users = map[string]string{}
	for _, u := range users {
		f.users[u.ID] = u.Name
	}
	return f, err
}

func (f consentFacts) journeysOf(linkID string) (out []mailroom.ConsentJourney) {
	for _, j := range f.journeys {
		if j.LinkID == linkID {
			out = append(out, j)
		}
	}
	return out
}

func (f consentFacts) linkRows(providerID string, now time.Time) (out []ConsentLinkRow) {
	for _, l := range f.links {
		if l.ProviderID != providerID {
			continue
		}
		journeys := f.journeysOf(l.ID)
		row := ConsentLinkRow{Link: l, State: l.State(journeys, now), By: f.users[l.CreatedBy]}
		row.Problem, _ = lastWord(row.State, journeys, now)
		for _, b := range f.boxes {
			if b.Mailbox.ID == l.MailboxID {
				row.Address = b.Mailbox.Address
			}
		}
		out = append(out, row)
	}
	return out
}

// companies gathers what is known by tenant. A domain counts to the tenant that a
// grant from it named, else to the one that was reported for it.
func (f consentFacts) companies(providerID string, now time.Time) []ConsentCompany {
	home := map[string]string{} // domain → tenant
	for _, j := range slices.Backward(f.journeys) {
		if j.ProviderID == providerID && j.Reported != "" && !mailroom.IsTenantID(j.Tenant) {
			home[j.Tenant] = j.Reported
		}
	}
	for _, b := range f.boxes {
		if t := f.granted[b.Mailbox.ID]; t != "" && t != mailroom.ConsumerTenant {
			home[mailroom.TenantOf(b.Mailbox.Address)] = t
		}
	}
	delete(home, "")
	of := func(tenant string) string { return cmp.Or(home[tenant], tenant) }

	all := map[string]*ConsentCompany{}
	company := func(tenant string) *ConsentCompany {
		key := of(tenant)
		if all[key] == nil {
			all[key] = &ConsentCompany{Tenant: key, State: mailroom.ConsentNone}
		}
		c := all[key]
		if tenant != key || !mailroom.IsTenantID(tenant) {
			if !slices.Contains(c.Domains, tenant) && strings.Contains(tenant, ".") {
				c.Domains = append(c.Domains, tenant)
			}
		}
		return c
	}
	for _, t := range f.tenants {
		if t.ProviderID == providerID {
			company(t.ID)
		}
	}
	for _, b := range f.boxes {
		if tenant := mailroom.TenantOf(b.Mailbox.Address); b.Mailbox.ProviderID == providerID && tenant != "" {
			company(tenant).count(b)
		}
	}
	for _, l := range f.links {
		if l.ProviderID == providerID && l.Tenant != "" && l.RevokedAt.IsZero() && now.Before(l.ExpiresAt) {
			company(l.Tenant)
		}
	}
	out := make([]ConsentCompany, 0, len(all))
	for key, c := range all {
		f.judge(c, providerID, key, of, now)
		slices.Sort(c.Domains)
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b ConsentCompany) int {
		return cmp.Or(cmp.Compare(b.Mailboxes, a.Mailboxes), cmp.Compare(a.Name(), b.Name()))
	})
	return out
}

// Name is what people know the company by.
func (c ConsentCompany) Name() string {
	if len(c.Domains) > 0 {
		return c.Domains[0]
	}
	return c.Tenant
}

func (c *ConsentCompany) count(b mailroom.MailboxRow) {
	c.Mailboxes++
	if b.HasGrant {
		c.Connected++
	}
	if lacksConsent(b.Mailbox.Problem) {
		c.Blocked++
		if c.At.Before(b.Mailbox.Problem.Since) {
			c.At = b.Mailbox.Problem.Since
		}
	}
}

// lacksConsent reports whether a mailbox waits for its company's approval.
func lacksConsent(p *mailroom.Problem) bool {
	if p == nil || p.Kind != mailroom.NeedsAdmin {
		return false
	}
	switch p.Key {
	case "oauth.error.consent_missing", "oauth.error.consent_requested", "oauth.error.app_missing":
		return true
	}
	return false
}

// judge says how far a company is.
func (f consentFacts) judge(c *ConsentCompany, providerID, key string, of func(string) string, now time.Time) {
	refused := c.At // the newest refusal for want of consent
	c.At = time.Time{}
	for _, t := range f.tenants {
		if t.ProviderID == providerID && t.ID == key && !t.ProvedAt.IsZero() {
			c.State, c.At, c.ProvedBy = mailroom.ConsentProved, t.ProvedAt, t.ProvedBy
			if c.Blocked > 0 && refused.After(t.ProvedAt) {
				c.State, c.At = mailroom.ConsentMissing, refused
			}
		}
	}
	journeys := slices.DeleteFunc(slices.Clone(f.journeys), func(j mailroom.ConsentJourney) bool {
		return j.ProviderID != providerID || j.CreatedAt.Before(c.At) || j.Reported != key && of(j.Tenant) != key && !f.byLink(j, key, of)
	})
	if c.State == mailroom.ConsentProved {
		for _, l := range f.links {
			if l.ProviderID == providerID && of(l.Tenant) == key && l.CreatedAt.After(c.At) && l.ProvedAt.IsZero() && l.RevokedAt.IsZero() && now.Before(l.ExpiresAt) {
				c.Again++
			}
		}
		return
	}
	state := mailroom.ConsentNone
	var at time.Time
	for _, l := range slices.Backward(f.links) {
		if l.ProviderID != providerID || of(l.Tenant) != key || l.CreatedAt.Before(c.At) || !l.RevokedAt.IsZero() {
			continue
		}
		switch s := l.State(nil, now); s {
		case mailroom.ConsentOpened:
			state, at = s, l.OpenedAt
		case mailroom.ConsentSent:
			if state == mailroom.ConsentNone {
				state, at = s, l.CreatedAt
			}
		}
	}
	if s := mailroom.JourneysState(journeys); s != mailroom.ConsentNone {
		state = s
		c.Problem, at = lastWord(s, journeys, at)
	}
	if state != mailroom.ConsentNone {
		c.State, c.At = state, at
	}
}

// byLink reports whether a journey began at a link of the company.
func (f consentFacts) byLink(j mailroom.ConsentJourney, key string, of func(string) string) bool {
	return j.LinkID != "" && slices.ContainsFunc(f.links, func(l mailroom.ConsentLink) bool {
		return l.ID == j.LinkID && l.Tenant != "" && of(l.Tenant) == key
	})
}
