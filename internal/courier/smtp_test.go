package courier_test

import (
	"bytes"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"mailroom/internal/courier"
	"mailroom/internal/mailroom"
)

var letter = courier.Mail{
	ID: "not_1", To: "anna@werk.example", Name: "Anna de Boer", Language: "nl", At: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC),
	Subject: "Mailbox van Zoë heeft je nodig", Text: "Eén regel.\n.\nEn een punt alleen.\n",
}

func smtpTo(t *testing.T, p *postOffice, scheme, user string) *courier.SMTP {
	t.Helper()
	s, err := courier.NewSMTP(scheme+"://"+user+p.addr, "Mailroom <mailroom@werk.example>", p.roots)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// One conversation as it is meant: upgraded to TLS, signed in, one mail that
// arrives letter for letter.
func TestMailIsSent(t *testing.T) {
	for scheme, implicit := range map[string]bool{"smtp": false, "smtps": true} {
		p := openPostOffice(t, func(p *postOffice) { p.password, p.implicit = "hunter22", implicit })
		if err := smtpTo(t, p, scheme, "mailroom:hunter22@").Send(t.Context(), letter); err != nil {
			t.Fatalf("%s: %v", scheme, err)
		}
		mails, rcpts, plain := p.kept()
		if len(mails) != 1 || len(rcpts) != 1 || !strings.Contains(rcpts[0], "<anna@werk.example>") {
			t.Fatalf("%s: %d mails to %v", scheme, len(mails), rcpts)
		}
		for _, line := range plain {
			if !strings.HasPrefix(line, "EHLO") && line != "STARTTLS" {
				t.Errorf("%s: said in clear: %s", scheme, line)
			}
		}
		got, err := mail.ReadMessage(strings.NewReader(mails[0]))
		if err != nil {
			t.Fatal(err)
		}
		subject, _ := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
		from, _ := mail.ParseAddress(got.Header.Get("From"))
		if subject != letter.Subject || from == nil || from.Address != "mailroom@werk.example" || got.Header.Get("Message-ID") != "<not_1@werk.example>" ||
			got.Header.Get("Auto-Submitted") != "auto-generated" {
			t.Errorf("%s: header %v", scheme, got.Header)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(got.Body))
		if err != nil {
			t.Fatal(err)
		}
		// RFC 5321 §4.5.2: a line that begins with a dot is sent with one more, which
		// this server leaves there.
		text := bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))
		text = bytes.ReplaceAll(text, []byte("\n..\n"), []byte("\n.\n"))
		if strings.TrimSpace(string(text)) != strings.TrimSpace(letter.Text) {
			t.Errorf("%s: body %q", scheme, text)
		}
	}
}

func TestMailIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		office func(*postOffice)
		user   string
		trust  bool
		kind   mailroom.Kind
		key    string
	}{
		{"wrong password", func(p *postOffice) { p.password = "other" }, "mailroom:hunter22@", true, mailroom.NeedsVendor, "smtp_auth"},
		{"signing in left out", func(p *postOffice) { p.password = "other" }, "", true, mailroom.NeedsVendor, "smtp_auth"},
		{"no STARTTLS", func(p *postOffice) { p.noTLS = true }, "mailroom:hunter22@", true, mailroom.NeedsVendor, "smtp_tls"},
		{"certificate nobody trusts", nil, "", false, mailroom.NeedsVendor, "smtp_tls"},
		{"no such recipient", func(p *postOffice) { p.rcpt = "550 5.1.1 anna@werk.example is not here" }, "", true, mailroom.NeedsVendor, "smtp_refused"},
		{"greylisting", func(p *postOffice) { p.rcpt = "451 4.7.1 anna@werk.example: later" }, "", true, mailroom.Unavailable, "smtp_later"},
	} {
		p := openPostOffice(t, c.office)
		if !c.trust {
			p.roots = nil
		}
		err := smtpTo(t, p, "smtp", c.user).Send(t.Context(), letter)
		e := mailroom.AsError(err)
		if e == nil || e.Kind != c.kind || e.Key != "courier.error."+c.key {
			t.Errorf("%s: %v, want %s %s", c.name, err, c.kind, c.key)
			continue
		}
		if strings.Contains(e.Error(), "anna") || strings.Contains(e.Error(), "hunter22") {
			t.Errorf("%s: the server's words leak: %v", c.name, e)
		}
		if mails, _, plain := p.kept(); len(mails) > 0 || strings.Contains(strings.Join(plain, " "), "AUTH") {
			t.Errorf("%s: sent %v, in clear %v", c.name, mails, plain)
		}
	}
	// Nobody listens there.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	s, err := courier.NewSMTP("smtp://"+addr, "mailroom@werk.example", nil)
	if err != nil {
		t.Fatal(err)
	}
	if e := mailroom.AsError(s.Send(t.Context(), letter)); e == nil || e.Key != "courier.error.smtp_network" {
		t.Errorf("nobody there: %v", e)
	}
}

func TestSMTPSettings(t *testing.T) {
	for _, bad := range []string{"", "mail.example:25", "http://mail.example", "smtp://", "smtp://u:hunter22@mail.example?tls=none", "smtp://u:hunter22@mail.example?tls=maybe", "smtp://u:hunter22@mail.example:99999", "smtp://u:hunter22@mail example"} {
		_, err := courier.NewSMTP(bad, "mailroom@werk.example", nil)
		if err == nil {
			t.Errorf("%q is taken", bad)
		} else if strings.Contains(err.Error(), "hunter22") {
			t.Errorf("the password stands in %v", err)
		}
	}
	if _, err := courier.NewSMTP("smtps://mail.example", "nobody", nil); err == nil {
		t.Error("a sender that is no address is taken")
	}
	p := openPostOffice(t, func(p *postOffice) { p.noTLS = true })
	s, err := courier.NewSMTP("smtp://"+p.addr+"?tls=none", "mailroom@werk.example", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), letter); err != nil {
		t.Errorf("a server on this machine without TLS: %v", err)
	}
}
