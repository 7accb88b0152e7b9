package bench

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"mailroom/internal/peers"
)

// words are enough for an index to have something to do.
var words = strings.Fields(`candidate interview vacancy salary contract start manager client office project experience
	team offer reply meeting tomorrow monday document portfolio engineer developer nurse planner finance legal remote
	hybrid travel notice period reference question answer availability proposal profile location amsterdam utrecht
	rotterdam antwerp brussel kandidaat vacature gesprek functie opdracht uren tarief ervaring beschikbaar collega`)

// corpus makes mails from a seed: sizes follow a log-normal with a median of
// about 15 KB and a p90 of about 110 KB, as measured in recruiters' mailboxes;
// a fifth carries a base64 attachment, most of the rest are text and HTML.
type corpus struct {
	r           *rand.Rand
	made, count int
	median      float64
}

func newCorpus(seed uint64, count int, median float64) *corpus {
	return &corpus{r: rand.New(rand.NewPCG(seed, 2)), count: count, median: median}
}

// next makes at most so many more, none when all are made.
func (c *corpus) next(most int) []peers.Mail {
	start := time.Date(2025, 1, 1, 8, 0, 0, 0, time.UTC)
	out := make([]peers.Mail, min(most, c.count-c.made))
	for i := range out {
		size := int(c.median * math.Exp(1.55*c.r.NormFloat64()))
		out[i] = peers.Mail{Raw: mail(c.r, c.made, min(max(size, 1500), 4<<20)), Date: start.Add(time.Duration(c.made) * time.Minute)}
		if c.r.IntN(3) > 0 {
			out[i].Flags = []string{`\Seen`}
		}
		c.made++
	}
	return out
}

// smallMail is a mail of about 2 KB, in pieces that many share.
type smallMail [][]byte

// smallCorpus makes small mails from a seed.
func smallCorpus(seed uint64, count int) []smallMail {
	r := rand.New(rand.NewPCG(seed, 3))
	bodies := make([][]byte, 500)
	for i := range bodies {
		var b bytes.Buffer
		for b.Len() < 600+r.IntN(2000) {
			b.WriteString(sentence(r, 12) + "\r\n")
		}
		bodies[i] = b.Bytes()
	}
	out := make([]smallMail, count)
	for i := range out {
		from := r.IntN(4000)
		head := fmt.Appendf(nil, "From: Person %d <person%d@client%d.example>\r\nTo: Anna <%s>\r\nSubject: %s\r\nMessage-ID: <small-%d-%d@example.org>\r\n"+
			"Date: Mon, 06 Jan 2025 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
			from, from, from%300, owner, sentence(r, 5), seed, i)
		out[i] = smallMail{head, bodies[r.IntN(len(bodies))]}
	}
	return out
}

func sentence(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()
}

func mail(r *rand.Rand, i, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Received: from mx%d.example.org by mail.agency.example; Mon, 6 Jan 2025 10:00:00 +0000\r\n", r.IntN(9))
	fmt.Fprintf(&b, "From: Person %d <person%d@client%d.example>\r\nTo: Anna <%s>\r\n", r.IntN(4000), r.IntN(4000), r.IntN(300), owner)
	fmt.Fprintf(&b, "Subject: %s\r\nMessage-ID: <bench-%d@example.org>\r\nDate: Mon, 06 Jan 2025 10:00:00 +0000\r\nMIME-Version: 1.0\r\n", sentence(r, 6), i)
	text := func(room int) {
		for n := 0; n < room; {
			line := sentence(r, 10) + "\r\n"
			n += len(line)
			b.WriteString(line)
		}
	}
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"m%d\"\r\n\r\n--m%d\r\nContent-Type: multipart/alternative; boundary=\"a%d\"\r\n\r\n", i, i, i)
	fmt.Fprintf(&b, "--a%d\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", i)
	body := min(size/3, 3000)
	text(body)
	fmt.Fprintf(&b, "--a%d\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>", i)
	text(min(size/3, 12000))
	fmt.Fprintf(&b, "</p>\r\n--a%d--\r\n", i)
	if rest := size - b.Len(); rest > 2000 {
		fmt.Fprintf(&b, "--m%d\r\nContent-Type: application/pdf; name=\"cv.pdf\"\r\nContent-Disposition: attachment; filename=\"cv.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n", i)
		raw := make([]byte, rest*57/78)
		for j := range raw {
			raw[j] = byte(r.Uint32())
		}
		enc := base64.StdEncoding.EncodeToString(raw)
		for len(enc) > 76 {
			b.WriteString(enc[:76] + "\r\n")
			enc = enc[76:]
		}
		b.WriteString(enc + "\r\n")
	}
	fmt.Fprintf(&b, "--m%d--\r\n", i)
	return b.Bytes()
}
