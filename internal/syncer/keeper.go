package syncer

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"mailroom/internal/mailroom"
)

// Keeper reads mailboxes on one node.
type Keeper struct {
	Config
	counters counters
	born     time.Time    // from which the clock is read that nobody sets
	stopBy   atomic.Int64 // since born; 0 while the program runs

	bulkSlots *semaphore.Weighted
	bulkBytes *semaphore.Weighted
	liveBytes *semaphore.Weighted

	mu    sync.Mutex
	held  map[string]*holding
	rests map[string]time.Time // by mailbox id: not started again before
	// opening counts those who sign in at a time, by provider.
	opening map[string]*semaphore.Weighted
	share   int // mailboxes that are this node's part
	over    int // renewals in a row that found more than that held
	all     sync.WaitGroup
	ended   chan struct{} // a session has ended: there is room, and maybe work
}

// holding is a claim with the session that it is for.
type holding struct {
	claim   mailroom.Claim
	session *session
	cancel  context.CancelCauseFunc
	done    chan struct{}
	stalled bool // it was found not to move
	handed  bool // it is on its way to another node
}

// New makes a Keeper, which does nothing until Run.
func New(c Config) *Keeper {
	c = c.withDefaults()
	return &Keeper{
		Config:    c,
		opening:   map[string]*semaphore.Weighted{},
		bulkSlots: semaphore.NewWeighted(int64(c.BulkLanes)),
		bulkBytes: semaphore.NewWeighted(c.BulkBudget),
		liveBytes: semaphore.NewWeighted(c.LiveBudget),
		held:      map[string]*holding{},
		rests:     map[string]time.Time{},
		ended:     make(chan struct{}, 1),
		born:      time.Now(),
		share:     c.Sessions,
	}
}

func (k *Keeper) bulkLane() lane {
	return lane{bulk: true, budget: k.bulkBytes, most: k.BulkBudget}
}

func (k *Keeper) liveLane() lane {
	return lane{budget: k.liveBytes, most: k.LiveBudget}
}

// open waits for a place among the mailbox's connections and signs in.
func (k *Keeper) open(ctx context.Context, m mailroom.Mailbox, is purpose) (*line, error) {
	seat, err := k.Budget.take(ctx, m, is)
	if err != nil {
		return nil, err
	}
	return k.openAt(ctx, m, seat)
}

// openAt signs in at a place, which is given back when that fails.
func (k *Keeper) openAt(ctx context.Context, m mailroom.Mailbox, seat *seat) (*line, error) {
	signedIn := false
	defer func() {
		if !signedIn { // also when Open panics
			seat.leave()
		}
	}()
	conn, err := k.signIn(ctx, m)
	if err != nil {
		return nil, err
	}
	signedIn = true
	return &line{conn, seat}, nil
}

// signIn opens a connection; at each provider a few mailboxes at a time.
func (k *Keeper) signIn(ctx context.Context, m mailroom.Mailbox) (Conn, error) {
	gate := k.gate(m)
	if err := gate.Acquire(ctx, 1); err != nil {
		return nil, context.Cause(ctx)
	}
	defer gate.Release(1)
	return k.Open(ctx, m)
}

// gate is where those wait who sign in to the mailbox's provider.
func (k *Keeper) gate(m mailroom.Mailbox) *semaphore.Weighted {
	limits := k.Budget.limits(m)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.opening[limits.Provider] == nil {
		k.opening[limits.Provider] = semaphore.NewWeighted(int64(cmp.Or(max(limits.SignIns, 0), k.Opening)))
	}
	return k.opening[limits.Provider]
}

// Run claims mailboxes and reads them until ctx ends; then it lets every session
// finish its batch, gives the leases back and returns nil. Signals of the store
// make it quick, polling makes it sure.
func (k *Keeper) Run(ctx context.Context) error {
	wake, stop := k.Store.Watch("work")
	defer stop()
	tick := time.NewTicker(k.ClaimEvery)
	defer tick.Stop()
	// By the clock that nobody sets, as all that only this process waits for.
	var renewed time.Time
	lastGood := time.Now()
	for ctx.Err() == nil {
		if now := time.Now(); now.Sub(renewed) >= k.Renew {
			renewed = now
			switch err := k.renew(ctx); {
			case err == nil:
				lastGood = now
			case now.Sub(lastGood) >= k.Lease:
				// The leases have run out while the database was away.
				k.dropAll(mailroom.ErrFenced)
			}
			k.watchdog()
			k.shareOut(ctx)
		}
		k.listen(ctx)
		k.claim(ctx)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-k.ended:
		case <-tick.C:
		}
	}
	k.stop()
	return nil
}

// stop lets every session finish what it has in hand, within Grace and a little,
// and tells the other nodes.
func (k *Keeper) stop() {
	k.stopBy.Store(int64(time.Since(k.born) + k.Grace))
	k.dropAll(errStopping)
	ended := make(chan struct{})
	go func() {
		k.all.Wait()
		close(ended)
	}()
	last := time.NewTimer(k.Grace + 2*lastWord)
	defer last.Stop()
	select {
	case <-ended:
	case <-last.C:
		k.Log.Error("sessions do not end")
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastWord)
	defer cancel()
	if err := k.Store.Leave(ctx, k.Node); err != nil {
		k.Log.Warn("the other nodes are not told", cause(err))
	}
}

// lastWord is how long a write may take by which a lease is given back at
// shutdown; else it runs out.
const lastWord = 2 * time.Second

// graceLeft is what is left of Grace: all of it, unless the program is stopping.
func (k *Keeper) graceLeft() time.Duration {
	if by := k.stopBy.Load(); by != 0 {
		return max(time.Duration(by)-time.Since(k.born), 0)
	}
	return k.Grace
}

// renew keeps the leases and drops what is lost.
func (k *Keeper) renew(ctx context.Context) error {
	k.mu.Lock()
	var claims []mailroom.Claim
	for _, h := range k.held {
		claims = append(claims, h.claim)
	}
	k.mu.Unlock()
	if len(claims) == 0 {
		k.counters.lastRenewal.Store(mailroom.Micros(k.Now()))
		return nil
	}
	kept, err := k.Store.RenewLeases(ctx, k.Node, claims, k.Lease, k.Now())
	if err != nil {
		k.Log.Warn("leases not renewed", cause(err))
		return err
	}
	k.counters.lastRenewal.Store(mailroom.Micros(k.Now()))
	holds := map[mailroom.Claim]bool{}
	for _, c := range kept {
		holds[c] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range claims {
		if h := k.held[c.MailboxID]; !holds[c] && h != nil && h.claim == c {
			k.Log.Warn("lease lost", "mailbox", c.MailboxID)
			h.cancel(mailroom.ErrFenced)
		}
	}
	return nil
}

// keyStalled: the session did not move.
const keyStalled = "sync.error.stalled"

// watchdog starts sessions again that do not move. One that does not even end is
// let go of: its lease runs out and its fence keeps it from doing harm.
func (k *Keeper) watchdog() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, h := range k.held {
		still := time.Since(k.born) - time.Duration(h.session.moved.Load())
		if still <= k.Stalled {
			continue
		}
		k.Log.Error("session does not move", "mailbox", id, "still", still)
		if !h.stalled {
			h.stalled = true
			k.counters.stalled.Add(1)
		}
		h.cancel(mailroom.E(mailroom.Unavailable, keyStalled))
		if still > k.Stalled+k.Lease {
			delete(k.held, id)
			k.all.Go(func() { k.letGo(h.claim) })
		}
	}
}

// letGo gives back the lease of a session that does not end by itself, and says
// why the mailbox stands still.
func (k *Keeper) letGo(c mailroom.Claim) {
	now := k.Now()
	p := &mailroom.Problem{Kind: mailroom.Unavailable, Key: keyStalled, Since: now}
	p.Until = now.Add(backoff(p.Kind, 1, k.Jitter()))
	ctx, cancel := context.WithTimeout(context.Background(), k.Grace)
	defer cancel()
	if err := k.Store.Release(ctx, c, p.Until, p, 1); err != nil && !errors.Is(err, mailroom.ErrFenced) {
		k.Log.Warn("lease not given back", "mailbox", c.MailboxID, cause(err))
	}
}

// listen passes on what people ask of the mailboxes held here.
func (k *Keeper) listen(ctx context.Context) {
	k.mu.Lock()
	n := len(k.held)
	k.mu.Unlock()
	if n == 0 {
		return
	}
	signals, err := k.Store.Wanted(ctx, k.Node)
	if err != nil {
		if ctx.Err() == nil {
			k.Log.Warn("cannot see what is wanted", cause(err))
		}
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, h := range k.held {
		switch sig, ok := signals[id]; {
		case !ok: // taken away: revoked, paused, or another node's
			h.cancel(mailroom.ErrFenced)
		case sig.Stop:
			h.cancel(errStopped)
		default:
			h.session.tell(sig)
		}
	}
}

// claim takes on mailboxes while there is room.
func (k *Keeper) claim(ctx context.Context) {
	const atOnce = 64
	for {
		k.mu.Lock()
		room := min(k.Sessions-len(k.held), k.share-len(k.held), atOnce)
		k.mu.Unlock()
		if room <= 0 || ctx.Err() != nil {
			return
		}
		claims, err := k.Store.ClaimMailboxes(ctx, k.Node, k.Lease, room, k.Now())
		if err != nil {
			if ctx.Err() == nil {
				k.Log.Warn("cannot claim mailboxes", cause(err))
			}
			return
		}
		for _, c := range claims {
			k.start(ctx, c)
		}
		if len(claims) < room {
			return
		}
	}
}

// start runs a session for a claim. Our own earlier session of that mailbox, if
// there still is one, has lost its fence and is waited for.
func (k *Keeper) start(ctx context.Context, c mailroom.Claim) {
	sessionCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	h := &holding{claim: c, cancel: cancel, done: make(chan struct{}),
		session: &session{k: k, claim: c, log: k.Log.With("mailbox", c.MailboxID)}}
	h.session.moving()
	k.mu.Lock()
	before := k.held[c.MailboxID]
	k.held[c.MailboxID] = h
	rest := k.rests[c.MailboxID]
	delete(k.rests, c.MailboxID)
	k.mu.Unlock()
	k.counters.sessions.Add(1)
	k.all.Go(func() {
		defer k.finished(h)
		if before != nil {
			before.cancel(mailroom.ErrFenced)
			<-before.done
		}
		if !sleep(sessionCtx, time.Until(rest)) {
			k.release(h, context.Cause(sessionCtx))
			return
		}
		k.release(h, h.session.safely(func() error { return h.session.run(sessionCtx) }))
	})
}

// sleep waits for d, false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (k *Keeper) finished(h *holding) {
	k.counters.sessions.Add(-1)
	close(h.done)
	k.mu.Lock()
	if k.held[h.claim.MailboxID] == h {
		delete(k.held, h.claim.MailboxID)
	}
	k.mu.Unlock()
	select {
	case k.ended <- struct{}{}:
	default:
	}
}

// release gives the lease back with what is to happen next.
func (k *Keeper) release(h *holding, err error) {
	h.cancel(err)
	if errors.Is(err, mailroom.ErrFenced) {
		return
	}
	now := k.Now()
	k.Budget.Heed(h.claim.MailboxID, err)
	e := h.session.ending(err, now)
	if e.restless {
		k.mu.Lock()
		k.rests[h.claim.MailboxID] = time.Now().Add(time.Second)
		k.mu.Unlock()
	}
	if e.problem != nil {
		k.counters.failed(e.problem.Kind)
		k.Log.LogAttrs(context.Background(), slog.LevelWarn, "reading ended", slog.String("mailbox", h.claim.MailboxID),
			slog.String("kind", string(e.problem.Kind)), slog.Int("failures", e.failures),
			slog.Duration("pause", e.retryAt.Sub(now)), cause(err))
		k.Log.Debug("reading ended", "mailbox", h.claim.MailboxID, "error", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), max(k.graceLeft(), lastWord))
	defer cancel()
	if e.answer > 0 {
		if err := k.Store.Answered(ctx, h.claim, e.answer); err != nil {
			k.Log.Warn("not marked as answered", "mailbox", h.claim.MailboxID, cause(err))
		}
	}
	if err := k.Store.Release(ctx, h.claim, e.retryAt, e.problem, e.failures); err != nil && !errors.Is(err, mailroom.ErrFenced) {
		k.Log.Warn("lease not given back", "mailbox", h.claim.MailboxID, cause(err))
	}
}

func (k *Keeper) dropAll(cause error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range k.held {
		h.cancel(cause)
	}
}
