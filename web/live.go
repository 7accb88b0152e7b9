package web

import (
	"fmt"
	"net/http"
	"time"
)

const (
	// liveQuiet is the least time between two notices to one browser.
	liveQuiet = 400 * time.Millisecond
	// liveBeat keeps proxies from closing a silent stream, and finds browsers
	// that have gone.
	liveBeat = 25 * time.Second
)

// showEvents is the stream by which pages refresh themselves: an event
// "changed" without content whenever something that the user's pages show has
// changed. Parts of pages ask again for themselves when they hear it.
func showEvents(c *call) error {
	ctx := c.r.Context()
	rc := http.NewResponseController(c.w)
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	say := func(text string) bool {
		// The server's write timeout is for pages; this lives on.
		_ = rc.SetWriteDeadline(time.Now().Add(2 * liveBeat))
		if _, err := fmt.Fprint(c.w, text); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	changes := c.Portal.Changes(ctx, c.user)
	// What changed between the page and this stream, or while the stream was
	// broken off, nobody was told of: so the first word is "changed".
	if !say("event: changed\ndata: .\n\n") {
		return nil
	}
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if !c.stillSignedIn() || !say(": still here\n\n") {
				return nil
			}
		case _, open := <-changes:
			if !open || !c.stillSignedIn() || !say("event: changed\ndata: .\n\n") {
				return nil
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(liveQuiet):
			}
		}
	}
}

// stillSignedIn reads the user afresh: a stream must not outlive the session.
func (c *call) stillSignedIn() bool {
	_, err := c.Portal.UserForSession(c.r.Context(), c.user.ID, c.user.SessionEpoch)
	return err == nil
}
