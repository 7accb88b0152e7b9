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
	req.Account = a.Email
	s.mu.Lock()
	admin := s.adminConsent
	s.mu.Unlock()
	if f := a.Play.Consent; f != nil && !(a.Play.AdminOnly && admin) {
		return url.Parse(callback(req, s.refusalValues(*f)))
	}
	s.mu.Lock()
	s.consented[strings.ToLower(a.Email)] = true
	s.mu.Unlock()
	return url.Parse(callback(req, url.Values{"code": {s.newCode(req)}}))
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
	if q.Get("client_id") != s.ClientID || !s.redirectAllowed(q.Get("redirect_uri")) {
		return request{}, fmt.Errorf("issuer: client or redirect URI is not registered")
	}
	return request{
		RedirectURI: q.Get("redirect_uri"), State: q.Get("state"), Nonce: q.Get("nonce"),
		Challenge: q.Get("code_challenge"), Scopes: strings.Fields(q.Get("scope")),
	}, nil
}
