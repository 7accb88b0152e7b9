package access_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailroom/internal/access"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/store/storetest"
	"mailroom/internal/vault"
)

func TestManyWaitForOneRefresh(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { manyWait(t, filepath.Join(t.TempDir(), "mailroom.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { manyWait(t, peers.Postgres(t)) })
}

// manyWait has a hundred users ask three nodes, each with a store of its own.
func manyWait(t *testing.T, dsn string) {
	h := newHouseIn(t, storetest.OpenDSN(t, dsn)).granted()
	h.spend()
	nodes := []*access.Access{access.New(h.deps)}
	for range 2 {
		d := h.deps
		d.Store = storetest.OpenDSN(t, dsn)
		nodes = append(nodes, access.New(d))
	}
	begun, answer := make(chan struct{}, 100), make(chan struct{})
	h.oauth.refresh = func(string) (mailroom.Tokens, error) {
		begun <- struct{}{}
		<-answer
		return tokens(2), nil
	}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			got, expires, err := nodes[i%3].Token(t.Context(), h.box.ID)
			if err != nil || got != "ACCESS-TOKEN-2" || time.Until(expires) < 50*time.Minute {
				t.Errorf("%q until %v, %v", got, expires, err)
			}
		})
	}
	<-begun
	close(answer)
	wg.Wait()
	if n := h.oauth.asked(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
	if n := h.world.Count(t, `grants WHERE mailbox_id = $1 AND version = 2 AND lease_owner = ''`, h.box.ID); n != 1 {
		t.Error("the grant is not version 2 without a lease")
	}
}

func TestRotation(t *testing.T) {
	h := newHouse(t).granted()
	for range 2 {
		h.spend()
		if _, err := h.token(); err != nil {
			t.Fatal(err)
		}
	}
	h.oauth.refresh = func(string) (mailroom.Tokens, error) {
		got := tokens(9)
		got.Refresh = ""
		return got, nil
	}
	for range 2 {
		h.spend()
		h.wantToken("ACCESS-TOKEN-9")
	}
	want := []string{"REFRESH-TOKEN-1", "REFRESH-TOKEN-2", "REFRESH-TOKEN-3", "REFRESH-TOKEN-3"}
	if !slices.Equal(h.oauth.refreshed, want) {
		t.Errorf("refreshed with %v, want %v: the newest, and the old one where none came", h.oauth.refreshed, want)
	}
	if found := h.onDisk("ACCESS-TOKEN", "REFRESH-TOKEN"); len(found) > 0 {
		t.Errorf("in clear on disk: %v", found)
	}
}

func TestRefreshInTime(t *testing.T) {
	s := storetest.Open(t)
	for _, c := range []struct {
		life, left time.Duration
		refresh    bool
	}{
		{time.Hour, 6 * time.Minute, false},
		{time.Hour, 4 * time.Minute, true},
		{time.Hour, -time.Hour, true},
		{time.Minute, 20 * time.Second, false}, // a provider whose tokens live a minute
		{time.Minute, 10 * time.Second, true},
	} {
		h := newHouseIn(t, s).granted()
		now := time.Now()
		h.exec(`UPDATE grants SET refreshed_at = $1, expires_at = $2 WHERE mailbox_id = $3`, now.Add(c.left-c.life).UnixMicro(), now.Add(c.left).UnixMicro(), h.box.ID)
		if _, err := h.token(); err != nil || (h.oauth.asked() == 1) != c.refresh {
			t.Errorf("life %v, left %v: refreshed %d times, %v", c.life, c.left, h.oauth.asked(), err)
		}
	}
}

func TestWhatAFailedRefreshMeans(t *testing.T) {
	s := storetest.Open(t)
	for _, c := range []struct {
		kind    mailroom.Kind
		problem string
	}{
		{mailroom.NeedsConsent, "oauth.error.x"},
		{mailroom.NeedsAdmin, "oauth.error.x"},
		{mailroom.NeedsVendor, ""},
		{mailroom.Unavailable, ""},
		{mailroom.Throttled, ""},
	} {
		h := newHouseIn(t, s).granted()
		h.spend()
		h.oauth.refresh = func(string) (mailroom.Tokens, error) {
			return mailroom.Tokens{}, mailroom.E(c.kind, "oauth.error.x").With("ref", "abc")
		}
		_, err := h.token()
		wants(t, err, c.kind, "oauth.error.x")
		if got := h.problem(); got != c.problem {
			t.Errorf("%s: the mailbox shows %q, want %q", c.kind, got, c.problem)
		}
		// The lease is free: once the fault has passed, so has the problem.
		wanted := h.text(`SELECT CAST(wanted AS TEXT) FROM mailboxes WHERE id = $1`, h.box.ID)
		h.oauth.refresh = nil
		if _, err := h.token(); err != nil {
			t.Errorf("%s: afterwards: %v", c.kind, err)
		}
		if got := h.problem(); got != "" {
			t.Errorf("%s: the mailbox still shows %q", c.kind, got)
		}
		again := h.text(`SELECT CAST(wanted AS TEXT) FROM mailboxes WHERE id = $1`, h.box.ID)
		if (again != wanted) != (c.problem != "") {
			t.Errorf("%s: sync wanted %s → %s", c.kind, wanted, again)
		}
	}
}

func TestARefreshLeavesOtherProblems(t *testing.T) {
	h := newHouse(t).granted()
	h.exec(`UPDATE mailboxes SET problem = '{"kind":"needs_admin","key":"imap.error.not_connected"}' WHERE id = $1`, h.box.ID)
	h.spend()
	h.wantToken("ACCESS-TOKEN-2")
	if h.problem() != "imap.error.not_connected" {
		t.Error("a new token does not switch IMAP on")
	}
}

// counting counts how many have read a mailbox's credentials.
type counting struct {
	access.Store
	reads atomic.Int32
}

func (c *counting) Credentials(ctx context.Context, id string) (mailroom.Credentials, error) {
	defer c.reads.Add(1)
	return c.Store.Credentials(ctx, id)
}

// A fault that many meet at once must not become as many requests.
func TestManyShareOneFailure(t *testing.T) {
	h := newHouse(t).granted()
	h.spend()
	seen := &counting{Store: h.store}
	h.deps.Store = seen
	h.Access = access.New(h.deps)
	fault := make(chan struct{})
	h.oauth.refresh = func(string) (mailroom.Tokens, error) {
		<-fault
		return mailroom.Tokens{}, mailroom.E(mailroom.Unavailable, "oauth.error.transient")
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := h.token()
			wants(t, err, mailroom.Unavailable, "oauth.error.transient")
		})
	}
	for seen.reads.Load() < 51 { // each caller, and the refresh
		if t.Context().Err() != nil {
			t.Fatal("the callers never came")
		}
		runtime.Gosched()
	}
	close(fault)
	wg.Wait()
	// One, and perhaps a second for who had read but not joined yet.
	if n := h.oauth.asked(); n > 5 {
		t.Errorf("50 callers asked the provider %d times", n)
	}
}

func TestWhoGoesAwayLosesNoToken(t *testing.T) {
	h := newHouse(t).granted()
	h.spend()
	begun, answer := make(chan struct{}), make(chan struct{})
	h.oauth.refresh = func(string) (mailroom.Tokens, error) {
		close(begun)
		<-answer
		return tokens(2), nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, _, err := h.Token(ctx, h.box.ID)
		done <- err
	}()
	<-begun
	cancel()
	wants(t, <-done, mailroom.Unavailable, "error.timeout")
	close(answer)
	h.wantToken("ACCESS-TOKEN-2") // joins the refresh, or finds it stored
	if h.oauth.asked() != 1 {
		t.Errorf("asked %d times: the answer nobody waited for was lost", h.oauth.asked())
	}
}

func TestLeaseOfADeadNode(t *testing.T) {
	h := newHouse(t).granted()
	h.spend()
	c, err := h.store.Credentials(t.Context(), h.box.ID)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if ok, err := h.store.LeaseGrant(t.Context(), c.Grant.ID, "dead", c.Grant.Version, now, now.Add(time.Minute)); err != nil || !ok {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	if _, _, err := h.Token(ctx, h.box.ID); err == nil || h.oauth.asked() != 0 {
		t.Fatalf("refreshed beside a lease: %v", err)
	}
	h.deps.Now = func() time.Time { return time.Now().Add(61 * time.Second) }
	h.Access = access.New(h.deps)
	h.wantToken("ACCESS-TOKEN-2")
}

func TestRevokedWhileRefreshing(t *testing.T) {
	h := newHouse(t).granted()
	h.spend()
	h.oauth.refresh = func(string) (mailroom.Tokens, error) {
		if _, err := h.Revoke(context.Background(), h.user, h.box); err != nil {
			t.Error(err)
		}
		return tokens(2), nil
	}
	_, err := h.token()
	wants(t, err, mailroom.NeedsConsent, "grant.error.none")
	if !slices.Equal(h.oauth.revoked, []string{"REFRESH-TOKEN-1", "REFRESH-TOKEN-2"}) {
		t.Errorf("revoked %v: the token that came too late lives on", h.oauth.revoked)
	}
}

func TestGrantedAgainWhileRefreshing(t *testing.T) {
	h := newHouse(t).granted()
	h.spend()
	h.oauth.refresh = func(string) (mailroom.Tokens, error) {
		h.oauth.grant = tokens(5)
		if _, err := h.finish(h.begin(binding)); err != nil {
			t.Error(err)
		}
		return mailroom.Tokens{}, mailroom.E(mailroom.NeedsConsent, "oauth.error.grant_ended")
	}
	if _, err := h.token(); err == nil {
		t.Error("the old grant's end is not told")
	}
	if h.problem() != "" {
		t.Error("the old grant's end is written on the mailbox of the new one")
	}
	h.wantToken("ACCESS-TOKEN-5")
}

func TestNoGrant(t *testing.T) {
	h := newHouse(t)
	_, err := h.token()
	wants(t, err, mailroom.NeedsConsent, "grant.error.none")
	_, _, err = h.Token(t.Context(), "mbx_unknown")
	wants(t, err, mailroom.NotFound, "error.not_found")
}

func TestLostKey(t *testing.T) {
	h := newHouse(t).granted()
	var err error
	if h.deps.Vault, err = vault.Parse(vault.NewKey(time.Now())); err != nil {
		t.Fatal(err)
	}
	h.Access = access.New(h.deps)
	_, err = h.token()
	wants(t, err, mailroom.NeedsVendor, "grant.error.key_missing")
	h.spend()
	_, err = h.token()
	wants(t, err, mailroom.NeedsVendor, "grant.error.key_missing")
	if h.problem() != "" || h.oauth.asked() != 0 {
		t.Error("a lost key is not the recruiter's trouble")
	}
	// Another mailbox's secrets under this one's key do not open either.
	h.deps.Vault = h.ring
	h.Access = access.New(h.deps)
	h.exec(`UPDATE grants SET access_data = refresh_data, expires_at = $1`, time.Now().Add(time.Hour).UnixMicro())
	_, err = h.token()
	wants(t, err, mailroom.NeedsVendor, "grant.error.key_damaged")
}

func TestRevoke(t *testing.T) {
	s := storetest.Open(t)
	for _, c := range []struct {
		name    string
		answer  func(string) (bool, error)
		want    mailroom.RevokeOutcome
		audited []string
	}{
		{"the provider confirms", nil, mailroom.RevokeOutcome{ProviderRevoked: true},
			[]string{"grant.given", "grant.revoked", "grant.revoked_at_provider"}},
		{"no endpoint", func(string) (bool, error) { return false, nil }, mailroom.RevokeOutcome{RevokePage: "https://myapps.example"},
			[]string{"grant.given", "grant.revoked"}},
		{"the provider fails", func(string) (bool, error) { return false, mailroom.E(mailroom.Unavailable, "oauth.error.transient") },
			mailroom.RevokeOutcome{ProviderFailed: true, RevokePage: "https://myapps.example"},
			[]string{"grant.given", "grant.revoked", "grant.revoked_at_provider"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouseIn(t, s).granted()
			h.oauth.revoking = c.answer
			claim := h.world.Claim(t, "node")
			signal, stop := h.store.Watch("work")
			defer stop()
			got, err := h.Revoke(t.Context(), h.user, h.box)
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
			if !slices.Equal(h.oauth.revoked, []string{"REFRESH-TOKEN-1"}) {
				t.Errorf("asked to revoke %v", h.oauth.revoked)
			}
			if n := h.world.Count(t, `mailboxes WHERE id = $1 AND data_key_sealed IS NULL AND data_key_id = ''`, h.box.ID); n != 1 {
				t.Error("the data key is still there")
			}
			if n := h.world.Count(t, `grants WHERE mailbox_id = $1`, h.box.ID); n != 0 {
				t.Error("the tokens are still there")
			}
			if n := h.world.Count(t, `mappings WHERE mailbox_id = $1`, h.box.ID); n != 2 {
				t.Error("mappings did not stay")
			}
			if got := h.audited(); !slices.Equal(got, c.audited) {
				t.Errorf("audit %v, want %v", got, c.audited)
			}
			select {
			case <-signal:
			default:
				t.Error("the syncer was not told")
			}
			if err := h.store.Answered(t.Context(), claim, 1); !errors.Is(err, mailroom.ErrFenced) {
				t.Errorf("a running sync can still write: %v", err)
			}
			_, err = h.token()
			wants(t, err, mailroom.NeedsConsent, "grant.error.none")
			_, err = h.Revoke(t.Context(), h.user, h.box)
			wants(t, err, mailroom.NotFound, "grant.error.none")

			h.oauth.grant = tokens(3)
			h.granted()
			h.wantToken("ACCESS-TOKEN-3")
		})
	}
}

// Revoking waits to see the connections end, and says so when it cannot.
func TestRevokeLooksWhetherConnectionsEnd(t *testing.T) {
	s := storetest.Open(t)
	for _, c := range []struct {
		name, reader string
		hungUp, open bool
	}{
		{"read here", "node", true, false},
		{"read nowhere", "", true, false},
		{"read here, and it does not end", "node", false, true},
		{"read by another node", "node-b", true, true},
	} {
		h := newHouseIn(t, s).granted()
		if c.reader != "" {
			h.world.Claim(t, c.reader)
		}
		asked := ""
		h.HungUp = func(_ context.Context, id string) bool {
			asked = id
			if n := h.world.Count(t, `mailboxes WHERE id = $1 AND owner <> ''`, id); n != 0 {
				t.Errorf("%s: waited for before the reader lost the mailbox", c.name)
			}
			return c.hungUp
		}
		out, err := h.Revoke(t.Context(), h.user, h.box)
		if err != nil || out.ConnectionsOpen != c.open || asked != h.box.ID {
			t.Errorf("%s: %+v, %v, asked for %q", c.name, out, err, asked)
		}
	}
}

func TestRevokeOfSomebodyElse(t *testing.T) {
	h := newHouse(t).granted()
	_, err := h.Revoke(t.Context(), mailroom.User{ID: "usr_x", OrgID: "org_x", Role: mailroom.Administrator}, h.box)
	wants(t, err, mailroom.NotFound, "error.not_found")
	h.wantToken("ACCESS-TOKEN-1")
}
