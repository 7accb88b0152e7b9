package access_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailroom/internal/access"
	"mailroom/internal/mailroom"
)

// seenProvider notes as which registration the provider was spoken to.
type seenProvider struct {
	*provider
	mu    sync.Mutex
	asked []mailroom.Provider
}

func (s *seenProvider) note(p mailroom.Provider) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, p)
}

func (s *seenProvider) ConsentURL(ctx context.Context, p mailroom.Provider, r mailroom.ConsentRequest) (string, error) {
	s.note(p)
	return s.provider.ConsentURL(ctx, p, r)
}

func (s *seenProvider) Exchange(ctx context.Context, p mailroom.Provider, r mailroom.CodeRequest) (mailroom.Tokens, error) {
	s.note(p)
	return s.provider.Exchange(ctx, p, r)
}

// surgery is a house whose provider has a registration for the doctor.
func surgery(t *testing.T) (*house, *seenProvider) {
	t.Helper()
	h := newHouse(t)
	ms := providers[0]
	ms.ClientSecret, ms.AuthParams = "mail-secret", map[string]string{"prompt": "select_account", "access_type": "offline"}
	ms.Directory = &mailroom.Directory{ClientID: "doctor", ClientSecret: "doctor-secret",
		Scopes: []string{"Directory.Read.All", "Policy.Read.All", "openid", "offline_access"}, SelfScopes: []string{"User.Read"}}
	seen := &seenProvider{provider: h.oauth}
	h.deps.Base = append(mailroom.Providers{ms}, providers[1:]...)
	h.deps.OAuth = seen
	h.deps.DoctorURL = func(id string) string { return "https://mailroom.example/doctor/callback/" + id }
	h.Access = access.New(h.deps)
	return h, seen
}

// look begins and returns the state.
func (h *house) look(self bool, binding string) string {
	h.t.Helper()
	to, err := h.BeginDoctor(h.t.Context(), h.user, h.deps.Base[0], mailroom.DoctorRequest{MailboxID: h.box.ID, Address: h.box.Address, Self: self}, binding)
	if err != nil {
		h.t.Fatal(err)
	}
	return stateOf(to)
}

func (h *house) looked(state string) (mailroom.DoctorPermit, error) {
	return h.FinishDoctor(h.t.Context(), h.user, binding, "microsoft", state, "CODE-1", "")
}

func TestTheDoctorLooksWithItsOwnRegistration(t *testing.T) {
	h, seen := surgery(t)
	permit, err := h.looked(h.look(false, binding))
	if err != nil || permit.Token != "ACCESS-TOKEN-1" || permit.TenantID != "tenant" || permit.Provider.ClientID != "c" {
		t.Fatalf("%+v, %v", permit, err)
	}
	r := permit.Request
	if r.MailboxID != h.box.ID || r.Address != h.box.Address || r.UserID != h.user.ID || r.Self || r.Verifier.Data != nil {
		t.Errorf("request %+v", r)
	}
	for i, p := range seen.asked {
		if p.ClientID != "doctor" || p.ClientSecret != "doctor-secret" || !slices.Equal(p.Scopes, []string{"Directory.Read.All", "Policy.Read.All", "openid", "profile"}) || p.AuthParams["access_type"] != "" {
			t.Errorf("request %d as %+v", i, p)
		}
	}
	if h.deps.Base[0].AuthParams["access_type"] != "offline" {
		t.Error("the mail registration was changed with it")
	}
	asked, sent := h.oauth.consent[0], h.oauth.exchanges[0]
	if asked.LoginHint != "" || asked.RedirectURL != "https://mailroom.example/doctor/callback/microsoft" || asked.Force {
		t.Errorf("asked %+v", asked)
	}
	if len(asked.Verifier) < 43 || sent.Verifier != asked.Verifier || sent.Nonce != asked.Nonce || sent.RedirectURL != asked.RedirectURL {
		t.Errorf("sent %+v", sent)
	}
	// Used and thrown away: not a trace of what was permitted.
	if found := h.onDisk("ACCESS-TOKEN", "REFRESH-TOKEN", asked.State, asked.Verifier, binding); len(found) > 0 {
		t.Errorf("on disk: %v", found)
	}
	if h.world.Count(t, `grants WHERE mailbox_id = $1`, h.box.ID)+h.world.Count(t, `doctor_requests WHERE org_id = $1`, h.user.OrgID) != 0 {
		t.Error("something of it was kept")
	}

	// Oneself: as who the mailbox is, and with no more than User.Read.
	permit, err = h.looked(h.look(true, binding))
	if last := seen.asked[len(seen.asked)-1]; err != nil || !permit.Request.Self || !slices.Equal(last.Scopes, []string{"User.Read", "openid", "profile"}) {
		t.Errorf("oneself: %+v as %v, %v", permit, last.Scopes, err)
	}
	if hint := h.oauth.consent[1].LoginHint; hint != h.box.Address {
		t.Errorf("oneself as %q", hint)
	}
}

func TestAttacksOnTheDoctorsCallback(t *testing.T) {
	for _, c := range []struct {
		name string
		kind mailroom.Kind
		key  string
		do   func(h *house) error
	}{
		{"state made up", mailroom.Invalid, "doctor.error.state", func(h *house) error { _, err := h.looked("made-up"); return err }},
		{"no state", mailroom.Invalid, "doctor.error.state", func(h *house) error { _, err := h.looked(""); return err }},
		{"begun in another session", mailroom.Forbidden, "doctor.error.other_session", func(h *house) error {
			_, err := h.looked(h.look(false, "session-of-mallory"))
			return err
		}},
		{"no session", mailroom.Invalid, "doctor.error.state", func(h *house) error {
			_, err := h.FinishDoctor(h.t.Context(), h.user, "", "microsoft", h.look(false, binding), "CODE-1", "")
			return err
		}},
		{"another user", mailroom.Forbidden, "doctor.error.other_session", func(h *house) error {
			_, err := h.FinishDoctor(h.t.Context(), mailroom.User{ID: "usr_other", OrgID: h.user.OrgID}, binding, "microsoft", h.look(false, binding), "CODE-1", "")
			return err
		}},
		{"another organization", mailroom.Forbidden, "doctor.error.other_session", func(h *house) error {
			_, err := h.FinishDoctor(h.t.Context(), mailroom.User{ID: h.user.ID, OrgID: "org_other"}, binding, "microsoft", h.look(false, binding), "CODE-1", "")
			return err
		}},
		{"another provider's answer", mailroom.Forbidden, "doctor.error.state", func(h *house) error {
			_, err := h.FinishDoctor(h.t.Context(), h.user, binding, "google", h.look(false, binding), "CODE-1", "")
			return err
		}},
		{"a grant's state at this door", mailroom.Invalid, "doctor.error.state", func(h *house) error { _, err := h.looked(h.begin(binding)); return err }},
		{"this state at the grant's door", mailroom.Invalid, "grant.error.state", func(h *house) error { _, err := h.finish(h.look(false, binding)); return err }},
		{"no code", mailroom.Invalid, "doctor.error.no_code", func(h *house) error {
			_, err := h.FinishDoctor(h.t.Context(), h.user, binding, "microsoft", h.look(false, binding), "", "")
			return err
		}},
		{"too late", mailroom.Conflict, "doctor.error.expired", func(h *house) error {
			state := h.look(false, binding)
			h.deps.Now = func() time.Time { return time.Now().Add(10*time.Minute + time.Second) }
			h.Access = access.New(h.deps)
			_, err := h.looked(state)
			return err
		}},
		{"request copied onto another state", mailroom.NeedsVendor, "grant.error.key_damaged", func(h *house) error {
			h.look(false, binding)
			second := h.look(false, binding)
			h.exec(`UPDATE doctor_requests SET verifier_data = (SELECT verifier_data FROM doctor_requests ORDER BY created_at LIMIT 1) WHERE org_id = $1`, h.user.OrgID)
			_, err := h.looked(second)
			return err
		}},
		{"registration gone", mailroom.NeedsVendor, "doctor.error.not_registered", func(h *house) error {
			state := h.look(false, binding)
			h.deps.Base[0].Directory = nil
			_, err := h.looked(state)
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := surgery(t)
			wants(t, c.do(h), c.kind, c.key)
			if len(h.oauth.exchanges) > 0 {
				t.Error("the code was sent to the provider")
			}
		})
	}
}

func TestTheDoctorsStateIsGoodOnce(t *testing.T) {
	h, _ := surgery(t)
	state := h.look(false, binding)
	var ok atomic.Int32
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := h.looked(state); err == nil {
				ok.Add(1)
			} else {
				wants(t, err, mailroom.Invalid, "doctor.error.state")
			}
		})
	}
	wg.Wait()
	if ok.Load() != 1 || len(h.oauth.exchanges) != 1 {
		t.Errorf("good %d times, sent %d times", ok.Load(), len(h.oauth.exchanges))
	}
}

func TestTheDoctorIsRefused(t *testing.T) {
	h, _ := surgery(t)
	refused := func(state string) (mailroom.DoctorRequest, error) {
		return h.RefusedDoctor(t.Context(), h.user, binding, "microsoft", state, "access_denied", "", "cancel")
	}
	r, err := refused(h.look(false, binding))
	wants(t, err, mailroom.NeedsAdmin, "doctor.error.denied")
	if r.MailboxID != h.box.ID || r.Self || mailroom.AsError(err).Args["ref"] != "r" {
		t.Errorf("%+v, %v", r, err)
	}
	state := h.look(true, binding)
	r, err = refused(state)
	wants(t, err, mailroom.NeedsConsent, "doctor.error.denied_self")
	if !r.Self {
		t.Error("it is not known whom it was about")
	}
	_, err = refused(state)
	wants(t, err, mailroom.Invalid, "doctor.error.state")
	_, err = refused(h.look(false, "session-of-mallory"))
	wants(t, err, mailroom.Forbidden, "doctor.error.other_session")
	// Without a registration nobody is sent anywhere.
	_, err = h.BeginDoctor(t.Context(), h.user, providers[1], mailroom.DoctorRequest{}, binding)
	wants(t, err, mailroom.NeedsVendor, "doctor.error.not_registered")
}
