// Package notice foresees what will break, notices who needs somebody, and tells
// them once: at 30, 7 and 1 day, on failing and on recovering.
//
// It carries nothing itself (courier does) and mends nothing. Of a provider's
// fault that hits many mailboxes it tells nobody: those need nobody
// (mailroom.ProviderFault).
package notice

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
)

// Store keeps who was told what. Each method is one transaction.
type Store interface {
	Organizations(context.Context) ([]mailroom.Organization, error)
	Users(ctx context.Context, orgID string) ([]mailroom.User, error)
	NeedyMailboxes(ctx context.Context, orgID string, ids []string) ([]mailroom.NeedyMailbox, error)
	AgingGrants(ctx context.Context, orgID, providerID string, before time.Time) ([]mailroom.AgingGrant, error)
	ExpiringCredentials(ctx context.Context, orgID string) ([]mailroom.Credential, error)
	Notices(ctx context.Context, orgID string, limit int) ([]mailroom.Notice, error)
	PlanNotices(ctx context.Context, add []mailroom.Notice, drop []string) (added int64, err error)
	ClaimNotices(ctx context.Context, until time.Time, pause time.Duration) ([]mailroom.Notice, error)
	SettleNotices(ctx context.Context, claimed []mailroom.Notice, sent, retry time.Time, why *mailroom.Problem) error
}

// Letter is a mail to one person.
type Letter struct {
	ID, To, Name, Language, Subject, Text string
	At                                    time.Time
}

// Event is what the webhook is told.
type Event struct {
	Type string
	At   time.Time
	Data map[string]any
}

// Key is a key-encryption key as far as its age goes.
type Key struct {
	ID    string
	Made  time.Time // zero when nobody knows
	Seals bool
}

// Deps are the doors and settings of a Teller.
type Deps struct {
	Store     Store
	Providers mailroom.ProvidersOf
	Keys      func() []Key
	Texts     *i18n.Bundle
	// Mail and Post carry; nil where there is no mail server or webhook. MailVia and
	// PostVia name them for the page.
	Mail             func(context.Context, Letter) error
	Post             func(ctx context.Context, id string, e Event) error
	MailVia, PostVia string
	BaseURL          func() string
	Settle           time.Duration // trouble that passes before is told to nobody; 0 for 15 minutes
	Later            time.Duration // when those are told who cannot mend it; 0 for a day
	Location         *time.Location
	Now              func() time.Time
	Log              *slog.Logger
}

// Teller tells. It is safe for concurrent use.
type Teller struct {
	d Deps

	mu      sync.Mutex
	outlook Outlook
}

// Outlook is what was foreseen last, for measuring.
type Outlook struct {
	At       time.Time
	Expiries []mailroom.Expiry     // of all organizations
	Needy    map[mailroom.Kind]int // mailboxes that wait for somebody
	Sent     map[string]int64      // notices of this process by channel: "mail", "webhook"
	Failed   map[string]int64      // attempts that failed
}

// New makes a Teller.
func New(d Deps) *Teller {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Location == nil {
		d.Location = time.Local
	}
	if d.Settle == 0 {
		d.Settle = 15 * time.Minute
	}
	if d.Later == 0 {
		d.Later = 24 * time.Hour
	}
	return &Teller{d: d, outlook: Outlook{Sent: map[string]int64{}, Failed: map[string]int64{}}}
}

func (t *Teller) now() time.Time { return t.d.Now().UTC().Truncate(time.Microsecond) }

// Every is how often facts are looked at.
const Every = time.Minute

// Run looks and tells until ctx ends.
func (t *Teller) Run(ctx context.Context) error {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		if err := t.Once(ctx); err != nil && ctx.Err() == nil {
			t.d.Log.Warn("notices", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Once looks at every organization, and sends what is due.
func (t *Teller) Once(ctx context.Context) error {
	orgs, err := t.d.Store.Organizations(ctx)
	if err != nil {
		return err
	}
	var errs []error
	var expiries []mailroom.Expiry
	needy := map[mailroom.Kind]int{}
	for _, o := range orgs {
		seen, err := t.look(ctx, o.ID)
		errs = append(errs, err)
		expiries = append(expiries, seen.expiries...)
		for _, m := range seen.mailboxes {
			if m.Problem != nil && m.Problem.Kind.NeedsSomebody() {
				needy[m.Problem.Kind]++
			}
		}
	}
	t.mu.Lock()
	t.outlook.At, t.outlook.Expiries, t.outlook.Needy = t.now(), expiries, needy
	t.mu.Unlock()
	errs = append(errs, t.deliver(ctx))
	return errors.Join(errs...)
}

// Outlook is what was foreseen last.
func (t *Teller) Outlook() Outlook {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.outlook
	o.Sent, o.Failed = map[string]int64{}, map[string]int64{}
	for k, v := range t.outlook.Sent {
		o.Sent[k] = v
	}
	for k, v := range t.outlook.Failed {
		o.Failed[k] = v
	}
	return o
}

func (t *Teller) count(of func(*Outlook) map[string]int64, channel string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of(&t.outlook)[channel] += int64(n)
}

// Foresee lists what will break in an organization, soonest first.
func (t *Teller) Foresee(ctx context.Context, orgID string) ([]mailroom.Expiry, error) {
	offered, err := t.d.Providers(ctx, orgID)
	if err != nil {
		return nil, err
	}
	k := known{providers: offered, grants: map[string][]mailroom.AgingGrant{}}
	if t.d.Keys != nil {
		k.keys = t.d.Keys()
	}
	if k.credentials, err = t.d.Store.ExpiringCredentials(ctx, orgID); err != nil {
		return nil, err
	}
	for _, p := range offered {
		if before, grows := agingBefore(p, t.now()); grows && p.Configured() {
			if k.grants[p.ID], err = t.d.Store.AgingGrants(ctx, orgID, p.ID, before); err != nil {
				return nil, err
			}
		}
	}
	return foresee(k), nil
}

// look gathers the facts of an organization and plans what follows from them.
// Without a way to tell anybody nothing is planned: what stands when there is one
// is told then.
func (t *Teller) look(ctx context.Context, orgID string) (facts, error) {
	f := facts{orgID: orgID, at: t.now(), mail: t.d.Mail != nil, webhook: t.d.Post != nil, settle: t.d.Settle, later: t.d.Later}
	var err error
	if f.expiries, err = t.Foresee(ctx, orgID); err != nil {
		return f, err
	}
	if f.told, err = t.d.Store.Notices(ctx, orgID, 0); err != nil {
		return f, err
	}
	if f.mailboxes, err = t.d.Store.NeedyMailboxes(ctx, orgID, episodes(f.told)); err != nil {
		return f, err
	}
	if !f.mail && !f.webhook {
		return f, nil
	}
	users, err := t.d.Store.Users(ctx, orgID)
	if err != nil {
		return f, err
	}
	for _, u := range users {
		if u.IsAdmin() && u.DisabledAt.IsZero() {
			f.admins = append(f.admins, u)
		}
	}
	add, drop := plan(f)
	_, err = t.d.Store.PlanNotices(ctx, add, drop)
	return f, err
}

const (
	claimFor = 5 * time.Minute // far longer than carrying one mail takes
	// adminPause gathers what goes wrong one by one into one mail to an administrator.
	adminPause = time.Hour
	// atMost audiences a round, so that a round ends.
	atMost = 500
)

// deliver sends what is due, one audience after the other.
func (t *Teller) deliver(ctx context.Context) error {
	for range atMost {
		claimed, err := t.d.Store.ClaimNotices(ctx, t.now().Add(claimFor), adminPause)
		if err != nil || len(claimed) == 0 {
			return err
		}
		if claimed[0].Audience == mailroom.AudienceWebhook {
			for _, n := range claimed {
				if t.now().After(n.RetryAt.Add(-time.Minute)) {
					break // slow answers: what is left is claimed again, by whoever comes first
				}
				if err := t.settle(ctx, "webhook", []mailroom.Notice{n}, t.post(ctx, n)); err != nil {
					return err
				}
			}
			continue
		}
		if err := t.settle(ctx, "mail", claimed, t.mail(ctx, claimed)); err != nil {
			return err
		}
	}
	return nil
}

// errNobody says that whoever was to be told is not there any more.
var errNobody = errors.New("nobody to tell")

func (t *Teller) mail(ctx context.Context, claimed []mailroom.Notice) error {
	if t.d.Mail == nil {
		return errNobody
	}
	n := claimed[0]
	users, err := t.d.Store.Users(ctx, n.OrgID)
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.ID == n.Audience.UserID() && u.DisabledAt.IsZero() && (u.IsAdmin() || !n.Audience.Admin()) {
			return t.d.Mail(ctx, t.letter(u, claimed))
		}
	}
	return errNobody
}

func (t *Teller) post(ctx context.Context, n mailroom.Notice) error {
	if t.d.Post == nil {
		return errNobody
	}
	return t.d.Post(ctx, n.ID, event(n))
}

// settle keeps how it went.
func (t *Teller) settle(ctx context.Context, channel string, claimed []mailroom.Notice, err error) error {
	// What was sent must be kept as sent, also when we are told to stop just then.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	switch {
	case errors.Is(err, errNobody):
		if err := t.d.Store.SettleNotices(ctx, claimed, time.Time{}, t.now().Add(-time.Minute), nil); err != nil {
			return err
		}
		ids := make([]string, len(claimed))
		for i, n := range claimed {
			ids[i] = n.ID
		}
		_, err := t.d.Store.PlanNotices(ctx, nil, ids)
		return err
	case err == nil:
		t.count(func(o *Outlook) map[string]int64 { return o.Sent }, channel, len(claimed))
		t.d.Log.Info("notices sent", "channel", channel, "notice", claimed[0].ID, "notices", len(claimed))
		return t.d.Store.SettleNotices(ctx, claimed, t.now(), time.Time{}, nil)
	}
	e := mailroom.AsError(err)
	retry := t.again(claimed[0].Tries, e)
	t.count(func(o *Outlook) map[string]int64 { return o.Failed }, channel, 1)
	t.d.Log.Warn("a notice is not sent", "channel", channel, "notice", claimed[0].ID, "key", e.Key, "again", retry, "cause", e.Err)
	return t.d.Store.SettleNotices(ctx, claimed, time.Time{}, retry, mailroom.ProblemOf(e, t.now()))
}

// pauses between attempts: those that Standard Webhooks recommends, but for its
// first of five seconds.
var pauses = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}

// again is when the next attempt follows the one with a number, which begins at 1.
func (t *Teller) again(tries int64, e *mailroom.Error) time.Time {
	pause := pauses[min(max(tries-1, 0), int64(len(pauses)-1))]
	pause += time.Duration(rand.Int64N(int64(pause/10) + 1))
	at := t.now().Add(pause)
	if e.Until.After(at) {
		return e.Until
	}
	return at
}
