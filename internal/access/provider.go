package access

import (
	"context"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// settingsLife is how long an organization's providers are taken from memory: a
// signal of the store ends it at once, and this is behind it.
const settingsLife = 5 * time.Second

// settings are an organization's providers with its credentials open, in memory
// only.
type settings struct {
	offered mailroom.Providers
	rows    []mailroom.ProviderRow
	// tries are the credentials of a registration in the order in which they are
	// tried; the first stands in offered too.
	tries  map[string][]proof
	readAt time.Time
	signal <-chan struct{}
}

// proof is with what a provider is asked once.
type proof struct {
	provider   mailroom.Provider
	credential string // its id, "" for the installation's own
	err        error  // why it cannot be used, nil if it can
}

// Providers is what an organization is offered, with the credentials that prove
// us there in clear: they live in memory only. It is a mailroom.ProvidersOf.
func (a *Access) Providers(ctx context.Context, orgID string) (mailroom.Providers, error) {
	s, err := a.settings(ctx, orgID)
	if err != nil {
		return nil, err
	}
	return s.offered, nil
}

func (a *Access) settings(ctx context.Context, orgID string) (*settings, error) {
	a.mu.Lock()
	known := a.known[orgID]
	if known == nil {
		// For good: organizations are few, and a watcher is one channel.
		signal, _ := a.Store.Watch("providers:" + orgID)
		known = &settings{signal: signal}
		a.known[orgID] = known
	}
	select {
	case <-known.signal:
		known.readAt = time.Time{} // for whoever asks while we read, too
	default:
	}
	fresh := a.Now().Sub(known.readAt) < settingsLife
	a.mu.Unlock()
	if fresh {
		return known, nil
	}
	read := a.Now() // before the rows are: what changes meanwhile signals
	rows, cs, err := a.Store.ProviderSettings(ctx, orgID)
	if err != nil {
		return nil, err
	}
	s := a.laid(rows, cs)
	if err := a.private(ctx, orgID, s); err != nil {
		return nil, err
	}
	s.readAt, s.signal = read, known.signal
	a.mu.Lock()
	defer a.mu.Unlock()
	if !s.readAt.Before(a.known[orgID].readAt) {
		a.known[orgID] = s
	}
	return s, nil
}

// laid lays an organization's rows and credentials over what the installation
// offers.
func (a *Access) laid(rows []mailroom.ProviderRow, cs []mailroom.Credential) *settings {
	// A copy: what is offered to everybody is read by many at once.
	s := &settings{rows: rows, tries: map[string][]proof{}, offered: slices.Clone(a.Base.Overlaid(rows))}
	for i, p := range s.offered {
		p = a.directory(p, cs)
		tries := a.proofs(p, rows, cs)
		switch {
		case len(tries) == 0:
			p.ClientID = "" // a registration without a credential is offered to nobody
		default:
			p = tries[0].provider
		}
		s.offered[i], s.tries[p.ID] = p, tries
	}
	return s
}

// private lets providers that an organization added stand on addresses of its own
// network, where its administrators allow that.
func (a *Access) private(ctx context.Context, orgID string, s *settings) error {
	for _, r := range s.rows {
		i := slices.IndexFunc(s.offered, func(p mailroom.Provider) bool { return p.ID == r.ID })
		if r.Set.Own == nil || i < 0 || slices.ContainsFunc(a.Base, func(p mailroom.Provider) bool { return p.ID == r.ID }) {
			continue
		}
		o, err := a.Store.Organization(ctx, orgID)
		if err != nil {
			return err
		}
		s.offered[i].Private = o.AllowPrivateHosts
		for n := range s.tries[r.ID] {
			s.tries[r.ID][n].provider.Private = o.AllowPrivateHosts
		}
	}
	return nil
}

// proofs are the ways to prove us to a provider: the organization's credentials
// for its registration, or the installation's own.
func (a *Access) proofs(p mailroom.Provider, rows []mailroom.ProviderRow, cs []mailroom.Credential) []proof {
	own := slices.ContainsFunc(rows, func(r mailroom.ProviderRow) bool { return r.ID == p.ID && (r.Set.ClientID != "" || r.Set.Own != nil) })
	if !own || p.TokenAuth == "none" {
		return []proof{{provider: p}}
	}
	if p.ClientID == "" {
		return nil
	}
	var out []proof
	for _, c := range mailroom.Live(cs, p.ID, mailroom.UseMail, p.ClientID) {
		out = append(out, a.proofBy(p, c))
	}
	return out
}

// proofBy is a provider with a credential opened in it.
func (a *Access) proofBy(p mailroom.Provider, c mailroom.Credential) proof {
	secret, err := a.Vault.Open(credentialIdentity(c.ID), c.Sealed.KeyID, c.Sealed.Data)
	if err != nil {
		a.Log.Error("a client credential does not open", "credential", c.ID, "provider", c.ProviderID, "err", err)
		return proof{provider: p, credential: c.ID, err: keyMissing(err)}
	}
	p.ClientID, p.SecretExpires = c.ClientID, c.ExpiresAt
	p.ClientSecret, p.ClientKey, p.ClientCertificate = "", "", ""
	if c.Kind == mailroom.ClientCertificate {
		p.ClientKey, p.ClientCertificate = string(secret), c.Certificate
	} else {
		p.ClientSecret = string(secret)
	}
	return proof{provider: p, credential: c.ID}
}

// directory fills in the doctor's registration, where the organization has one.
func (a *Access) directory(p mailroom.Provider, cs []mailroom.Credential) mailroom.Provider {
	if p.Directory == nil {
		return p
	}
	for _, c := range mailroom.Live(cs, p.ID, mailroom.UseDoctor, "") {
		by := a.proofBy(p, c)
		if by.err != nil {
			continue
		}
		d := *p.Directory
		d.ClientID, d.ClientSecret = by.provider.ClientID, by.provider.ClientSecret
		d.ClientKey, d.Certificate = by.provider.ClientKey, by.provider.ClientCertificate
		p.Directory = &d
		break
	}
	return p
}

// clientFault reports whether a provider refused us, not the grant: another
// credential may do.
func clientFault(err error) bool {
	if mailroom.KindOf(err) != mailroom.NeedsVendor {
		return false
	}
	switch mailroom.AsError(err).Key {
	case "oauth.error.client", "oauth.error.secret_wrong", "oauth.error.secret_expired", "oauth.error.assertion",
		"credential.error.key_unusable", "grant.error.key_missing", "grant.error.key_damaged":
		return true
	}
	return false
}

// asked makes a token request with each credential of an organization's
// registration in turn, until the provider does not refuse the credential itself.
// What it says of each is kept. A refused client authentication uses up neither
// code nor refresh token: it comes first (RFC 6749 §3.2.1).
func (a *Access) asked(ctx context.Context, orgID, providerID string, ask func(mailroom.Provider) (mailroom.Tokens, error)) (mailroom.Provider, mailroom.Tokens, error) {
	p, err := a.provider(ctx, orgID, providerID)
	if err != nil {
		return p, mailroom.Tokens{}, err
	}
	s, err := a.settings(ctx, orgID)
	if err != nil {
		return p, mailroom.Tokens{}, err
	}
	tries := s.tries[providerID]
	if len(tries) == 0 { // taken away since
		return p, mailroom.Tokens{}, mailroom.E(mailroom.NeedsVendor, "grant.error.provider_gone").With("provider", p.Name)
	}
	var t mailroom.Tokens
	for _, by := range tries {
		t, err = mailroom.Tokens{}, by.err
		if err == nil {
			t, err = ask(by.provider)
		}
		a.judge(ctx, orgID, by.credential, err)
		if !clientFault(err) {
			return by.provider, t, err
		}
	}
	return p, mailroom.Tokens{}, err
}

// judge keeps what a token request said of a credential. Only an answer to its
// being good or not counts: a transient fault says nothing, and a refused grant not
// for certain that the client was looked at before.
func (a *Access) judge(ctx context.Context, orgID, credentialID string, err error) {
	if credentialID == "" || err != nil && !clientFault(err) {
		return
	}
	now := a.Now().UTC().Truncate(time.Microsecond)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	news, jerr := a.Store.JudgeClientCredential(ctx, orgID, credentialID, now, mailroom.ProblemOf(err, now))
	switch {
	case mailroom.KindOf(jerr) == mailroom.NotFound: // dropped meanwhile
	case jerr != nil:
		a.Log.Error("keep what a provider said of a credential", "credential", credentialID, "err", jerr)
	case news && err != nil:
		a.Log.Warn("a client credential is refused", "credential", credentialID, "key", mailroom.AsError(err).Key)
	case news:
		a.Log.Info("a client credential is proved", "credential", credentialID)
	}
}
