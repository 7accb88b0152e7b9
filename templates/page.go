// Package templates is what pages look like. It decides nothing but what to
// show; each page takes one view struct of the portal's and the Page that all
// share.
//
// It reads no request, asks nobody for data and holds no text: words come from
// i18n by their keys. The _templ.go files are generated (go tool templ
// generate) and committed.
package templates

import (
	"strings"
	"time"

	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
)

// Page is what every page knows.
type Page struct {
	i18n.T
	User      mailroom.User // zero for a stranger
	Nav       string        // entry of the top navigation: "mail", "people", "settings", "sync", "help"
	Title     string
	Path      string // of this page, with its query
	Now       time.Time
	Flash     []Flash
	Reference string // of this request in the log
	// Retry is this page once more, "" where asking again would do something again.
	Retry string
	// Refresh is where the browser is sent at once, "" for nowhere.
	Refresh string
}

// Flash is a message about what was just done. Kind is "done", "note" or "bad".
type Flash struct {
	Kind, Text string
	Links      []FlashLink `json:",omitempty"`
}

// FlashLink leads to what can be done about what was just done.
type FlashLink struct{ Href, Text string }

// SignedIn reports whether somebody is.
func (p Page) SignedIn() bool { return p.User.ID != "" }

// Form is what was typed and what is wrong with it.
type Form struct {
	values     map[string]string
	complaints map[string]string
	Help       string // help page about the first complaint, "" without
}

// Set remembers what was typed into a field.
func (f *Form) Set(field, value string) {
	if f.values == nil {
		f.values = map[string]string{}
	}
	f.values[field] = value
}

// Value is what was typed into a field.
func (f Form) Value(field string) string { return f.values[field] }

// Is reports whether a field has a value: for ticks and choices.
func (f Form) Is(field, value string) bool { return f.values[field] == value }

// Complain says what is wrong with a field, or with the whole for "". The first
// complaint about a field stands.
func (f *Form) Complain(field, text string) {
	if f.complaints == nil {
		f.complaints = map[string]string{}
	}
	if _, stands := f.complaints[field]; !stands {
		f.complaints[field] = text
	}
}

// Complaint is what is wrong with a field, "" for nothing.
func (f Form) Complaint(field string) string { return f.complaints[field] }

// OK reports whether there is nothing to complain of.
func (f Form) OK() bool { return len(f.complaints) == 0 }

// ErrorText puts an error into words. A key that no language knows falls back
// on words for its kind, never on the key.
func ErrorText(t i18n.T, e *mailroom.Error) string { return problemText(t, e.Kind, e.Key, e.Args) }

// ProblemText puts a problem into words.
func ProblemText(t i18n.T, p *mailroom.Problem) string { return problemText(t, p.Kind, p.Key, p.Args) }

func problemText(t i18n.T, kind mailroom.Kind, key string, args map[string]any) string {
	if t.Has(key) {
		return t.Text(key, args)
	}
	return t.Text("error.kind." + string(kind))
}

// Outage reports whether an error is Mailroom's own database, or the disk below
// it: nobody who reads the page did anything wrong, and it passes for all at once.
func Outage(e *mailroom.Error) bool {
	switch e.Key {
	case "error.unavailable", "error.database", "error.disk_full", "error.read_only":
		return true
	}
	return false
}

// fieldID is an id for a field's name: names may hold dots and colons.
func fieldID(name string) string {
	return "f-" + strings.NewReplacer(".", "-", ":", "-", "@", "-").Replace(name)
}

// describedBy lists the ids that describe a field, "" for none.
func describedBy(name, hint, complaint string) string {
	var ids []string
	if complaint != "" {
		ids = append(ids, fieldID(name)+"-complaint")
	}
	if hint != "" {
		ids = append(ids, fieldID(name)+"-hint")
	}
	return strings.Join(ids, " ")
}

// stateTone is the dot's colour class for a state.
func stateTone(s mailroom.State) string {
	switch s {
	case mailroom.StateUpToDate:
		return "ok"
	case mailroom.StateSyncing, mailroom.StateWaiting:
		return "busy"
	case mailroom.StateBehind, mailroom.StateThrottled, mailroom.StateTrouble, mailroom.StateGone:
		return "warn"
	case mailroom.StateNeedsYou, mailroom.StateNeedsAdmin:
		return "bad"
	case mailroom.StateNotSetUp:
		return "none"
	}
	return "idle"
}
