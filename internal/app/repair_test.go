package app_test

import (
	"strings"
	"testing"
	"time"

	"mailroom/internal/pretend/imapd"
	"mailroom/internal/pretend/issuer"
	"mailroom/internal/pretend/world"
)

// TestRepairNeedsNoLiveToken: with the token dead, the provider away and the
// mail server refusing everybody, every page on which something is mended opens
// at once and says how.
func TestRepairNeedsNoLiveToken(t *testing.T) {
	s := newSiege(t)
	mailbox := "marieke@" + world.Domain
	v := s.user(mailbox)
	if v.get(v.answer(s.world.Issuer, v.begin("microsoft"), mailbox).String()); !s.granted(v) {
		t.Fatalf("no grant to begin with: %s", v.page)
	}
	s.world.Issuer.RevokeAccount(mailbox)
	for _, endpoint := range []string{"token", "discovery", "keys", "authorize", "adminconsent"} {
		s.world.Issuer.Break(endpoint, issuer.Reply{Status: -1})
	}
	s.world.IMAP.Account(mailbox).SetFaults(imapd.Faults{RefuseLogin: true, Delay: time.Minute})
	s.world.IMAP.DropConnections(mailbox)

	for _, path := range []string{
		"/settings/integrations", "/settings/integrations/username?address=other@" + world.Domain, "/settings/integrations/oauth",
		"/settings/integrations/oauth/revoke", "/settings/integrations/consent", "/settings/integrations/licence", "/settings/integrations/mapping", "/mail", "/help/errors", "/help/administrator",
	} {
		s.opens(v, path)
	}
	for _, path := range []string{"/admin/sync", "/admin/providers", "/admin/consent", "/admin/doctor", "/admin/expiry", "/admin/audit", "/admin/users"} {
		s.opens(s.admin, path)
	}
	// Permission can be asked for anew, and given up.
	if to := v.begin("microsoft"); !strings.Contains(to, "/authorize") {
		t.Errorf("Grant Permission leads to %s", to)
	}
	v.post("/settings/integrations/oauth/revoke")
	if s.granted(v) {
		t.Errorf("the grant cannot be given up: %s", v.page)
	}
}

// opens: a page is there, and does not wait for anybody outside.
func (s *siege) opens(v *visitor, path string) {
	s.t.Helper()
	began := time.Now()
	if v.get(path); v.status != 200 || v.at.Path != strings.Split(path, "?")[0] {
		s.t.Errorf("%s: %d at %s", path, v.status, v.at)
	}
	if took := time.Since(began); took > 5*time.Second {
		s.t.Errorf("%s took %s: it waits for somebody outside", path, took)
	}
}
