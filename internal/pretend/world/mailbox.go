package world

import (
	"fmt"
	"math"
	"slices"
	"time"

	"mailroom/internal/pretend/imapd"
)

var englishNames = folderNames{
	sent: "Sent Items", drafts: "Drafts", deleted: "Deleted Items", junk: "Junk Email", archive: "Archive",
	projects: []string{"Projecten/Maasbrug", "Projecten/Werving & selectie", "Projecten/Werving & selectie/2026", "Projecten/Détachering – Zürich"},
}

var dutchNames = folderNames{
	sent: "Verzonden items", drafts: "Concepten", deleted: "Verwijderde items", junk: "Ongewenste e-mail", archive: "Archief",
}

// otherEnglish and otherDutch are the folders that Exchange shows beside mail.
var (
	otherEnglish = []string{"Calendar", "Contacts", "Conversation History", "Journal", "Notes", "Outbox", "Tasks"}
	otherDutch   = []string{"Agenda", "Contactpersonen", "Logboek", "Notities", "Postvak UIT", "Taken"}
)

// span is how far back a mailbox reaches.
const span = 540 * 24 * time.Hour

// fill makes n mails, newest just before now.
func (g *generator) fill(n int, reach time.Duration, odd bool) {
	d := g.d
	if odd {
		g.strange()
	}
	g.certain(reach)
	g.toBoth()
	g.fresh()
	for len(g.out) < n {
		// A mailbox has grown over the time: later is likelier.
		at := g.now.Add(-time.Duration(math.Pow(d.Float64(), 1.25)*float64(reach)) - 2*time.Hour)
		switch k := d.IntN(100); {
		case k < 40:
			c := g.begin(at, nil, "")
			g.play(c)
			if c.next > 0 && c.next < len(c.script.steps) && c.last.from.email == g.user.Email && d.chance(6) {
				g.place(g.outOfOffice(c), c)
			}
		case k < 76:
			g.place(g.bulk(g.sender(), d.decent(at)), nil)
		case k < 92:
			l := g.colleague(at, d.chance(45))
			if l.date.Before(g.now) {
				g.place(l, nil)
			}
		default:
			l := g.bulk(of(d, spam), at)
			if g.now.Sub(at) < 45*24*time.Hour {
				g.place(l, nil)
				g.out[len(g.out)-1].folder = g.folders.junk
			}
		}
	}
	g.copies()
	g.trim(n)
	g.writeDrafts()
}

// sender picks who writes to many; a Dutch mailbox gets Dutch mail.
func (g *generator) sender() sender {
	for {
		if s := of(g.d, senders); g.user.Language != "nl" || s.lang == "nl" {
			return s
		}
	}
}

// certain makes the conversations that every mailbox must have: with those who share an address,
// and in large ones with the person who is not in the people file yet.
func (g *generator) certain(reach time.Duration) {
	with := func(p Person, email string, ago time.Duration, name string) {
		c := g.begin(g.now.Add(-ago), &p, name)
		c.email, c.stay = email, true
		if email == SharedAddress {
			c.them.Name = "Fam. Van Dijk"
		}
		if email == SharedDesk {
			c.them.Name = "Personeelszaken Waterdam"
		}
		g.play(c)
	}
	byName := func(name string) Person {
		return g.people[slices.IndexFunc(g.people, func(p Person) bool { return p.Name == name })]
	}
	day := 24 * time.Hour
	with(byName("Ruben van Dijk"), SharedAddress, 9*day, "application")
	if reach < span {
		return
	}
	with(byName("Lotte van Dijk-Smit"), SharedAddress, 33*day, "application")
	with(byName("Mirjam Aalders"), SharedDesk, 12*day, "request")
	lateOne := late
	lateOne.Reference = "" // not in the file
	with(lateOne, late.Emails[0], 21*day, "application")
	with(lateOne, late.Emails[0], 13*day, "interview")
	with(lateOne, late.Emails[0], 6*day, "cvreview")
}

// toBoth files what clients wrote to both recruiters: the same mail in two mailboxes, with the trace
// of another delivery.
func (g *generator) toBoth() {
	if g.user.Email != users[0].Email && g.user.Email != users[1].Email {
		return
	}
	common := newGenerator(g.seed, g.now, users[1], dutchNames, "") // Dutch, so that it suits both
	common.d = newDice(g.seed, hash("both"))
	for i := range 3 {
		c := common.begin(common.d.working(g.now.AddDate(0, 0, -3-4*i)), &common.people[26+2*i], "request")
		l := common.write(c)
		l.cc = []addr{{users[0].Name, users[0].Email}}
		l.forWhom = g.user.Email
		c.stay = true
		g.place(l, c)
	}
}

// fresh makes the newest mails, whatever the hour is.
func (g *generator) fresh() {
	for _, ago := range []time.Duration{24 * time.Minute, 73 * time.Minute, 2*time.Hour + 10*time.Minute, 4 * time.Hour, 7*time.Hour + 20*time.Minute} {
		at := local(g.now.Add(-ago))
		if g.d.chance(25) {
			g.place(g.bulk(g.sender(), at), nil)
			continue
		}
		c := g.opening(at)
		l := g.write(c)
		g.place(l, c)
		g.open = append(g.open, c)
	}
}

// opening begins a conversation whose first word is theirs, exactly at a time.
func (g *generator) opening(at time.Time) *conversation {
	for {
		if c := g.begin(at, nil, ""); !c.script.steps[0].ours {
			c.at, c.stay = local(at), true
			return c
		}
	}
}

// copies puts some mails into a project folder as well, byte for byte.
func (g *generator) copies() {
	if len(g.folders.projects) == 0 {
		return
	}
	for i := range g.out {
		p := g.out[i]
		if p.odd == "" && p.folder == "INBOX" && g.now.Sub(p.date) > 20*24*time.Hour && g.d.chance(2) {
			p.folder, p.copyOf = g.folders.projects[1], true
			g.out = append(g.out, p)
		}
	}
}

// trim sorts by date and drops the oldest ones over n, oddities excepted.
func (g *generator) trim(n int) {
	slices.SortStableFunc(g.out, func(a, b placed) int { return a.date.Compare(b.date) })
	over := len(g.out) - n
	g.out = slices.DeleteFunc(g.out, func(p placed) bool {
		if over > 0 && p.odd == "" {
			over--
			return true
		}
		return false
	})
}

// writeDrafts replaces the last few of our letters' places: drafts are mails that were never sent.
func (g *generator) writeDrafts() {
	drafts := 0
	for i := range g.out {
		p := &g.out[i]
		if p.folder == g.folders.sent && g.now.Sub(p.date) < 30*24*time.Hour && drafts < 3 && g.d.chance(30) {
			p.folder, p.flags = g.folders.drafts, []string{`\Draft`, `\Seen`}
			drafts++
		}
	}
}

// tree is the mailbox as folders, oldest mail first.
func (g *generator) tree(others []string, roles bool) []imapd.Folder {
	role := func(r string) imapd.FolderOptions {
		if !roles {
			return imapd.FolderOptions{}
		}
		return imapd.FolderOptions{Role: r}
	}
	out := []imapd.Folder{
		{Name: "INBOX"}, {Name: g.folders.archive}, {Name: g.folders.deleted, Options: role(`\Trash`)}, {Name: g.folders.drafts, Options: role(`\Drafts`)},
		{Name: g.folders.junk, Options: role(`\Junk`)}, {Name: g.folders.sent, Options: role(`\Sent`)},
	}
	if len(g.folders.projects) > 0 {
		out = append(out, imapd.Folder{Name: "Projecten", Options: imapd.FolderOptions{NoSelect: true}})
		for _, p := range g.folders.projects {
			out = append(out, imapd.Folder{Name: p})
		}
	}
	at := map[string]int{}
	for i, f := range out {
		at[f.Name] = i
	}
	for _, p := range g.out {
		f := &out[at[p.folder]]
		// Received and filed some seconds after it was written.
		date := local(p.date.Add(time.Duration(2+hash(p.mail.MessageID)%20) * time.Second))
		f.Messages = append(f.Messages, imapd.Message{Raw: p.raw, Date: date, Flags: p.flags, GmailThread: p.thread})
	}
	for _, name := range others {
		out = append(out, imapd.Folder{Name: name, Messages: g.notMail(name)})
	}
	return out
}

// notMail fills the calendar and its like with what Exchange shows there.
func (g *generator) notMail(folder string) []imapd.Message {
	kinds := map[string]int{"Calendar": 12, "Agenda": 4, "Contacts": 6, "Contactpersonen": 3, "Tasks": 3, "Taken": 2, "Notes": 2, "Notities": 1}
	var out []imapd.Message
	for i := range kinds[folder] {
		at := g.d.working(g.now.AddDate(0, 0, -i*5-1))
		id := fmt.Sprintf("%016x@%s", g.d.Uint64(), Domain)
		v := g.smallVars(g.user.Language, at)
		me := addr{g.user.Name, g.user.Email}
		l := &letter{from: me, to: []addr{me}, subject: v["name"] + " – " + v["client"], date: at, id: id, lang: g.user.Language,
			style: style{charset: "utf-8", encoding: "quoted-printable"}, paras: []string{v["place"]}}
		if folder == "Calendar" || folder == "Agenda" {
			l.attached = []attachment{{name: "meeting.ics", mediaType: "text/calendar", encoded: encode64(makeICS(id, l.subject, v["place"], me, me, at, time.Hour))}}
		}
		out = append(out, imapd.Message{Raw: l.compose(), Date: at, Flags: []string{`\Seen`}})
	}
	return out
}
