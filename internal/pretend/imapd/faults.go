package imapd

import "time"

// Faults are the ways in which one account misbehaves, as data. The zero value behaves.
type Faults struct {
	// Delay comes before every tagged answer, FetchDelay before every message of a FETCH.
	Delay, FetchDelay time.Duration

	// NotConnected: signing in succeeds, and every command after it is answered
	// "BAD User is authenticated but not connected." and the connection is closed. That is what
	// Exchange does when IMAP is off for the mailbox, or there is no licence.
	NotConnected bool

	// RefuseLogin answers every token as if it were wrong.
	RefuseLogin bool

	// ThrottleAfter is the number of messages fetched (over all connections) after which the
	// server says "Request is throttled. Suggested Backoff Time: N milliseconds" and closes;
	// 0 means never. Until Backoff has passed, signing in works and nothing else does. It happens
	// ThrottleTimes times, or once if that is 0.
	ThrottleAfter, ThrottleTimes int
	Backoff                      time.Duration

	// RenumberAfter: that long after every message of a folder has been fetched once, the folder
	// gets a new UIDVALIDITY and new UIDs and its connections are dropped. Once per folder.
	RenumberAfter time.Duration

	// MaxConns refuses further connections of the account; 0 means no limit.
	MaxConns int

	// NoRoles hides the RFC 6154 attributes from LIST.
	NoRoles bool
	// OddLogin puts an odd response code into the OK that ends AUTHENTICATE, as some Exchange
	// servers do.
	OddLogin bool
	// SilentIdle accepts IDLE and never tells anything.
	SilentIdle bool
	// LateNews tells of changes nowhere but before the continuation of IDLE.
	LateNews bool
	// StrayLine sends lines that are no IMAP, or none that belongs there, before a FETCH answer.
	StrayLine bool
	// WrongValidity is how many of the next EXAMINE and SELECT answers name a UIDVALIDITY that is
	// not the folder's.
	WrongValidity int
	// ShortSearches is how many of the next SEARCH answers leave out the older half.
	ShortSearches int
	// BodyFirst sends UID after the body in FETCH answers, which RFC 3501 allows.
	BodyFirst bool
	// DropAfterBytes cuts the connection, in the middle of whatever it is, when that many bytes
	// were sent on it; 0 means never. Once per account.
	DropAfterBytes int
}

// FetchFault is the way in which one message misbehaves.
type FetchFault int

const (
	// FetchNormal gives the message.
	FetchNormal FetchFault = iota
	// FetchEmpty answers OK without a line for the message, though its UID exists.
	FetchEmpty
	// FetchPlaceholder gives a message of the server's own instead, saying that the retrieval failed.
	FetchPlaceholder
	// FetchRefused fails the whole FETCH with NO when it comes to the message.
	FetchRefused
	// FetchCut closes the connection in the middle of the body.
	FetchCut
)
