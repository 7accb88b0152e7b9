package portal

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

const (
	// trailRows is how many mails an answer shows.
	trailRows = 19
	// lookLimit is how long a person waits for the mailbox to be searched.
	lookLimit = 25 * time.Second
	// maxTrailText bounds what is pasted: a header line is no longer (RFC 5322 §2.1.1).
	maxTrailText = 998
)

// Trail says why a mail is, or is not, in OTYS: of one's own mailbox ("") or, as
// an administrator, of any of the organization. Administrators learn when and
// where and no more: of somebody else's mailbox they may ask by Message-ID or by
// address only, since guessing words of subjects would be reading them, and each
// time is in the history.
func (p *Portal) Trail(ctx context.Context, u mailroom.User, mailboxID string, f TrailForm) (TrailPage, error) {
	v, row, err := p.trailPage(ctx, u, mailboxID)
	if err != nil {
		return v, err
	}
	v.Text = strings.TrimSpace(f.Text)
	sought, err := readQuestion(v)
	if err != nil {
		return v, err
	}
	if v.Blind {
		if err := p.d.Store.SaveAudit(ctx, p.event(u, "mailbox.traced", v.Mailbox.ID, map[string]any{"looked": f.Look})); err != nil {
			return v, err
		}
	}
	v.Asked = true
	q := mailroom.TrailQuery{OrgID: u.OrgID, MailboxID: v.Mailbox.ID, UserID: v.Owner.ID, Text: question(sought, v.Text), Limit: trailRows + 1}
	trails, err := p.d.Store.Trails(ctx, q)
	if err != nil {
		return v, err
	}
	if v.Blind || len(sought) == 1 && sought[0].MessageID != "" {
		trails = exactly(trails, sought)
	}
	if v.More = len(trails) > trailRows; v.More {
		trails = trails[:trailRows]
	}
	if v.Rows, err = p.trailRows(ctx, v, trails); err != nil || !f.Look {
		return v, err
	}
	return v, p.look(ctx, u, row, sought, &v)
}

// TrailPage is Trail before anything is asked: how far each mapped folder is
// accounted for.
func (p *Portal) TrailPage(ctx context.Context, u mailroom.User, mailboxID string) (TrailPage, error) {
	v, _, err := p.trailPage(ctx, u, mailboxID)
	return v, err
}

func (p *Portal) trailPage(ctx context.Context, u mailroom.User, id string) (v TrailPage, row mailroom.MailboxRow, err error) {
	if id == "" {
		row, err = p.mailboxOf(ctx, u)
	} else {
		row, err = p.reach(ctx, u, id)
	}
	if err != nil {
		return v, row, err
	}
	v = TrailPage{Mailbox: row.Mailbox, Owner: row.Owner, Blind: row.Owner.ID != u.ID}
	if row.Mailbox.ID != "" {
		v.Folders, err = p.mappingRows(ctx, row.Mailbox.ID)
		v.Folders = p.under(ctx, row, v.Folders)
	}
	return v, row, err
}

func readQuestion(v TrailPage) ([]mailroom.FindTerms, error) {
	sought := mailroom.Sought(v.Text)
	switch {
	case v.Mailbox.ID == "":
		return nil, mailroom.E(mailroom.Conflict, "mailbox.error.address_first")
	case len(v.Text) > maxTrailText:
		return nil, invalid("text", "trail.error.long")
	case len(sought) == 0:
		return nil, invalid("text", "trail.error.empty")
	case v.Blind && slices.ContainsFunc(sought, func(t mailroom.FindTerms) bool { return t.Subject != "" }):
		return nil, invalid("text", "trail.error.words")
	}
	return sought, nil
}

// question is what the store looks for: what was asked for without the name of
// its field.
func question(sought []mailroom.FindTerms, text string) string {
	if len(sought) != 1 {
		return text
	}
	t := sought[0]
	if t.MessageID != "" {
		return "<" + t.MessageID + ">"
	}
	return t.From + t.Subject
}

// exactly leaves the mails that have the very id or address: the store goes on to
// search by words, which says nothing of a Message-ID, and which are for a mail's
// owner to look for.
func exactly(trails []mailroom.Trail, sought []mailroom.FindTerms) []mailroom.Trail {
	return slices.DeleteFunc(trails, func(t mailroom.Trail) bool {
		m := t.Message
		for _, s := range sought {
			if s.MessageID != "" && s.MessageID == m.MessageID {
				return false
			}
			for _, a := range slices.Concat(m.From, m.To, m.Cc, m.Bcc) {
				if s.From != "" && mailroom.NormalAddress(a.Addr) == s.From {
					return false
				}
			}
		}
		return true
	})
}

// trailOf is how a message came into the user's own mailbox; nil when it did not.
func (p *Portal) trailOf(ctx context.Context, u mailroom.User, messageID string) (*TrailRow, error) {
	row, err := p.mailboxOf(ctx, u)
	if err != nil || row.Mailbox.ID == "" {
		return nil, err
	}
	trails, err := p.d.Store.Trails(ctx, mailroom.TrailQuery{OrgID: u.OrgID, MailboxID: row.Mailbox.ID, UserID: u.ID, ID: messageID, Limit: 1})
	if err != nil || len(trails) == 0 {
		return nil, err
	}
	rows, err := p.trailRows(ctx, TrailPage{Mailbox: row.Mailbox, Owner: u}, trails)
	if err != nil {
		return nil, err
	}
	return &rows[0], nil
}

func (p *Portal) trailRows(ctx context.Context, v TrailPage, trails []mailroom.Trail) ([]TrailRow, error) {
	if len(trails) == 0 {
		return nil, nil
	}
	folders, err := p.folderNames(ctx, v.Mailbox.ID)
	if err != nil {
		return nil, err
	}
	otys, err := p.d.Store.OTYSFolders(ctx, v.Owner.ID)
	if err != nil {
		return nil, err
	}
	users, err := p.d.Store.Users(ctx, v.Owner.OrgID)
	if err != nil {
		return nil, err
	}
	names := tracer{blind: v.Blind, folders: folders, otys: map[string]mailroom.OTYSFolder{}, users: map[string]string{}}
	for _, f := range otys {
		names.otys[f.Name] = f
	}
	for _, u := range users {
		names.users[u.ID] = u.Name
	}
	var out []TrailRow
	for _, t := range trails {
		out = append(out, names.row(t))
	}
	return out, nil
}

// tracer turns stored trails into rows, with names for ids.
type tracer struct {
	blind   bool
	folders map[string]string // raw → decoded
	otys    map[string]mailroom.OTYSFolder
	users   map[string]string
}

func (n tracer) row(t mailroom.Trail) TrailRow {
	row := TrailRow{ReceivedAt: t.Message.ReceivedAt}
	if !n.blind {
		row.ID, row.Subject, row.From = t.Message.ID, t.Message.Subject, t.Message.From
	}
	for _, pl := range t.Places {
		row.Steps = append(row.Steps, n.place(t, pl)...)
		if pl.GoneAt.IsZero() {
			row.OnServer, row.Seen = true, row.Seen || pl.Flags.Seen
		}
	}
	row.Steps = append(row.Steps, n.people(t)...)
	for _, q := range t.Quarantine {
		row.Steps = append(row.Steps, n.quarantine(q)...)
	}
	for _, r := range t.Removed {
		row.Steps = append(row.Steps, TrailStep{Kind: StepRemovedFrom, At: r.At, Folder: r.Folder})
	}
	slices.SortStableFunc(row.Steps, func(a, b TrailStep) int {
		if a.At.IsZero() != b.At.IsZero() {
			if a.At.IsZero() {
				return 1
			}
			return -1
		}
		return a.At.Compare(b.At)
	})
	row.End = endOf(t)
	if row.ID != "" && (row.End == TrailRemoved || row.End == TrailNotFiled) {
		row.ID = "" // there is no page of it to open
	}
	return row
}

// place is what happened to the mail in one place of the mailbox.
func (n tracer) place(t mailroom.Trail, pl mailroom.TrailPlace) (out []TrailStep) {
	folder := pl.Folder
	if folder == "" {
		folder = pl.RawName
	}
	otys, ok := n.otys[pl.OTYSFolder]
	if !ok {
		otys.Name = pl.OTYSFolder
	}
	add := func(kind TrailStepKind, at time.Time) {
		if !at.IsZero() {
			out = append(out, TrailStep{Kind: kind, At: at, Folder: folder, OTYS: otys})
		}
	}
	add(StepSeen, pl.SeenAt)
	add(StepRead, pl.ReadAt)
	add(StepParsed, pl.ParsedAt)
	switch {
	case pl.OTYSFolder != "" || !pl.RemovedAt.IsZero():
		add(StepStored, pl.StoredAt)
	default:
		add(StepNotFiled, pl.StoredAt)
	}
	if to := movedTo(t, pl); to != "" {
		add(StepMoved, pl.GoneAt)
		if len(out) > 0 && out[len(out)-1].Kind == StepMoved {
			out[len(out)-1].To = to
		}
	} else {
		add(StepLeft, pl.GoneAt)
	}
	add(StepRemoved, pl.RemovedAt)
	return out
}

// movedTo is the folder in which a mail that left one lies now, "" for none.
func movedTo(t mailroom.Trail, from mailroom.TrailPlace) string {
	for _, pl := range t.Places {
		if pl.GoneAt.IsZero() && pl.RawName != from.RawName && !from.GoneAt.IsZero() {
			return pl.Folder
		}
	}
	return ""
}

func (n tracer) people(t mailroom.Trail) (out []TrailStep) {
	if n.blind {
		if len(t.People) > 0 {
			out = append(out, TrailStep{Kind: StepLinkedBlind, N: len(t.People)})
		}
		if len(t.Waiting) > 0 {
			out = append(out, TrailStep{Kind: StepWaitBlind, N: len(t.Waiting)})
		}
		return out
	}
	for _, c := range t.People {
		if !c.Link.RemovedAt.IsZero() {
			continue
		}
		step := TrailStep{Kind: StepLinked, At: c.Link.CreatedAt, Person: chips([]mailroom.PersonLink{c})[0], Address: c.Link.Address, Role: c.Link.Role}
		if c.Link.Reason == mailroom.ByHand || c.Link.Address == "" {
			step.Kind, step.By = StepHand, n.users[c.Link.MadeBy]
		}
		out = append(out, step)
	}
	for _, address := range t.Waiting {
		out = append(out, TrailStep{Kind: StepWaiting, Address: address})
	}
	return out
}

func (n tracer) quarantine(q mailroom.Quarantine) []TrailStep {
	folder := n.folders[q.RawName]
	if folder == "" {
		folder = q.RawName
	}
	out := []TrailStep{{Kind: StepQuarantined, At: q.CreatedAt, Folder: folder, Problem: &q.Reason, N: q.Attempts}}
	if !q.GoneAt.IsZero() {
		out = append(out, TrailStep{Kind: StepLeft, At: q.GoneAt, Folder: folder})
	}
	switch {
	case !q.DroppedAt.IsZero():
		step := TrailStep{Kind: StepGivenUp, At: q.DroppedAt, By: n.users[q.DroppedBy], Reason: q.DroppedReason}
		if n.blind {
			step.Reason = "" // their own words may tell what the mail is
		}
		out = append(out, step)
	case !q.RetryAt.IsZero():
		out = append(out, TrailStep{Kind: StepRetry, At: q.RetryAt})
	}
	return out
}

func endOf(t mailroom.Trail) TrailEnd {
	end := TrailEnd("")
	for _, pl := range t.Places {
		switch {
		case pl.OTYSFolder != "" && pl.GoneAt.IsZero():
			return TrailStored
		case pl.OTYSFolder != "":
			end = TrailKept
		case !pl.RemovedAt.IsZero() && end == "":
			end = TrailRemoved
		}
	}
	if end == "" && len(t.Removed) > 0 {
		end = TrailRemoved
	}
	if end != "" {
		return end
	}
	for _, q := range t.Quarantine {
		if q.DroppedAt.IsZero() {
			return TrailQuarantine
		}
		end = TrailGivenUp
	}
	if end != "" {
		return end
	}
	return TrailNotFiled
}

// look searches the mailbox itself and says of each mail there why it is not in
// OTYS. A server that does not answer is a Problem of the page, not an error.
func (p *Portal) look(ctx context.Context, u mailroom.User, row mailroom.MailboxRow, sought []mailroom.FindTerms, v *TrailPage) error {
	v.Looked = true
	finds, err := p.askMailbox(ctx, row, sought)
	if err != nil {
		if ctx.Err() != nil {
			return mailroom.AsError(err)
		}
		v.Problem = mailroom.ProblemOf(err, time.Time{})
		p.sign(ctx, row.Mailbox, v.Problem)
		return nil
	}
	v.Search = finds
	held, err := p.d.Store.QuarantineRows(ctx, row.Owner.ID)
	if err != nil {
		return err
	}
	for _, f := range finds {
		if f.UIDs.Empty() {
			continue
		}
		found, err := p.explain(ctx, row, v.Folders, held, f)
		if err != nil {
			return err
		}
		if v.Blind {
			for i := range found {
				found[i].Words = ""
			}
		}
		v.Found = append(v.Found, found...)
	}
	if slices.ContainsFunc(v.Found, func(f TrailFind) bool { return f.End == FindUnknown || f.End == FindNew }) && !row.Mailbox.Paused && row.Owner.DisabledAt.IsZero() {
		return p.d.Store.RequestSync(ctx, u.OrgID, row.Mailbox.ID, p.event(u, "mailbox.sync_asked", row.Mailbox.ID, nil))
	}
	return nil
}

func (p *Portal) askMailbox(ctx context.Context, row mailroom.MailboxRow, sought []mailroom.FindTerms) ([]mailroom.FolderFind, error) {
	if !row.Ready() {
		return nil, mailroom.E(mailroom.NeedsConsent, "mailbox.error.not_ready")
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	finds, err := p.d.Ask(ctx, row.Mailbox, sought)
	if err != nil && (errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil) {
		return nil, mailroom.E(mailroom.Unavailable, "folder.error.slow", err).With("seconds", int(lookLimit.Seconds()))
	}
	return finds, err
}

// explained is how many mails of one folder are told of one by one.
const explained = 50

// explain says of the mails found in one folder why they are not in OTYS: one
// row for all of which the same holds.
func (p *Portal) explain(ctx context.Context, row mailroom.MailboxRow, rows []MappingRow, held []mailroom.Quarantine, f mailroom.FolderFind) ([]TrailFind, error) {
	i := slices.IndexFunc(rows, func(r MappingRow) bool { return r.Mapping.RawName == f.RawName })
	if i < 0 {
		return []TrailFind{{Folder: f.Folder, RawName: f.RawName, End: FindUnmapped, N: int(f.UIDs.Len())}}, nil
	}
	r := rows[i]
	known, err := p.d.Store.HeldUIDs(ctx, row.Mailbox.ID, f.RawName, r.Progress.Cursor.UIDValidity)
	if err != nil {
		return nil, err
	}
	var out []TrailFind
	for uid := range f.UIDs.Newest(explained).Descending {
		find := TrailFind{Folder: f.Folder, RawName: f.RawName, N: 1, Backlog: r.Progress.Backlog.Len(), Since: r.Mapping.Since}
		find.End = findEnd(r, known, f.UIDValidity, uid)
		switch find.End {
		case FindBacklog: // the newest are read first
			find.Position = r.Progress.Backlog.Minus(mailroom.Range(1, uid)).Len() + 1
		case FindQuarantined, FindGivenUp:
			for _, q := range held {
				if q.MappingID == r.Mapping.ID && q.UID == uid && q.UIDValidity == r.Progress.Cursor.UIDValidity {
					find.Reason, find.Words = &q.Reason, q.DroppedReason
				}
			}
		}
		if r.State == mailroom.StatePaused && (find.End == FindBacklog || find.End == FindNew || find.End == FindUnknown) {
			find.End = FindPaused
		}
		if last := len(out) - 1; last >= 0 && out[last].End == find.End && out[last].Words == find.Words && find.Reason == nil {
			out[last].N++
			continue
		}
		out = append(out, find)
	}
	return out, nil
}

func findEnd(r MappingRow, known mailroom.Held, validity, uid uint32) FindEnd {
	switch c := r.Progress.Cursor; {
	case validity != 0 && validity != c.UIDValidity: // the folder is new to us, or being read again
		return FindNew
	case known.Placed.Contains(uid):
		return FindStored
	case known.Quarantined.Contains(uid):
		return FindQuarantined
	case known.Dropped.Contains(uid):
		return FindGivenUp
	case r.Progress.Backlog.Contains(uid):
		return FindBacklog
	case r.Progress.Skipped.Contains(uid):
		return FindTooOld
	case uid >= c.UIDNext:
		return FindNew
	}
	return FindUnknown
}
