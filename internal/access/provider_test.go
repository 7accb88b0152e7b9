package access_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/vault"
)

// registered gives the organization a registration of its own at Microsoft.
func (h *house) registered() {
	h.t.Helper()
	row := mailroom.ProviderRow{OrgID: h.user.OrgID, ID: "microsoft", Set: mailroom.ProviderSet{ClientID: "ours"}}
	if err := h.store.SaveProvider(h.t.Context(), row, true, mailroom.AuditEvent{OrgID: h.user.OrgID, Action: "provider.saved"}); err != nil {
		h.t.Fatal(err)
	}
}

// keeps adds a credential with a secret to the organization's registration.
func (h *house) keeps(secret string) mailroom.Credential {
	h.t.Helper()
	c := h.world.Credential("microsoft", "ours", mailroom.UseMail)
	c.Sealed.KeyID, c.Sealed.Data = h.ring.Seal("credential:"+c.ID+":secret", []byte(secret))
	if err := h.store.AddClientCredential(h.t.Context(), c, mailroom.AuditEvent{OrgID: h.user.OrgID, Action: "credential.added"}); err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *house) kept(id string) mailroom.Credential {
	h.t.Helper()
	c, err := h.store.ClientCredential(h.t.Context(), h.user.OrgID, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *house) offered(id string) mailroom.Provider {
	h.t.Helper()
	ps, err := h.Providers(h.t.Context(), h.user.OrgID)
	if err != nil {
		h.t.Fatal(err)
	}
	p, _ := ps.ByID(id)
	return p
}

// choosy has the provider take one secret only.
type choosy struct {
	mu    sync.Mutex
	good  []string
	asked []string
	key   string // of the refusal
}

func (c *choosy) takes(p mailroom.Provider) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, p.ClientSecret)
	if slices.Contains(c.good, p.ClientSecret) {
		return nil
	}
	return mailroom.E(mailroom.NeedsVendor, c.key).With("code", "x").With("ref", "r")
}

func TestOrganizationsOwnProviders(t *testing.T) {
	h := newHouse(t)
	if p := h.offered("microsoft"); p.ClientID != "c" {
		t.Errorf("before: %+v", p)
	}
	h.registered()
	if p := h.offered("microsoft"); p.Configured() {
		t.Errorf("a registration without a credential is offered: %+v", p)
	}
	h.keeps("SECRET-1")
	if p := h.offered("microsoft"); p.ClientID != "ours" || p.ClientSecret != "SECRET-1" {
		t.Errorf("after: %+v", p)
	}
	other := newHouseIn(t, h.store)
	if p := other.offered("microsoft"); p.ClientID != "c" || p.ClientSecret != "" {
		t.Errorf("another organization is offered %+v", p)
	}
	if found := h.onDisk("SECRET-1"); len(found) > 0 {
		t.Errorf("in clear on disk: %v", found)
	}
}

// Another node's change counts within five seconds even without its signal.
func TestProvidersAreReadAnew(t *testing.T) {
	h := newHouse(t)
	now := time.Now()
	var mu sync.Mutex
	h.deps.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	h.again()
	h.registered()
	c := h.keeps("SECRET-1")
	if h.offered("microsoft").ClientSecret != "SECRET-1" {
		t.Fatal("not offered")
	}
	h.exec(`DELETE FROM credentials WHERE id = $1`, c.ID) // behind the store's back
	mu.Lock()
	now = now.Add(6 * time.Second)
	mu.Unlock()
	if h.offered("microsoft").Configured() {
		t.Error("a credential that is gone is offered after six seconds")
	}
}

func TestSecondCredentialStepsIn(t *testing.T) {
	h := newHouse(t)
	h.registered()
	old, next := h.keeps("SECRET-OLD"), h.keeps("SECRET-NEW")
	c := &choosy{good: []string{"SECRET-OLD"}, key: "oauth.error.secret_wrong"}
	h.oauth.client = c.takes
	h.granted()
	if h.kept(old.ID).ProvedAt.IsZero() || h.kept(next.ID).Problem == nil {
		t.Errorf("old %+v, new %+v", h.kept(old.ID), h.kept(next.ID))
	}

	// The old one runs out: the new one, corrected meanwhile, steps in and nobody notices.
	third := h.keeps("SECRET-3")
	c.mu.Lock()
	c.good, c.asked, c.key = []string{"SECRET-3"}, nil, "oauth.error.secret_expired"
	c.mu.Unlock()
	h.spend()
	h.wantToken("ACCESS-TOKEN-2")
	if !slices.Equal(c.asked, []string{"SECRET-OLD", "SECRET-3"}) {
		t.Errorf("tried %v", c.asked)
	}
	if p := h.kept(old.ID).Problem; p == nil || p.Key != "oauth.error.secret_expired" || h.problem() != "" {
		t.Errorf("old: %v, mailbox: %q", p, h.problem())
	}
	if h.kept(third.ID).ProvedAt.IsZero() {
		t.Error("what worked is not known to")
	}
	// From then on it is the first that is tried.
	c.asked = nil
	h.spend()
	h.wantToken("ACCESS-TOKEN-3")
	if !slices.Equal(c.asked, []string{"SECRET-3"}) {
		t.Errorf("tried %v", c.asked)
	}
}

func TestRefusedCredentialsHurtNoGrant(t *testing.T) {
	h := newHouse(t).registeredAndGranted("SECRET-1")
	c := &choosy{key: "oauth.error.client"}
	h.oauth.client = c.takes
	h.spend()
	_, err := h.token()
	wants(t, err, mailroom.NeedsVendor, "oauth.error.client")
	if h.problem() != "" {
		t.Errorf("the mailbox bears it: %s", h.problem())
	}
	c.good = []string{"SECRET-1"}
	h.wantToken("ACCESS-TOKEN-2")
}

// A dead grant is no reason to try another credential: a second use of a refresh
// token can void its family.
func TestRefusedGrantIsAskedOnce(t *testing.T) {
	h := newHouse(t).registeredAndGranted("SECRET-1")
	h.keeps("SECRET-2")
	c := &choosy{good: []string{"SECRET-1", "SECRET-2"}}
	h.oauth.client = c.takes
	h.oauth.refresh = func(string) (mailroom.Tokens, error) {
		return mailroom.Tokens{}, mailroom.E(mailroom.NeedsConsent, "oauth.error.grant_ended")
	}
	h.spend()
	_, err := h.token()
	wants(t, err, mailroom.NeedsConsent, "oauth.error.grant_ended")
	if len(c.asked) != 1 {
		t.Errorf("asked with %v", c.asked)
	}
}

func TestCredentialUnderALostKey(t *testing.T) {
	h := newHouse(t).registeredAndGranted("SECRET-1")
	ring, err := vault.Parse(vault.NewKey(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	h.deps.Vault = ring
	h.again()
	if !h.offered("microsoft").Configured() {
		t.Error("it vanished: nobody would know why")
	}
	_, err = h.finish(h.beginIn(h.box))
	wants(t, err, mailroom.NeedsVendor, "grant.error.key_missing")
}

func TestDoctorsRegistration(t *testing.T) {
	h := newHouse(t)
	c := h.world.Credential("microsoft", "doctor", mailroom.UseDoctor)
	c.Sealed.KeyID, c.Sealed.Data = h.ring.Seal("credential:"+c.ID+":secret", []byte("SECRET-D"))
	if err := h.store.AddClientCredential(t.Context(), c, mailroom.AuditEvent{OrgID: h.user.OrgID, Action: "credential.added"}); err != nil {
		t.Fatal(err)
	}
	p := h.offered("microsoft")
	if p.Directory == nil || p.Directory.ClientID != "doctor" || p.Directory.ClientSecret != "SECRET-D" || p.ClientID != "c" {
		t.Errorf("offered %+v %+v", p, p.Directory)
	}
	if providers[0].Directory.ClientID != "" {
		t.Error("the installation's data has changed")
	}
}

// What the installation offers is read by many at once: nothing that is made of it
// for one organization may lie in the same memory.
func TestOrganizationsShareNoProvider(t *testing.T) {
	h := newHouse(t)
	one, err := h.Providers(t.Context(), "org_one")
	if err != nil {
		t.Fatal(err)
	}
	one[0].Name = "spoilt"
	if other, err := h.Providers(t.Context(), "org_other"); err != nil || other[0].Name == "spoilt" {
		t.Errorf("another organization is offered %q, %v", other[0].Name, err)
	}
}
