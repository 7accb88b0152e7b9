package imapwire

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is the cause in a [*ConnError] after Close or Logout.
	ErrClosed = errors.New("imapwire: connection closed by us")
	// ErrBusy means that a second goroutine, or a handler, waited for a call
	// while one is being waited for.
	ErrBusy = errors.New("imapwire: client is in use")
	// ErrCommandTooLong means that a command would exceed [MaxCommand].
	ErrCommandTooLong = errors.New("imapwire: command too long, split the UID set")
	// ErrBadArgument means that an argument cannot be sent: an empty UID set,
	// or a name with CR, LF or NUL in it.
	ErrBadArgument = errors.New("imapwire: argument cannot be sent")
	// ErrInjected means that bytes followed the answer to STARTTLS in the
	// clear. Somebody between us and the server put them there, so that we
	// would take them for the server's own (CVE-2011-0411 and its kin).
	ErrInjected = errors.New("imapwire: plain-text data after STARTTLS")
	// ErrPreauth means that the server greeted with PREAUTH, which forbids
	// STARTTLS and, on an unencrypted connection, betrays an attack (RFC 9051
	// section 11.1).
	ErrPreauth = errors.New("imapwire: server is already authenticated")
	// ErrAlreadyTLS refuses a second STARTTLS.
	ErrAlreadyTLS = errors.New("imapwire: connection is already encrypted")

	// errSyntax is a response that we cannot read on; its rest is skipped.
	errSyntax = errors.New("imapwire: not understood")
)

// ResponseError is a command that the server refused by a tagged NO or BAD (or
// a greeting of BYE or NO). The connection is still usable unless a BYE
// follows.
type ResponseError struct {
	Command string // "EXAMINE"; "" for the greeting
	Status  string // "NO", "BAD", "BYE", or whatever stood there, in upper case
	// Code is the name of the response code in upper case without brackets,
	// such as "AUTHENTICATIONFAILED"; CodeArgs is what follows the name.
	Code, CodeArgs string
	Text           string // for people, as the server wrote it
}

func (e *ResponseError) Error() string {
	s := e.Status
	if e.Command != "" {
		s = e.Command + ": " + s
	}
	if e.Code != "" {
		s += " [" + e.Code + "]"
	}
	return "imap: " + s + " " + e.Text
}

// AuthError is a refused AUTHENTICATE or LOGIN. It wraps the [*ResponseError].
type AuthError struct {
	Mechanism string // "XOAUTH2", "OAUTHBEARER", "PLAIN", "LOGIN"
	// Challenge is what the server said before it refused, decoded from
	// base64: the JSON of RFC 7628 section 3.2.2 or of Google's XOAUTH2. Empty
	// at Microsoft, which only says NO.
	Challenge string
	// JSONStatus and JSONScope are its fields "status" ("invalid_token",
	// "400") and "scope", when Challenge is that JSON.
	JSONStatus, JSONScope string
	Err                   *ResponseError
}

func (e *AuthError) Error() string {
	s := "imap: " + e.Mechanism + " refused"
	if e.JSONStatus != "" {
		s += " (" + e.JSONStatus + ")"
	}
	return s + ": " + e.Err.Error()
}

func (e *AuthError) Unwrap() error { return e.Err }

// ConnError is the end of a connection. Err is the cause: io.EOF,
// io.ErrUnexpectedEOF, os.ErrDeadlineExceeded, a net or tls error, the
// context's error, a [*LimitError], [ErrClosed] or [ErrInjected].
type ConnError struct {
	Err error
	// Bye is the server's farewell if it said one.
	Bye *Notice
	// Stray is the last line that was no IMAP at all, such as Exchange's
	// "Server Unavailable. 15", in case it explains the end. Cut at 200 bytes.
	Stray string
}

func (e *ConnError) Error() string {
	s := "imap: connection lost: " + e.Err.Error()
	if e.Bye != nil {
		s += fmt.Sprintf(" (BYE %s)", e.Bye.Text)
	} else if e.Stray != "" {
		s += fmt.Sprintf(" (%q)", e.Stray)
	}
	return s
}

func (e *ConnError) Unwrap() error { return e.Err }

// LimitError says which of [Limits] the server exceeded.
type LimitError struct {
	What  string // the field's name in Limits
	Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("imapwire: server exceeded limit %s of %d", e.What, e.Limit)
}

// Notice is a status line: what the server says in words.
type Notice struct {
	Status         string // OK, NO, BAD, BYE, PREAUTH
	Code, CodeArgs string // as in ResponseError
	Text           string
}
