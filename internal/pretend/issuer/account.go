package issuer

import (
	"fmt"
	"strings"
	"time"
)

// Account is a person, or a part that is played.
type Account struct {
	Email string // user name and preferred_username
	Name  string
	// Mailboxes are further addresses whose mail the account's token opens: aliases and shared ones.
	Mailboxes []string
	// Admin may consent for everybody.
	Admin bool
	// Tenant is the GUID of the company; empty for the provider's own.
	Tenant string
	Play   Play
}

// Play is how an account fails, as data. The zero value does not.
type Play struct {
	// What says in a few words what will happen; it stands on the account picker.
	What string
	// Consent is given instead of the consent page. With AdminOnly it stops once an administrator consented
	// for the company.
	Consent   *Refusal
	AdminOnly bool
	// Code and Refresh are given at the token endpoint.
	Code, Refresh *Refusal
	// TokenLife replaces that of the provider.
	TokenLife time.Duration
	// NoRefresh gives no refresh token; WithoutScopes are dropped from what is asked.
	NoRefresh     bool
	WithoutScopes []string
	// Token and RefreshReply replace the answer to a code and to a refresh token that are good.
	Token, RefreshReply *Reply
	// As is the account that is signed in instead: a browser that remembers somebody else.
	As string
	// Username replaces preferred_username and email in ID tokens.
	Username string
}

// Refusal is an OAuth error in Microsoft's form.
type Refusal struct {
	Error    string // OAuth error value
	Suberror string // suberror at the token endpoint, error_subcode on a redirect
	Code     int    // AADSTS number; 0 for none
	Text     string // error_description without number and trace; empty for none
	Status   int    // at the token endpoint; 400 if 0
	// Stay shows an error page without a way back, as Microsoft does for a few errors.
	Stay bool
	// Title and Lines are what the page says before the person returns to the application.
	Title string
	Lines []string
}

// description is error_description as Microsoft writes it, and empty where it gives none.
func (r Refusal) description(s *Server) string {
	if r.Text == "" {
		return ""
	}
	d := r.Text
	if r.Code != 0 {
		d = fmt.Sprintf("AADSTS%d: %s", r.Code, r.Text)
	}
	return fmt.Sprintf("%s Trace ID: %s Correlation ID: %s Timestamp: %s", d, s.trace("trace"), s.trace("correlation"),
		s.opts.Now().UTC().Format("2006-01-02 15:04:05Z"))
}

func (s *Server) trace(kind string) string {
	return guid(fmt.Sprint(kind, s.opts.Now().UnixNano()))
}

// AddAccount adds a person. An address may stand there once.
func (s *Server) AddAccount(a Account) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.accounts {
		if strings.EqualFold(a.Email, b.Email) {
			return fmt.Errorf("issuer: account %q exists", a.Email)
		}
	}
	s.accounts = append(s.accounts, a)
	return nil
}

// SetPlay changes how an account fails.
func (s *Server) SetPlay(email string, p Play) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.accounts {
		if strings.EqualFold(s.accounts[i].Email, email) {
			s.accounts[i].Play = p
		}
	}
}

// Accounts lists everybody.
func (s *Server) Accounts() []Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Account(nil), s.accounts...)
}

// Account finds a person by address.
func (s *Server) Account(email string) (Account, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accounts {
		if strings.EqualFold(a.Email, email) {
			return a, true
		}
	}
	return Account{}, false
}

// ID is the account's object id in the directory, oid in ID tokens.
func (a Account) ID() string { return guid("oid " + a.Email) }

// Opens says whether the account's token opens the mailbox of an address.
func (a Account) Opens(address string) bool {
	if strings.EqualFold(a.Email, address) {
		return true
	}
	for _, m := range a.Mailboxes {
		if strings.EqualFold(m, address) {
			return true
		}
	}
	return false
}

// RevokeAccount ends every token that an account has given so far: access tokens at once, and
// refreshing them is answered with invalid_grant AADSTS50173.
func (s *Server) RevokeAccount(email string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revokedBefore[strings.ToLower(email)] = s.opts.Now()
	s.forget(email)
}

// ForgetConsent makes the next grant of an account ask again.
func (s *Server) ForgetConsent(email string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(email)
}
