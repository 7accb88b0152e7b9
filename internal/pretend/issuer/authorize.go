package issuer

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// request is an authorization request that was checked; it travels through the pages as a sealed
// form field, so that the server keeps nothing for people who walk away.
type request struct {
	Client, RedirectURI, State, Nonce, Challenge, Hint, Prompt string
	Scopes                                                     []string
	Tenant                                                     string // GUID of the company that the address names, or empty
	Account                                                    string // chosen
	Admin                                                      bool   // an administrator consents, and no code follows
}

// code is an authorization code.
type code struct {
	req     request
	expires time.Time
	used    bool
}

// codeLife is Microsoft's: about ten minutes.
const codeLife = 10 * time.Minute

const cookieName = "pretend_account"

func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	client, ok := s.client(q.Get("client_id"))
	if !ok {
		s.errorPage(w, Refusal{Code: 700016, Text: "Application with this identifier was not found in the directory."})
		return
	}
	req := request{
		Client: client.ID, RedirectURI: q.Get("redirect_uri"), State: q.Get("state"), Nonce: q.Get("nonce"),
		Challenge: q.Get("code_challenge"), Hint: q.Get("login_hint"), Prompt: q.Get("prompt"),
		Scopes: strings.Fields(q.Get("scope")),
	}
	if !client.redirects(req.RedirectURI) {
		s.errorPage(w, Refusal{Code: 50011, Text: "The redirect URI specified in the request does not match the redirect URIs configured for the application."})
		return
	}
	if wrong := checkRequest(q); wrong != nil {
		s.sendBack(w, r, req, *wrong)
		return
	}
	if req.Tenant, ok = s.tenant(r.PathValue("tenant")); !ok {
		s.errorPage(w, Refusal{Code: 90002, Text: "Tenant not found. Check to make sure you have the correct tenant ID."})
		return
	}
	signedIn, known := s.signedIn(r)
	switch {
	case req.Prompt == "none" && !known:
		s.sendBack(w, r, req, Refusal{Error: "login_required", Code: 50058, Text: "A silent sign-in request was sent but no user is signed in."})
	case req.Prompt == "none" && !s.hasConsent(req, signedIn):
		s.sendBack(w, r, req, Refusal{Error: "interaction_required", Code: 65001, Text: "The user or administrator has not consented to use the application."})
	case req.Prompt == "none", known && req.Prompt == "" && strings.EqualFold(signedIn.Email, req.Hint):
		req.Account = signedIn.Email
		s.afterSignIn(w, r, req, signedIn)
	default:
		s.picker(w, r, req)
	}
}

// checkRequest refuses what Microsoft refuses on the redirect.
func checkRequest(q url.Values) *Refusal {
	switch {
	case q.Get("response_type") != "code":
		return &Refusal{Error: "unsupported_response_type", Code: 700054, Text: "response_type is not enabled for the application."}
	case q.Get("response_mode") != "" && q.Get("response_mode") != "query":
		return &Refusal{Error: "invalid_request", Code: 900144, Text: "The pretend identity provider knows response_mode=query only."}
	case q.Get("code_challenge") == "" || q.Get("code_challenge_method") != "S256":
		return &Refusal{Error: "invalid_request", Code: 9002325, Text: "Proof Key for Code Exchange is required for cross-origin authorization code redemption."}
	case q.Get("scope") == "":
		return &Refusal{Error: "invalid_request", Code: 900144, Text: "The request body must contain the following parameter: 'scope'."}
	}
	return nil
}

func withoutLoopbackPort(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || (u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost") {
		return uri
	}
	u.Host = u.Hostname()
	return u.String()
}

func (s *Server) signedIn(r *http.Request) (Account, bool) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return Account{}, false
	}
	var email string
	if !s.unseal("cookie", c.Value, &email) {
		return Account{}, false
	}
	return s.Account(email)
}

func (s *Server) chooseAccount(w http.ResponseWriter, r *http.Request) {
	var req request
	if !s.unseal("request", r.PostFormValue("request"), &req) {
		s.errorPage(w, Refusal{Code: 90014, Text: "This page is too old. Go back to the application and start again."})
		return
	}
	if r.PostFormValue("cancel") != "" {
		s.sendBack(w, r, req, Refusal{Error: "access_denied", Suberror: "cancel"})
		return
	}
	a, ok := s.Account(r.PostFormValue("account"))
	if !ok {
		s.errorPage(w, Refusal{Code: 50034, Text: "The user account does not exist in this directory."})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.sealed("cookie", a.Email), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	if other, ok := s.Account(a.Play.As); ok {
		a = other
	}
	req.Account = a.Email
	s.afterSignIn(w, r, req, a)
}

// afterSignIn shows what stands between a signed-in account and its code.
func (s *Server) afterSignIn(w http.ResponseWriter, r *http.Request, req request, a Account) {
	if req.Tenant != "" && s.tenantOf(a) != req.Tenant {
		s.errorPage(w, Refusal{Code: 50020, Text: "This account does not exist in the company that was asked for. Sign in with another account."})
		return
	}
	f := s.refusal(req, a)
	switch {
	case f != nil && f.Stay:
		s.errorPage(w, *f)
	case f != nil:
		s.refusalPage(w, req, a, *f)
	case req.Admin:
		s.consentPage(w, req, a)
	case s.hasConsent(req, a) && req.Prompt != "consent":
		s.sendCode(w, r, req)
	default:
		s.consentPage(w, req, a)
	}
}

func (s *Server) answerConsent(w http.ResponseWriter, r *http.Request) {
	var req request
	if !s.unseal("request", r.PostFormValue("request"), &req) || req.Account == "" {
		s.errorPage(w, Refusal{Code: 90014, Text: "This page is too old. Go back to the application and start again."})
		return
	}
	a, ok := s.Account(req.Account)
	if !ok {
		s.errorPage(w, Refusal{Code: 50034, Text: "The user account does not exist in this directory."})
		return
	}
	answer, f := r.PostFormValue("answer"), s.refusal(req, a)
	switch {
	case f != nil:
		s.sendBack(w, r, req, *f)
	case answer == "accept" && req.Admin:
		s.consentFor(req.Client, s.tenantOf(a), req.Scopes)
		s.note(Request{Endpoint: "adminconsent", Client: req.Client, Account: a.Email})
		http.Redirect(w, r, callback(req, s.adminValues(req, a)), http.StatusSeeOther)
	case answer == "accept":
		s.consent(req.Client, a.Email, req.Scopes)
		if a.Admin && r.PostFormValue("everybody") != "" {
			s.consentFor(req.Client, s.tenantOf(a), append(s.AdminConsent(req.Client, s.tenantOf(a)), req.Scopes...))
		}
		s.sendCode(w, r, req)
	case req.Admin:
		s.sendBack(w, r, req, declined())
	default:
		s.sendBack(w, r, req, Refusal{Error: "access_denied", Suberror: "cancel"})
	}
}

// newCode makes a code for a request with its account.
func (s *Server) newCode(req request) string {
	c := "0.pretend." + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[c] = &code{req: req, expires: s.opts.Now().Add(codeLife)}
	return c
}

func (s *Server) sendCode(w http.ResponseWriter, r *http.Request, req request) {
	s.note(Request{Endpoint: "authorize", Client: req.Client, Account: req.Account})
	http.Redirect(w, r, callback(req, url.Values{"code": {s.newCode(req)}, "session_state": {guid(req.Account)}}), http.StatusSeeOther)
}

func (s *Server) sendBack(w http.ResponseWriter, r *http.Request, req request, f Refusal) {
	s.note(Request{Endpoint: req.endpoint(), Client: req.Client, Account: req.Account, Error: f.Error})
	http.Redirect(w, r, callback(req, s.refusalValues(f)), http.StatusSeeOther)
}

func (s *Server) refusalValues(f Refusal) url.Values {
	v := url.Values{"error": {f.Error}}
	if f.Suberror != "" {
		v.Set("error_subcode", f.Suberror)
	}
	if d := f.description(s); d != "" {
		v.Set("error_description", d)
		v.Set("error_uri", "https://login.microsoftonline.com/error?code="+itoa(f.Code))
	}
	return v
}

// callback is the redirect URI with an answer and the state.
func callback(req request, v url.Values) string {
	if req.Admin {
		v.Set("admin_consent", "True") // also beside an error, which names no tenant
	}
	if req.State != "" {
		v.Set("state", req.State)
	}
	u, err := url.Parse(req.RedirectURI)
	if err != nil {
		return req.RedirectURI
	}
	q := u.Query()
	for k := range v {
		q.Set(k, v.Get(k))
	}
	u.RawQuery = q.Encode()
	return u.String()
}
