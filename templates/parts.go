package templates

import (
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"mailroom/internal/mailroom"
)

// current marks the link of the page that one is on.
func current(is bool) templ.Attributes {
	if !is {
		return nil
	}
	return templ.Attributes{"aria-current": "page"}
}

func pressed(is bool) string { return strconv.FormatBool(is) }

// Field is one field of a form. Type is an input type: "text" when empty.
type Field struct {
	Name, Label, Hint string
	Type              string
	Autocomplete      string
	Placeholder       string
	InputMode         string
	Required, Focus   bool
	Max               int
}

func (fl Field) attributes(f Form) templ.Attributes {
	a := templ.Attributes{
		"id": fieldID(fl.Name), "name": fl.Name, "type": fl.kind(),
		"required": fl.Required, "autofocus": fl.Focus || f.Complaint(fl.Name) != "",
	}
	set := func(name, value string) {
		if value != "" {
			a[name] = value
		}
	}
	if fl.kind() != "password" {
		set("value", f.Value(fl.Name))
	}
	set("autocomplete", fl.Autocomplete)
	set("placeholder", fl.Placeholder)
	set("inputmode", fl.InputMode)
	set("aria-describedby", describedBy(fl.Name, fl.Hint, f.Complaint(fl.Name)))
	if f.Complaint(fl.Name) != "" {
		a["aria-invalid"] = "true"
	}
	if fl.Max > 0 {
		a["maxlength"] = strconv.Itoa(fl.Max)
	}
	if fl.kind() == "email" || fl.kind() == "text" {
		a["spellcheck"] = "false"
	}
	return a
}

func (fl Field) kind() string {
	if fl.Type == "" {
		return "text"
	}
	return fl.Type
}

// Option is one entry of a select.
type Option struct{ Value, Text string }

// liveAttributes make an element ask for itself again when something changed,
// and now and then so that "40 s ago" stays true.
func liveAttributes(id, url string, also []string) templ.Attributes {
	a := templ.Attributes{
		"id": id, "hx-get": url, "hx-select": "#" + id, "hx-target": "this", "hx-swap": "outerMorph",
		"hx-trigger": "changed from:body throttle:1s, every 30s",
	}
	if len(also) > 0 {
		specs := make([]string, len(also))
		for i, other := range also {
			specs[i] = "#" + other + ":outerMorph"
		}
		a["hx-select-oob"] = strings.Join(specs, ",")
	}
	return a
}

// askedToWait reports whether a problem is a provider's wish to be left alone,
// with its name and the time.
func askedToWait(p Page, pr *mailroom.Problem) bool {
	return pr.Kind == mailroom.Throttled && pr.Until.After(p.Now) && pr.Args["provider"] != nil
}

// problemLine is ProblemText with the time that it says.
func problemLine(p Page, pr *mailroom.Problem) string {
	if askedToWait(p, pr) {
		return p.Text("error.asked_to_wait", "provider", pr.Args["provider"], "time", p.At(pr.Until, p.Now))
	}
	return ProblemText(p.T, pr)
}

func iso(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func noticeTone(k mailroom.Kind) string {
	switch k {
	case mailroom.NeedsConsent, mailroom.NeedsAdmin, mailroom.NeedsVendor, mailroom.Internal, mailroom.Invalid:
		return "bad"
	}
	return "warn"
}

func described(f Form, name, hint string) templ.Attributes {
	a := templ.Attributes{}
	if by := describedBy(name, hint, f.Complaint(name)); by != "" {
		a["aria-describedby"] = by
	}
	if f.Complaint(name) != "" {
		a["aria-invalid"] = "true"
	}
	return a
}
