package world

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"mailroom/internal/pretend/imapd"
)

// oddity is a mail as the world really sends them.
type oddity struct {
	name   string
	broken bool // a strict reader of RFC 5322 and MIME refuses it
	folder string
	raw    string // with LF; DATE, TO and ID are replaced, CRLF is made unless bare is set
	bare   bool   // keeps its LF
}

// oddities all lie in the large mailbox. Known people write some of them, so that linking meets them too.
func oddities() []oddity {
	head := "From: Fenna Hoekstra <fenna.hoekstra@thuis.example>\nTo: TO\nDate: DATE\n"
	long := strings.Repeat("sollicitatie naar de functie van accountmanager, zoals besproken ", 30)
	many := make([]string, 60)
	for i := range many {
		many[i] = fmt.Sprintf("Deelnemer %d <deelnemer%d@beurs.example>", i+1, i+1)
	}
	deep := "Content-Type: multipart/mixed; boundary=d0\n\n"
	for i := range 24 {
		deep += fmt.Sprintf("--d%d\nContent-Type: multipart/mixed; boundary=d%d\n\n", i, i+1)
	}
	deep += "--d24\nContent-Type: text/plain\n\nHelemaal onderin.\n--d24--\n"
	for i := 23; i >= 0; i-- {
		deep += fmt.Sprintf("--d%d--\n", i)
	}
	return []oddity{
		{name: "no message id", raw: head + "Subject: Zonder kenmerk\n\nDeze mail heeft geen Message-ID.\n"},
		{name: "no date", raw: "From: Fenna Hoekstra <fenna.hoekstra@thuis.example>\nTo: TO\nSubject: Zonder datum\nMessage-ID: <ID>\n\nWanneer is dit verstuurd?\n"},
		{name: "date in 1970", raw: "From: Wim Terpstra <wim.terpstra@thuis.example>\nTo: TO\nDate: Thu, 01 Jan 1970 00:00:00 +0000\nSubject: Mijn klok staat stil\nMessage-ID: <ID>\n\nSorry voor de datum.\n"},
		{name: "date is text", raw: "From: Wim Terpstra <wim.terpstra@thuis.example>\nTo: TO\nDate: gisteren, na de koffie\nSubject: Een oude printer\nMessage-ID: <ID>\n\nDe scanner stuurt dit.\n", broken: true},
		{name: "very long subject", raw: head + "Subject: Betreft: " + long + "\nMessage-ID: <ID>\n\nHet onderwerp zegt alles.\n"},
		{name: "emoji", raw: "From: =?utf-8?B?8J+OiSBab8OrIGRlIEhhYW4=?= <zoe.dehaan@webpost.example>\nTo: TO\nDate: DATE\nSubject: =?utf-8?Q?Ik_ben_aangenomen!_=F0=9F=8E=89=F0=9F=8E=89?=\nMessage-ID: <ID>\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n🎉 Bedankt voor alles! 🥳\n"},
		{name: "raw latin-1 header", broken: true, raw: "From: Ren\xe9e C\xf4t\xe9 <renee.cote@postbus.example>\nTo: TO\nDate: DATE\nSubject: Beschikbaarheid na de caf\xe9-opening\nMessage-ID: <ID>\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\nVanaf maandag ben ik vrij. Tot gauw, Ren\xe9e\n"},
		{name: "raw utf-8 header", raw: "From: Zoë de Haan <zoe.dehaan@webpost.example>\nTo: TO\nDate: DATE\nSubject: Één vraag over het salaris – kan dat?\nMessage-ID: <ID>\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nZit er nog ruimte in?\n"},
		{name: "boundary never closed", broken: true, raw: head + "Subject: Half verstuurd\nMessage-ID: <ID>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=open\n\n--open\nContent-Type: text/plain\n\nMijn cv zit erb\n--open\nContent-Type: application/pdf; name=cv.pdf\nContent-Transfer-Encoding: base64\n\nJVBERi0xLjQKJeLjz9MK\n"},
		{name: "multipart without boundary", broken: true, raw: head + "Subject: Zonder grens\nMessage-ID: <ID>\nMIME-Version: 1.0\nContent-Type: multipart/alternative\n\n--x\nContent-Type: text/plain\n\nHier staat de tekst.\n--x--\n"},
		{name: "no body", broken: true, raw: head + "Subject: Geen inhoud\nMessage-ID: <ID>"},
		{name: "empty body", raw: head + "Subject: (leeg)\nMessage-ID: <ID>\n\n"},
		{name: "bad base64", broken: true, raw: head + "Subject: Bijlage beschadigd\nMessage-ID: <ID>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nSGFsbG8gU2FubmUsIGRpdCBpcyBoYWxmIGxlZXNiYWFy!!!###\n==zzz\n"},
		{name: "unknown charset", raw: head + "Subject: Vreemde tekens\nMessage-ID: <ID>\nContent-Type: text/plain; charset=x-havenkantoor\n\nGewone letters in een onbekende tekenset.\n"},
		{name: "koi8-r", raw: "From: =?koi8-r?B?79TEo8wg09DPwQ==?= <hr@rechnoy.example>\nTo: TO\nDate: DATE\nSubject: =?koi8-r?B?+sHQ0s/T?=\nMessage-ID: <ID>\nContent-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: 8bit\n\n\xda\xc4\xd2\xc1\xd7\xd3\xd4\xd7\xd5\xca\xd4\xc5\n"},
		{name: "iso-2022-jp", raw: "From: =?iso-2022-jp?B?GyRCRURDZhsoQg==?= <tanaka@hikari.example>\nTo: TO\nDate: DATE\nSubject: =?iso-2022-jp?B?GyRCJCpMZCQkOWckbyQ7GyhC?=\nMessage-ID: <ID>\nContent-Type: text/plain; charset=iso-2022-jp\nContent-Transfer-Encoding: 7bit\n\n\x1b$B$3$s$K$A$O\x1b(B\n"},
		{name: "header line without colon", broken: true, raw: head + "Subject: Kapotte kop\nDit is geen veld\nMessage-ID: <ID>\n\nToch staat hier tekst.\n"},
		{name: "bare line feeds", bare: true, raw: head + "Subject: Alleen LF\nMessage-ID: <ID>\n\nRegel een\nRegel twee\n"},
		{name: "mbox line first", raw: "From fenna.hoekstra@thuis.example Mon Mar  2 09:00:00 2026\n" + head + "Subject: Uit een oud archief\nMessage-ID: <ID>\n\nMet een regel te veel.\n"},
		{name: "no from", raw: "To: TO\nDate: DATE\nSubject: Van niemand\nMessage-ID: <ID>\n\nAnoniem.\n"},
		{name: "several from", raw: "From: Ruben van Dijk <ruben.vandijk@postbus.example>, Saskia Vermeer <saskia_vermeer@postbus.example>\nSender: ruben.vandijk@postbus.example\nTo: TO\nDate: DATE\nSubject: Samen solliciteren\nMessage-ID: <ID>\n\nWij komen graag als duo.\n"},
		{name: "upper-case address", raw: "From: OMAR EL AMRANI <O.ELAMRANI@WERK.EXAMPLE>\nTo: TO\nDate: DATE\nSubject: MIJN CAPSLOCK ZIT VAST\nMessage-ID: <ID>\n\nKUNNEN WE BELLEN?\n"},
		{name: "undisclosed recipients", raw: "From: Grace Adeyemi <grace@brightwater.example>\nTo: undisclosed-recipients:;\nDate: DATE\nSubject: Our summer party\nMessage-ID: <ID>\n\nYou are all invited.\n"},
		{name: "many recipients", raw: "From: Beurs Werk & Water <info@werkenwater.example>\nTo: " + strings.Join(many, ",\n ") + "\nDate: DATE\nSubject: Deelnemerslijst\nMessage-ID: <ID>\n\nOeps, dat had bcc moeten zijn.\n"},
		{name: "scripts in html", raw: "From: Pakketdienst <bezorging@pakketje-nu.example>\nTo: TO\nDate: DATE\nSubject: <script>alert(1)</script> & een onderwerp\nMessage-ID: <ID>\nContent-Type: text/html; charset=utf-8\n\n<html><head><meta http-equiv=refresh content=\"0;url=https://pakketje-nu.example/\"><base href=\"https://pakketje-nu.example/\"><style>@import url(https://pakketje-nu.example/x.css);body{background:url(https://pakketje-nu.example/bg.png)}</style></head><body onload=\"alert(1)\"><p>Klik <a href=\"javascript:alert(1)\">hier</a> of <a href=\"https://pakketje-nu.example/?t=1\" onclick=\"alert(2)\">daar</a>.</p><img src=x onerror=alert(3)><img src=\"https://pakketje-nu.example/pixel.gif?u=1\" width=1><svg onload=alert(4)></svg><iframe src=\"https://pakketje-nu.example/\"></iframe><form action=\"https://pakketje-nu.example/login\"><input name=wachtwoord type=password><button>Inloggen</button></form><script>alert(5)</script><div style=\"position:fixed;inset:0;background:url('https://pakketje-nu.example/s.png')\">Bedekt alles</div></body></html>\n"},
		{name: "unsafe file names", raw: head + "Subject: Bijlagen met rare namen\nMessage-ID: <ID>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=n\n\n--n\nContent-Type: text/plain\n\nZie bijlagen.\n--n\nContent-Type: text/html; name=\"../../../etc/factuur.html\"\nContent-Disposition: attachment; filename=\"../../../etc/factuur.html\"\n\n<script>alert(document.domain)</script>\n--n\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename*=utf-8''cv%E2%80%AEfdp.exe\nContent-Transfer-Encoding: base64\n\nTVqQAAMAAAAEAAAA\n--n\nContent-Type: application/pdf\nContent-Disposition: attachment; filename*0*=utf-8''lange%20naam%20; filename*1=\"van een bijlage\"; filename*2=\".pdf\"\nContent-Transfer-Encoding: base64\n\nJVBERi0xLjQK\n--n\nContent-Type: image/svg+xml\nContent-Disposition: attachment; filename=\"logo\r\n .svg\"\n\n<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>\n--n--\n"},
		{name: "winmail.dat", raw: "From: Henk Overmars <h.overmars@kade27.example>\nTo: TO\nDate: DATE\nSubject: Cijfers\nMessage-ID: <ID>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=w\n\n--w\nContent-Type: text/plain\n\nZie de cijfers.\n--w\nContent-Type: application/ms-tnef; name=winmail.dat\nContent-Disposition: attachment; filename=winmail.dat\nContent-Transfer-Encoding: base64\n\neJ8+IgAAAQaQCAAEAAAAAAABAAEAAQeQBgAIAAAA\n--w--\n"},
		{name: "forwarded as attachment", raw: "From: Petra van Loon <p.vanloon@maasbrug.example>\nTo: TO\nDate: DATE\nSubject: FW: Open sollicitatie\nMessage-ID: <ID>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=f\n\n--f\nContent-Type: text/plain\n\nIets voor jullie?\n--f\nContent-Type: message/rfc822\nContent-Disposition: attachment\n\nFrom: Tess Verhoeven <tess.verhoeven@inbox.example>\nTo: info@maasbrug.example\nSubject: Open sollicitatie\nDate: DATE\nMessage-ID: <binnen.ID>\n\nIk werk graag bij u.\n--f--\n"},
		{name: "bounce", raw: "Return-Path: <>\nFrom: Mail Delivery System <mailer-daemon@mx1.havenlicht.example>\nTo: TO\nDate: DATE\nSubject: Undelivered Mail Returned to Sender\nMessage-ID: <ID>\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=r\n\n--r\nContent-Type: text/plain\n\nYour message could not be delivered to weg@bestaatniet.example.\n--r\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx1.havenlicht.example\n\nFinal-Recipient: rfc822; weg@bestaatniet.example\nAction: failed\nStatus: 5.1.1\n--r\nContent-Type: text/rfc822-headers\n\nFrom: TO\nTo: weg@bestaatniet.example\nSubject: Vacature\n--r--\n"},
		{name: "signed", raw: "From: Dr. Urs =?utf-8?Q?B=C3=BCrgi?= <urs.buergi@alpenrose.example>\nTo: TO\nDate: DATE\nSubject: Signed: our requirements\nMessage-ID: <ID>\nMIME-Version: 1.0\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=s\n\n--s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nPlease find our requirements in the next mail. Gr=C3=BCezi, Urs\n--s\nContent-Type: application/pkcs7-signature; name=smime.p7s\nContent-Disposition: attachment; filename=smime.p7s\nContent-Transfer-Encoding: base64\n\nMIAGCSqGSIb3DQEHAqCAMIACAQExDzANBglghkgBZQMEAgEFADCABgkqhkiG9w0B\n--s--\n"},
		{name: "deeply nested", raw: head + "Subject: Doos in doos in doos\nMessage-ID: <ID>\nMIME-Version: 1.0\n" + deep},
		{name: "control characters", raw: head + "Subject: Tab\there and bell \x07 there\nMessage-ID: <ID>\n\nTekst met een \x00 nul en een \x1b[31mkleur.\n", broken: true},
		{name: "one id, first mail", raw: head + "Subject: Deel een\nMessage-ID: <zelfde-kenmerk@thuis.example>\n\nDit is het eerste deel.\n"},
		{name: "one id, second mail", raw: head + "Subject: Deel twee\nMessage-ID: <zelfde-kenmerk@thuis.example>\n\nDit is een andere mail met hetzelfde kenmerk.\n"},
		{name: "copy in the inbox", raw: head + "Subject: In twee mappen\nMessage-ID: <twee-mappen@thuis.example>\n\nDeze mail ligt op twee plekken.\n"},
		{name: "copy in the archive", folder: "archive", raw: "X-Folder-Trace: moved by rule 4\n" + head + "Subject: In twee mappen\nMessage-ID: <twee-mappen@thuis.example>\n\nDeze mail ligt op twee plekken.\n"},
	}
}

// strange adds the oddities, spread over the last weeks.
func (g *generator) strange() {
	at := g.now.Add(-70 * 24 * time.Hour)
	for i, o := range oddities() {
		date := g.d.decent(at.Add(time.Duration(i) * 44 * time.Hour))
		if strings.HasPrefix(o.name, "copy in") {
			date = g.d.decent(g.now.Add(-200 * time.Hour)).Truncate(time.Hour)
		}
		id := fmt.Sprintf("vreemd-%02d@thuis.example", i+1)
		raw := strings.NewReplacer("DATE", date.Format(time.RFC1123Z), "TO", g.user.Name+" <"+g.user.Email+">", "ID", id).Replace(o.raw)
		b := []byte(raw)
		if !o.bare {
			b = bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		}
		p := placed{folder: "INBOX", date: date, raw: imapd.Content{b}, thread: hash(id) >> 2, odd: o.name, broken: o.broken,
			mail: Mail{Subject: o.name, MessageID: id}}
		if o.folder == "archive" {
			p.folder = g.folders.archive
		}
		if g.now.Sub(date) > 7*24*time.Hour {
			p.flags = []string{`\Seen`}
		}
		g.out = append(g.out, p)
	}
}
