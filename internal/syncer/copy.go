package syncer

import (
	"context"
	"errors"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// fileCopies files what is backlog in set and known by its object id: a label of
// Gmail's, or a mail that was moved here. Its octets are not asked for. What is
// left is to be read in full.
func (s *session) fileCopies(ctx context.Context, conn Conn, l *ledger, set mailroom.UIDSet, run *runLog) (rest mailroom.UIDSet, err error) {
	open := set.Intersect(l.account().backlog)
	if !conn.HasObjectIDs() || open.Empty() {
		return set, nil
	}
	defer l.fly(open)()
	generation := l.generation()
	copies, err := s.copies(ctx, conn, l, open)
	if err != nil {
		if ctx.Err() != nil || wide(err) {
			return set, err
		}
		s.log.Info("object ids not to be had", "mapping", l.mapping.ID, cause(err))
		return set, nil
	}
	for part := range slices.Chunk(copies, s.k.BatchMails) {
		filed, err := s.deliverCopies(ctx, l, generation, part, run)
		if err != nil {
			return set, err
		}
		set = set.Minus(filed)
	}
	return set, nil
}

// copies are those of set that the mailbox is known to have, newest first.
func (s *session) copies(ctx context.Context, conn Conn, l *ledger, set mailroom.UIDSet) ([]mailroom.Copy, error) {
	ids, err := conn.ObjectIDs(ctx, set)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	s.moving()
	var ask []string
	for uid, id := range ids {
		if id != "" && set.Contains(uid) {
			ask = append(ask, id)
		}
	}
	slices.Sort(ask)
	known, err := s.k.Store.KnownObjects(ctx, l.mapping.MailboxID, slices.Compact(ask))
	if err != nil {
		return nil, storeErr(err)
	}
	var have []uint32
	for uid, id := range ids {
		if known[id] && set.Contains(uid) {
			have = append(have, uid)
		}
	}
	if len(have) == 0 {
		return nil, nil
	}
	// What a FETCH of the mail would have told besides.
	received, flags := map[uint32]time.Time{}, map[uint32]mailroom.FlagChange{}
	set = mailroom.UIDs(have...)
	if err := conn.Sample(ctx, set, false, func(m mailroom.Sampled) { received[m.UID] = m.InternalDate }); err != nil {
		return nil, err
	}
	if err := conn.Flags(ctx, set, 0, func(c mailroom.FlagChange) { flags[c.UID] = c }); err != nil {
		return nil, err
	}
	var out []mailroom.Copy
	for uid := range set.Descending {
		at, dated := received[uid]
		f, flagged := flags[uid]
		if !dated || at.IsZero() || !flagged { // it is read in full, and says why if it cannot be
			continue
		}
		it := item{mail: mailroom.FetchedMail{UID: uid, Flags: f.Flags, ModSeq: f.ModSeq, ObjectID: ids[uid]}}
		out = append(out, mailroom.Copy{Placement: l.placement(0, it), ReceivedAt: at.UTC()})
	}
	return out, nil
}

// deliverCopies is the transaction of some copies. filed is empty where the
// database would not have them: they are read in full then.
func (s *session) deliverCopies(ctx context.Context, l *ledger, generation uint32, copies []mailroom.Copy, run *runLog) (filed mailroom.UIDSet, err error) {
	b := mailroom.Batch{Mapping: l.mapping, Owner: s.work.Mailbox.Address, UserID: s.work.Mailbox.UserID, Copies: copies}
	var h haul
	var uids []uint32
	for i := range copies {
		p := &copies[i].Placement
		p.UIDValidity = generation
		uids = append(uids, p.UID)
		h.received = append(h.received, receipt{p.UID, copies[i].ReceivedAt})
	}
	h.placed = mailroom.UIDs(uids...)

	err = s.commit(ctx, l, generation, b, h, run)
	switch kind := mailroom.KindOf(err); {
	case err == nil:
		return h.placed, nil
	case errors.Is(err, errStale):
		return filed, err
	case errors.Is(err, mailroom.ErrFenced), ctx.Err() != nil:
		return filed, storeErr(err)
	case kind == mailroom.NotFound:
		return filed, errRemapped
	case kind == mailroom.Unavailable:
		return filed, storeErr(err)
	default:
		s.log.Info("copies are read in full", "mapping", l.mapping.ID, "count", len(copies), cause(err))
		return filed, nil
	}
}
