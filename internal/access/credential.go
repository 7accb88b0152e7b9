package access

import (
	"context"
	"errors"
	"time"

	"mailroom/internal/mailroom"
)

// proofs that are tried with real grants before the weaker question is asked.
const proveWith = 3

// AddCredential seals a secret or a private key beside the credentials that an
// organization's registration has. It is on trial until a token request proves it.
// u is an administrator, which the caller has checked.
func (a *Access) AddCredential(ctx context.Context, u mailroom.User, n mailroom.NewCredential) (mailroom.Credential, error) {
	s, err := a.settings(ctx, u.OrgID)
	if err != nil {
		return mailroom.Credential{}, err
	}
	p, ok := s.offered.ByID(n.ProviderID)
	if !ok || n.Use == mailroom.UseDoctor && p.Directory == nil {
		return mailroom.Credential{}, mailroom.E(mailroom.NotFound, "error.not_found")
	}
	now := a.Now().UTC().Truncate(time.Microsecond)
	c := mailroom.Credential{
		ID: mailroom.NewID(mailroom.PrefixCredential), OrgID: u.OrgID, ProviderID: p.ID, Use: n.Use, Kind: n.Kind,
		ClientID: n.ClientID, ExpiresAt: n.ExpiresAt, CreatedBy: u.ID, CreatedAt: now,
	}
	if n.Use == mailroom.UseMail {
		if c.ClientID = s.client(p.ID); c.ClientID == "" {
			return mailroom.Credential{}, mailroom.E(mailroom.Conflict, "credential.error.no_registration").With("provider", p.Name)
		}
	}
	secret := n.Secret
	if n.Kind == mailroom.ClientCertificate {
		pair, err := a.pair(n, now)
		if err != nil {
			return mailroom.Credential{}, err
		}
		secret, c.Certificate, c.Thumbprint, c.ExpiresAt = pair.key, pair.certificate, pair.thumbprint, pair.expires.Truncate(time.Microsecond)
	}
	c.Sealed.KeyID, c.Sealed.Data = a.Vault.Seal(credentialIdentity(c.ID), []byte(secret))
	err = a.Store.AddClientCredential(ctx, c, mailroom.AuditEvent{OrgID: u.OrgID, ActorID: u.ID, Action: "credential.added", Subject: c.ID,
		Details: map[string]any{"provider": p.ID, "use": string(c.Use), "kind": string(c.Kind)}})
	if err == nil {
		a.Log.Info("client credential added", "credential", c.ID, "provider", p.ID, "kind", c.Kind)
	}
	return c, err
}

func (a *Access) pair(n mailroom.NewCredential, now time.Time) (keyPair, error) {
	if n.PEM == "" {
		return makeCertificate("Mailroom "+now.Format("2006-01-02"), now)
	}
	pair, refusal := readCertificate(n.PEM, now)
	if refusal != nil { // not straight through: a nil *Error in an error is not nil
		return keyPair{}, refusal
	}
	return pair, nil
}

// client is the client ID of an organization's own registration, "" for none.
func (s *settings) client(providerID string) string {
	for _, r := range s.rows {
		if r.ID == providerID {
			return r.Set.ClientID
		}
	}
	return ""
}

// ProveCredential has a provider judge a credential by a real token request: the
// refresh of one of the organization's grants under its lease, which costs that
// grant nothing. Where there is no grant to do it with, an invented code is asked
// for, and the check says that this is weaker.
func (a *Access) ProveCredential(ctx context.Context, orgID, id string) (mailroom.Check, error) {
	c, err := a.Store.ClientCredential(ctx, orgID, id)
	if err != nil {
		return mailroom.Check{}, err
	}
	s, err := a.settings(ctx, orgID)
	if err != nil {
		return mailroom.Check{}, err
	}
	p, ok := s.offered.ByID(c.ProviderID)
	if !ok {
		return mailroom.Check{}, mailroom.E(mailroom.NotFound, "error.not_found")
	}
	if c.Use == mailroom.UseMail && c.ClientID != s.client(c.ProviderID) {
		return mailroom.Check{}, mailroom.E(mailroom.Conflict, "credential.error.other_client")
	}
	by := a.proofBy(p, c)
	if by.err != nil {
		return mailroom.Failing("credential.check.refresh", by.err, a.Now().UTC()), nil
	}
	if c.Use == mailroom.UseMail {
		if check, told, err := a.proveByGrant(ctx, orgID, by); told || err != nil {
			return check, err
		}
	}
	return a.proveByCode(ctx, orgID, by), nil
}

// proveByGrant refreshes grants with one credential alone until the provider has
// said something about it. told is false when there was no grant that could tell.
func (a *Access) proveByGrant(ctx context.Context, orgID string, by proof) (check mailroom.Check, told bool, err error) {
	const name = "credential.check.refresh"
	ids, err := a.Store.ProvableMailboxes(ctx, orgID, by.provider.ID, proveWith)
	if err != nil {
		return check, false, err
	}
	for _, id := range ids {
		began := a.Now()
		err := a.refreshBy(ctx, id, by)
		switch {
		case err == nil:
			a.judge(ctx, orgID, by.credential, nil)
			check = mailroom.Passed(name, map[string]any{"provider": by.provider.Name})
			check.Took = a.Now().Sub(began)
			return check, true, nil
		case clientFault(err):
			a.judge(ctx, orgID, by.credential, err)
			return mailroom.Failing(name, err, a.Now().UTC()), true, nil
		case mailroom.KindOf(err) == mailroom.Unavailable && !errors.Is(err, errBusy):
			return mailroom.Unseen(name, err, a.Now().UTC()), true, nil
		}
	}
	return check, false, nil
}

// errBusy: somebody else refreshes this grant at the moment.
var errBusy = errors.New("grant is being refreshed")

// refreshBy refreshes a grant with one credential under its lease. A refusal is
// written on nobody's mailbox: it is the credential that is on trial.
func (a *Access) refreshBy(ctx context.Context, mailboxID string, by proof) error {
	// A rotated token must be stored even if nobody waits for the proof any more.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshLimit)
	defer cancel()
	c, err := a.granted(ctx, mailboxID)
	if err != nil {
		return err
	}
	leased, err := a.Store.LeaseGrant(ctx, c.Grant.ID, a.node, c.Grant.Version, a.Now(), a.Now().Add(leaseFor))
	if err != nil {
		return err
	}
	if !leased {
		return mailroom.E(mailroom.Unavailable, "grant.error.refresh_elsewhere", errBusy)
	}
	o, err := a.open(c)
	var t mailroom.Tokens
	if err == nil && o.refresh == "" {
		err = mailroom.E(mailroom.NeedsConsent, "grant.error.no_refresh_left")
	}
	if err == nil {
		t, err = a.OAuth.Refresh(ctx, by.provider, o.refresh)
	}
	if err != nil {
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_, ferr := a.Store.FailRefresh(back, c.MailboxID, c.Grant.ID, a.node, c.Grant.Version, nil)
		return errors.Join(err, ferr)
	}
	_, _, err = a.refreshed(ctx, by.provider, c, o, t)
	return err
}

// proveByCode asks for a token with an invented code. It does not count as proof.
func (a *Access) proveByCode(ctx context.Context, orgID string, by proof) mailroom.Check {
	const name = "credential.check.code"
	began := a.Now()
	err := a.OAuth.CheckClient(ctx, by.provider, a.RedirectURL(by.provider.ID))
	switch {
	case err == nil:
		check := mailroom.Passed(name, map[string]any{"provider": by.provider.Name})
		check.Took = a.Now().Sub(began)
		return check
	case clientFault(err):
		a.judge(ctx, orgID, by.credential, err)
		return mailroom.Failing(name, err, a.Now().UTC())
	}
	return mailroom.Unseen(name, err, a.Now().UTC())
}

// CheckProvider looks at everything of a provider that can be looked at without
// a person: its data and our registration there, then each credential.
func (a *Access) CheckProvider(ctx context.Context, orgID, providerID string) ([]mailroom.Check, error) {
	s, err := a.settings(ctx, orgID)
	if err != nil {
		return nil, err
	}
	p, ok := s.offered.ByID(providerID)
	if !ok {
		return nil, mailroom.E(mailroom.NotFound, "error.not_found")
	}
	if p.ClientID == "" { // not offered for want of a credential: look all the same
		p.ClientID = s.client(providerID)
	}
	out := a.OAuth.Check(ctx, p, a.RedirectURL(p.ID))
	if p.ClientID == "" || p.TokenAuth == "none" {
		return out, nil
	}
	tries := s.tries[providerID]
	if len(tries) == 0 {
		err := mailroom.E(mailroom.NeedsVendor, "credential.error.none").With("provider", p.Name)
		return append(out, mailroom.Failing("credential.check.code", err, a.Now().UTC())), nil
	}
	for _, by := range tries {
		if by.credential == "" {
			out = append(out, a.proveByCode(ctx, orgID, by))
			continue
		}
		check, err := a.ProveCredential(ctx, orgID, by.credential)
		if err != nil {
			check = mailroom.Unseen("credential.check.refresh", err, a.Now().UTC())
		}
		out = append(out, check)
	}
	return out, nil
}
