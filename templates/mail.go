package templates

import (
	"net/url"
	"strings"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// MailURL is the address of a page of the OTYS mailbox.
func MailURL(q portal.MailQuery) string {
	v := url.Values{}
	if q.FolderID != "" {
		v.Set("folder", q.FolderID)
	}
	if q.Search != "" {
		v.Set("q", q.Search)
	}
	if q.Unread {
		v.Set("unread", "1")
	}
	if q.Before != "" {
		v.Set("before", q.Before)
	}
	if len(v) == 0 {
		return "/mail"
	}
	return "/mail?" + v.Encode()
}

// inFolder is the same question about another folder, from its newest mail on.
func inFolder(q portal.MailQuery, folder string) string {
	q.FolderID, q.Before = folder, ""
	return MailURL(q)
}

func withUnread(q portal.MailQuery, only bool) string {
	q.Unread, q.Before = only, ""
	return MailURL(q)
}

func withBefore(q portal.MailQuery, before string) string {
	q.Before = before
	return MailURL(q)
}

func withoutSearch(q portal.MailQuery) string {
	q.Search, q.Before = "", ""
	return MailURL(q)
}

// MailHref is the address of a message, with the list to go back to. A list
// goes back to the row itself.
func MailHref(id, list string) string {
	if list == "/mail" || list == "" {
		return "/mail/" + id
	}
	return "/mail/" + id + "?from=" + url.QueryEscape(list)
}

// MailTitle names the folder or search that a list shows.
func MailTitle(p Page, v portal.MailList) string {
	switch {
	case v.Current.ID != "":
		return otysName(p, v.Current)
	case v.Query.Search != "":
		return p.Text("mail.found")
	}
	return p.Text("mail.all")
}

// unreadTotal is for the entry of all folders.
func unreadTotal(v portal.MailList) (n int64) {
	for _, f := range v.Folders {
		n += f.Unread
	}
	return n
}

// source is what the top of the list says about where mail comes from.
type source struct {
	checked     time.Time // oldest proof of the mappings that are read
	done, total int64     // of running backfills
	note        string
}

func sourceOf(p Page, v portal.MailList) (s source) {
	rate, finish := 0.0, time.Time{}
	s.checked = portal.OldestProof(v.Mappings)
	for _, m := range v.Mappings {
		if m.Mapping.Paused || m.State != mailroom.StateSyncing {
			continue
		}
		s.done += m.Done()
		s.total += m.Progress.OnServer
		rate += m.Rate
		if m.Finish.After(finish) {
			finish = m.Finish
		}
	}
	var parts []string
	if rate >= 1 {
		parts = append(parts, p.Text("mail.rate", "n", int64(rate)))
	}
	if finish.After(p.Now) {
		parts = append(parts, p.Text("mappings.finish", "duration", p.About(finish.Sub(p.Now))), p.Text("mail.finish_at", "time", p.At(finish, p.Now)))
	}
	s.note = strings.Join(parts, " · ")
	return s
}

// correspondents are the people at the other end, by name: at most two, then
// how many more.
func correspondents(p Page, r portal.MailRow) string {
	list, key := r.From, "mail.from_nobody"
	if r.Sent {
		list, key = r.To, "mail.to_nobody"
	}
	if len(list) == 0 {
		return p.Text(key)
	}
	names := make([]string, 0, 2)
	for _, a := range list[:min(len(list), 2)] {
		names = append(names, addressName(a))
	}
	text := strings.Join(names, ", ")
	if more := len(list) - len(names); more > 0 {
		text += " " + p.Text("mail.more", "n", more)
	}
	if r.Sent {
		return p.Text("mail.to", "names", text)
	}
	return text
}

func addressName(a mailroom.Address) string {
	if name := strings.TrimSpace(a.Name); name != "" {
		return name
	}
	return a.Addr
}

// subject is never empty: a link needs words.
func subject(p Page, s string) string {
	if strings.TrimSpace(s) == "" {
		return p.Text("mail.no_subject")
	}
	return s
}

// shownPeople are the chips that fit in a line.
const shownPeople = 3

func personTone(k mailroom.PersonKind) string {
	if k == mailroom.Candidate {
		return "candidate"
	}
	return ""
}

// fed reports whether any IMAP folder goes to the OTYS folder.
func fed(v portal.MailList) bool {
	for _, m := range v.Mappings {
		if m.Mapping.OTYSFolderID == v.Current.ID {
			return true
		}
	}
	return v.Current.ID == ""
}

// emptyCase says why a list has no rows: the last part of a message key.
func emptyCase(v portal.MailList) string {
	switch {
	case v.Query.Search != "":
		return "search"
	case v.Query.Before != "":
		return "older"
	case v.Query.Unread:
		return "unread"
	case v.Mailbox.Address == "":
		return "no_mailbox"
	case v.State == mailroom.StateNotSetUp && len(v.Mappings) == 0:
		return "no_mappings"
	case v.State == mailroom.StateNotSetUp:
		return "no_grant"
	case !fed(v):
		return "not_fed"
	case v.State == mailroom.StateWaiting:
		return "waiting"
	case v.State == mailroom.StateSyncing:
		return "syncing"
	case v.State == mailroom.StateNeedsYou || v.State == mailroom.StateNeedsAdmin:
		return "blocked"
	}
	return "folder"
}
