package portal

import (
	"context"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// UndoPage says what taking back a mapping would do, before it is done.
type UndoPage struct {
	MappingPage
	Mapping    mailroom.Mapping
	OTYSFolder mailroom.OTYSFolder
	Subfolders int   // rows that go with it
	Take, Keep int64 // messages that leave OTYS, and that stay since something else brings them too
}

// UndoRow is a mapping that is being taken back, or was within a day, with those
// of its subfolders.
type UndoRow struct {
	Name        string // of the IMAP folder
	Subfolders  int
	Total, Done int64
	Kept        int64 // messages that stay, since something else brings them too
	FinishedAt  time.Time
}

// UndoPage is asked before TakeBack.
func (p *Portal) UndoPage(ctx context.Context, u mailroom.User, mappingID string) (UndoPage, error) {
	m, err := p.ownMapping(ctx, u, mappingID)
	if err != nil {
		return UndoPage{}, err
	}
	v := UndoPage{Mapping: m}
	if v.MappingPage, err = p.MappingPage(ctx, u); err != nil {
		return v, err
	}
	for _, r := range v.Rows {
		if r.Mapping.ID == m.ID {
			v.OTYSFolder = r.OTYSFolder
		}
		if r.Mapping.ParentID == m.ID {
			v.Subfolders++
		}
	}
	v.Take, v.Keep, err = p.d.Store.UndoCounts(ctx, u.OrgID, m.ID)
	return v, err
}

// TakeBack removes a mapping and begins to take out of OTYS what it alone
// brought in. The mailbox itself is left alone.
func (p *Portal) TakeBack(ctx context.Context, u mailroom.User, mappingID string) error {
	m, err := p.ownMapping(ctx, u, mappingID)
	if err != nil {
		return err
	}
	return p.d.Store.Undo(ctx, u.OrgID, m.ID, p.event(u, "mapping.undone", m.ID, map[string]any{"folder": m.Name}))
}

// ownMapping is a mapping of the user's own mailbox: mail is taken back by whom
// it belongs to. A row that follows another comes and goes with that one.
func (p *Portal) ownMapping(ctx context.Context, u mailroom.User, id string) (mailroom.Mapping, error) {
	m, box, err := p.reachMapping(ctx, u, id)
	switch {
	case err != nil:
		return m, err
	case box.Mailbox.UserID != u.ID || !box.Mailbox.RetiredAt.IsZero():
		return m, notFound()
	case m.ParentID != "":
		return m, mailroom.E(mailroom.Conflict, "mapping.error.undo_subfolder").With("folder", m.Name)
	}
	return m, nil
}

// undoRows gathers what was taken back in one act: the rows of a folder and its
// subfolders.
func undoRows(undos []mailroom.Undo) []UndoRow {
	var out []UndoRow
	var begun time.Time
	for _, u := range undos {
		n := len(out)
		if n == 0 || !u.StartedAt.Equal(begun) {
			begun = u.StartedAt
			out = append(out, UndoRow{Name: u.Name, Total: u.Total, Done: u.Done, Kept: u.Kept, FinishedAt: u.FinishedAt})
			continue
		}
		row := &out[n-1]
		row.Subfolders++
		if strings.HasPrefix(row.Name, u.Name) { // the folder that the others lie in
			row.Name = u.Name
		}
		row.Total, row.Done, row.Kept = row.Total+u.Total, row.Done+u.Done, row.Kept+u.Kept
		if u.FinishedAt.IsZero() || !row.FinishedAt.IsZero() && u.FinishedAt.After(row.FinishedAt) {
			row.FinishedAt = u.FinishedAt
		}
	}
	return out
}
