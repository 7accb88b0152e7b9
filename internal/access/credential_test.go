package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// CheckClient answers like a real request would.
func (p *provider) CheckClient(_ context.Context, q mailroom.Provider, _ string) error {
	return p.judge(q)
}

func (p *provider) Check(context.Context, mailroom.Provider, string) []mailroom.Check {
	return []mailroom.Check{mailroom.Passed("provider.check.redirect", nil)}
}

func (h *house) adds(n mailroom.NewCredential) (mailroom.Credential, error) {
	if n.ProviderID == "" {
		n.ProviderID, n.Use = "microsoft", mailroom.UseMail
	}
	return h.AddCredential(h.t.Context(), h.user, n)
}

func (h *house) proves(id, name string, want mailroom.CheckResult) mailroom.Check {
	h.t.Helper()
	c, err := h.ProveCredential(h.t.Context(), h.user.OrgID, id)
	if err != nil || c.Name != name || c.Result != want {
		h.t.Fatalf("%+v %v, want %s %s", c, err, name, want)
	}
	return c
}

func TestCredentialIsProvedByARealRefresh(t *testing.T) {
	h := newHouse(t).registeredAndGranted("SECRET-1")
	c := &choosy{good: []string{"SECRET-1", "SECRET-2"}, key: "oauth.error.secret_wrong"}
	h.oauth.client = c.takes
	next, err := h.adds(mailroom.NewCredential{Kind: mailroom.ClientSecret, Secret: "SECRET-2"})
	if err != nil || next.ClientID != "ours" || !next.ProvedAt.IsZero() {
		t.Fatal(next, err)
	}
	h.proves(next.ID, "credential.check.refresh", mailroom.CheckOK)
	if h.kept(next.ID).ProvedAt.IsZero() || len(c.asked) != 1 || c.asked[0] != "SECRET-2" {
		t.Errorf("kept %+v, asked with %v", h.kept(next.ID), c.asked)
	}
	// The refreshed token is the mailbox's from now on: nothing was wasted.
	h.wantToken("ACCESS-TOKEN-2")
	if h.text(`SELECT refresh_key FROM grants WHERE mailbox_id = $1`, h.box.ID) == "" || h.problem() != "" {
		t.Error("the grant was hurt")
	}
	if h.offered("microsoft").ClientSecret != "SECRET-2" {
		t.Error("the newest that is proved is not the first that is tried")
	}
}

func TestRefusedCredentialOnTrialHurtsNoGrant(t *testing.T) {
	h := newHouse(t).registeredAndGranted("SECRET-1")
	c := &choosy{good: []string{"SECRET-1"}, key: "oauth.error.secret_wrong"}
	h.oauth.client = c.takes
	next, err := h.adds(mailroom.NewCredential{Kind: mailroom.ClientSecret, Secret: "SECRET-bad"})
	if err != nil {
		t.Fatal(err)
	}
	check := h.proves(next.ID, "credential.check.refresh", mailroom.CheckFailed)
	if check.Problem.Key != "oauth.error.secret_wrong" || h.kept(next.ID).Problem == nil {
		t.Errorf("%+v, kept %+v", check.Problem, h.kept(next.ID))
	}
	if h.problem() != "" {
		t.Errorf("the mailbox bears it: %s", h.problem())
	}
	h.spend()
	h.wantToken("ACCESS-TOKEN-2") // the lease was given back
}

// A dead grant says nothing about the credential; a provider that is down neither.
func TestProofThatTellsNothing(t *testing.T) {
	h := newHouse(t).registeredAndGranted("SECRET-1")
	next := h.keeps("SECRET-2")
	h.oauth.refresh = func(string) (mailroom.Tokens, error) {
		return mailroom.Tokens{}, mailroom.E(mailroom.Unavailable, "oauth.error.network", errors.New("down"))
	}
	h.proves(next.ID, "credential.check.refresh", mailroom.CheckUnknown)
	h.oauth.refresh = func(string) (mailroom.Tokens, error) {
		return mailroom.Tokens{}, mailroom.E(mailroom.NeedsConsent, "oauth.error.grant_ended")
	}
	h.proves(next.ID, "credential.check.code", mailroom.CheckOK)
	if k := h.kept(next.ID); !k.ProvedAt.IsZero() || k.Problem != nil || h.problem() != "" {
		t.Errorf("kept %+v, mailbox %q", k, h.problem())
	}
}

func TestProofWithoutAGrantIsWeaker(t *testing.T) {
	h := newHouse(t)
	h.registered()
	c := &choosy{good: []string{"SECRET-1"}, key: "oauth.error.client"}
	h.oauth.client = c.takes
	good, bad := h.keeps("SECRET-1"), h.keeps("SECRET-bad")
	h.proves(good.ID, "credential.check.code", mailroom.CheckOK)
	h.proves(bad.ID, "credential.check.code", mailroom.CheckFailed)
	if !h.kept(good.ID).ProvedAt.IsZero() {
		t.Error("an invented code counts as proof")
	}
	if h.kept(bad.ID).Problem == nil {
		t.Error("a refusal is not kept")
	}
}

func TestCredentialOfAnotherClient(t *testing.T) {
	h := newHouse(t)
	h.registered()
	c := h.world.Credential("microsoft", "theirs", mailroom.UseMail)
	if err := h.store.AddClientCredential(t.Context(), c, mailroom.AuditEvent{OrgID: h.user.OrgID, Action: "credential.added"}); err != nil {
		t.Fatal(err)
	}
	_, err := h.ProveCredential(t.Context(), h.user.OrgID, c.ID)
	wants(t, err, mailroom.Conflict, "credential.error.other_client")
	other := newHouseIn(t, h.store)
	_, err = other.ProveCredential(t.Context(), other.user.OrgID, c.ID)
	wants(t, err, mailroom.NotFound, "error.not_found")
	_, err = other.adds(mailroom.NewCredential{Kind: mailroom.ClientSecret, Secret: "SECRET-x"})
	wants(t, err, mailroom.Conflict, "credential.error.no_registration")
}

func TestCertificateMadeHere(t *testing.T) {
	h := newHouse(t)
	h.registered()
	c, err := h.adds(mailroom.NewCredential{Kind: mailroom.ClientCertificate})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(c.Certificate))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !strings.HasPrefix(cert.Subject.CommonName, "Mailroom") || !cert.NotAfter.Equal(c.ExpiresAt.Truncate(time.Second)) {
		t.Errorf("%+v %v, expires %v", cert.Subject, err, c.ExpiresAt)
	}
	p := h.offered("microsoft")
	if p.ClientCertificate != c.Certificate || p.ClientSecret != "" || !strings.Contains(p.ClientKey, "PRIVATE KEY") {
		t.Errorf("offered with %d octets of key", len(p.ClientKey))
	}
	if found := h.onDisk("PRIVATE KEY"); len(found) > 0 {
		t.Error("the private key lies in clear on disk")
	}
}

func certificate(t *testing.T, key any, public any, expires time.Time) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Own"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: expires}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestCertificatePasted(t *testing.T) {
	h := newHouse(t)
	h.registered()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := x509.MarshalPKCS8PrivateKey(curve)
	inPEM := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	pkcs1 := inPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
	later := time.Now().Add(time.Hour)
	good := certificate(t, key, key.Public(), later)
	for _, c := range []struct{ name, pem, want string }{
		{"nonsense", "hello", "credential.error.pem"},
		{"broken", inPEM("CERTIFICATE", []byte("x")) + pkcs1, "credential.error.pem"},
		{"no key", good, "credential.error.pem_no_key"},
		{"no certificate", pkcs1, "credential.error.pem_no_certificate"},
		{"locked", good + inPEM("ENCRYPTED PRIVATE KEY", []byte("x")), "credential.error.pem_encrypted"},
		{"broken key", good + inPEM("PRIVATE KEY", []byte("x")), "credential.error.pem_key"},
		{"short key", certificate(t, small, small.Public(), later) + inPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)), "credential.error.pem_key"},
		{"other curve", certificate(t, curve, curve.Public(), later) + inPEM("PRIVATE KEY", raw), "credential.error.pem_key"},
		{"another's", certificate(t, curve, curve.Public(), later) + pkcs1, "credential.error.pem_mismatch"},
		{"expired", certificate(t, key, key.Public(), time.Now().Add(-time.Hour)) + pkcs1, "credential.error.pem_expired"},
	} {
		_, err := h.adds(mailroom.NewCredential{Kind: mailroom.ClientCertificate, PEM: c.pem})
		if e := mailroom.AsError(err); e == nil || e.Kind != mailroom.Invalid || e.Key != c.want || e.Field != "pem" {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	// In any order, with the rest of a chain.
	c, err := h.adds(mailroom.NewCredential{Kind: mailroom.ClientCertificate, PEM: certificate(t, curve, curve.Public(), later) + pkcs1 + "\n# note\n" + good})
	if err != nil || c.Certificate != good || len(c.Thumbprint) != 43 {
		t.Errorf("%+v %v", c, err)
	}
}

func TestProviderIsCheckedPieceByPiece(t *testing.T) {
	h := newHouse(t)
	h.oauth.client = (&choosy{good: []string{"", "SECRET-1"}, key: "oauth.error.client"}).takes
	checks := func() (names []string) {
		cs, err := h.CheckProvider(t.Context(), h.user.OrgID, "microsoft")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cs {
			names = append(names, c.Name+" "+string(c.Result))
		}
		return names
	}
	want := func(got []string, want ...string) {
		t.Helper()
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("checked %v, want %v", got, want)
		}
	}
	const redirect = "provider.check.redirect ok"
	want(checks(), redirect, "credential.check.code ok")
	h.registered()
	want(checks(), redirect, "credential.check.code failed")
	h.keeps("SECRET-1")
	h.keeps("SECRET-bad")
	h.granted()
	want(checks(), redirect, "credential.check.refresh ok", "credential.check.refresh failed")
	_, err := h.CheckProvider(t.Context(), h.user.OrgID, "nowhere")
	wants(t, err, mailroom.NotFound, "error.not_found")
}
