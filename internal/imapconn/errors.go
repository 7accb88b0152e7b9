package imapconn

import (
	"context"
	"crypto/x509"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
)

// tlsError marks a failed handshake, whose cause may be a plain EOF.
type tlsError struct{ error }

func (e tlsError) Unwrap() error { return e.error }

// backoff is how Exchange asks for a pause (docs/providers.md 3.5).
var backoff = regexp.MustCompile(`(?i)suggested backoff time:\s*([0-9]+)\s*milliseconds`)

// maxBackoff bounds what a server may ask for.
const maxBackoff = 6 * time.Hour

// fail says what an error means for the person who has to act. It goes by
// response codes (RFC 5530) where there are any, else by the words that servers
// are known to use. nil stays nil.
func (c *Conn) fail(err error) error {
	if err == nil {
		return nil
	}
	var known *mailroom.Error
	if errors.As(err, &known) {
		return err
	}
	text, code := said(err)
	var auth *imapwire.AuthError
	isAuth := errors.As(err, &auth)
	if isAuth {
		if e := refusedSignIn(text, code, err); e != nil {
			return e
		}
	}
	switch {
	case strings.Contains(text, "throttled") || strings.Contains(text, "backoff time") || strings.Contains(text, "bandwidth limits"):
		e := mailroom.E(mailroom.Throttled, "imap.error.throttled", err)
		e.Until = time.Now().Add(pause(text))
		return e
	case strings.Contains(text, "authenticated but not connected"):
		return mailroom.E(mailroom.NeedsAdmin, "imap.error.not_connected", err)
	case strings.Contains(text, "accesstokenexpired") || strings.Contains(text, "session invalidated"):
		return mailroom.E(mailroom.Unavailable, "imap.error.session_ended", err)
	case code == "LIMIT" || strings.Contains(text, "too many simultaneous") || strings.Contains(text, "too many connections"):
		return mailroom.E(mailroom.Unavailable, "imap.error.too_many", err)
	case code == "UNAVAILABLE" || code == "INUSE" || code == "SERVERBUG":
		return mailroom.E(mailroom.Unavailable, "imap.error.busy", err)
	case code == "CONTACTADMIN":
		return mailroom.E(mailroom.NeedsAdmin, "imap.error.contact_admin", err)
	case isAuth && len(c.account.SASL) > 0:
		return mailroom.E(mailroom.NeedsConsent, "imap.error.auth", err)
	case isAuth:
		return mailroom.E(mailroom.NeedsConsent, "imap.error.password", err)
	}
	return c.failConn(err)
}

// failConn is fail for what ended or refused without a telling word.
func (c *Conn) failConn(err error) error {
	var tlsErr tlsError
	var unknown x509.UnknownAuthorityError
	var wrongHost x509.HostnameError
	var invalid x509.CertificateInvalidError
	var limit *imapwire.LimitError
	var response *imapwire.ResponseError
	switch {
	case errors.As(err, &unknown), errors.As(err, &wrongHost), errors.As(err, &invalid):
		return mailroom.E(mailroom.NeedsAdmin, "imap.error.certificate", err)
	case errors.Is(err, imapwire.ErrInjected), errors.As(err, &tlsErr):
		return mailroom.E(mailroom.Unavailable, "imap.error.tls", err)
	case errors.As(err, &limit):
		return mailroom.E(mailroom.Unavailable, "imap.error.protocol", err)
	case errors.As(err, &response):
		return mailroom.E(mailroom.Unavailable, "imap.error.refused", err)
	case errors.Is(err, context.Canceled):
		return mailroom.E(mailroom.Unavailable, "imap.error.stopped", err)
	}
	return mailroom.E(mailroom.Unavailable, "imap.error.network", err)
}

// said is the server's last word in lower case, and its response code.
func said(err error) (text, code string) {
	var re *imapwire.ResponseError
	if errors.As(err, &re) {
		return strings.ToLower(re.Text + " " + re.CodeArgs), re.Code
	}
	var ce *imapwire.ConnError
	if errors.As(err, &ce) {
		if ce.Bye != nil {
			return strings.ToLower(ce.Bye.Text + " " + ce.Bye.CodeArgs), ce.Bye.Code
		}
		return strings.ToLower(ce.Stray), ""
	}
	return "", ""
}

func pause(text string) time.Duration {
	if m := backoff.FindStringSubmatch(text); m != nil {
		if ms, err := strconv.ParseInt(m[1], 10, 64); err == nil && ms > 0 {
			return min(time.Duration(ms)*time.Millisecond, maxBackoff)
		}
	}
	return 5 * time.Minute
}

// folderError is fail for an EXAMINE: a folder that is gone is told apart from
// one that cannot be opened just now.
func (c *Conn) folderError(err error) error {
	text, code := said(err)
	var re *imapwire.ResponseError
	if errors.As(err, &re) && re.Status == "NO" {
		gone := code == "NONEXISTENT" || strings.Contains(text, "doesn't exist") || strings.Contains(text, "not exist") ||
			strings.Contains(text, "not found") || strings.Contains(text, "unknown mailbox") || strings.Contains(text, "no such mailbox") ||
			strings.Contains(text, "mailbox does")
		if gone {
			return mailroom.E(mailroom.NotFound, "folder.error.gone", err)
		}
	}
	return c.fail(err)
}
