package world

import (
	"fmt"
	"strings"
)

// cvOf writes somebody's CV. The same person has the same CV every time.
func (g *generator) cvOf(p Person) attachment {
	if a, ok := g.cvs[p.Emails[0]]; ok {
		return a
	}
	d := newDice(hash(p.Emails[0]), 7)
	f := fields[p.field]
	nl := p.lang == "nl"
	jobs, skills := f.jobsEN, f.skillsEN
	if nl {
		jobs, skills = f.jobsNL, f.skillsNL
	}
	say := func(en, dutch string) string {
		if nl {
			return dutch
		}
		return en
	}
	town := of(d, towns)
	year := 2026
	lines := []line{
		{text: p.Name, size: 22, bold: true},
		{text: of(d, jobs), size: 13, gap: 2},
		{text: fmt.Sprintf("%s  ·  %s  ·  %s", say(town.en, town.nl), d.phone(), p.Emails[0]), size: 9, gap: 2},
		{text: say("Profile", "Profiel"), size: 12, bold: true, gap: 14, rule: true},
	}
	for _, t := range splitText(d.spin(say(
		"[Reliable|Curious|Practical|Precise] professional with [a feeling for|much experience in|a great interest in] "+of(d, skills)+" and "+of(d, skills)+". [Works well in a team and does not avoid responsibility.|Calm when it gets busy, and clear in communication.|Likes to find out how things can be done more simply.] [Looking for a next step in an organisation that gives room to learn.|Looking for work close to home with pleasant colleagues.]",
		"[Betrouwbare|Nieuwsgierige|Praktische|Nauwkeurige] professional met [gevoel voor|veel ervaring in|grote belangstelling voor] "+of(d, skills)+" en "+of(d, skills)+". [Werkt goed samen en loopt niet weg voor verantwoordelijkheid.|Blijft rustig als het druk is en communiceert helder.|Zoekt graag uit hoe iets eenvoudiger kan.] [Op zoek naar een volgende stap in een organisatie die ruimte geeft om te leren.|Op zoek naar werk dicht bij huis met prettige collega’s.]"), nil), 96) {
		lines = append(lines, line{text: t, size: 10})
	}
	lines = append(lines, line{text: say("Experience", "Werkervaring"), size: 12, bold: true, gap: 12, rule: true})
	to := say("today", "heden")
	for range 2 + d.IntN(3) {
		from := year - 1 - d.IntN(5)
		lines = append(lines, line{text: fmt.Sprintf("%d – %s   %s, %s", from, to, of(d, jobs), of(d, companies).name), size: 10, bold: true, gap: 6})
		for range 2 + d.IntN(2) {
			lines = append(lines, line{text: "•  " + d.spin(say(
				"[Responsible for|Worked daily with|Improved|Trained {n} colleagues in|Set up] "+of(d, skills)+"[ for {n} locations| together with the planning department| and reported to the management| with {n} percent fewer errors as a result|]",
				"[Verantwoordelijk voor|Werkte dagelijks met|Verbeterde|Leidde {n} collega’s op in|Zette op:] "+of(d, skills)+"[ voor {n} locaties| samen met de afdeling planning| en rapporteerde aan de directie| met {n} procent minder fouten als resultaat|]"),
				map[string]string{"n": fmt.Sprint(2 + d.IntN(18))}), size: 10})
		}
		year = from
		to = fmt.Sprint(from)
	}
	lines = append(lines, line{text: say("Education", "Opleiding"), size: 12, bold: true, gap: 12, rule: true},
		line{text: fmt.Sprintf("%d – %d   %s, %s", year-4, year, of(d, []string{"HBO", "MBO 4", "WO", "Bachelor", "Master"}), say(town.en, town.nl)), size: 10},
		line{text: say("Skills", "Vaardigheden"), size: 12, bold: true, gap: 12, rule: true},
		line{text: strings.Join(skills, ", "), size: 10},
		line{text: say("Languages", "Talen"), size: 12, bold: true, gap: 12, rule: true},
		line{text: say("English (fluent), Dutch (B1)", "Nederlands (moedertaal), Engels (goed)"), size: 10})
	name := "CV " + p.Name
	a := attachment{name: fileName(d, name) + ".pdf", mediaType: "application/pdf", encoded: encode64(makePDF(name, lines))}
	if hash(p.Emails[0])%9 == 0 { // some write in a word processor
		var paras []string
		for _, l := range lines {
			paras = append(paras, l.text)
		}
		a = attachment{name: fileName(d, name) + ".docx", mediaType: "application/vnd.openxmlformats-officedocument.wordprocessingml.document", encoded: encode64(makeDOCX(paras))}
	}
	g.cvs[p.Emails[0]] = a
	return a
}

// fileName is how people name a file.
func fileName(d dice, name string) string {
	switch d.IntN(4) {
	case 0:
		return strings.ReplaceAll(name, " ", "_")
	case 1:
		return name + " 2026"
	case 2:
		return strings.ToLower(strings.ReplaceAll(name, " ", "-"))
	}
	return name
}

// splitText breaks text into lines of at most n characters.
func splitText(text string, n int) []string { return strings.Split(wrap(text, n), "\n") }

func (d dice) phone() string {
	return fmt.Sprintf("06 %02d %02d %02d %02d", 10+d.IntN(50), d.IntN(100), d.IntN(100), d.IntN(100))
}

// paper is a vacancy, contract or invoice as PDF.
func (g *generator) paper(kind string, c *conversation) attachment {
	v := c.vars
	nl := c.lang == "nl"
	say := func(en, dutch string) string {
		if nl {
			return dutch
		}
		return en
	}
	var title string
	var body []string
	switch kind {
	case "vacancy":
		title = say("Vacancy ", "Vacature ") + v["vac"]
		body = []string{
			v["client"] + ", " + v["city"], say("Hours: ", "Uren: ") + v["hours"], say("Salary: ", "Salaris: ") + v["salary"],
			say("What you will do: ", "Wat je gaat doen: ") + v["skill"] + ", " + v["skill2"] + ".",
			say("Who you are: someone with about "+v["years"]+" years of experience who likes to work with others.", "Wie je bent: iemand met ongeveer "+v["years"]+" jaar ervaring die graag met anderen werkt."),
		}
	case "contract":
		title = say("Agreement ", "Overeenkomst ") + v["ref"]
		for i := range 9 {
			body = append(body, fmt.Sprintf(say("Article %d", "Artikel %d"), i+1), say(
				"The parties agree on "+v["skill"]+" as described in the annex, for "+v["hours"]+" hours a week, with a notice period of "+v["notice"]+".",
				"Partijen komen "+v["skill"]+" overeen zoals beschreven in de bijlage, voor "+v["hours"]+" uur per week, met een opzegtermijn van "+v["notice"]+"."))
		}
	default:
		title = say("Invoice ", "Factuur ") + v["ref"]
		body = []string{v["client"], say("Placement ", "Plaatsing ") + v["vac"], "EUR " + fmt.Sprint(3000+hash(v["ref"])%12000) + ",00", "21% btw", say("To be paid within 30 days", "Te betalen binnen 30 dagen")}
	}
	lines := []line{{text: Organization, size: 11, bold: true}, {text: title, size: 18, bold: true, gap: 10, rule: true}}
	for _, p := range body {
		for i, t := range splitText(p, 92) {
			gap := 0
			if i == 0 {
				gap = 6
			}
			lines = append(lines, line{text: t, size: 10, gap: gap})
		}
	}
	return attachment{name: strings.ReplaceAll(title, "/", "-") + ".pdf", mediaType: "application/pdf", encoded: encode64(makePDF(title, lines))}
}
