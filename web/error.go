package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"mailroom/internal/mailroom"
	"mailroom/templates"
)

func queryEscape(s string) string { return url.QueryEscape(s) }

// status is what a kind of trouble is over HTTP. Nobody decides by it but
// browsers and monitors; the page says the rest.
func status(k mailroom.Kind) int {
	switch k {
	case mailroom.Invalid:
		return http.StatusUnprocessableEntity
	case mailroom.Forbidden:
		return http.StatusForbidden
	case mailroom.NotFound:
		return http.StatusNotFound
	case mailroom.Conflict, mailroom.NeedsConsent, mailroom.NeedsAdmin:
		return http.StatusConflict
	case mailroom.Throttled:
		return http.StatusTooManyRequests
	case mailroom.Unavailable, mailroom.NeedsVendor:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// fail renders any error: the one place where errors become pages. The cause
// goes to the log under the reference number that the page shows.
func (s *Server) fail(c *call, err error) {
	if errors.Is(err, context.Canceled) && c.r.Context().Err() != nil {
		return // nobody is there to read it
	}
	e := mailroom.AsError(err)
	level := slog.LevelInfo
	if e.Kind == mailroom.Internal || e.Kind == mailroom.NeedsVendor || templates.Outage(e) {
		level = slog.LevelError
	}
	s.Log.Log(c.r.Context(), level, "request refused", "request", reference(c.r), "kind", e.Kind, "key", e.Key, "cause", e.Err)

	page := c.page("", "error.title."+string(e.Kind))
	if templates.Outage(e) {
		page.Title = c.t.Text("error.title.database")
		if c.r.Method == http.MethodGet {
			page.Retry = c.r.URL.RequestURI()
		}
		c.w.Header().Set("Retry-After", "30")
	}
	if err := c.showStatus(status(e.Kind), templates.ErrorPage(page, e)); err != nil {
		s.Log.Error("error page", "request", reference(c.r), "err", err)
		http.Error(c.w, "Mailroom: "+reference(c.r), http.StatusInternalServerError)
	}
}

// complaints splits an error into what a form can show beside its fields: every
// *mailroom.Error in it, joined ones each. ok is false when the error is not
// for the form (not found, forbidden, our own fault).
func complaints(err error) (list []*mailroom.Error, ok bool) {
	if err == nil {
		return nil, false
	}
	if e, is := err.(*mailroom.Error); is { //nolint:errorlint // joined errors are walked below
		switch e.Kind {
		case mailroom.NotFound, mailroom.Forbidden, mailroom.Internal:
			return nil, false
		}
		return []*mailroom.Error{e}, true
	}
	switch wrapped := err.(type) { //nolint:errorlint // walking the tree by hand
	case interface{ Unwrap() []error }:
		for _, one := range wrapped.Unwrap() {
			more, ok := complaints(one)
			if !ok {
				return nil, false
			}
			list = append(list, more...)
		}
		return list, len(list) > 0
	case interface{ Unwrap() error }:
		return complaints(wrapped.Unwrap())
	}
	return nil, false
}
