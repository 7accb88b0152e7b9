package access

import (
	"context"
	"crypto/subtle"
	"maps"
	"slices"

	"mailroom/internal/mailroom"
)

type doctorStore interface {
	// SaveDoctorRequest keeps a begun look and forgets expired ones.
	SaveDoctorRequest(ctx context.Context, r mailroom.DoctorRequest) error
	// TakeDoctorRequest returns a begun look and deletes it: NotFound the second time.
	TakeDoctorRequest(ctx context.Context, stateHash string) (mailroom.DoctorRequest, error)
}

// BeginDoctor is where the browser goes to let the doctor look: into the
// company's directory, or with r.Self at what a person may show of themselves.
// binding is a secret of the browser session that begins. Of r the provider,
// mailbox, address and Self count.
func (a *Access) BeginDoctor(ctx context.Context, u mailroom.User, p mailroom.Provider, r mailroom.DoctorRequest, binding string) (string, error) {
	q, err := doctorOf(p, r.Self)
	if err != nil {
		return "", err
	}
	state, verifier := mailroom.NewSecret(), mailroom.NewSecret()
	r.OrgID, r.UserID, r.ProviderID = u.OrgID, u.ID, p.ID
	r.StateHash, r.Binding, r.Nonce = mailroom.HashSecret(state), mailroom.HashSecret(binding), mailroom.NewSecret()
	r.CreatedAt = a.Now().UTC()
	r.ExpiresAt = r.CreatedAt.Add(requestLife)
	r.Verifier.KeyID, r.Verifier.Data = a.Vault.Seal(doctorIdentity(r.StateHash), []byte(verifier))
	ask := mailroom.ConsentRequest{State: state, Nonce: r.Nonce, Verifier: verifier, RedirectURL: a.DoctorURL(p.ID)}
	if r.Self { // an administrator signs in as somebody else than the mailbox
		ask.LoginHint = r.Address
	}
	to, err := a.OAuth.ConsentURL(ctx, q, ask)
	if err != nil {
		return "", err
	}
	return to, a.Store.SaveDoctorRequest(ctx, r)
}

// FinishDoctor takes the answer of a provider: it uses up the state, proves that
// this browser session asked for it, and gives what was permitted. Nothing of that
// is stored, and there is nothing to renew it with. Request is set as soon as it
// is known, with an error too.
func (a *Access) FinishDoctor(ctx context.Context, u mailroom.User, binding, providerID, state, code, issuer string) (permit mailroom.DoctorPermit, err error) {
	r, err := a.takeDoctor(ctx, u, binding, providerID, state)
	sealed := r.Verifier
	r.Verifier = mailroom.Sealed{}
	permit.Request = r
	if err != nil {
		return permit, err
	}
	if code == "" {
		return permit, mailroom.E(mailroom.Invalid, "doctor.error.no_code")
	}
	if permit.Provider, err = a.provider(ctx, r.OrgID, providerID); err != nil {
		return permit, err
	}
	q, err := doctorOf(permit.Provider, r.Self)
	if err != nil {
		return permit, err
	}
	verifier, err := a.Vault.Open(doctorIdentity(r.StateHash), sealed.KeyID, sealed.Data)
	if err != nil {
		return permit, keyMissing(err)
	}
	t, err := a.OAuth.Exchange(ctx, q, mailroom.CodeRequest{
		Code: code, Verifier: string(verifier), Nonce: r.Nonce, RedirectURL: a.DoctorURL(providerID), Issuer: issuer,
	})
	if err != nil {
		return permit, err
	}
	permit.Token, permit.Scopes, permit.TenantID, permit.Subject, permit.Addresses = t.Access, t.Scopes, t.TenantID, t.Subject, t.Addresses
	return permit, nil
}

// RefusedDoctor takes the refusal that a provider sent the browser back with: it
// uses up the state and says in our words what happened.
func (a *Access) RefusedDoctor(ctx context.Context, u mailroom.User, binding, providerID, state, oauthError, description, subcode string) (mailroom.DoctorRequest, error) {
	r, err := a.takeDoctor(ctx, u, binding, providerID, state)
	r.Verifier = mailroom.Sealed{}
	if err != nil {
		return r, err
	}
	p, err := a.provider(ctx, r.OrgID, providerID)
	if err != nil {
		return r, err
	}
	e := a.OAuth.Refusal(p, oauthError, description, subcode).With("provider", p.Operator())
	switch e.Key {
	// The catalogue's words are about Grant Permission.
	case "oauth.error.denied", "oauth.error.declined", "oauth.error.consent_missing", "oauth.error.consent_requested", "oauth.error.app_missing":
		e.Kind, e.Key = mailroom.NeedsAdmin, "doctor.error.denied"
		if r.Self {
			e.Kind, e.Key = mailroom.NeedsConsent, "doctor.error.denied_self"
		}
	}
	return r, e
}

// takeDoctor uses up a state and checks whose it is, as take does for a grant.
func (a *Access) takeDoctor(ctx context.Context, u mailroom.User, binding, providerID, state string) (mailroom.DoctorRequest, error) {
	if state == "" || binding == "" {
		return mailroom.DoctorRequest{}, mailroom.E(mailroom.Invalid, "doctor.error.state")
	}
	r, err := a.Store.TakeDoctorRequest(ctx, mailroom.HashSecret(state))
	switch {
	case mailroom.KindOf(err) == mailroom.NotFound:
		return mailroom.DoctorRequest{}, mailroom.E(mailroom.Invalid, "doctor.error.state")
	case err != nil:
		return mailroom.DoctorRequest{}, err
	case subtle.ConstantTimeCompare([]byte(r.Binding), []byte(mailroom.HashSecret(binding))) != 1:
		return mailroom.DoctorRequest{}, mailroom.E(mailroom.Forbidden, "doctor.error.other_session")
	case r.UserID != u.ID || r.OrgID != u.OrgID:
		return mailroom.DoctorRequest{}, mailroom.E(mailroom.Forbidden, "doctor.error.other_session")
	case !a.Now().Before(r.ExpiresAt):
		return r, mailroom.E(mailroom.Conflict, "doctor.error.expired")
	case r.ProviderID != providerID:
		// One provider's answer at another's door (RFC 9700 §4.4): the code goes nowhere.
		return r, mailroom.E(mailroom.Forbidden, "doctor.error.state")
	}
	return r, nil
}

// doctorOf is a provider with the doctor's registration in the place of the one
// that reads mail. It never asks for a refresh token.
func doctorOf(p mailroom.Provider, self bool) (mailroom.Provider, error) {
	scopes := []string(nil)
	if p.Directory != nil && self {
		scopes = p.Directory.SelfScopes
	} else if p.Directory != nil {
		scopes = p.Directory.Scopes
	}
	scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == "offline_access" })
	q, ok := p.AsDirectory(scopes)
	if !ok {
		return mailroom.Provider{}, mailroom.E(mailroom.NeedsVendor, "doctor.error.not_registered").With("provider", p.Operator())
	}
	// tid and oid, which name the directory and who looked, come with profile only
	// (Microsoft's reference of ID token claims).
	for _, s := range []string{"openid", "profile"} {
		if !slices.Contains(q.Scopes, s) {
			q.Scopes = append(q.Scopes, s)
		}
	}
	q.AuthParams = maps.Clone(p.AuthParams)
	delete(q.AuthParams, "access_type")
	return q, nil
}
