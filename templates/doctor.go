package templates

import (
	"slices"
	"strings"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// doctorChoices are the mailboxes to choose from; the last is any other address.
func doctorChoices(p Page, v portal.DoctorPage) []Option {
	var out []Option
	for _, r := range v.Mailboxes {
		text := r.Mailbox.Address
		if r.Owner.Name != "" {
			text += " · " + r.Owner.Name
		}
		out = append(out, Option{r.Mailbox.ID, text})
	}
	return append(out, Option{"", p.Text("doctor.other")})
}

func directoryChoices(v portal.DoctorPage) []Option {
	var out []Option
	for _, pr := range v.Directories {
		out = append(out, Option{pr.ID, pr.Name})
	}
	return out
}

// lookScopes are what looking asks for, without those of signing in, and without
// the address of the service before them.
func lookScopes(scopes []string) (out []string) {
	for _, s := range scopes {
		if !slices.Contains([]string{"openid", "profile", "email", "offline_access"}, s) {
			out = append(out, s[strings.LastIndexByte(s, '/')+1:])
		}
	}
	return out
}

// doctorTone is how a report came out in one colour.
func doctorTone(l portal.DoctorLine) string {
	switch {
	case l.Failed > 0:
		return "bad"
	case l.NotLooked > 0:
		return "warn"
	}
	return "ok"
}

// doctorSums says it in words: "2 not OK · 1 not checked".
func doctorSums(p Page, l portal.DoctorLine) string {
	switch {
	case l.Failed > 0 && l.NotLooked > 0:
		return p.Text("doctor.sum.failed", "n", l.Failed) + " · " + p.Text("doctor.sum.unknown", "n", l.NotLooked)
	case l.Failed > 0:
		return p.Text("doctor.sum.failed", "n", l.Failed)
	case l.NotLooked > 0:
		return p.Text("doctor.sum.unknown", "n", l.NotLooked)
	}
	return p.Text("doctor.sum.ok")
}

// reporter is who made a report.
func reporter(p Page, l portal.DoctorLine) string {
	switch {
	case l.Report.Self:
		return p.Text("doctor.by_self", "name", l.By.Name)
	case l.By.ID == "":
		return p.Text("audit.somebody")
	}
	return l.By.Name
}

// doctorConsoles are the administrator's web pages, in the order of the steps.
func doctorConsoles(pr *mailroom.Provider) (out []FlashLink) {
	if pr == nil {
		return nil
	}
	for _, name := range []string{"entra", "licences", "exchange"} {
		if to := pr.Consoles[name]; to != "" {
			out = append(out, FlashLink{Href: to, Text: name})
		}
	}
	return out
}

// doctorScope is a permission of the doctor's in plain words, "" for one that we
// have none for.
func doctorScope(p Page, scope string) string {
	key := "doctor.scope." + strings.ToLower(strings.ReplaceAll(scope, ".", "_"))
	if !p.Has(key) {
		return ""
	}
	return p.Text(key)
}
