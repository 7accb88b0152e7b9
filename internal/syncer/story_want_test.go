package syncer

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// want checks figures: numbers by =, <= or >=, words by =.
func want(w *world, a []string) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	var have map[string]string
	switch a[0] {
	case "mailbox":
		have = w.mailboxFigures()
	case "server":
		have = w.serverFigures()
	default:
		have = w.folderFigures(a[0])
	}
	for _, claim := range a[1:] {
		i := strings.IndexAny(claim, "<>=")
		key, op := claim[:i], "="
		val := claim[i+1:]
		if claim[i] != '=' {
			op, val = claim[i:i+2], claim[i+2:]
		}
		got, ok := have[key]
		if !ok {
			w.t.Fatalf("%s: nothing is known as %s", w.at, key)
		}
		if !agrees(got, op, val) {
			w.t.Errorf("%s: %s is %s", w.at, key, got)
		}
	}
}

func agrees(got, op, val string) bool {
	if op == "=" {
		return got == val
	}
	g, err1 := time.ParseDuration(got)
	v, err2 := time.ParseDuration(val)
	if err1 != nil || err2 != nil {
		gn, _ := strconv.Atoi(got)
		vn, _ := strconv.Atoi(val)
		g, v = time.Duration(gn), time.Duration(vn)
	}
	if op == "<=" {
		return g <= v
	}
	return g >= v
}

func problemText(p *mailroom.Problem) string {
	if p == nil {
		return "none"
	}
	return string(p.Kind) + "/" + p.Key
}

func (w *world) mailboxFigures() map[string]string {
	s := w.store
	dones := "no"
	if s.mailbox.Done == s.mailbox.Wanted {
		dones = "yes"
	}
	held := "no"
	if s.owner != "" && time.Now().Before(s.lease) {
		held = "yes"
	}
	failed := 0
	for _, r := range s.runs {
		if r.Problem != nil {
			failed++
		}
	}
	seen := 0
	for range s.read {
		seen++
	}
	return map[string]string{
		"problem": problemText(s.mailbox.Problem), "failures": strconv.Itoa(s.failures), "answered": dones, "held": held,
		"owner": s.owner, "retry": time.Until(s.retryAt).Round(time.Second).String(),
		"messages": strconv.Itoa(len(s.messages)), "mappings": strconv.Itoa(len(s.mappings)), "runs": strconv.Itoa(len(s.runs)), "failedruns": strconv.Itoa(failed),
		"read": strconv.Itoa(seen), "puts": strconv.Itoa(w.blobs.put), "opened": strconv.Itoa(w.blobs.opened), "blobs": strconv.Itoa(len(s.blobs)),
		"removed": strconv.Itoa(s.removed), "leaving": strconv.Itoa(len(s.leaving)), "writes": strconv.Itoa(s.writes), "delivered": strconv.Itoa(len(s.delivered["ofo_Inbox"])),
	}
}

func (w *world) serverFigures() map[string]string {
	s := w.server
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]string{"logins": strconv.Itoa(s.logins), "most": strconv.Itoa(s.most), "open": strconv.Itoa(len(s.conns)),
		"fetched": strconv.Itoa(s.fetched), "calls": strconv.Itoa(s.calls), "examines": strconv.Itoa(s.examines), "searches": strconv.Itoa(s.searches),
		"flagreads": strconv.Itoa(s.flagged)}
}

func (w *world) folderFigures(name string) map[string]string {
	s := w.store
	m := w.mapping(name)
	p := s.progress[m.ID]
	held := s.held(m.RawName, p.Cursor.UIDValidity)
	placed, quarantined := held.Placed, held.Quarantined
	first, last := "none", "none"
	var latest time.Time
	for _, at := range s.order {
		if at.raw == name {
			if first == "none" {
				first = strconv.Itoa(int(at.uid))
			}
			last = strconv.Itoa(int(at.uid))
			latest = s.placed[at].at
		}
	}
	reason, attempts, gone := "none", 0, 0
	var versions []string
	for at, q := range s.quarantine {
		if at.raw == name {
			reason, attempts = q.Reason.Key, max(attempts, q.Attempts)
			versions = append(versions, q.Version)
			if !q.GoneAt.IsZero() {
				gone++
			}
		}
	}
	open := 0
	counts := map[mailroom.FindingKind]int64{}
	for _, f := range s.findings {
		if f.MappingID == m.ID {
			counts[f.Kind] += f.Count
			if f.RepairedAt.IsZero() {
				open++
			}
		}
	}
	found := func(k mailroom.FindingKind) string { return fmt.Sprint(counts[k]) }
	newest := fmt.Sprint(placed.Max())
	followed := w.followedFrom(name)
	state := mailroom.MappingState(*m, p, w.now())
	return map[string]string{
		"server": fmt.Sprint(p.OnServer), "stored": fmt.Sprint(p.Stored), "quarantined": fmt.Sprint(p.Quarantined),
		"skipped": fmt.Sprint(p.Skipped.Len()), "backlog": fmt.Sprint(p.Backlog.Len()), "rows": fmt.Sprint(placed.Len()),
		"quarantinerows": fmt.Sprint(quarantined.Len()), "problem": problemText(p.Problem), "failures": fmt.Sprint(p.Failures),
		"fresh": w.now().Sub(p.CheckedAt).Round(time.Millisecond).String(), "first": first, "last": last, "reason": reason, "followed": followed,
		"attempts": strconv.Itoa(attempts), "keptgone": strconv.Itoa(gone), "newest": newest, "age": time.Since(latest).Round(time.Millisecond).String(), "state": string(state), "stage": string(p.Stage),
		"validity": fmt.Sprint(p.Cursor.UIDValidity), "total": fmt.Sprint(p.BackfillTotal), "dropped": fmt.Sprint(p.Dropped),
		"sightings": fmt.Sprint(len(s.sighted[m.ID])), "compared": w.now().Sub(p.ComparedAt).Round(time.Millisecond).String(),
		"rate": fmt.Sprint(p.RateMails), "byterate": fmt.Sprint(p.RateBytes), "bytes": fmt.Sprint(p.BackfillBytes),
		"edge": p.BackfillEdge.Format(time.DateOnly), "flagsedge": fmt.Sprint(p.FlagsEdge),
		"missed": found(mailroom.FoundMissed), "back": found(mailroom.FoundBack), "short": found(mailroom.FoundShort), "open": strconv.Itoa(open),
		"scanned": w.now().Sub(p.FlagsAt).Round(time.Second).String(), "versions": strings.Join(versions, ","),
	}
}
