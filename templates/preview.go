package templates

import (
	"strconv"

	"github.com/a-h/templ"

	"mailroom/internal/portal"
)

// PreviewView is the preview of one row of the mapping form.
type PreviewView struct {
	portal.Preview
	Row       int
	Complaint string // about the row, "" for none
}

// namedPeople is how many of the people that were recognized are named.
const namedPeople = 8

func (v PreviewView) named() []portal.PreviewPerson {
	return v.People[:min(len(v.People), namedPeople)]
}

func previewID(i int) string { return "preview-" + strconv.Itoa(i) }

// previewButton asks what a row would bring. With script only the row's own
// preview is replaced, and those of other rows stay.
func previewButton(i int) templ.Attributes {
	a := rowsButton()
	delete(a, "hx-select-oob")
	a["name"], a["value"] = "do", "preview:"+strconv.Itoa(i)
	a["hx-target"], a["hx-select"] = "#"+previewID(i), "#"+previewID(i)
	return a
}

// previewCount is how many messages a row would bring, and how many of the
// folder that is.
func previewCount(p Page, v PreviewView) string {
	if v.Since.IsZero() {
		return p.Text("preview.count", "n", v.Messages)
	}
	return p.Text("preview.count.since", "n", v.Messages, "matching", v.Matching, "date", p.Date(v.Since))
}

func previewSize(p Page, v PreviewView) string {
	if v.BytesExact {
		return p.Size(v.Bytes)
	}
	return p.Text("preview.about", "size", p.Size(v.Bytes))
}

// previewTime is how long the reading will take, and by which rate that is said.
func previewTime(p Page, v PreviewView) string {
	if v.Here >= v.Matching {
		return p.Text("preview.time.none")
	}
	key := "preview.time.assumed"
	if v.Measured {
		key = "preview.time.measured"
	}
	return p.Text(key, "duration", p.About(v.Takes), "rate", rateText(p, v.Rate))
}
