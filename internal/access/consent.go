package access

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

const (
	// journeyLife is how long an administrator may take at the provider: roles that
	// must be activated first, and second factors, take their time.
	journeyLife = time.Hour
)

// Purposes that signatures are made for.
const (
	linkPurpose  = "consent link"
	statePurpose = "consent state"
)

// ConsentStore keeps what administrators were asked. Each method is one
// transaction.
type ConsentStore interface {
	// ConsentLink is a link by its id alone. NotFound without one.
	ConsentLink(ctx context.Context, id string) (mailroom.ConsentLink, error)
	AddConsentJourney(ctx context.Context, j mailroom.ConsentJourney, e mailroom.AuditEvent) error
	// ConsentJourney is one by the hash of its state. NotFound without one.
	ConsentJourney(ctx context.Context, stateHash string) (mailroom.ConsentJourney, error)
	// AnswerConsentJourney keeps an answer, once: NotFound the second time.
	AnswerConsentJourney(ctx context.Context, j mailroom.ConsentJourney, e mailroom.AuditEvent) error
}

// ConsentToken is what a link carries in its address: id, end, and a signature
// over both. It is made anew whenever it is shown.
func (a *Access) ConsentToken(l mailroom.ConsentLink) string {
	body := l.ID + "." + strconv.FormatInt(l.ExpiresAt.Unix(), 36)
	_, mac := a.Vault.MAC(linkPurpose, []byte(body))
	return body + "." + base64.RawURLEncoding.EncodeToString(mac)
}

// OpenConsentLink is the link of a token. Errors: NotFound
// "consent.error.forged" for one that was never given out or was changed, Conflict
// "consent.error.withdrawn", "consent.error.expired".
func (a *Access) OpenConsentLink(ctx context.Context, token string) (mailroom.ConsentLink, error) {
	forged := mailroom.E(mailroom.NotFound, "consent.error.forged")
	id, end, ok := a.readToken(token)
	if !ok {
		return mailroom.ConsentLink{}, forged
	}
	l, err := a.Store.ConsentLink(ctx, id)
	switch {
	case mailroom.KindOf(err) == mailroom.NotFound: // so old that it was forgotten
		return mailroom.ConsentLink{}, mailroom.E(mailroom.Conflict, "consent.error.expired").With("date", end)
	case err != nil:
		return mailroom.ConsentLink{}, err
	case !l.RevokedAt.IsZero():
		return l, mailroom.E(mailroom.Conflict, "consent.error.withdrawn")
	case !a.Now().Before(l.ExpiresAt) || !a.Now().Before(end):
		return l, mailroom.E(mailroom.Conflict, "consent.error.expired").With("date", l.ExpiresAt)
	}
	return l, nil
}

// readToken takes a token apart whose signature holds.
func (a *Access) readToken(token string) (id string, end time.Time, ok bool) {
	body, signature, ok := cutLast(token)
	if !ok || !a.signed(linkPurpose, body, signature) {
		return "", time.Time{}, false
	}
	id, until, _ := strings.Cut(body, ".")
	s, err := strconv.ParseInt(until, 36, 64)
	return id, time.Unix(s, 0).UTC(), err == nil
}

func cutLast(token string) (body, signature string, ok bool) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 || len(token) > 300 {
		return "", "", false
	}
	return token[:i], token[i+1:], true
}

// signed reports whether one of our keys signed body. Strict: of a signature's last
// character some bits mean nothing, and only one spelling is ours.
func (a *Access) signed(purpose, body, signature string) bool {
	mac, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil {
		return false
	}
	for _, k := range a.Vault.Keys() {
		if a.Vault.CheckMAC(purpose, k.ID, []byte(body), mac) == nil {
			return true
		}
	}
	return false
}

// ConsentURL is where an administrator consents for a tenant, "" for organizations,
// to everything that the mail registration asks: consenting again to less can take
// back what was given before (docs/providers.md 2.4). Without a state the
// answer is a visitor's whom nobody sent. Errors: NeedsVendor
// "consent.error.no_endpoint".
func (a *Access) ConsentURL(p mailroom.Provider, tenant, state string) (string, error) {
	t, ok := mailroom.NormalTenant(tenant)
	if !ok {
		// Never "common": Microsoft takes it for a sign-in (docs/providers.md 2.4).
		t = "organizations"
	}
	u, err := url.Parse(strings.ReplaceAll(p.AdminConsentURL, "{tenant}", url.PathEscape(t)))
	if p.AdminConsentURL == "" || p.ClientID == "" || err != nil || u.Host == "" || u.Scheme != "https" && !(p.Loopback && u.Scheme == "http") {
		return "", mailroom.E(mailroom.NeedsVendor, "consent.error.no_endpoint", err).With("provider", p.Name)
	}
	q := u.Query()
	q.Set("client_id", p.ClientID)
	q.Set("scope", strings.Join(p.Scopes, " "))
	q.Set("redirect_uri", a.ConsentRedirectURL(p.ID))
	if state != "" {
		q.Set("state", state)
	}
	// Some servers take "+" for itself in a scope.
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	return u.String(), nil
}

// BeginConsent is where the browser of an administrator goes to consent: u is the
// signed-in one, or l the link that a stranger came by. binding is a secret of the
// browser session.
func (a *Access) BeginConsent(ctx context.Context, p mailroom.Provider, l mailroom.ConsentLink, u mailroom.User, tenant, binding string) (string, error) {
	if binding == "" {
		return "", mailroom.E(mailroom.Invalid, "consent.error.other_session")
	}
	body := mailroom.NewSecret()
	_, mac := a.Vault.MAC(statePurpose, []byte(body))
	state := body + "." + base64.RawURLEncoding.EncodeToString(mac)
	to, err := a.ConsentURL(p, tenant, state)
	if err != nil {
		return "", err
	}
	j := mailroom.ConsentJourney{
		ID: mailroom.NewID(mailroom.PrefixJourney), OrgID: u.OrgID, ProviderID: p.ID, StateHash: mailroom.HashSecret(state),
		LinkID: l.ID, UserID: u.ID, Binding: mailroom.HashSecret(binding), Tenant: tenant, CreatedAt: a.Now().UTC(),
	}
	if l.ID != "" {
		j.OrgID, j.UserID = l.OrgID, ""
	}
	j.ExpiresAt = j.CreatedAt.Add(journeyLife)
	return to, a.Store.AddConsentJourney(ctx, j, journeyEvent(j, "consent.asked"))
}

func journeyEvent(j mailroom.ConsentJourney, action string) mailroom.AuditEvent {
	subject := j.LinkID
	if subject == "" {
		subject = j.ID
	}
	return mailroom.AuditEvent{OrgID: j.OrgID, ActorID: j.UserID, Action: action, Subject: subject,
		Details: map[string]any{"provider": j.ProviderID, "tenant": j.Tenant}}
}

// FinishConsent takes what a provider sent an administrator's browser back with,
// once. What it says is kept as a report, whoever wrote it: it proves nothing, and
// the tenant in it opens nothing. Errors: Invalid "consent.error.state" when we sent
// nobody with that state or it was answered, Forbidden "consent.error.other_session",
// "consent.error.other_provider", Conflict "consent.error.late".
func (a *Access) FinishConsent(ctx context.Context, binding string, b mailroom.ConsentAnswer) (mailroom.ConsentJourney, error) {
	unknown := mailroom.E(mailroom.Invalid, "consent.error.state")
	body, signature, ok := cutLast(b.State)
	if !ok || !a.signed(statePurpose, body, signature) {
		return mailroom.ConsentJourney{}, unknown
	}
	j, err := a.Store.ConsentJourney(ctx, mailroom.HashSecret(b.State))
	switch {
	case mailroom.KindOf(err) == mailroom.NotFound:
		return mailroom.ConsentJourney{}, unknown
	case err != nil:
		return mailroom.ConsentJourney{}, err
	case binding == "" || subtle.ConstantTimeCompare([]byte(j.Binding), []byte(mailroom.HashSecret(binding))) != 1:
		return mailroom.ConsentJourney{}, mailroom.E(mailroom.Forbidden, "consent.error.other_session")
	case j.ProviderID != b.ProviderID:
		return mailroom.ConsentJourney{}, mailroom.E(mailroom.Forbidden, "consent.error.other_provider")
	case !j.AnsweredAt.IsZero():
		return j, unknown
	case !a.Now().Before(j.ExpiresAt):
		return j, mailroom.E(mailroom.Conflict, "consent.error.late")
	}
	e, err := a.reported(ctx, &j, b)
	if err != nil {
		return j, err
	}
	err = a.Store.AnswerConsentJourney(ctx, j, e)
	if mailroom.KindOf(err) == mailroom.NotFound {
		return j, unknown
	}
	if err == nil {
		a.Log.Info("consent answered", "provider", j.ProviderID, "refused", j.Problem != nil)
	}
	return j, err
}

// reported fills in what an answer says.
func (a *Access) reported(ctx context.Context, j *mailroom.ConsentJourney, b mailroom.ConsentAnswer) (mailroom.AuditEvent, error) {
	if b.Error != "" {
		p, err := a.provider(ctx, j.OrgID, j.ProviderID)
		if err != nil {
			return mailroom.AuditEvent{}, err
		}
		// Administrators know the company, recruiters its product.
		e := a.OAuth.Refusal(p, b.Error, b.ErrorDescription, b.Subcode).With("provider", p.Operator())
		j.Problem = mailroom.ProblemOf(e, a.Now().UTC())
	} else if !b.Consented {
		j.Problem = mailroom.ProblemOf(mailroom.E(mailroom.Invalid, "consent.error.no_answer"), a.Now().UTC())
	}
	if j.Problem != nil {
		e := journeyEvent(*j, "consent.declined")
		e.Details["reason"], e.Details["code"], e.Details["ref"] = j.Problem.Key, j.Problem.Args["code"], j.Problem.Args["ref"]
		return e, nil
	}
	if t, ok := mailroom.NormalTenant(b.Tenant); ok && mailroom.IsTenantID(t) {
		j.Reported = t
	}
	e := journeyEvent(*j, "consent.reported")
	e.Details["tenant"] = j.Reported
	return e, nil
}
