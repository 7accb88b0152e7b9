package oauth_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mailroom/internal/mailroom"
)

// certified is a key and its certificate in PEM form, and the certificate's
// thumbprint.
func certified(t *testing.T) (key, certificate, print string) {
	t.Helper()
	k := otherKey()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})),
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), base64.RawURLEncoding.EncodeToString(sum[:])
}

func byCertificate(t *testing.T, i *issuer) mailroom.Provider {
	p := i.provider()
	p.ClientKey, p.ClientCertificate, _ = certified(t)
	p.ClientSecret = theSecret // stands there still, and must not be sent beside
	return p
}

// checkAssertion does what a token endpoint does (RFC 7523 §3).
func checkAssertion(t *testing.T, i *issuer, form url.Values, print string) (jti string) {
	t.Helper()
	if form.Get("client_id") != "mailroom" || form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		t.Fatalf("sent %v", form)
	}
	if form.Has("client_secret") || form.Has("basic") {
		t.Error("the secret goes beside the assertion")
	}
	jws, err := jose.ParseSigned(form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.PS256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify(otherKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	head := jws.Signatures[0].Protected
	if head.ExtraHeaders["x5t#S256"] != print || head.ExtraHeaders["typ"] != "JWT" {
		t.Errorf("header %v, want the certificate's thumbprint %s", head.ExtraHeaders, print)
	}
	var c struct {
		Aud, Iss, Sub, Jti string
		Nbf, Iat, Exp      int64
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	if c.Aud != i.URL+"/token" || c.Iss != "mailroom" || c.Sub != "mailroom" || len(c.Jti) < 20 {
		t.Errorf("claims %+v", c)
	}
	if c.Nbf > now || c.Exp < now+200 || c.Exp > now+600 || c.Iat > now {
		t.Errorf("good from %d to %d, now %d", c.Nbf, c.Exp, now)
	}
	return c.Jti
}

func TestCertificateProvesTheClientEverywhere(t *testing.T) {
	i := newIssuer(t)
	c, _ := client(t)
	p := byCertificate(t, i)
	var print string
	p.ClientKey, p.ClientCertificate, print = certified(t)
	if _, err := c.Exchange(t.Context(), p, code()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(t.Context(), p, theRefresh); err != nil {
		t.Fatal(err)
	}
	if ok, err := c.Revoke(t.Context(), p, theRefresh); err != nil || !ok {
		t.Fatal(ok, err)
	}
	seen := map[string]bool{}
	for n, form := range i.requests {
		jti := checkAssertion(t, i, form, print)
		if seen[jti] {
			t.Errorf("request %d repeats an assertion", n)
		}
		seen[jti] = true
	}
	if len(i.requests) != 3 || i.requests[1].Get("refresh_token") != theRefresh || i.requests[0].Get("code") != theCode {
		t.Errorf("requests %v", i.requests)
	}
}

func TestKeyThatDoesNotSignIsTheOperators(t *testing.T) {
	i := newIssuer(t)
	c, _ := client(t)
	for name, bend := range map[string]func(*mailroom.Provider){
		"no PEM":         func(p *mailroom.Provider) { p.ClientKey = "secret-key-material" },
		"a certificate":  func(p *mailroom.Provider) { p.ClientKey = p.ClientCertificate },
		"no certificate": func(p *mailroom.Provider) { p.ClientCertificate = "x" },
	} {
		p := byCertificate(t, i)
		bend(&p)
		_, err := c.Refresh(t.Context(), p, theRefresh)
		if e := mailroom.AsError(err); e == nil || e.Kind != mailroom.NeedsVendor || e.Key != "credential.error.key_unusable" {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(e.Error(), "secret-key-material") {
			t.Errorf("%s: the error holds the key", name)
		}
	}
	if len(i.requests) != 0 {
		t.Error("something was sent all the same")
	}
}
