package portal

import (
	"context"
	"sync"
	"time"

	"mailroom/internal/mailroom"
)

// Probing is how far a look at one's own mailbox, step by step, has come.
type Probing struct {
	Mailbox mailroom.Mailbox
	Checks  []mailroom.Check
	Running bool
	Began   time.Time
}

// probeKept is how long an outcome is shown before a page has it tried again.
const probeKept = 2 * time.Minute

// probes are those under way in this process, and their outcomes for a while. A
// page that another node answers makes its own: it costs one sign-in.
type probes struct {
	mu sync.Mutex
	by map[string]*Probing // by mailbox
}

// Probe has one's mailbox tried step by step, unless that is under way or was done
// just now, and says how far it has come. again has it tried whatever is known.
// Nobody is kept waiting: whoever wants the rest asks again.
func (p *Portal) Probe(ctx context.Context, u mailroom.User, again bool) (Probing, error) {
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return Probing{}, err
	}
	if !row.Ready() {
		return Probing{Mailbox: row.Mailbox}, nil
	}
	p.probes.mu.Lock()
	defer p.probes.mu.Unlock()
	for id, old := range p.probes.by {
		if !old.Running && p.now().Sub(old.Began) > probeKept {
			delete(p.probes.by, id)
		}
	}
	now := p.probes.by[row.Mailbox.ID]
	if now == nil || again && !now.Running {
		now = &Probing{Mailbox: row.Mailbox, Running: true, Began: p.now()}
		p.probes.by[row.Mailbox.ID] = now
		// The browser may go; what was begun is finished.
		go p.probe(context.WithoutCancel(ctx), row.Mailbox, now)
	}
	return *now, nil
}

func (p *Portal) probe(ctx context.Context, m mailroom.Mailbox, to *Probing) {
	tell := func(cs []mailroom.Check) {
		for i, c := range cs {
			if c.Problem != nil && c.Problem.Key == "imap.error.not_connected" {
				cs[i].Problem = p.notConnected(ctx, m, *c.Problem)
			}
			p.sign(ctx, m, cs[i].Problem)
		}
		p.probes.mu.Lock()
		to.Checks = cs
		p.probes.mu.Unlock()
	}
	done := p.d.Probe(ctx, m, tell)
	tell(done)
	p.probes.mu.Lock()
	to.Running = false
	p.probes.mu.Unlock()
}

const (
	// readLately is how fresh a proof must be to show that a connection of ours is
	// open in the mailbox at this moment.
	readLately = 2 * time.Minute
	// licenceKnown is how long a look at one's own licence is taken for true.
	licenceKnown = 24 * time.Hour
)

// notConnected tells apart what Exchange says with one sentence, as far as it can
// be seen from here (docs/providers.md 3.4): the mailbox is being read, so it opens,
// and this was one connection too many; a shared mailbox opened when it was chosen,
// so the right to it is gone; a look at the licence showed whether there is a
// mailbox in it. Else the words name all that it can be.
func (p *Portal) notConnected(ctx context.Context, m mailroom.Mailbox, pr mailroom.Problem) *mailroom.Problem {
	if rows, err := p.mappingRows(ctx, m.ID); err == nil && p.now().Sub(OldestProof(rows)) < readLately {
		pr.Kind, pr.Key = mailroom.Unavailable, "imap.error.too_many"
		return &pr
	}
	grant, _ := p.d.Store.Grant(ctx, m.OrgID, m.ID) // a password account has none
	if grant.Via == mailroom.ViaShared {
		pr.Key, pr.Args = "imap.error.not_shared", map[string]any{"account": grant.Account, "mailbox": m.Address}
		return &pr
	}
	report, err := p.d.Store.SelfReport(ctx, m.OrgID, m.ID)
	if err != nil || p.now().Sub(report.At) > licenceKnown {
		return &pr
	}
	for _, c := range report.Checks {
		switch {
		case c.Name != "doctor.check.licence":
		case c.Result == mailroom.CheckFailed:
			pr.Key, pr.Args = "imap.error.no_licence", map[string]any{"mailbox": m.Address}
		case c.Result == mailroom.CheckOK:
			pr.Key, pr.Args = "imap.error.likely_off", map[string]any{"mailbox": m.Address}
		}
	}
	return &pr
}
