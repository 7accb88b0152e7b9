package syncer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

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

const parsers = 2 // a lane's; parsing takes less CPU than the wire

// lane is how a reading is cut into batches.
type lane struct {
	bulk   bool
	budget *semaphore.Weighted // octets of raw mail in memory
	most   int64               // of those, for one mail
}

// item is a mail on its way through a lane.
type item struct {
	mail   mailroom.FetchedMail
	hash   string // of Raw, "" without
	msg    mailroom.Message
	reason *mailroom.Problem // it goes into quarantine
	weight int64             // taken from the lane's budget
}

// reading is one FETCH on its way into the store: a fetcher (the caller's
// goroutine), parsers, and a filer that cuts batches.
type reading struct {
	s          *session
	l          *ledger
	lane       lane
	generation uint32
	run        *runLog

	fetched  chan item
	parsed   chan item
	answered []uint32
}

// read fetches set and files what comes. It returns the UIDs that answered; a
// UID that did not is neither filed nor forgotten.
func (s *session) read(ctx context.Context, conn Conn, l *ledger, set mailroom.UIDSet, ln lane, run *runLog) (mailroom.UIDSet, error) {
	// While a batch is being filed the next one gathers, as far as the budget goes.
	ahead := int(min(set.Len(), int64(s.k.BatchMails)))
	r := &reading{s: s, l: l, lane: ln, generation: l.generation(), run: run,
		fetched: make(chan item, parsers), parsed: make(chan item, ahead)}
	fetchCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// What is fetched when the program is told to stop is still filed.
	fileCtx, done := s.grace(ctx)
	defer done()

	var workers sync.WaitGroup
	for range parsers {
		workers.Go(r.parse)
	}
	filed := make(chan error, 1)
	go func() {
		err := r.file(fileCtx)
		if err != nil {
			stop(err)
		}
		r.drain()
		filed <- err
	}()
	fetchErr := r.fetch(fetchCtx, conn, set)
	stop(errFetched)
	close(r.fetched)
	workers.Wait()
	close(r.parsed)
	if err := <-filed; err != nil {
		return mailroom.UIDSet{}, err
	}
	if fetchErr == nil && ctx.Err() != nil {
		fetchErr = context.Cause(ctx)
	}
	return mailroom.UIDs(r.answered...), fetchErr
}

// errFetched: nothing is expected any more.
var errFetched = errors.New("fetch is over")

// fetch streams into the parsers, held back by the lane's budget.
func (r *reading) fetch(ctx context.Context, conn Conn, set mailroom.UIDSet) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return conn.Fetch(ctx, set, func(m mailroom.FetchedMail) error {
		if ctx.Err() != nil { // also an answer that comes when Fetch has given up
			if m.Release != nil {
				m.Release()
			}
			return context.Cause(ctx)
		}
		r.s.moving()
		it := item{mail: m, weight: min(int64(len(m.Raw)), r.lane.most)}
		if err := r.lane.budget.Acquire(ctx, it.weight); err != nil {
			it.weight = 0
			it.release(r.lane)
			return context.Cause(ctx)
		}
		select {
		case r.fetched <- it:
			r.answered = append(r.answered, m.UID)
			return nil
		case <-ctx.Done():
			it.release(r.lane)
			return context.Cause(ctx)
		}
	})
}

func (r *reading) parse() {
	for it := range r.fetched {
		r.s.understand(&it)
		r.parsed <- it
	}
}

// understand parses a mail or says why it cannot be filed.
func (s *session) understand(it *item) {
	m := &it.mail
	now := s.now()
	refuse := func(kind mailroom.Kind, key string) {
		it.reason = &mailroom.Problem{Kind: kind, Key: key, Since: now}
	}
	if m.Raw != nil {
		sum := sha256.Sum256(m.Raw)
		it.hash = hex.EncodeToString(sum[:])
	}
	switch {
	case m.Refused == "too_large":
		refuse(mailroom.Invalid, keyTooLarge)
		it.reason.Args = map[string]any{"size": m.Size}
		return
	case m.Refused == "placeholder":
		refuse(mailroom.Unavailable, keyPlaceholder)
		return
	case m.Refused != "" || len(m.Raw) == 0:
		refuse(mailroom.Unavailable, keyEmpty)
		return
	}
	msg, err := s.parse(m.Raw)
	if err != nil {
		s.log.Warn("mail cannot be read", "uid", m.UID, "error", err)
		refuse(mailroom.Invalid, keyUnreadable)
		return
	}
	msg.ID, msg.OrgID = mailroom.NewID(mailroom.PrefixMessage), s.work.Mailbox.OrgID
	msg.RawHash, msg.Size = it.hash, int64(len(m.Raw))
	switch {
	case !m.InternalDate.IsZero():
		msg.ReceivedAt = m.InternalDate.UTC()
	case !msg.Date.IsZero() && msg.Date.Before(now):
		msg.ReceivedAt = msg.Date.UTC()
	default:
		msg.ReceivedAt = now
	}
	it.msg = msg
}

// parse keeps a parser's panic to the mail that caused it.
func (s *session) parse(raw []byte) (m mailroom.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.k.counters.panics.Add(1)
			err = panicked(p)
		}
	}()
	return s.k.Parse(raw)
}

func panicked(p any) error {
	return mailroom.E(mailroom.Internal, "error.internal", fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
}

// file cuts what the parsers give into batches: the live lane files whatever is
// there as soon as it is there, the bulk lane waits a little for more.
func (r *reading) file(ctx context.Context) error {
	t := &r.s.k.Tuning
	var batch []item
	var size int64
	defer func() { releaseAll(batch, r.lane) }()
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := r.s.fileItems(ctx, r.l, r.generation, batch, r.lane, r.run)
		batch, size = batch[:0], 0
		return err
	}
	var late <-chan time.Time
	for {
		select {
		case it, ok := <-r.parsed:
			if !ok {
				return flush()
			}
			batch = append(batch, it)
			size += int64(len(it.mail.Raw))
			full := len(batch) >= t.BatchMails || size >= t.BatchBytes
			if !full && r.lane.bulk {
				if late == nil {
					late = time.After(t.BatchWait)
				}
				continue
			}
			if !full && len(r.parsed) > 0 {
				continue
			}
		case <-late:
		}
		late = nil
		if err := flush(); err != nil {
			return err
		}
	}
}

// drain lets go of what comes after a failure.
func (r *reading) drain() {
	for it := range r.parsed {
		it.release(r.lane)
	}
}

func (it *item) release(ln lane) {
	if it.mail.Release != nil {
		it.mail.Release()
		it.mail.Release = nil
	}
	it.mail.Raw = nil
	if it.weight > 0 {
		ln.budget.Release(it.weight)
		it.weight = 0
	}
}

func releaseAll(items []item, ln lane) {
	for i := range items {
		items[i].release(ln)
	}
}

// fileItems keeps the raw bytes, then files the mails in one transaction.
func (s *session) fileItems(ctx context.Context, l *ledger, generation uint32, items []item, ln lane, run *runLog) error {
	refs, fresh, bytes, err := s.keepRaw(ctx, items)
	releaseAll(items, ln)
	if err != nil {
		return storeErr(err)
	}
	run.read(bytes)
	s.k.counters.bytes.Add(bytes)
	return s.deliver(ctx, l, generation, items, refs, fresh, ln.bulk, run)
}

// keepRaw makes the raw bytes durable. refs has every item's, fresh those that
// the organization did not have.
func (s *session) keepRaw(ctx context.Context, items []item) (refs map[string]mailroom.BlobRef, fresh []mailroom.BlobRef, bytes int64, err error) {
	refs = map[string]mailroom.BlobRef{}
	var hashes []string
	raws := map[string][]byte{}
	for _, it := range items {
		bytes += int64(len(it.mail.Raw))
		if _, dup := raws[it.hash]; it.hash == "" || dup {
			continue
		}
		raws[it.hash] = it.mail.Raw
		hashes = append(hashes, it.hash)
	}
	if len(hashes) == 0 {
		return refs, nil, bytes, nil
	}
	org := s.work.Mailbox.OrgID
	known, err := s.k.Store.KnownBlobs(ctx, org, hashes)
	if err != nil {
		return nil, nil, bytes, err
	}
	var putHashes []string
	var put [][]byte
	for _, h := range hashes {
		if known[h] {
			refs[h] = mailroom.BlobRef{Hash: h, Size: int64(len(raws[h]))}
			continue
		}
		putHashes = append(putHashes, h)
		put = append(put, raws[h])
	}
	if len(put) == 0 {
		return refs, nil, bytes, nil
	}
	fresh, err = s.k.Blobs.Put(ctx, org, putHashes, put)
	for _, ref := range fresh {
		refs[ref.Hash] = ref
	}
	return refs, fresh, bytes, err
}

// errStale means that the folder has begun another generation while this one
// was being read: what came is thrown away.
var errStale = errors.New("folder was renumbered meanwhile")

// deliver files items. When the database refuses them, halves are tried, down
// to the one mail that it will not take, which goes into quarantine.
func (s *session) deliver(ctx context.Context, l *ledger, generation uint32, items []item, refs map[string]mailroom.BlobRef, fresh []mailroom.BlobRef, bulk bool, run *runLog) error {
	err := s.deliverOnce(ctx, l, generation, items, refs, fresh, bulk, run)
	switch {
	case err == nil, errors.Is(err, errStale), errors.Is(err, mailroom.ErrFenced), ctx.Err() != nil:
		return err
	case mailroom.KindOf(err) == mailroom.Conflict:
		// Raw mail that was known has been swept meanwhile. Nothing was filed, so
		// it is still backlog and comes again, with its bytes.
		s.log.Info("raw mail has gone meanwhile", "mapping", l.mapping.ID, "error", err)
		return nil
	case mailroom.KindOf(err) == mailroom.NotFound:
		return errRemapped // the mapping was taken away meanwhile
	case mailroom.KindOf(err) == mailroom.Unavailable:
		return storeErr(err)
	case len(items) == 1 && items[0].reason != nil:
		return storeErr(err) // not even the note that it is bad: it is not the mail
	case len(items) == 1:
		s.log.Warn("mail cannot be filed", "mapping", l.mapping.ID, "uid", items[0].mail.UID, "error", err)
		it := items[0]
		it.reason = &mailroom.Problem{Kind: mailroom.Internal, Key: keyUnfilable, Since: s.now()}
		return s.deliver(ctx, l, generation, []item{it}, refs, fresh, bulk, run)
	}
	half := len(items) / 2
	if err := s.deliver(ctx, l, generation, items[:half], refs, fresh, bulk, run); err != nil {
		return err
	}
	return s.deliver(ctx, l, generation, items[half:], refs, fresh, bulk, run)
}

func (s *session) deliverOnce(ctx context.Context, l *ledger, generation uint32, items []item, refs map[string]mailroom.BlobRef, fresh []mailroom.BlobRef, bulk bool, run *runLog) error {
	now := s.now()
	b := mailroom.Batch{
		Mapping: l.mapping, Owner: s.work.Mailbox.Address, UserID: s.work.Mailbox.UserID,
		Bulk: bulk,
	}
	wanted := map[string]bool{}
	var placed, quarantined []uint32
	for _, it := range items {
		wanted[it.hash] = true
		if it.reason != nil {
			quarantined = append(quarantined, it.mail.UID)
			b.Quarantined = append(b.Quarantined, s.quarantine(l, generation, it, now))
			continue
		}
		placed = append(placed, it.mail.UID)
		b.Mails = append(b.Mails, mailroom.Mail{Message: it.msg, Blob: refs[it.hash], Placement: mailroom.Placement{
			MailboxID: l.mapping.MailboxID, MappingID: l.mapping.ID, RawName: l.mapping.RawName,
			UIDValidity: generation, UID: it.mail.UID, Flags: it.mail.Flags, ModSeq: it.mail.ModSeq,
		}})
	}
	for _, ref := range fresh {
		if wanted[ref.Hash] {
			b.Blobs = append(b.Blobs, ref)
		}
	}
	in, bad := mailroom.UIDs(placed...), mailroom.UIDs(quarantined...)

	l.write.Lock()
	defer l.write.Unlock()
	if l.generation() != generation {
		return errStale
	}
	b.Progress = l.after(in, bad)
	if _, err := s.k.Store.Deliver(ctx, s.claim, b); err != nil {
		return err
	}
	l.filed(in, bad, now)
	s.moving()
	run.filed(ctx, len(b.Mails), len(b.Quarantined))
	s.k.counters.batches.Add(1)
	s.k.counters.stored.Add(int64(len(b.Mails)))
	s.k.counters.quarantined.Add(int64(len(b.Quarantined)))
	return nil
}

func (s *session) quarantine(l *ledger, generation uint32, it item, now time.Time) mailroom.Quarantine {
	n := l.attempt(it.mail.UID)
	size := it.mail.Size
	return mailroom.Quarantine{
		ID: mailroom.NewID(mailroom.PrefixQuarantine), OrgID: s.work.Mailbox.OrgID,
		MailboxID: l.mapping.MailboxID, MappingID: l.mapping.ID, RawName: l.mapping.RawName,
		UIDValidity: generation, UID: it.mail.UID, RawHash: it.hash, Size: size,
		Reason: *it.reason, Attempts: n, RetryAt: now.Add(retryQuarantine(it.reason.Key, n)), CreatedAt: now,
	}
}
