package web

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"mailroom/internal/mailroom"
)

// policy is the Content-Security-Policy of every page. There is no inline
// script and no inline style anywhere.
//
// form-action is 'self' alone although Grant Permission ends at a provider:
// browsers apply form-action to the whole chain of redirects that a form
// starts, and a company that federates its sign-in redirects on to hosts that
// nobody here can list. So the form is answered with a page that sends the
// browser on, and what follows is a navigation, not a form.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; " +
	"connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func securityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		// same-origin, not no-referrer: CrossOriginProtection falls back on Origin,
		// which older browsers send as "null" under no-referrer.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
		if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		// Pages are people's mail: no cache keeps them. Assets overrule this.
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// crossOrigin refuses unsafe requests that another site's page sent
// (Sec-Fetch-Site, else Origin). It stands in for CSRF tokens.
func (s *Server) crossOrigin(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	// Behind a proxy that changes Host, our own pages still post from here.
	if err := p.AddTrustedOrigin(s.PublicURL.Scheme + "://" + s.PublicURL.Host); err != nil {
		s.Log.Error("public URL is no origin", "err", err)
	}
	p.SetDenyHandler(s.serve(route{access: public, handler: func(*call) error {
		return mailroom.E(mailroom.Forbidden, "error.cross_site")
	}}))
	return p.Handler(next)
}

type referenceKey struct{}

// reference is the number under which the log knows a request; error pages show it.
func reference(r *http.Request) string {
	ref, _ := r.Context().Value(referenceKey{}).(string)
	return ref
}

// record gives each request its reference and logs its end. The query is left
// out: it carries codes, states, searches.
func (s *Server) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ref := strings.ToLower(rand.Text()[:10])
		r = r.WithContext(context.WithValue(r.Context(), referenceKey{}, ref))
		started := s.Now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			took := s.Now().Sub(started)
			pattern := "none"
			if rc := chi.RouteContext(r.Context()); rc != nil && rc.RoutePattern() != "" {
				pattern = rc.RoutePattern()
			}
			code := ww.Status()
			if fault := recover(); fault != nil {
				if fault == http.ErrAbortHandler { //nolint:errorlint // the documented sentinel
					panic(fault)
				}
				s.Log.Error("handler panicked", "request", ref, "route", pattern, "fault", fault)
				if code == 0 {
					code = http.StatusInternalServerError
					http.Error(w, "Mailroom: "+ref, code)
				}
			}
			if s.Observe != nil {
				s.Observe(r.Method, pattern, code, took)
			}
			s.Log.Debug("request", "request", ref, "method", r.Method, "route", pattern,
				"status", code, "octets", ww.BytesWritten(), "took", took.Round(time.Microsecond))
		}()
		next.ServeHTTP(ww, r)
	})
}
