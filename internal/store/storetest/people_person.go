package storetest

import (
	"fmt"
	"slices"
	"testing"

	"mailroom/internal/mailroom"
)

func testPeople(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	eva := w.person("Eva de Boer", "b@x.example", "a@x.example")
	eva.Reference, eva.Company = "C-1", "Klant BV"
	got(s.AddPerson(ctx, eva, w.act("person.added")))
	w.audited(t, "person.added")
	v := got(s.Person(ctx, w.OrgID, eva.ID))
	if v.Name != eva.Name || v.Company != "Klant BV" || !slices.Equal(v.Addresses, []string{"a@x.example", "b@x.example"}) {
		t.Fatalf("stored %+v", v)
	}
	twin := w.person("Other")
	twin.Reference = "C-1"
	_, err := s.AddPerson(ctx, twin, w.act("person.added"))
	refused(t, err, mailroom.Conflict, "person.error.reference_taken")
	twin.Kind = mailroom.Contact // numbers are given per kind
	got(s.AddPerson(ctx, twin, w.act("person.added")))

	eva.Name, eva.Addresses = "Eva Smit", []string{"a@x.example", "c@x.example"}
	got(s.SavePerson(ctx, eva, w.act("person.saved")))
	if v := got(s.Person(ctx, w.OrgID, eva.ID)); v.Name != "Eva Smit" || !slices.Equal(v.Addresses, eva.Addresses) {
		t.Fatalf("changed to %+v", v)
	}
	eva.OrgID = "org_other"
	_, err = s.SavePerson(ctx, eva, w.act("x"))
	refused(t, err, mailroom.NotFound, "error.not_found")
	_, err = s.Person(ctx, "org_other", eva.ID)
	refused(t, err, mailroom.NotFound, "error.not_found")
	refused(t, s.DeletePerson(ctx, "org_other", eva.ID, w.act("x")), mailroom.NotFound, "error.not_found")
	must(t, s.DeletePerson(ctx, w.OrgID, eva.ID, w.act("person.deleted")))
	_, err = s.Person(ctx, w.OrgID, eva.ID)
	refused(t, err, mailroom.NotFound, "error.not_found")
}

func testPeopleFound(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	for i, p := range []mailroom.Person{w.person("émile Zola", "emile@x.example"), w.person("Bob 100%", "bob_1@x.example"), w.person("anna Bos", "a@y.example")} {
		p.Reference = fmt.Sprintf("R%d", i)
		if i == 2 {
			p.Kind, p.Company = mailroom.Contact, "Bakkerij Ölz"
		}
		got(s.AddPerson(ctx, p, w.act("person.added")))
	}
	find := func(search string, kind mailroom.PersonKind) []string {
		t.Helper()
		rows, total, err := s.People(ctx, mailroom.PersonFilter{OrgID: w.OrgID, Search: search, Kind: kind, Limit: 10})
		must(t, err)
		names := []string{}
		for _, r := range rows {
			names = append(names, r.Name)
		}
		if total != len(names) {
			t.Errorf("%q: %d in all, %d listed", search, total, len(names))
		}
		return names
	}
	for search, want := range map[string][]string{
		"": {"anna Bos", "Bob 100%", "émile Zola"}, "Emile": {"émile Zola"}, "ZOLÁ": {"émile Zola"}, "%": {"Bob 100%"}, "bob_": {"Bob 100%"},
		"olz": {"anna Bos"}, "r1": {"Bob 100%"}, "x.example o": {"Bob 100%", "émile Zola"}, `\`: {}, "bos anna": {"anna Bos"},
	} {
		if v := find(search, ""); !slices.Equal(v, want) {
			t.Errorf("%q finds %v, want %v", search, v, want)
		}
	}
	if v := find("", mailroom.Contact); !slices.Equal(v, []string{"anna Bos"}) {
		t.Errorf("contacts: %v", v)
	}
	rows, total, err := s.People(ctx, mailroom.PersonFilter{OrgID: w.OrgID, Offset: 1, Limit: 1})
	if err != nil || total != 3 || len(rows) != 1 || rows[0].Name != "Bob 100%" || !slices.Equal(rows[0].Addresses, []string{"bob_1@x.example"}) {
		t.Errorf("second page: %+v, %d, %v", rows, total, err)
	}
	if rows, _, _ := s.People(ctx, mailroom.PersonFilter{OrgID: "org_other", Limit: 10}); len(rows) != 0 {
		t.Errorf("another organization sees %v", rows)
	}
}

func testPeopleLinkedLate(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	out := w.Mail(2, w.Mailbox.Address, "To Eva", "x")
	out.Message.To = []mailroom.Address{{Addr: "Eva@X.example"}}
	w.file(t, w.Inbox, w.Mail(1, "eva@x.example", "From Eva", "x"), w.Mail(3, "old@x.example", "From old", "x"))
	w.file(t, w.Sent, out)
	other := Seed(t, s)
	other.file(t, other.Inbox, other.Mail(1, "eva@x.example", "Elsewhere", "x"))

	eva := w.person("Eva", "eva@x.example")
	if n := got(s.AddPerson(ctx, eva, w.act("person.added"))); n != 2 {
		t.Fatalf("linked %d", n)
	}
	w.linkedTo(t, "From Eva", "Eva address")
	w.linkedTo(t, "To Eva", "Eva address")
	w.linkedTo(t, "From old")
	other.linkedTo(t, "Elsewhere")

	eva.Addresses = append(eva.Addresses, "old@x.example")
	if n := got(s.SavePerson(ctx, eva, w.act("person.saved"))); n != 1 {
		t.Fatalf("linked %d by the address that was added", n)
	}
	w.linkedTo(t, "From old", "Eva address")

	// An address that goes leaves its links.
	eva.Addresses = []string{"eva@x.example"}
	got(s.SavePerson(ctx, eva, w.act("person.saved")))
	w.linkedTo(t, "From old", "Eva address")

	// A second holder: what is linked stays, what comes asks.
	bob := w.person("Bob", "eva@x.example")
	if n := got(s.AddPerson(ctx, bob, w.act("person.added"))); n != 0 {
		t.Fatalf("linked %d to the second holder", n)
	}
	w.linkedTo(t, "From Eva", "Eva address")
	w.file(t, w.Inbox, w.Mail(5, "eva@x.example", "Whose", "x"))
	w.linkedTo(t, "Whose")
	if cs := got(s.WaitingChoices(ctx, w.OrgID, w.UserID, 10)); len(cs) != 1 || cs[0].Others != 0 {
		t.Fatalf("waiting: %+v", cs)
	}
	// One holder left: nothing to choose any more.
	must(t, s.DeletePerson(ctx, w.OrgID, eva.ID, w.act("person.deleted")))
	w.linkedTo(t, "Whose", "Bob address")
	if n, _, err := s.Waiting(ctx, w.OrgID, w.UserID); n != 0 || err != nil {
		t.Fatalf("%d still wait, %v", n, err)
	}
}

func testPeopleImported(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	w.file(t, w.Inbox, w.Mail(1, "eva@x.example", "From Eva", "x"))
	row := func(line int, name, ref string, addresses ...string) mailroom.PersonRow {
		p := w.person(name, addresses...)
		p.Reference = ref
		return mailroom.PersonRow{Line: line, Person: p}
	}
	load := func(rows ...mailroom.PersonRow) [4]int {
		t.Helper()
		v := got(s.ImportPeople(ctx, w.OrgID, rows, w.act("person.imported")))
		return [4]int{v.Added, v.Updated, v.Unchanged, int(v.Linked)}
	}
	check := func(what string, is, want [4]int) {
		t.Helper()
		if is != want {
			t.Errorf("%s: added, updated, unchanged, linked = %v, want %v", what, is, want)
		}
	}
	file := func() []mailroom.PersonRow {
		return []mailroom.PersonRow{
			row(2, "Eva", "C1", "eva@x.example"), row(3, "Bob", "", "bob@x.example"), row(4, "Nameless mail", ""),
			row(5, "Eva", "C1", "eva2@x.example"), // the same person on a second line
			row(6, "Cas", "", "shared@x.example"), row(7, "Dik", "", "shared@x.example"),
		}
	}
	check("first", load(file()...), [4]int{5, 1, 0, 1})
	w.audited(t, "person.imported")
	w.linkedTo(t, "From Eva", "Eva address")
	events := len(got(s.AuditEvents(ctx, w.OrgID, 100)))
	check("again", load(file()...), [4]int{0, 0, 6, 0})
	if n := len(got(s.AuditEvents(ctx, w.OrgID, 100))); n != events {
		t.Error("an import that changed nothing was recorded")
	}
	check("renamed by reference", load(row(2, "Eva Smit", "C1")), [4]int{0, 1, 0, 0})
	check("number given later", load(row(2, "bob", "C9", "bob@x.example")), [4]int{0, 1, 0, 0})
	check("another number is another person", load(row(2, "bob", "C10", "bob@x.example")), [4]int{1, 0, 0, 0})
	if rows, total, err := s.People(ctx, mailroom.PersonFilter{OrgID: w.OrgID, Limit: 50}); err != nil || total != 6 {
		t.Errorf("%d people: %v, %v", total, rows, err)
	}
	eva, _, err := s.People(ctx, mailroom.PersonFilter{OrgID: w.OrgID, Search: "smit eva2", Limit: 2})
	if err != nil || len(eva) != 1 || len(eva[0].Addresses) != 2 {
		t.Errorf("found %v, %v", eva, err)
	}
}

func testPersonMails(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	eva := w.AddPerson(t, "Eva", "eva@x.example")
	for i := range 7 {
		w.file(t, w.Inbox, w.Mail(uint32(i+1), "eva@x.example", fmt.Sprintf("Mine %d", i), "x"))
	}
	w.file(t, w.Inbox, w.Mail(50, "x@y.example", "Unlinked", "x"))
	colleague := w.AddRecruiter(t)
	colleague.file(t, colleague.Inbox, colleague.Mail(20, "eva@x.example", "Theirs", "x"))
	read := func(user string, shared bool) []string {
		t.Helper()
		var all []string
		var after mailroom.Position
		for {
			lines := got(s.PersonMails(ctx, w.OrgID, user, eva, shared, after, 3))
			if len(lines) == 0 {
				return all
			}
			all = append(all, subjects(lines)...)
			after = lines[len(lines)-1].Position()
		}
	}
	mine := []string{"Mine 6", "Mine 5", "Mine 4", "Mine 3", "Mine 2", "Mine 1", "Mine 0"}
	if v := read(w.UserID, false); !slices.Equal(v, mine) {
		t.Errorf("own: %v", v)
	}
	if v := read(colleague.UserID, false); !slices.Equal(v, []string{"Theirs"}) {
		t.Errorf("colleague's own: %v", v)
	}
	if v := read(w.UserID, true); !slices.Equal(v, append([]string{"Theirs"}, mine...)) {
		t.Errorf("shared: %v", v)
	}
	if lines := got(s.PersonMails(ctx, "org_other", w.UserID, eva, true, mailroom.Position{}, 9)); len(lines) != 0 {
		t.Errorf("another organization reads %v", subjects(lines))
	}
	must(t, s.Unlink(ctx, w.OrgID, w.id(t, "Mine 3"), eva, w.act("link.removed")))
	if v := read(w.UserID, false); slices.Contains(v, "Mine 3") || len(v) != 6 {
		t.Errorf("after unlinking: %v", v)
	}
}
