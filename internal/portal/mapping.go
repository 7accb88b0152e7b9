package portal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// MappingPage is Mail - IMAP Folders Mapping with the folders as last known.
func (p *Portal) MappingPage(ctx context.Context, u mailroom.User) (MappingPage, error) {
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return MappingPage{}, err
	}
	m := row.Mailbox
	v := MappingPage{Mailbox: m, Ready: row.Ready(), Version: m.MappingsVersion, ListedAt: m.FoldersListedAt}
	if v.Rows, err = p.mappingRows(ctx, m.ID); err != nil {
		return v, err
	}
	undos, err := p.d.Store.Undos(ctx, m.ID)
	if err != nil {
		return v, err
	}
	v.Undos = undoRows(undos)
	folders, err := p.d.Store.Folders(ctx, m.ID)
	if err != nil {
		return v, err
	}
	v.Folders = mappable(folders)
	if v.OTYS, err = p.d.Store.OTYSFolders(ctx, u.ID); err != nil {
		return v, err
	}
	if len(v.Rows) == 0 {
		v.Suggested = suggest(v.Folders, v.OTYS)
	}
	v.Rows = p.under(ctx, row, v.Rows)
	return v, nil
}

// suggest is Inbox → Inbox and Sent → Sent items; a folder that is not known
// (yet) leaves its row to be chosen.
func suggest(folders []mailroom.Folder, otys []mailroom.OTYSFolder) []MappingForm {
	var out []MappingForm
	for _, role := range []mailroom.FolderRole{mailroom.RoleInbox, mailroom.RoleSent} {
		var row MappingForm
		if i := slices.IndexFunc(folders, func(f mailroom.Folder) bool { return f.Role == role }); i >= 0 {
			row.RawName = folders[i].RawName
		}
		if i := slices.IndexFunc(otys, func(f mailroom.OTYSFolder) bool { return f.Role == role }); i >= 0 {
			row.OTYSFolder = otys[i].ID
		}
		out = append(out, row)
	}
	return out
}

// Mapped are the user's mappings as they are stored, without what follows from
// them at a time.
func (p *Portal) Mapped(ctx context.Context, u mailroom.User) ([]mailroom.MappingRow, error) {
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return nil, err
	}
	return p.d.Store.MappingRows(ctx, row.Mailbox.ID)
}

func (p *Portal) mappingRows(ctx context.Context, mailboxID string) ([]MappingRow, error) {
	stored, err := p.d.Store.MappingRows(ctx, mailboxID)
	if err != nil {
		return nil, err
	}
	if len(stored) == 0 {
		return nil, nil
	}
	findings, err := p.d.Store.Findings(ctx, stored[0].Mapping.OrgID, mailboxID, manyFindings)
	if err != nil {
		return nil, err
	}
	return rowsOf(stored, findings, p.now()), nil
}

// rowsOf makes rows of pages of what is stored, in its order.
func rowsOf(stored []mailroom.MappingRow, findings []mailroom.Finding, now time.Time) []MappingRow {
	var out []MappingRow
	for _, r := range stored {
		out = append(out, compared(mappingRow(r, now), findings))
	}
	return out
}

const (
	// manyFindings is how many differences are looked through for a page.
	manyFindings = 2000
	// fewFindings is how many repaired ones a row shows.
	fewFindings = 3
)

// compared adds to a row what comparisons found. A row with a difference that
// is not repaired, or whose sum does not hold, is not up to date.
func compared(r MappingRow, findings []mailroom.Finding) MappingRow {
	repaired, open := 0, false
	for _, f := range findings {
		if f.MappingID != r.Mapping.ID {
			continue
		}
		if f.RepairedAt.IsZero() {
			open = true
		} else if repaired++; repaired > fewFindings {
			continue
		}
		r.Findings = append(r.Findings, f)
	}
	if r.State == mailroom.StateUpToDate && open {
		r.State = mailroom.StateBehind
	}
	return r
}

// mappingRow adds to what is stored what follows from it at a time.
func mappingRow(r mailroom.MappingRow, now time.Time) MappingRow {
	if r.LeftOut > 0 && r.Progress.Problem == nil {
		e := mailroom.E(mailroom.Invalid, "mapping.error.many_subfolders").With("folder", r.Mapping.Name).With("n", r.LeftOut).With("max", mailroom.MaxSubfolders)
		r.Progress.Problem = mailroom.ProblemOf(e, r.Mapping.CreatedAt)
	}
	v := MappingRow{
		Mapping: r.Mapping, Progress: r.Progress, OTYSFolder: r.OTYSFolder, Gone: r.Gone, LastRun: r.LastRun,
		State: mailroom.MappingState(r.Mapping, r.Progress, now),
	}
	if v.Gone && v.State != mailroom.StatePaused {
		v.State = mailroom.StateGone
	}
	if v.State == mailroom.StateSyncing || v.State == mailroom.StateThrottled {
		v.Rate = rate(r.Progress, now)
	}
	if left := r.Progress.Backlog.Len(); left > 0 && v.Rate > 0 {
		v.Finish = now.Add(time.Duration(float64(left) / v.Rate * float64(time.Second)))
	}
	return v
}

// rate is messages a second: what the syncer measured of late, pauses and all,
// or else what this stretch of backfill has done so far. 0 when unknown.
func rate(p mailroom.Progress, now time.Time) float64 {
	if p.RateMails > 0 {
		return float64(p.RateMails) / time.Hour.Seconds()
	}
	done, took := p.BackfillTotal-p.Backlog.Len(), now.Sub(p.BackfillStarted)
	if p.Problem != nil || done <= 0 || p.BackfillStarted.IsZero() || took < time.Second {
		return 0
	}
	return float64(done) / took.Seconds()
}

// under lets the mailbox's own state speak for its mappings: what was checked a
// moment before the grant died is not "up to date", and no end can be foretold
// while nothing is read. What a person paused stays paused.
func (p *Portal) under(ctx context.Context, m mailroom.MailboxRow, rows []MappingRow) []MappingRow {
	p.sign(ctx, m.Mailbox, m.Mailbox.Problem)
	for _, r := range rows {
		p.sign(ctx, m.Mailbox, r.Progress.Problem)
	}
	var state mailroom.State
	switch problem := m.Mailbox.Problem; {
	case m.Mailbox.Paused:
		state = mailroom.StatePaused
	case problem == nil && m.Ready():
		return rows
	case problem == nil: // permission revoked
		state = mailroom.StateNotSetUp
	case problem.Kind == mailroom.NotFound: // "gone" is a word for folders only
		state = mailroom.StateTrouble
	default:
		state = mailroom.StateOfProblem(problem)
	}
	passes := state == mailroom.StateThrottled || state == mailroom.StateTrouble
	for i := range rows {
		r := &rows[i]
		if state != mailroom.StateThrottled || r.Progress.RateMails == 0 { // a measured rate has its pauses in it
			r.Rate, r.Finish = 0, time.Time{}
		}
		switch {
		case r.State == mailroom.StatePaused, r.State == mailroom.StateGone, r.Progress.Problem != nil:
		case passes && r.State == mailroom.StateSyncing: // its bar still tells how far it got
		default:
			r.State = state
		}
	}
	return rows
}

// sign says in a problem whose server it is about: "Microsoft asked us to wait".
func (p *Portal) sign(ctx context.Context, m mailroom.Mailbox, pr *mailroom.Problem) {
	if pr == nil {
		return
	}
	name := m.IMAP.Host
	if pv, ok := p.provider(ctx, m.OrgID, m.ProviderID); ok {
		name = pv.Operator()
	}
	if _, said := pr.Args["provider"]; said || name == "" {
		return
	}
	if pr.Args == nil {
		pr.Args = map[string]any{}
	}
	pr.Args["provider"] = name
}

func statesOf(rows []MappingRow) []mailroom.State {
	var out []mailroom.State
	for _, r := range rows {
		out = append(out, r.State)
	}
	return out
}

// maxMappings bounds the rows of one mailbox.
const maxMappings = 500

// SaveMappings is Save Mappings: it makes the rows of the form the rows of the
// mailbox and asks for a sync. Mail stays when its row goes; it moves when its
// row is aimed at another OTYS folder. What is wrong comes back as joined
// *mailroom.Error, one for each complaint.
func (p *Portal) SaveMappings(ctx context.Context, u mailroom.User, f MappingsForm) error {
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return err
	}
	if f.Version != row.Mailbox.MappingsVersion {
		return mailroom.E(mailroom.Conflict, "mapping.error.version")
	}
	change, err := p.checkMappings(ctx, u, row.Mailbox, f)
	if err != nil {
		return err
	}
	var names []string
	for _, m := range change.Rows {
		names = append(names, m.Name)
	}
	return p.d.Store.SaveMappings(ctx, change, p.event(u, "mapping.saved", row.Mailbox.ID, map[string]any{"folders": names}))
}

// checkMappings turns typed rows into mappings, or says what is wrong with each.
func (p *Portal) checkMappings(ctx context.Context, u mailroom.User, m mailroom.Mailbox, f MappingsForm) (mailroom.MappingChange, error) {
	change := mailroom.MappingChange{MailboxID: m.ID, UserID: u.ID, Version: f.Version}
	names, err := p.chooseable(ctx, m.ID)
	if err != nil {
		return change, err
	}
	otys, err := p.d.Store.OTYSFolders(ctx, u.ID)
	if err != nil {
		return change, err
	}
	var errs complaints
	seen := map[string]bool{}
	for i, r := range f.Rows {
		if r.RawName == "" {
			continue
		}
		field := func(name string) string { return fmt.Sprintf("rows.%d.%s", i, name) }
		name, known := names[r.RawName]
		switch {
		case !known:
			errs.add(invalid(field("folder"), "mapping.error.folder"))
		case seen[r.RawName]:
			errs.add(invalid(field("folder"), "mapping.error.twice").With("folder", name))
		}
		seen[r.RawName] = true
		if !slices.ContainsFunc(otys, func(o mailroom.OTYSFolder) bool { return o.ID == r.OTYSFolder }) {
			errs.add(invalid(field("otys"), "mapping.error.otys").With("folder", name))
		}
		if r.Since.After(p.now()) {
			errs.add(invalid(field("since"), "mapping.error.since").With("folder", name))
		}
		change.Rows = append(change.Rows, mailroom.Mapping{
			ID: mailroom.NewID(mailroom.PrefixMapping), OrgID: m.OrgID, MailboxID: m.ID, RawName: r.RawName, Name: name,
			OTYSFolderID: r.OTYSFolder, Since: r.Since, Paused: r.Paused, Subfolders: r.Subfolders, Removal: removal(r.Removal),
			CreatedAt: p.now().Add(time.Duration(i) * time.Microsecond), // rows are sorted by it
		})
	}
	if len(change.Rows) > maxMappings {
		errs.add(mailroom.E(mailroom.Invalid, "mapping.error.many").With("max", maxMappings))
	}
	return change, errs.join()
}

// removal is what a form may say about removed mail; whatever else it says, mail
// stays.
func removal(r mailroom.Removal) mailroom.Removal {
	if r == mailroom.RemovalRemove {
		return r
	}
	return mailroom.RemovalKeep
}

// chooseable maps raw folder names to decoded ones: those that the server has,
// and those that are mapped already, gone or not.
func (p *Portal) chooseable(ctx context.Context, mailboxID string) (map[string]string, error) {
	names := map[string]string{}
	rows, err := p.d.Store.MappingRows(ctx, mailboxID)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		names[r.Mapping.RawName] = r.Mapping.Name
	}
	folders, err := p.d.Store.Folders(ctx, mailboxID)
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		if f.Mappable() {
			names[f.RawName] = f.Name
		}
	}
	return names, nil
}

// SyncMapping asks for a sync of the mailbox that a mapping belongs to.
func (p *Portal) SyncMapping(ctx context.Context, u mailroom.User, mappingID string) error {
	m, row, err := p.reachMapping(ctx, u, mappingID)
	if err != nil {
		return err
	}
	if m.Paused {
		return mailroom.E(mailroom.Conflict, "mapping.error.paused").With("folder", m.Name)
	}
	return p.syncNow(ctx, u, row)
}

// PauseMapping stops the sync of one mapping until ResumeMapping.
func (p *Portal) PauseMapping(ctx context.Context, u mailroom.User, mappingID string) error {
	return p.pauseMapping(ctx, u, mappingID, true, "mapping.paused")
}

// ResumeMapping goes on with the sync of a paused mapping.
func (p *Portal) ResumeMapping(ctx context.Context, u mailroom.User, mappingID string) error {
	return p.pauseMapping(ctx, u, mappingID, false, "mapping.resumed")
}

func (p *Portal) pauseMapping(ctx context.Context, u mailroom.User, id string, paused bool, action string) error {
	m, _, err := p.reachMapping(ctx, u, id)
	if err != nil || m.Paused == paused {
		return err
	}
	return p.d.Store.PauseMapping(ctx, u.OrgID, id, paused, p.event(u, action, id, map[string]any{"folder": m.Name}))
}

// SeenFollowed is OK below "was renamed, and Mailroom followed".
func (p *Portal) SeenFollowed(ctx context.Context, u mailroom.User, mappingID string) error {
	if _, _, err := p.reachMapping(ctx, u, mappingID); err != nil {
		return err
	}
	return p.d.Store.SeenFollowed(ctx, u.OrgID, mappingID)
}

// reachMapping is a mapping that the user may steer, with its mailbox.
func (p *Portal) reachMapping(ctx context.Context, u mailroom.User, id string) (mailroom.Mapping, mailroom.MailboxRow, error) {
	m, err := p.d.Store.MappingByID(ctx, u.OrgID, id)
	if err != nil {
		return m, mailroom.MailboxRow{}, err
	}
	row, err := p.reach(ctx, u, m.MailboxID)
	return m, row, err
}
