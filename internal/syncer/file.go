package syncer

import (
	"context"
	"errors"

	"mailroom/internal/mailroom"
)

// batch is what one transaction files. Its raw mail is kept already.
type batch struct {
	items []item
	refs  map[string]mailroom.BlobRef // of every item with raw mail
	fresh []mailroom.BlobRef          // of raw mail that the organization did not have
}

// keep makes the raw mail of items durable and lets go of it.
func (r *reading) keep(ctx context.Context, items []item) (batch, error) {
	b := batch{items: items, refs: map[string]mailroom.BlobRef{}}
	defer releaseAll(items, r.lane)
	s, org := r.s, r.s.work.Mailbox.OrgID
	var bytes int64
	var hashes []string
	raws := map[string][]byte{}
	for _, it := range items {
		bytes += int64(len(it.mail.Raw))
		if _, dup := raws[it.hash]; it.hash != "" && !dup {
			raws[it.hash] = it.mail.Raw
			hashes = append(hashes, it.hash)
		}
	}
	r.run.read(bytes)
	s.k.counters.bytes.Add(bytes)
	if len(hashes) == 0 {
		return b, nil
	}
	known, err := s.k.Store.KnownBlobs(ctx, org, hashes)
	if err != nil {
		return b, storeErr(err)
	}
	var putHashes []string
	var put [][]byte
	for _, h := range hashes {
		if known[h] || r.names[h] {
			b.refs[h] = mailroom.BlobRef{Hash: h, Size: int64(len(raws[h]))}
			continue
		}
		putHashes = append(putHashes, h)
		put = append(put, raws[h])
	}
	if len(put) == 0 {
		return b, nil
	}
	b.fresh, err = s.k.Blobs.Put(ctx, org, putHashes, put)
	for _, ref := range b.fresh {
		b.refs[ref.Hash], r.names[ref.Hash] = ref, true
	}
	return b, storeErr(err)
}

// part is some of a batch.
func (b batch) part(from, to int) batch {
	b.items = b.items[from:to]
	return b
}

// errStale means that the folder has begun another generation while this one
// was being read: what came is thrown away.
var errStale = errors.New("folder was renumbered meanwhile")

// deliver files items. When the database refuses them, halves are tried, down
// to the one mail that it will not take, which goes into quarantine.
func (s *session) deliver(ctx context.Context, l *ledger, generation uint32, b batch, run *runLog) error {
	err := s.deliverOnce(ctx, l, generation, b, run)
	items := b.items
	switch {
	case err == nil, errors.Is(err, errStale), errors.Is(err, mailroom.ErrFenced), ctx.Err() != nil:
		return err
	case mailroom.KindOf(err) == mailroom.Conflict:
		// Raw mail that was known has been swept meanwhile. Nothing was filed, so
		// it is still backlog and comes again, with its bytes.
		s.log.Info("raw mail has gone meanwhile", "mapping", l.mapping.ID, cause(err))
		return nil
	case mailroom.KindOf(err) == mailroom.NotFound:
		return errRemapped // the mapping was taken away meanwhile
	case mailroom.KindOf(err) == mailroom.Unavailable:
		return storeErr(err)
	case len(items) == 1 && items[0].reason != nil:
		return storeErr(err) // not even the note that it is bad: it is not the mail
	case len(items) == 1:
		s.log.Warn("mail cannot be filed", "mapping", l.mapping.ID, "uid", items[0].mail.UID, cause(err))
		it := items[0]
		it.reason = &mailroom.Problem{Kind: mailroom.Internal, Key: keyUnfilable, Since: s.now()}
		b.items = []item{it}
		return s.deliver(ctx, l, generation, b, run)
	}
	half := len(items) / 2
	if err := s.deliver(ctx, l, generation, b.part(0, half), run); err != nil {
		return err
	}
	return s.deliver(ctx, l, generation, b.part(half, len(items)), run)
}

// placement is where a mail lies, and when it came here.
func (l *ledger) placement(generation uint32, it item) mailroom.Placement {
	return mailroom.Placement{
		MailboxID: l.mapping.MailboxID, MappingID: l.mapping.ID, RawName: l.mapping.RawName,
		UIDValidity: generation, UID: it.mail.UID, Flags: it.mail.Flags, ModSeq: it.mail.ModSeq,
		ObjectID: it.mail.ObjectID, ReadAt: it.readAt, ParsedAt: it.at,
	}
}

func (s *session) deliverOnce(ctx context.Context, l *ledger, generation uint32, from batch, run *runLog) error {
	now := s.now()
	b := mailroom.Batch{
		Mapping: l.mapping, Owner: s.work.Mailbox.Address, UserID: s.work.Mailbox.UserID,
	}
	wanted := map[string]bool{}
	var placed, quarantined []uint32
	var h haul
	for _, it := range from.items {
		wanted[it.hash] = true
		h.bytes += it.size
		if it.reason != nil {
			quarantined = append(quarantined, it.mail.UID)
			b.Quarantined = append(b.Quarantined, s.quarantine(l, generation, it, now))
			continue
		}
		placed = append(placed, it.mail.UID)
		h.received = append(h.received, receipt{it.mail.UID, it.msg.ReceivedAt})
		b.Mails = append(b.Mails, mailroom.Mail{Message: it.msg, Blob: from.refs[it.hash], Placement: l.placement(generation, it)})
	}
	for _, ref := range from.fresh {
		if wanted[ref.Hash] {
			b.Blobs = append(b.Blobs, ref)
		}
	}
	h.placed, h.quarantined = mailroom.UIDs(placed...), mailroom.UIDs(quarantined...)
	return s.commit(ctx, l, generation, b, h, run)
}

// commit is the transaction of a batch, and what is said and counted after it.
// The error is the database's own, or errStale.
func (s *session) commit(ctx context.Context, l *ledger, generation uint32, b mailroom.Batch, h haul, run *runLog) error {
	now := s.now()
	l.write.Lock()
	defer l.write.Unlock()
	if l.generation() != generation {
		return errStale
	}
	b.Progress = l.after(h, now)
	if _, err := s.k.Store.Deliver(ctx, s.claim, b); err != nil {
		return err
	}
	l.filed(h, now)
	s.moving()
	placed := len(b.Mails) + len(b.Copies)
	run.filed(ctx, placed, len(b.Quarantined))
	s.k.counters.batches.Add(1)
	s.k.counters.stored.Add(int64(placed))
	s.k.counters.quarantined.Add(int64(len(b.Quarantined)))
	return nil
}
