package portal_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

func TestPeople(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	w.deliver(w.anna, "INBOX", mail("eva@klant.example", "Earlier", "x"))
	_, _, err := w.AddPerson(w.ctx, w.anna, portal.PersonForm{Kind: "friend", Addresses: []string{"not one", "a@b.example"}, Reference: strings.Repeat("x", 101)})
	complains(t, err, "name person.error.name", "kind person.error.kind", "reference person.error.reference", "addresses person.error.address")
	p, linked, err := w.AddPerson(w.ctx, w.anna, portal.PersonForm{Kind: mailroom.Candidate, Name: " Eva  B ", Reference: "7", Addresses: []string{"Eva@Klant.example", " eva@klant.example", ""}})
	if err != nil || linked != 1 || p.Name != "Eva B" || !slices.Equal(p.Addresses, []string{"eva@klant.example"}) {
		t.Fatalf("added %+v, linked %d, %v", p, linked, err)
	}
	_, _, err = w.AddPerson(w.ctx, w.anna, portal.PersonForm{Kind: mailroom.Candidate, Name: "Other", Reference: "7"})
	complains(t, err, "reference person.error.reference_taken")
	if v := got(w.Person(w.ctx, w.anna, p.ID, "")); len(v.Mails) != 1 || v.Mails[0].Subject != "Earlier" || v.Next != "" {
		t.Fatalf("timeline: %+v", v)
	}
	if n := got(w.SavePerson(w.ctx, w.anna, p.ID, portal.PersonForm{Kind: mailroom.Contact, Name: "Eva C", Company: "Klant", Addresses: []string{"eva2@klant.example"}})); n != 0 {
		t.Fatalf("linked %d", n)
	}
	if v := got(w.SearchPeople(w.ctx, w.anna, "klant eva", 0)); len(v) != 1 || v[0].Name != "Eva C" {
		t.Fatalf("found %v", v)
	}
	if v := got(w.SearchPeople(w.ctx, w.anna, "  ", 0)); len(v) != 0 {
		t.Fatalf("nothing typed finds %v", v)
	}
	other := w.otherAgency()
	_, err = w.SavePerson(w.ctx, other, p.ID, portal.PersonForm{Kind: mailroom.Contact, Name: "x"})
	refused(t, err, mailroom.NotFound, "error.not_found")
	refused(t, w.DeletePerson(w.ctx, other, p.ID), mailroom.NotFound, "error.not_found")
	if v := got(w.People(w.ctx, other, portal.PersonQuery{})); v.Total != 0 {
		t.Fatalf("another organization sees %+v", v)
	}
	must(t, w.DeletePerson(w.ctx, w.anna, p.ID))
	w.audited("person.deleted")
	if v := got(w.Mails(w.ctx, w.anna, portal.MailQuery{})); len(v.Rows) != 1 || len(v.Rows[0].People) != 0 {
		t.Fatalf("after deleting the person: %+v", v.Rows)
	}
	for i := range 51 {
		_, _, err := w.AddPerson(w.ctx, w.anna, portal.PersonForm{Kind: mailroom.Candidate, Name: fmt.Sprintf("P%02d", i)})
		must(t, err)
	}
	if v := got(w.People(w.ctx, w.anna, portal.PersonQuery{Page: 2})); v.Total != 51 || v.Pages != 2 || len(v.Rows) != 1 || v.Rows[0].Name != "P50" {
		t.Fatalf("second page: %+v", v)
	}
}

func utf16le(s string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

func TestImportForms(t *testing.T) {
	for name, file := range map[string]string{
		"plain":        "kind,name,emails,company,reference\ncandidate,Zoë Müller,zoe@x.example,,C1\n",
		"semicolons":   "Kind;Name;Emails;Company;Reference\r\nCandidate;Zoë Müller;zoe@x.example;;C1\r\n",
		"tabs":         "name\tkind\temails\tcompany\treference\nZoë Müller\tcandidate\tzoe@x.example\t\tC1",
		"Dutch":        "\ufeffSoort;Naam;E-mail;Bedrijf;Referentie\nKandidaat;Zoë Müller;zoe@x.example;;C1\n",
		"windows-1252": "soort;naam;e-mail;bedrijf;referentie\nkandidaat;Zo\xeb M\xfcller;zoe@x.example;;C1\n",
		"utf-16":       utf16le("soort;naam;e-mailadres;referentie\r\nkandidaat;Zoë Müller;zoe@x.example;C1\r\n"),
		"quotes":       "kind, name, emails, reference\ncandidate, \"Zoë  Müller\", \"zoe@x.example\", C1\n\n,,,\n",
		"more columns": "id,kind,name,city,email,e-mail,reference\n1,candidate,Zoë Müller,Ede,zoe@x.example,ZOE@x.example,C1\n",
		"no newline":   "kind,name,emails,reference\ncandidate,Zoë Müller,<zoe@x.example>,C1",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for pass, want := range []portal.ImportReport{{Added: 1}, {Unchanged: 1}} {
				// One byte at a time: nothing may depend on how the bytes arrive.
				v := got(w.ImportPeople(w.ctx, w.anna, iotest.OneByteReader(strings.NewReader(file))))
				if v.Added != want.Added || v.Updated != 0 || v.Unchanged != want.Unchanged || len(v.Bad) != 0 {
					t.Fatalf("pass %d: %+v", pass, v)
				}
			}
			list := got(w.People(w.ctx, w.anna, portal.PersonQuery{})).Rows
			if len(list) != 1 || list[0].Name != "Zoë Müller" || list[0].Kind != mailroom.Candidate || list[0].Reference != "C1" || !slices.Equal(list[0].Addresses, []string{"zoe@x.example"}) {
				t.Fatalf("imported %+v", list)
			}
		})
	}
}

func TestImportReportsBadRows(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	w.deliver(w.anna, "INBOX", mail("good@x.example", "Linked late", "x"))
	file := "kind,name,emails,company,reference\n" + // 1
		"candidate,Good,good@x.example; also@x.example,,C1\n" + // 2
		"friend,Bad kind,a@x.example\n" + // 3
		"candidate,,a@x.example\n" + // 4
		"candidate,Bad mail,not-a-mail\n" + // 5
		"contact,\"Two\nlines\",two@x.example,Klant\n" + // 6, 7
		"candidate,Bro\"ken,b@x.example\n" + // 8
		"candidate,Another,c@x.example,,C1\n" + // 9
		"contact,Last,last@x.example,Klant,C1\n" + // 10
		"candidate,Good,good3@x.example,,C1\n" // 11
	v := got(w.ImportPeople(w.ctx, w.anna, strings.NewReader(file)))
	var bad []string
	for _, b := range v.Bad {
		bad = append(bad, fmt.Sprintf("%d %s", b.Line, b.Problem.Key))
	}
	if want := []string{"3 person.import.kind", "4 person.error.name", "5 person.error.address", "8 person.import.row", "9 person.import.reference_twice"}; !slices.Equal(bad, want) {
		t.Fatalf("bad rows %v\nwant %v", bad, want)
	}
	if v.Added != 3 || v.Updated != 1 || v.Linked != 1 {
		t.Fatalf("good rows: %+v", v)
	}
	w.audited("person.imported")
	if v = got(w.ImportPeople(w.ctx, w.anna, strings.NewReader(file))); v.Added+v.Updated != 0 || v.Unchanged != 4 || len(v.Bad) != 5 {
		t.Fatalf("again: %+v", v)
	}

	for file, key := range map[string]string{"": "person.import.empty", "name,emails\n": "person.import.header", "kind;e-mail\n": "person.import.header"} {
		_, err := w.ImportPeople(w.ctx, w.anna, strings.NewReader(file))
		refused(t, err, mailroom.Invalid, key)
	}
	// An upload that breaks off: what came is kept and told.
	cut := io.MultiReader(strings.NewReader("kind,name\ncandidate,Before the cut\n"), iotest.ErrReader(errors.New("connection reset")))
	v, err := w.ImportPeople(w.ctx, w.anna, cut)
	refused(t, err, mailroom.Invalid, "person.import.broken")
	if v.Added != 1 {
		t.Fatalf("before the cut: %+v", v)
	}
}

func TestImportMany(t *testing.T) {
	w := newWorld(t)
	var b strings.Builder
	b.WriteString("kind,name,emails,company,reference\n")
	for i := range 2500 {
		fmt.Fprintf(&b, "candidate,Person %d,p%d@x.example,,C%d\n", i, i, i)
	}
	if v := got(w.ImportPeople(w.ctx, w.anna, strings.NewReader(b.String()))); v.Added != 2500 {
		t.Fatalf("first: %+v", v)
	}
	if v := got(w.ImportPeople(w.ctx, w.anna, strings.NewReader(b.String()))); v.Unchanged != 2500 || v.Added+v.Updated != 0 {
		t.Fatalf("again: %+v", v)
	}
}
