package oauth

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"mailroom/internal/mailroom"
)

// algorithms that an ID token may be signed with: asymmetric ones only. "none"
// and HS256 (keyed with a client secret that many hold) are the classic forgeries.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

// identify verifies an ID token (OpenID Connect Core §3.1.3.7) and writes who
// granted into out.
func (c *Client) identify(ctx context.Context, p mailroom.Provider, m metadata, raw, nonce, accessToken string, out *mailroom.Tokens) error {
	if raw == "" {
		return c.unproved(p, errors.New("no ID token came"))
	}
	keys := c.keySetOf(p, m)
	template := strings.Contains(m.Issuer, tenantPlaceholder)
	verifier := oidc.NewVerifier(m.Issuer, keys, &oidc.Config{
		ClientID: p.ClientID, SupportedSigningAlgs: algorithms, Now: c.now,
		SkipIssuerCheck: template, // made below, with the tenant filled in
	})
	t, err := verifier.Verify(ctx, raw)
	if err != nil {
		var own *mailroom.Error
		if keys.failed(&own) {
			return own // the keys could not be read: nothing is known about the token
		}
		return c.unproved(p, err)
	}
	var claims map[string]any
	if err := t.Claims(&claims); err != nil {
		return c.unproved(p, err)
	}
	if err := checkClaims(m, t, claims, template, p.ClientID, nonce); err != nil {
		return c.unproved(p, err)
	}
	if t.AccessTokenHash != "" {
		if err := t.VerifyAccessToken(accessToken); err != nil {
			return c.unproved(p, err)
		}
	}
	if err := name(p, claims, out); err != nil {
		return c.unproved(p, err)
	}
	return nil
}

// checkClaims checks what go-oidc leaves to its caller.
func checkClaims(m metadata, t *oidc.IDToken, claims map[string]any, template bool, clientID, nonce string) error {
	if template {
		want, ok := issuerOf(m.Issuer, text(claims["tid"]))
		if !ok || t.Issuer != want {
			return fmt.Errorf("issuer %q, want %q with the token's tenant", t.Issuer, m.Issuer)
		}
	}
	if nonce == "" || subtle.ConstantTimeCompare([]byte(t.Nonce), []byte(nonce)) != 1 {
		return errors.New("nonce of another request")
	}
	azp := text(claims["azp"])
	if azp != "" && azp != clientID || azp == "" && len(t.Audience) > 1 {
		return fmt.Errorf("authorized party %q among %d audiences", azp, len(t.Audience))
	}
	return nil
}

// name writes subject, tenant and addresses.
func name(p mailroom.Provider, claims map[string]any, out *mailroom.Tokens) error {
	subject := p.SubjectClaims
	if len(subject) == 0 {
		subject = []string{"sub"}
	}
	var parts []string
	for _, claim := range subject {
		v := text(claims[claim])
		if v == "" {
			return fmt.Errorf("claim %s is missing", claim)
		}
		parts = append(parts, v)
	}
	out.Subject = strings.Join(parts, "/")
	out.TenantID = text(claims["tid"])
	for _, claim := range p.AddressClaims {
		// An address that the provider itself calls unproved may be anybody's.
		if claim == "email" && (claims["email_verified"] == false || claims["email_verified"] == "false") {
			continue
		}
		a := mailroom.NormalAddress(text(claims[claim]))
		if strings.Contains(a, "@") && !slices.Contains(out.Addresses, a) {
			out.Addresses = append(out.Addresses, a)
		}
	}
	return nil
}

func text(v any) string { s, _ := v.(string); return s }

// unproved is an answer that cannot be trusted. Why stands in the log only.
func (c *Client) unproved(p mailroom.Provider, cause error) *mailroom.Error {
	ref := newReference()
	c.log.Warn("provider's answer not proved", "provider", p.ID, "ref", ref, "reason", cause)
	return mailroom.E(mailroom.NeedsVendor, "oauth.error.unproved", cause).With("provider", p.Name).With("ref", ref)
}

// keysAgain is how soon keys are read again for a token with an unknown key.
const keysAgain = 10 * time.Second

// signingKey is a key of a JWK set. Microsoft adds the issuer that it may sign
// for, a template or one tenant.
type signingKey struct {
	jose.JSONWebKey
	issuer string
}

// keySet reads a provider's keys and keeps them; it is an oidc.KeySet.
type keySet struct {
	read func(context.Context) ([]byte, error)
	now  func() time.Time

	mu     sync.Mutex
	keys   []signingKey
	readAt time.Time
}

// reading is a keySet during one verification. go-oidc flattens errors to text:
// err keeps the one that says the keys could not be read.
type reading struct {
	*keySet
	issuer string
	err    error
}

func (r *reading) failed(into **mailroom.Error) bool { return errors.As(r.err, into) }

func (c *Client) keySetOf(p mailroom.Provider, m metadata) *reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, url := p.ID+" "+m.JWKSURL, m.JWKSURL
	ks := c.keys[id]
	if ks == nil {
		ks = &keySet{now: c.now, read: func(ctx context.Context) ([]byte, error) { return c.fetch(ctx, p, url) }}
		c.keys[id] = ks
	}
	return &reading{keySet: ks, issuer: m.Issuer}
}

// VerifySignature implements oidc.KeySet. The algorithm is checked by its caller.
func (r *reading) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	allowed := make([]jose.SignatureAlgorithm, len(algorithms))
	for i, a := range algorithms {
		allowed[i] = jose.SignatureAlgorithm(a)
	}
	jws, err := jose.ParseSigned(raw, allowed)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, errors.New("malformed ID token")
	}
	for fresh := false; ; fresh = true {
		keys, again, err := r.current(ctx, fresh)
		if err != nil {
			r.err = err
			return nil, err
		}
		if payload := verifyWith(jws, keys); payload != nil {
			return payload, nil
		}
		if fresh || !again {
			return nil, errors.New("signed with no key of this provider")
		}
	}
}

// verifyWith returns the payload if one of the keys signed it and may sign for
// the issuer it names.
func verifyWith(jws *jose.JSONWebSignature, keys []signingKey) []byte {
	kid := jws.Signatures[0].Header.KeyID
	for _, k := range keys {
		if kid != "" && k.KeyID != kid || k.Use == "enc" {
			continue
		}
		payload, err := jws.Verify(k.JSONWebKey)
		if err != nil {
			continue
		}
		var of struct {
			Issuer string `json:"iss"`
			Tenant string `json:"tid"`
		}
		if json.Unmarshal(payload, &of) != nil {
			continue
		}
		if k.issuer != "" {
			if want, ok := issuerOf(k.issuer, of.Tenant); !ok || want != of.Issuer {
				continue
			}
		}
		return payload
	}
	return nil
}

// current returns the known keys, read anew if there are none or fresh is asked.
// again says whether reading anew can help.
func (ks *keySet) current(ctx context.Context, fresh bool) (keys []signingKey, again bool, err error) {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if fresh || len(ks.keys) == 0 {
		body, err := ks.read(ctx)
		if err != nil {
			return nil, false, err
		}
		ks.keys, ks.readAt = parseKeys(body), ks.now()
		return ks.keys, false, nil
	}
	return ks.keys, ks.now().Sub(ks.readAt) >= keysAgain, nil
}

// parseKeys takes the keys that it understands (RFC 7517 §5).
func parseKeys(body []byte) []signingKey {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil {
		return nil
	}
	var out []signingKey
	for _, raw := range set.Keys {
		var k signingKey
		var more struct {
			Issuer string `json:"issuer"`
		}
		if json.Unmarshal(raw, &k.JSONWebKey) == nil && json.Unmarshal(raw, &more) == nil && k.IsPublic() {
			k.issuer = more.Issuer
			out = append(out, k)
		}
	}
	return out
}
