// Package syncer does what happens unasked: it finds out which mailboxes are to
// be read, reads them, and files their mail in one transaction per batch
// together with the ledger that has passed it.
//
// A Keeper claims mailboxes by lease and runs one session for each. A session
// has a control connection, which watches the folders and reads new mail the
// moment it is told of it (the live lane), and while there is a backlog at most
// one more connection that works through it newest first (the bulk lane). Both
// share one ledger per mapping:
//
//	on server = stored + skipped + dropped + quarantined + backlog
//
// where the backlog is an explicit set of UIDs. A UID leaves it only in the
// transaction that stores or quarantines it, or when two looks at the folder
// agree that it is gone, or one look and the server's own word on what vanished
// (RFC 7162) come out at its count.
//
// That the ledger is right is not believed either: soon after each connection and
// on a timer all UIDs are compared, and a difference is a mailroom.Finding, which
// is repaired when its mails are accounted for. Each UID has a sighting from the
// listing that first showed it, written with the row that counts it.
//
// A folder whose mapping says so loses in OTYS what it lost on the server, once
// every folder of the mailbox has been looked at, and read, since: a mail that
// moved is not removed.
//
// Times that decide what happens next are pauses, which a clock that is set
// cannot stretch (clock.go).
//
// It speaks no IMAP, no SQL and no OAuth, holds no token, decides nothing that
// a person decides, and never changes a mailbox: the doors are plugged in by app.
package syncer
