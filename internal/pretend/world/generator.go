package world

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mailroom/internal/pretend/imapd"
)

// placed is a mail with the folder it lies in.
type placed struct {
	folder string
	date   time.Time
	raw    imapd.Content
	flags  []string
	thread uint64
	mail   Mail
	odd    string // name of its oddity
	broken bool   // no strict parser reads it
	copyOf bool   // the same mail stands in another folder too
}

// Mail is what is told about a generated mail.
type Mail struct {
	From, Subject, MessageID string
	Person                   string // of the people file, if it is from one
	UID                      uint32
}

// generator makes the mail of one mailbox.
type generator struct {
	d       dice
	seed    uint64
	now     time.Time
	user    User
	scripts map[string][]script
	folders folderNames
	images  string
	people  []Person
	cvs     map[string]attachment
	scans   map[int][]byte
	out     []placed
	open    []*conversation // the last word was ours: they may still answer
	langs   []string
}

// folderNames are where things go in a mailbox.
type folderNames struct {
	sent, drafts, deleted, junk, archive string
	projects                             []string // empty for none
}

func newGenerator(seed uint64, now time.Time, user User, names folderNames, images string) *generator {
	g := &generator{
		d: newDice(seed, hash(user.Email)), seed: seed, now: now, user: user, folders: names, images: images,
		scripts: map[string][]script{"en": parseScripts(threadsEN), "nl": parseScripts(threadsNL)},
		people:  numbered(), cvs: map[string]attachment{}, scans: map[int][]byte{}, langs: []string{"en", "nl", "nl"},
	}
	if user.Language == "nl" {
		g.langs = []string{"nl"}
	}
	return g
}

// conversation is a thread in progress.
type conversation struct {
	script  *script
	them    Person
	email   string // the address that they use here
	known   bool
	lang    string
	vars    map[string]string
	subject string
	next    int
	last    *letter
	refs    []string
	at      time.Time // of the next step
	thread  uint64
	project string
	stay    bool // the thread stays in the inbox
}

// begin starts a conversation at about a time.
func (g *generator) begin(at time.Time, with *Person, name string) *conversation {
	d := g.d
	c := &conversation{thread: d.Uint64()>>2 | 1, at: at}
	client := d.chance(33)
	switch {
	case with != nil:
		c.them, client = *with, with.Kind == "contact"
	case client && d.chance(70), !client && d.chance(58):
		c.them = g.knownPerson(client)
	case client:
		c.them = d.strangeContact()
	default:
		c.them = d.stranger()
	}
	c.known = c.them.Reference != ""
	c.lang = c.them.lang
	if g.user.Language == "nl" {
		c.lang = "nl"
	}
	var fit []*script
	for i := range g.scripts[c.lang] {
		s := &g.scripts[c.lang][i]
		if s.client == client && (name == "" || name == s.name) {
			fit = append(fit, s)
		}
	}
	c.script = of(d, fit)
	c.email = c.them.Emails[0]
	if len(c.them.Emails) > 1 && d.chance(35) {
		c.email = of(d, c.them.Emails)
	}
	c.vars = g.vars(c)
	c.subject = oneLine(d.spin(of(d, c.script.subjects), c.vars))
	if c.script.steps[0].ours {
		c.at = d.working(c.at)
	} else {
		c.at = g.theirMoment(c, c.at)
	}
	if client && len(g.folders.projects) > 0 && d.chance(45) {
		c.project = g.folders.projects[int(hash(c.them.Company)%uint64(len(g.folders.projects)))]
	}
	return c
}

func (g *generator) knownPerson(client bool) Person {
	for {
		p := of(g.d, g.people)
		if (p.Kind == "contact") == client && (g.user.Language != "nl" || p.lang == "nl") {
			return p
		}
	}
}

func (g *generator) vars(c *conversation) map[string]string {
	d := g.d
	f := fields[c.them.field]
	if c.them.Kind == "contact" {
		f = fields[int(hash(c.them.Company+fmt.Sprint(d.IntN(3)))%uint64(len(fields)))]
	}
	nl := c.lang == "nl"
	jobs, skills := f.jobsEN, f.skillsEN
	if nl {
		jobs, skills = f.jobsNL, f.skillsNL
	}
	i := d.IntN(len(skills))
	salary := (f.low + d.IntN(f.high-f.low)) * 100
	t := of(d, towns)
	day := d.working(c.at.AddDate(0, 0, 4+d.IntN(6)))
	v := map[string]string{
		"vac": of(d, jobs), "skill": skills[i], "skill2": skills[(i+1+d.IntN(len(skills)-1))%len(skills)],
		"city": t.en, "client": of(d, companies).name, "years": fmt.Sprint(3 + d.IntN(15)),
		"day": shortDay(day, c.lang), "day2": shortDay(d.working(day.AddDate(0, 0, 1+d.IntN(2))), c.lang),
		"time": d.clock(9, 12), "time2": d.clock(13, 17), "n": fmt.Sprint(4 + d.IntN(14)), "hours": of(d, []string{"36", "38", "40"}),
		"salary": fmt.Sprintf("€%d,%03d", salary/1000, salary%1000), "rate": fmt.Sprintf("€%d", 45+d.IntN(60)),
		"notice": of(d, notices[c.lang]), "phone": d.phone(), "ref": fmt.Sprintf("HL-%d-%04d", c.at.Year(), 100+d.IntN(9000)),
		"ref1": of(d, firstNames) + " " + of(d, lastNames), "week": fmt.Sprint(c.at.YearDay()/7 + 1),
		"place": fmt.Sprintf("%s %d, %s", of(d, []string{"Havenstraat", "Stationsplein", "Kanaaldijk", "Industrieweg", "Boompjes", "Marktlaan"}), 2+d.IntN(180), t.en),
	}
	if nl {
		v["city"], v["salary"] = t.nl, strings.Replace(v["salary"], ",", ".", 1)
		v["salary"] = strings.Replace(v["salary"], "€", "€ ", 1)
		v["place"] = v["place"][:strings.LastIndexByte(v["place"], ' ')+1] + t.nl
	}
	if c.them.Kind == "contact" {
		v["client"] = c.them.Company
	}
	return v
}

func (d dice) clock(from, to int) string {
	return fmt.Sprintf("%02d:%02d", from+d.IntN(to-from), of(d, []int{0, 0, 15, 30, 30, 45}))
}

// write makes the next letter of a conversation and sets the time of the one after it.
func (g *generator) write(c *conversation) *letter {
	d := g.d
	st := c.script.steps[c.next]
	us := addr{g.user.Name, g.user.Email}
	them := addr{c.them.Name, c.email}
	l := &letter{lang: c.lang, date: c.at, threadSeed: c.thread, subject: c.subject}
	l.from, l.to = them, []addr{us}
	if st.ours {
		l.from, l.to = us, []addr{them}
	}
	l.received = !st.ours
	if c.next > 0 {
		prefix := "Re: "
		if c.lang == "nl" && !st.ours && hash(c.email)%3 == 0 {
			prefix = "Antw: "
		}
		l.subject = prefix + c.subject
		l.quote, l.inReply, l.refs = c.last, c.last.id, c.refs
	}
	l.style = styleOf(l.from.email)
	l.id = d.messageID(l.from.email)
	l.paras = g.paras(c, st, l)
	l.sign = g.signature(c, st.ours)
	for _, kind := range st.attach {
		l.attached = append(l.attached, g.attach(kind, c, st.ours))
	}
	c.refs = append(append([]string(nil), c.refs...), l.id)
	if len(c.refs) > 12 { // as mail programs cut long chains (RFC 5322 3.6.4 only asks for the first)
		c.refs = append(c.refs[:1:1], c.refs[len(c.refs)-10:]...)
	}
	c.last = l
	c.next++
	if c.next < len(c.script.steps) {
		gap := time.Duration(20+d.IntN(60*30)) * time.Minute
		if d.chance(12) {
			gap += time.Duration(d.IntN(5*24)) * time.Hour
		}
		if c.script.steps[c.next].ours {
			c.at = d.working(l.date.Add(gap))
		} else {
			c.at = g.theirMoment(c, l.date.Add(gap))
		}
	}
	return l
}

func (g *generator) paras(c *conversation, st step, l *letter) []string {
	d := g.d
	name := firstOf(l.to[0].name)
	greet := map[string][]string{"en": {"Hi ", "Hello ", "Dear "}, "nl": {"Hoi ", "Beste ", "Dag ", "Hallo "}}
	close := map[string][]string{
		"en": {"Kind regards,", "Best regards,", "Best,", "Regards,", "Thanks,"},
		"nl": {"Met vriendelijke groet,", "Groet,", "Hartelijke groet,", "Vriendelijke groet,", "Groeten,"},
	}
	out := []string{of(d, greet[c.lang]) + name + ","}
	for _, p := range st.paras {
		if text := oneLine(d.spin(p, c.vars)); text != "" {
			out = append(out, text)
		}
	}
	return append(out, of(d, close[c.lang])+"\n"+firstOf(l.from.name))
}

// oneLine takes out the spaces that empty alternatives leave, and gives every sentence its capital.
func oneLine(s string) string {
	words := strings.Fields(s)
	for i, w := range words {
		if i == 0 || (strings.ContainsAny(words[i-1][len(words[i-1])-1:], ".!?") && len(words[i-1]) > 3) {
			r, n := utf8.DecodeRuneInString(w)
			words[i] = string(unicode.ToUpper(r)) + w[n:]
		}
	}
	return strings.Join(words, " ")
}

func (g *generator) signature(c *conversation, ours bool) []string {
	if ours {
		role := "Recruiter"
		if g.user.Role == "administrator" {
			role = "Office manager"
		}
		return []string{"-- ", g.user.Name, role + " | " + Organization, "Boompjes 58, Rotterdam | 010 555 01 " + fmt.Sprint(10+hash(g.user.Email)%80), "www." + Domain}
	}
	if c.them.Kind == "contact" {
		_, domain, _ := strings.Cut(c.email, "@")
		return []string{"-- ", c.them.Name, c.them.Company, "T 010 555 " + fmt.Sprint(1000+hash(c.email)%9000), "www." + domain}
	}
	switch hash(c.email) % 4 {
	case 0:
		if c.lang == "nl" {
			return []string{"Verstuurd vanaf mijn telefoon"}
		}
		return []string{"Sent from my phone"}
	case 1:
		return []string{"-- ", c.them.Name, c.vars["phone"]}
	}
	return nil
}

func (g *generator) attach(kind string, c *conversation, ours bool) attachment {
	d := g.d
	switch kind {
	case "cv":
		who := c.them
		if ours || who.Kind == "contact" {
			if who = d.stranger(); d.chance(60) {
				who = g.knownPerson(false)
			}
		}
		return g.cvOf(who)
	case "ics":
		start := d.working(c.at.AddDate(0, 0, 3))
		return attachment{name: "invite.ics", mediaType: "text/calendar", encoded: encode64(makeICS(
			fmt.Sprintf("%016x@%s", d.Uint64(), Domain), c.subject, c.vars["place"], addr{g.user.Name, g.user.Email}, addr{c.them.Name, c.email}, start, time.Hour))}
	case "scan":
		return attachment{name: fmt.Sprintf("scan%04d.png", d.IntN(10000)), mediaType: "image/png", encoded: g.scan(d.IntN(12))}
	}
	return g.paper(kind, c)
}

// place files a letter where it lies by now.
func (g *generator) place(l *letter, c *conversation) {
	d := g.d
	age := g.now.Sub(l.date)
	p := placed{folder: "INBOX", date: l.date, thread: l.threadSeed, raw: l.compose(), mail: Mail{From: l.from.email, Subject: l.subject, MessageID: l.id}}
	ours := l.from.email == g.user.Email
	if c != nil && c.known {
		p.mail.Person = c.them.Name
	}
	switch {
	case ours:
		p.folder, p.flags = g.folders.sent, []string{`\Seen`}
	case c != nil && c.project != "" && age > 10*24*time.Hour:
		p.folder = c.project
	case c != nil && c.stay:
	case age > 150*24*time.Hour && d.chance(22):
		p.folder = g.folders.archive
	case age > 3*24*time.Hour && d.chance(4):
		p.folder = g.folders.deleted
	}
	if !ours {
		p.flags = g.flags(age, c != nil && c.next < len(c.script.steps))
	}
	g.out = append(g.out, p)
}

func (g *generator) flags(age time.Duration, answered bool) []string {
	var out []string
	seen := 98
	if age < 4*24*time.Hour {
		seen = 45
	}
	if g.d.chance(seen) {
		out = append(out, `\Seen`)
		if answered && g.d.chance(85) {
			out = append(out, `\Answered`)
		}
	}
	if g.d.chance(3) {
		out = append(out, `\Flagged`)
	}
	return out
}

// play writes a conversation up to now; one that they may still answer is kept for later.
func (g *generator) play(c *conversation) {
	for c.next < len(c.script.steps) && c.at.Before(g.now) {
		if g.d.chance(9) && c.next > 1 { // many threads simply end
			return
		}
		l := g.write(c)
		g.place(l, c)
	}
	if c.next > 0 && c.next < len(c.script.steps) && !c.script.steps[c.next].ours && g.now.Sub(c.last.date) < 20*24*time.Hour {
		g.open = append(g.open, c)
	}
}

func (d dice) messageID(from string) string {
	_, domain, _ := strings.Cut(from, "@")
	switch hash(from) % 3 {
	case 0:
		return fmt.Sprintf("%08X-%04X-%04X@%s", d.Uint32(), d.Uint32()&0xffff, d.Uint32()&0xffff, domain)
	case 1:
		return fmt.Sprintf("CA%x%x@mail.%s", d.Uint64(), d.Uint32(), domain)
	}
	return fmt.Sprintf("%016x.%08x@%s", d.Uint64(), d.Uint32(), domain)
}
