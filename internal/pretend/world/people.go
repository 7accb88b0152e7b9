package world

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"unicode"
)

// Domain is the agency's.
const Domain = "havenlicht.example"

// Organization is the agency's name.
const Organization = "Havenlicht Recruitment"

// User is somebody who signs in to the portal.
type User struct {
	Name, Email, Password string
	Role                  string // "recruiter" or "administrator"
	Language              string // "en" or "nl"
	Mailbox               string // the IMAP username to enter
}

// users of the portal. The passwords guard nothing: they are printed by the demo.
var users = []User{
	{"Sanne Dekker", "sanne@" + Domain, "vuurtoren-aan-zee", "recruiter", "en", "sanne@" + Domain},
	{"Thomas de Wit", "thomas@" + Domain, "koffie-op-de-kade", "recruiter", "nl", "thomas@" + Domain},
	{"Marieke Bos", "marieke@" + Domain, "sleutel-van-de-haven", "administrator", "en", "marieke@" + Domain},
}

// Person is a candidate or contact person, as the people file has them.
type Person struct {
	Kind      string // "candidate" or "contact"
	Name      string
	Emails    []string
	Company   string
	Reference string

	lang  string
	field int // index into fields, for candidates
}

// SharedAddress belongs to two people, so that mail from it asks which.
const SharedAddress = "familie.vandijk@thuis.example"

// SharedDesk belongs to two contact persons.
const SharedDesk = "personeelszaken@waterdam.example"

// people are the agency's candidates and contact persons. Their names are invented.
var people = []Person{
	{Kind: "candidate", Name: "Ruben van Dijk", Emails: []string{"ruben.vandijk@postbus.example", SharedAddress}, lang: "nl", field: 0},
	{Kind: "candidate", Name: "Lotte van Dijk-Smit", Emails: []string{SharedAddress}, lang: "nl", field: 3},
	{Kind: "candidate", Name: "Aylin Yıldız", Emails: []string{"aylin.yildiz@webpost.example"}, lang: "nl", field: 1},
	{Kind: "candidate", Name: "Łukasz Wójcik", Emails: []string{"lukasz.wojcik@mailbus.example", "l.wojcik@lasspecialist.example"}, lang: "en", field: 4},
	{Kind: "candidate", Name: "Nguyễn Thị Mai", Emails: []string{"mai.nguyen@snelmail.example"}, lang: "en", field: 2},
	{Kind: "candidate", Name: "Søren Kjær", Emails: []string{"soren@kjaer.example"}, lang: "en", field: 7},
	{Kind: "candidate", Name: "Fenna Hoekstra", Emails: []string{"fenna.hoekstra@thuis.example"}, lang: "nl", field: 5},
	{Kind: "candidate", Name: "Omar El Amrani", Emails: []string{"omar.elamrani@postbus.example", "o.elamrani@werk.example"}, lang: "nl", field: 0},
	{Kind: "candidate", Name: "Joost van der Linden", Emails: []string{"joost@vanderlinden.example"}, lang: "nl", field: 1},
	{Kind: "candidate", Name: "Chiara Bianchi", Emails: []string{"chiara.bianchi@inbox.example"}, lang: "en", field: 6},
	{Kind: "candidate", Name: "Kwame Boateng", Emails: []string{"kwame.boateng@webpost.example"}, lang: "en", field: 1},
	{Kind: "candidate", Name: "Saskia Vermeer", Emails: []string{"saskia_vermeer@postbus.example"}, lang: "nl", field: 2},
	{Kind: "candidate", Name: "Dmytro Kovalenko", Emails: []string{"dmytro.kovalenko@mailbus.example"}, lang: "en", field: 4},
	{Kind: "candidate", Name: "Maartje Kuipers", Emails: []string{"maartje.kuipers@thuis.example", "maartje@kuipersadvies.example"}, lang: "nl", field: 6},
	{Kind: "candidate", Name: "Rahul Deshpande", Emails: []string{"rahul.deshpande@snelmail.example"}, lang: "en", field: 1},
	{Kind: "candidate", Name: "Inge Claessens", Emails: []string{"inge.claessens@webpost.example"}, lang: "nl", field: 3},
	{Kind: "candidate", Name: "Tobias Grünewald", Emails: []string{"tobias.gruenewald@inbox.example"}, lang: "en", field: 7},
	{Kind: "candidate", Name: "Yara Haddad", Emails: []string{"yara.haddad@postbus.example"}, lang: "en", field: 5},
	{Kind: "candidate", Name: "Gerrit-Jan Postma", Emails: []string{"gj.postma@thuis.example"}, lang: "nl", field: 4},
	{Kind: "candidate", Name: "Beatriz Antunes", Emails: []string{"beatriz.antunes@mailbus.example"}, lang: "en", field: 0},
	{Kind: "candidate", Name: "Hidde Zijlstra", Emails: []string{"hidde.zijlstra@snelmail.example"}, lang: "nl", field: 7},
	{Kind: "candidate", Name: "Zoë de Haan", Emails: []string{"zoe.dehaan@webpost.example"}, lang: "nl", field: 5},
	{Kind: "candidate", Name: "Niamh Gallagher", Emails: []string{"niamh.gallagher@inbox.example"}, lang: "en", field: 2},
	{Kind: "candidate", Name: "Wim Terpstra", Emails: []string{"wim.terpstra@thuis.example"}, lang: "nl", field: 4},
	{Kind: "candidate", Name: "李娜 (Li Na)", Emails: []string{"li.na@mailbus.example"}, lang: "en", field: 1},
	{Kind: "candidate", Name: "Charlotte d’Hondt", Emails: []string{"charlotte.dhondt@postbus.example"}, lang: "nl", field: 6},
	{Kind: "contact", Name: "Petra van Loon", Emails: []string{"p.vanloon@maasbrug.example"}, Company: "Maasbrug Logistiek", lang: "nl"},
	{Kind: "contact", Name: "Dirk Hamming", Emails: []string{"d.hamming@maasbrug.example", "planning@maasbrug.example"}, Company: "Maasbrug Logistiek", lang: "nl"},
	{Kind: "contact", Name: "Nadia Chaoui", Emails: []string{"nadia.chaoui@zonneveldzorg.example"}, Company: "Zonneveld Zorggroep", lang: "nl"},
	{Kind: "contact", Name: "Oliver Bennett", Emails: []string{"oliver@brightwater.example", "oliver.bennett@brightwater.example"}, Company: "Brightwater Software", lang: "en"},
	{Kind: "contact", Name: "Grace Adeyemi", Emails: []string{"grace@brightwater.example"}, Company: "Brightwater Software", lang: "en"},
	{Kind: "contact", Name: "Henk Overmars", Emails: []string{"h.overmars@kade27.example"}, Company: "Kade 27 Accountants", lang: "nl"},
	{Kind: "contact", Name: "Sjoerd Wiersma", Emails: []string{"s.wiersma@hollandia-techniek.example"}, Company: "Hollandia Installatietechniek", lang: "nl"},
	{Kind: "contact", Name: "Ingrid Solheim", Emails: []string{"ingrid.solheim@noordzee-offshore.example"}, Company: "Noordzee Offshore Services", lang: "en"},
	{Kind: "contact", Name: "Cor van Tiel", Emails: []string{"cor@vantielenzonen.example"}, Company: "Van Tiel & Zonen", lang: "nl"},
	{Kind: "contact", Name: "Dr. Urs Bürgi", Emails: []string{"urs.buergi@alpenrose.example"}, Company: "Alpenrose Biotech AG", lang: "en"},
	{Kind: "contact", Name: "Mirjam Aalders", Emails: []string{"m.aalders@waterdam.example", SharedDesk}, Company: "Gemeente Waterdam", lang: "nl"},
	{Kind: "contact", Name: "Bart Nijland", Emails: []string{"b.nijland@waterdam.example", SharedDesk}, Company: "Gemeente Waterdam", lang: "nl"},
	{Kind: "contact", Name: "Pepijn Roos", Emails: []string{"pepijn@studiopeper.example"}, Company: "Studio Peper", lang: "nl"},
	{Kind: "contact", Name: "Louise Carter", Emails: []string{"louise.carter@deltadredging.example"}, Company: "Delta Dredging", lang: "en"},
}

// late is not in the people file, and has mail in the large mailbox.
var late = Person{Kind: "candidate", Name: "Marijn Oosterhuis", Emails: []string{"marijn.oosterhuis@webpost.example"}, Reference: "K-20041", lang: "nl", field: 1}

// numbered gives everybody a reference.
func numbered() []Person {
	out := make([]Person, len(people))
	for i, p := range people {
		if p.Kind == "candidate" {
			p.Reference = fmt.Sprintf("K-%d", 20000+i+1)
		} else {
			p.Reference = fmt.Sprintf("C-%d", 4000+i+1)
		}
		out[i] = p
	}
	return out
}

// peopleCSV writes people in the import format.
func peopleCSV(list []Person) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{"kind", "name", "emails", "company", "reference"}}
	for _, p := range list {
		rows = append(rows, []string{p.Kind, p.Name, strings.Join(p.Emails, ";"), p.Company, p.Reference})
	}
	if err := w.WriteAll(rows); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	return b.Bytes()
}

// stranger makes up somebody whom the agency does not know.
func (d dice) stranger() Person {
	first, last := of(d, firstNames), of(d, lastNames)
	lang := "nl"
	if d.chance(40) {
		lang = "en"
	}
	local := mailName(first) + of(d, []string{".", ".", "", "_"}) + mailName(last)
	if d.chance(20) {
		local += fmt.Sprint(70 + d.IntN(30))
	}
	return Person{Kind: "candidate", Name: first + " " + last, Emails: []string{local + "@" + of(d, freeMail)}, lang: lang, field: d.IntN(len(fields))}
}

// strangeContact makes up somebody at a company that the agency has no contact person for.
func (d dice) strangeContact() Person {
	p := d.stranger()
	c := companies[10+d.IntN(len(companies)-10)]
	first, last := firstOf(p.Name), strings.TrimPrefix(p.Name, firstOf(p.Name)+" ")
	p.Kind, p.Company = "contact", c.name
	p.Emails = []string{of(d, []string{mailName(first) + "." + mailName(last), mailName(first)[:1] + "." + mailName(last), mailName(first)}) + "@" + c.domain}
	return p
}

func mailName(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			b.WriteRune(r)
		default:
			b.WriteString(strings.ToLower(plainLetter(r)))
		}
	}
	return b.String()
}

// plainLetter is a letter without its marks, or nothing.
func plainLetter(r rune) string {
	if low := unicode.ToLower(r); low != r {
		return strings.ToUpper(ascii[low])
	}
	return ascii[r]
}

func firstOf(name string) string {
	if i := strings.IndexByte(name, '('); i >= 0 { // 李娜 (Li Na)
		return strings.TrimSuffix(name[i+1:], ")")
	}
	for _, title := range []string{"Dr. ", "drs. "} {
		name = strings.TrimPrefix(name, title)
	}
	first, _, _ := strings.Cut(name, " ")
	return first
}
