package app_test

import (
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// Who granted and which mailbox was typed need not have one address. A whole
// Mailroom tells an alias from a shared mailbox and from the wrong account by
// signing in, and tries what it was given step by step.
func TestWhoseMailboxIsIt(t *testing.T) {
	s := newSiege(t)
	domain := s.world.SharedMailbox[strings.Index(s.world.SharedMailbox, "@"):]
	steps := func(v *visitor) (cs []mailroom.Check) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; {
			p, err := s.app.Portal.Probe(t.Context(), v.user, false)
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("the steps do not end: %+v, %v", p, err)
			}
			if !p.Running {
				return p.Checks
			}
		}
	}
	via := func(v *visitor, want mailroom.GrantVia) portal.Integrations {
		t.Helper()
		in, err := s.app.Portal.Integrations(t.Context(), v.user)
		if err != nil || in.Grant == nil || in.Grant.Via != want {
			t.Fatalf("granted %+v via %q, %v", in.Grant, want, err)
		}
		return in
	}

	t.Run("alias", func(t *testing.T) {
		v := s.user("alias" + domain)
		v.get(v.answer(s.world.Issuer, v.begin("microsoft"), "alias"+domain).String())
		in := via(v, mailroom.ViaAlias)
		if in.Grant.Account != "a.lias"+domain || !mailroom.AllPassed(steps(v)) {
			t.Errorf("%s: %+v", in.Grant.Account, steps(v))
		}
	})
	t.Run("shared", func(t *testing.T) {
		v := s.user(s.world.SharedMailbox)
		v.get(v.answer(s.world.Issuer, v.begin("microsoft"), s.world.Users[0].Email).String())
		if v.at.Path != "/settings/integrations/oauth/choice" || s.granted(v) || !strings.Contains(v.page, s.world.Users[0].Email) {
			t.Fatalf("it ends at %s:\n%s", v.at, v.page)
		}
		_, id, _ := strings.Cut(v.page, `name="id" value="`)
		id, _, _ = strings.Cut(id, `"`)
		v.post("/settings/integrations/oauth/choice", "id", id, "do", "accept")
		via(v, mailroom.ViaShared)
		if cs := steps(v); !mailroom.AllPassed(cs) {
			t.Errorf("%+v", cs)
		}
	})
	t.Run("wrong account", func(t *testing.T) {
		v := s.user(s.world.SharedMailbox + "x")
		s.refused(v, v.answer(s.world.Issuer, v.begin("microsoft"), s.world.Users[0].Email).String(), "grant.error.wrong_account")
	})
	t.Run("IMAP off", func(t *testing.T) {
		v := s.user("imap-off" + domain)
		v.get(v.answer(s.world.Issuer, v.begin("microsoft"), "imap-off"+domain).String())
		via(v, mailroom.ViaSelf)
		cs := steps(v)
		if len(cs) != 5 || cs[2].Result != mailroom.CheckOK || cs[3].Problem == nil || cs[3].Problem.Key != "imap.error.not_connected" || cs[4].Result != mailroom.CheckUnknown {
			t.Errorf("%+v", cs)
		}
		v.get("/settings/integrations/oauth?checked=1")
		if v.status != 200 || !strings.Contains(v.page, "IMAP is on for this mailbox") {
			t.Errorf("%d: %s", v.status, v.page)
		}
	})
	t.Run("alias with IMAP off", func(t *testing.T) {
		// Neither opens: nobody is called the wrong account, and nothing is lost.
		v := s.user("other.name" + domain)
		v.get(v.answer(s.world.Issuer, v.begin("microsoft"), "imap-off"+domain).String())
		if v.at.Path != "/settings/integrations/oauth/choice" || !strings.Contains(v.page, "opens neither") {
			t.Errorf("it ends at %s:\n%s", v.at, v.page)
		}
	})
	if cmds := s.world.IMAP.Mutating(); len(cmds) > 0 {
		t.Errorf("looking changed a mailbox: %v", cmds)
	}
}
