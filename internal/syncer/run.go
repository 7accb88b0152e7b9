package syncer

import (
	"context"
	"sync"

	"mailroom/internal/mailroom"
)

// runLog tells people afterwards of one reading of one mapping. Both lanes
// write into the one that is open; the last to leave closes it. A reading that
// found nothing leaves no trace. What cannot be told is logged; it stops nothing.
type runLog struct {
	s *session
	l *ledger

	mu    sync.Mutex
	users int
	open  bool
	run   mailroom.SyncRun
}

// joinRun is the mapping's reading under way, or a new one. It must be left.
func (s *session) joinRun(l *ledger) *runLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.run == nil {
		m := l.mapping
		l.run = &runLog{s: s, l: l, run: mailroom.SyncRun{OrgID: m.OrgID, MailboxID: m.MailboxID, MappingID: m.ID, StartedAt: s.now()}}
	}
	l.run.users++
	return l.run
}

// start records the run the first time something comes of it.
func (r *runLog) start(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open {
		return
	}
	r.open = true
	r.run.ID = mailroom.NewID(mailroom.PrefixRun)
	if err := r.s.k.Store.StartRun(ctx, r.run); err != nil {
		r.s.log.Warn("start of run not recorded", "run", r.run.ID, cause(err))
	}
}

func (r *runLog) read(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.Bytes += bytes
}

// filed notes what a batch brought.
func (r *runLog) filed(ctx context.Context, stored, quarantined int) {
	r.start(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.Stored += int64(stored)
	r.run.Quarantined += int64(quarantined)
}

// failed notes a problem, which is worth a run of its own.
func (r *runLog) failed(ctx context.Context, problem *mailroom.Problem) {
	r.start(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.Problem = problem
}

// leave closes the run when the other lane has left it too.
func (r *runLog) leave(ctx context.Context) {
	r.l.mu.Lock()
	r.users--
	last := r.users == 0
	if last {
		r.l.run = nil
	}
	r.l.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !last || !r.open {
		return
	}
	r.run.EndedAt = r.s.now()
	if err := r.s.k.Store.FinishRun(ctx, r.run); err != nil {
		r.s.log.Warn("end of run not recorded", "run", r.run.ID, cause(err))
	}
}
