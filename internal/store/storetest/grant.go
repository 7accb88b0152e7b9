package storetest

import (
	"bytes"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/store"
)

// RunGrants is the conformance suite of grants, begun ones and sealed secrets.
func RunGrants(t *testing.T, open func(testing.TB) *store.Store) {
	s := open(t)
	for _, p := range []struct {
		name string
		run  func(*testing.T, World)
	}{
		{"request taken once", testRequestTakenOnce},
		{"requests forgotten", testRequestsForgotten},
		{"grant saved", testGrantSaved},
		{"grant not saved", testGrantNotSaved},
		{"refresh leased", testRefreshLeased},
		{"refresh saved", testRefreshSaved},
		{"refresh failed", testRefreshFailed},
		{"grant shredded", testGrantShredded},
		{"password", testPasswordSaved},
		{"many refused at once", testManyRefused},
		{"many refused by IMAP", testManyRefusedByIMAP},
		{"one refused among many", testOneRefused},
		{"refused for what an administrator mends", testRefusedForAll},
		{"idle grants", testIdleGrants},
		{"pending grant", testPendingGrant},
		{"sealed again", testResealed},
		{"keys of nodes", testNodeKeys},
	} {
		t.Run(p.name, func(t *testing.T) { p.run(t, Seed(t, s)) })
	}
}

func (w World) request(state string, expires time.Time) mailroom.AuthRequest {
	now := time.UnixMicro(1_700_000_000_123_456).UTC()
	return mailroom.AuthRequest{StateHash: state + w.Mailbox.ID, Binding: "b", OrgID: w.OrgID, UserID: w.UserID, MailboxID: w.Mailbox.ID,
		ProviderID: "microsoft", Verifier: mailroom.Sealed{KeyID: "k", Data: []byte{0, 1, 255}}, Nonce: "n", Forced: true,
		CreatedAt: now, ExpiresAt: expires.UTC().Truncate(time.Microsecond)}
}

func testRequestTakenOnce(t *testing.T, w World) {
	want := w.request("s", time.Now().Add(time.Minute))
	must(t, w.Store.SaveAuthRequest(t.Context(), want))
	var took, missed atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			r, err := w.Store.TakeAuthRequest(t.Context(), want.StateHash)
			switch {
			case err == nil && reflect.DeepEqual(r, want):
				took.Add(1)
			case mailroom.KindOf(err) == mailroom.NotFound:
				missed.Add(1)
			default:
				t.Errorf("got %+v, %v, want %+v", r, err, want)
			}
		})
	}
	wg.Wait()
	if took.Load() != 1 || missed.Load() != 3 {
		t.Errorf("taken %d times, missed %d times, of 4 at once", took.Load(), missed.Load())
	}
}

func testRequestsForgotten(t *testing.T, w World) {
	late, old := w.request("late", time.Now().Add(-time.Minute)), w.request("old", time.Now().Add(-2*time.Hour))
	for _, r := range []mailroom.AuthRequest{late, old, w.request("new", time.Now())} {
		must(t, w.Store.SaveAuthRequest(t.Context(), r))
	}
	if _, err := w.Store.TakeAuthRequest(t.Context(), old.StateHash); mailroom.KindOf(err) != mailroom.NotFound {
		t.Errorf("a request of two hours ago: %v", err)
	}
	if _, err := w.Store.TakeAuthRequest(t.Context(), late.StateHash); err != nil {
		t.Errorf("one that expired a minute ago can no longer be told that it is late: %v", err)
	}
}

func sealed(text string) mailroom.Sealed { return mailroom.Sealed{KeyID: "dk", Data: []byte(text)} }

func (w World) newGrant(replaces int64) mailroom.NewGrant {
	at := time.UnixMicro(1_700_000_000_654_321).UTC()
	return mailroom.NewGrant{
		Grant: mailroom.Grant{ID: mailroom.NewID(mailroom.PrefixGrant), OrgID: w.OrgID, MailboxID: w.Mailbox.ID, ProviderID: "microsoft",
			Subject: "tid/oid", Account: "a@werk.example", TenantID: "tid", Scopes: []string{"imap", "email"}, GrantedBy: w.UserID,
			GrantedAt: at, RefreshedAt: at, ExpiresAt: at.Add(time.Hour), Version: 1},
		Secrets: mailroom.GrantSecrets{Access: sealed("a1"), Refresh: sealed("r1")}, DataKey: mailroom.Sealed{KeyID: "kek", Data: []byte("key")},
		Replaces: replaces, Event: w.act("grant.given"),
	}
}

// regranted replaces the grant that Seed wrote.
func (w World) regranted(t testing.TB) mailroom.NewGrant {
	t.Helper()
	n := w.newGrant(1)
	must(t, w.Store.SaveGrant(t.Context(), n))
	return n
}

func (w World) credentials(t testing.TB) mailroom.Credentials {
	t.Helper()
	return got(w.Store.Credentials(t.Context(), w.Mailbox.ID))
}

func testGrantSaved(t *testing.T, w World) {
	w.Exec(t, `UPDATE mailboxes SET problem = '{"kind":"needs_consent","key":"x"}', failures = 4 WHERE id = $1`, w.Mailbox.ID)
	signal, stop := w.Store.Watch(store.TopicWork)
	defer stop()
	n := w.regranted(t)
	c := w.credentials(t)
	if !reflect.DeepEqual(*c.Grant, n.Grant) || !reflect.DeepEqual(c.Secrets, n.Secrets) || !reflect.DeepEqual(c.DataKey, n.DataKey) {
		t.Errorf("stored %+v %+v, want %+v", c.Grant, c, n)
	}
	if c.OrgID != w.OrgID || c.UserID != w.UserID || c.Address != w.Mailbox.Address || c.Retired || c.Problem != nil || c.Password.KeyID != "" {
		t.Errorf("credentials %+v", c)
	}
	if w.Count(t, `mailboxes WHERE id = $1 AND wanted = 1 AND failures = 0`, w.Mailbox.ID) != 1 {
		t.Error("no sync asked for, or failures kept")
	}
	select {
	case <-signal:
	case <-time.After(5 * time.Second):
		t.Error("nobody was told")
	}
	w.audited(t, "grant.given")
	g, err := w.Store.Grant(t.Context(), w.OrgID, w.Mailbox.ID)
	if err != nil || !reflect.DeepEqual(g, n.Grant) {
		t.Errorf("read %+v, %v", g, err)
	}
	if _, err := w.Store.Grant(t.Context(), "org_other", w.Mailbox.ID); mailroom.KindOf(err) != mailroom.NotFound {
		t.Errorf("another organization reads the grant: %v", err)
	}
}

func testGrantNotSaved(t *testing.T, w World) {
	refused := func(name, key string, n mailroom.NewGrant) {
		t.Helper()
		if err := w.Store.SaveGrant(t.Context(), n); err == nil || mailroom.AsError(err).Key != key {
			t.Errorf("%s: %v, want %s", name, err, key)
		}
		if c := w.credentials(t); c.Grant == nil || c.Grant.Subject != "s" {
			t.Fatalf("%s: the old grant is gone", name)
		}
	}
	refused("over a grant that was not seen", "grant.error.changed", w.newGrant(0))
	refused("over an older version", "grant.error.changed", w.newGrant(7))
	other := w.newGrant(1)
	other.Grant.OrgID = "org_other"
	refused("for another organization", "error.not_found", other)
	w.Exec(t, `UPDATE mailboxes SET password_key = 'k', password_sealed = $1 WHERE id = $2`, []byte("x"), w.Mailbox.ID)
	refused("beside a password", "password.blocks_grant", w.newGrant(1))
	w.Exec(t, `UPDATE mailboxes SET password_key = '', retired_at = 1 WHERE id = $1`, w.Mailbox.ID)
	refused("for a retired mailbox", "grant.error.mailbox_changed", w.newGrant(1))
}

func testRefreshLeased(t *testing.T, w World) {
	id, now := w.regranted(t).Grant.ID, time.Now()
	lease := func(owner string, version int64, at time.Time) bool {
		t.Helper()
		return got(w.Store.LeaseGrant(t.Context(), id, owner, version, at, at.Add(time.Minute)))
	}
	if lease("a", 2, now) {
		t.Error("leased for a version that is not there")
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			ok, err := w.Store.LeaseGrant(t.Context(), id, "a", 1, now, now.Add(time.Minute))
			if err != nil {
				t.Error(err)
			}
			if ok {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 6 got the lease", won.Load())
	}
	if lease("b", 1, now.Add(59*time.Second)) || lease("a", 1, now.Add(59*time.Second)) {
		t.Error("leased while the lease stands")
	}
	if !lease("b", 1, now.Add(61*time.Second)) {
		t.Error("a lease that ran out is never free again")
	}
}

func (w World) refreshed(n mailroom.NewGrant, owner string, version int64) mailroom.Refreshed {
	at := time.UnixMicro(1_700_003_000_000_001).UTC()
	return mailroom.Refreshed{MailboxID: w.Mailbox.ID, GrantID: n.Grant.ID, Owner: owner, Version: version,
		Access: sealed("a2"), Refresh: sealed("r2"), Scopes: []string{"imap"}, ExpiresAt: at.Add(time.Hour), At: at}
}

func testRefreshSaved(t *testing.T, w World) {
	n, now := w.regranted(t), time.Now()
	if ok := got(w.Store.SaveRefreshed(t.Context(), w.refreshed(n, "a", 1))); ok {
		t.Error("saved without a lease")
	}
	got(w.Store.LeaseGrant(t.Context(), n.Grant.ID, "a", 1, now, now.Add(time.Minute)))
	w.Exec(t, `UPDATE mailboxes SET problem = '{"kind":"needs_consent","key":"oauth.error.grant_ended"}' WHERE id = $1`, w.Mailbox.ID)
	for _, r := range []mailroom.Refreshed{w.refreshed(n, "b", 1), w.refreshed(n, "a", 2)} {
		if ok := got(w.Store.SaveRefreshed(t.Context(), r)); ok {
			t.Errorf("saved under another's lease or version: %+v", r)
		}
	}
	r := w.refreshed(n, "a", 1)
	if ok := got(w.Store.SaveRefreshed(t.Context(), r)); !ok {
		t.Fatal("not saved under its own lease")
	}
	c := w.credentials(t)
	if c.Grant.Version != 2 || !bytes.Equal(c.Secrets.Access.Data, []byte("a2")) || !bytes.Equal(c.Secrets.Refresh.Data, []byte("r2")) ||
		!c.Grant.ExpiresAt.Equal(r.ExpiresAt) || !c.Grant.RefreshedAt.Equal(r.At) || c.LeaseOwner != "" {
		t.Errorf("after a refresh: %+v %+v", c.Grant, c.Secrets)
	}
	if c.Problem != nil {
		t.Error("a refresh that worked leaves the grant's problem")
	}
	got(w.Store.LeaseGrant(t.Context(), n.Grant.ID, "a", 2, now, now.Add(time.Minute)))
	w.Exec(t, `UPDATE mailboxes SET problem = '{"kind":"needs_admin","key":"imap.error.not_connected"}' WHERE id = $1`, w.Mailbox.ID)
	r = w.refreshed(n, "a", 2)
	r.Refresh = mailroom.Sealed{}
	got(w.Store.SaveRefreshed(t.Context(), r))
	if c = w.credentials(t); string(c.Secrets.Refresh.Data) != "r2" || c.Secrets.Refresh.KeyID != "dk" || c.Grant.Version != 3 {
		t.Errorf("without a new refresh token the old one has to stay: %+v", c.Secrets.Refresh)
	}
	if c.Problem == nil {
		t.Error("what IMAP said was cleared by a refresh")
	}
}

func testRefreshFailed(t *testing.T, w World) {
	n, now := w.regranted(t), time.Now()
	fail := func(owner string, version int64, p *mailroom.Problem) mailroom.Credentials {
		t.Helper()
		got(w.Store.FailRefresh(t.Context(), w.Mailbox.ID, n.Grant.ID, owner, version, p))
		return w.credentials(t)
	}
	first := &mailroom.Problem{Kind: mailroom.NeedsConsent, Key: "oauth.error.x", Args: map[string]any{"ref": "r"}, Since: now.UTC().Truncate(time.Second)}
	got(w.Store.LeaseGrant(t.Context(), n.Grant.ID, "a", 1, now, now.Add(time.Minute)))
	if c := fail("b", 1, first); c.Problem != nil || c.LeaseOwner != "a" {
		t.Errorf("another's failure counted: %+v", c)
	}
	if c := fail("a", 1, nil); c.Problem != nil || c.LeaseOwner != "" {
		t.Errorf("after a passing fault: %+v", c)
	}
	got(w.Store.LeaseGrant(t.Context(), n.Grant.ID, "a", 1, now, now.Add(time.Minute)))
	if c := fail("a", 1, first); !reflect.DeepEqual(c.Problem, first) {
		t.Errorf("problem %+v, want %+v", c.Problem, first)
	}
	got(w.Store.LeaseGrant(t.Context(), n.Grant.ID, "a", 1, now, now.Add(time.Minute)))
	again := *first
	again.Since = now.Add(time.Hour)
	if c := fail("a", 1, &again); !c.Problem.Since.Equal(first.Since) {
		t.Error("the same trouble seems to have begun anew")
	}
}

func testGrantShredded(t *testing.T, w World) {
	n := w.regranted(t)
	must(t, w.Store.SaveAuthRequest(t.Context(), w.request("open", time.Now().Add(time.Minute))))
	claim := w.take(t, "node")
	c, err := w.Store.ShredGrant(t.Context(), w.Mailbox.ID, w.act("grant.revoked"))
	if err != nil || !reflect.DeepEqual(c.Secrets, n.Secrets) || !reflect.DeepEqual(c.DataKey, n.DataKey) {
		t.Errorf("what was deleted came back as %+v, %v", c, err)
	}
	w.audited(t, "grant.revoked")
	if c := w.credentials(t); c.Grant != nil || c.DataKey.KeyID != "" || c.DataKey.Data != nil {
		t.Errorf("left: %+v", c)
	}
	if w.Count(t, `auth_requests WHERE mailbox_id = $1`, w.Mailbox.ID) != 0 {
		t.Error("a grant that was begun can still be finished")
	}
	if w.Count(t, `mappings WHERE mailbox_id = $1`, w.Mailbox.ID) != 2 {
		t.Error("mappings went with the grant")
	}
	if err := w.Store.Answered(t.Context(), claim, 1); !errors.Is(err, mailroom.ErrFenced) {
		t.Errorf("a sync under way can still write: %v", err)
	}
	if _, err := w.Store.ShredGrant(t.Context(), w.Mailbox.ID, w.act("grant.revoked")); mailroom.AsError(err).Key != "grant.error.none" {
		t.Errorf("a second time: %v", err)
	}
	must(t, w.Store.SaveGrant(t.Context(), w.newGrant(0)))
}

func testPasswordSaved(t *testing.T, w World) {
	save := func() error {
		return w.Store.SavePassword(t.Context(), w.Mailbox.ID, sealed("p"), mailroom.Sealed{KeyID: "kek", Data: []byte("key")}, w.act("password.saved"))
	}
	if err := save(); err == nil || mailroom.AsError(err).Key != "grant.error.password_with_grant" {
		t.Errorf("beside a grant: %v", err)
	}
	w.Exec(t, `DELETE FROM grants WHERE mailbox_id = $1`, w.Mailbox.ID)
	must(t, save())
	w.audited(t, "password.saved")
	if c := w.credentials(t); !reflect.DeepEqual(c.Password, sealed("p")) || c.DataKey.KeyID != "kek" {
		t.Errorf("stored %+v", c)
	}
	w.Exec(t, `UPDATE mailboxes SET retired_at = 1 WHERE id = $1`, w.Mailbox.ID)
	if err := save(); err == nil || mailroom.AsError(err).Key != "grant.error.mailbox_changed" {
		t.Errorf("of a retired mailbox: %v", err)
	}
}
