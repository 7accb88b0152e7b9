package world

import (
	"fmt"
	"html"
	"strings"
	"time"
)

// sender is a stranger who writes to many.
type sender struct {
	from     addr
	lang     string
	subjects []string
	lines    []string
	html     bool
	auto     bool // a machine's notice, not a newsletter
}

// senders of newsletters and notices; none of them is anybody's address in the people file.
var senders = []sender{
	{addr{"Vakblad Werving", "nieuwsbrief@vakbladwerving.example"}, "nl", []string{"Deze week: [krapte in de techniek|zij-instromers|de vierdaagse werkweek|referenties anno nu|AI in de wervingsmail] (nr. {n})"},
		[]string{"[Drie bureaus vertellen|Onderzoek onder {n}00 recruiters laat zien|De cijfers van het kwartaal zijn er]: [kandidaten reageren sneller op een telefoontje|de doorlooptijd daalt licht|werkgevers vragen minder diploma’s].", "Lees ook: [de kunst van het afwijzen|zo schrijf je een vacature die klopt|vijf vragen voor een goede intake]."}, true, false},
	{addr{"Hiring Weekly", "hello@hiringweekly.example"}, "en", []string{"#{n}: [what candidates really ask|the counter-offer problem|notice periods across Europe|fewer words, better vacancies]"},
		[]string{"[This week we asked {n} recruiters|We read {n}00 vacancies|A reader wrote to us about] [how long a first answer takes|which question they would never ask again|the best place to meet].", "[Also in this issue|Further on]: [salary bands|part-time at the top|interviews without tricks]."}, true, false},
	{addr{"Banenplein", "meldingen@banenplein.example"}, "nl", []string{"Nieuwe reactie op je vacature {vac}", "[Je vacature|Vacature] {vac} verloopt over {n} dagen", "{n} nieuwe profielen voor {vac}"},
		[]string{"Er is een nieuwe reactie binnengekomen op {vac} ({city}).", "Log in op Banenplein om het profiel te bekijken. De reactie wordt {n} dagen bewaard."}, true, true},
	{addr{"JobHarbour Alerts", "alerts@jobharbour.example"}, "en", []string{"{n} new profiles match {vac}", "Your posting {vac} was viewed {n}4 times"},
		[]string{"Good news: your search for {vac} in {city} has {n} new matches.", "You receive this mail because you saved a search. Change how often we write in your settings."}, true, true},
	{addr{"Urenbriefje", "noreply@urenbriefje.example"}, "nl", []string{"Urenstaat week {week} [ingediend|goedgekeurd|afgekeurd] door {name}"},
		[]string{"{name} heeft {hours} uur ingediend voor week {week} bij {client}.", "Deze melding is automatisch gemaakt."}, false, true},
	{addr{"Seinhuis Kaarten", "reizen@seinhuis.example"}, "nl", []string{"Je reis naar {city} op {day}", "Je reisoverzicht van [vorige maand|deze maand]"},
		[]string{"Vertrek {time}, spoor {n}. Check in voor je instapt.", "Vragen? Onze klantenservice is elke dag bereikbaar."}, true, true},
	{addr{"Vergaderzaal De Kade", "reserveringen@zaaldekade.example"}, "nl", []string{"Bevestiging reservering {day}, {time}"},
		[]string{"Je reservering voor {n} personen op {day} om {time} is bevestigd.", "Annuleren kan kosteloos tot 24 uur van tevoren."}, false, true},
	{addr{"Beurs Werk & Water", "info@werkenwater.example"}, "nl", []string{"Nog {n} dagen tot de beurs", "[Programma|Sprekers|Plattegrond] Beurs Werk & Water"},
		[]string{"Op {day} openen de deuren om {time}. Meer dan {n}0 werkgevers uit de maritieme sector zijn erbij.", "Neem je badge mee en parkeer op P3."}, true, false},
	{addr{"Cloudkast", "no-reply@cloudkast.example"}, "en", []string{"{name} shared “{vac} shortlist” with you", "Your storage is {n}% full"},
		[]string{"{name} has shared a file with you. Open Cloudkast to read it.", "If you do not know {name}, just ignore this mail."}, true, true},
	{addr{"Kenniscentrum Arbeidsrecht", "updates@arbeidsrechtkennis.example"}, "nl", []string{"Wijziging in [de ketenregeling|het concurrentiebeding|de meldplicht|verlofregels] per 1 [januari|juli]", "Uitspraak van de week: [ontslag|loon|verlof|proeftijd] en {skill}"},
		[]string{"Vanaf 1 januari verandert er het een en ander. In deze nieuwsbrief zetten we de {n} belangrijkste punten op een rij.", "Meld je aan voor de gratis uitleg op {day}."}, true, false},
	{addr{"Lunchlokaal", "bestel@lunchlokaal.example"}, "nl", []string{"Weekmenu {week} [met soep van de dag|met vegetarische quiche|voor koude dagen]"},
		[]string{"Deze week: [pompoensoep|tomatensoep|mosterdsoep] en een broodje [brie|hummus|makreel].", "Bestel voor {time}, dan staat het om 12:15 bij de balie."}, true, false},
	{addr{"Systeembeheer Havenlicht", "beheer@ictwal.example"}, "nl", []string{"[Gepland onderhoud|Update van de telefooncentrale|Nieuw wachtwoordbeleid|Printer buiten dienst] [{day}|week {week}]"},
		[]string{"Op {day} tussen 18:00 en 20:00 voeren we onderhoud uit. De printer op de tweede verdieping doet het dan niet.", "Meldingen kun je doen via het loket."}, false, true},
}

// spam goes to the junk folder.
var spam = []sender{
	{addr{"Account Dept.", "winner@lucky-draw.example"}, "en", []string{"You have been selected ({n})", "FINAL NOTICE for {name}"}, []string{"Dear friend, a sum of {n} million waits for you.", "Send us your details today."}, true, false},
	{addr{"SEO Experts", "rank@first-page.example"}, "en", []string{"Page one in {n} days", "Your website has {n} problems"}, []string{"We looked at your website and were shocked.", "Reply with your phone number for a free report."}, false, false},
	{addr{"Pakketdienst", "bezorging@pakketje-nu.example"}, "nl", []string{"Je pakket kon niet worden bezorgd", "Betaal € 1,{n} om je pakket te ontvangen"}, []string{"Je pakket ligt klaar. Betaal de kosten via de knop.", "Reageer binnen {n} uur."}, true, false},
}

// colleagues' words among themselves.
var internal = map[string][][2]string{
	"en": {
		{"Lunch [on {day}|today]?", "[I am near {client} at noon.|{name} brings cake.|My eleven o'clock was cancelled.] [Shall we go to the Markthal?|Are you in?]"},
		{"[Holidays|Days off] around {day}", "[I would like to take {day} off.|Could you cover for me on {day}?] [There is one interview at {client}, {time}.|Nothing urgent is planned.]"},
		{"{client}: who calls?", "[They left a message.|{name} asked for a call back.] [I have no time before {time}, could you?|It is about the {vac}.]"},
		{"Numbers of [this month|week {week}]", "[We are at {n} placements.|{n} interviews were planned this week.] [Nice work.|Let us look at it on {day}.]"},
		{"[Parking|Key|Desk] on {day}", "[The new cards are at the desk.|Two places are reserved for guests of {client}.] [Please hand in the old one before {day}.|The barrier takes only the new ones from {day}.]"},
		{"{name} for the {vac}?", "[I just spoke with {name}, {years} years of {skill}.|{name} is free again after {notice}.] [Something for {client}?|I thought of your search in {city}.] [You may have the introduction.|Shall we split the fee?]"},
		{"Interview room on {day}, {time}", "[I need the small room from {time}.|{client} comes by with {n} people.] [Can you move to the front?|Is that a problem for you?]"},
		{"Text of the vacancy {vac}", "[Could you read it once more before it goes online?|I took out three adjectives.] [Is {salary} still right?|The part on {skill} is still thin.|{client} wants to see it before {day}.]"},
		{"Birthday of {name}", "[{day} it is {name}'s birthday.|Do not tell {name}.] [I collect for a book.|Cake at {time}.|Who orders the flowers?]"},
	},
	"nl": {
		{"Lunch [{day}|vandaag]?", "[Ik ben om twaalf uur in de buurt van {client}.|{name} heeft taart.|Mijn afspraak van elf uur gaat niet door.] [Markthal?|Doe je mee?]"},
		{"[Vakantie|Vrije dagen] rond {day}", "[Ik wil {day} graag vrij nemen.|Kun jij {day} voor me waarnemen?] [Er staat één gesprek bij {client}, {time}.|Er staat niets dringends.]"},
		{"{client}: wie belt er?", "[Ze spraken de voicemail in.|{name} wil teruggebeld worden.] [Ik heb geen tijd voor {time}, jij wel?|Het gaat over de {vac}.]"},
		{"Cijfers van [deze maand|week {week}]", "[We staan op {n} plaatsingen.|Er staan {n} gesprekken.] [Mooi werk.|{day} kijken we er samen naar.]"},
		{"[Parkeren|Sleutel|Balie] op {day}", "[De nieuwe passen liggen bij de balie.|Er zijn twee plekken vrijgehouden voor gasten van {client}.] [Lever de oude in voor {day}.|Vanaf {day} werkt alleen de nieuwe.]"},
		{"{name} voor de {vac}?", "[Ik sprak net {name}, {years} jaar {skill}.|{name} is weer vrij na {notice}.] [Iets voor {client}?|Ik dacht aan jouw zoekopdracht in {city}.] [Jij mag voorstellen.|Delen we de fee?]"},
		{"Spreekkamer {day}, {time}", "[Ik heb de kleine kamer nodig vanaf {time}.|{client} komt langs met {n} mensen.] [Kun jij voorin zitten?|Komt dat uit?]"},
		{"Vacaturetekst {vac}", "[Lees je nog even mee voor hij online gaat?|Ik heb er drie bijvoeglijke naamwoorden uitgehaald.] [Klopt {salary} nog?|Het stuk over {skill} is nog dun.|{client} wil hem voor {day} zien.]"},
		{"Verjaardag {name}", "[{day} is {name} jarig.|Niet verklappen aan {name}.] [Ik haal geld op voor een boek.|Taart om {time}.|Wie regelt bloemen?]"},
	},
}

// smallVars are variables for mail that belongs to no conversation.
func (g *generator) smallVars(lang string, at time.Time) map[string]string {
	c := &conversation{lang: lang, at: at, them: Person{Kind: "candidate", field: g.d.IntN(len(fields))}}
	v := g.vars(c)
	v["name"] = of(g.d, firstNames) + " " + of(g.d, lastNames)
	return v
}

// bulk makes one mail of a sender.
func (g *generator) bulk(s sender, at time.Time) *letter {
	d := g.d
	v := g.smallVars(s.lang, at)
	l := &letter{
		from: s.from, to: []addr{{g.user.Name, g.user.Email}}, lang: s.lang, date: local(at), received: true,
		subject: oneLine(d.spin(of(d, s.subjects), v)), id: d.messageID(s.from.email), threadSeed: d.Uint64()>>2 | 1,
		style: style{html: s.html, charset: "utf-8", encoding: "quoted-printable", wrap: 72},
	}
	for _, p := range s.lines {
		l.paras = append(l.paras, oneLine(d.spin(p, v)))
	}
	_, domain, _ := strings.Cut(s.from.email, "@")
	if s.auto {
		l.extra = append(l.extra, [2]string{"Auto-Submitted", "auto-generated"})
	} else {
		l.extra = append(l.extra, [2]string{"Precedence", "bulk"}, [2]string{"List-Unsubscribe", "<https://www." + domain + "/afmelden/" + l.id[:8] + ">"})
	}
	if s.html {
		l.htmlBody = g.newsletterHTML(s, l, domain)
	}
	return l
}

// newsletterHTML is a table with pictures from far away, as newsletters are.
func (g *generator) newsletterHTML(s sender, l *letter, domain string) string {
	base := g.images
	if base == "" {
		base = "https://beeld." + domain
	}
	h := hash(domain)
	var b strings.Builder
	fmt.Fprintf(&b, "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><style>td{font-family:Verdana,sans-serif;font-size:14px;color:#222}a{color:#%02x4e7a}</style></head>\n", h%120)
	b.WriteString("<body style=\"margin:0;background:#f2f2f2\"><table width=\"600\" align=\"center\" cellpadding=\"24\" style=\"background:#ffffff\">\n")
	fmt.Fprintf(&b, "<tr><td style=\"background:#%02x%02x%02x;color:#ffffff;font-size:20px\">%s</td></tr>\n", 20+h%60, 40+h>>8%60, 60+h>>16%80, html.EscapeString(s.from.name))
	fmt.Fprintf(&b, "<tr><td><img src=\"%s/%s/kop.png\" width=\"552\" height=\"160\" alt=\"\"><h1 style=\"font-size:18px\">%s</h1>\n", base, domain, html.EscapeString(l.subject))
	for _, p := range l.paras {
		fmt.Fprintf(&b, "<p>%s</p>\n", html.EscapeString(p))
	}
	more := map[string]string{"en": "Read on", "nl": "Lees verder"}[s.lang]
	fmt.Fprintf(&b, "<p><a href=\"https://www.%s/lees/%s\">%s</a></p></td></tr>\n", domain, l.id[:8], more)
	fmt.Fprintf(&b, "</table><img src=\"%s/%s/open.gif?m=%s\" width=\"1\" height=\"1\" alt=\"\"></body></html>\n", base, domain, l.id[:8])
	return b.String()
}

// colleague makes a mail between two users; sent says that it is from the mailbox's owner.
func (g *generator) colleague(at time.Time, sent bool) *letter {
	d := g.d
	lang := of(d, g.langs)
	other := of(d, users)
	for other.Email == g.user.Email {
		other = of(d, users)
	}
	t := of(d, internal[lang])
	v := g.smallVars(lang, at)
	l := &letter{
		from: addr{other.Name, other.Email}, to: []addr{{g.user.Name, g.user.Email}}, lang: lang, date: d.working(at), received: true,
		subject: oneLine(d.spin(t[0], v)), id: d.messageID(other.Email), threadSeed: d.Uint64()>>2 | 1, style: styleOf(other.Email),
	}
	if sent {
		l.from, l.to, l.received = l.to[0], []addr{l.from}, false
	}
	l.style.logo = false
	l.paras = []string{firstOf(l.to[0].name) + ",", oneLine(d.spin(t[1], v)), firstOf(l.from.name)}
	return l
}

// outOfOffice is the automatic answer of somebody to our last letter.
func (g *generator) outOfOffice(c *conversation) *letter {
	at := c.last.date.Add(time.Duration(2+g.d.IntN(8)) * time.Second)
	l := &letter{
		from: addr{c.them.Name, c.email}, to: []addr{{g.user.Name, g.user.Email}}, lang: c.lang, date: at, received: true,
		subject: "Automatic reply: " + c.last.subject, id: g.d.messageID(c.email), inReply: c.last.id, refs: c.refs, threadSeed: c.thread,
		style: styleOf(c.email), extra: [][2]string{{"Auto-Submitted", "auto-replied"}, {"X-Auto-Response-Suppress", "All"}},
		paras: []string{g.d.spin("[I am out of the office until {day}.|I do not read mail until {day}.] [For urgent matters call {phone}.|Your mail is not forwarded.]", c.vars)},
	}
	if c.lang == "nl" {
		l.subject = "Automatisch antwoord: " + c.last.subject
		l.paras = []string{g.d.spin("[Ik ben afwezig tot {day}.|Tot {day} lees ik geen mail.] [Bel bij spoed {phone}.|Je bericht wordt niet doorgestuurd.]", c.vars)}
	}
	return l
}
