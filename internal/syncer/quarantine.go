package syncer

import (
	"context"
	"errors"
	"math"
	"time"

	"mailroom/internal/mailroom"
)

// Why a mail is in quarantine: message keys.
const (
	keyUnreadable  = "quarantine.reason.unreadable"  // no parser could read it
	keyEmpty       = "quarantine.reason.empty"       // the server says it is there and gives nothing
	keyPlaceholder = "quarantine.reason.placeholder" // the server gave a note instead
	keyTooLarge    = "quarantine.reason.too_large"
	keyBreaks      = "quarantine.reason.breaks"  // asking for it ends the connection
	keyUnfilable   = "quarantine.reason.refused" // the database would not take it
)

// retryQuarantined tries the mails again whose time has come, one at a time,
// since each has failed before.
func (s *session) retryQuarantined(ctx context.Context, l *ledger, run *runLog) error {
	const most = 20 // at a time: they must not hold up new mail
	now := s.now()
	every := s.k.Poll
	if l.account().quarantined.Empty() { // there may be some that have left the server
		every = s.k.CompareEvery
	}
	if !s.manual && !passed(l.dueAt, now, every) {
		return nil
	}
	l.dueAt = now
	due, err := s.k.Store.DueQuarantine(ctx, l.mapping.ID, now, most)
	if err != nil {
		return storeErr(err)
	}
	for _, q := range append(due, l.overdue(now, most-len(due))...) {
		if err := s.retry(ctx, l, q, run); err != nil {
			return err
		}
	}
	return nil
}

// overdue are up to limit mails whose next try was set by a clock that has been
// set back since: it lies further ahead than it ever was.
func (l *ledger) overdue(now time.Time, limit int) (out []mailroom.Quarantine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for uid, q := range l.tried {
		if len(out) < limit && l.acc.quarantined.Contains(uid) && q.RetryAt.Sub(now) > retryQuarantine(q.Reason.Key, q.Attempts) {
			out = append(out, q)
		}
	}
	return out
}

// retry tries one mail again: from the raw copy where that is the mail, else
// from the server.
func (s *session) retry(ctx context.Context, l *ledger, q mailroom.Quarantine, run *runLog) error {
	gone := !q.GoneAt.IsZero()
	if !gone && (q.UIDValidity != l.generation() || !l.account().quarantined.Contains(q.UID)) {
		return nil
	}
	if q.RawHash != "" && q.Reason.Key != keyPlaceholder && q.Reason.Key != keyEmpty {
		if done, err := s.retryKept(ctx, l, q, run); done || err != nil {
			return err
		}
		q.RawHash = ""
	}
	if gone { // there is nothing to try: it makes room for others
		return s.fileGone(ctx, l, q, item{reason: &q.Reason}, run)
	}
	err := s.readAll(ctx, s.conn, l, mailroom.UIDs(q.UID), s.k.liveLane(), run)
	if err != nil && broken(err) && ctx.Err() == nil {
		if err := s.fileSilent(ctx, l, l.generation(), mailroom.UIDs(q.UID), keyBreaks, run); err != nil {
			return err
		}
	}
	return err
}

// readAll reads set and looks after the UIDs that did not answer: those that
// are gone are gone, those still there are asked for once more and then kept in
// quarantine, since Exchange can answer OK without data (docs/providers.md 3.6).
func (s *session) readAll(ctx context.Context, conn Conn, l *ledger, set mailroom.UIDSet, ln lane, run *runLog) error {
	generation := l.generation()
	set, err := s.fileCopies(ctx, conn, l, set, run)
	if err != nil {
		return s.closeIn(ctx, l, generation, set, run, err)
	}
	if set.Empty() {
		return nil
	}
	answered, err := s.read(ctx, conn, l, set, ln, run)
	if err != nil && !refused(err) {
		return s.closeIn(ctx, l, generation, set, run, err)
	}
	missing := set.Minus(answered)
	if missing.Empty() {
		return nil
	}
	if err := s.compare(ctx, conn, l); err != nil {
		return err
	}
	a := l.account()
	if missing = missing.Intersect(a.backlog.Union(a.quarantined)); missing.Empty() {
		return nil
	}
	q := &silent{refusals: maxRefusals}
	if !answered.Empty() {
		q.refusals = math.MaxInt
	}
	return s.readSilent(ctx, conn, l, generation, missing, ln, run, q)
}

// silent is the asking for mails that did not answer. refusals are how many
// single mails may still be refused while none is given: then it is the folder
// that is refused, and no mail's fault.
type silent struct{ refusals int }

const maxRefusals = 5

// refused reports whether err is a FETCH that was answered by NO, over a
// connection that goes on.
func refused(err error) bool {
	return mailroom.AsError(err).Key == "imap.error.refused" && !wide(err)
}

// readSilent asks once more for mails that did not answer or were refused, in
// halves if none of them comes: one may keep the others from being sent.
func (s *session) readSilent(ctx context.Context, conn Conn, l *ledger, generation uint32, set mailroom.UIDSet, ln lane, run *runLog, q *silent) error {
	answered, err := s.read(ctx, conn, l, set, ln, run)
	if err != nil && !refused(err) {
		return s.closeIn(ctx, l, generation, set, run, err)
	}
	if !answered.Empty() {
		q.refusals = math.MaxInt
	}
	rest := set.Minus(answered)
	switch {
	case rest.Empty():
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case rest.Len() == 1:
		if err != nil {
			if q.refusals--; q.refusals < 0 {
				return err
			}
		}
		return s.fileSilent(ctx, l, generation, rest, keyEmpty, run)
	}
	newer := rest.Newest(rest.Len() / 2)
	if err := s.readSilent(ctx, conn, l, generation, newer, ln, run, q); err != nil {
		return err
	}
	return s.readSilent(ctx, conn, l, generation, rest.Minus(newer), ln, run, q)
}

// fileSilent puts mails into quarantine of which there is nothing but the UID.
func (s *session) fileSilent(ctx context.Context, l *ledger, generation uint32, set mailroom.UIDSet, key string, run *runLog) error {
	var items []item
	for uid := range set.Descending {
		items = append(items, item{mail: mailroom.FetchedMail{UID: uid},
			reason: &mailroom.Problem{Kind: mailroom.Unavailable, Key: key, Since: s.now()}})
	}
	if len(items) == 0 {
		return nil
	}
	return s.deliver(ctx, l, generation, batch{items: items}, run)
}

// closeIn looks at a reading that failed. Where it is the connection that
// failed, again and again, while one single mail was asked for, that mail goes
// into quarantine.
func (s *session) closeIn(ctx context.Context, l *ledger, generation uint32, set mailroom.UIDSet, run *runLog, err error) error {
	if ctx.Err() != nil || errors.Is(err, errStale) || wide(err) && !broken(err) {
		return err
	}
	if set.Len() > 1 || l.progress().Failures+1 < breaking {
		return readFault{err}
	}
	s.log.Warn("mail breaks the connection", "mapping", l.mapping.ID, "uid", set.Max(), cause(err))
	if err := s.fileSilent(ctx, l, generation, set, keyBreaks, run); err != nil {
		return err
	}
	return readFault{err}
}

func (s *session) quarantine(l *ledger, generation uint32, it item, now time.Time) mailroom.Quarantine {
	before := l.triedBefore(it.mail.UID)
	n := before.Attempts + 1
	size := it.mail.Size
	if it.hash == "" && before.RawHash != "" { // what came once is worth more than the server's silence
		it.hash, size, it.reason = before.RawHash, before.Size, &before.Reason
	}
	q := mailroom.Quarantine{
		ID: mailroom.NewID(mailroom.PrefixQuarantine), OrgID: s.work.Mailbox.OrgID,
		MailboxID: l.mapping.MailboxID, MappingID: l.mapping.ID, RawName: l.mapping.RawName,
		UIDValidity: generation, UID: it.mail.UID, RawHash: it.hash, Size: size,
		Reason: *it.reason, Attempts: n, RetryAt: now.Add(retryQuarantine(it.reason.Key, n)), CreatedAt: now, Version: s.k.Version,
	}
	l.tries(q)
	return q
}
