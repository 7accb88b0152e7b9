package store

import (
	"context"
	"slices"
	"strings"

	"mailroom/internal/mailroom"
)

// ImportPeople stores a stretch of an import. A row is the person of the same
// kind and reference; else the one of the same kind and name who shares an
// address; else, for a row without addresses, the one of the same kind, name and
// company. It adds addresses and takes none away. A stretch that changes nothing
// leaves no audit event.
func (s *Store) ImportPeople(ctx context.Context, orgID string, rows []mailroom.PersonRow, ev mailroom.AuditEvent) (out mailroom.PeopleImported, err error) {
	err = s.tx(ctx, func(t *tx) error {
		if err := t.lockPeople(ctx, orgID); err != nil {
			return err
		}
		im, err := t.beginImport(ctx, orgID, rows)
		if err != nil {
			return err
		}
		for _, r := range rows {
			im.add(r)
		}
		out = im.done
		if out.Added+out.Updated == 0 {
			return nil
		}
		if out.Linked, err = im.save(ctx, t, orgID); err != nil {
			return err
		}
		t.notify(TopicOrg(orgID))
		details := map[string]any{"added": out.Added, "updated": out.Updated, "linked": out.Linked}
		for k, v := range ev.Details {
			details[k] = v
		}
		ev.Details = details
		return t.audit(ctx, ev)
	})
	return out, err
}

// importing is a stretch of an import: everybody whom its rows may be about, and
// what is to be written.
type importing struct {
	byReference map[string]*imported   // kind and reference
	byAddress   map[string][]*imported // holders
	byName      map[string][]*imported // kind and name; those without addresses in the row look here
	order       []*imported
	done        mailroom.PeopleImported
}

type imported struct {
	mailroom.Person
	fresh, changed bool
	added          []string // addresses
}

// beginImport reads everybody whom the rows may be about, in three statements.
func (t *tx) beginImport(ctx context.Context, orgID string, rows []mailroom.PersonRow) (*importing, error) {
	im := &importing{byReference: map[string]*imported{},
		byAddress: map[string][]*imported{}, byName: map[string][]*imported{}}
	var references, addresses, names []string
	for _, r := range rows {
		if r.Person.Reference != "" {
			references = append(references, clean(r.Person.Reference))
		}
		if len(r.Person.Addresses) == 0 {
			names = append(names, clean(r.Person.Name))
		}
		addresses = append(addresses, r.Person.Addresses...)
	}
	// Each part by an index of its own: with OR, everybody would be looked at.
	known, err := all(ctx, t, scanPerson, `SELECT `+personColumns+` FROM persons WHERE id IN (
		SELECT id FROM persons WHERE org_id = $1 AND kind IN ('candidate', 'contact') AND reference <> '' AND reference IN `+t.s.in("$2")+`
		UNION SELECT id FROM persons WHERE org_id = $1 AND name IN `+t.s.in("$3")+`
		UNION SELECT person_id FROM person_addresses WHERE org_id = $1 AND address IN `+t.s.in("$4")+`)`,
		orgID, list(references), list(names), list(addresses))
	if err != nil {
		return nil, err
	}
	if err := addAddresses(ctx, t, known); err != nil {
		return nil, err
	}
	for _, p := range known {
		im.know(&imported{Person: p})
	}
	return im, nil
}

func referenceKey(p mailroom.Person) string { return string(p.Kind) + "\x00" + p.Reference }
func nameKey(p mailroom.Person) string {
	return string(p.Kind) + "\x00" + strings.ToLower(p.Name)
}

func (im *importing) know(p *imported) {
	im.order = append(im.order, p)
	if p.Reference != "" {
		im.byReference[referenceKey(p.Person)] = p
	}
	for _, a := range p.Addresses {
		im.byAddress[a] = append(im.byAddress[a], p)
	}
	im.byName[nameKey(p.Person)] = append(im.byName[nameKey(p.Person)], p)
}

// add takes one row: it finds its person, or makes one.
func (im *importing) add(r mailroom.PersonRow) {
	p := im.find(r.Person)
	if p == nil {
		im.know(&imported{Person: r.Person, fresh: true, added: slices.Clone(r.Person.Addresses)})
		im.done.Added++
		return
	}
	if im.merge(p, r.Person) {
		im.done.Updated++
	} else {
		im.done.Unchanged++
	}
}

func (im *importing) find(row mailroom.Person) *imported {
	if row.Reference != "" {
		if p := im.byReference[referenceKey(row)]; p != nil {
			return p
		}
	}
	same := func(p *imported) bool {
		return p.Kind == row.Kind && strings.EqualFold(p.Name, row.Name) && (row.Reference == "" || p.Reference == "")
	}
	for _, a := range row.Addresses {
		for _, p := range im.byAddress[a] {
			if same(p) {
				return p
			}
		}
	}
	if len(row.Addresses) > 0 {
		return nil
	}
	for _, p := range im.byName[nameKey(row)] {
		if same(p) && strings.EqualFold(p.Company, row.Company) {
			return p
		}
	}
	return nil
}

// merge brings a known person up to the row, and reports whether that changed
// anything. An empty cell says nothing.
func (im *importing) merge(p *imported, row mailroom.Person) (changed bool) {
	set := func(field *string, text string) {
		if text != "" && *field != text {
			*field, changed = text, true
		}
	}
	set(&p.Name, row.Name)
	set(&p.Company, row.Company)
	set(&p.Reference, row.Reference)
	if row.Reference != "" {
		im.byReference[referenceKey(p.Person)] = p
	}
	for _, a := range row.Addresses {
		if !slices.Contains(p.Addresses, a) {
			p.Addresses, p.added, changed = append(p.Addresses, a), append(p.added, a), true
			im.byAddress[a] = append(im.byAddress[a], p)
		}
	}
	p.changed = p.changed || changed
	return changed
}

func (im *importing) save(ctx context.Context, t *tx, orgID string) (linked int64, err error) {
	var fresh []mailroom.Person
	var addresses [][]any
	var touched []string
	for _, p := range im.order {
		touched = append(touched, p.added...)
		switch {
		case p.fresh:
			fresh = append(fresh, p.Person)
		case p.changed:
			if err := t.updatePerson(ctx, p.Person); err != nil {
				return 0, err
			}
			for _, a := range p.added {
				addresses = append(addresses, []any{orgID, a, p.ID})
			}
		}
	}
	if err := t.insertPeople(ctx, fresh); err != nil {
		return 0, err
	}
	if err := t.insertAddresses(ctx, addresses); err != nil {
		return 0, err
	}
	// Most addresses of a large import never wrote to anybody: those are not
	// worth asking about one by one.
	mailed, err := values[string](ctx, t, `SELECT DISTINCT a.address FROM person_addresses a WHERE a.org_id = $1 AND a.address IN `+t.s.in("$2")+`
		AND EXISTS (SELECT 1 FROM message_addresses m WHERE m.org_id = a.org_id AND m.address = a.address)`, orgID, list(touched))
	if err != nil {
		return 0, err
	}
	return t.linkAddresses(ctx, orgID, mailed)
}
