// Package portal is what a person may ask of Mailroom: it checks who asks,
// applies the rules, and stores the outcome together with its audit event in
// one transaction.
//
// It knows no HTTP, no SQL, no IMAP and no OAuth: those doors are the small
// interfaces below, plugged in by app. Everything that belongs to somebody else
// is NotFound.
package portal
