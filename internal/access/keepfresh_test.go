package access_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"mailroom/internal/access"
	"mailroom/internal/mailroom"
	"mailroom/internal/store/storetest"
)

// idle has the house's grant lie unused for so long.
func (h *house) idle(d time.Duration) *house {
	h.t.Helper()
	h.exec(`UPDATE grants SET refreshed_at = $1, expires_at = $2 WHERE mailbox_id = $3`,
		time.Now().Add(-d).UnixMicro(), time.Now().Add(-d+time.Hour).UnixMicro(), h.box.ID)
	return h
}

const day = 24 * time.Hour

func TestKeepFresh(t *testing.T) {
	s := storetest.Open(t)
	for _, c := range []struct {
		name    string
		idle    time.Duration
		how     string // SQL over the mailbox $1
		refresh bool
	}{
		{"used yesterday", day, ``, false},
		{"used five days ago", 5 * day, ``, false},
		{"not used for a week", 7 * day, ``, true},
		{"not used for half a year", 180 * day, ``, true},
		{"paused", 8 * day, `UPDATE mailboxes SET paused = TRUE WHERE id = $1`, true},
		{"nothing mapped", 8 * day, `DELETE FROM mappings WHERE mailbox_id = $1`, true},
		{"its token is good for a month", 8 * day, `UPDATE grants SET expires_at = 4000000000000000 WHERE mailbox_id = $1`, true},
		{"throttled", 8 * day, `UPDATE mailboxes SET problem = '{"kind":"throttled","key":"imap.error.throttled"}' WHERE id = $1`, true},
		{"retired", 8 * day, `UPDATE mailboxes SET retired_at = 1 WHERE id = $1`, false},
		{"its person has to act", 8 * day, `UPDATE mailboxes SET problem = '{"kind":"needs_consent","key":"oauth.error.x"}' WHERE id = $1`, false},
		{"the administrator has to act", 8 * day, `UPDATE mailboxes SET problem = '{"kind":"needs_admin","key":"oauth.error.x"}' WHERE id = $1`, false},
		{"shut out", 8 * day, `UPDATE users SET disabled_at = 1 WHERE id = (SELECT user_id FROM mailboxes WHERE id = $1)`, false},
		{"no refresh token", 8 * day, `UPDATE grants SET refresh_key = '' WHERE mailbox_id = $1`, false},
	} {
		h := newHouseIn(t, s).granted().idle(c.idle)
		if c.how != "" {
			h.exec(c.how, h.box.ID)
		}
		got, err := h.KeepFresh(t.Context())
		if err != nil || (got.Refreshed == 1) != c.refresh || (h.oauth.asked() == 1) != c.refresh {
			t.Errorf("%s: %+v, %v, asked %d times", c.name, got, err, h.oauth.asked())
		}
		h.exec(`DELETE FROM grants WHERE mailbox_id = $1`, h.box.ID)
	}
}

// Three nodes look at the same hour, and one of them has a user beside it.
func TestKeptFreshOnce(t *testing.T) {
	h := newHouse(t).granted().idle(8 * day)
	var wg sync.WaitGroup
	for range 3 {
		node := access.New(h.deps)
		wg.Go(func() {
			if _, err := node.KeepFresh(t.Context()); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, _, err := node.Token(t.Context(), h.box.ID); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if h.oauth.asked() != 1 {
		t.Errorf("the provider was asked %d times", h.oauth.asked())
	}
}

func TestKeptFreshSoonerWhereTokensDieSooner(t *testing.T) {
	h := newHouse(t)
	p := providers[0]
	p.RefreshDays = 6
	h.deps.Base = mailroom.Providers{p}
	h.Access = access.New(h.deps)
	h.granted().idle(2 * day)
	if got, err := h.KeepFresh(t.Context()); err != nil || got.Refreshed != 1 {
		t.Errorf("%+v, %v: a third of six days", got, err)
	}
}

// Those that were granted together do not all come at the same moment.
func TestKeptFreshSpread(t *testing.T) {
	s := storetest.Open(t)
	var h *house
	for range 12 {
		h = newHouseIn(t, s).granted().idle(6*day + 12*time.Hour)
	}
	h.oauth.refresh = func(string) (mailroom.Tokens, error) { return tokens(2), nil }
	// Each house has keys of its own, which this node does not need to choose.
	h.deps.Store = unopened{h.store, map[string]bool{}}
	h.Access = access.New(h.deps)
	if _, err := h.KeepFresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(h.deps.Store.(unopened).leased); n == 0 || n == 12 {
		t.Errorf("%d of 12 are due half a day before a week is over", n)
	}
}

// unopened notes which grants would be refreshed.
type unopened struct {
	access.Store
	leased map[string]bool
}

func (s unopened) LeaseGrant(_ context.Context, id, _ string, _ int64, _, _ time.Time) (bool, error) {
	s.leased[id] = true
	return false, mailroom.E(mailroom.Internal, "error.internal")
}

// A provider that is down is not asked for every idle grant, and none is harmed.
func TestKeepFreshWhileTheProviderIsDown(t *testing.T) {
	s := storetest.Open(t)
	first := newHouseIn(t, s)
	asked := 0
	first.oauth.refresh = func(string) (mailroom.Tokens, error) {
		asked++
		return mailroom.Tokens{}, mailroom.E(mailroom.Unavailable, "oauth.error.transient")
	}
	first.granted().idle(8 * day)
	for range 7 {
		h := newHouseIn(t, s)
		h.deps.Vault = first.ring
		h.Access = access.New(h.deps)
		h.granted().idle(8 * day)
		h.exec(`UPDATE grants SET org_id = $1 WHERE mailbox_id = $2`, first.user.OrgID, h.box.ID)
	}
	got, err := first.KeepFresh(t.Context())
	if err != nil || got.Refreshed != 0 || got.Faults != 3 || asked != 3 {
		t.Errorf("%+v, %v, asked %d times", got, err, asked)
	}
	if n := first.world.Count(t, `mailboxes WHERE problem <> ''`); n != 0 {
		t.Errorf("%d mailboxes show the outage as their own", n)
	}
	first.oauth.refresh = nil
	if got, err := first.KeepFresh(t.Context()); err != nil || got.Refreshed != 8 {
		t.Errorf("afterwards %+v, %v", got, err)
	}
}

func TestKeepFreshMeetsARefusal(t *testing.T) {
	h := newHouse(t).granted().idle(8 * day)
	h.exec(`UPDATE mailboxes SET paused = TRUE WHERE id = $1`, h.box.ID)
	h.oauth.refresh = func(string) (mailroom.Tokens, error) {
		return mailroom.Tokens{}, mailroom.E(mailroom.NeedsConsent, "oauth.error.grant_ended")
	}
	if got, err := h.KeepFresh(t.Context()); err != nil || got.Refused != 1 || h.problem() != "oauth.error.grant_ended" {
		t.Errorf("%+v, %v, shown as %q", got, err, h.problem())
	}
	if got, err := h.KeepFresh(t.Context()); err != nil || got != (access.KeptFresh{}) || h.oauth.asked() != 1 {
		t.Errorf("a grant that has ended is tried again: %+v, %v", got, err)
	}
}
