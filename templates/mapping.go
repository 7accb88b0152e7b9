package templates

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/a-h/templ"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// MappingView is the page Mail - IMAP Folders Mapping with its rows as typed.
type MappingView struct {
	portal.MappingPage
	Inputs []MappingInput
	Form   Form
	// Preview of one row, nil for none.
	Preview *PreviewView
}

// MappingInput is one row as typed. Folder is the raw name.
type MappingInput struct {
	ID, Folder, OTYS string
	Since            string // "2026-11-23" or ""
	Paused           bool
	Subfolders       bool
	Removal          mailroom.Removal // "" for the default
	Focus            bool             // the row was just added
}

// special reports whether a row holds a choice that is not the usual one.
func (in MappingInput) special() bool {
	return in.Subfolders || in.removal() != string(mailroom.RemovalKeep)
}

func (in MappingInput) removal() string {
	return string(cmp.Or(in.Removal, mailroom.RemovalKeep))
}

func removalOptions(p Page) []Option {
	return []Option{
		{string(mailroom.RemovalKeep), p.Text("mappings.removal.keep")}, {string(mailroom.RemovalRemove), p.Text("mappings.removal.remove")},
	}
}

const mappingURL = "/settings/integrations/mapping"

// fewSubfolders is how many are shown without being asked for.
const fewSubfolders = 5

// manyMails is where the old guide asked for a clean-up. Mailroom needs none,
// and says so.
const manyMails = 500

// asking reports whether the page should ask the server for its folders now.
func (v MappingView) asking() bool { return v.Ready && !v.Live && v.Problem == nil }

// folder finds a folder of the list by its raw name.
func (v MappingView) folder(raw string) (mailroom.Folder, bool) {
	for _, f := range v.Folders {
		if f.RawName == raw {
			return f, true
		}
	}
	return mailroom.Folder{}, false
}

// saved finds a saved mapping by its folder.
func (v MappingView) saved(raw string) (portal.MappingRow, bool) {
	for _, r := range v.Rows {
		if r.Mapping.RawName == raw {
			return r, true
		}
	}
	return portal.MappingRow{}, false
}

// top are the mappings that a person made.
func (v MappingView) top() (out []portal.MappingRow) { return topRows(v.Rows) }

func topRows(rows []portal.MappingRow) (out []portal.MappingRow) {
	for _, r := range rows {
		if r.Mapping.ParentID == "" {
			out = append(out, r)
		}
	}
	return out
}

// below are the mappings that follow one, by name.
func (v MappingView) below(parent portal.MappingRow) (out []portal.MappingRow) {
	for _, r := range v.Rows {
		if r.Mapping.ParentID == parent.Mapping.ID {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b portal.MappingRow) int { return strings.Compare(a.Mapping.Name, b.Mapping.Name) })
	return out
}

// takenOff are the saved mappings whose folder stands in no row of the form any
// more: saving ends them.
func (v MappingView) takenOff() (out []portal.MappingRow) {
	for _, r := range v.top() {
		if !slices.ContainsFunc(v.Inputs, func(in MappingInput) bool { return in.Folder == r.Mapping.RawName }) {
			out = append(out, r)
		}
	}
	return out
}

// canBranch reports whether a row's folder can have subfolders, as far as is
// known: not in a flat name space.
func (v MappingView) canBranch(in MappingInput) bool {
	f, ok := v.folder(in.Folder)
	return !ok || f.Delimiter != ""
}

// gone lists the mapped folders that the server no longer has.
func (v MappingView) gone(p Page) []string {
	var names []string
	for _, r := range v.Rows {
		if r.Gone {
			names = append(names, MappingName(p, r.Mapping))
		}
	}
	return names
}

// folderOptions are the choices of one row: the server's folders as a tree with
// their counts, and the row's own folder even when the server no longer has it.
func (v MappingView) folderOptions(p Page, in MappingInput) []Option {
	out := []Option{{"", p.Text("mappings.choose")}}
	if _, listed := v.folder(in.Folder); !listed && in.Folder != "" {
		name := in.Folder
		if r, ok := v.saved(in.Folder); ok {
			name = MappingName(p, r.Mapping)
		}
		key := "mappings.option.gone"
		if len(v.Folders) == 0 {
			key = "mappings.option.unlisted"
		}
		out = append(out, Option{FolderValue(in.Folder), p.Text(key, "name", name)})
	}
	for _, f := range v.Folders {
		out = append(out, Option{FolderValue(f.RawName), v.folderText(p, f)})
	}
	return out
}

// folderText is a folder as a choice: indented under its parent, what it is
// for when its name does not say so, and how many messages it holds.
func (v MappingView) folderText(p Page, f mailroom.Folder) string {
	text := strings.Repeat("\u2003", v.depth(f)) + v.nameBelow(p, f)
	if f.Messages >= 0 {
		text += " (" + p.Number(f.Messages) + ")"
	}
	if use := useText(p, f); use != "" {
		text += " · " + use
	}
	return text
}

// depth is how far a folder stands indented: by its listed ancestors only.
func (v MappingView) depth(f mailroom.Folder) int {
	n := 0
	for _, other := range v.Folders {
		if len(other.Path) < len(f.Path) && len(other.Path) > 0 && f.Delimiter != "" &&
			strings.HasPrefix(f.Name, other.Name+f.Delimiter) {
			n++
		}
	}
	return n
}

// nameBelow is a folder's name as it stands below its nearest listed ancestor: a
// parent that holds no mail, and so is not offered, still tells where it is.
func (v MappingView) nameBelow(p Page, f mailroom.Folder) string {
	parent := ""
	for _, other := range v.Folders {
		if f.Delimiter != "" && len(other.Name) > len(parent) && strings.HasPrefix(f.Name, other.Name+f.Delimiter) {
			parent = other.Name
		}
	}
	rest := f.Path
	if parent != "" {
		rest = strings.Split(strings.TrimPrefix(f.Name, parent+f.Delimiter), f.Delimiter)
	}
	if len(rest) < 2 {
		return folderName(p, f)
	}
	return strings.Join(rest, " / ")
}

func undoURL(r portal.MappingRow) templ.SafeURL {
	return templ.SafeURL("/mappings/" + r.Mapping.ID + "/undo")
}

// MappingName is a mapped folder's whole name.
func MappingName(p Page, m mailroom.Mapping) string { return sourceFolder(p, m.Name) }

// useText is what a folder is for, unless its name says just that.
func useText(p Page, f mailroom.Folder) string {
	if role := roleText(p, f); role != folderName(p, f) {
		return role
	}
	return ""
}

// folderName is the last part of a folder's path; INBOX is no word.
func folderName(p Page, f mailroom.Folder) string {
	if f.Role == mailroom.RoleInbox && strings.EqualFold(f.Leaf(), "INBOX") {
		return p.Text("folder.role.inbox")
	}
	return f.Leaf()
}

// sourceFolder is a folder of the mailbox by its whole name; INBOX is no word.
func sourceFolder(p Page, name string) string {
	if strings.EqualFold(name, "INBOX") {
		return p.Text("folder.role.inbox")
	}
	return name
}

// told reports that why the folders cannot be read stands at the head of the
// page already, as the mailbox's own trouble.
func (v MappingView) told() bool {
	return v.Mailbox.Problem != nil && v.Problem != nil && v.Mailbox.Problem.Key == v.Problem.Key
}

func roleText(p Page, f mailroom.Folder) string {
	if f.Role == mailroom.RoleNone || f.Role == mailroom.RoleNonMail {
		return ""
	}
	return p.Text("folder.role." + string(f.Role))
}

// otysOptions are the OTYS folders that a row can aim at.
func (v MappingView) otysOptions(p Page) []Option {
	out := []Option{{"", p.Text("mappings.choose_otys")}}
	for _, o := range v.OTYS {
		out = append(out, Option{o.ID, otysName(p, o)})
	}
	return out
}

// note says what is worth knowing about the folder of a row: that a large one
// needs no clean-up and how long it will take. "" for nothing.
func (v MappingView) note(p Page, in MappingInput) string {
	f, ok := v.folder(in.Folder)
	if !ok || f.Messages <= manyMails {
		return ""
	}
	rate, done := float64(portal.AssumedRate), int64(0)
	if r, ok := v.saved(in.Folder); ok {
		if r.Rate > 0 {
			rate = r.Rate
		}
		done = r.Done()
		if r.State == mailroom.StateUpToDate {
			return ""
		}
	}
	left := max(f.Messages-done, 0)
	return p.Text("mappings.large", "n", f.Messages, "duration", p.About(time.Duration(float64(left)/rate*float64(time.Second))))
}

// mappedTo names the OTYS folder that a folder is saved to, "" for none.
func (v MappingView) mappedTo(p Page, f mailroom.Folder) string {
	if r, ok := v.saved(f.RawName); ok {
		return otysName(p, r.OTYSFolder)
	}
	return ""
}

// folderSelect makes the choice of a folder show its counts at once.
func folderSelect(focus bool) templ.Attributes {
	a := templ.Attributes{"autofocus": focus}
	maps.Copy(a, showRows())
	return a
}

// showRows shows the form as typed with what is known of the folders, whenever
// one is chosen.
func showRows() templ.Attributes {
	return templ.Attributes{
		"hx-post": mappingURL + "/rows", "hx-trigger": "change", "hx-vals": `{"do":"show"}`,
		"hx-target": "#mapping-form", "hx-select": "#mapping-form", "hx-swap": "outerMorph", "hx-sync": "#mapping-form:replace",
	}
}

func rowField(i int, name string) string { return fmt.Sprintf("rows.%d.%s", i, name) }

// FolderValue is a raw folder name as a form can carry it: as it is when it is
// plain text, else in hexadecimal, since browsers change line ends and more.
func FolderValue(raw string) string {
	plain := utf8.ValidString(raw) && !strings.HasPrefix(raw, "hex:") && strings.TrimSpace(raw) == raw &&
		!strings.ContainsFunc(raw, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError })
	if plain {
		return raw
	}
	return "hex:" + hex.EncodeToString([]byte(raw))
}

// FolderFromValue is the inverse of FolderValue.
func FolderFromValue(value string) string {
	if digits, ok := strings.CutPrefix(value, "hex:"); ok {
		if raw, err := hex.DecodeString(digits); err == nil {
			return string(raw)
		}
	}
	return value
}

// depthClass indents a folder in the list.
func depthClass(depth int) string { return fmt.Sprintf("depth-%d", min(depth, 6)) }

func sinceAttributes(f Form, i int, in MappingInput) templ.Attributes {
	name := rowField(i, "since")
	a := described(f, name, "")
	a["id"], a["name"], a["type"], a["value"] = fieldID(name), name, "date", in.Since
	return a
}

// rowsButton is a button of the mapping form that changes its rows and saves
// nothing: a submit button with another action, and with script only the form
// is replaced.
func rowsButton() templ.Attributes {
	const to = mappingURL + "/rows"
	return templ.Attributes{
		"formaction": to, "formnovalidate": true,
		"hx-post": to, "hx-target": "#mapping-form", "hx-select": "#mapping-form", "hx-swap": "outerMorph",
		"hx-select-oob": "#mapping-folders:outerMorph", "hx-status:422": "swap:outerMorph", "hx-sync": "#mapping-form:replace",
	}
}
