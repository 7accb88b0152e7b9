package templates

import (
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

func faultTitle(f portal.ProviderFault) string {
	if f.Kind == mailroom.Unavailable {
		return "sync.fault.provider"
	}
	return "sync.fault.reason_shared"
}

// stateCount is how many mailboxes are in a state.
type stateCount struct {
	state mailroom.State
	n     int
}

// stateOrder is from fine to worst, as the summary tells it.
var stateOrder = []mailroom.State{
	mailroom.StateUpToDate, mailroom.StateSyncing, mailroom.StateWaiting, mailroom.StatePaused, mailroom.StateNotSetUp,
	mailroom.StateBehind, mailroom.StateThrottled, mailroom.StateTrouble, mailroom.StateGone, mailroom.StateNeedsYou, mailroom.StateNeedsAdmin,
}

func stateCounts(v portal.SyncState) (out []stateCount) {
	for _, s := range stateOrder {
		if n := v.Counts[s]; n > 0 {
			out = append(out, stateCount{s, n})
		}
	}
	return out
}

func troubled(v portal.SyncState) (n int) {
	for s, count := range v.Counts {
		if s.Troubled() {
			n += count
		}
	}
	return n
}

func mailboxesIn(v portal.SyncState) (n int) {
	for _, count := range v.Counts {
		n += count
	}
	return n
}

func syncURL(trouble bool) string {
	if trouble {
		return "/admin/sync?trouble=1"
	}
	return "/admin/sync"
}

// freshness is how far a mailbox is behind its source: that of its mapping whose
// last proof is oldest. "" when nothing is read.
func freshness(p Page, r portal.SyncStateRow) string {
	var oldest *portal.MappingRow
	for i, m := range r.Mappings {
		if m.Mapping.Paused {
			continue
		}
		if oldest == nil || m.Progress.CheckedAt.Before(oldest.Progress.CheckedAt) {
			oldest = &r.Mappings[i]
		}
	}
	if oldest == nil {
		return ""
	}
	return behind(p, *oldest)
}

// behind is the time since a check last proved that a folder holds nothing that
// we do not know.
func behind(p Page, m portal.MappingRow) string {
	if m.Progress.CheckedAt.IsZero() {
		return p.Text("sync.never", "folder", MappingName(p, m.Mapping))
	}
	return p.Text("sync.behind", "folder", MappingName(p, m.Mapping), "duration", p.Duration(p.Now.Sub(m.Progress.CheckedAt)))
}

// runText is what a reading did.
func runText(p Page, r mailroom.SyncRun) string {
	text := p.Text("sync.run.stored", "n", r.Stored)
	if r.Quarantined > 0 {
		text += ", " + p.Text("mappings.quarantined", "n", r.Quarantined)
	}
	return text
}

func runTook(r mailroom.SyncRun) time.Duration {
	if r.EndedAt.IsZero() {
		return 0
	}
	return r.EndedAt.Sub(r.StartedAt)
}

func hasFindings(m portal.MappingRow) bool {
	return len(m.Findings) > 0 || m.Unaccounted() != 0 && m.State == mailroom.StateBehind
}

// stoppedText says since when nothing is read, as far as that is known.
func stoppedText(p Page, pr *mailroom.Problem) string {
	if pr.Since.IsZero() {
		return p.Text("sync.stopped.plain")
	}
	return p.Text("sync.stopped", "time", p.At(pr.Since, p.Now))
}
