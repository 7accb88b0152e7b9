package web

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
	"mailroom/static"
)

// Deps is what the pages need from outside.
type Deps struct {
	Portal   Portal
	Sessions scs.Store
	Texts    *i18n.Bundle
	// Refusals are what /help/errors lists.
	Refusals []mailroom.RefusalFamily
	// PublicURL is where people's browsers find the service: scheme and host
	// decide about the Secure cookie and which origin may post.
	PublicURL *url.URL
	// Location is the time zone of pages; nil for the machine's.
	Location *time.Location
	// TrustProxy takes the client's address from X-Forwarded-For's last entry:
	// set it only behind a proxy that appends it.
	TrustProxy bool

	// Health, Ready and Metrics are mounted as they are; nil leaves them out.
	Health, Ready, Metrics http.Handler
	// Observe is told of every finished request by its route pattern; nil for none.
	Observe func(method, pattern string, status int, took time.Duration)

	Now func() time.Time // nil for the clock
	Log *slog.Logger     // nil for none
}

// Server answers browsers. Handler is safe for concurrent use.
//
// Event streams last until the request's context ends: whoever shuts an
// http.Server down cancels its base context first.
type Server struct {
	Deps
	sessions *scs.SessionManager
	limits   signInLimits
}

// New makes a Server.
func New(d Deps) (*Server, error) {
	if d.Portal == nil || d.Sessions == nil || d.Texts == nil || d.PublicURL == nil {
		return nil, errors.New("web: Portal, Sessions, Texts and PublicURL are needed")
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Location == nil {
		d.Location = time.Local
	}
	s := &Server{Deps: d, limits: newSignInLimits()}
	s.sessions = newSessions(sessionStore{d.Sessions}, d.PublicURL)
	s.sessions.ErrorFunc = s.sessionFault
	return s, nil
}

// Handler is the whole of Mailroom over HTTP.
func (s *Server) Handler() http.Handler {
	root := chi.NewRouter()
	root.Use(s.record, securityHeaders)
	root.Handle(static.Prefix+"*", static.Handler())
	for path, h := range map[string]http.Handler{"/healthz": s.Health, "/readyz": s.Ready, "/metrics": s.Metrics} {
		if h != nil {
			root.Handle(path, h)
		}
	}

	root.Group(func(pages chi.Router) {
		pages.Use(middleware.Compress(5, "text/html"), answerOnce, s.sessions.LoadAndSave, s.crossOrigin)
		for _, rt := range routes() {
			pages.Method(rt.method, rt.pattern, s.serve(rt))
		}
	})
	notFound := answerOnce(s.sessions.LoadAndSave(s.serve(route{access: public, handler: func(*call) error {
		return mailroom.E(mailroom.NotFound, "error.not_found")
	}})))
	root.NotFound(notFound.ServeHTTP)
	root.MethodNotAllowed(notFound.ServeHTTP)
	return root
}

// serve runs a route's handler for those whom it is for, and turns its error
// into a page.
func (s *Server) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{Server: s, w: w, r: r}
		user, err := s.signedIn(r)
		c.user, c.t = user, s.texts(r, user)
		switch {
		case err != nil:
		case rt.access != public && user.ID == "":
			c.askToSignIn()
			return
		case rt.access == admin && !user.IsAdmin():
			err = mailroom.E(mailroom.Forbidden, "error.forbidden")
		default:
			err = rt.handler(c)
		}
		if err != nil {
			s.fail(c, err)
		}
	})
}

// texts speaks the user's language, else the one chosen in this session, else
// the browser's.
func (s *Server) texts(r *http.Request, u mailroom.User) i18n.T {
	choice := u.Language
	if choice == "" {
		choice = s.sessions.GetString(r.Context(), sessionLanguage)
	}
	return s.Texts.For(s.Texts.Match(choice, r.Header.Get("Accept-Language"))).In(s.Location)
}

// clientIP is the address that sign-in limits count by.
func (s *Server) clientIP(r *http.Request) string {
	if s.TrustProxy {
		if list := r.Header.Values("X-Forwarded-For"); len(list) > 0 {
			last := lastField(list[len(list)-1])
			if addr, err := netip.ParseAddr(last); err == nil {
				return addr.String()
			}
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
