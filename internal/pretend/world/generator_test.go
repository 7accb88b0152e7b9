package world

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// large is the mailbox of 5,000 mails, made once for all tests that only look.
var large = sync.OnceValue(func() *generator {
	g := newGenerator(1, noon, users[0], englishNames, "")
	g.fill(5000, span, true)
	return g
})

func TestSameSeedSameBytes(t *testing.T) {
	sum := func(seed uint64) string {
		h := sha256.New()
		g := newGenerator(seed, noon, users[0], englishNames, "")
		g.fill(300, span, true)
		for _, f := range g.tree(otherEnglish, true) {
			for _, m := range f.Messages {
				fmt.Fprint(h, f.Name, m.Date.UnixNano(), m.Flags)
				m.Raw.WriteTo(h)
			}
		}
		return fmt.Sprintf("%x", h.Sum(nil))
	}
	first, again, other := sum(1), sum(1), sum(2)
	if first != again {
		t.Error("the same seed gave other mail")
	}
	if first == other {
		t.Error("another seed gave the same mail")
	}
}

func TestFiveThousandMailsAreQuickSmallAndSpread(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	g := large()
	took := time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&after)
	mb := float64(after.HeapAlloc-before.HeapAlloc) / 1e6
	t.Logf("%d mails in %v, %.0f MB held", len(g.out), took, mb)
	if len(g.out) != 5000 {
		t.Errorf("%d mails", len(g.out))
	}
	if mb > 100 {
		t.Errorf("%.0f MB", mb)
	}
	folders, sizes := map[string]int{}, 0
	for _, p := range g.out {
		folders[p.folder]++
		sizes += p.raw.Len()
	}
	t.Logf("%v, %.0f MB of mail", folders, float64(sizes)/1e6)
	for _, f := range append([]string{"INBOX", "Sent Items", "Drafts", "Deleted Items", "Junk Email", "Archive"}, englishNames.projects...) {
		if folders[f] == 0 {
			t.Errorf("%s is empty", f)
		}
	}
	oldest, newest := g.out[0].date, g.out[len(g.out)-1].date
	if noon.Sub(oldest) < 400*24*time.Hour || noon.Sub(newest) > time.Hour || newest.After(noon) {
		t.Errorf("from %v to %v", oldest, newest)
	}
}

func TestMailDoesNotLookCopied(t *testing.T) {
	g := large()
	subjects, bodies := map[string]int{}, map[string]int{}
	conversations := 0
	for _, p := range g.out {
		if p.odd != "" || p.copyOf {
			continue
		}
		subjects[p.mail.Subject]++
		raw := p.raw.Bytes()
		_, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		bodies[fmt.Sprintf("%x", sha256.Sum256(body))]++
		if strings.Contains(string(raw), "In-Reply-To:") {
			conversations++
		}
	}
	if n := len(bodies); n < 4800 {
		t.Errorf("only %d different bodies", n)
	}
	for s, n := range subjects {
		if n > 60 {
			t.Errorf("%d mails are called %q", n, s)
		}
	}
	t.Logf("%d subjects, %d answers", len(subjects), conversations)
	if len(subjects) < 2000 || conversations < 1200 {
		t.Errorf("%d subjects, %d answers", len(subjects), conversations)
	}
}

func TestOnlyTheBrokenOnesAreBroken(t *testing.T) {
	g := large()
	broken := 0
	for i, p := range g.out {
		if p.odd == "" && i%3 != 0 {
			continue
		}
		err := strict(p.raw.Bytes())
		switch {
		case p.broken && err == nil:
			t.Errorf("%s: meant to be broken, and is read without complaint", p.odd)
		case !p.broken && err != nil:
			t.Errorf("%s %q: %v\n%.600s", p.odd, p.mail.Subject, err, p.raw.Bytes())
		case p.broken:
			broken++
		}
	}
	if want := 8; broken != want {
		t.Errorf("%d broken mails, want %d", broken, want)
	}
}

// strict reads a mail by the letter, with the standard library.
func strict(raw []byte) error {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	head, _, _ := bytes.Cut(raw, []byte("\n\n"))
	head, _, found := bytes.Cut(head, []byte("\r\n\r\n"))
	if !found && !bytes.Contains(raw, []byte("\n\n")) {
		return fmt.Errorf("no end of header")
	}
	for _, c := range head {
		if c < 0x20 && c != '\r' && c != '\n' && c != '\t' {
			return fmt.Errorf("control character in header")
		}
	}
	if !validUTF8(head) {
		return fmt.Errorf("header is no text")
	}
	if d := m.Header.Get("Date"); d != "" {
		if _, err := mail.ParseDate(d); err != nil {
			return err
		}
	}
	for _, f := range []string{"From", "To", "Cc"} {
		if v := m.Header.Get(f); v != "" && !strings.Contains(v, ":;") {
			p := mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil }}}
			if _, err := p.ParseList(v); err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
		}
	}
	return strictPart(textproto.MIMEHeader(m.Header), m.Body)
}

func validUTF8(b []byte) bool { return strings.ToValidUTF8(string(b), "?") == string(b) }

func strictPart(h textproto.MIMEHeader, body io.Reader) error {
	ct := h.Get("Content-Type")
	if ct == "" {
		ct = "text/plain"
	}
	kind, params, err := mime.ParseMediaType(ct)
	if err != nil {
		return fmt.Errorf("content type %q: %w", ct, err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		if params["boundary"] == "" {
			return fmt.Errorf("no boundary")
		}
		mr := multipart.NewReader(body, params["boundary"])
		for n := 0; ; n++ {
			p, err := mr.NextRawPart()
			if err == io.EOF && n > 0 {
				return nil
			}
			if err != nil {
				return fmt.Errorf("part %d: %w", n, err)
			}
			if err := strictPart(p.Header, p); err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(h.Get("Content-Transfer-Encoding")) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	_, err = io.Copy(io.Discard, body)
	return err
}

func TestAnswersPointToWhatTheyAnswer(t *testing.T) {
	g := large()
	ids := map[string]bool{}
	for _, p := range g.out {
		ids[p.mail.MessageID] = true
	}
	const field = "\r\nIn-Reply-To: <"
	answers, found := 0, 0
	for _, p := range g.out {
		_, after, ok := bytes.Cut(p.raw[0], []byte(field)) // the header is always in the first piece
		if ok {
			answers++
			id, _, _ := bytes.Cut(after, []byte(">"))
			if ids[string(id)] {
				found++
			}
		}
	}
	if answers == 0 || found*100 < answers*97 {
		t.Errorf("%d of %d answered mails are there", found, answers)
	}
}

func TestKnownPeopleWriteMuchOfTheMail(t *testing.T) {
	g := large()
	owners := map[string][]string{}
	for _, p := range numbered() {
		for _, e := range p.Emails {
			owners[e] = append(owners[e], p.Name)
		}
	}
	if len(owners[SharedAddress]) != 2 || len(owners[SharedDesk]) != 2 || len(owners[late.Emails[0]]) != 0 {
		t.Errorf("shared %v, desk %v, late %v", owners[SharedAddress], owners[SharedDesk], owners[late.Emails[0]])
	}
	for _, s := range append(append([]sender(nil), senders...), spam...) {
		if owners[s.from.email] != nil {
			t.Errorf("%s writes to many and is a person", s.from.email)
		}
	}
	var known, inbox, shared, lateOnes int
	for _, p := range g.out {
		if p.folder != "INBOX" {
			continue
		}
		inbox++
		switch {
		case p.mail.From == SharedAddress || p.mail.From == SharedDesk:
			shared++
		case p.mail.From == late.Emails[0]:
			lateOnes++
		case len(owners[p.mail.From]) == 1:
			known++
		}
	}
	t.Logf("inbox %d: %d of known people, %d from shared addresses, %d of the late one", inbox, known, shared, lateOnes)
	if known*100 < inbox*20 || shared < 3 || lateOnes < 3 {
		t.Errorf("inbox %d: %d of known people, %d from shared addresses, %d of the late one", inbox, known, shared, lateOnes)
	}
}

func TestPeopleFile(t *testing.T) {
	rows, err := csv.NewReader(bytes.NewReader(peopleCSV(numbered()))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(rows[0], ",") != "kind,name,emails,company,reference" || len(rows) != len(people)+1 {
		t.Errorf("%d rows under %v", len(rows), rows[0])
	}
	refs, several := map[string]bool{}, 0
	for _, r := range rows[1:] {
		if (r[0] != "candidate" && r[0] != "contact") || r[1] == "" || r[2] == "" || (r[0] == "contact") != (r[3] != "") || refs[r[4]] {
			t.Errorf("row %v", r)
		}
		refs[r[4]] = true
		if strings.Contains(r[2], ";") {
			several++
		}
		for _, e := range strings.Split(r[2], ";") {
			if _, err := mail.ParseAddress(e); err != nil || !strings.HasSuffix(e, ".example") {
				t.Errorf("address %q: %v", e, err)
			}
		}
	}
	if several < 5 {
		t.Errorf("%d people with several addresses", several)
	}
}

func TestPDFsAreWhole(t *testing.T) {
	g := newGenerator(1, noon, users[0], englishNames, "")
	for _, p := range numbered()[:20] {
		a := g.cvOf(p)
		if a.mediaType != "application/pdf" {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(a.encoded), "\r\n", ""))
		if err != nil {
			t.Fatal(err)
		}
		if err := checkPDF(raw); err != nil {
			t.Errorf("%s: %v", a.name, err)
		}
	}
}

// checkPDF follows startxref and finds every object where the table says.
func checkPDF(raw []byte) error {
	i := bytes.LastIndex(raw, []byte("startxref\n"))
	if !bytes.HasPrefix(raw, []byte("%PDF-1.4")) || i < 0 {
		return fmt.Errorf("no PDF")
	}
	at, err := strconv.Atoi(strings.TrimSpace(strings.Split(string(raw[i+10:]), "\n")[0]))
	if err != nil || !bytes.HasPrefix(raw[at:], []byte("xref\n")) {
		return fmt.Errorf("startxref %d: %v", at, err)
	}
	r := bufio.NewScanner(bytes.NewReader(raw[at:]))
	n := -3
	for r.Scan() {
		if strings.HasPrefix(r.Text(), "trailer") {
			break
		}
		if n++; n < 1 {
			continue
		}
		var off int
		fmt.Sscanf(r.Text(), "%d", &off)
		if !bytes.HasPrefix(raw[off:], []byte(fmt.Sprintf("%d 0 obj", n))) {
			return fmt.Errorf("object %d is not at %d", n, off)
		}
	}
	for _, m := range regexp.MustCompile(`(?s)/Length (\d+) >>\nstream\n(.*?)\nendstream`).FindAllSubmatch(raw, -1) {
		if want, _ := strconv.Atoi(string(m[1])); want != len(m[2]) {
			return fmt.Errorf("stream of %d bytes says %d", len(m[2]), want)
		}
	}
	return nil
}

func TestTemplatesHaveNoHoles(t *testing.T) {
	hole := regexp.MustCompile(`[\[\]{}|]|€0|  `)
	g := newGenerator(3, noon, users[0], englishNames, "")
	for lang := range g.scripts {
		for i := range g.scripts[lang] {
			s := &g.scripts[lang][i]
			if len(s.subjects) == 0 || len(s.steps) < 2 {
				t.Errorf("%s %s: %d subjects, %d steps", lang, s.name, len(s.subjects), len(s.steps))
			}
			for range 10 {
				who := g.knownPerson(s.client)
				who.lang = lang
				c := g.begin(noon.AddDate(0, -2, 0), &who, s.name)
				for c.next < len(c.script.steps) {
					l := g.write(c)
					if text := l.subject + strings.Join(l.paras, "\n"); hole.MatchString(text) {
						t.Fatalf("%s %s: %s", lang, s.name, text)
					}
				}
			}
		}
	}
	for _, s := range append(append([]sender(nil), senders...), spam...) {
		for range 20 {
			l := g.bulk(s, noon)
			if text := l.subject + strings.Join(l.paras, "\n"); hole.MatchString(text) {
				t.Fatalf("%s: %s", s.from.email, text)
			}
		}
	}
}

func TestSomeMailWentToBothRecruiters(t *testing.T) {
	small := newGenerator(1, noon, users[1], dutchNames, "")
	small.fill(30, 60*24*time.Hour, false)
	here := map[string][]byte{}
	for _, p := range small.out {
		here[p.mail.MessageID] = p.raw.Bytes()
	}
	both := 0
	for _, p := range large().out {
		other, ok := here[p.mail.MessageID]
		if !ok {
			continue
		}
		both++
		if raw := p.raw.Bytes(); bytes.Equal(raw, other) || !bytes.Equal(raw[bytes.Index(raw, []byte("\r\nDate:")):], other[bytes.Index(other, []byte("\r\nDate:")):]) {
			t.Errorf("%s: the copies should differ in their trace alone", p.mail.MessageID)
		}
	}
	if both < 2 {
		t.Errorf("%d mails in both mailboxes", both)
	}
}
