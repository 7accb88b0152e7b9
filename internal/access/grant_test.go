package access_test

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailroom/internal/access"
	"mailroom/internal/mailroom"
	"mailroom/internal/store/storetest"
)

func TestGrant(t *testing.T) {
	h := newHouse(t)
	h.exec(`UPDATE mailboxes SET problem = '{"kind":"needs_consent","key":"oauth.error.grant_ended"}', failures = 3 WHERE id = $1`, h.box.ID)
	out, err := h.finish(h.begin(binding))
	if err != nil || out.Again != "" || out.MailboxID != h.box.ID {
		t.Fatalf("%+v, %v", out, err)
	}
	asked, sent := h.oauth.consent[0], h.oauth.exchanges[0]
	if asked.LoginHint != h.box.Address || asked.RedirectURL != "https://mailroom.example/oauth/microsoft/callback" || asked.Force {
		t.Errorf("asked %+v", asked)
	}
	if len(asked.State) < 43 || len(asked.Verifier) < 43 || asked.State == asked.Nonce {
		t.Errorf("state and verifier must be 256 random bits each: %+v", asked)
	}
	if sent.Verifier != asked.Verifier || sent.Nonce != asked.Nonce || sent.RedirectURL != asked.RedirectURL || sent.Code != "CODE-1" {
		t.Errorf("sent %+v", sent)
	}
	g, err := h.store.Grant(t.Context(), h.user.OrgID, h.box.ID)
	if err != nil || g.Subject != subject || g.Account != "anna@werk.example" || g.GrantedBy != h.user.ID || !slices.Equal(g.Scopes, []string{mail}) {
		t.Errorf("stored %+v, %v", g, err)
	}
	h.wantToken("ACCESS-TOKEN-1")
	if h.oauth.asked() != 0 {
		t.Error("a fresh token was refreshed")
	}
	if h.problem() != "" {
		t.Error("the mailbox's problem stays after a new grant")
	}
	if n := h.world.Count(t, `mailboxes WHERE id = $1 AND wanted = 1`, h.box.ID); n != 1 {
		t.Error("no sync was asked for")
	}
	if got := h.audited(); !slices.Equal(got, []string{"grant.given"}) {
		t.Errorf("audit %v", got)
	}
	if found := h.onDisk("ACCESS-TOKEN", "REFRESH-TOKEN", asked.State, asked.Verifier, binding); len(found) > 0 {
		t.Errorf("in clear on disk: %v", found)
	}
}

func TestAttacksOnTheCallback(t *testing.T) {
	s := storetest.Open(t)
	other := mailroom.User{ID: "usr_other", OrgID: "org_other"}
	for _, c := range []struct {
		name string
		kind mailroom.Kind
		key  string
		do   func(h *house) error
	}{
		{"state made up", mailroom.Invalid, "grant.error.state", func(h *house) error {
			_, err := h.finish("made-up")
			return err
		}},
		{"no state", mailroom.Invalid, "grant.error.state", func(h *house) error {
			_, err := h.finish("")
			return err
		}},
		{"fixation: begun in another session", mailroom.Forbidden, "grant.error.other_session", func(h *house) error {
			_, err := h.finish(h.begin("session-of-mallory"))
			return err
		}},
		{"no session", mailroom.Invalid, "grant.error.state", func(h *house) error {
			_, err := h.Finish(h.t.Context(), h.user, "", "microsoft", h.begin(binding), "CODE-1", "")
			return err
		}},
		{"same browser, another user", mailroom.Forbidden, "grant.error.other_user", func(h *house) error {
			_, err := h.Finish(h.t.Context(), other, binding, "microsoft", h.begin(binding), "CODE-1", "")
			return err
		}},
		{"mix-up: answer at another provider's door", mailroom.Forbidden, "grant.error.other_provider", func(h *house) error {
			_, err := h.Finish(h.t.Context(), h.user, binding, "google", h.begin(binding), "CODE-1", "")
			return err
		}},
		{"no code", mailroom.Invalid, "grant.error.no_code", func(h *house) error {
			_, err := h.Finish(h.t.Context(), h.user, binding, "microsoft", h.begin(binding), "", "")
			return err
		}},
		{"too late", mailroom.Conflict, "grant.error.expired", func(h *house) error {
			state := h.begin(binding)
			h.deps.Now = func() time.Time { return time.Now().Add(10*time.Minute + time.Second) }
			h.Access = access.New(h.deps)
			_, err := h.finish(state)
			return err
		}},
		{"address changed meanwhile", mailroom.Conflict, "grant.error.mailbox_changed", func(h *house) error {
			state := h.begin(binding)
			h.exec(`UPDATE mailboxes SET retired_at = 1 WHERE id = $1`, h.box.ID)
			_, err := h.finish(state)
			return err
		}},
		{"account changed meanwhile", mailroom.Conflict, "grant.error.mailbox_changed", func(h *house) error {
			state := h.begin(binding)
			h.exec(`UPDATE mailboxes SET provider_id = 'google' WHERE id = $1`, h.box.ID)
			_, err := h.finish(state)
			return err
		}},
		{"request copied onto another state", mailroom.NeedsVendor, "grant.error.key_damaged", func(h *house) error {
			first, second := h.begin(binding), h.begin(binding)
			_ = first
			h.exec(`UPDATE auth_requests SET verifier_data = (SELECT verifier_data FROM auth_requests ORDER BY created_at LIMIT 1)
				WHERE mailbox_id = $1`, h.box.ID)
			_, err := h.finish(second)
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouseIn(t, s)
			wants(t, c.do(h), c.kind, c.key)
			if len(h.oauth.exchanges) > 0 {
				t.Error("the code was sent to the provider")
			}
			if h.world.Count(t, `grants WHERE mailbox_id = $1`, h.box.ID) > 0 {
				t.Error("a grant was stored")
			}
		})
	}
}

func TestStateIsGoodOnce(t *testing.T) {
	h := newHouse(t)
	state := h.begin(binding)
	var ok, used atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			switch _, err := h.finish(state); {
			case err == nil:
				ok.Add(1)
			case mailroom.AsError(err).Key == "grant.error.state":
				used.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ok.Load() != 1 || used.Load() != 7 || len(h.oauth.exchanges) != 1 {
		t.Errorf("%d succeeded, %d refused, %d codes sent; want 1, 7, 1", ok.Load(), used.Load(), len(h.oauth.exchanges))
	}
	_, err := h.finish(state)
	wants(t, err, mailroom.Invalid, "grant.error.state")

	// A state tried in another session is burnt for the first one too.
	state = h.begin(binding)
	_, err = h.Finish(t.Context(), h.user, "session-of-mallory", "microsoft", state, "CODE-1", "")
	wants(t, err, mailroom.Forbidden, "grant.error.other_session")
	_, err = h.finish(state)
	wants(t, err, mailroom.Invalid, "grant.error.state")
}

func TestWhoGrantedMustBeTheMailbox(t *testing.T) {
	s := storetest.Open(t)
	for _, c := range []struct {
		name string
		bend func(*mailroom.Tokens)
		key  string
		args []string
	}{
		{"address in another case", func(g *mailroom.Tokens) { g.Addresses = []string{"anna@werk.example"} }, "", nil},
		{"second claim", func(g *mailroom.Tokens) { g.Addresses = []string{"a.berg@corp.example", "anna@werk.example"} }, "", nil},
		{"no ID token at all", func(g *mailroom.Tokens) { g.Subject, g.Addresses = "", nil }, "", nil},
		{"another account", func(g *mailroom.Tokens) { g.Addresses = []string{"bob@werk.example"} }, "grant.error.wrong_account",
			[]string{"bob@werk.example", "anna@werk.example"}},
		{"part of the address", func(g *mailroom.Tokens) { g.Addresses = []string{"xanna@werk.example"} }, "grant.error.wrong_account", nil},
		{"no address", func(g *mailroom.Tokens) { g.Addresses = nil }, "grant.error.account_unnamed", nil},
		{"scope left out", func(g *mailroom.Tokens) { g.Scopes = []string{"openid", "email"} }, "grant.error.scope_missing", []string{mail}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouseIn(t, s)
			c.bend(&h.oauth.grant)
			_, err := h.finish(h.begin(binding))
			if c.key == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if e := mailroom.AsError(err); err == nil || e.Key != c.key {
				t.Fatalf("got %v, want %s", err, c.key)
			}
			for _, want := range c.args {
				found := false
				for _, v := range mailroom.AsError(err).Args {
					found = found || v == want
				}
				if !found {
					t.Errorf("the message does not name %s: %v", want, mailroom.AsError(err).Args)
				}
			}
			if h.world.Count(t, `grants WHERE mailbox_id = $1`, h.box.ID) > 0 {
				t.Error("a grant was stored")
			}
			if got := h.audited(); !slices.Equal(got, []string{"grant.refused"}) {
				t.Errorf("audit %v", got)
			}
		})
	}
}

func TestGrantAgain(t *testing.T) {
	h := newHouse(t).granted()
	first := h.text(`SELECT access_key FROM grants WHERE mailbox_id = $1`, h.box.ID)
	h.oauth.grant = tokens(7)
	if _, err := h.finish(h.begin(binding)); err != nil {
		t.Fatal(err)
	}
	h.wantToken("ACCESS-TOKEN-7")
	if second := h.text(`SELECT access_key FROM grants WHERE mailbox_id = $1`, h.box.ID); second == first {
		t.Error("a new grant has the old data key")
	}
	if n := h.world.Count(t, `mappings WHERE mailbox_id = $1`, h.box.ID); n != 2 {
		t.Errorf("%d mappings left, want both", n)
	}
	// The address now belongs to somebody else's account: never swapped unseen.
	h.oauth.grant.Subject, h.oauth.grant.Access = "tenant/successor", "ACCESS-TOKEN-8"
	_, err := h.finish(h.begin(binding))
	wants(t, err, mailroom.Conflict, "grant.error.other_subject")
	h.wantToken("ACCESS-TOKEN-7")
}

func TestPasswordBlocksGrant(t *testing.T) {
	h := newHouse(t)
	state := h.begin(binding)
	h.exec(`UPDATE mailboxes SET password_key = 'k', password_sealed = $1 WHERE id = $2`, []byte("x"), h.box.ID)
	_, err := h.finish(state)
	wants(t, err, mailroom.Conflict, "password.blocks_grant")
}

func TestGoogleWithoutRefreshToken(t *testing.T) {
	h := newHouse(t)
	h.box.ProviderID = "google"
	h.exec(`UPDATE mailboxes SET provider_id = 'google' WHERE id = $1`, h.box.ID)
	h.oauth.grant.Scopes, h.oauth.grant.Refresh = []string{"https://mail.google.com/"}, ""
	out, err := h.finish(h.begin(binding))
	if err != nil || out.Again == "" || !h.oauth.consent[1].Force || h.oauth.consent[0].Force {
		t.Fatalf("asked once more with consent: %+v, %v, %+v", out, err, h.oauth.consent)
	}
	if h.world.Count(t, `grants WHERE mailbox_id = $1`, h.box.ID) > 0 {
		t.Error("a grant that lives an hour was stored")
	}
	_, err = h.finish(stateOf(out.Again))
	wants(t, err, mailroom.NeedsVendor, "grant.error.no_refresh_token")

	out, err = h.finish(h.begin(binding))
	if err != nil {
		t.Fatal(err)
	}
	h.oauth.grant.Refresh = "REFRESH-TOKEN-5"
	if out, err = h.finish(stateOf(out.Again)); err != nil || out.Again != "" {
		t.Fatalf("%+v, %v", out, err)
	}

	// One is held and good: nobody is asked again, and it is kept.
	h.oauth.grant.Refresh, h.oauth.grant.Access = "", "ACCESS-TOKEN-6"
	if out, err = h.finish(h.begin(binding)); err != nil || out.Again != "" {
		t.Fatalf("%+v, %v", out, err)
	}
	h.wantToken("ACCESS-TOKEN-6")
	h.spend()
	if _, err := h.token(); err != nil || h.oauth.refreshed[0] != "REFRESH-TOKEN-5" {
		t.Errorf("refreshed with %v, %v", h.oauth.refreshed, err)
	}

	// One is held and dead: asked for again.
	h.exec(`UPDATE mailboxes SET problem = '{"kind":"needs_consent","key":"oauth.error.grant_ended"}' WHERE id = $1`, h.box.ID)
	if out, err = h.finish(h.begin(binding)); err != nil || out.Again == "" {
		t.Errorf("a dead refresh token was kept: %+v, %v", out, err)
	}
}

func TestMicrosoftIsNeverAskedWithConsent(t *testing.T) {
	h := newHouse(t)
	h.oauth.grant.Refresh = ""
	out, err := h.finish(h.begin(binding))
	wants(t, err, mailroom.NeedsVendor, "grant.error.no_refresh_token")
	if out.Again != "" || len(h.oauth.consent) != 1 {
		t.Errorf("asked again: %+v", out)
	}
}

func TestRefused(t *testing.T) {
	h := newHouse(t)
	state := h.begin(binding)
	wants(t, h.Refused(t.Context(), "session-of-mallory", h.begin(binding), "access_denied", "", ""), mailroom.Forbidden, "grant.error.other_session")
	wants(t, h.Refused(t.Context(), binding, "made-up", "access_denied", "", ""), mailroom.Invalid, "grant.error.state")
	wants(t, h.Refused(t.Context(), binding, state, "access_denied", "", "cancel"), mailroom.NeedsConsent, "oauth.error.denied")
	wants(t, h.Refused(t.Context(), binding, state, "access_denied", "", "cancel"), mailroom.Invalid, "grant.error.state")
	if _, err := h.finish(state); mailroom.AsError(err).Key != "grant.error.state" {
		t.Errorf("a refused request can still be finished: %v", err)
	}
	if got := h.audited(); !slices.Equal(got, []string{"grant.refused"}) {
		t.Errorf("audit %v", got)
	}
}

func TestBeginForSomebodyElse(t *testing.T) {
	h := newHouse(t)
	p, _ := providers.ByID("microsoft")
	for _, u := range []mailroom.User{{ID: h.user.ID, OrgID: "org_other"}, {ID: "usr_other", OrgID: h.user.OrgID}} {
		_, err := h.Begin(t.Context(), u, h.box, p, binding)
		wants(t, err, mailroom.NotFound, "error.not_found")
	}
	retired := h.box
	retired.RetiredAt = time.Now()
	_, err := h.Begin(t.Context(), h.user, retired, p, binding)
	wants(t, err, mailroom.Conflict, "grant.error.mailbox_changed")
}

func TestPassword(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	_, err := h.Password(ctx, h.box.ID)
	wants(t, err, mailroom.NeedsConsent, "grant.error.no_password")
	wants(t, h.SealPassword(ctx, h.box.ID, ""), mailroom.Invalid, "grant.error.password_empty")
	for _, want := range []string{"PASSWORD-1", "PASSWORD-é2"} {
		if err := h.SealPassword(ctx, h.box.ID, want); err != nil {
			t.Fatal(err)
		}
		if got, err := h.Password(ctx, h.box.ID); err != nil || got != want {
			t.Errorf("password %q, %v, want %q", got, err, want)
		}
	}
	if found := h.onDisk("PASSWORD-"); len(found) > 0 {
		t.Error("the password lies in clear on disk")
	}
	if got := strings.Join(h.audited(), " "); got != "password.saved password.saved" {
		t.Errorf("audit %s", got)
	}
	h.exec(`UPDATE mailboxes SET password_key = '', password_sealed = NULL WHERE id = $1`, h.box.ID)
	h.granted()
	wants(t, h.SealPassword(ctx, h.box.ID, "PASSWORD-3"), mailroom.Conflict, "grant.error.password_with_grant")
	h.wantToken("ACCESS-TOKEN-1")
}
