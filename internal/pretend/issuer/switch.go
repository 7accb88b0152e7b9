package issuer

import (
	"net/http"
	"time"
)

// Switch is something that can be made to go wrong on the provider's first page, while the demo runs.
type Switch struct {
	ID, Label string
	// Get says whether it is on; nil for what is done once.
	Get func() bool
	Set func(on bool)
}

type switchState struct {
	ID, Label  string
	Toggle, On bool
}

// AddSwitch adds one to the page.
func (s *Server) AddSwitch(sw Switch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.switches = append(s.switches, sw)
}

func (s *Server) states() []switchState {
	s.mu.Lock()
	list := append([]Switch(nil), s.switches...)
	s.mu.Unlock()
	var out []switchState
	for _, sw := range list {
		out = append(out, switchState{ID: sw.ID, Label: sw.Label, Toggle: sw.Get != nil, On: sw.Get != nil && sw.Get()})
	}
	return out
}

func (s *Server) turn(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	list := append([]Switch(nil), s.switches...)
	s.mu.Unlock()
	for _, sw := range list {
		if sw.ID == r.PostFormValue("switch") {
			sw.Set(sw.Get == nil || !sw.Get())
		}
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// ownSwitches are of the provider itself.
func (s *Server) ownSwitches() []Switch {
	return []Switch{
		{ID: "withdraw", Label: "The administrator takes back what was consented to for everybody", Set: func(bool) { s.GrantAdminConsent(false) }},
		{ID: "secret", Label: "The application's client secret has expired", Get: s.secretExpired, Set: s.expireSecret},
		s.tokenSwitch("down", "The provider is down", Reply{Status: http.StatusServiceUnavailable, Body: "<html><title>Service unavailable</title></html>"}),
		s.tokenSwitch("slow", "The provider takes twenty seconds for each token", Reply{Delay: 20 * time.Second}),
		s.tokenSwitch("malformed", "The provider answers with half a token", Reply{Status: http.StatusOK, Body: `{"token_type":"Bearer","access_to`}),
		{ID: "reuse", Label: "A refresh token that is used twice ends the grant", Get: func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.reuse
		}, Set: s.SetReuseDetection},
	}
}

// tokenSwitch breaks the token endpoint; one such switch is on at a time.
func (s *Server) tokenSwitch(id, label string, reply Reply) Switch {
	return Switch{ID: id, Label: label, Get: func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.trouble == id
	}, Set: func(on bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.broken, "token")
		s.trouble = ""
		if on {
			s.broken["token"], s.trouble = &reply, id
		}
	}}
}

func (s *Server) secretExpired() bool {
	c, _ := s.client(s.ClientID)
	for _, secret := range c.Secrets {
		if secret.Expires.IsZero() || s.opts.Now().Before(secret.Expires) {
			return false
		}
	}
	return true
}

func (s *Server) expireSecret(on bool) {
	now := s.opts.Now()
	s.Change(s.ClientID, func(c *Client) {
		for i := range c.Secrets {
			c.Secrets[i].Expires = time.Time{}
			if on {
				c.Secrets[i].Expires = now
			}
		}
	})
}
