package issuer

import (
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed page.html style.css
var files embed.FS

// pages is the one template of all pages.
var pages = template.Must(template.ParseFS(files, "page.html"))

// view is what page.html shows.
type view struct {
	Title   string
	Kind    string // "picker", "consent", "refusal", "error", "home"
	Request string // sealed
	Tenant  string
	App     string

	Hint    string // login_hint that nobody here has
	People  []choice
	Players []choice

	Switches []switchState

	Account Account
	Admin   bool // consents for everybody
	Scopes  []scopeText
	Lines   []string
	Code    int
}

type choice struct {
	Account
	Suggested bool
	Initials  string
}

type scopeText struct{ Name, Text string }

// describe puts a scope into plain words.
func describe(scope string) scopeText {
	words := map[string]string{
		"IMAP.AccessAsUser.All": "Read and change your mail by IMAP.",
		"Directory.Read.All":    "Read the directory of your organization: applications, users, assignments, licences.",
		"Policy.Read.All":       "Read the policies of your organization.",
		"User.Read":             "Read who you are and which licences you have.",
		"offline_access":        "Keep this access until you take it back, also while you are away.",
		"openid":                "Know that it is you.",
		"profile":               "See your name.",
		"email":                 "See your e-mail address.",
	}
	for name, text := range words {
		if strings.HasSuffix(scope, name) {
			return scopeText{scope, text}
		}
	}
	return scopeText{scope, "What the application calls by this name."}
}

func (s *Server) render(w http.ResponseWriter, status int, redirectURI string, v view) {
	// A form's answer is a redirect to the application, which Chromium checks against form-action too.
	action := "'self'"
	if u, err := url.Parse(redirectURI); err == nil && u.Host != "" {
		action += " " + u.Scheme + "://" + u.Host
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action "+action+"; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	if v.App == "" {
		v.App = "Mailroom"
	}
	if v.Tenant == "" {
		v.Tenant = "common"
	}
	if err := pages.ExecuteTemplate(w, "page.html", v); err != nil {
		s.opts.Log.Error("page of the pretend identity provider", "err", err)
	}
}

func (s *Server) picker(w http.ResponseWriter, r *http.Request, req request) {
	v := view{Title: "Choose an account", Kind: "picker", App: s.appName(req), Admin: req.Admin, Request: s.sealed("request", req), Tenant: r.PathValue("tenant")}
	s.mu.Lock()
	accounts := append([]Account(nil), s.accounts...)
	s.mu.Unlock()
	known := false
	for _, a := range accounts {
		c := choice{Account: a, Initials: initials(a.Name)}
		switch {
		case req.Hint != "" && strings.EqualFold(a.Email, req.Hint):
			c.Suggested, known = true, true
			v.People = append([]choice{c}, v.People...)
		case a.Play.What == "":
			v.People = append(v.People, c)
		default:
			v.Players = append(v.Players, c)
		}
	}
	if !known {
		v.Hint = req.Hint
	}
	s.render(w, http.StatusOK, req.RedirectURI, v)
}

// appName is how the pages call the application that asks.
func (s *Server) appName(req request) string {
	c, _ := s.client(req.Client)
	return c.Name
}

func initials(name string) string {
	var out []rune
	for _, word := range strings.Fields(name) {
		r := []rune(word)
		if len(out) < 2 && strings.ToUpper(string(r[0])) == string(r[0]) {
			out = append(out, r[0])
		}
	}
	return string(out)
}

func (s *Server) consentPage(w http.ResponseWriter, req request, a Account) {
	v := view{Title: "Permission requested", Kind: "consent", App: s.appName(req), Request: s.sealed("request", req), Account: a, Admin: req.Admin}
	if req.Admin {
		v.Title = "Permission requested for your organization"
	}
	for _, sc := range req.Scopes {
		v.Scopes = append(v.Scopes, describe(sc))
	}
	s.render(w, http.StatusOK, req.RedirectURI, v)
}

func (s *Server) refusalPage(w http.ResponseWriter, req request, a Account, f Refusal) {
	v := view{Title: f.Title, Kind: "refusal", App: s.appName(req), Request: s.sealed("request", req), Account: a, Lines: f.Lines, Code: f.Code}
	if v.Title == "" {
		v.Title = "This did not work"
	}
	if len(v.Lines) == 0 && f.Text != "" {
		v.Lines = []string{f.Text}
	}
	s.render(w, http.StatusOK, req.RedirectURI, v)
}

func (s *Server) errorPage(w http.ResponseWriter, f Refusal) {
	s.note(Request{Endpoint: "authorize", Error: "page " + itoa(f.Code)})
	s.render(w, http.StatusBadRequest, "", view{Title: "This did not work", Kind: "error", Lines: []string{f.Text}, Code: f.Code})
}

func (s *Server) home(w http.ResponseWriter, _ *http.Request) {
	s.render(w, http.StatusOK, "", view{Title: "Pretend identity provider", Kind: "home", Switches: s.states()})
}

func (s *Server) style(w http.ResponseWriter, _ *http.Request) {
	b, err := files.ReadFile("style.css")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(b)
}
