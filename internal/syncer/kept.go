package syncer

import (
	"context"
	"errors"

	"mailroom/internal/mailroom"
)

// retryKept tries a mail in quarantine again from the raw copy of it. done is
// false when that does not help: the server may have mended it.
func (s *session) retryKept(ctx context.Context, l *ledger, q mailroom.Quarantine, run *runLog) (done bool, err error) {
	ln := s.k.liveLane()
	weight := min(q.Size, ln.most)
	if err := ln.budget.Acquire(ctx, weight); err != nil {
		return false, context.Cause(ctx)
	}
	defer ln.budget.Release(weight)
	raw, err := s.k.Blobs.Open(ctx, s.work.Mailbox.OrgID, q.RawHash)
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case mailroom.KindOf(err) == mailroom.Unavailable:
		return false, storeErr(err)
	case err != nil:
		s.log.Warn("raw copy cannot be opened", "quarantine", q.ID, cause(err))
		return false, nil
	}
	s.moving()
	it := item{mail: mailroom.FetchedMail{UID: q.UID, Raw: raw, Size: q.Size}, readAt: q.CreatedAt}
	s.understand(&it)
	it.mail.Raw, it.at = nil, s.now()
	if it.msg.ReceivedAt.After(q.CreatedAt) { // it had come by then
		it.msg.ReceivedAt = q.CreatedAt.UTC()
	}
	if !q.GoneAt.IsZero() {
		return true, s.fileGone(ctx, l, q, it, run)
	}
	if it.reason != nil {
		return false, nil
	}
	err = s.conn.Flags(ctx, mailroom.UIDs(q.UID), 0, func(c mailroom.FlagChange) {
		if c.UID == q.UID {
			it.mail.Flags, it.mail.ModSeq = c.Flags, c.ModSeq
		}
	})
	if err == nil {
		err = s.conn.Sample(ctx, mailroom.UIDs(q.UID), false, func(m mailroom.Sampled) {
			if !m.InternalDate.IsZero() {
				it.msg.ReceivedAt = m.InternalDate.UTC()
			}
		})
	}
	if err != nil {
		return true, err
	}
	b := batch{items: []item{it}, refs: map[string]mailroom.BlobRef{it.hash: {Hash: it.hash, Size: q.Size}}}
	return true, s.deliver(ctx, l, q.UIDValidity, b, run)
}

// fileGone files a mail that was in quarantine and has left the server since, or
// notes that it cannot be read yet. It is not counted as being on the server.
func (s *session) fileGone(ctx context.Context, l *ledger, q mailroom.Quarantine, it item, run *runLog) error {
	ctx, done := s.grace(ctx) // both steps or none, as far as it can be helped
	defer done()
	l.write.Lock()
	defer l.write.Unlock()
	err := s.deliverGone(ctx, l, q, it)
	if err != nil && it.reason == nil && mailroom.KindOf(err) == mailroom.Internal && !errors.Is(err, mailroom.ErrFenced) && ctx.Err() == nil {
		s.log.Warn("mail cannot be filed", "quarantine", q.ID, cause(err))
		it.reason = &mailroom.Problem{Kind: mailroom.Internal, Key: keyUnfilable, Since: s.now()}
		err = s.deliverGone(ctx, l, q, it)
	}
	switch {
	case err == nil:
	case mailroom.KindOf(err) == mailroom.Conflict:
		s.log.Info("raw mail has gone meanwhile", "quarantine", q.ID, cause(err))
		return nil
	case mailroom.KindOf(err) == mailroom.NotFound:
		return errRemapped
	default:
		return storeErr(err)
	}
	s.moving()
	if it.reason != nil {
		return nil
	}
	run.filed(ctx, 1, 0)
	s.k.counters.stored.Add(1)
	return storeErr(s.k.Store.MarkGone(ctx, s.claim, l.mapping.ID, q.UIDValidity, mailroom.UIDs(q.UID)))
}

// deliverGone is the transaction of fileGone. l.write is held.
func (s *session) deliverGone(ctx context.Context, l *ledger, q mailroom.Quarantine, it item) error {
	now := s.now()
	b := mailroom.Batch{Mapping: l.mapping, Owner: s.work.Mailbox.Address, UserID: s.work.Mailbox.UserID}
	if it.reason != nil {
		q.Reason, q.Version = *it.reason, s.k.Version
		q.Attempts++
		q.RetryAt = now.Add(retryQuarantine(q.Reason.Key, q.Attempts))
		b.Quarantined = []mailroom.Quarantine{q}
	} else {
		b.Mails = []mailroom.Mail{{Message: it.msg, Blob: mailroom.BlobRef{Hash: it.hash, Size: q.Size}, Placement: l.placement(q.UIDValidity, it)}}
	}
	b.Progress = l.snapshot()
	_, err := s.k.Store.Deliver(ctx, s.claim, b)
	l.saved(err == nil, now)
	return err
}
