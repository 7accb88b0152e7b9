package portal_test

import (
	"testing"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

func TestFourSettingsInOrder(t *testing.T) {
	w := newWorld(t)
	next := func(want string) portal.Integrations {
		t.Helper()
		v := got(w.Integrations(w.ctx, w.anna))
		if v.Next != want {
			t.Fatalf("next is %q, want %q", v.Next, want)
		}
		return v
	}
	if v := next("username"); v.State != mailroom.StateNotSetUp || len(v.Grantable) != 2 {
		t.Fatalf("begins as %+v", v)
	}
	refused(t, w.ChooseAccount(w.ctx, w.anna, portal.AccountForm{Account: mailroom.Outlook}), mailroom.Conflict, "mailbox.error.address_first")
	complains(t, w.SaveAddress(w.ctx, w.anna, "anna at werk", false), "address mailbox.error.address")
	must(t, w.SaveAddress(w.ctx, w.anna, " Anna@Werk.example ", false))
	w.audited("mailbox.address")
	if v := next("account"); v.Mailbox.Address != "anna@werk.example" {
		t.Fatalf("address is %q", v.Mailbox.Address)
	}
	must(t, w.ChooseAccount(w.ctx, w.anna, portal.AccountForm{Account: mailroom.Outlook}))
	next("grant")
	refused(t, w.SyncNow(w.ctx, w.anna, ""), mailroom.Conflict, "mailbox.error.not_ready")
	_, err := w.Revoke(w.ctx, w.anna)
	refused(t, err, mailroom.Conflict, "grant.error.none")
	url := got(w.BeginGrant(w.ctx, w.anna, "b", portal.AccountForm{Account: mailroom.Outlook}))
	if url != "https://provider.example/authorize?for=anna@werk.example" {
		t.Fatalf("sent to %s", url)
	}
	_, err = w.FinishGrant(w.ctx, w.anna, "b", portal.Callback{ProviderID: "microsoft", Error: "consent_required"})
	refused(t, err, mailroom.NeedsAdmin, "oauth.error.consent_required")
	next("grant")
	got(w.FinishGrant(w.ctx, w.anna, "b", portal.Callback{ProviderID: "microsoft", State: "s", Code: "c"}))
	if v := next("mapping"); v.Grant == nil || v.Grant.GrantedBy != w.anna.ID || !v.Ready || v.Provider.Name != "Outlook" {
		t.Fatalf("after the grant: %+v", v)
	}
	w.connect(w.anna)
	if v := next(""); v.State != mailroom.StateWaiting || len(v.Mappings) != 2 {
		t.Fatalf("all done: %+v", v)
	}

	must(t, w.SyncNow(w.ctx, w.anna, ""))
	w.audited("mailbox.sync_asked")
	must(t, w.PauseMailbox(w.ctx, w.anna, ""))
	if v := next(""); v.State != mailroom.StatePaused {
		t.Fatalf("paused: %s", v.State)
	}
	refused(t, w.SyncNow(w.ctx, w.anna, ""), mailroom.Conflict, "mailbox.error.paused")
	must(t, w.ResumeMailbox(w.ctx, w.anna, ""))

	out := got(w.Revoke(w.ctx, w.anna))
	if v := next("grant"); !out.ProviderRevoked || v.Ready || len(v.Mappings) != 2 || v.State != mailroom.StateNotSetUp {
		t.Fatalf("after revoking: %+v", v)
	}
}

func TestAnotherAddress(t *testing.T) {
	w := newWorld(t)
	must(t, w.SaveAddress(w.ctx, w.anna, "first@werk.example", false))
	first := w.mailbox(w.anna).Mailbox.ID
	must(t, w.SaveAddress(w.ctx, w.anna, "typo@werk.example", false))
	if id := w.mailbox(w.anna).Mailbox.ID; id != first {
		t.Fatal("a mailbox that was never used was retired for a typo")
	}
	w.connect(w.anna)
	w.deliver(w.anna, "INBOX", mail("x@y.example", "Kept", "hello"))

	if c := got(w.AddressChange(w.ctx, w.anna, "ANNA@werk.example")); c != nil {
		t.Fatalf("the same address asks %+v", c)
	}
	c := got(w.AddressChange(w.ctx, w.anna, "new@werk.example"))
	if c == nil || *c != (portal.AddressChange{From: "anna@werk.example", To: "new@werk.example", HasGrant: true, Mappings: 2}) {
		t.Fatalf("another address asks %+v", c)
	}
	refused(t, w.SaveAddress(w.ctx, w.anna, "new@werk.example", false), mailroom.Conflict, "mailbox.address.confirm")
	if len(w.consent.revoked) != 0 {
		t.Fatal("revoked before it was confirmed")
	}
	must(t, w.SaveAddress(w.ctx, w.anna, "new@werk.example", true))
	if len(w.consent.revoked) != 1 || w.consent.revoked[0] != "anna@werk.example" {
		t.Fatalf("revoked %v", w.consent.revoked)
	}
	v := got(w.Integrations(w.ctx, w.anna))
	if v.Mailbox.Address != "new@werk.example" || v.Mailbox.Account != mailroom.Outlook || v.Grant != nil || len(v.Mappings) != 0 || v.Next != "grant" {
		t.Fatalf("the new mailbox is %+v", v)
	}
	w.id(w.anna, "Kept") // stays to be read
	if page := got(w.Mail(w.ctx, w.anna, w.id(w.anna, "Kept"))); page.Places[0].Mailbox != "anna@werk.example" {
		t.Fatalf("it came from %+v", page.Places)
	}
}

func TestPasswordAccount(t *testing.T) {
	w := newWorld(t)
	must(t, w.SaveAddress(w.ctx, w.anna, "anna@werk.example", false))
	imap := func(host string) portal.AccountForm {
		return portal.AccountForm{Account: mailroom.Other, IMAP: mailroom.Endpoint{Host: host}}
	}
	refused(t, w.SavePassword(w.ctx, w.anna, "secret"), mailroom.Conflict, "password.error.oauth")
	complains(t, w.ChooseAccount(w.ctx, w.anna, portal.AccountForm{Account: "exchange"}), "account account.error.choose")
	complains(t, w.ChooseAccount(w.ctx, w.anna, portal.AccountForm{Account: mailroom.Gmail}), "account account.error.not_offered")
	complains(t, w.ChooseAccount(w.ctx, w.anna, portal.AccountForm{Account: mailroom.Other, ProviderID: "microsoft"}), "provider account.error.not_offered")
	complains(t, w.ChooseAccount(w.ctx, w.anna, portal.AccountForm{Account: mailroom.Other, IMAP: mailroom.Endpoint{Port: 99999, TLS: "some"}}),
		"host account.error.host", "tls account.error.tls", "port account.error.port")
	complains(t, w.ChooseAccount(w.ctx, w.anna, imap("10.0.0.1")), "host host.error.private")
	must(t, w.SaveOrganization(w.ctx, w.admin, portal.OrganizationForm{Name: "Werk", AllowPrivateHosts: true}))
	must(t, w.ChooseAccount(w.ctx, w.anna, imap("10.0.0.1")))

	must(t, w.ChooseAccount(w.ctx, w.anna, imap("IMAP.one.example ")))
	v := got(w.Integrations(w.ctx, w.anna))
	if v.Next != "password" || v.Mailbox.IMAP != (mailroom.Endpoint{Host: "imap.one.example", Port: 993, TLS: mailroom.ImplicitTLS}) {
		t.Fatalf("chosen: %+v", v)
	}
	must(t, w.SavePassword(w.ctx, w.anna, "secret"))
	if v := got(w.Integrations(w.ctx, w.anna)); !v.Ready || v.Next != "mapping" {
		t.Fatalf("with a password: %+v", v)
	}
	// A password is never taken to another host.
	must(t, w.ChooseAccount(w.ctx, w.anna, imap("imap.two.example")))
	if v := got(w.Integrations(w.ctx, w.anna)); v.Mailbox.PasswordSet || v.Next != "password" {
		t.Fatalf("after another host: %+v", v)
	}
	must(t, w.SavePassword(w.ctx, w.anna, "secret"))

	// One left from before blocks the grant until it is cleared.
	_, err := w.BeginGrant(w.ctx, w.anna, "b", portal.AccountForm{Account: mailroom.Outlook})
	refused(t, err, mailroom.Conflict, "password.blocks_grant")
	if v := got(w.Integrations(w.ctx, w.anna)); !v.PasswordBlocks || v.Next != "password" || v.Mailbox.Account != mailroom.Outlook || v.Ready {
		t.Fatalf("a password is left: %+v", v)
	}
	must(t, w.ClearPassword(w.ctx, w.anna))
	w.audited("password.cleared")
	if v := got(w.Integrations(w.ctx, w.anna)); v.PasswordBlocks || v.Next != "grant" {
		t.Fatalf("after clearing: %+v", v)
	}
	got(w.BeginGrant(w.ctx, w.anna, "b", portal.AccountForm{Account: mailroom.Outlook}))
	_, err = w.BeginGrant(w.ctx, w.anna, "b", portal.AccountForm{Account: mailroom.Other})
	complains(t, err, "account account.error.no_grant")
}

func TestAnotherServerKeepsMappingRows(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	w.deliver(w.anna, "INBOX", mail("x@y.example", "Kept", "hello"))
	old := w.mapping(w.anna, "INBOX")
	complains(t, w.ChooseAccount(w.ctx, w.anna, portal.AccountForm{Account: mailroom.Other, ProviderID: "company"}), "account account.error.revoke_first")
	got(w.Revoke(w.ctx, w.anna))
	// The same provider again goes on where it was.
	got(w.BeginGrant(w.ctx, w.anna, "b", portal.AccountForm{Account: mailroom.Outlook}))
	if id := w.mapping(w.anna, "INBOX").Mapping.ID; id != old.Mapping.ID {
		t.Fatal("granting again began anew")
	}
	got(w.BeginGrant(w.ctx, w.anna, "b", portal.AccountForm{Account: mailroom.Other, ProviderID: "company"}))
	if w.consent.begun.ID != "company" {
		t.Fatalf("asked %s", w.consent.begun.ID)
	}
	fresh := w.mapping(w.anna, "INBOX")
	if fresh.Mapping.ID == old.Mapping.ID || fresh.Mapping.OTYSFolderID != old.Mapping.OTYSFolderID || fresh.Progress.Cursor.UIDValidity != 0 {
		t.Fatalf("on another server the mapping is %+v", fresh)
	}
	w.id(w.anna, "Kept")
}
