package portal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"mailroom/internal/mailroom"
)

// importStretch is how many rows one transaction stores: enough to be quick,
// few enough that the syncer never waits long for its turn to write.
const importStretch = 1000

// ImportPeople reads a CSV file of people with a header row: kind, name, emails,
// company, reference, in any order. Good rows are stored, every bad one is
// reported with its line. A person is the one of the same kind and reference; without
// a reference the one of the same kind and name that shares an address. An
// import adds addresses and never takes one away, so the same file twice
// changes nothing the second time.
func (p *Portal) ImportPeople(ctx context.Context, u mailroom.User, r io.Reader) (ImportReport, error) {
	var report ImportReport
	file, err := openPeopleFile(r)
	if err != nil {
		return report, err
	}
	var stretch []mailroom.PersonRow
	given := map[string]mailroom.PersonRow{} // who has a reference, by this file
	store := func() error {
		if len(stretch) == 0 {
			return nil
		}
		done, err := p.d.Store.ImportPeople(ctx, u.OrgID, stretch, p.event(u, "person.imported", "", map[string]any{
			"from_line": stretch[0].Line, "to_line": stretch[len(stretch)-1].Line,
		}))
		if err != nil {
			return err
		}
		report.Added += done.Added
		report.Updated += done.Updated
		report.Unchanged += done.Unchanged
		report.Linked += done.Linked
		stretch = stretch[:0]
		return nil
	}
	for {
		line, person, err := file.next()
		if err == io.EOF {
			break
		}
		var bad *mailroom.Error
		switch {
		case errors.As(err, &bad):
			report.Bad = append(report.Bad, BadRow{Line: line, Problem: bad})
			continue
		case err != nil: // the upload broke off
			if serr := store(); serr != nil {
				return report, serr
			}
			return report, mailroom.E(mailroom.Invalid, "person.import.broken", err)
		}
		// A person may stand on several lines, one for each address; two persons
		// with one reference would rename each other with every import.
		if first, twice := given[string(person.Kind)+person.Reference]; twice && first.Person.Name != person.Name {
			report.Bad = append(report.Bad, BadRow{Line: line, Problem: mailroom.E(mailroom.Invalid, "person.import.reference_twice").
				With("reference", person.Reference).With("line", first.Line)})
			continue
		} else if !twice && person.Reference != "" {
			given[string(person.Kind)+person.Reference] = mailroom.PersonRow{Line: line, Person: mailroom.Person{Name: person.Name}}
		}
		person.ID, person.OrgID, person.CreatedAt = mailroom.NewID(mailroom.PrefixPerson), u.OrgID, p.now()
		stretch = append(stretch, mailroom.PersonRow{Line: line, Person: person})
		if len(stretch) == importStretch {
			if err := store(); err != nil {
				return report, err
			}
		}
	}
	return report, store()
}

// peopleFile reads people out of a CSV file.
type peopleFile struct {
	csv     *csv.Reader
	columns map[string][]int // field → columns that hold it
}

// columnNames are the headings that a file may use for a field, in lower case.
var columnNames = map[string]string{
	"kind": "kind", "type": "kind", "soort": "kind",
	"name": "name", "naam": "name", "full name": "name", "volledige naam": "name",
	"emails": "emails", "email": "emails", "e-mail": "emails", "e-mails": "emails", "mail": "emails",
	"email address": "emails", "e-mail address": "emails", "email addresses": "emails", "e-mail addresses": "emails",
	"e-mailadres": "emails", "e-mailadressen": "emails", "emailadres": "emails", "emailadressen": "emails",
	"company": "company", "bedrijf": "company", "organisatie": "company", "organization": "company",
	"reference": "reference", "referentie": "reference", "number": "reference", "nummer": "reference",
}

// kindNames are the words that a file may use for a kind, in lower case.
var kindNames = map[string]mailroom.PersonKind{
	"candidate": mailroom.Candidate, "kandidaat": mailroom.Candidate,
	"contact": mailroom.Contact, "contact person": mailroom.Contact, "contactperson": mailroom.Contact, "contactpersoon": mailroom.Contact,
}

// openPeopleFile reads the header row, and learns from it what separates the
// columns. Spreadsheets in Dutch write semicolons.
func openPeopleFile(r io.Reader) (*peopleFile, error) {
	// A byte order mark says UTF-8 or UTF-16; without one the bytes pass as they
	// are and text finds out, cell by cell.
	in := bufio.NewReaderSize(transform.NewReader(r, unicode.BOMOverride(transform.Nop)), 64<<10)
	head, _ := in.Peek(4 << 10) // what is there; the reader's error comes again
	if line, _, ok := bytes.Cut(head, []byte("\n")); ok {
		head = line
	}
	f := &peopleFile{csv: csv.NewReader(in), columns: map[string][]int{}}
	f.csv.ReuseRecord, f.csv.FieldsPerRecord = true, -1
	for _, comma := range ";\t" {
		if bytes.Count(head, []byte(string(comma))) > bytes.Count(head, []byte(string(f.csv.Comma))) {
			f.csv.Comma = comma
		}
	}
	f.csv.TrimLeadingSpace = f.csv.Comma != '\t' // it would swallow empty cells
	titles, err := f.csv.Read()
	var unreadable *csv.ParseError
	if err != nil && err != io.EOF && !errors.As(err, &unreadable) {
		return nil, mailroom.E(mailroom.Invalid, "person.import.broken", err).On("file")
	}
	if err != nil {
		return nil, mailroom.E(mailroom.Invalid, "person.import.empty", err).On("file")
	}
	for i, title := range titles {
		if field := columnNames[strings.ToLower(cell(title))]; field != "" {
			f.columns[field] = append(f.columns[field], i)
		}
	}
	for _, needed := range []string{"kind", "name"} {
		if f.columns[needed] == nil {
			return nil, mailroom.E(mailroom.Invalid, "person.import.header").On("file").With("column", needed)
		}
	}
	return f, nil
}

// next reads one row. A *mailroom.Error is about that row alone; io.EOF ends
// the file; any other error is the reader's.
func (f *peopleFile) next() (line int, person mailroom.Person, err error) {
	for {
		record, err := f.csv.Read()
		var broken *csv.ParseError
		if errors.As(err, &broken) {
			return broken.StartLine, person, mailroom.E(mailroom.Invalid, "person.import.row", err)
		}
		if err != nil {
			return 0, person, err
		}
		line, _ = f.csv.FieldPos(0)
		if form, kind := f.form(record); form.Name != "" || kind != "" || len(form.Addresses) > 0 {
			person, err = checkRow(form, kind)
			return line, person, err
		}
		// A row of empty cells, as spreadsheets leave below the data.
	}
}

func (f *peopleFile) form(record []string) (form PersonForm, kind string) {
	kind = f.join(record, "kind")
	return PersonForm{
		Kind: kindNames[strings.ToLower(kind)],
		Name: f.join(record, "name"), Company: f.join(record, "company"), Reference: f.join(record, "reference"),
		Addresses: strings.FieldsFunc(f.join(record, "emails"), func(r rune) bool { return strings.ContainsRune(" ;,|/\t\r\n", r) }),
	}, kind
}

// checkRow is checkPerson with one complaint at a time: enough in a report.
func checkRow(form PersonForm, kind string) (mailroom.Person, error) {
	if form.Kind == "" {
		return mailroom.Person{}, mailroom.E(mailroom.Invalid, "person.import.kind").With("kind", kind)
	}
	person, err := checkPerson(form)
	if err != nil {
		return person, mailroom.AsError(err)
	}
	return person, nil
}

func (f *peopleFile) join(record []string, field string) string {
	var out []string
	for _, i := range f.columns[field] {
		if i < len(record) {
			if text := cell(record[i]); text != "" {
				out = append(out, text)
			}
		}
	}
	return strings.Join(out, " ")
}

// cell is the text of a cell: UTF-8, or else what Excel on Windows writes.
func cell(s string) string {
	if !utf8.ValidString(s) {
		// Every byte means something in Windows-1252, or becomes U+FFFD.
		s, _ = charmap.Windows1252.NewDecoder().String(s)
	}
	return strings.TrimSpace(strings.ReplaceAll(s, "\x00", ""))
}
