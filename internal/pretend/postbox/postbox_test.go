package postbox_test

import (
	"net/smtp"
	"net/url"
	"testing"

	"mailroom/internal/pretend/postbox"
)

func TestWhatIsSentIsKept(t *testing.T) {
	s, err := postbox.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	heard := make(chan postbox.Mail, 2)
	s.Tell(func(m postbox.Mail) { heard <- m })
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	raw := "From: a@x.example\r\nTo: b@x.example\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nCaf=C3=A9\r\n..dots\r\n"
	if err := smtp.SendMail(u.Host, nil, "a@x.example", []string{"b@x.example", "c@x.example"}, []byte(raw)); err != nil {
		t.Fatal(err)
	}
	want := postbox.Mail{To: "b@x.example", Subject: "Café", Text: "Café\n..dots\n"}
	if got := <-heard; got != want {
		t.Errorf("heard %+v", got)
	}
	if got := s.Mails(); len(got) != 2 || got[0] != want || got[1].To != "c@x.example" {
		t.Errorf("kept %+v", got)
	}
	if err := smtp.SendMail(u.Host, nil, "a@x.example", []string{"b@x.example"}, []byte("\x00")); err == nil {
		t.Error("what is no mail was taken")
	}
}
