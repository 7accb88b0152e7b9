package portal

import (
	"context"
	"slices"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// SyncState is the administrator's page: every mailbox of the organization, or
// only those in trouble. Counts are of all of them.
func (p *Portal) SyncState(ctx context.Context, u mailroom.User, trouble bool) (SyncState, error) {
	v := SyncState{Trouble: trouble, Counts: map[mailroom.State]int{}}
	if !u.IsAdmin() {
		return v, forbidden()
	}
	mailboxes, err := p.d.Store.MailboxRows(ctx, u.OrgID)
	if err != nil {
		return v, err
	}
	stored, err := p.d.Store.MappingRowsOfOrg(ctx, u.OrgID)
	if err != nil {
		return v, err
	}
	findings, err := p.d.Store.Findings(ctx, u.OrgID, "", manyFindings)
	if err != nil {
		return v, err
	}
	refusals, err := p.d.Store.Refusals(ctx, u.OrgID)
	if err != nil {
		return v, err
	}
	now := p.now()
	v.Stopped = p.stopped(ctx, now)
	shared := map[string]bool{}
	v.Faults = p.faults(ctx, u.OrgID, mailroom.Faults(refusals), mailboxes, shared)
	rows := map[string][]MappingRow{}
	for _, r := range rowsOf(stored, findings, now) {
		rows[r.Mapping.MailboxID] = append(rows[r.Mapping.MailboxID], r)
	}
	for _, m := range mailboxes {
		row := p.syncStateRow(ctx, m, rows[m.Mailbox.ID])
		row.Shared = row.Problem != nil && shared[m.Mailbox.ID]
		v.Counts[row.State]++
		if !trouble || row.State.Troubled() {
			v.Rows = append(v.Rows, row)
		}
	}
	slices.SortStableFunc(v.Rows, func(a, b SyncStateRow) int {
		if at, bt := a.State.Troubled(), b.State.Troubled(); at != bt {
			if at {
				return -1
			}
			return 1
		}
		return strings.Compare(strings.ToLower(a.Owner.Name), strings.ToLower(b.Owner.Name))
	})
	return v, nil
}

// faults names the providers of faults, and notes whose trouble they are.
func (p *Portal) faults(ctx context.Context, orgID string, all []mailroom.Fault, mailboxes []mailroom.MailboxRow, shared map[string]bool) (out []ProviderFault) {
	for _, f := range all {
		v := ProviderFault{Fault: f, Provider: f.ProviderID, Operator: f.ProviderID}
		if pr, ok := p.provider(ctx, orgID, f.ProviderID); ok {
			v.Provider, v.Operator = pr.Name, pr.Operator()
		}
		for _, m := range mailboxes {
			if m.HasGrant && m.Mailbox.ProviderID == f.ProviderID {
				v.Of++
			}
		}
		for _, id := range f.Mailboxes {
			shared[id] = true
		}
		out = append(out, v)
	}
	return out
}

func (p *Portal) syncStateRow(ctx context.Context, m mailroom.MailboxRow, rows []MappingRow) SyncStateRow {
	row := SyncStateRow{
		Mailbox: m.Mailbox, Owner: m.Owner, Mappings: rows, Problem: m.Mailbox.Problem,
		State:     mailroom.MailboxState(m.Mailbox, m.Ready(), statesOf(rows)),
		CheckedAt: OldestProof(rows),
	}
	if !m.Owner.DisabledAt.IsZero() {
		row.State = mailroom.StatePaused // a disabled user's mailbox is not read
	}
	if pr, ok := p.provider(ctx, m.Mailbox.OrgID, m.Mailbox.ProviderID); ok {
		row.Provider = pr.Name
	}
	if row.Problem == nil {
		row.Problem = worstProblem(rows)
	}
	row.Mappings = p.under(ctx, m, rows)
	return row
}

// OldestProof is when all mappings that are read were last known to be whole;
// zero when one of them never was.
func OldestProof(rows []MappingRow) time.Time {
	var oldest time.Time
	for _, r := range rows {
		if r.Mapping.Paused {
			continue
		}
		if r.Progress.CheckedAt.IsZero() {
			return time.Time{}
		}
		if oldest.IsZero() || r.Progress.CheckedAt.Before(oldest) {
			oldest = r.Progress.CheckedAt
		}
	}
	return oldest
}

// worstProblem is the one that most needs a person.
func worstProblem(rows []MappingRow) *mailroom.Problem {
	rank := map[string]int{"nobody": 0, "you": 1, "admin": 2, "vendor": 3}
	var worst *mailroom.Problem
	for _, r := range rows {
		if pr := r.Progress.Problem; pr != nil && (worst == nil || rank[pr.Kind.Fixer()] > rank[worst.Kind.Fixer()]) {
			worst = pr
		}
	}
	return worst
}

// Runs are the last readings of a mapping and what its comparisons found, newest
// first.
func (p *Portal) Runs(ctx context.Context, u mailroom.User, mappingID string) (RunsPage, error) {
	m, row, err := p.reachMapping(ctx, u, mappingID)
	v := RunsPage{Owner: row.Owner}
	if err != nil {
		return v, err
	}
	stored, err := p.d.Store.MappingRows(ctx, m.MailboxID)
	if err != nil {
		return v, err
	}
	findings, err := p.d.Store.Findings(ctx, u.OrgID, m.MailboxID, manyFindings)
	if err != nil {
		return v, err
	}
	for _, r := range p.under(ctx, row, rowsOf(stored, findings, p.now())) {
		if r.Mapping.ID == mappingID {
			v.Row = r
		}
	}
	for _, f := range findings {
		if f.MappingID == mappingID {
			v.Findings = append(v.Findings, f)
		}
	}
	v.Runs, err = p.d.Store.Runs(ctx, u.OrgID, mappingID, 50)
	return v, err
}

// silence is after what time without a sign of life from any node reading counts
// as stopped: some leases' lifetimes.
const silence = 3 * time.Minute

// stopped says why nothing is being read at all: the database takes no write, or
// no process that reads has given a sign of life for some time.
func (p *Portal) stopped(ctx context.Context, now time.Time) *mailroom.Problem {
	seen, err := p.d.Store.ReadersSeen(ctx)
	if err == nil && p.d.Writable != nil {
		err = p.d.Writable(ctx)
	}
	if err != nil {
		return mailroom.ProblemOf(err, seen)
	}
	if !seen.IsZero() && now.Sub(seen) > silence {
		return mailroom.ProblemOf(mailroom.E(mailroom.NeedsVendor, "sync.error.nobody_reads"), seen)
	}
	return nil
}
