package syncer

import (
	"cmp"
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
	size   int64             // octets that came
	readAt time.Time         // when they had come
	at     time.Time         // when it was parsed
}

// reading is one FETCH on its way into the store: a fetcher (the caller's
// goroutine), parsers, a cutter that makes batches and keeps their raw mail, and
// a filer that has one transaction under way while the next batch is made.
type reading struct {
	s          *session
	l          *ledger
	lane       lane
	generation uint32
	run        *runLog

	fetched  chan item
	parsed   chan item
	kept     chan batch
	answered []uint32
	names    map[string]bool // raw mail that this reading has kept
}

// read fetches set and files what comes. It returns the UIDs that answered; a
// UID that did not is neither filed nor forgotten.
func (s *session) read(ctx context.Context, conn Conn, l *ledger, set mailroom.UIDSet, ln lane, run *runLog) (mailroom.UIDSet, error) {
	defer l.fly(set)()
	// While a batch is being filed the next one gathers, as far as the budget goes.
	ahead := int(min(set.Len(), int64(s.k.BatchMails)))
	r := &reading{s: s, l: l, lane: ln, generation: l.generation(), run: run, names: map[string]bool{},
		fetched: make(chan item, parsers), parsed: make(chan item, ahead), kept: make(chan batch)}
	fetchCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// What is fetched when the program is told to stop is still filed.
	graceCtx, done := s.grace(ctx)
	defer done()
	fileCtx, fail := context.WithCancelCause(graceCtx)
	defer fail(nil)
	failed := func(err error) {
		if err != nil {
			fail(err)
			stop(err)
		}
	}
	var stages sync.WaitGroup
	for range parsers {
		stages.Go(r.parse)
	}
	var cutErr, fileErr error
	var end sync.WaitGroup
	end.Go(func() {
		cutErr = s.safely(func() error { return r.cut(fileCtx) })
		failed(cutErr)
		r.drain()
		close(r.kept)
	})
	end.Go(func() {
		for b := range r.kept {
			if fileErr == nil {
				fileErr = s.safely(func() error { return s.deliver(fileCtx, l, r.generation, b, run) })
				failed(fileErr)
			}
		}
	})
	fetchErr := s.safely(func() error { return r.fetch(fetchCtx, conn, set) })
	stop(errFetched)
	close(r.fetched)
	stages.Wait()
	close(r.parsed)
	end.Wait()
	if err := cmp.Or(fileErr, cutErr); err != nil {
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
func (r *reading) fetch(ctx context.Context, conn Conn, set mailroom.UIDSet) error {
	return conn.Fetch(ctx, set, func(m mailroom.FetchedMail) error {
		if ctx.Err() != nil { // also an answer that comes when Fetch has given up
			if m.Release != nil {
				m.Release()
			}
			return context.Cause(ctx)
		}
		r.s.moving()
		n := int64(len(m.Raw))
		it := item{mail: m, weight: min(n, r.lane.most), size: n, readAt: r.s.now()}
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
		it.at = r.s.now()
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
		s.log.Warn("mail cannot be read", "uid", m.UID)
		s.log.Debug("mail cannot be read", "uid", m.UID, "error", err)
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
	err = s.safely(func() error {
		m, err = s.k.Parse(raw)
		return err
	})
	return m, err
}

// safely makes an error of a panic: one mailbox's bad luck is not the others'.
func (s *session) safely(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.k.counters.panics.Add(1)
			err = mailroom.E(mailroom.Internal, "error.internal", fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return do()
}

// cut makes batches of what the parsers give: the live lane of whatever is there
// as soon as it is there, the bulk lane waits a little for more.
func (r *reading) cut(ctx context.Context) error {
	t := &r.s.k.Tuning
	var items []item
	var size int64
	defer func() { releaseAll(items, r.lane) }()
	flush := func() error {
		if len(items) == 0 {
			return nil
		}
		b, err := r.keep(ctx, items)
		items, size = nil, 0
		if err != nil {
			return err
		}
		r.kept <- b // which is read to its end, whatever happens
		return nil
	}
	var late <-chan time.Time
	waited := false
	for {
		select {
		case it, ok := <-r.parsed:
			if !ok {
				return flush()
			}
			if r.lane.bulk && late == nil && !waited {
				late = time.After(t.BatchWait - r.s.now().Sub(it.at))
			}
			items = append(items, it)
			size += int64(len(it.mail.Raw))
		case <-late:
			late, waited = nil, true
		}
		full := len(items) >= t.BatchMails || size >= t.BatchBytes
		if !full && (len(r.parsed) > 0 || r.lane.bulk && !waited) {
			continue
		}
		late, waited = nil, false
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
