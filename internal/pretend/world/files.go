package world

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"strings"
	"time"

	"golang.org/x/text/encoding/charmap"
)

// logoID is the Content-ID of the agency's logo.
const logoID = "logo.havenlicht@" + Domain

// logoPNG is a lighthouse of a few rectangles.
//
//go:embed logo.png
var logoPNG []byte

// logo is the agency's logo, inline.
func logo() attachment {
	return attachment{name: "havenlicht.png", mediaType: "image/png", contentID: logoID, encoded: encode64(logoPNG)}
}

// scan is one of a few grey pages, as a telephone photographs them, in base64.
func (g *generator) scan(n int) []byte {
	if g.scans[n] == nil {
		g.scans[n] = encode64(drawScan(newDice(uint64(n), 11)))
	}
	return g.scans[n]
}

func drawScan(d dice) []byte {
	img := image.NewGray(image.Rect(0, 0, 310, 438))
	for i := range img.Pix {
		img.Pix[i] = 244
	}
	for y := 40; y < 400; y += 9 {
		x := 30
		for x < 260+d.IntN(25) {
			n := 6 + d.IntN(30)
			for dx := range n {
				for dy := range 3 {
					img.SetGray(x+dx, y+dy, color.Gray{uint8(60 + d.IntN(40))})
				}
			}
			x += n + 4
		}
		if d.chance(15) {
			y += 12
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// line is one line of a PDF page.
type line struct {
	text string
	size int // points
	bold bool
	gap  int  // points above
	rule bool // a thin line below
}

// makePDF writes a valid PDF 1.4 file with A4 pages, in Helvetica and WinAnsi (ISO 32000 Annex D).
func makePDF(title string, lines []line) []byte {
	var pages []string
	var cur strings.Builder
	y := 790
	for _, l := range lines {
		need := l.gap + l.size + 4
		if y-need < 50 {
			pages = append(pages, cur.String())
			cur.Reset()
			y = 790
		}
		y -= need
		font := "F1"
		if l.bold {
			font = "F2"
		}
		fmt.Fprintf(&cur, "BT /%s %d Tf 56 %d Td (%s) Tj ET\n", font, l.size, y, pdfText(l.text))
		if l.rule {
			fmt.Fprintf(&cur, "0.06 0.3 0.36 RG 0.8 w 56 %d m 539 %d l S\n", y-5, y-5)
			y -= 6
		}
	}
	pages = append(pages, cur.String())

	var b bytes.Buffer
	var at []int
	object := func(format string, args ...any) {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n"+format+"\nendobj\n", append([]any{len(at)}, args...)...)
	}
	b.WriteString("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
	var kids []string
	for i := range pages {
		kids = append(kids, fmt.Sprintf("%d 0 R", 6+2*i))
	}
	object("<< /Type /Catalog /Pages 2 0 R >>")
	object("<< /Type /Pages /Kids [%s] /Count %d >>", strings.Join(kids, " "), len(kids))
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>")
	object("<< /Title (%s) /Producer (Pretend world) >>", pdfText(title))
	for i, p := range pages {
		object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>", 7+2*i)
		object("<< /Length %d >>\nstream\n%s\nendstream", len(p), p)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, o := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, xref)
	return b.Bytes()
}

// pdfText is a PDF string's inside; letters that WinAnsi lacks are written without their marks.
func pdfText(s string) string {
	var b strings.Builder
	for _, r := range s {
		c, ok := charmap.Windows1252.EncodeRune(r)
		switch {
		case ok && (c == '(' || c == ')' || c == '\\'):
			b.WriteByte('\\')
			b.WriteByte(c)
		case ok:
			b.WriteByte(c)
		default:
			b.WriteString(plainLetter(r))
		}
	}
	return b.String()
}

// makeDOCX writes the smallest file that word processors open: one document part in a zip.
func makeDOCX(paras []string) []byte {
	var doc strings.Builder
	doc.WriteString(`<?xml version="1.0" encoding="UTF-8" standalone="yes"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>`)
	for _, p := range paras {
		doc.WriteString(`<w:p><w:r><w:t xml:space="preserve">` + html.EscapeString(p) + `</w:t></w:r></w:p>`)
	}
	doc.WriteString(`</w:body></w:document>`)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range [][2]string{
		{"[Content_Types].xml", `<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>`},
		{"_rels/.rels", `<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>`},
		{"word/document.xml", doc.String()},
	} {
		w, err := z.Create(f[0])
		if err == nil {
			_, err = w.Write([]byte(f[1]))
		}
		if err != nil {
			panic(err) // a bytes.Buffer takes everything
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// makeICS is an invitation (RFC 5545, RFC 5546 REQUEST).
func makeICS(uid, summary, place string, organizer, guest addr, start time.Time, length time.Duration) []byte {
	esc := strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\n", `\n`)
	stamp := func(t time.Time) string { return t.UTC().Format("20060102T150405Z") }
	lines := []string{
		"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Havenlicht//Agenda//EN", "METHOD:REQUEST", "BEGIN:VEVENT",
		"UID:" + uid, "DTSTAMP:" + stamp(start.Add(-48*time.Hour)), "DTSTART:" + stamp(start), "DTEND:" + stamp(start.Add(length)),
		"SUMMARY:" + esc.Replace(summary), "LOCATION:" + esc.Replace(place),
		"ORGANIZER;CN=" + esc.Replace(organizer.name) + ":mailto:" + organizer.email,
		"ATTENDEE;ROLE=REQ-PARTICIPANT;RSVP=TRUE;CN=" + esc.Replace(guest.name) + ":mailto:" + guest.email,
		"SEQUENCE:0", "STATUS:CONFIRMED", "END:VEVENT", "END:VCALENDAR", "",
	}
	return []byte(strings.Join(lines, "\r\n"))
}
