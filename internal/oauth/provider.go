package oauth

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// The shipped providers, without client ids: those belong to whoever runs
// Mailroom. Sources: docs/providers.md 2 and 3 (Microsoft), 4 (Google).
//
//go:embed providers.json
var providersJSON []byte

// Shipped are the providers that come with the program. They are not configured.
func Shipped() mailroom.Providers {
	ps, err := mergeProviders("providers.json", providersJSON, nil)
	if err != nil {
		panic(err) // embedded, and read by every test
	}
	return ps
}

// LoadProviders lays a JSON file of the operator's over base: an array of
// providers. One whose id is known overrides the fields that it names; maps and
// lists are replaced whole. Errors name file, provider and field.
func LoadProviders(path string, base mailroom.Providers) (mailroom.Providers, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("providers: %w", err)
	}
	return mergeProviders(path, data, base)
}

// CheckProvider names the first field that cannot be right, and why, for a log; ""
// when all may be.
func CheckProvider(p mailroom.Provider) (field string, err error) {
	if !idForm.MatchString(p.ID) {
		return "id", fmt.Errorf("want lower-case letters, digits and dashes, got %q", p.ID)
	}
	return checkProvider(p)
}

func mergeProviders(path string, data []byte, base mailroom.Providers) (mailroom.Providers, error) {
	var rows []json.RawMessage
	if err := json.Unmarshal(data, &rows); err != nil {
		return nil, fmt.Errorf("%s: want a list of providers: %w", path, err)
	}
	out := slices.Clone(base)
	for n, row := range rows {
		var head struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(row, &head); err != nil || !idForm.MatchString(head.ID) {
			return nil, fmt.Errorf("%s: provider %d: id: want lower-case letters, digits and dashes, got %q", path, n+1, head.ID)
		}
		p, known := out.ByID(head.ID)
		var given map[string]json.RawMessage
		if err := json.Unmarshal(row, &given); err != nil {
			return nil, fmt.Errorf("%s: provider %s: %w", path, head.ID, err)
		}
		clearMaps(&p, given)
		dec := json.NewDecoder(bytes.NewReader(row))
		dec.DisallowUnknownFields() // a misspelt field would be silently without effect
		if err := dec.Decode(&p); err != nil {
			return nil, fmt.Errorf("%s: provider %s: %w", path, head.ID, err)
		}
		if field, err := checkProvider(p); err != nil {
			return nil, fmt.Errorf("%s: provider %s: %s: %w", path, head.ID, field, err)
		}
		if known {
			out[slices.IndexFunc(out, func(q mailroom.Provider) bool { return q.ID == p.ID })] = p
		} else {
			out = append(out, p)
		}
	}
	return out, nil
}

// clearMaps empties what encoding/json would merge or overwrite in place, which
// would change base.
func clearMaps(p *mailroom.Provider, given map[string]json.RawMessage) {
	if _, ok := given["auth_params"]; ok {
		p.AuthParams = nil
	}
	if _, ok := given["consoles"]; ok {
		p.Consoles = nil
	}
	if p.Directory != nil { // its fields are laid over one by one, and not over base's
		d := *p.Directory
		d.Scopes, d.SelfScopes = slices.Clone(d.Scopes), slices.Clone(d.SelfScopes)
		p.Directory = &d
	}
	p.Scopes, p.SASL = slices.Clone(p.Scopes), slices.Clone(p.SASL)
	p.SubjectClaims, p.AddressClaims = slices.Clone(p.SubjectClaims), slices.Clone(p.AddressClaims)
}

var idForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// ours are the parameters of a consent URL that are not the operator's to set.
var ours = []string{"client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "login_hint"}

// checkProvider names the first field that cannot be right.
func checkProvider(p mailroom.Provider) (field string, err error) {
	switch {
	case p.Name == "":
		return "name", fmt.Errorf("missing")
	case p.Kind != mailroom.Outlook && p.Kind != mailroom.Gmail && p.Kind != mailroom.Other:
		return "kind", fmt.Errorf("want outlook, gmail or other, got %q", p.Kind)
	case p.Password:
		return checkEndpoint(p)
	case len(p.Scopes) == 0:
		return "scopes", fmt.Errorf("missing")
	case asksIDToken(p) && p.Issuer == "":
		return "issuer", fmt.Errorf("missing, and needed to verify ID tokens")
	case !slices.Contains([]string{"", "basic", "post", "none"}, p.TokenAuth):
		return "token_auth", fmt.Errorf("want basic, post or none, got %q", p.TokenAuth)
	case (p.ClientKey == "") != (p.ClientCertificate == ""):
		return "client_key", fmt.Errorf("client_key and client_certificate go together")
	case p.DiscoveryURL == "" && (p.AuthURL == "" || p.TokenURL == ""):
		return "discovery_url", fmt.Errorf("missing, and so is auth_url or token_url")
	case p.DiscoveryURL == "" && asksIDToken(p) && p.JWKSURL == "":
		return "jwks_url", fmt.Errorf("missing, and so is discovery_url")
	case asksIDToken(p) && len(p.AddressClaims) == 0:
		return "address_claims", fmt.Errorf("missing: without one nobody knows which account granted")
	}
	for name, u := range map[string]string{"discovery_url": p.DiscoveryURL, "auth_url": p.AuthURL, "token_url": p.TokenURL,
		"jwks_url": p.JWKSURL, "revoke_url": p.RevokeURL, "revoke_page": p.RevokePage, "admin_consent_url": p.AdminConsentURL} {
		if u != "" {
			if err := checkURL(u, p.Loopback); err != nil {
				return name, err
			}
		}
	}
	if p.ClientKey != "" {
		if _, err := assertionOf(p, "https://provider.example", time.Now()); err != nil {
			return "client_key", err
		}
	}
	if d := p.Directory; d != nil {
		if err := checkURL(d.URL, p.Loopback); err != nil {
			return "directory.url", err
		}
	}
	for k := range p.AuthParams {
		if slices.Contains(ours, k) {
			return "auth_params", fmt.Errorf("%s is set by the program", k)
		}
	}
	return checkIMAP(p)
}

func checkEndpoint(p mailroom.Provider) (field string, err error) {
	switch e := p.IMAP; {
	case e.Host == "" || strings.ContainsAny(e.Host, " /:@"):
		return "imap.host", fmt.Errorf("want a host name, got %q", e.Host)
	case e.Port < 1 || e.Port > 65535:
		return "imap.port", fmt.Errorf("want 1 to 65535, got %d", e.Port)
	case e.TLS != mailroom.ImplicitTLS && e.TLS != mailroom.StartTLS && !(e.TLS == mailroom.PlainText && p.Loopback):
		return "imap.tls", fmt.Errorf("want tls or starttls, got %q", e.TLS)
	}
	return "", nil
}

func checkIMAP(p mailroom.Provider) (field string, err error) {
	if field, err := checkEndpoint(p); err != nil {
		return field, err
	}
	switch {
	case len(p.SASL) == 0:
		return "sasl", fmt.Errorf("missing")
	case p.MaxConnections < 1:
		return "max_connections", fmt.Errorf("want at least 1")
	case p.SignIns < 0:
		return "sign_ins", fmt.Errorf("want 0 or more, got %d", p.SignIns)
	case p.IdleSeconds < 0 || p.IdleSeconds >= 29*60:
		return "idle_seconds", fmt.Errorf("want under 1740 (RFC 2177), got %d", p.IdleSeconds)
	}
	for _, m := range p.SASL {
		if m != "XOAUTH2" && m != "OAUTHBEARER" {
			return "sasl", fmt.Errorf("want XOAUTH2 or OAUTHBEARER, got %q", m)
		}
	}
	return "", nil
}
