package access_test

import (
	"encoding/base64"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/vault"
)

const aTenant = "11111111-2222-4333-8444-555555555555"

var consenting = mailroom.Provider{ID: "microsoft", Name: "Outlook", ClientID: "c", AdminConsentURL: "https://login.example/{tenant}/v2.0/adminconsent",
	Scopes: []string{mail, "offline_access", "openid", "email"}}

// link is a stored link of the house.
func (h *house) link(tenant string) mailroom.ConsentLink {
	h.t.Helper()
	l := mailroom.ConsentLink{ID: mailroom.NewID(mailroom.PrefixConsentLink), OrgID: h.user.OrgID, ProviderID: "microsoft", MailboxID: h.box.ID,
		Tenant: tenant, CreatedBy: h.user.ID, CreatedAt: h.now(), ExpiresAt: h.now().Add(14 * 24 * time.Hour)}
	if err := h.store.AddConsentLink(h.t.Context(), l, mailroom.AuditEvent{OrgID: l.OrgID, Action: "consent.link_made", Subject: l.ID}); err != nil {
		h.t.Fatal(err)
	}
	return l
}

func (h *house) now() time.Time { return h.Now().UTC().Truncate(time.Microsecond) }

// leave sends the holder of a link to the provider and returns the state.
func (h *house) leave(l mailroom.ConsentLink, binding string) string {
	h.t.Helper()
	to, err := h.BeginConsent(h.t.Context(), consenting, l, mailroom.User{}, l.Tenant, binding)
	if err != nil {
		h.t.Fatal(err)
	}
	return stateOf(to)
}

func (h *house) reported(state, binding string) (mailroom.ConsentJourney, error) {
	return h.FinishConsent(h.t.Context(), binding, mailroom.ConsentAnswer{ProviderID: "microsoft", State: state, Consented: true, Tenant: aTenant})
}

func TestConsentLinkOpens(t *testing.T) {
	h := newHouse(t)
	l := h.link("werk.example")
	read, err := h.OpenConsentLink(t.Context(), h.ConsentToken(l))
	if err != nil || !reflect.DeepEqual(read, l) {
		t.Fatalf("opened %+v, %v, want %+v", read, err, l)
	}
	for _, secret := range []string{l.OrgID, l.MailboxID, "werk.example"} {
		if strings.Contains(h.ConsentToken(l), secret) {
			t.Errorf("the token tells %q", secret)
		}
	}
}

// Nobody makes a link, nor a longer one of their own: whatever is changed in a
// token, it is not one of ours.
func TestConsentLinkForged(t *testing.T) {
	h, stranger := newHouse(t), newHouse(t)
	l := h.link("")
	token := h.ConsentToken(l)
	longer := l
	longer.ExpiresAt = l.ExpiresAt.Add(time.Hour)
	other := l
	other.ID = mailroom.NewID(mailroom.PrefixConsentLink)
	parts := strings.Split(token, ".")
	tokens := map[string]string{
		"nothing": "", "an id": l.ID, "an id and an end": parts[0] + "." + parts[1], "no signature": parts[0] + "." + parts[1] + ".",
		"another end":                   parts[0] + "." + strings.Split(h.ConsentToken(longer), ".")[1] + "." + parts[2],
		"another link":                  other.ID + "." + parts[1] + "." + parts[2],
		"another installation's key":    stranger.ConsentToken(l),
		"a signature of another kind":   parts[0] + "." + parts[1] + "." + signedFor(h, "consent state", parts[0]+"."+parts[1]),
		"cut short":                     token[:len(token)-4],
		"with something behind it":      token + "x",
		"very long":                     strings.Repeat("a", 5000) + token,
		"points moved":                  strings.Replace(token, ".", "", 1),
		"in capitals":                   strings.ToUpper(token),
		"with another of the last bits": lastBits(token),
	}
	for i := range len(token) {
		changed := []byte(token)
		changed[i] ^= 1
		tokens["changed at "+string(rune('0'+i%10))+token[:i]] = string(changed)
	}
	for name, forged := range tokens {
		got, err := h.OpenConsentLink(t.Context(), forged)
		if mailroom.KindOf(err) != mailroom.NotFound || mailroom.AsError(err).Key != "consent.error.forged" || got.ID != "" {
			t.Errorf("%s: %q opens %+v, %v", name, forged, got, err)
		}
	}
}

func signedFor(h *house, purpose, body string) string {
	_, mac := h.ring.MAC(purpose, []byte(body))
	return base64.RawURLEncoding.EncodeToString(mac)
}

// lastBits spells the same octets otherwise: base64 of 32 octets leaves two bits
// that mean nothing.
func lastBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}

func TestConsentLinkEnds(t *testing.T) {
	h := newHouse(t)
	l := h.link("")
	token := h.ConsentToken(l)
	at := l.ExpiresAt.Add(-time.Second)
	h.Now = func() time.Time { return at }
	if _, err := h.OpenConsentLink(t.Context(), token); err != nil {
		t.Errorf("before its end: %v", err)
	}
	at = l.ExpiresAt
	_, err := h.OpenConsentLink(t.Context(), token)
	wants(t, err, mailroom.Conflict, "consent.error.expired")
	h.exec(`UPDATE consent_links SET expires_at = $1`, at.Add(time.Hour).UnixMicro()) // the end is signed too
	_, err = h.OpenConsentLink(t.Context(), token)
	wants(t, err, mailroom.Conflict, "consent.error.expired")
	h.exec(`DELETE FROM consent_links`)
	_, err = h.OpenConsentLink(t.Context(), token)
	wants(t, err, mailroom.Conflict, "consent.error.expired")

	h.Now = time.Now
	l = h.link("")
	if err := h.store.WithdrawConsentLink(t.Context(), l.OrgID, l.ID, mailroom.AuditEvent{OrgID: l.OrgID}); err != nil {
		t.Fatal(err)
	}
	_, err = h.OpenConsentLink(t.Context(), h.ConsentToken(l))
	wants(t, err, mailroom.Conflict, "consent.error.withdrawn")
}

// A link that was mailed outlives a new key-encryption key, and not the one that
// signed it.
func TestConsentLinkAndNewKeys(t *testing.T) {
	h := newHouse(t)
	first, second := vault.NewKey(time.Now()), vault.NewKey(time.Now())
	ring := func(keys ...string) *vault.Keyring {
		r, err := vault.Parse(strings.Join(keys, ","))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	l := h.link("")
	h.Vault = ring(first)
	token := h.ConsentToken(l)
	h.Vault = ring(first, second)
	if _, err := h.OpenConsentLink(t.Context(), token); err != nil {
		t.Errorf("with a newer key: %v", err)
	}
	h.Vault = ring(second)
	_, err := h.OpenConsentLink(t.Context(), token)
	wants(t, err, mailroom.NotFound, "consent.error.forged")
}

// The link asks for their tenant, for everything that the mail registration needs,
// and brings them back to this provider's own door.
func TestConsentURL(t *testing.T) {
	h := newHouse(t)
	for tenant, want := range map[string]string{
		aTenant: aTenant, "werk.example": "werk.example", "Werk.Example ": "werk.example", "": "organizations",
		"common": "organizations", "consumers": "organizations", mailroom.ConsumerTenant: "organizations",
		"../x": "organizations", "a/b.example": "organizations", "werk.example?x=": "organizations", "werk.example#": "organizations",
	} {
		to, err := h.ConsentURL(consenting, tenant, "S")
		u, _ := url.Parse(to)
		if err != nil || u.Path != "/"+want+"/v2.0/adminconsent" || u.Host != "login.example" {
			t.Errorf("tenant %q: %q, %v, want %s", tenant, to, err, want)
		}
		q := u.Query()
		if q.Get("client_id") != "c" || q.Get("scope") != strings.Join(consenting.Scopes, " ") || q.Get("state") != "S" ||
			q.Get("redirect_uri") != "https://mailroom.example/consent/callback/microsoft" || strings.Contains(to, "+") {
			t.Errorf("tenant %q: %s", tenant, to)
		}
	}
	for name, p := range map[string]mailroom.Provider{
		"none": {ClientID: "c"}, "no registration": {AdminConsentURL: consenting.AdminConsentURL},
		"a script": {ClientID: "c", AdminConsentURL: "javascript:alert(1)"}, "plain text": {ClientID: "c", AdminConsentURL: "http://login.example/{tenant}"},
		"no host": {ClientID: "c", AdminConsentURL: "https:///x"},
	} {
		_, err := h.ConsentURL(p, "", "")
		wants(t, err, mailroom.NeedsVendor, "consent.error.no_endpoint")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// What the browser brings back is a report. It proves nothing, and the tenant in it
// opens nothing, however it is spelled.
func TestConsentReported(t *testing.T) {
	h := newHouse(t)
	l := h.link("werk.example")
	j, err := h.reported(h.leave(l, "it-browser"), "it-browser")
	if err != nil || j.Reported != aTenant || j.Problem != nil || j.LinkID != l.ID || j.OrgID != l.OrgID || j.UserID != "" {
		t.Fatalf("reported %+v, %v", j, err)
	}
	h.wantUnproved(l)
	for _, tenant := range []string{"", "werk.example", "common", mailroom.ConsumerTenant, "' OR 1=1 --", strings.Repeat("a", 10_000), "\x00"} {
		j, err := h.FinishConsent(t.Context(), "it-browser", mailroom.ConsentAnswer{ProviderID: "microsoft", State: h.leave(l, "it-browser"), Consented: true, Tenant: tenant})
		if err != nil || j.Reported != "" {
			t.Errorf("tenant %q: kept as %q, %v", tenant, j.Reported, err)
		}
	}
	h.wantUnproved(l)

	// A grant proves, of the tenant that its ID token names.
	h.oauth.grant.TenantID = aTenant
	h.granted()
	if read, err := h.store.ConsentLink(t.Context(), l.ID); err != nil || read.ProvedAt.IsZero() {
		t.Errorf("after a grant the link is %+v, %v", read, err)
	}
}

func (h *house) wantUnproved(l mailroom.ConsentLink) {
	h.t.Helper()
	read, err := h.store.ConsentLink(h.t.Context(), l.ID)
	if err != nil || !read.ProvedAt.IsZero() {
		h.t.Errorf("the link counts as proved: %+v, %v", read, err)
	}
	tenants, err := h.store.Tenants(h.t.Context(), l.OrgID)
	for _, known := range tenants {
		if !known.ProvedAt.IsZero() {
			h.t.Errorf("the tenant counts as proved: %+v", known)
		}
	}
	if err != nil {
		h.t.Error(err)
	}
}

func TestConsentRefused(t *testing.T) {
	h := newHouse(t)
	l := h.link("")
	j, err := h.FinishConsent(t.Context(), "b", mailroom.ConsentAnswer{ProviderID: "microsoft", State: h.leave(l, "b"), Consented: true,
		Tenant: aTenant, Error: "access_denied", ErrorDescription: "AADSTS65004: declined"})
	if err != nil || j.Problem == nil || j.Problem.Key != "oauth.error.denied" || j.Reported != "" {
		t.Errorf("an error beside admin_consent=True: %+v, %v", j, err)
	}
	j, err = h.FinishConsent(t.Context(), "b", mailroom.ConsentAnswer{ProviderID: "microsoft", State: h.leave(l, "b"), Tenant: aTenant})
	if err != nil || j.Problem == nil || j.Problem.Key != "consent.error.no_answer" {
		t.Errorf("no answer at all: %+v, %v", j, err)
	}
	if known, _ := h.store.Tenants(t.Context(), l.OrgID); len(known) != 0 {
		t.Errorf("refusals make tenants known: %+v", known)
	}
}

// A state is good once, in the browser that it was made for, at the provider's own
// door, for an hour.
func TestConsentState(t *testing.T) {
	h := newHouse(t)
	l := h.link("")
	state := h.leave(l, "it-browser")

	_, err := h.reported(state, "another-browser")
	wants(t, err, mailroom.Forbidden, "consent.error.other_session")
	_, err = h.reported(state, "")
	wants(t, err, mailroom.Forbidden, "consent.error.other_session")
	_, err = h.FinishConsent(t.Context(), "it-browser", mailroom.ConsentAnswer{ProviderID: "google", State: state, Consented: true})
	wants(t, err, mailroom.Forbidden, "consent.error.other_provider")
	if j, err := h.reported(state, "it-browser"); err != nil || j.Reported != aTenant {
		t.Fatalf("the right browser is refused after wrong ones came: %v", err)
	}
	_, err = h.reported(state, "it-browser")
	wants(t, err, mailroom.Invalid, "consent.error.state")

	body := state[:strings.LastIndexByte(state, '.')]
	for name, made := range map[string]string{
		"none": "", "one that nobody signed": mailroom.NewSecret(), "a signature of another kind": body + "." + signedFor(h, "consent link", body),
		"signed and never sent": "x." + signedFor(h, "consent state", "x"), "a link's token": h.ConsentToken(l), "changed": "x" + state,
	} {
		_, err := h.reported(made, "it-browser")
		wants(t, err, mailroom.Invalid, "consent.error.state")
		if t.Failed() {
			t.Fatal(name)
		}
	}

	late := h.leave(l, "it-browser")
	at := time.Now().Add(time.Hour + time.Minute)
	h.Now = func() time.Time { return at }
	_, err = h.reported(late, "it-browser")
	wants(t, err, mailroom.Conflict, "consent.error.late")
}

// A browser without a session of its own goes nowhere: its answer could be anybody's.
func TestConsentNeedsSession(t *testing.T) {
	h := newHouse(t)
	_, err := h.BeginConsent(t.Context(), consenting, h.link(""), mailroom.User{}, "", "")
	wants(t, err, mailroom.Invalid, "consent.error.other_session")
}

// A state of consent is none of a grant, nor the other way round.
func TestConsentStateIsNoGrant(t *testing.T) {
	h := newHouse(t)
	_, err := h.finish(h.leave(h.link(""), binding))
	wants(t, err, mailroom.Invalid, "grant.error.state")
	_, err = h.reported(h.begin(binding), binding)
	wants(t, err, mailroom.Invalid, "consent.error.state")
}

func TestConsentByAdministrator(t *testing.T) {
	h, other := newHouse(t), newHouse(t)
	admin := mailroom.User{ID: h.user.ID, OrgID: h.user.OrgID, Role: mailroom.Administrator}
	to, err := h.BeginConsent(t.Context(), consenting, mailroom.ConsentLink{}, admin, aTenant, "b")
	if err != nil {
		t.Fatal(err)
	}
	j, err := h.reported(stateOf(to), "b")
	if err != nil || j.UserID != admin.ID || j.OrgID != admin.OrgID || j.LinkID != "" {
		t.Errorf("%+v, %v", j, err)
	}
	// Whoever is signed in, a link's journey is of the link's organization.
	l := h.link("")
	to, err = h.BeginConsent(t.Context(), consenting, l, other.user, "", "b")
	if err != nil {
		t.Fatal(err)
	}
	if j, err := h.reported(stateOf(to), "b"); err != nil || j.OrgID != l.OrgID || j.UserID != "" {
		t.Errorf("%+v, %v", j, err)
	}
}

func TestConsentLeavesNoSecrets(t *testing.T) {
	h := newHouse(t)
	l := h.link("")
	state := h.leave(l, "binding-of-it")
	if found := h.onDisk(state, h.ConsentToken(l), "binding-of-it"); len(found) > 0 {
		t.Errorf("the database holds %q", found)
	}
	if _, err := h.reported(state, "binding-of-it"); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{state, "binding-of-it", h.ConsentToken(l)} {
		if strings.Contains(h.log.b.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}
