package web

import (
	"slices"

	"mailroom/internal/mailroom"
	"mailroom/templates"
)

// confirmUndo says what would leave and what would stay.
func confirmUndo(c *call) error {
	v, err := c.Portal.UndoPage(c.r.Context(), c.user, c.param("id"))
	if list, ok := complaints(err); ok {
		return c.refuseUndo(list)
	}
	if err != nil {
		return err
	}
	v.Live = true // the page behind the question asks nobody
	view := templates.MappingView{MappingPage: v.MappingPage, Inputs: savedRows(v.MappingPage, c.t.Day)}
	return c.show(templates.ConfirmUndo(c.page("settings", "undo.title"), view, v))
}

// undoMapping takes a mapping back.
func undoMapping(c *call) error {
	if _, err := c.form(); err != nil {
		return err
	}
	err := c.Portal.TakeBack(c.r.Context(), c.user, c.param("id"))
	if list, ok := complaints(err); ok {
		return c.refuseUndo(list)
	}
	if err != nil {
		return err
	}
	c.flash("done", "undo.begun")
	return c.redirect(mappingPath)
}

func (c *call) refuseUndo(list []*mailroom.Error) error {
	for _, e := range list {
		c.flashText("bad", templates.ErrorText(c.t, e))
	}
	return c.redirect(mappingPath)
}

// undoable is how many new rows are offered to be undone by their names.
const undoable = 4

// offerUndo says that mappings were saved, what becomes of mail whose row went,
// and offers to undo the rows that are new. before and after are the rows around
// the saving.
func (c *call) offerUndo(before, after []mailroom.MappingRow) {
	had := func(rows []mailroom.MappingRow, id string) bool {
		return slices.ContainsFunc(rows, func(r mailroom.MappingRow) bool { return r.Mapping.ID == id })
	}
	p := templates.Page{T: c.t}
	var links []templates.FlashLink
	for _, r := range after {
		if r.Mapping.ParentID == "" && !had(before, r.Mapping.ID) {
			links = append(links, templates.FlashLink{Href: "/mappings/" + r.Mapping.ID + "/undo", Text: c.t.Text("undo.offer", "folder", templates.MappingName(p, r.Mapping))})
		}
	}
	var kept []string
	for _, r := range before {
		if r.Mapping.ParentID == "" && !had(after, r.Mapping.ID) && r.Progress.Stored > 0 {
			kept = append(kept, templates.MappingName(p, r.Mapping))
		}
	}
	if len(links) > undoable {
		links = links[:undoable]
	}
	c.flashOf(templates.Flash{Kind: "done", Text: c.t.Text("mappings.saved"), Links: links})
	if len(kept) > 0 {
		c.flash("note", "mappings.saved.kept", "n", len(kept), "folders", c.t.List(kept))
	}
}
