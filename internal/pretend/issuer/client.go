package issuer

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Client is a registration of an application.
type Client struct {
	ID   string
	Name string // as the pages call it; "Mailroom" if empty
	// Secrets are good side by side, each until it expires.
	Secrets      []Secret
	Certificates []*x509.Certificate
	// RedirectURIs as in Options.
	RedirectURIs []string
	Scopes       []string // permissions that it lists
}

// Secret is a client secret.
type Secret struct {
	Value   string
	Expires time.Time // zero for never
}

// AddClient adds a registration, or replaces the one of that id.
func (s *Server) AddClient(c Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c.ID] = &c
}

// client is a copy.
func (s *Server) client(id string) (Client, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.clients[id]
	if !ok {
		return Client{}, false
	}
	out := *c
	out.Secrets, out.Certificates = slices.Clone(c.Secrets), slices.Clone(c.Certificates)
	out.RedirectURIs = slices.Clone(c.RedirectURIs)
	return out, true
}

// Change changes a registration: a secret more, an expiry, a certificate. An unknown id changes nothing.
func (s *Server) Change(id string, change func(c *Client)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.clients[id]; ok {
		change(c)
	}
}

// SetSecrets are the secrets of a registration from now on.
func (s *Server) SetSecrets(id string, secrets ...Secret) {
	s.Change(id, func(c *Client) { c.Secrets = slices.Clone(secrets) })
}

// AddCertificate lets a registration prove itself by assertions that the certificate's key signed.
func (s *Server) AddCertificate(id string, cert *x509.Certificate) {
	s.Change(id, func(c *Client) { c.Certificates = append(c.Certificates, cert) })
}

// AllowRedirect registers one more redirect URI of the mail registration.
func (s *Server) AllowRedirect(uri string) {
	s.Change(s.ClientID, func(c *Client) { c.RedirectURIs = append(c.RedirectURIs, uri) })
}

// redirects compares exactly, but for the port of a loopback host (RFC 8252 7.3).
func (c Client) redirects(uri string) bool {
	return uri != "" && slices.ContainsFunc(c.RedirectURIs, func(want string) bool {
		return uri == want || withoutLoopbackPort(uri) == withoutLoopbackPort(want)
	})
}

// AddTenant adds a company beside the provider's own, and gives its GUID.
func (s *Server) AddTenant(domains ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := guid("tenant of " + strings.Join(domains, " "))
	s.tenants[id] = lower(domains)
	return id
}

// tenant finds the company in an address; "" for those that stand for any.
func (s *Server) tenant(path string) (id string, ok bool) {
	if path == "common" || path == "organizations" {
		return "", true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	path = strings.ToLower(path)
	for id, domains := range s.tenants {
		if id == path || slices.Contains(domains, path) {
			return id, true
		}
	}
	return "", false
}

func (s *Server) tenantOf(a Account) string {
	if a.Tenant != "" {
		return a.Tenant
	}
	return s.TenantID
}

func lower(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = strings.ToLower(t)
	}
	return out
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 2.2

// checkClient wants a secret, in the form or as HTTP Basic (RFC 6749 2.3.1), or a signed assertion.
func (s *Server) checkClient(r *http.Request) (id, proof string, f *Refusal) {
	s.mu.Lock()
	fault := s.clientFault
	s.mu.Unlock()
	if fault != nil {
		return "", "", fault
	}
	id, secret := r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	if u, p, ok := r.BasicAuth(); ok {
		id, _ = url.QueryUnescape(u)
		secret, _ = url.QueryUnescape(p)
	}
	assertion := r.PostFormValue("client_assertion")
	if id == "" && assertion != "" {
		id = subjectOf(assertion)
	}
	c, ok := s.client(id)
	switch {
	case !ok:
		return id, "", &Refusal{Error: "unauthorized_client", Code: 700016, Text: "Application with this identifier was not found in the directory."}
	case secret == "" && assertion == "":
		return id, "", &Refusal{Error: "invalid_client", Status: 401, Code: 7000218, Text: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."}
	case assertion != "":
		return id, "assertion", s.checkAssertion(r, c, assertion)
	}
	return id, "secret", s.checkSecret(c, secret)
}

func (s *Server) checkSecret(c Client, secret string) *Refusal {
	for _, have := range c.Secrets {
		if subtle.ConstantTimeCompare([]byte(secret), []byte(have.Value)) != 1 {
			continue
		}
		if !have.Expires.IsZero() && !s.opts.Now().Before(have.Expires) {
			return &Refusal{Error: "invalid_client", Status: 401, Code: 7000222, Text: "The provided client secret keys for the app are expired."}
		}
		return nil
	}
	return &Refusal{Error: "invalid_client", Status: 401, Code: 7000215, Text: "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID."}
}

// claims of a client assertion.
type assertionClaims struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	ID        string `json:"jti"`
	Expires   int64  `json:"exp"`
	NotBefore int64  `json:"nbf"`
}

// checkAssertion is strict, so that what passes here passes at Microsoft (docs/providers.md 2.7): PS256
// with x5t#S256, made for this endpoint, short-lived, and used once.
func (s *Server) checkAssertion(r *http.Request, c Client, text string) *Refusal {
	bad := func(why string) *Refusal {
		return &Refusal{Error: "invalid_client", Status: 401, Code: 700027, Text: "The certificate with identifier used to sign the client assertion is not accepted: " + why + "."}
	}
	if r.PostFormValue("client_assertion_type") != assertionType {
		return bad("client_assertion_type")
	}
	sig, err := jose.ParseSigned(text, []jose.SignatureAlgorithm{jose.PS256})
	if err != nil {
		return bad("not signed as PS256")
	}
	header := sig.Signatures[0].Protected
	cert := c.signedBy(header)
	if cert == nil {
		return bad("no registered certificate has this thumbprint")
	}
	now := s.opts.Now()
	if now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
		return bad("the certificate has expired")
	}
	body, err := sig.Verify(cert.PublicKey)
	if err != nil {
		return bad("signature")
	}
	var got assertionClaims
	if err := json.Unmarshal(body, &got); err != nil {
		return bad("claims")
	}
	switch exp := time.Unix(got.Expires, 0); {
	case got.Issuer != c.ID || got.Subject != c.ID:
		return bad("iss and sub must be the client id")
	case got.Audience != s.base+r.URL.Path:
		return bad("aud must be the token endpoint")
	case now.After(exp) || exp.After(now.Add(11*time.Minute)):
		return bad("exp must be within ten minutes")
	case now.Add(time.Minute).Before(time.Unix(got.NotBefore, 0)):
		return bad("nbf lies ahead")
	case got.ID == "":
		return bad("jti is missing")
	}
	s.mu.Lock()
	used := s.assertions[got.ID]
	s.assertions[got.ID] = true
	s.mu.Unlock()
	if used {
		return bad("jti was used before")
	}
	return nil
}

// signedBy finds the certificate that an assertion's header names.
func (c Client) signedBy(h jose.Header) *x509.Certificate {
	want, _ := h.ExtraHeaders["x5t#S256"].(string)
	for _, cert := range c.Certificates {
		sum := sha256.Sum256(cert.Raw)
		if want == base64.RawURLEncoding.EncodeToString(sum[:]) {
			return cert
		}
	}
	return nil
}

// subjectOf reads sub from an assertion that nobody verified yet.
func subjectOf(assertion string) string {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var got assertionClaims
	if err != nil || json.Unmarshal(raw, &got) != nil {
		return ""
	}
	return got.Subject
}
