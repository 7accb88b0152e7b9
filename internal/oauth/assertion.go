package oauth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mailroom/internal/mailroom"
)

// assertionLife is short: an assertion is made for each request. It begins a
// moment ago, since clocks differ (docs/providers.md 2.7: five to ten minutes).
const assertionLife, clockDrift = 5 * time.Minute, time.Minute

// asserting adds a signed assertion to every form that it carries, in place of a
// client secret (RFC 7523 §2.2). x/oauth2 lets no parameter be added to a refresh.
type asserting struct {
	next     http.RoundTripper
	provider mailroom.Provider
	tokenURL string
	now      func() time.Time
}

func (a asserting) RoundTrip(r *http.Request) (*http.Response, error) {
	assertion, err := assertionOf(a.provider, a.tokenURL, a.now())
	if err != nil {
		return nil, &url.Error{Op: "sign", URL: a.tokenURL, Err: unsigned(a.provider, err)}
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	form.Set("client_id", a.provider.ClientID)
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	out := r.Clone(r.Context())
	text := form.Encode()
	out.Body, out.ContentLength = io.NopCloser(bytes.NewBufferString(text)), int64(len(text))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewBufferString(text)), nil }
	return a.next.RoundTrip(out)
}

func unsigned(p mailroom.Provider, err error) *mailroom.Error {
	return mailroom.E(mailroom.NeedsVendor, "credential.error.key_unusable", err).With("provider", p.Name)
}

// assertionOf is the assertion of a provider's client for its token endpoint
// (RFC 7523 §3; Microsoft: PS256 with x5t#S256, docs/providers.md 2.7).
func assertionOf(p mailroom.Provider, tokenURL string, now time.Time) (string, error) {
	key, alg, err := signingKeyOf(p.ClientKey)
	if err != nil {
		return "", err
	}
	opts := (&jose.SignerOptions{}).WithType("JWT")
	if p.ClientCertificate != "" {
		print, err := thumbprint(p.ClientCertificate)
		if err != nil {
			return "", err
		}
		opts = opts.WithHeader("x5t#S256", print)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"aud": tokenURL, "iss": p.ClientID, "sub": p.ClientID, "jti": mailroom.NewSecret(),
		"iat": now.Unix(), "nbf": now.Add(-clockDrift).Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// signingKeyOf reads a private key in PEM form: RSA, or the P-256 curve. Errors
// never hold key material.
func signingKeyOf(text string) (any, jose.SignatureAlgorithm, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, "", errors.New("the client key is not in PEM form")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, "", errors.New("the client key is not a PKCS #8 private key")
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return k, jose.PS256, nil
	case *ecdsa.PrivateKey:
		if k.Curve.Params().BitSize == 256 {
			return k, jose.ES256, nil
		}
	}
	return nil, "", fmt.Errorf("a client key of type %T does not sign assertions", key)
}

// thumbprint is the SHA-256 of a certificate's DER form (RFC 7515 §4.1.8).
func thumbprint(certificate string) (string, error) {
	block, _ := pem.Decode([]byte(certificate))
	if block == nil || block.Type != "CERTIFICATE" {
		return "", errors.New("the client certificate is not in PEM form")
	}
	sum := sha256.Sum256(block.Bytes)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}
