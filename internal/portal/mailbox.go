package portal

import (
	"context"

	"mailroom/internal/mailroom"
)

// Integrations is the page with the four settings.
func (p *Portal) Integrations(ctx context.Context, u mailroom.User) (Integrations, error) {
	var v Integrations
	offered, err := p.d.Providers(ctx, u.OrgID)
	if err != nil {
		return v, err
	}
	for _, pr := range offered {
		switch {
		case pr.Configured():
			v.Grantable = append(v.Grantable, pr)
		case pr.Password:
			v.Passwords = append(v.Passwords, pr)
		}
	}
	row, err := p.mailboxOf(ctx, u)
	if err != nil {
		return v, err
	}
	v.Mailbox, v.Ready, v.State = row.Mailbox, row.Ready(), mailroom.StateNotSetUp
	v.Next = nextSetting(row, 0)
	if row.Mailbox.ID == "" {
		return v, nil
	}
	if row.HasGrant {
		g, err := p.d.Store.Grant(ctx, u.OrgID, row.Mailbox.ID)
		if err != nil && mailroom.KindOf(err) != mailroom.NotFound {
			return v, err
		}
		if err == nil {
			v.Grant = &g
		}
	}
	if pr, ok := offered.ByID(row.Mailbox.ProviderID); ok {
		v.Provider = &pr
	}
	v.PasswordBlocks = passwordBlocks(row.Mailbox)
	if v.Mappings, err = p.mappingRows(ctx, row.Mailbox.ID); err != nil {
		return v, err
	}
	v.State = mailroom.MailboxState(row.Mailbox, row.Ready(), statesOf(v.Mappings))
	v.Mappings = p.under(ctx, row, v.Mappings)
	v.Next = nextSetting(row, len(v.Mappings))
	return v, nil
}

// nextSetting is the setting that is to be done next.
func nextSetting(row mailroom.MailboxRow, mappings int) string {
	m := row.Mailbox
	switch {
	case m.ID == "" || m.Address == "":
		return "username"
	case m.Account == "":
		return "account"
	case passwordBlocks(m) || m.UsesPassword() && !m.PasswordSet:
		return "password"
	case !row.Ready():
		return "grant"
	case mappings == 0:
		return "mapping"
	}
	return ""
}

// passwordBlocks: the account signs in by OAuth, yet a password is left.
func passwordBlocks(m mailroom.Mailbox) bool {
	return m.Account != "" && !m.UsesPassword() && m.PasswordSet
}

// mailboxOf is the user's mailbox, with zero ID when there is none yet.
func (p *Portal) mailboxOf(ctx context.Context, u mailroom.User) (mailroom.MailboxRow, error) {
	row, err := p.d.Store.MailboxOf(ctx, u.ID)
	if mailroom.KindOf(err) == mailroom.NotFound {
		return mailroom.MailboxRow{Owner: u}, nil
	}
	return row, err
}

// ownMailbox is the user's mailbox, and a Conflict when there is none yet.
func (p *Portal) ownMailbox(ctx context.Context, u mailroom.User) (mailroom.MailboxRow, error) {
	row, err := p.mailboxOf(ctx, u)
	if err == nil && row.Mailbox.ID == "" {
		err = mailroom.E(mailroom.Conflict, "mailbox.error.address_first")
	}
	return row, err
}

// AddressChange says what saving another address would do; nil when there is
// nothing to ask.
func (p *Portal) AddressChange(ctx context.Context, u mailroom.User, address string) (*AddressChange, error) {
	row, err := p.mailboxOf(ctx, u)
	if err != nil || row.Mailbox.ID == "" || sameAddress(row.Mailbox.Address, address) {
		return nil, err
	}
	rows, err := p.d.Store.MappingRows(ctx, row.Mailbox.ID)
	if err != nil || !row.HasGrant && len(rows) == 0 {
		return nil, err
	}
	return &AddressChange{From: row.Mailbox.Address, To: mailroom.NormalAddress(address), HasGrant: row.HasGrant, Mappings: len(rows)}, nil
}

func sameAddress(a, b string) bool { return mailroom.NormalAddress(a) == mailroom.NormalAddress(b) }

// SaveAddress is Mail - Incoming IMAP Username. Another address is another
// account: the old mailbox is retired with its mappings and gives up its
// permission, its mail stays to be read, and a new one begins. That is only
// done when confirmed, if there is anything to lose.
func (p *Portal) SaveAddress(ctx context.Context, u mailroom.User, address string, confirmed bool) error {
	address, err := checkAddress("address", address, "mailbox.error.address")
	if err != nil {
		return err
	}
	row, err := p.mailboxOf(ctx, u)
	if err != nil {
		return err
	}
	old := row.Mailbox
	if old.ID != "" && sameAddress(old.Address, address) {
		return nil
	}
	fresh := mailroom.Mailbox{
		ID: mailroom.NewID(mailroom.PrefixMailbox), OrgID: u.OrgID, UserID: u.ID, Address: address,
		Account: old.Account, ProviderID: old.ProviderID, IMAP: old.IMAP, CreatedAt: p.now(),
	}
	ev := p.event(u, "mailbox.address", fresh.ID, map[string]any{"address": address})
	if old.ID == "" {
		return p.d.Store.AddMailbox(ctx, fresh, ev)
	}
	change, err := p.AddressChange(ctx, u, address)
	if err != nil {
		return err
	}
	if change != nil && !confirmed {
		return mailroom.E(mailroom.Conflict, "mailbox.address.confirm").On("address").
			With("from", change.From).With("to", change.To).With("mappings", change.Mappings)
	}
	used, err := p.d.Store.MailboxUsed(ctx, old.ID)
	if err != nil {
		return err
	}
	ev.Details["from"] = old.Address
	if change == nil && !used && !old.PasswordSet {
		ev.Subject = old.ID
		return p.d.Store.ChangeMailbox(ctx, u.OrgID, old.ID, func(m *mailroom.Mailbox) error {
			m.Address, m.Problem = address, nil
			return nil
		}, ev)
	}
	if row.HasGrant {
		// A provider that does not answer is no reason to keep the old account:
		// our own tokens are gone either way.
		if _, err := p.d.Consent.Revoke(ctx, u, old); err != nil {
			return err
		}
	}
	return p.d.Store.ReplaceMailbox(ctx, old.ID, fresh, false, ev)
}

// ChooseAccount is the choice of IMAP Account in the oAuth 2.0 dialog. Another
// server is another mailbox in the sense of SaveAddress, but keeps the mapping
// rows.
func (p *Portal) ChooseAccount(ctx context.Context, u mailroom.User, f AccountForm) error {
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return err
	}
	want, err := p.account(ctx, u, f)
	if err != nil {
		return err
	}
	old := row.Mailbox
	if old.Account == want.Account && old.ProviderID == want.ProviderID && old.IMAP == want.IMAP {
		return nil
	}
	if row.HasGrant {
		return mailroom.E(mailroom.Conflict, "account.error.revoke_first").On("account")
	}
	ev := p.event(u, "mailbox.account", old.ID, map[string]any{
		"account": string(want.Account), "provider": want.ProviderID, "host": want.IMAP.Host,
	})
	used, err := p.d.Store.MailboxUsed(ctx, old.ID)
	if err != nil {
		return err
	}
	if used && !sameServer(old, want) {
		fresh := want
		fresh.ID, fresh.OrgID, fresh.UserID = mailroom.NewID(mailroom.PrefixMailbox), u.OrgID, u.ID
		fresh.Address, fresh.Paused, fresh.CreatedAt = old.Address, old.Paused, p.now()
		ev.Subject = fresh.ID
		return p.d.Store.ReplaceMailbox(ctx, old.ID, fresh, true, ev)
	}
	return p.d.Store.ChangeMailbox(ctx, u.OrgID, old.ID, func(m *mailroom.Mailbox) error {
		if m.UsesPassword() && want.UsesPassword() && !sameServer(*m, want) {
			// A password is never sent to another host than it was typed for.
			m.PasswordSet = false
		}
		m.Account, m.ProviderID, m.IMAP, m.Problem = want.Account, want.ProviderID, want.IMAP, nil
		return nil
	}, ev)
}

// sameServer reports whether two accounts read the same IMAP server.
func sameServer(a, b mailroom.Mailbox) bool {
	return a.ProviderID == b.ProviderID && a.IMAP.Host == b.IMAP.Host
}

// account checks the choice of an account; of the result only Account,
// ProviderID and IMAP are set.
func (p *Portal) account(ctx context.Context, u mailroom.User, f AccountForm) (mailroom.Mailbox, error) {
	m := mailroom.Mailbox{Account: f.Account}
	switch f.Account {
	case mailroom.Outlook, mailroom.Gmail, mailroom.Other:
	default:
		return m, invalid("account", "account.error.choose")
	}
	if f.Server != "" {
		pr, ok := p.provider(ctx, u.OrgID, f.Server)
		if !ok || !pr.Password {
			return m, invalid("account", "account.error.choose")
		}
		m.IMAP = pr.IMAP
		return m, nil
	}
	if f.Account == mailroom.Other && f.ProviderID == "" {
		end, err := p.endpoint(ctx, u, f.IMAP)
		m.IMAP = end
		return m, err
	}
	all, err := p.d.Providers(ctx, u.OrgID)
	if err != nil {
		return m, err
	}
	offered := all.OfKind(f.Account)
	if f.ProviderID == "" {
		if len(offered) == 0 {
			return m, mailroom.E(mailroom.NeedsVendor, "account.error.not_offered").On("account").With("account", string(f.Account))
		}
		m.ProviderID = offered[0].ID
		return m, nil
	}
	for _, pr := range offered {
		if pr.ID == f.ProviderID {
			m.ProviderID = pr.ID
			return m, nil
		}
	}
	return m, mailroom.E(mailroom.NeedsVendor, "account.error.not_offered").On("provider").With("account", string(f.Account))
}

// endpoint checks a typed IMAP server, with the usual port when none was typed.
func (p *Portal) endpoint(ctx context.Context, u mailroom.User, e mailroom.Endpoint) (mailroom.Endpoint, error) {
	var errs complaints
	e.Host = mailroom.NormalAddress(e.Host)
	if e.Host == "" || len(e.Host) > 253 {
		errs.add(invalid("host", "account.error.host"))
	}
	if e.TLS == "" {
		e.TLS = mailroom.ImplicitTLS
	}
	switch e.TLS {
	case mailroom.ImplicitTLS, mailroom.StartTLS, mailroom.PlainText:
	default:
		errs.add(invalid("tls", "account.error.tls"))
	}
	if e.Port == 0 && e.TLS == mailroom.ImplicitTLS {
		e.Port = 993
	} else if e.Port == 0 {
		e.Port = 143
	}
	if e.Port < 1 || e.Port > 65535 {
		errs.add(invalid("port", "account.error.port"))
	}
	if len(errs) > 0 || p.d.CheckHost == nil {
		return e, errs.join()
	}
	org, err := p.d.Store.Organization(ctx, u.OrgID)
	if err != nil {
		return e, err
	}
	if err := p.d.CheckHost(ctx, e.Host, org.AllowPrivateHosts); err != nil {
		return e, mailroom.AsError(err).On("host")
	}
	return e, nil
}

// SavePassword is Mail - Incoming IMAP Password (SE2936), which must remain
// empty with OAuth.
func (p *Portal) SavePassword(ctx context.Context, u mailroom.User, password string) error {
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return err
	}
	switch {
	case password == "":
		return p.ClearPassword(ctx, u)
	case !row.Mailbox.UsesPassword():
		return mailroom.E(mailroom.Conflict, "password.error.oauth").On("password")
	case len(password) > maxPassword:
		return invalid("password", "user.error.password_long").With("max", maxPassword)
	}
	return p.d.Consent.SealPassword(ctx, row.Mailbox.ID, password)
}

// ClearPassword forgets the password.
func (p *Portal) ClearPassword(ctx context.Context, u mailroom.User) error {
	row, err := p.ownMailbox(ctx, u)
	if err != nil || !row.Mailbox.PasswordSet {
		return err
	}
	return p.d.Store.ChangeMailbox(ctx, u.OrgID, row.Mailbox.ID, func(m *mailroom.Mailbox) error {
		m.PasswordSet = false
		return nil
	}, p.event(u, "password.cleared", row.Mailbox.ID, nil))
}

// SyncNow asks for a sync of a mailbox: "" for one's own. Administrators may
// ask for every one of the organization.
func (p *Portal) SyncNow(ctx context.Context, u mailroom.User, mailboxID string) error {
	row, err := p.reach(ctx, u, mailboxID)
	if err != nil {
		return err
	}
	return p.syncNow(ctx, u, row)
}

func (p *Portal) syncNow(ctx context.Context, u mailroom.User, row mailroom.MailboxRow) error {
	switch {
	case !row.Ready():
		return mailroom.E(mailroom.Conflict, "mailbox.error.not_ready")
	case row.Mailbox.Paused:
		return mailroom.E(mailroom.Conflict, "mailbox.error.paused")
	case !row.Owner.DisabledAt.IsZero():
		return mailroom.E(mailroom.Conflict, "mailbox.error.owner_disabled")
	}
	return p.d.Store.RequestSync(ctx, u.OrgID, row.Mailbox.ID, p.event(u, "mailbox.sync_asked", row.Mailbox.ID, nil))
}

// PauseMailbox stops the sync of a mailbox until ResumeMailbox.
func (p *Portal) PauseMailbox(ctx context.Context, u mailroom.User, mailboxID string) error {
	return p.setPaused(ctx, u, mailboxID, true, "mailbox.paused")
}

// ResumeMailbox goes on with the sync of a paused mailbox.
func (p *Portal) ResumeMailbox(ctx context.Context, u mailroom.User, mailboxID string) error {
	return p.setPaused(ctx, u, mailboxID, false, "mailbox.resumed")
}

func (p *Portal) setPaused(ctx context.Context, u mailroom.User, mailboxID string, paused bool, action string) error {
	row, err := p.reach(ctx, u, mailboxID)
	if err != nil || row.Mailbox.Paused == paused {
		return err
	}
	return p.d.Store.ChangeMailbox(ctx, u.OrgID, row.Mailbox.ID, func(m *mailroom.Mailbox) error {
		m.Paused = paused
		return nil
	}, p.event(u, action, row.Mailbox.ID, nil))
}

// reach is a mailbox in use that the user may steer: one's own, or as an
// administrator any of the organization.
func (p *Portal) reach(ctx context.Context, u mailroom.User, mailboxID string) (mailroom.MailboxRow, error) {
	if mailboxID == "" {
		return p.ownMailbox(ctx, u)
	}
	row, err := p.d.Store.MailboxByID(ctx, u.OrgID, mailboxID)
	if err != nil {
		return row, err
	}
	if !row.Mailbox.RetiredAt.IsZero() || row.Owner.ID != u.ID && !u.IsAdmin() {
		return mailroom.MailboxRow{}, notFound()
	}
	return row, nil
}
