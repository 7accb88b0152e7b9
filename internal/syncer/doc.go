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
//	on server = stored + skipped + quarantined + backlog
//
// where the backlog is an explicit set of UIDs. A UID leaves it only in the
// transaction that stores or quarantines it, or when two looks at the folder
// agree that it is gone.
//
// It speaks no IMAP, no SQL and no OAuth, holds no token, decides nothing that
// a person decides, and never changes a mailbox: the doors are plugged in by app.
package syncer
