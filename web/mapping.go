package web

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/templates"
)

// showMapping is Mail - IMAP Folders Mapping. It opens at once with what is
// known; the page then asks for the live list by changeRows.
func showMapping(c *call) error {
	v, err := c.Portal.MappingPage(c.r.Context(), c.user)
	if mailroom.KindOf(err) == mailroom.Conflict { // no address yet: the page says so
		return c.show(templates.MappingNotYet(c.page("settings", "mappings.title")))
	}
	if err != nil {
		return err
	}
	return c.showMappingPage(200, v, savedRows(v, c.t.Day), templates.Form{})
}

func (c *call) showMappingPage(status int, v portal.MappingPage, rows []templates.MappingInput, f templates.Form) error {
	return c.showMappingView(status, templates.MappingView{MappingPage: v, Inputs: rows, Form: f})
}

func (c *call) showMappingView(status int, view templates.MappingView) error {
	return c.showStatus(status, templates.Mapping(c.page("settings", "mappings.title"), view))
}

// savedRows are the saved mappings as inputs; the suggested ones when nothing
// is saved yet.
func savedRows(v portal.MappingPage, day func(time.Time) string) []templates.MappingInput {
	var out []templates.MappingInput
	for _, r := range v.Rows {
		if r.Mapping.ParentID != "" { // comes and goes with the row it follows
			continue
		}
		out = append(out, templates.MappingInput{
			ID: r.Mapping.ID, Folder: r.Mapping.RawName, OTYS: r.Mapping.OTYSFolderID,
			Since: day(r.Mapping.Since), Paused: r.Mapping.Paused, Subfolders: r.Mapping.Subfolders, Removal: r.Mapping.Removal,
		})
	}
	if len(v.Rows) == 0 {
		for _, s := range v.Suggested {
			out = append(out, templates.MappingInput{Folder: s.RawName, OTYS: s.OTYSFolder})
		}
	}
	return out
}

// typedRows reads rows.0.folder, rows.0.otys, rows.0.since, rows.0.paused,
// rows.0.id and so on up to the first number that is missing.
func (c *call) typedRows() []templates.MappingInput {
	var rows []templates.MappingInput
	for i := 0; ; i++ {
		field := func(name string) string {
			return c.r.PostForm.Get("rows." + strconv.Itoa(i) + "." + name)
		}
		if !c.r.PostForm.Has("rows." + strconv.Itoa(i) + ".folder") {
			return rows
		}
		rows = append(rows, templates.MappingInput{
			ID: field("id"), Folder: templates.FolderFromValue(field("folder")), OTYS: field("otys"),
			Since: strings.TrimSpace(field("since")), Paused: field("paused") == "yes",
			Subfolders: field("subfolders") == "yes", Removal: mailroom.Removal(field("removal")),
		})
	}
}

// saveMapping is Save Mappings.
func saveMapping(c *call) error {
	f, err := c.form("version")
	if err != nil {
		return err
	}
	rows := c.typedRows()
	form := portal.MappingsForm{}
	if form.Version, err = strconv.ParseInt(f.Value("version"), 10, 64); err != nil {
		return mailroom.E(mailroom.Invalid, "error.form", err)
	}
	for i, r := range rows {
		since, ok := c.t.ParseDay(r.Since)
		if !ok {
			f.Complain(fmt.Sprintf("rows.%d.since", i), c.t.Text("mappings.error.since"))
		}
		form.Rows = append(form.Rows, portal.MappingForm{ID: r.ID, RawName: r.Folder, OTYSFolder: r.OTYS, Since: since, Paused: r.Paused,
			Subfolders: r.Subfolders, Removal: r.Removal})
	}
	before, err := c.Portal.Mapped(c.r.Context(), c.user)
	if f.OK() && err == nil {
		err = c.Portal.SaveMappings(c.r.Context(), c.user, form)
	}
	if !c.complain(&f, err) && err != nil {
		return err
	}
	if f.OK() {
		if noFolder(rows) {
			c.flash("note", "mappings.saved_none")
		} else {
			after, err := c.Portal.Mapped(c.r.Context(), c.user)
			if err != nil {
				return err
			}
			c.offerUndo(before, after)
		}
		return c.redirect(mappingPath)
	}
	// The version of the page is the stored one, not the typed one: who saves
	// again after "another tab saved meanwhile" has seen what is saved now.
	v, err := c.Portal.MappingPage(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	v.Live = true // no need to ask the server again to mend a row
	return c.showMappingPage(422, v, rows, f)
}

// changeRows changes the rows of the form without saving anything: "add",
// "remove:2", "otys" (adds an OTYS folder and keeps what was typed), "refresh"
// (asks the server for its folders), "show" (shows the counts of what was
// chosen), "preview:2" (asks what a row would bring). Every button of the form that does not save comes here, with or
// without script.
func changeRows(c *call) error {
	f, err := c.form("do", "otys_name")
	if err != nil {
		return err
	}
	ctx, rows := c.r.Context(), c.typedRows()
	page := c.Portal.MappingPage
	do, number, _ := strings.Cut(f.Value("do"), ":")
	switch do {
	case "add":
		rows = append(rows, templates.MappingInput{Focus: true})
	case "remove":
		if i, err := strconv.Atoi(number); err == nil && i >= 0 && i < len(rows) {
			rows = append(rows[:i], rows[i+1:]...)
		}
	case "preview":
		if i, err := strconv.Atoi(number); err == nil && i >= 0 && i < len(rows) {
			return c.previewRow(rows, i, f)
		}
	case "refresh":
		page = c.Portal.RefreshFolders
	case "otys":
		added, err := c.Portal.AddOTYSFolder(ctx, c.user, f.Value("otys_name"))
		if list, ok := complaints(err); ok {
			for _, e := range list {
				f.Complain("otys_name", templates.ErrorText(c.t, e))
			}
		} else if err != nil {
			return err
		} else {
			f.Set("otys_name", "")
			rows = aim(rows, added.ID)
		}
	}
	v, err := page(ctx, c.user)
	if err != nil {
		return err
	}
	if do == "refresh" && len(v.Rows) == 0 && untouched(rows) {
		rows = savedRows(v, c.t.Day) // the live list may know Inbox and Sent now
	}
	if do != "refresh" {
		v.Live = true
	}
	status := 200
	if !f.OK() {
		status = 422
	}
	return c.showMappingPage(status, v, rows, f)
}

// previewRow shows the form as typed with what one of its rows would bring.
func (c *call) previewRow(rows []templates.MappingInput, i int, f templates.Form) error {
	shown := templates.PreviewView{Row: i}
	since, ok := c.t.ParseDay(rows[i].Since)
	if !ok {
		shown.Complaint = c.t.Text("mappings.error.since")
	} else {
		var err error
		shown.Preview, err = c.Portal.Preview(c.r.Context(), c.user, portal.MappingForm{RawName: rows[i].Folder, Since: since})
		if list, ok := complaints(err); ok {
			shown.Complaint = templates.ErrorText(c.t, list[0])
		} else if err != nil {
			return err
		}
	}
	v, err := c.Portal.MappingPage(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	v.Live = true
	status := 200
	if shown.Complaint != "" {
		status = 422
	}
	return c.showMappingView(status, templates.MappingView{MappingPage: v, Inputs: rows, Form: f, Preview: &shown})
}

// aim points the last row that has no OTYS folder yet at a new one.
func aim(rows []templates.MappingInput, id string) []templates.MappingInput {
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].OTYS == "" {
			rows[i].OTYS = id
			break
		}
	}
	return rows
}

// noFolder reports whether no row has a folder.
func noFolder(rows []templates.MappingInput) bool {
	return !slices.ContainsFunc(rows, func(r templates.MappingInput) bool { return r.Folder != "" })
}

// untouched reports whether no folder was chosen yet.
func untouched(rows []templates.MappingInput) bool {
	return !slices.ContainsFunc(rows, func(r templates.MappingInput) bool { return r.Folder != "" || r.ID != "" })
}

// createIMAPFolder is the button "Create an OTYS folder": the only thing that
// Mailroom ever changes in a mailbox.
func createIMAPFolder(c *call) error {
	f, err := c.form("folder_name")
	if err != nil {
		return err
	}
	name := f.Value("folder_name")
	if name == "" {
		name = "OTYS"
	}
	err = c.Portal.CreateIMAPFolder(c.r.Context(), c.user, name)
	if list, ok := complaints(err); ok {
		v, err := c.Portal.MappingPage(c.r.Context(), c.user)
		if err != nil {
			return err
		}
		for _, e := range list {
			f.Complain("folder_name", templates.ErrorText(c.t, e))
		}
		v.Live = true
		return c.showMappingPage(422, v, savedRows(v, c.t.Day), f)
	}
	if err != nil {
		return err
	}
	c.flash("done", "mappings.folder.created", "name", name)
	return c.redirect(mappingPath)
}
