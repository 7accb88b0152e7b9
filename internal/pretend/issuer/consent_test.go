package issuer_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"mailroom/internal/pretend/issuer"
)

const (
	it        = "it@agency.example"
	needs     = "needs-admin@agency.example"
	reported  = "http://127.0.0.1:4711/consent/callback/microsoft"
	directory = "https://graph.microsoft.com/Directory.Read.All"
)

// company is a provider with an administrator, and a registration that reads the directory.
func company(t *testing.T, opts issuer.Options) *issuer.Server {
	opts.Domains = []string{"Agency.example"}
	s := start(t, opts)
	s.AllowRedirect("http://127.0.0.1/consent/callback/microsoft")
	if err := s.AddAccount(issuer.Account{Email: it, Name: "Ilse Kramer", Admin: true}); err != nil {
		t.Fatal(err)
	}
	s.AddClient(issuer.Client{ID: "doctor", Name: "Doctor", Secrets: []issuer.Secret{{Value: "d"}}, RedirectURIs: []string{callback}})
	return s
}

func consentLink(s *issuer.Server, tenant, scopes string) string {
	return strings.Replace(s.AdminConsentURL(), "{tenant}", tenant, 1) + "?" + url.Values{
		"client_id": {s.ClientID}, "scope": {scopes}, "redirect_uri": {reported}, "state": {"st-1"}}.Encode()
}

func TestAnAdministratorConsentsForEverybody(t *testing.T) {
	s := company(t, issuer.Options{})
	all := strings.Join(config(s).Scopes, " ")
	blocked := func() bool {
		cb, err := s.Code(config(s).AuthCodeURL("st", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())), needs)
		if err != nil {
			t.Fatal(err)
		}
		return cb.Query().Get("error") == "access_denied"
	}

	b := open(t, consentLink(s, "organizations", all))
	b.press(`[data-account="` + sanne + `"]`)
	if b.press("#return"); b.at.Query().Get("error") != "access_denied" || !strings.HasPrefix(b.at.Query().Get("error_description"), "AADSTS90094: ") || b.at.Query().Has("tenant") {
		t.Errorf("somebody who is no administrator: %s", b.at)
	}
	b = open(t, consentLink(s, "agency.example", all))
	b.press(`[data-account="` + it + `"]`)
	if !strings.Contains(text(b.doc), "for everybody") || !strings.Contains(text(b.doc), imapAll) {
		t.Error("the page says neither for whom nor for what")
	}
	b.press("#consent-cancel")
	if q := b.at.Query(); q.Get("error") != "access_denied" || !strings.HasPrefix(q.Get("error_description"), "AADSTS65004: ") || q.Has("tenant") || q.Get("admin_consent") != "True" || q.Get("state") != "st-1" {
		t.Errorf("Cancel came back as %v", q)
	}
	if !blocked() {
		t.Error("consent was not given, and is there")
	}
	b = open(t, consentLink(s, s.TenantID, all))
	b.press(`[data-account="` + it + `"]`)
	b.press("#consent-accept")
	if q := b.at.Query(); q.Get("admin_consent") != "True" || q.Get("tenant") != s.TenantID || q.Get("scope") != all || q.Get("state") != "st-1" || q.Has("code") || q.Has("error") {
		t.Errorf("Accept came back as %v", q)
	}
	if blocked() {
		t.Error("consent was given, and the account is blocked still")
	}
	tok, err := grant(t, s, needs)
	if err != nil {
		t.Fatal(err)
	}

	// Asked again for less, the tenant has less; and what rested on a consent that is gone, ends.
	if _, err := s.AdminConsented(consentLink(s, "organizations", "openid profile"), it, true); err != nil {
		t.Fatal(err)
	}
	if !blocked() {
		t.Error("a second consent added to the first, which at Microsoft it replaces")
	}
	s.ForgetConsent(needs)
	s.WithdrawAdminConsent(s.ClientID, s.TenantID)
	if _, err := refresh(s, tok.RefreshToken); code(err) != 65001 {
		t.Errorf("refreshing after consent was withdrawn: %v", err)
	}
}

func TestConsentIsOfOneCompanyAndOneRegistration(t *testing.T) {
	s := company(t, issuer.Options{})
	other := s.AddTenant("client.example")
	for _, a := range []issuer.Account{{Email: "boss@client.example", Admin: true, Tenant: other}, {Email: "jan@client.example", Tenant: other}} {
		if err := s.AddAccount(a); err != nil {
			t.Fatal(err)
		}
	}
	s.SetUsersConsent(false)
	ask := func(email string) string {
		cb, err := s.Code(config(s).AuthCodeURL("st", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())), email)
		if err != nil {
			t.Fatal(err)
		}
		return cb.Query().Get("error")
	}
	if ask(sanne) != "access_denied" || ask("jan@client.example") != "access_denied" {
		t.Error("users may not consent, and did")
	}
	cb, err := s.AdminConsented(consentLink(s, "client.example", strings.Join(config(s).Scopes, " ")), "boss@client.example", true)
	if err != nil || cb.Query().Get("tenant") != other {
		t.Fatal(cb, err)
	}
	if ask("jan@client.example") != "" || ask(sanne) != "access_denied" {
		t.Error("one company's consent is not that company's")
	}
	if _, err := s.AdminConsented(consentLink(s, "agency.example", "openid"), "boss@client.example", true); err == nil {
		t.Error("an administrator of one company consented for another")
	}

	doctor := config(s)
	doctor.ClientID, doctor.ClientSecret, doctor.Scopes = "doctor", "d", []string{directory, "openid"}
	verifier := oauth2.GenerateVerifier()
	link := doctor.AuthCodeURL("st", oauth2.S256ChallengeOption(verifier))
	if cb, _ := s.Code(link, sanne); cb.Query().Get("error") != "access_denied" {
		t.Error("a user may let the directory be read")
	}
	cb, err = s.Code(link, it)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config(s).Exchange(context.Background(), cb.Query().Get("code"), oauth2.VerifierOption(verifier)); err == nil {
		t.Error("one registration redeemed the other's code")
	}
	cb, _ = s.Code(link, it)
	tok, err := doctor.Exchange(context.Background(), cb.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if info, ok := s.Introspect(tok.AccessToken); !ok || info.Client != "doctor" || !info.Has(directory) || info.Has(imapAll) {
		t.Errorf("the doctor's token: %+v", info)
	}
}

func TestPagesThatConsentNobody(t *testing.T) {
	s := company(t, issuer.Options{})
	for name, c := range map[string]struct{ link, want string }{
		"common":           {consentLink(s, "common", imapAll), "900144"},
		"an unknown one":   {consentLink(s, "nobody.example", imapAll), "90002"},
		"a foreign return": {strings.Replace(consentLink(s, "organizations", imapAll), "consent%2Fcallback", "elsewhere", 1), "50011"},
		"another client":   {strings.Replace(consentLink(s, "organizations", imapAll), "client_id=", "client_id=x", 1), "700016"},
	} {
		if got := firstNumber(text(open(t, c.link).doc)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestTwoSecretsOneOfWhichExpires(t *testing.T) {
	now := time.Now()
	s := company(t, issuer.Options{Now: func() time.Time { return now }})
	tok, err := grant(t, s, sanne)
	if err != nil {
		t.Fatal(err)
	}
	s.SetSecrets(s.ClientID, issuer.Secret{Value: s.ClientSecret, Expires: now.Add(time.Hour)}, issuer.Secret{Value: "next"})
	with := func(secret string) int {
		cfg := config(s)
		cfg.ClientSecret = secret
		_, err := cfg.TokenSource(context.Background(), &oauth2.Token{RefreshToken: tok.RefreshToken}).Token()
		if err != nil && code(err) == 0 {
			t.Error(err)
		}
		return code(err)
	}
	if a, b, c := with(s.ClientSecret), with("next"), with("wrong"); a != 0 || b != 0 || c != 7000215 {
		t.Errorf("two secrets and a wrong one: %d %d %d", a, b, c)
	}
	now = now.Add(time.Hour)
	if a, b := with(s.ClientSecret), with("next"); a != 7000222 || b != 0 {
		t.Errorf("after the first one's expiry: %d %d", a, b)
	}
}

func TestClientAssertions(t *testing.T) {
	s := company(t, issuer.Options{})
	tok, err := grant(t, s, sanne)
	if err != nil {
		t.Fatal(err)
	}
	key, cert := certificate(t, time.Now().Add(time.Hour))
	stranger, _ := certificate(t, time.Now().Add(time.Hour))
	oldKey, old := certificate(t, time.Now().Add(-time.Minute))
	s.AddCertificate(s.ClientID, cert)
	s.AddCertificate(s.ClientID, old)
	good := func() map[string]any {
		return map[string]any{"iss": s.ClientID, "sub": s.ClientID, "aud": s.TokenURL(), "jti": rand.Text(),
			"nbf": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix()}
	}
	changed := func(name string, value any) map[string]any { c := good(); c[name] = value; return c }
	once := changed("jti", "once")
	for _, c := range []struct {
		name   string
		key    crypto.Signer
		cert   *x509.Certificate
		alg    jose.SignatureAlgorithm
		claims map[string]any
		want   int
	}{
		{"good", key, cert, jose.PS256, good(), 0},
		{"another's key", stranger, cert, jose.PS256, good(), 700027},
		{"RS256 under x5t#S256", key, cert, jose.RS256, good(), 700027},
		{"expired certificate", oldKey, old, jose.PS256, good(), 700027},
		{"another audience", key, cert, jose.PS256, changed("aud", "https://elsewhere.example/token"), 700027},
		{"another client", key, cert, jose.PS256, changed("iss", "doctor"), 700027},
		{"expired", key, cert, jose.PS256, changed("exp", time.Now().Add(-time.Minute).Unix()), 700027},
		{"a day long", key, cert, jose.PS256, changed("exp", time.Now().Add(24*time.Hour).Unix()), 700027},
		{"first use", key, cert, jose.PS256, once, 0},
		{"second use", key, cert, jose.PS256, once, 700027},
	} {
		res, err := http.PostForm(s.TokenURL(), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok.RefreshToken}, "client_id": {s.ClientID},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion(t, c.key, c.cert, c.alg, c.claims)}})
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			Codes  []int  `json:"error_codes"`
			Access string `json:"access_token"`
		}
		err = json.NewDecoder(res.Body).Decode(&body)
		res.Body.Close()
		got := 0
		if len(body.Codes) > 0 {
			got = body.Codes[0]
		}
		if err != nil || got != c.want || (body.Access != "") != (c.want == 0) {
			t.Errorf("%s: %d, want %d (%v)", c.name, got, c.want, err)
		}
	}
}

func certificate(t *testing.T, until time.Time) (*rsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(until.UnixNano()), Subject: pkix.Name{CommonName: "Mailroom"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until}
	raw, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

func assertion(t *testing.T, key crypto.Signer, cert *x509.Certificate, alg jose.SignatureAlgorithm, claims map[string]any) string {
	t.Helper()
	sum := sha256.Sum256(cert.Raw)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(sum[:])))
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSwitchesOfTheFirstPage(t *testing.T) {
	s := company(t, issuer.Options{})
	tok, err := grant(t, s, sanne)
	if err != nil {
		t.Fatal(err)
	}
	press := func(id string) {
		t.Helper()
		open(t, s.URL()).press("#switch-" + id)
	}
	press("secret")
	if _, err := refresh(s, tok.RefreshToken); code(err) != 7000222 {
		t.Errorf("the secret has expired: %v", err)
	}
	press("secret")
	press("malformed")
	if _, err := refresh(s, tok.RefreshToken); err == nil || code(err) != 0 {
		t.Errorf("half a token: %v", err)
	}
	press("down") // one trouble at a time
	var re *oauth2.RetrieveError
	if _, err := refresh(s, tok.RefreshToken); !errors.As(err, &re) || re.Response.StatusCode != 503 {
		t.Errorf("down: %v", err)
	}
	press("down")
	if _, err := refresh(s, tok.RefreshToken); err != nil {
		t.Errorf("with everything off: %v", err)
	}
	r, err := http.NewRequest(http.MethodPost, s.URL()+"/switch", strings.NewReader("switch=down"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode != 403 {
		t.Errorf("another site turned a switch: %v", err)
	}
}
