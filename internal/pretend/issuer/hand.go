package issuer

import (
	"fmt"
	"net/url"
	"strings"
)

// Code walks an authorization URL of this provider as an account would that signs in and accepts, and
// returns the callback URL, unopened. An account that is refused gives the callback of its refusal.
func (s *Server) Code(authURL, email string) (*url.URL, error) {
	req, err := s.parse(authURL)
	if err != nil {
		return nil, err
	}
	a, ok := s.Account(email)
	if !ok {
		return nil, fmt.Errorf("issuer: no account %q", email)
	}
	if other, ok := s.Account(a.Play.As); ok {
		a = other
	}
	req.Account = a.Email
	if f := s.refusal(req, a); f != nil {
		return url.Parse(callback(req, s.refusalValues(*f)))
	}
	s.consent(req.Client, a.Email, req.Scopes)
	return url.Parse(callback(req, url.Values{"code": {s.newCode(req)}}))
}

// AdminConsented walks an address of the adminconsent endpoint as an account would that signs in and presses
// Accept, or Cancel, and returns the callback URL, unopened.
func (s *Server) AdminConsented(consentURL, email string, accept bool) (*url.URL, error) {
	u, err := url.Parse(consentURL)
	if err != nil {
		return nil, err
	}
	q := u.Query()
	c, ok := s.client(q.Get("client_id"))
	tenant, known := s.tenant(strings.Split(u.Path, "/")[1])
	a, there := s.Account(email)
	if !ok || !known || !there || !c.redirects(q.Get("redirect_uri")) || strings.HasPrefix(u.Path, "/common/") {
		return nil, fmt.Errorf("issuer: client, tenant, redirect URI or account %q is not known", email)
	}
	if tenant != "" && tenant != s.tenantOf(a) {
		return nil, fmt.Errorf("issuer: %s is not of that tenant", email)
	}
	req := request{Client: c.ID, Admin: true, RedirectURI: q.Get("redirect_uri"), State: q.Get("state"), Scopes: strings.Fields(q.Get("scope"))}
	f := s.refusal(req, a)
	if f == nil && !accept {
		no := declined()
		f = &no
	}
	if f != nil {
		return url.Parse(callback(req, s.refusalValues(*f)))
	}
	s.consentFor(c.ID, s.tenantOf(a), req.Scopes)
	return url.Parse(callback(req, s.adminValues(req, a)))
}

// Cancel is Code for a person who presses Cancel.
func (s *Server) Cancel(authURL string) (*url.URL, error) {
	req, err := s.parse(authURL)
	if err != nil {
		return nil, err
	}
	return url.Parse(callback(req, s.refusalValues(Refusal{Error: "access_denied", Suberror: "cancel"})))
}

func (s *Server) parse(authURL string) (request, error) {
	u, err := url.Parse(authURL)
	if err != nil {
		return request{}, err
	}
	q := u.Query()
	if f := checkRequest(q); f != nil {
		return request{}, fmt.Errorf("issuer: %s: %s", f.Error, f.Text)
	}
	c, ok := s.client(q.Get("client_id"))
	if !ok || !c.redirects(q.Get("redirect_uri")) {
		return request{}, fmt.Errorf("issuer: client or redirect URI is not registered")
	}
	return request{
		Client: c.ID, RedirectURI: q.Get("redirect_uri"), State: q.Get("state"), Nonce: q.Get("nonce"),
		Challenge: q.Get("code_challenge"), Scopes: strings.Fields(q.Get("scope")),
	}, nil
}
