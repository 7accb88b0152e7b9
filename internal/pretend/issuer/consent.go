package issuer

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// adminConsent is the endpoint where an administrator consents for a company (docs/providers.md 2.4). It
// gives no code: only the word that it was done.
func (s *Server) adminConsent(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	client, ok := s.client(q.Get("client_id"))
	if !ok {
		s.errorPage(w, Refusal{Code: 700016, Text: "Application with this identifier was not found in the directory."})
		return
	}
	req := request{Client: client.ID, Admin: true, RedirectURI: q.Get("redirect_uri"), State: q.Get("state"), Scopes: strings.Fields(q.Get("scope"))}
	if !client.redirects(req.RedirectURI) {
		s.errorPage(w, Refusal{Code: 50011, Text: "The redirect URI specified in the request does not match the redirect URIs configured for the application."})
		return
	}
	path := r.PathValue("tenant")
	if req.Tenant, ok = s.tenant(path); !ok {
		s.errorPage(w, Refusal{Code: 90002, Text: "Tenant not found. Check to make sure you have the correct tenant ID."})
		return
	}
	switch {
	case path == "common": // Microsoft's answer is as misleading
		s.errorPage(w, Refusal{Code: 900144, Text: "The request body must contain the following parameter: 'response_type'."})
	case len(req.Scopes) == 0:
		s.sendBack(w, r, req, Refusal{Error: "invalid_request", Code: 900144, Text: "The request body must contain the following parameter: 'scope'."})
	default:
		s.picker(w, r, req)
	}
}

// adminValues is the good answer. Nothing in it is signed: anybody can write one.
func (s *Server) adminValues(req request, a Account) url.Values {
	return url.Values{"admin_consent": {"True"}, "tenant": {s.tenantOf(a)}, "scope": {strings.Join(req.Scopes, " ")}}
}

func declined() Refusal {
	return Refusal{Error: "access_denied", Code: 65004, Text: "User declined to consent to access the app."}
}

// endpoint is where a request came in.
func (r request) endpoint() string {
	if r.Admin {
		return "adminconsent"
	}
	return "authorize"
}

// refusal is what keeps an account from consenting, or nil.
func (s *Server) refusal(req request, a Account) *Refusal {
	switch f := a.Play.Consent; {
	case req.Admin && !a.Admin:
		return needsAdmin("You cannot agree for your organization", "Only an administrator of your organization can do this, and this account is none.")
	case req.Admin:
		return nil
	case f != nil && a.Play.AdminOnly && s.tenantHas(req.Client, s.tenantOf(a), req.Scopes):
		return nil
	case f != nil:
		return f
	case a.Admin || s.hasConsent(req, a) || !slices.ContainsFunc(req.Scopes, s.adminsOnly):
		return nil
	}
	return needsAdmin("Your administrator must agree first", "The application asks for a permission that only an administrator of your organization can give.")
}

func needsAdmin(title, line string) *Refusal {
	return &Refusal{Error: "access_denied", Code: 90094, Text: "Admin consent is required for the permissions requested by this application.",
		Title: title, Lines: []string{line, "Ask an administrator to give it for everybody, then try again."}}
}

// adminsOnly says whether users may not consent to a scope: those of the directory always, those of mail
// where the company leaves it to the default policy (docs/providers.md 2.1).
func (s *Server) adminsOnly(scope string) bool {
	if strings.HasSuffix(scope, ".AccessAsUser.All") {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.usersConsent
	}
	return strings.HasSuffix(scope, ".All")
}

// SetUsersConsent says whether users may consent to reading their mail, which they may at first. false is
// what Microsoft's own policy says since the end of 2025.
func (s *Server) SetUsersConsent(may bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usersConsent = may
}

// UsersConsent is what SetUsersConsent set.
func (s *Server) UsersConsent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usersConsent
}

// GrantAdminConsent is what an administrator of the provider's own tenant does for everybody, for all
// that the mail registration lists; false takes it back.
func (s *Server) GrantAdminConsent(given bool) {
	if !given {
		s.WithdrawAdminConsent(s.ClientID, s.TenantID)
		return
	}
	scopes := []string{anything}
	if c, ok := s.client(s.ClientID); ok && len(c.Scopes) > 0 {
		scopes = c.Scopes
	}
	s.consentFor(s.ClientID, s.TenantID, scopes)
}

// anything stands for every scope.
const anything = "*"

// AdminConsent lists what a company consented to for everybody.
func (s *Server) AdminConsent(client, tenant string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for scope := range s.consents[tenantKey(client, tenant)] {
		out = append(out, scope)
	}
	slices.Sort(out)
	return out
}

// UserConsent lists what a person consented to for themselves.
func (s *Server) UserConsent(client, email string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for scope := range s.consents[personKey(client, email)] {
		out = append(out, scope)
	}
	slices.Sort(out)
	return out
}

// WithdrawAdminConsent takes a company's consent back: refreshing what rested on it is refused.
func (s *Server) WithdrawAdminConsent(client, tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := tenantKey(client, tenant)
	if s.consents[key] != nil {
		s.withdrawn[key] = true
	}
	delete(s.consents, key)
}

// consentFor is a company's consent. It replaces the one before, as at Microsoft.
func (s *Server) consentFor(client, tenant string, scopes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := tenantKey(client, tenant)
	delete(s.consents, key)
	delete(s.withdrawn, key)
	s.add(key, scopes)
}

// consent is a person's own.
func (s *Server) consent(client, email string, scopes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(personKey(client, email), scopes)
}

func (s *Server) add(key string, scopes []string) {
	if s.consents[key] == nil {
		s.consents[key] = map[string]bool{}
	}
	for _, scope := range scopes {
		s.consents[key][scope] = true
	}
}

func tenantKey(client, tenant string) string { return client + " tenant " + tenant }
func personKey(client, email string) string  { return client + " person " + strings.ToLower(email) }

// forget drops a person's consent to every client.
func (s *Server) forget(email string) {
	for id := range s.clients {
		delete(s.consents, personKey(id, email))
	}
}

// hasConsent says whether everything that is asked was consented to, by the person or for everybody.
func (s *Server) hasConsent(req request, a Account) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, all := s.consents[personKey(req.Client, a.Email)], s.consents[tenantKey(req.Client, s.tenantOf(a))]
	if own == nil && all == nil {
		return false
	}
	for _, scope := range req.Scopes {
		if !own[scope] && !covered(all, scope) {
			return false
		}
	}
	return true
}

// tenantHas says whether a company consented to every scope.
func (s *Server) tenantHas(client, tenant string, scopes []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.consents[tenantKey(client, tenant)]
	return all != nil && !slices.ContainsFunc(scopes, func(scope string) bool { return !covered(all, scope) })
}

// covered: what only says who somebody is needs no consent of its own.
func covered(given map[string]bool, scope string) bool {
	return given != nil && (given[scope] || given[anything] || slices.Contains([]string{"openid", "profile", "email", "offline_access"}, scope))
}

// tookBack says whether a refresh token rests on a consent that a company took back.
func (s *Server) tookBack(t ticket, a Account) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.withdrawn[tenantKey(t.Client, s.tenantOf(a))] && s.consents[personKey(t.Client, a.Email)] == nil
}
