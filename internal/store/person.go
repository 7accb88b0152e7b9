package store

import (
	"context"
	"slices"
	"strings"

	"mailroom/internal/mailroom"
)

const personColumns = `id, org_id, kind, name, company, reference, created_at`

// scanPerson reads personColumns; addresses come by addAddresses.
func scanPerson(r row) (p mailroom.Person, err error) {
	err = r.Scan(&p.ID, &p.OrgID, &p.Kind, &p.Name, &p.Company, &p.Reference, at(&p.CreatedAt))
	return p, err
}

// People returns a page of an organization's people by name, and how many there
// are in all. Every word of the search must occur somewhere in name, company,
// reference or addresses.
func (s *Store) People(ctx context.Context, f mailroom.PersonFilter) (page []mailroom.Person, total int, err error) {
	args := []any{f.OrgID, string(f.Kind)}
	where := `org_id = $1 AND ($2 = '' OR kind = $2)`
	for i, word := range strings.Fields(plainLetters(f.Search)) {
		if i == 8 {
			break
		}
		args = append(args, "%"+likeEscaper.Replace(word)+"%")
		where += ` AND search LIKE ` + argument(len(args)) + ` ESCAPE '\'`
	}
	err = s.view(ctx, func(q runner) error {
		if total, err = value[int](ctx, q, `SELECT COUNT(*) FROM persons WHERE `+where, args...); err != nil {
			return err
		}
		n := len(args)
		page, err = all(ctx, q, scanPerson, `SELECT `+personColumns+` FROM persons WHERE `+where+
			` ORDER BY search, id LIMIT `+argument(n+1)+` OFFSET `+argument(n+2), append(args, f.Limit, f.Offset)...)
		if err != nil {
			return err
		}
		return addAddresses(ctx, q, page)
	})
	return page, total, err
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func addAddresses(ctx context.Context, q runner, people []mailroom.Person) error {
	if len(people) == 0 {
		return nil
	}
	at, ids := map[string]int{}, make([]string, len(people))
	for i, p := range people {
		at[p.ID], ids[i] = i, p.ID
	}
	return each(ctx, q, func(r row) error {
		var id, address string
		err := r.Scan(&id, &address)
		if i, ok := at[id]; ok {
			people[i].Addresses = append(people[i].Addresses, address)
		}
		return err
	}, `SELECT person_id, address FROM person_addresses WHERE person_id IN `+q.dialect().in("$1")+` ORDER BY address`, list(ids))
}

// Person returns a person of an organization.
func (s *Store) Person(ctx context.Context, orgID, id string) (mailroom.Person, error) {
	q := s.read()
	p, err := one(ctx, q, scanPerson, `SELECT `+personColumns+` FROM persons WHERE id = $1 AND org_id = $2`, id, orgID)
	if err != nil {
		return p, err
	}
	list := []mailroom.Person{p}
	err = addAddresses(ctx, q, list)
	return list[0], err
}

// AddPerson stores a person and links the mail that is here already. Conflict
// "person.error.reference_taken" when another of the kind has the reference.
func (s *Store) AddPerson(ctx context.Context, p mailroom.Person, ev mailroom.AuditEvent) (linked int64, err error) {
	err = s.tx(ctx, func(t *tx) error {
		if err := t.lockPeople(ctx, p.OrgID); err != nil {
			return err
		}
		if err := t.freeReference(ctx, p); err != nil {
			return err
		}
		if err := t.insertPeople(ctx, []mailroom.Person{p}); err != nil {
			return err
		}
		if linked, err = t.linkAddresses(ctx, p.OrgID, p.Addresses); err != nil {
			return err
		}
		t.notify(TopicOrg(p.OrgID))
		return t.audit(ctx, ev)
	})
	if err != nil {
		return 0, err
	}
	return linked, nil
}

func (t *tx) freeReference(ctx context.Context, p mailroom.Person) error {
	if p.Reference == "" {
		return nil
	}
	n, err := value[int](ctx, t, `SELECT COUNT(*) FROM persons WHERE org_id = $1 AND kind = $2 AND reference = $3 AND id <> $4`,
		p.OrgID, string(p.Kind), clean(p.Reference), p.ID)
	if err == nil && n > 0 {
		err = mailroom.E(mailroom.Conflict, "person.error.reference_taken").On("reference").With("reference", p.Reference)
	}
	return err
}

// insertPeople stores new people with their addresses.
func (t *tx) insertPeople(ctx context.Context, people []mailroom.Person) error {
	vals := make([][]any, len(people))
	var addresses [][]any
	for i, p := range people {
		vals[i] = []any{p.ID, p.OrgID, string(p.Kind), clean(p.Name), clean(p.Company), clean(p.Reference), mailroom.Micros(p.CreatedAt), searchText(p)}
		for _, a := range p.Addresses {
			addresses = append(addresses, []any{p.OrgID, clean(a), p.ID})
		}
	}
	if err := t.insert(ctx, `INSERT INTO persons(`+personColumns+`, search) VALUES `, ``, vals); err != nil {
		return err
	}
	return t.insertAddresses(ctx, addresses)
}

func (t *tx) insertAddresses(ctx context.Context, vals [][]any) error {
	return t.insert(ctx, `INSERT INTO person_addresses(org_id, address, person_id) VALUES `,
		` ON CONFLICT (org_id, address, person_id) DO NOTHING`, vals)
}

func (t *tx) updatePerson(ctx context.Context, p mailroom.Person) error {
	_, err := t.exec(ctx, `UPDATE persons SET kind = $1, name = $2, company = $3, reference = $4, search = $5 WHERE id = $6 AND org_id = $7`,
		string(p.Kind), clean(p.Name), clean(p.Company), clean(p.Reference), searchText(p), p.ID, p.OrgID)
	return err
}

// searchText is the column search: it begins with the name, by which it sorts.
func searchText(p mailroom.Person) string {
	return plainLetters(strings.Join(append([]string{p.Name, p.Company, p.Reference}, p.Addresses...), " "))
}

// SavePerson changes a person and links mail by addresses that are new. Links by
// addresses that went stay, but an address that has one holder left needs no
// choice any more.
func (s *Store) SavePerson(ctx context.Context, p mailroom.Person, ev mailroom.AuditEvent) (linked int64, err error) {
	err = s.tx(ctx, func(t *tx) error {
		if err := t.lockPeople(ctx, p.OrgID); err != nil {
			return err
		}
		before, err := t.personAddresses(ctx, p.OrgID, p.ID)
		if err != nil {
			return err
		}
		if err := t.freeReference(ctx, p); err != nil {
			return err
		}
		if err := t.updatePerson(ctx, p); err != nil {
			return err
		}
		var added [][]any
		var changed []string
		for _, a := range p.Addresses {
			if !slices.Contains(before, a) {
				added, changed = append(added, []any{p.OrgID, a, p.ID}), append(changed, a)
			}
		}
		for _, a := range before {
			if !slices.Contains(p.Addresses, a) {
				changed = append(changed, a)
			}
		}
		if _, err := t.exec(ctx, `DELETE FROM person_addresses WHERE person_id = $1 AND address NOT IN `+t.s.in("$2"), p.ID, list(p.Addresses)); err != nil {
			return err
		}
		if err := t.insertAddresses(ctx, added); err != nil {
			return err
		}
		if linked, err = t.linkAddresses(ctx, p.OrgID, changed); err != nil {
			return err
		}
		t.notify(TopicOrg(p.OrgID))
		return t.audit(ctx, ev)
	})
	if err != nil {
		return 0, err
	}
	return linked, nil
}

// personAddresses also makes sure that the person is of the organization.
func (t *tx) personAddresses(ctx context.Context, orgID, id string) ([]string, error) {
	if _, err := value[string](ctx, t, `SELECT id FROM persons WHERE id = $1 AND org_id = $2`, id, orgID); err != nil {
		return nil, err
	}
	return values[string](ctx, t, `SELECT address FROM person_addresses WHERE person_id = $1`, id)
}

// DeletePerson deletes a person with their addresses and links, tombstones
// included. Mail by an address that has one holder left is theirs from now on.
func (s *Store) DeletePerson(ctx context.Context, orgID, id string, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		if err := t.lockPeople(ctx, orgID); err != nil {
			return err
		}
		addresses, err := t.personAddresses(ctx, orgID, id)
		if err != nil {
			return err
		}
		for _, text := range []string{
			`DELETE FROM links WHERE person_id = $1`,
			`DELETE FROM person_addresses WHERE person_id = $1`,
			`DELETE FROM persons WHERE id = $1`,
		} {
			if _, err := t.exec(ctx, text, id); err != nil {
				return err
			}
		}
		if _, err := t.linkAddresses(ctx, orgID, addresses); err != nil {
			return err
		}
		t.notify(TopicOrg(orgID))
		return t.audit(ctx, ev)
	})
}

// PeopleAt finds people by their addresses, which are in normal form: for each
// address that somebody has, who. The people come without their addresses.
func (s *Store) PeopleAt(ctx context.Context, orgID string, addresses []string) (map[string][]mailroom.Person, error) {
	out := map[string][]mailroom.Person{}
	err := eachHolder(ctx, s.read(), orgID, addresses, func(address string, p mailroom.Person) {
		out[address] = append(out[address], p)
	})
	return out, err
}

// eachHolder calls fn with everybody who has one of the addresses.
func eachHolder(ctx context.Context, q runner, orgID string, addresses []string, fn func(address string, p mailroom.Person)) error {
	return each(ctx, q, func(r row) error {
		cells := splitRow(r, 1, columnCount(personColumns))
		p, err := scanPerson(cells[1])
		if err != nil {
			return err
		}
		var address string
		if err := cells[0].Scan(&address); err != nil {
			return err
		}
		fn(address, p)
		return nil
	}, `SELECT a.address, `+prefixed("p", personColumns)+` FROM person_addresses a JOIN persons p ON p.id = a.person_id
		WHERE a.org_id = $1 AND a.address IN `+q.dialect().in("$2")+` ORDER BY p.search, p.id`, orgID, list(addresses))
}
