package envelope

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

const application = `Message-ID: <a1@example.org>
From: =?utf-8?q?Zo=C3=AB_de_Wit?= <Zoe@Example.org>
To: "Berg, Anna" <anna@agency.example>, team@agency.example
Cc: undisclosed-recipients:;
Subject: =?iso-8859-1?Q?Sollicitatie_caf=E9?=
 manager
Date: Tue, 3 Nov 2026 09:15:00 +0100
References: <r0@example.org> <r1@example.org>
In-Reply-To: <r1@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

This is a preamble.
--outer
Content-Type: multipart/alternative; boundary="inner"

--inner
Content-Type: text/plain; charset=windows-1252
Content-Transfer-Encoding: quoted-printable

Beste Anna, mijn caf=E9-ervaring staat in de bijlage.

Op di 3 nov 2026 schreef Anna Berg:
> Stuur je cv maar.
--inner
Content-Type: text/html; charset=utf-8

<p>Beste Anna</p>
--inner--
--outer
Content-Type: application/pdf; name="../../cv.pdf"
Content-Disposition: attachment; filename="../../cv.pdf"
Content-Transfer-Encoding: base64

JVBERi0xLjQK
--outer--
`

func TestParseReadsAnApplicationWithCV(t *testing.T) {
	m, err := Parse(crlf(application))
	if err != nil {
		t.Fatal(err)
	}
	if m.MessageID != "a1@example.org" || m.InReplyTo != "r1@example.org" || len(m.References) != 2 {
		t.Errorf("ids: %q %q %v", m.MessageID, m.InReplyTo, m.References)
	}
	if m.Subject != "Sollicitatie café manager" {
		t.Errorf("subject %q", m.Subject)
	}
	if len(m.From) != 1 || m.From[0] != (mailroom.Address{Name: "Zoë de Wit", Addr: "Zoe@Example.org"}) {
		t.Errorf("from %+v", m.From)
	}
	if len(m.To) != 2 || m.To[0].Name != "Berg, Anna" || m.To[1].Addr != "team@agency.example" {
		t.Errorf("to %+v", m.To)
	}
	if want := time.Date(2026, 11, 3, 8, 15, 0, 0, time.UTC); !m.Date.Equal(want) {
		t.Errorf("date %v", m.Date)
	}
	if m.Text != "Beste Anna, mijn café-ervaring staat in de bijlage." {
		t.Errorf("text %q", m.Text)
	}
	if !m.HasHTML || len(m.Attachments) != 1 {
		t.Fatalf("html %v, attachments %+v", m.HasHTML, m.Attachments)
	}
	a := m.Attachments[0]
	if a.Name != "cv.pdf" || a.Type != "application/pdf" || a.Part != "2" {
		t.Errorf("attachment %+v", a)
	}
	got, data, err := OpenPart(crlf(application), a.Part)
	if err != nil || string(data) != "%PDF-1.4\n" || got.Size != 9 {
		t.Errorf("open part: %+v %q %v", got, data, err)
	}
}

func TestCopiesThatDifferInTraceHeadersShareTheirKey(t *testing.T) {
	a, err := Parse(crlf(application))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Parse(append([]byte("Received: from elsewhere; Tue, 3 Nov 2026 09:16:00 +0100\r\n"), crlf(application)...))
	if err != nil {
		t.Fatal(err)
	}
	if a.Key() != b.Key() || a.RawHash == b.RawHash {
		t.Errorf("keys %q %q", a.Key(), b.Key())
	}
	other, _ := Parse(crlf(strings.Replace(application, "ervaring", "plannen", 1)))
	if other.Key() == a.Key() {
		t.Error("two different mails with one Message-ID must stay two")
	}
}

func TestOddMailIsStillRead(t *testing.T) {
	for name, c := range map[string]struct {
		raw  string
		want func(mailroom.Message) bool
	}{
		"bare line feeds":     {"From: a@b.example\nSubject: x\n\nhello\n", func(m mailroom.Message) bool { return m.Subject == "x" && m.Text == "hello" }},
		"mbox line in front":  {"From someone Tue Nov 3\r\nFrom: a@b.example\r\n\r\nhi", func(m mailroom.Message) bool { return len(m.From) == 1 && m.Text == "hi" }},
		"raw 8-bit header":    {"From: a@b.example\r\nSubject: caf\xe9\r\n\r\n", func(m mailroom.Message) bool { return m.Subject == "café" }},
		"unknown charset":     {"From: a@b.example\r\nContent-Type: text/plain; charset=x-none\r\n\r\nna\xefve", func(m mailroom.Message) bool { return m.Text == "naïve" }},
		"broken address list": {"From: John Doe <john@x.example>, broken <<jane@y.example>\r\n\r\n", func(m mailroom.Message) bool { return len(m.From) == 2 && m.From[1].Addr == "jane@y.example" }},
		"no closing boundary": {"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n--b\r\nContent-Type: text/plain\r\n\r\nsecond", func(m mailroom.Message) bool {
			return strings.Contains(m.Text, "first") && strings.Contains(m.Text, "second")
		}},
		"multipart without boundary":  {"From: a@b.example\r\nContent-Type: multipart/mixed\r\n\r\nstill words", func(m mailroom.Message) bool { return strings.Contains(m.Text, "still words") }},
		"no body at all":              {"From: a@b.example\r\nSubject: only a subject", func(m mailroom.Message) bool { return m.Subject == "only a subject" && m.Text == "" }},
		"control characters":          {"From: a@b.example\r\nSubject: a\x00b\x1bc\r\n\r\n", func(m mailroom.Message) bool { return m.Subject == "abc" }},
		"html only":                   {"From: a@b.example\r\nContent-Type: text/html\r\n\r\n<style>p{}</style><p>Hi <b>you</b></p><script>x()</script>", func(m mailroom.Message) bool { return m.Text == "Hi you" && m.HasHTML }},
		"date with a comment":         {"From: a@b.example\r\nDate: Tue, 03 Nov 2026 09:15:00 +0100 (CET)\r\n\r\n", func(m mailroom.Message) bool { return !m.Date.IsZero() }},
		"unreadable date":             {"From: a@b.example\r\nDate: yesterday\r\n\r\n", func(m mailroom.Message) bool { return m.Date.IsZero() }},
		"base64 with a stray line":    {"From: a@b.example\r\nContent-Transfer-Encoding: base64\r\n\r\naGVs\r\n!!\r\nbG8=\r\n", func(m mailroom.Message) bool { return m.Text == "hello" }},
		"header line without a colon": {"From: a@b.example\r\ngarbage here\r\nSubject: ok\r\n\r\n", func(m mailroom.Message) bool { return m.Subject == "ok" }},
		"original message cut":        {"From: a@b.example\r\n\r\nYes.\r\n\r\n-----Original Message-----\r\nFrom: x\r\n", func(m mailroom.Message) bool { return m.Text == "Yes." }},
		"sender without from":         {"Sender: s@b.example\r\n\r\n", func(m mailroom.Message) bool { return len(m.From) == 1 }},
		"attached mail stays attached": {"From: a@b.example\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx", func(m mailroom.Message) bool {
			return len(m.Attachments) == 1 && strings.HasSuffix(m.Attachments[0].Name, ".eml")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Parse([]byte(c.raw))
			if err != nil || !c.want(m) {
				t.Errorf("%v: %+v", err, m)
			}
		})
	}
}

func TestWhatIsNoMailIsAnError(t *testing.T) {
	for _, raw := range []string{"", "\r\n\r\n", "just words without any header\r\nat all", "\x00\x01\x02"} {
		if m, err := Parse([]byte(raw)); !errors.Is(err, ErrNoMail) || m.RawHash == "" {
			t.Errorf("%q: %v, raw hash %q", raw, err, m.RawHash)
		}
	}
}

func TestHTMLIsSafeToShow(t *testing.T) {
	raw := crlf(`From: a@b.example
Content-Type: multipart/related; boundary=r

--r
Content-Type: text/html; charset=utf-8

<html><body onload="steal()"><script>steal()</script><p style="color:red;background:url(https://t.example/x)">Hi</p>
<img src="https://track.example/p.gif" alt="pixel"><img src="cid:logo@x"><a href="javascript:steal()">bad</a>
<a href="https://jobs.example/1">good</a><form action="https://e.example"><input name=q></form><iframe src="https://e.example"></iframe></body></html>
--r
Content-Type: image/png
Content-ID: <logo@x>
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--r--
`)
	doc, remote, err := HTML(raw, HTMLOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := string(doc)
	if !remote {
		t.Error("the remote image was not noticed")
	}
	for _, bad := range []string{"steal", "javascript:", "track.example", "<form", "<input", "<iframe", "url(", "onload"} {
		if strings.Contains(s, bad) {
			t.Errorf("%q is still there: %s", bad, s)
		}
	}
	for _, good := range []string{"data:image/png;base64,iVBORw0KGgo=", `href="https://jobs.example/1"`, "noreferrer", "Hi"} {
		if !strings.Contains(s, good) {
			t.Errorf("%q is missing: %s", good, s)
		}
	}
	if strings.Count(s, "<img") != 1 || !strings.Contains(s, "pixel") {
		t.Errorf("an image that is left out is told by its words: %s", s)
	}
	with, _, _ := HTML(raw, HTMLOptions{RemoteImages: true})
	if !strings.Contains(string(with), "https://track.example/p.gif") {
		t.Error("remote images were asked for")
	}
	if doc, _, err := HTML([]byte("From: a@b.example\r\n\r\nplain"), HTMLOptions{}); doc != nil || err != nil {
		t.Error("a plain mail has no HTML", err)
	}
}
