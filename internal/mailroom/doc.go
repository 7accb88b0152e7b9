// Package mailroom holds the words of the product and the rules that need
// nothing but those words: what a mailbox, a mapping, a cursor or a link is,
// which UIDs to read next, whom a message belongs to.
//
// It does no I/O, knows no SQL, no HTTP and no IMAP connection, and imports
// nothing but the standard library. Every other room speaks these words.
//
// Mailbox is the account that a person connected; folder is what IMAP calls a
// mailbox (RFC 3501 §5.1). All times are UTC with microsecond precision.
package mailroom
