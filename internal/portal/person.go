package portal

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"mailroom/internal/mailroom"
)

const (
	peoplePerPage = 50
	mailsPerPage  = 50
	maxAddresses  = 50 // of one person
)

// People is a page of the organization's candidates and contact persons by name.
func (p *Portal) People(ctx context.Context, u mailroom.User, q PersonQuery) (PeopleList, error) {
	q.Page = min(max(q.Page, 1), 1_000_000)
	rows, total, err := p.d.Store.People(ctx, mailroom.PersonFilter{
		OrgID: u.OrgID, Kind: q.Kind, Search: q.Search, Offset: (q.Page - 1) * peoplePerPage, Limit: peoplePerPage,
	})
	return PeopleList{Query: q, Rows: rows, Total: total, Pages: (total + peoplePerPage - 1) / peoplePerPage}, err
}

// SearchPeople finds people to link a message to; limit 0 for 10.
func (p *Portal) SearchPeople(ctx context.Context, u mailroom.User, q string, limit int) ([]mailroom.Person, error) {
	if strings.TrimSpace(q) == "" {
		return nil, nil
	}
	if limit <= 0 || limit > peoplePerPage {
		limit = 10
	}
	rows, _, err := p.d.Store.People(ctx, mailroom.PersonFilter{OrgID: u.OrgID, Search: q, Limit: limit})
	return rows, err
}

// Person is a person with their mail, newest first: the viewer's own, or that
// of all colleagues when the organization shares it.
func (p *Portal) Person(ctx context.Context, u mailroom.User, id, before string) (PersonPage, error) {
	after, ok := mailroom.ParsePosition(before)
	if !ok {
		return PersonPage{}, notFound()
	}
	person, err := p.d.Store.Person(ctx, u.OrgID, id)
	if err != nil {
		return PersonPage{}, err
	}
	org, err := p.d.Store.Organization(ctx, u.OrgID)
	if err != nil {
		return PersonPage{}, err
	}
	v := PersonPage{Person: person, Shared: org.ShareLinkedMail}
	lines, err := p.d.Store.PersonMails(ctx, u.OrgID, u.ID, id, v.Shared, after, mailsPerPage+1)
	if err != nil {
		return v, err
	}
	v.Mails, v.Next = mailRows(lines, mailsPerPage)
	return v, nil
}

// AddPerson adds a person and links the mail that is already here; linked is
// how many messages that were.
func (p *Portal) AddPerson(ctx context.Context, u mailroom.User, f PersonForm) (person mailroom.Person, linked int64, err error) {
	person, err = checkPerson(f)
	if err != nil {
		return mailroom.Person{}, 0, err
	}
	person.ID, person.OrgID, person.CreatedAt = mailroom.NewID(mailroom.PrefixPerson), u.OrgID, p.now()
	linked, err = p.d.Store.AddPerson(ctx, person, p.event(u, "person.added", person.ID, map[string]any{"name": person.Name}))
	return person, linked, err
}

// SavePerson changes a person. Mail that is here is linked by new addresses;
// links by addresses that went stay.
func (p *Portal) SavePerson(ctx context.Context, u mailroom.User, id string, f PersonForm) (linked int64, err error) {
	person, err := checkPerson(f)
	if err != nil {
		return 0, err
	}
	person.ID, person.OrgID = id, u.OrgID
	return p.d.Store.SavePerson(ctx, person, p.event(u, "person.saved", id, map[string]any{"name": person.Name}))
}

// DeletePerson deletes a person and their links. The mail stays.
func (p *Portal) DeletePerson(ctx context.Context, u mailroom.User, id string) error {
	person, err := p.d.Store.Person(ctx, u.OrgID, id)
	if err != nil {
		return err
	}
	return p.d.Store.DeletePerson(ctx, u.OrgID, id, p.event(u, "person.deleted", id, map[string]any{"name": person.Name}))
}

// checkPerson turns a typed person into a stored one, without ID.
func checkPerson(f PersonForm) (mailroom.Person, error) {
	var errs complaints
	name, err := checkName("name", f.Name, "person.error.name")
	errs.add(err)
	v := mailroom.Person{
		Kind: f.Kind, Name: name,
		Company:   strings.Join(strings.Fields(f.Company), " "),
		Reference: strings.TrimSpace(f.Reference),
	}
	if v.Kind != mailroom.Candidate && v.Kind != mailroom.Contact {
		errs.add(invalid("kind", "person.error.kind"))
	}
	if utf8.RuneCountInString(v.Company) > 200 {
		errs.add(invalid("company", "person.error.company"))
	}
	if utf8.RuneCountInString(v.Reference) > 100 {
		errs.add(invalid("reference", "person.error.reference"))
	}
	for _, typed := range f.Addresses {
		if strings.TrimSpace(typed) == "" {
			continue
		}
		a, err := checkAddress("addresses", typed, "person.error.address")
		if err != nil {
			errs.add(err)
		} else if !slices.Contains(v.Addresses, a) {
			v.Addresses = append(v.Addresses, a)
		}
	}
	if len(v.Addresses) > maxAddresses {
		errs.add(invalid("addresses", "person.error.addresses_many").With("max", maxAddresses))
	}
	return v, errs.join()
}
