package issuer

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ticket is what is inside an access or refresh token.
type ticket struct {
	Client  string   `json:"c,omitempty"` // the mail registration's if empty
	Email   string   `json:"e"`
	Scopes  []string `json:"s"`
	Nonce   string   `json:"n,omitempty"`
	Issued  int64    `json:"i"` // Unix microseconds
	Expires int64    `json:"x"`
	Family  string   `json:"f"`
	ID      string   `json:"j"`
}

// Token is what an access token is good for.
type Token struct {
	Client  string // client id
	Email   string
	Account Account
	Scopes  []string
	Expires time.Time
}

// Has says whether a scope was given.
func (t Token) Has(scope string) bool { return slices.Contains(t.Scopes, scope) }

// refreshLife is Microsoft's: 90 days.
const refreshLife = 90 * 24 * time.Hour

func itoa(n int) string { return strconv.Itoa(n) }

// Introspect says what a live access token is good for, and false for any other text.
func (s *Server) Introspect(token string) (Token, bool) {
	var t ticket
	if !s.unseal("pat", token, &t) || s.dead(t) {
		return Token{}, false
	}
	a, ok := s.Account(t.Email)
	return Token{Client: s.clientOf(t), Email: t.Email, Account: a, Scopes: t.Scopes, Expires: time.UnixMicro(t.Expires)}, ok
}

func (s *Server) dead(t ticket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts.Now().UnixMicro() >= t.Expires || s.deadFamilies[t.Family] ||
		t.Issued <= micro(s.revokedBefore[strings.ToLower(t.Email)])
}

func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	grant := r.PostFormValue("grant_type")
	rec := Request{Endpoint: "token", GrantType: grant}
	t, withID, refusal := s.redeem(r, grant, &rec)
	if t != nil {
		rec.Account = t.Email
		if refusal == nil && !s.playToken(w, r, grant, t.Email) {
			return
		}
	}
	if refusal != nil {
		rec.Error = refusal.Error
		s.note(rec)
		s.refuseJSON(w, *refusal)
		return
	}
	s.note(rec)
	s.writeTokens(w, *t, withID)
}

// redeem checks a token request and says what to give.
func (s *Server) redeem(r *http.Request, grant string, rec *Request) (*ticket, bool, *Refusal) {
	client, proof, f := s.checkClient(r)
	rec.Client, rec.Proof = client, proof
	if f != nil {
		return nil, false, f
	}
	switch grant {
	case "authorization_code":
		t, f := s.redeemCode(r, client)
		return t, true, f
	case "refresh_token":
		t, f := s.redeemRefresh(r, client)
		return t, true, f
	}
	return nil, false, &Refusal{Error: "unsupported_grant_type", Code: 70003, Text: "The app requested an unsupported grant type."}
}

// playToken plays how an account's token requests fail that are good, and says whether to go on.
func (s *Server) playToken(w http.ResponseWriter, r *http.Request, grant, email string) bool {
	a, _ := s.Account(email)
	reply := a.Play.Token
	if grant == "refresh_token" {
		reply = a.Play.RefreshReply
	}
	return reply == nil || s.play(w, r, "token", *reply)
}

// clientOf is whose a token is.
func (s *Server) clientOf(t ticket) string {
	if t.Client == "" {
		return s.ClientID
	}
	return t.Client
}

func (s *Server) redeemCode(r *http.Request, client string) (*ticket, *Refusal) {
	text := r.PostFormValue("code")
	now := s.opts.Now()
	s.mu.Lock()
	c := s.codes[text]
	used := c != nil && c.used
	if c != nil {
		c.used = true
	}
	s.mu.Unlock()
	switch {
	case c == nil || c.req.Client != client:
		return nil, &Refusal{Error: "invalid_grant", Code: 9002313, Text: "Invalid request. Request is malformed or invalid."}
	case used:
		return nil, &Refusal{Error: "invalid_grant", Code: 54005, Text: "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token."}
	case now.After(c.expires):
		return nil, &Refusal{Error: "invalid_grant", Code: 70008, Text: "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource."}
	case r.PostFormValue("redirect_uri") != c.req.RedirectURI:
		return nil, &Refusal{Error: "invalid_client", Code: 50011, Text: "The redirect URI specified in the request does not match."}
	}
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != c.req.Challenge {
		return nil, &Refusal{Error: "invalid_grant", Code: 501481, Text: "The Code_Verifier does not match the code_challenge supplied in the authorization request."}
	}
	a, ok := s.Account(c.req.Account)
	if !ok {
		return nil, &Refusal{Error: "invalid_grant", Code: 50034, Text: "The user account does not exist in this directory."}
	}
	if a.Play.Code != nil {
		return nil, a.Play.Code
	}
	return &ticket{Client: client, Email: a.Email, Scopes: given(a, c.req.Scopes), Nonce: c.req.Nonce, Family: rand.Text()}, nil
}

// given drops the scopes that an account does not get.
func given(a Account, asked []string) []string {
	return slices.DeleteFunc(slices.Clone(asked), func(sc string) bool {
		return slices.ContainsFunc(a.Play.WithoutScopes, func(no string) bool { return strings.Contains(sc, no) })
	})
}

func (s *Server) redeemRefresh(r *http.Request, client string) (*ticket, *Refusal) {
	var t ticket
	if !s.unseal("prt", r.PostFormValue("refresh_token"), &t) || s.clientOf(t) != client {
		return nil, &Refusal{Error: "invalid_grant", Code: 9002313, Text: "Invalid request. Request is malformed or invalid."}
	}
	a, ok := s.Account(t.Email)
	if !ok {
		return &t, &Refusal{Error: "invalid_grant", Code: 50034, Text: "The user account does not exist in this directory."}
	}
	if a.Play.Refresh != nil {
		return &t, a.Play.Refresh
	}
	if s.opts.Now().UnixMicro() >= t.Expires {
		return &t, &Refusal{Error: "invalid_grant", Code: 700082, Text: "The refresh token has expired due to inactivity."}
	}
	if s.dead(t) {
		return &t, Revoked()
	}
	if s.tookBack(t, a) {
		return &t, &Refusal{Error: "invalid_grant", Suberror: "consent_required", Code: 65001, Text: "The user or administrator has not consented to use the application."}
	}
	s.mu.Lock()
	reused := s.usedRefresh[t.ID] && s.reuse
	s.usedRefresh[t.ID] = true
	if reused {
		s.deadFamilies[t.Family] = true
	}
	s.mu.Unlock()
	if reused {
		return &t, &Refusal{Error: "invalid_grant", Code: 70000, Text: "The refresh token was used before; its family is revoked."}
	}
	// A refresh token is bound to no resource: it gives whatever was consented to.
	if want := strings.Fields(r.PostFormValue("scope")); len(want) > 0 {
		more := slices.DeleteFunc(slices.Clone(want), func(sc string) bool { return slices.Contains(t.Scopes, sc) })
		if len(more) > 0 && !s.hasConsent(request{Client: client, Scopes: more}, a) {
			return &t, &Refusal{Error: "invalid_grant", Suberror: "consent_required", Code: 65001, Text: "The user or administrator has not consented to use the application with this scope."}
		}
		t.Scopes = want
	}
	t.Nonce = ""
	return &t, nil
}

// Revoked is what Microsoft answers when a grant was taken back.
func Revoked() *Refusal {
	return &Refusal{Error: "invalid_grant", Suberror: "bad_token", Code: 50173,
		Text: "The provided grant has expired due to it being revoked, a fresh auth token is needed."}
}

func (s *Server) writeTokens(w http.ResponseWriter, t ticket, withID bool) {
	a, _ := s.Account(t.Email)
	now := s.opts.Now()
	life := s.opts.TokenLife
	if a.Play.TokenLife > 0 {
		life = a.Play.TokenLife
	}
	t.Issued = now.UnixMicro()
	access := t
	access.Nonce, access.ID, access.Expires = "", rand.Text(), now.Add(life).UnixMicro()
	// As at Microsoft, offline_access is not among the scopes that the answer names.
	named := slices.DeleteFunc(slices.Clone(t.Scopes), func(sc string) bool { return sc == "offline_access" })
	out := map[string]any{
		"token_type": "Bearer", "scope": strings.Join(named, " "),
		"expires_in": int(life.Seconds()), "ext_expires_in": int(life.Seconds()),
		"access_token": s.sealed("pat", access),
	}
	if slices.Contains(t.Scopes, "offline_access") && !a.Play.NoRefresh {
		refresh := t
		refresh.Nonce, refresh.ID, refresh.Expires = "", rand.Text(), now.Add(refreshLife).UnixMicro()
		out["refresh_token"] = s.sealed("prt", refresh)
	}
	if withID && slices.Contains(t.Scopes, "openid") {
		id, err := s.idToken(a, t, life)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		out["id_token"] = id
	}
	s.mu.Lock()
	hook := s.answers
	s.mu.Unlock()
	if hook != nil {
		hook(out)
	}
	writeJSON(w, http.StatusOK, out)
}

func (s *Server) refuseJSON(w http.ResponseWriter, f Refusal) {
	status := f.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	out := map[string]any{
		"error": f.Error, "error_description": f.description(s),
		"timestamp": s.opts.Now().UTC().Format("2006-01-02 15:04:05Z"),
		"trace_id":  s.trace("trace"), "correlation_id": s.trace("correlation"),
	}
	if f.Code != 0 {
		out["error_codes"] = []int{f.Code}
		out["error_uri"] = "https://login.microsoftonline.com/error?code=" + itoa(f.Code)
	}
	if f.Suberror != "" {
		out["suberror"] = f.Suberror
	}
	writeJSON(w, status, out)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// revoke ends the family of a token (RFC 7009). Any token is answered with 200.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	if _, _, f := s.checkClient(r); f != nil {
		s.note(Request{Endpoint: "revoke", Error: f.Error})
		s.refuseJSON(w, *f)
		return
	}
	var t ticket
	text := r.PostFormValue("token")
	if s.unseal("prt", text, &t) || s.unseal("pat", text, &t) {
		s.mu.Lock()
		s.deadFamilies[t.Family] = true
		s.mu.Unlock()
	}
	s.note(Request{Endpoint: "revoke", Account: t.Email})
	w.WriteHeader(http.StatusOK)
}
