package notice

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// facts are what is true of an organization at a time, and who may be told.
type facts struct {
	orgID     string
	at        time.Time
	admins    []mailroom.User
	expiries  []mailroom.Expiry
	mailboxes []mailroom.NeedyMailbox // those in need, and those that were told of
	told      []mailroom.Notice
	mail      bool // there is a mail server
	webhook   bool
	settle    time.Duration // trouble that passes before is told to nobody
	later     time.Duration // after which those are told who cannot mend it themselves
}

// plan says what is to be told that was not, and which of the open notices need
// not be told any more.
func plan(f facts) (add []mailroom.Notice, drop []string) {
	p := &planner{facts: f, seen: map[string]mailroom.Notice{}}
	for _, n := range f.told {
		p.seen[key(n.Subject, n.Stage, n.Audience)] = n
	}
	for _, e := range f.expiries {
		p.expiry(e)
	}
	for _, m := range f.mailboxes {
		p.mailbox(m)
	}
	p.forget()
	return p.add, p.drop
}

type planner struct {
	facts
	seen map[string]mailroom.Notice
	add  []mailroom.Notice
	drop []string
}

func key(subject, stage string, a mailroom.Audience) string {
	return subject + "\n" + stage + "\n" + string(a)
}

// say adds a notice unless it is there.
func (p *planner) say(subject, stage string, a mailroom.Audience, d mailroom.NoticeData) {
	k := key(subject, stage, a)
	if _, there := p.seen[k]; there {
		return
	}
	n := mailroom.Notice{ID: mailroom.NewID(mailroom.PrefixNotice), OrgID: p.orgID, Subject: subject, Stage: stage, Audience: a, CreatedAt: p.at, Data: d}
	p.seen[k] = n
	p.add = append(p.add, n)
}

// administrators are all who are told as such, by mail and webhook. One who owns
// the mailbox in question hears of it as its owner.
func (p *planner) administrators(ownerID string) []mailroom.Audience {
	var out []mailroom.Audience
	if p.mail {
		for _, u := range p.admins {
			if u.ID != ownerID {
				out = append(out, mailroom.ToAdmin(u.ID))
			}
		}
	}
	if p.webhook {
		out = append(out, mailroom.AudienceWebhook)
	}
	return out
}

// expiry tells of what will break, at the most urgent stage that is reached: who
// was away at 30 days hears once, of 7. Testing mode ends a grant every week, so
// administrators hear of it weekly and once for all mailboxes.
func (p *planner) expiry(e mailroom.Expiry) {
	days, reached := e.Stage(p.at)
	if !reached {
		return
	}
	stage := fmt.Sprintf("%d/%d", days, mailroom.Micros(e.At))
	data := mailroom.NoticeData{Kind: mailroom.NoticeExpiry, Expiry: &e}
	if p.mail && e.OwnerID != "" && days == 1 {
		p.say(string(e.Kind)+":"+e.Subject, stage, mailroom.ToOwner(e.OwnerID), data)
	}
	if e.Kind == mailroom.ExpiryTesting {
		week := p.at.Unix() / int64(mailroom.TestingLife/time.Second)
		for _, a := range p.administrators("") {
			if p.toldWithin("testing:"+e.Provider, a, mailroom.TestingLife) {
				continue
			}
			all := e
			all.Address, all.OwnerID = "", ""
			p.say("testing:"+e.Provider, "week/"+strconv.FormatInt(week, 10), a, mailroom.NoticeData{Kind: mailroom.NoticeExpiry, Expiry: &all})
		}
		return
	}
	for _, a := range p.administrators("") {
		if !p.toldMoreUrgent(string(e.Kind)+":"+e.Subject, e, days, a) {
			p.say(string(e.Kind)+":"+e.Subject, stage, a, data)
		}
	}
}

// toldWithin reports whether an audience was told of a subject in the last while.
func (p *planner) toldWithin(subject string, a mailroom.Audience, d time.Duration) bool {
	return slices.ContainsFunc(p.told, func(n mailroom.Notice) bool {
		return n.Subject == subject && n.Audience == a && p.at.Sub(n.CreatedAt) < d
	})
}

// toldMoreUrgent reports whether an audience has heard of an expiry at a stage
// nearer to its end: a clock that was set back tells nobody again.
func (p *planner) toldMoreUrgent(subject string, e mailroom.Expiry, days int, a mailroom.Audience) bool {
	for _, nearer := range mailroom.Ahead {
		if nearer >= days {
			return false
		}
		if _, there := p.seen[key(subject, fmt.Sprintf("%d/%d", nearer, mailroom.Micros(e.At)), a)]; there {
			return true
		}
	}
	return false
}

// delays are how long trouble of a kind stands before its owner and the
// administrators are told: who can mend it hears first.
func (p *planner) delays(k mailroom.Kind) (owner, admins time.Duration) {
	switch k.Fixer() {
	case "admin":
		return p.settle, p.settle
	case "vendor":
		return p.later, p.settle
	}
	return p.settle, p.later
}

// mailbox tells once that it needs somebody, and once that it does not any more.
func (p *planner) mailbox(m mailroom.NeedyMailbox) {
	subject := "mailbox:" + m.ID
	switch {
	case m.Problem == nil:
		for a, since := range p.open(subject) {
			n := p.seen[key(subject, mailroom.FailedSince(since), a)]
			if n.SentAt.IsZero() {
				continue // forget drops it
			}
			p.say(subject, mailroom.RecoveredSince(since), a, mailroom.NoticeData{
				Kind: mailroom.NoticeRecovered, Address: m.Address, Owner: m.Owner.Name, Since: since,
			})
		}
	case m.Problem.Kind.NeedsSomebody():
		p.needy(subject, m)
	}
}

func (p *planner) needy(subject string, m mailroom.NeedyMailbox) {
	open := p.open(subject)
	since := m.Problem.Since
	if since.IsZero() {
		since = p.at
	}
	for _, begun := range open { // the reason may have changed since
		if begun.Before(since) {
			since = begun
		}
	}
	data := mailroom.NoticeData{Kind: mailroom.NoticeFailed, Problem: m.Problem, Address: m.Address, Owner: m.Owner.Name, Since: since}
	tell := func(a mailroom.Audience, after time.Duration) {
		if _, knows := open[a]; !knows && p.at.Sub(since) >= after {
			p.say(subject, mailroom.FailedSince(since), a, data)
		}
	}
	owner, admins := p.delays(m.Problem.Kind)
	if p.mail {
		tell(mailroom.ToOwner(m.Owner.ID), owner)
	}
	for _, a := range p.administrators(m.Owner.ID) {
		if a == mailroom.AudienceWebhook {
			tell(a, p.settle)
		} else {
			tell(a, admins)
		}
	}
}

// open are the audiences that were told, or are about to be, that something
// failed, and not that it recovered; with the beginning of the episode.
func (p *planner) open(subject string) map[mailroom.Audience]time.Time {
	out := map[mailroom.Audience]time.Time{}
	for _, n := range p.seen {
		us, failed := strings.CutPrefix(n.Stage, "failed/")
		if n.Subject != subject || !failed {
			continue
		}
		at, err := strconv.ParseInt(us, 10, 64)
		if err != nil {
			continue
		}
		since := mailroom.FromMicros(at)
		if _, over := p.seen[key(subject, mailroom.RecoveredSince(since), n.Audience)]; !over {
			out[n.Audience] = since
		}
	}
	return out
}

// forget drops what is open and not true any more: the secret was renewed, the
// mailbox recovered or went, a nearer stage says more.
func (p *planner) forget() {
	for _, n := range p.told {
		if n.SentAt.IsZero() && !p.stands(n) {
			p.drop = append(p.drop, n.ID)
		}
	}
	slices.Sort(p.drop)
}

func (p *planner) stands(n mailroom.Notice) bool {
	switch n.Data.Kind {
	case mailroom.NoticeFailed:
		return slices.ContainsFunc(p.mailboxes, func(m mailroom.NeedyMailbox) bool {
			return "mailbox:"+m.ID == n.Subject && m.Problem != nil
		})
	case mailroom.NoticeExpiry:
		return slices.ContainsFunc(p.expiries, func(e mailroom.Expiry) bool {
			days, reached := e.Stage(p.at)
			return reached && (n.Subject == string(e.Kind)+":"+e.Subject && n.Stage == fmt.Sprintf("%d/%d", days, mailroom.Micros(e.At)) ||
				n.Subject == "testing:"+e.Provider && strings.HasPrefix(n.Stage, "week/"))
		})
	}
	return true
}

// episodes are the ids of the mailboxes that somebody was told of and that are
// not known to have recovered.
func episodes(told []mailroom.Notice) []string {
	p := &planner{seen: map[string]mailroom.Notice{}}
	for _, n := range told {
		p.seen[key(n.Subject, n.Stage, n.Audience)] = n
	}
	var ids []string
	for _, n := range told {
		if id, is := strings.CutPrefix(n.Subject, "mailbox:"); is && len(p.open(n.Subject)) > 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
