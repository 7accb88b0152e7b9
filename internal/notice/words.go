package notice

import (
	"strconv"
	"strings"
	"time"

	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
)

// letter is one mail that tells a user all of some notices. Who has chosen no
// language gets each.
func (t *Teller) letter(u mailroom.User, ns []mailroom.Notice) Letter {
	langs := i18n.Languages
	if u.Language != "" {
		langs = []string{u.Language}
	}
	l := Letter{ID: ns[0].ID, To: u.Email, Name: u.Name, Language: strings.Join(langs, ", "), At: t.now()}
	var texts []string
	for i, lang := range langs {
		w := words{T: t.d.Texts.For(lang).In(t.d.Location), base: t.d.BaseURL(), at: t.now(), admin: ns[0].Audience.Admin()}
		if i == 0 {
			l.Subject = w.subject(ns)
		}
		texts = append(texts, w.body(u, ns))
	}
	l.Text = strings.Join(texts, "\n\n* * *\n\n")
	return l
}

type words struct {
	i18n.T
	base  string
	at    time.Time
	admin bool
}

func (w words) subject(ns []mailroom.Notice) string {
	if len(ns) > 1 {
		return w.Text("notice.subject.many", "n", len(ns))
	}
	return w.headline(ns[0])
}

// headline says a notice in one line.
func (w words) headline(n mailroom.Notice) string {
	d := n.Data
	switch d.Kind {
	case mailroom.NoticeExpiry:
		key := "notice.headline.ends"
		if !d.Expiry.At.After(w.at) {
			key = "notice.headline.ended"
		}
		return w.Text(key, "what", w.Text(d.Expiry.WhatKey(), "name", d.Expiry.Name, "address", d.Expiry.Address), "date", w.Date(d.Expiry.At))
	case mailroom.NoticeRecovered:
		return w.Text("notice.headline.recovered", "address", d.Address)
	case mailroom.NoticeFailed:
		if !w.admin && n.Data.Problem.Kind.Fixer() == "you" {
			return w.Text("notice.headline.failed_you", "address", d.Address)
		}
		return w.Text("notice.headline.failed", "address", d.Address)
	}
	return w.Text("notice.headline.test")
}

func (w words) body(u mailroom.User, ns []mailroom.Notice) string {
	parts := []string{w.Text("notice.hello", "name", u.Name)}
	for _, n := range ns {
		parts = append(parts, w.paragraph(n))
	}
	return strings.Join(append(parts, w.Text("notice.foot", "url", w.base)), "\n\n") + "\n"
}

// paragraph says what happened, who can mend it, how, and where.
func (w words) paragraph(n mailroom.Notice) string {
	d := n.Data
	lines := []string{w.headline(n)}
	switch d.Kind {
	case mailroom.NoticeExpiry:
		lines = append(lines, w.Text("expiry.how."+string(d.Expiry.Kind)))
		if d.Expiry.OwnerID != "" && !w.admin {
			return strings.Join(append(lines, w.base+"/settings/integrations/oauth"), "\n")
		}
		return strings.Join(append(lines, w.base+"/admin/expiry"), "\n")
	case mailroom.NoticeFailed:
		lines = append(lines, w.Text("notice.since", "owner", d.Owner, "time", w.DateTime(d.Since)), w.problem(d.Problem))
	case mailroom.NoticeRecovered:
		lines = append(lines, w.Text("notice.recovered", "time", w.DateTime(d.Since)))
	case mailroom.NoticeTest:
		lines = append(lines, w.Text("notice.test"))
	}
	link := "/settings/integrations"
	if w.admin {
		link = "/admin/sync"
	}
	return strings.Join(append(lines, w.base+link), "\n")
}

func (w words) problem(p *mailroom.Problem) string {
	key := p.Key
	if admin := mailroom.AdminKey(key); w.admin && w.Has(admin) {
		key = admin
	}
	if !w.Has(key) {
		key = "error.kind." + string(p.Kind)
	}
	text := w.Text(key, p.Args)
	if !w.admin {
		text += " " + w.Text("error.fixer."+p.Kind.Fixer())
	}
	return text
}

// event is a notice for the webhook. It names the mailbox by id and address, as
// the mail to an administrator does, and holds no words: those are for people.
func event(n mailroom.Notice) Event {
	d := n.Data
	data := map[string]any{"organization": n.OrgID}
	e := Event{At: n.CreatedAt, Data: data}
	if id, is := strings.CutPrefix(n.Subject, "mailbox:"); is {
		data["mailbox"], data["address"], data["since"] = id, d.Address, d.Since
	}
	switch d.Kind {
	case mailroom.NoticeExpiry:
		e.Type = "expiry.ahead"
		data["kind"], data["provider"], data["ends_at"] = d.Expiry.Kind, d.Expiry.Provider, d.Expiry.At
		if days, _, dated := strings.Cut(n.Stage, "/"); dated {
			if n, err := strconv.Atoi(days); err == nil {
				data["days"] = n
			}
		}
		if d.Expiry.Address != "" {
			data["mailbox"], data["address"] = d.Expiry.Subject, d.Expiry.Address
		}
	case mailroom.NoticeFailed:
		e.Type = "mailbox.failed"
		data["reason"], data["fixer"] = d.Problem.Key, d.Problem.Kind.Fixer()
	case mailroom.NoticeRecovered:
		e.Type = "mailbox.recovered"
	default:
		e.Type = "mailroom.test"
	}
	return e
}
