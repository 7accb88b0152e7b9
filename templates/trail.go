package templates

import (
	"strings"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// trailURL is where a question about a mailbox goes.
func trailURL(v portal.TrailPage) string {
	if v.Blind {
		return "/admin/sync/trail/" + v.Mailbox.ID
	}
	return "/mail/trail"
}

func trailLabel(p Page, blind bool) string {
	if blind {
		return p.Text("trail.field.blind")
	}
	return p.Text("trail.field")
}

func trailHint(p Page, blind bool) string {
	if blind {
		return p.Text("trail.hint.blind")
	}
	return p.Text("trail.hint")
}

func endTone(e portal.TrailEnd) string {
	switch e {
	case portal.TrailStored, portal.TrailKept:
		return "ok"
	case portal.TrailQuarantine:
		return "warn"
	}
	return "idle"
}

func seenText(p Page, r portal.TrailRow) string {
	if r.Seen {
		return p.Text("trail.now.read")
	}
	return p.Text("trail.now.unread")
}

// stepText says what happened.
func stepText(p Page, s portal.TrailStep) string {
	key := "trail.step." + string(s.Kind)
	folder := sourceFolder(p, s.Folder)
	switch s.Kind {
	case portal.StepSeen, portal.StepLeft, portal.StepRemovedFrom:
		return p.Text(key, "folder", folder)
	case portal.StepStored:
		return p.Text(key, "otys", otysName(p, s.OTYS))
	case portal.StepMoved:
		return p.Text(key, "folder", folder, "to", sourceFolder(p, s.To))
	case portal.StepLinked:
		return p.Text(key, "name", s.Person.Name, "address", s.Address, "header", headerName(p, s.Role))
	case portal.StepHand:
		if s.By != "" {
			return p.Text("trail.step.linked_by", "name", s.Person.Name, "by", s.By)
		}
		return p.Text(key, "name", s.Person.Name)
	case portal.StepWaiting:
		return p.Text(key, "address", s.Address)
	case portal.StepLinkedBlind, portal.StepWaitBlind:
		return p.Text(key, "n", s.N)
	case portal.StepQuarantined:
		return p.Text(key, "folder", folder, "reason", ProblemText(p.T, s.Problem))
	case portal.StepGivenUp:
		by := firstOf(s.By, p.Text("trail.somebody"))
		if s.Reason != "" {
			return p.Text("trail.step.given_up_for", "by", by, "reason", s.Reason)
		}
		return p.Text(key, "by", by)
	}
	return p.Text(key)
}

func headerName(p Page, r mailroom.HeaderRole) string {
	switch r {
	case mailroom.RoleTo:
		return p.Text("message.to")
	case mailroom.RoleCc:
		return p.Text("message.cc")
	case mailroom.RoleBcc:
		return p.Text("message.bcc")
	}
	return p.Text("message.from")
}

// findText says why a mail that lies in the mailbox is not in OTYS.
func findText(p Page, f portal.TrailFind) string {
	text := p.Text("trail.find."+string(f.End), "n", f.N, "folder", sourceFolder(p, f.Folder),
		"position", f.Position, "backlog", f.Backlog, "date", p.Date(f.Since))
	switch {
	case f.End == portal.FindGivenUp && f.Words != "":
		return text + ": " + f.Words
	case f.End == portal.FindGivenUp:
		return text + "."
	}
	return text
}

// searchedText lists the folders that were searched, that refused, and that
// there was no time left for.
func searchedText(p Page, search []mailroom.FolderFind) []string {
	var done, failed, left []string
	var at time.Time
	for _, f := range search {
		name := sourceFolder(p, f.Folder)
		switch {
		case f.At.IsZero():
			left = append(left, name)
		case f.Error:
			failed = append(failed, name)
		default:
			done, at = append(done, name), f.At
		}
	}
	var out []string
	if len(done) > 0 {
		out = append(out, p.Text("trail.looked.searched", "n", len(done), "time", p.At(at, p.Now), "folders", p.List(done)))
	}
	if len(failed) > 0 {
		out = append(out, p.Text("trail.looked.failed", "folders", p.List(failed)))
	}
	if len(left) > 0 {
		out = append(out, p.Text("trail.looked.left", "folders", p.List(left)))
	}
	return out
}

// sumText is on server = stored + skipped + given up + set aside + to do.
func sumText(p Page, m portal.MappingRow) string {
	pr := m.Progress
	parts := []string{p.Text("trail.sum.stored", "n", pr.Stored)}
	add := func(n int64, key string, args ...any) {
		if n > 0 {
			parts = append(parts, p.Text(key, append([]any{"n", n}, args...)...))
		}
	}
	add(pr.Backlog.Len(), "trail.sum.backlog")
	if m.Mapping.Since.IsZero() {
		add(pr.Skipped.Len(), "trail.sum.skipped_plain")
	} else {
		add(pr.Skipped.Len(), "trail.sum.skipped", "date", p.Date(m.Mapping.Since))
	}
	add(pr.Quarantined, "trail.sum.quarantined")
	add(pr.Dropped, "trail.sum.dropped")
	return p.Text("trail.sum.server", "n", pr.OnServer) + ": " + strings.Join(parts, " · ")
}

func unaccountedText(p Page, m portal.MappingRow) string {
	if n := m.Unaccounted(); n > 0 {
		return p.Text("finding.sum", "n", n)
	}
	return p.Text("finding.sum.too_many")
}

// findingText tells one difference: "On 3 Nov 14:02, 3 mails were in Archive that
// Mailroom did not know of; repaired 14:03."
func findingText(p Page, m portal.MappingRow, f mailroom.Finding) string {
	text := p.Text("finding."+string(f.Kind), "n", f.Count, "folder", MappingName(p, m.Mapping), "time", p.DateTime(f.At))
	if f.RepairedAt.IsZero() {
		return text + "; " + p.Text("finding.open") + "."
	}
	return text + "; " + p.Text("finding.repaired", "time", p.At(f.RepairedAt, f.At)) + "."
}
