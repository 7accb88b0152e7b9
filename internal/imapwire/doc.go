// Package imapwire is the client side of the IMAP wire (RFC 3501, with the
// extensions that a reader of mail needs): commands go out, responses come in,
// tolerant of what servers really send and bounded in what it accepts.
//
// It does not know Mailroom, providers or policies: it does not dial, retry,
// keep state about folders, or decide which extension to use. It does not
// parse messages. And it cannot change a mailbox: there is no SELECT (only
// EXAMINE), no BODY[] (only BODY.PEEK[]), no STORE, COPY, MOVE, EXPUNGE,
// APPEND, DELETE, RENAME or SUBSCRIBE, and no way to send a raw command. The
// one exception is CREATE, for a folder that a person asked for.
//
// # Calls
//
// A [Client] belongs to one goroutine at a time and starts none of its own:
// whoever waits, reads. Commands return a [Call]; making it only queues the
// command, and [Call.Wait] sends everything queued and reads until that call
// is answered. So several calls made before the first Wait travel in one
// flight:
//
//	id := c.ID(me)
//	ns := c.Namespace()
//	boxes := c.List(imapwire.ListOptions{})
//	if _, err := ns.Wait(ctx); err != nil { … }     // sends all three
//	entries, err := boxes.Wait(ctx)                  // already answered, or read now
//
// and two FETCH commands stay in flight like this:
//
//	next := c.UIDFetch(set1, items, h)
//	for _, set := range rest {
//		this := next
//		next = c.UIDFetch(set, items, h)
//		if _, err := this.Wait(ctx); err != nil { … } // while the next is on its way
//	}
//
// AUTHENTICATE, LOGIN, STARTTLS, IDLE and LOGOUT talk back and forth, so they
// take a context themselves and wait for what is in flight first.
//
// # What breaks a connection, and what does not
//
// Data that is not understood is skipped and counted ([Stats]), never fatal.
// A tagged NO or BAD is a [*ResponseError] and leaves the connection usable.
// Everything else (network, deadline, cancelled context, a limit of [Limits]
// exceeded) ends the connection: the call in hand and all later ones return
// the same [*ConnError], which carries the server's BYE and its last stray
// line if there were any.
//
// # Names
//
// Mailbox names are the server's own bytes everywhere ("raw names"), since
// they are the key by which the server is asked again. [Client.DecodeName]
// makes one readable, [Client.EncodeName] makes one from what a person typed.
package imapwire
