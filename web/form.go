package web

import (
	"net/http"
	"strings"

	"github.com/a-h/templ"

	"mailroom/internal/mailroom"
	"mailroom/templates"
)

// maxForm bounds what a form may send; uploads have routes of their own.
const maxForm = 1 << 20

// form decodes the named fields, trimmed, into a Form that remembers what was
// typed. Fields that are not named are ignored. Passwords are read by secret.
func (c *call) form(fields ...string) (templates.Form, error) {
	f := templates.Form{}
	if err := c.parse(); err != nil {
		return f, err
	}
	for _, name := range fields {
		f.Set(name, strings.TrimSpace(c.r.PostForm.Get(name)))
	}
	return f, nil
}

func (c *call) parse() error {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxForm)
	if err := c.r.ParseForm(); err != nil {
		return mailroom.E(mailroom.Invalid, "error.form", err)
	}
	return nil
}

// secret is a field as it was typed, spaces and all, and not remembered for the
// form. Call form first.
func (c *call) secret(name string) string { return c.r.PostForm.Get(name) }

// complain puts err beside the fields that it is about and reports whether the
// form is to be shown again (422); if not, err is for the error page, or nil.
func (c *call) complain(f *templates.Form, err error) bool {
	list, ok := complaints(err)
	for _, e := range list {
		f.Complain(e.Field, templates.ErrorText(c.t, e))
		if f.Help == "" {
			f.Help = templates.HelpFor(e.Kind, e.Key)
		}
	}
	return ok
}

// showAgain answers a failed POST with the same page, complaints and all.
func (c *call) showAgain(body templ.Component) error {
	return c.showStatus(http.StatusUnprocessableEntity, body)
}
