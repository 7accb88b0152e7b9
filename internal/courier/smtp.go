package courier

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	smtp "github.com/wneessen/go-mail"

	"mailroom/internal/mailroom"
)

// Mail is one mail to one person, in plain text.
type Mail struct {
	ID       string // becomes the Message-ID: a mail that comes twice can be told by it
	To, Name string // address, and whose
	Language string // "en"
	Subject  string
	Text     string
	At       time.Time
}

// SMTP sends mail through one server. It keeps no connection.
type SMTP struct {
	from    *mail.Address
	host    string
	options []smtp.Option
}

// sendTimeout bounds one mail, with connecting and signing in.
const sendTimeout = 45 * time.Second

// NewSMTP reads where mail goes: smtps://user:password@host:465 is TLS from the
// first byte, smtp://user:password@host:587 must upgrade by STARTTLS (RFC 8314
// §3), and ?tls=none leaves that out for a server on this machine. from is an
// address, with or without a name.
func NewSMTP(raw, from string, roots *x509.CertPool) (*SMTP, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") || strings.Trim(u.Path, "/") != "" {
		// Not err: it repeats the URL, which may hold a password.
		return nil, errors.New("must be smtp://user:password@host:587 or smtps://user:password@host:465")
	}
	s := &SMTP{host: u.Hostname()}
	if s.from, err = mail.ParseAddress(from); err != nil {
		return nil, fmt.Errorf("the sender %q is no mail address", from)
	}
	s.options = []smtp.Option{
		smtp.WithTimeout(20 * time.Second),
		smtp.WithTLSConfig(&tls.Config{ServerName: s.host, RootCAs: roots, MinVersion: tls.VersionTLS12}),
	}
	port, policy := 587, smtp.TLSMandatory
	switch tls := u.Query().Get("tls"); {
	case u.Scheme == "smtps":
		port = 465
		s.options = append(s.options, smtp.WithSSL())
	case tls == "none" && isLocal(s.host):
		port, policy = 25, smtp.NoTLS
	case tls == "none":
		return nil, errors.New("tls=none is for a server on this machine only")
	case tls != "":
		return nil, errors.New("tls= may only be none")
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return nil, errors.New("its port is no port")
		}
	}
	s.options = append(s.options, smtp.WithTLSPolicy(policy), smtp.WithPort(port))
	if password, given := u.User.Password(); given {
		s.options = append(s.options, smtp.WithUsername(u.User.Username()), smtp.WithPassword(password), smtp.WithSMTPAuth(smtp.SMTPAuthAutoDiscover))
		if policy == smtp.NoTLS {
			s.options = append(s.options, smtp.WithSMTPAuth(smtp.SMTPAuthPlainNoEnc))
		}
	}
	if _, err := smtp.NewClient(s.host, s.options...); err != nil {
		return nil, err
	}
	return s, nil
}

func isLocal(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Host is the server's name, From the address that mail comes from: for pages.
func (s *SMTP) Host() string { return s.host }

// From is the address that mail comes from.
func (s *SMTP) From() string { return s.from.Address }

// Send carries one mail. Errors: NeedsVendor "courier.error.smtp_auth",
// "…smtp_tls", "…smtp_refused"; Unavailable "…smtp_later", "…smtp_network".
func (s *SMTP) Send(ctx context.Context, m Mail) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	msg := smtp.NewMsg()
	msg.FromMailAddress(s.from)
	if err := msg.AddToFormat(m.Name, m.To); err != nil {
		return mailroom.E(mailroom.Invalid, "courier.error.address", errors.New("no mail address"))
	}
	_, domain, _ := strings.Cut(s.from.Address, "@")
	msg.SetMessageIDWithValue(m.ID + "@" + domain)
	msg.SetDateWithValue(m.At)
	msg.Subject(m.Subject)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5: no out-of-office answers
	msg.SetGenHeader("Content-Language", m.Language)
	msg.SetBodyString(smtp.TypeTextPlain, m.Text)
	client, err := smtp.NewClient(s.host, s.options...)
	if err != nil {
		return mailroom.E(mailroom.NeedsVendor, "courier.error.smtp_refused", err).With("code", "0")
	}
	return s.fail(client.DialAndSendWithContext(ctx, msg))
}

// fail says what an error of the conversation means. The server's words are left
// behind.
func (s *SMTP) fail(err error) error {
	if err == nil {
		return nil
	}
	code := 0
	var answer *textproto.Error
	var refused *smtp.SendError
	switch {
	case errors.As(err, &answer):
		code = answer.Code
	case errors.As(err, &refused):
		code = refused.ErrorCode()
	}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var network net.Error
	cause := fmt.Errorf("smtp %d", code)
	e := func(kind mailroom.Kind, key string) error {
		return mailroom.E(kind, "courier.error."+key, cause).With("host", s.host).With("code", strconv.Itoa(code))
	}
	switch {
	case code == 530, code == 534, code == 535, code == 538, // RFC 4954 §6
		strings.Contains(err.Error(), "SMTP AUTH"):
		return e(mailroom.NeedsVendor, "smtp_auth")
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid), errors.As(err, &record), strings.Contains(err.Error(), "STARTTLS"):
		return e(mailroom.NeedsVendor, "smtp_tls")
	case code >= 400 && code < 500:
		return e(mailroom.Unavailable, "smtp_later")
	case code >= 500:
		return e(mailroom.NeedsVendor, "smtp_refused")
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return e(mailroom.Unavailable, "smtp_network")
	}
	return e(mailroom.Unavailable, "smtp_network")
}
