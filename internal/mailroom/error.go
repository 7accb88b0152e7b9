package mailroom

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind says what class of trouble an error is. The web turns a kind into a
// page, the syncer turns the same kind into its next move.
type Kind string

const (
	Invalid      Kind = "invalid"       // the input is wrong; the person who typed it can mend it
	Forbidden    Kind = "forbidden"     // signed in, but not allowed
	NotFound     Kind = "not_found"     // does not exist, or belongs to somebody else
	Conflict     Kind = "conflict"      // somebody changed it meanwhile
	Unavailable  Kind = "unavailable"   // a server or network fault; passes by itself
	Throttled    Kind = "throttled"     // the provider asked for a pause, see Error.Until
	NeedsConsent Kind = "needs_consent" // the recruiter has to grant permission (again)
	NeedsAdmin   Kind = "needs_admin"   // the company's IT administrator has to act
	NeedsVendor  Kind = "needs_vendor"  // whoever operates Mailroom has to act (credentials, redirect URI)
	Internal     Kind = "internal"      // our own fault
)

// Error is the one error type that reaches people. It is classified once,
// where the fault is first seen. Key is a message key for i18n, never prose;
// Err is for the log and never shown.
type Error struct {
	Kind  Kind
	Key   string         // i18n key, e.g. "mapping.error.twice"
	Field string         // form field it complains about, or ""
	Args  map[string]any // arguments of the message key
	Until time.Time      // Throttled: not to be tried before
	Err   error          // cause, for the log
}

func (e *Error) Error() string {
	s := string(e.Kind) + " " + e.Key
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// E makes an Error of a kind with the message key and, optionally, the cause.
func E(kind Kind, key string, cause ...error) *Error {
	return &Error{Kind: kind, Key: key, Err: errors.Join(cause...)}
}

// With returns e with one more message argument.
func (e *Error) With(name string, value any) *Error {
	if e.Args == nil {
		e.Args = map[string]any{}
	}
	e.Args[name] = value
	return e
}

// On returns e as a complaint about one form field.
func (e *Error) On(field string) *Error { e.Field = field; return e }

// AsError returns err as *Error. Foreign errors become Internal; a cancelled
// or expired context becomes Unavailable, since nothing is known to be broken.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return E(Unavailable, "error.timeout", err)
	}
	return E(Internal, "error.internal", err)
}

// KindOf is AsError(err).Kind, and "" for nil.
func KindOf(err error) Kind {
	if e := AsError(err); e != nil {
		return e.Kind
	}
	return ""
}

// ErrFenced is returned by every write of a syncer whose lease on the mailbox
// has passed to somebody else: what it read is thrown away, the new owner reads
// it again.
var ErrFenced = errors.New("mailbox lease lost")

// Problem is a fault as it is kept and shown: an Error without its cause, with
// the time since when it stands.
type Problem struct {
	Kind  Kind           `json:"kind"`
	Key   string         `json:"key"`
	Args  map[string]any `json:"args,omitempty"`
	Since time.Time      `json:"since"`
	Until time.Time      `json:"until,omitzero"` // next try, where one is planned
}

// ProblemOf turns an error into a Problem standing since at; nil for nil.
func ProblemOf(err error, at time.Time) *Problem {
	e := AsError(err)
	if e == nil {
		return nil
	}
	return &Problem{Kind: e.Kind, Key: e.Key, Args: e.Args, Since: at, Until: e.Until}
}

func (p *Problem) String() string {
	if p == nil {
		return "none"
	}
	return fmt.Sprintf("%s %s", p.Kind, p.Key)
}

// Fixer names who can mend a kind of trouble: "you", "admin", "vendor" or
// "nobody" (it passes by itself).
func (k Kind) Fixer() string {
	switch k {
	case NeedsConsent, Invalid, Conflict, NotFound, Forbidden:
		return "you"
	case NeedsAdmin:
		return "admin"
	case NeedsVendor, Internal:
		return "vendor"
	}
	return "nobody"
}
