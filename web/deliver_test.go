package web

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"mailroom/internal/envelope"
	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/internal/store/storetest"
)

// rawMail is the door to raw bytes: what was delivered, else some mail.
func (s *site) rawMail(_ context.Context, _, hash string) ([]byte, error) {
	if raw, ok := s.raw.Load(hash); ok {
		return raw.([]byte), nil
	}
	return []byte("Subject: raw\r\n\r\nraw"), nil
}

// postman delivers mail to one user as the syncer would.
type postman struct {
	s     *site
	world storetest.World
	claim mailroom.Claim
	uid   uint32
}

// postman connects the user's mailbox and takes its lease.
func (s *site) postman(u mailroom.User) *postman {
	s.t.Helper()
	box := s.connected(u)
	p := &postman{s: s, world: storetest.World{Store: s.store, DB: sqlOf(s.t, s), OrgID: u.OrgID, UserID: u.ID, Mailbox: box}}
	p.claim = p.world.Claim(s.t, "node-"+u.ID)
	return p
}

func (p *postman) mapping(rawName string) mailroom.Mapping {
	p.s.t.Helper()
	rows, err := p.s.store.MappingRows(p.s.t.Context(), p.world.Mailbox.ID)
	if err != nil {
		p.s.t.Fatal(err)
	}
	for _, r := range rows {
		if r.Mapping.RawName == rawName {
			return r.Mapping
		}
	}
	p.s.t.Fatalf("no mapping of %s", rawName)
	return mailroom.Mapping{}
}

// letter is a mail as somebody wrote it.
type letter struct {
	from, to, subject string
	at                time.Time
	body              string // text; with a header block of its own for anything else
	seen              bool
}

func (l letter) raw() []byte {
	headers := "From: " + l.from + "\r\nTo: " + l.to + "\r\n"
	if l.subject != "" {
		headers += "Subject: " + l.subject + "\r\n"
	}
	body := l.body
	if !strings.HasPrefix(body, "Content-Type:") {
		body = "Content-Type: text/plain; charset=utf-8\r\n\r\n" + body
	}
	return []byte(headers + fmt.Sprintf("Message-ID: <%d.%d@home.example>\r\n", l.at.UnixNano(), len(l.body)) +
		"Date: " + l.at.Format(time.RFC1123Z) + "\r\nMIME-Version: 1.0\r\n" + strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\n", "\r\n"))
}

// brings delivers letters to a folder and returns their ids.
func (p *postman) brings(rawName string, letters ...letter) []string {
	p.s.t.Helper()
	m := p.mapping(rawName)
	var mails []mailroom.Mail
	for _, l := range letters {
		raw := l.raw()
		msg, err := envelope.Parse(raw)
		if err != nil {
			p.s.t.Fatal(err)
		}
		p.s.raw.Store(msg.RawHash, raw)
		msg.ReceivedAt = l.at.UTC().Truncate(time.Microsecond)
		p.uid++
		mails = append(mails, mailroom.Mail{Message: msg,
			Placement: mailroom.Placement{UIDValidity: storetest.UIDValidity, UID: p.uid, RawName: rawName, MailboxID: m.MailboxID, MappingID: m.ID, Flags: mailroom.Flags{Seen: l.seen}},
			Blob:      mailroom.BlobRef{Hash: msg.RawHash, Pack: "p1", Length: 1, Size: msg.Size, Codec: "raw"}})
	}
	b := p.world.Batch(m, mails...)
	b.Progress.CheckedAt, b.Progress.OnServer, b.Progress.Stored = time.Now(), int64(p.uid), int64(p.uid)
	if _, err := p.s.store.Deliver(p.s.t.Context(), p.claim, b); err != nil {
		p.s.t.Fatal(err)
	}
	ids := make([]string, len(mails))
	for i, mail := range mails {
		row := sqlOf(p.s.t, p.s).QueryRowContext(p.s.t.Context(), `SELECT id FROM messages WHERE raw_hash = $1 AND org_id = $2`, mail.Message.RawHash, m.OrgID)
		if err := row.Scan(&ids[i]); err != nil {
			p.s.t.Fatal(err)
		}
	}
	return ids
}

// knows adds a person.
func (s *site) knows(kind mailroom.PersonKind, name, company string, addresses ...string) mailroom.Person {
	s.t.Helper()
	person, _, err := s.portal.AddPerson(s.t.Context(), s.admin, portal.PersonForm{Kind: kind, Name: name, Company: company, Addresses: addresses})
	if err != nil {
		s.t.Fatal(err)
	}
	return person
}

const (
	cvMail = `Content-Type: multipart/mixed; boundary="b1"

--b1
Content-Type: text/plain; charset=utf-8

Dear Noor,

Thank you for the pleasant talk last Tuesday. As promised, here is my
curriculum vitae, together with the diploma you asked for. More about my
last project is at https://carla.example/portfolio.

I am free on Thursday afternoon and all of Friday.

Kind regards,
Carla Meijer

> On 20 Nov 2026 Noor Visser wrote:
> Could you send me your CV?
--b1
Content-Type: application/pdf; name="CV Carla Meijer.pdf"
Content-Disposition: attachment; filename="CV Carla Meijer.pdf"
Content-Transfer-Encoding: base64

JVBERi0xLjQKJeLjz9MKMSAwIG9iago8PD4+CmVuZG9iagp0cmFpbGVyPDw+Pg==
--b1
Content-Type: text/html; name="diploma.html"
Content-Disposition: attachment; filename*=UTF-8''diploma%20caf%C3%A9.html
Content-Transfer-Encoding: 7bit

<script>alert(1)</script>
--b1--
`
	newsletter = `Content-Type: multipart/alternative; boundary="b2"

--b2
Content-Type: text/plain; charset=utf-8

Werk in de zorg: de nieuwsbrief van november.
--b2
Content-Type: text/html; charset=utf-8

<html><body><h1 style="color:#264">Werk in de zorg</h1><p>De nieuwsbrief van <b>november</b>.</p>
<img src="https://tracker.example/open.gif" alt="logo"><script>alert(1)</script>
<p><a href="https://zorg.example/lees">Lees verder</a></p><p>Drie ziekenhuizen in de regio zoeken samen veertig verpleegkundigen.</p></body></html>
--b2--
`
)

// november is a believable stretch of mail for Noor; ids by subject.
func (p *postman) november(now time.Time) map[string]string {
	p.s.t.Helper()
	me := "Noor Visser <" + p.world.Mailbox.Address + ">"
	letters := []letter{
		{from: "Carla Meijer <carla@home.example>", to: me, subject: "My CV, as promised", at: now.Add(-20 * time.Minute), body: cvMail},
		{from: "Tom Bakker <tom@home.example>", to: me, subject: "Re: Kennismaking donderdag", at: now.Add(-2 * time.Hour), body: "Hoi Noor,\n\nDonderdag om tien uur past mij prima. Ik neem mijn diploma's mee.\n\nGroet,\nTom"},
		{from: "Werk in de zorg <nieuws@zorg.example>", to: me, subject: "Nieuwsbrief november", at: now.Add(-3 * time.Hour), body: newsletter, seen: true},
		{from: "Planning <planning@bouw.example>", to: me, subject: "Two carpenters from Monday on", at: now.Add(-5 * time.Hour), body: "Hello Noor,\n\nWe need two carpenters from Monday on, for about six weeks. Whom can you send?\n"},
		{from: "Planning <planning@bouw.example>", to: me, subject: "And one painter", at: now.Add(-26 * time.Hour), body: "One painter as well, please.\n", seen: true},
		{from: "jan.van.den.heuvel-de-vries@zeerlangedomeinnaam.example", to: me, at: now.Add(-30 * time.Hour), body: "Geen onderwerp, wel een vraag: is de vacature voor planner nog open?", seen: true},
	}
	for n := range 8 {
		letters = append(letters, letter{from: "Sara de Groot <sara@home.example>", to: me, subject: fmt.Sprintf("Hours of week %d", 47-n), at: now.Add(-time.Duration(2+n) * 24 * time.Hour), body: "Please find my hours below.\n\nMonday to Friday, eight hours each.", seen: true})
	}
	ids := map[string]string{}
	for i, id := range p.brings("INBOX", letters...) {
		ids[letters[i].subject] = id
	}
	sent := letter{from: me, to: "Carla Meijer <carla@home.example>", subject: "Could you send me your CV?", at: now.Add(-72 * time.Hour), body: "Dear Carla,\n\nCould you send me your CV?\n\nNoor", seen: true}
	ids[sent.subject] = p.brings("Verzonden items", sent)[0]
	return ids
}

// agency is a site with people and a recruiter, Noor, who has mail.
type agency struct {
	*site
	noor              mailroom.User
	post              *postman
	ids               map[string]string // messages by subject
	carla, jan, petra mailroom.Person
}

func openAgency(t testing.TB, change ...func(*Deps)) *agency {
	t.Helper()
	s := openSite(t, change...)
	a := &agency{site: s}
	a.carla = s.knows(mailroom.Candidate, "Carla Meijer", "", "carla@home.example", "carla@work.example")
	s.knows(mailroom.Candidate, "Tom Bakker", "", "tom@home.example")
	s.knows(mailroom.Candidate, "Sara de Groot", "", "sara@home.example")
	a.jan = s.knows(mailroom.Contact, "Jan Willems", "Willems Bouw", "planning@bouw.example", "jan@bouw.example")
	a.petra = s.knows(mailroom.Contact, "Petra Smit", "Willems Bouw", "planning@bouw.example")
	a.noor = s.addUser("Noor Visser", "noor@werk.example", mailroom.Recruiter)
	a.post = s.postman(a.noor)
	a.ids = a.post.november(time.Now())
	return a
}
