package syncer

import (
	"errors"
	"time"

	"mailroom/internal/mailroom"
)

// ending is what a session leaves behind.
type ending struct {
	retryAt  time.Time
	problem  *mailroom.Problem
	failures int
	answer   int64 // newest asking that this answers, 0 for none
	restless bool  // it did not last: not to be started again at once
}

// ending turns the reason why a session ended into the mailbox's next move.
func (s *session) ending(err error, now time.Time) ending {
	lived := time.Duration(0)
	if !s.opened.IsZero() {
		lived = now.Sub(s.opened) // of time.Now both, which setting the clock does not change
	}
	failures := s.failures
	if lived >= s.k.Settled {
		failures = 0
	}
	standing := s.work.Mailbox.Problem
	if s.passed {
		standing = nil
	}
	if handedOver(err) {
		return ending{retryAt: now, problem: standing, failures: failures, restless: lived < time.Second}
	}
	kind := mailroom.KindOf(err)
	if kind == mailroom.Unavailable && lived >= s.k.Settled && mailroom.AsError(err).Key != keyStalled {
		// A long-lived connection ends, as at the end of a token: taken up again unseen.
		// One that stood still was long-lived too, and that is to be seen.
		return ending{retryAt: now, failures: 0}
	}
	if sessionEnded(err) && lived >= unseen {
		return ending{retryAt: now, problem: standing, failures: failures}
	}
	// This is the answer to what was asked for during the session, too; else it
	// would be tried again at once, whatever the pause.
	asked := s.wanted()
	var probe probeFault
	if errors.As(err, &probe) {
		return ending{retryAt: now, problem: standing, failures: failures, answer: asked, restless: true}
	}
	failures++
	e := ending{failures: failures, restless: true}
	if asked > s.work.Mailbox.Wanted { // what came before the claim Release answers
		e.answer = asked
	}
	e.problem = mailroom.ProblemOf(err, now)
	if standing != nil && standing.Key == e.problem.Key {
		e.problem.Since = standing.Since
	}
	if kind == mailroom.Throttled {
		e.retryAt = e.problem.Until
		if e.retryAt.IsZero() {
			e.retryAt = now.Add(backoff(mailroom.Unavailable, 10, s.k.Jitter()))
		}
		e.failures = s.failures
	} else {
		e.retryAt = now.Add(backoff(kind, failures, s.k.Jitter()))
	}
	e.problem.Until = e.retryAt
	return e
}

// unseen is how long a connection must have lived for the end of its token to
// pass without a word; a server that says so at once is in trouble.
const unseen = time.Minute

// wanted is the newest asking that the session knows of.
func (s *session) wanted() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.work.Mailbox.Wanted, s.signal.Wanted)
}

// sessionEnded reports whether the server ended the session as it does when the
// token runs out (docs/providers.md 3.5).
func sessionEnded(err error) bool {
	e := mailroom.AsError(err)
	return e != nil && e.Key == "imap.error.session_ended"
}
