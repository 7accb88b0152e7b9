package templates

import (
	"strings"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// reading reports whether a mapping has mail still to be read, so that its bar
// says something.
func reading(r portal.MappingRow) bool {
	return !r.Progress.Backlog.Empty() && r.State != mailroom.StateGone
}

// readingNotes are what is known of a backfill besides its bar: how fast, how
// much, and how far back everything is here.
func readingNotes(p Page, r portal.MappingRow) string {
	var notes []string
	if text := rateText(p, r.Rate); text != "" {
		notes = append(notes, text)
	}
	if r.Progress.BackfillBytes > 0 {
		notes = append(notes, p.Text("progress.read", "size", p.Size(r.Progress.BackfillBytes)))
	}
	if !r.Progress.BackfillEdge.IsZero() {
		notes = append(notes, p.Text("progress.edge", "date", p.Date(r.Progress.BackfillEdge)))
	}
	return strings.Join(notes, " · ")
}

// rateText is a rate in the unit in which it is a number that one can grasp.
func rateText(p Page, perSecond float64) string {
	switch hourly := int64(perSecond*3600 + .5); {
	case hourly <= 0:
		return ""
	case hourly < 600:
		return p.Text("progress.rate.hour", "n", hourly)
	default:
		return p.Text("progress.rate.minute", "n", (hourly+30)/60)
	}
}

// unproven says why a mapping's light is not green although nothing is left to
// read: its sum does not hold, or its last proof is old. "" for neither.
func unproven(p Page, r portal.MappingRow) string {
	switch {
	case r.State != mailroom.StateBehind:
		return ""
	case !r.Progress.Balanced():
		return p.Text("progress.unbalanced", "n", r.Progress.OnServer, "known", r.Progress.Accounted())
	}
	return p.Text("progress.stale", "time", p.Ago(r.Progress.CheckedAt, p.Now), "target", p.Duration(mailroom.FreshnessTarget))
}

// parked reports whether a folder in trouble is left alone until its next try.
func parked(p Page, r portal.MappingRow) bool {
	return r.Progress.Problem != nil && !r.Mapping.Paused && r.Progress.RetryAt.After(p.Now)
}

// ledgerLine is one term of the sum.
type ledgerLine struct {
	key string // message key
	n   int64
}

// ledgerLines are the terms whose sum is what is on the server.
func ledgerLines(pr mailroom.Progress) []ledgerLine {
	return []ledgerLine{
		{"progress.ledger.stored", pr.Stored}, {"progress.ledger.skipped", pr.Skipped.Len()},
		{"progress.ledger.dropped", pr.Dropped}, {"progress.ledger.quarantined", pr.Quarantined},
		{"progress.ledger.backlog", pr.Backlog.Len()},
	}
}

// counted reports whether the folder was ever listed, so that there is a sum.
func counted(r portal.MappingRow) bool {
	return !r.Progress.CheckedAt.IsZero() || r.Progress.OnServer > 0
}
