package web

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
	"mailroom/templates"
)

// call is one request on its way through a handler.
type call struct {
	*Server
	w         http.ResponseWriter
	r         *http.Request
	user      mailroom.User // zero for a stranger
	t         i18n.T
	noSession bool // the session store is out of order
}

// page is what every page knows. nav is the entry of the top navigation that
// it belongs to: "mail", "people", "settings", "sync", "help" or "".
func (c *call) page(nav, titleKey string, args ...any) templates.Page {
	p := templates.Page{
		T: c.t, User: c.user, Nav: nav, Now: c.Now(), Path: c.r.URL.RequestURI(),
		Title: c.t.Text(titleKey, args...), Reference: reference(c.r),
	}
	// A fragment's request must not eat the message meant for the next page.
	if !c.noSession && !c.isFragment() {
		p.Flash = c.popFlash()
	}
	return p
}

// show answers 200 with a page or fragment.
func (c *call) show(body templ.Component) error { return c.showStatus(http.StatusOK, body) }

// showStatus answers with a page or fragment. It is rendered before the first
// byte is sent, so that a failing template still becomes an error page.
func (c *call) showStatus(status int, body templ.Component) error {
	buf := templ.GetBuffer()
	defer templ.ReleaseBuffer(buf)
	if err := body.Render(c.r.Context(), buf); err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(buf.Bytes()) // a browser that has gone is no fault
	return nil
}

// redirect ends a POST: 303, so that the browser follows with GET (RFC 9110
// §15.4.4). The path is one of ours, never taken from the request as it came.
func (c *call) redirect(path string) error {
	http.Redirect(c.w, c.r, path, http.StatusSeeOther)
	return nil
}

// param is a part of the route's pattern: c.param("id").
func (c *call) param(name string) string { return chi.URLParam(c.r, name) }

// query is a trimmed value of the query string.
func (c *call) query(name string) string {
	return strings.TrimSpace(c.r.URL.Query().Get(name))
}

// isFragment reports whether htmx asks for a part of a page. A handler may
// always answer with the whole page: hx-select picks the part.
func (c *call) isFragment() bool { return c.r.Header.Get("HX-Request") == "true" }

// flash keeps a message for the next page that this session sees. kind is
// "done", "note" or "bad".
func (c *call) flash(kind, key string, args ...any) { c.flashText(kind, c.t.Text(key, args...)) }

func (c *call) flashText(kind, text string) {
	c.flashOf(templates.Flash{Kind: kind, Text: text})
}

func (c *call) flashOf(f templates.Flash) {
	list := append(c.peekFlash(), f)
	if data, err := json.Marshal(list); err == nil {
		c.sessions.Put(c.r.Context(), sessionFlash, data)
	}
}

func (c *call) peekFlash() (list []templates.Flash) {
	if data := c.sessions.GetBytes(c.r.Context(), sessionFlash); data != nil {
		_ = json.Unmarshal(data, &list) // from an older version: no message then
	}
	return list
}

func (c *call) popFlash() []templates.Flash {
	list := c.peekFlash()
	if list != nil {
		c.sessions.Remove(c.r.Context(), sessionFlash)
	}
	return list
}

// askToSignIn sends a stranger to the sign-in page and back afterwards. htmx is
// told to load the page again, which then lands there.
func (c *call) askToSignIn() {
	switch {
	case c.isFragment():
		c.w.Header().Set("HX-Refresh", "true")
		c.w.WriteHeader(http.StatusUnauthorized)
	case c.r.Method != http.MethodGet:
		c.redirect("/sign-in")
	case strings.Contains(c.r.Header.Get("Accept"), "text/event-stream"):
		c.w.WriteHeader(http.StatusUnauthorized)
	default:
		c.redirect("/sign-in?next=" + queryEscape(c.r.URL.RequestURI()))
	}
}

// ownPath is p if it is a path on this site, else fallback: what comes from a
// form or a query must never send anybody elsewhere.
func ownPath(p, fallback string) string {
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || strings.ContainsAny(p, "\\\r\n\t") {
		return fallback
	}
	return p
}
