package access

import (
	"context"
	"hash/fnv"
	"time"

	"mailroom/internal/mailroom"
)

const (
	// keepFreshAfter is the age at which a token that nobody used is refreshed: at
	// Microsoft a refresh token dies after 90 days without use (docs/providers.md 2.8),
	// elsewhere sooner.
	keepFreshAfter = 7 * 24 * time.Hour
	// keepFreshEvery is how often it is looked for such grants.
	keepFreshEvery = time.Hour
	// keepFreshBatch are read at a time.
	keepFreshBatch = 100
	// faultsMost is after how many faults in a row a provider is left alone until the
	// next time.
	faultsMost = 3
)

// KeptFresh is what one look at the grants that nobody uses came to.
type KeptFresh struct {
	Refreshed int
	Refused   int // the provider says that a person has to act
	Faults    int // pass by themselves: tried again at the next look
}

// KeepFresh refreshes the grants whose tokens have not been used for a week, so
// that a holiday, or a mailbox that is paused, breaks nothing: those of mailboxes
// that are neither retired nor waiting for somebody to act, whose user is not shut
// out. When they are due is spread over a day. Every node may do it: the lease of
// a refresh has each done once.
func (a *Access) KeepFresh(ctx context.Context) (out KeptFresh, err error) {
	now := a.Now()
	faults := map[string]int{} // by provider, in a row
	for after := ""; ; {
		grants, err := a.Store.IdleGrants(ctx, now.Add(-leastFresh), after, keepFreshBatch)
		if err != nil || len(grants) == 0 {
			return out, err
		}
		after = grants[len(grants)-1].ID
		for _, g := range grants {
			provider := g.OrgID + " " + g.ProviderID
			if faults[provider] >= faultsMost || now.Sub(g.RefreshedAt) < a.idleFor(ctx, g) {
				continue
			}
			_, _, err := a.renewed(ctx, g.MailboxID, func(c mailroom.Credentials) bool {
				return c.Grant.ID != g.ID || c.Grant.RefreshedAt.After(g.RefreshedAt)
			})
			switch kind := mailroom.KindOf(err); {
			case ctx.Err() != nil:
				return out, ctx.Err()
			case err == nil:
				out.Refreshed++
				faults[provider] = 0
			case kind == mailroom.NeedsConsent || kind == mailroom.NeedsAdmin:
				out.Refused++
				faults[provider] = 0
			default:
				out.Faults++
				faults[provider]++
			}
		}
	}
}

// leastFresh is the age below which no grant is looked at.
const leastFresh = 24 * time.Hour

// idleFor is how long a grant may lie unused: a week, or a third of what its
// provider's refresh tokens live, less up to a seventh by which those that were
// granted together are spread.
func (a *Access) idleFor(ctx context.Context, g mailroom.Grant) time.Duration {
	d := keepFreshAfter
	if offered, err := a.Providers(ctx, g.OrgID); err == nil {
		if p, ok := offered.ByID(g.ProviderID); ok && p.RefreshDays > 0 {
			d = min(d, time.Duration(p.RefreshDays)*24*time.Hour/3)
		}
	}
	h := fnv.New32a()
	h.Write([]byte(g.ID))
	return max(d-time.Duration(float64(d)/7*float64(h.Sum32())/(1<<32)), leastFresh)
}

// keepFresh does it now and then until ctx ends.
func (a *Access) keepFresh(ctx context.Context) {
	tick := time.NewTicker(keepFreshEvery)
	defer tick.Stop()
	for {
		did, err := a.KeepFresh(ctx)
		if err != nil && ctx.Err() == nil {
			a.Log.Warn("grants that nobody uses are not kept fresh", "err", err)
		} else if did != (KeptFresh{}) {
			a.Log.Info("grants that nobody used kept fresh", "refreshed", did.Refreshed, "refused", did.Refused, "faults", did.Faults)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
