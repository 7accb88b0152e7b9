package templates

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// companySuffix tells apart people of the same name.
func companySuffix(person mailroom.Person) string {
	if person.Company == "" {
		return ""
	}
	return ", " + person.Company
}

// personLine is what is known of a person in one line.
func personLine(p Page, person mailroom.Person) string {
	parts := []string{p.Text("person.kind." + string(person.Kind))}
	for _, s := range []string{person.Company, person.Reference, strings.Join(person.Addresses, ", ")} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " · ")
}

func peopleURL(q portal.PersonQuery, kind mailroom.PersonKind, page int) string {
	v := url.Values{}
	if q.Search != "" {
		v.Set("q", q.Search)
	}
	if kind != "" {
		v.Set("kind", string(kind))
	}
	if page > 1 {
		v.Set("page", strconv.Itoa(page))
	}
	if len(v) == 0 {
		return "/people"
	}
	return "/people?" + v.Encode()
}

// pageURL is a page of the list, "" for one that does not exist.
func pageURL(v portal.PeopleList, page int) string {
	if page < 1 || page > v.Pages {
		return ""
	}
	return peopleURL(v.Query, v.Query.Kind, page)
}

// besides leaves out the chip of the person whose page it is.
func besides(m portal.MailRow, id string) portal.MailRow {
	m.People = slices.DeleteFunc(slices.Clone(m.People), func(c portal.PersonChip) bool { return c.ID == id })
	return m
}

// timelineURL is a stretch of a person's mail.
func timelineURL(id, before string) string {
	if before == "" {
		return "/people/" + id
	}
	return "/people/" + id + "?before=" + url.QueryEscape(before)
}

func editAction(id string) string {
	if id == "" {
		return "/people"
	}
	return "/people/" + id + "/edit"
}

func editBack(id string) string {
	if id == "" {
		return "/people"
	}
	return "/people/" + id
}

// importExample shows the format; the words are those that the import reads, in
// every language.
const importExample = `kind,name,emails,company,reference
candidate,Carla Meijer,carla@home.example carla.meijer@work.example,,C-1042
contact,Jan Willems,j.willems@bouw.example,Willems Bouw,R-77
candidate,"Bakker, Tom",tom.bakker@home.example,,C-1043`

// shownBadRows keeps a report readable when the whole file is wrong.
const shownBadRows = 500
