package web

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/templates"
)

const peoplePath = "/people"

// maxPeopleFile bounds an import: some hundred thousand people.
const maxPeopleFile = 32_000_000

func showPeople(c *call) error {
	v, err := c.people()
	if err != nil {
		return err
	}
	return c.show(templates.People(c.page("people", "people.title"), v))
}

func (c *call) people() (portal.PeopleList, error) {
	kind := mailroom.PersonKind(c.query("kind"))
	if kind != mailroom.Candidate && kind != mailroom.Contact {
		kind = ""
	}
	page, _ := strconv.Atoi(c.query("page")) // what is no number is the first page
	return c.Portal.People(c.r.Context(), c.user, portal.PersonQuery{Search: c.query("q"), Kind: kind, Page: page})
}

func showPerson(c *call) error {
	before := c.query("before")
	v, err := c.Portal.Person(c.r.Context(), c.user, c.param("id"), before)
	if err != nil {
		return err
	}
	p := c.page("people", "people.title")
	p.Title = v.Person.Name
	return c.show(templates.Person(p, v, before))
}

func showNewPerson(c *call) error {
	f := templates.Form{}
	f.Set("kind", string(mailroom.Candidate))
	return c.show(templates.EditPerson(c.page("people", "people.add"), "", f))
}

func addPerson(c *call) error {
	f, form, err := c.personForm()
	if err != nil {
		return err
	}
	person, linked, err := c.Portal.AddPerson(c.r.Context(), c.user, form)
	if c.complain(&f, err) {
		return c.showAgain(templates.EditPerson(c.page("people", "people.add"), "", f))
	}
	if err != nil {
		return err
	}
	c.flash("done", "people.added", "name", person.Name)
	c.flashLinked(linked)
	return c.redirect(peoplePath + "/" + person.ID)
}

// flashLinked tells of late linking, which people do not expect.
func (c *call) flashLinked(n int64) {
	if n > 0 {
		c.flash("note", "people.linked", "n", n)
	}
}

// personForm reads a person; addresses are typed one a line.
func (c *call) personForm() (templates.Form, portal.PersonForm, error) {
	f, err := c.form("kind", "name", "company", "reference", "addresses")
	return f, portal.PersonForm{
		Kind: mailroom.PersonKind(f.Value("kind")), Name: f.Value("name"), Company: f.Value("company"), Reference: f.Value("reference"),
		Addresses: strings.FieldsFunc(f.Value("addresses"), func(r rune) bool { return strings.ContainsRune("\r\n\t ,;", r) }),
	}, err
}

func showPersonForm(c *call) error {
	v, err := c.Portal.Person(c.r.Context(), c.user, c.param("id"), "")
	if err != nil {
		return err
	}
	f := templates.Form{}
	f.Set("kind", string(v.Person.Kind))
	f.Set("name", v.Person.Name)
	f.Set("company", v.Person.Company)
	f.Set("reference", v.Person.Reference)
	f.Set("addresses", strings.Join(v.Person.Addresses, "\n"))
	return c.show(templates.EditPerson(c.page("people", "people.edit"), v.Person.ID, f))
}

func savePerson(c *call) error {
	f, form, err := c.personForm()
	if err != nil {
		return err
	}
	id := c.param("id")
	linked, err := c.Portal.SavePerson(c.r.Context(), c.user, id, form)
	if c.complain(&f, err) {
		return c.showAgain(templates.EditPerson(c.page("people", "people.edit"), id, f))
	}
	if err != nil {
		return err
	}
	c.flash("done", "people.saved")
	c.flashLinked(linked)
	return c.redirect(peoplePath + "/" + id)
}

func confirmDeletePerson(c *call) error {
	v, err := c.Portal.Person(c.r.Context(), c.user, c.param("id"), "")
	if err != nil {
		return err
	}
	return c.show(templates.DeletePerson(c.page("people", "people.delete"), v))
}

func deletePerson(c *call) error {
	if err := c.Portal.DeletePerson(c.r.Context(), c.user, c.param("id")); err != nil {
		return err
	}
	c.flash("done", "people.deleted")
	return c.redirect(peoplePath)
}

func showImport(c *call) error {
	return c.show(templates.ImportPeople(c.page("people", "people.import"), templates.Form{}))
}

// importPeople answers with the report itself instead of a redirect: it is kept
// nowhere, and the same file again changes nothing.
func importPeople(c *call) error {
	file, err := c.upload("file", maxPeopleFile)
	var f templates.Form
	if err == nil {
		var report portal.ImportReport
		report, err = c.Portal.ImportPeople(c.r.Context(), c.user, file)
		if err == nil {
			return c.show(templates.ImportedPeople(c.page("people", "people.import.done"), report))
		}
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = mailroom.E(mailroom.Invalid, "people.import.too_large", err).On("file").With("size", c.t.Size(maxPeopleFile))
	}
	if c.complain(&f, err) {
		return c.showAgain(templates.ImportPeople(c.page("people", "people.import"), f))
	}
	return err
}

// upload is a file of a multipart form, read as it comes in.
func (c *call) upload(field string, limit int64) (io.Reader, error) {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, limit)
	parts, err := c.r.MultipartReader()
	if err != nil {
		return nil, mailroom.E(mailroom.Invalid, "error.form", err)
	}
	for {
		part, err := parts.NextPart()
		switch {
		case err == io.EOF:
			return nil, mailroom.E(mailroom.Invalid, "people.import.no_file").On(field)
		case err != nil:
			return nil, mailroom.E(mailroom.Invalid, "error.form", err)
		case part.FormName() != field:
		case part.FileName() == "":
			return nil, mailroom.E(mailroom.Invalid, "people.import.no_file").On(field)
		default:
			return part, nil
		}
	}
}
