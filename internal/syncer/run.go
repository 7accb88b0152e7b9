package syncer

import (
	"context"

	"mailroom/internal/mailroom"
)

// runLog tells people afterwards of one reading of one mapping. A reading that
// found nothing leaves no trace. What cannot be told is logged; it stops nothing.
type runLog struct {
	s    *session
	open bool
	run  mailroom.SyncRun
}

func (s *session) newRun(m mailroom.Mapping) *runLog {
	return &runLog{s: s, run: mailroom.SyncRun{OrgID: m.OrgID, MailboxID: m.MailboxID, MappingID: m.ID}}
}

func (r *runLog) start(ctx context.Context) {
	if r.open {
		return
	}
	r.open = true
	r.run.ID, r.run.StartedAt = mailroom.NewID(mailroom.PrefixRun), r.s.now()
	if err := r.s.k.Store.StartRun(ctx, r.run); err != nil {
		r.s.log.Warn("start of run not recorded", "run", r.run.ID, "error", err)
	}
}

func (r *runLog) read(bytes int64) { r.run.Bytes += bytes }

func (r *runLog) filed(stored, quarantined int) {
	r.run.Stored += int64(stored)
	r.run.Quarantined += int64(quarantined)
}

// finish closes the run; problem, if any, is worth a run of its own.
func (r *runLog) finish(ctx context.Context, problem *mailroom.Problem) {
	if problem != nil {
		r.start(ctx)
	}
	if !r.open {
		return
	}
	r.run.EndedAt, r.run.Problem = r.s.now(), problem
	if err := r.s.k.Store.FinishRun(ctx, r.run); err != nil {
		r.s.log.Warn("end of run not recorded", "run", r.run.ID, "error", err)
	}
	*r = *r.s.newRun(mailroom.Mapping{OrgID: r.run.OrgID, MailboxID: r.run.MailboxID, ID: r.run.MappingID})
}
