package issuer

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// discovery is the metadata; for common and organizations its issuer is the template.
func (s *Server) discovery(w http.ResponseWriter, r *http.Request) {
	tenant := r.PathValue("tenant")
	company, known := s.tenant(tenant)
	if !known {
		s.refuseJSON(w, Refusal{Error: "invalid_tenant", Code: 90002, Text: "Tenant not found. Check to make sure you have the correct tenant ID."})
		return
	}
	issuer := s.Issuer()
	if company != "" {
		issuer = s.issuerOf(company)
	}
	at := s.base + "/" + tenant
	doc := map[string]any{
		"issuer":                                issuer,
		"authorization_endpoint":                at + "/oauth2/v2.0/authorize",
		"token_endpoint":                        at + "/oauth2/v2.0/token",
		"jwks_uri":                              at + "/discovery/v2.0/keys",
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic", "private_key_jwt"},
		"code_challenge_methods_supported":      []string{"S256"},
	}
	if s.opts.Revocation {
		doc["revocation_endpoint"] = at + "/oauth2/v2.0/revoke"
	}
	s.note(Request{Endpoint: "discovery"})
	writeJSON(w, http.StatusOK, doc)
}

// keys is the JWK set; like Microsoft's, each key names the issuer that it may sign for.
func (s *Server) keys(w http.ResponseWriter, _ *http.Request) {
	raw, err := json.Marshal(jose.JSONWebKey{Key: s.key.Public(), KeyID: s.kid, Algorithm: "RS256", Use: "sig"})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var key map[string]any
	if err := json.Unmarshal(raw, &key); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	key["issuer"] = s.Issuer()
	s.note(Request{Endpoint: "keys"})
	writeJSON(w, http.StatusOK, map[string]any{"keys": []any{key}})
}

// idToken says who granted, with the claims that Microsoft gives (docs/providers.md 2.3).
func (s *Server) idToken(a Account, t ticket, life time.Duration) (string, error) {
	now := s.opts.Now()
	username := a.Email
	if a.Play.Username != "" {
		username = a.Play.Username
	}
	claims := map[string]any{
		"iss": s.issuerOf(s.tenantOf(a)), "aud": s.clientOf(t), "sub": guid("sub " + s.clientOf(t) + a.Email),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(life).Unix(),
		"tid": s.tenantOf(a), "oid": a.ID(), "ver": "2.0",
	}
	if t.Nonce != "" {
		claims["nonce"] = t.Nonce
	}
	for _, sc := range t.Scopes {
		switch sc {
		case "profile":
			claims["name"], claims["preferred_username"] = a.Name, username
		case "email":
			claims["email"] = username
		}
	}
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		hook(claims)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: s.key, KeyID: s.kid}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(body)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
