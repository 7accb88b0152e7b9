package portal

import (
	"context"

	"mailroom/internal/mailroom"
)

// SetupToken is the secret of the link with which the first organization is
// founded: a new one, which makes older ones void, or "" when there is an
// organization already. Only its hash is kept.
func (p *Portal) SetupToken(ctx context.Context) (token string, err error) {
	orgs, err := p.d.Store.Organizations(ctx)
	if err != nil || len(orgs) > 0 {
		return "", err
	}
	token = mailroom.NewSecret()
	if err := p.d.Store.SaveSetupToken(ctx, mailroom.HashSecret(token)); err != nil {
		return "", err
	}
	return token, nil
}

// SetupOpen reports whether a setup link is still good.
func (p *Portal) SetupOpen(ctx context.Context, token string) (bool, error) {
	kept, err := p.d.Store.SetupToken(ctx)
	if err != nil {
		return false, err
	}
	return sameHash(kept, mailroom.HashSecret(token)), nil
}

// Setup founds the first organization and its administrator, once.
func (p *Portal) Setup(ctx context.Context, token string, f SetupForm) (mailroom.User, error) {
	open, err := p.SetupOpen(ctx, token)
	if err != nil {
		return mailroom.User{}, err
	}
	if !open {
		return mailroom.User{}, mailroom.E(mailroom.NotFound, "organization.error.setup_used")
	}
	return p.found(ctx, mailroom.HashSecret(token), f)
}

// AddOrganization founds a further organization. It is the operator's, who
// needs no account: no page leads here.
func (p *Portal) AddOrganization(ctx context.Context, f SetupForm) (mailroom.User, error) {
	return p.found(ctx, "", f)
}

func (p *Portal) found(ctx context.Context, tokenHash string, f SetupForm) (mailroom.User, error) {
	var errs complaints
	orgName, err := checkName("organization", f.Organization, "organization.error.name")
	errs.add(err)
	name, err := checkName("name", f.Name, "user.error.name")
	errs.add(err)
	email, err := checkAddress("email", f.Email, "user.error.email")
	errs.add(err)
	errs.add(checkPassword("password", f.Password, email))
	if err := errs.join(); err != nil {
		return mailroom.User{}, err
	}
	hash, err := p.passwords.hash(ctx, f.Password)
	if err != nil {
		return mailroom.User{}, err
	}
	org := mailroom.Organization{ID: mailroom.NewID(mailroom.PrefixOrganization), Name: orgName, CreatedAt: p.now()}
	admin := mailroom.User{
		ID: mailroom.NewID(mailroom.PrefixUser), OrgID: org.ID, Email: email, Name: name, Role: mailroom.Administrator,
		PasswordHash: hash, SessionEpoch: 1, CreatedAt: p.now(),
	}
	ev := p.event(admin, "organization.founded", org.ID, nil)
	if err := p.d.Store.Found(ctx, tokenHash, org, admin, ev); err != nil {
		return mailroom.User{}, err
	}
	return admin, nil
}

// Organization is the user's own.
func (p *Portal) Organization(ctx context.Context, u mailroom.User) (mailroom.Organization, error) {
	return p.d.Store.Organization(ctx, u.OrgID)
}

// SaveOrganization changes its name and settings, for administrators.
func (p *Portal) SaveOrganization(ctx context.Context, u mailroom.User, f OrganizationForm) error {
	if !u.IsAdmin() {
		return forbidden()
	}
	name, err := checkName("name", f.Name, "organization.error.name")
	if err != nil {
		return err
	}
	o, err := p.d.Store.Organization(ctx, u.OrgID)
	if err != nil {
		return err
	}
	o.Name, o.ShareLinkedMail, o.AllowPrivateHosts = name, f.ShareLinkedMail, f.AllowPrivateHosts
	return p.d.Store.SaveOrganization(ctx, o, p.event(u, "organization.saved", o.ID, map[string]any{
		"share_linked_mail": o.ShareLinkedMail, "allow_private_hosts": o.AllowPrivateHosts,
	}))
}

// Audit lists the newest events of the organization, for administrators; limit
// 0 for 200.
func (p *Portal) Audit(ctx context.Context, u mailroom.User, limit int) ([]mailroom.AuditEvent, error) {
	if !u.IsAdmin() {
		return nil, forbidden()
	}
	if limit <= 0 || limit > 1000 {
		limit = 200
	}
	return p.d.Store.AuditEvents(ctx, u.OrgID, limit)
}

// event is the audit event of what u does now.
func (p *Portal) event(u mailroom.User, action, subject string, details map[string]any) mailroom.AuditEvent {
	return mailroom.AuditEvent{
		ID: mailroom.NewID(mailroom.PrefixAudit), OrgID: u.OrgID, At: p.now(),
		ActorID: u.ID, Action: action, Subject: subject, Details: details,
	}
}
