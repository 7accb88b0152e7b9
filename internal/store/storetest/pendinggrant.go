package storetest

import (
	"bytes"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// A grant that waits is found by its person in the browser session that asked,
// changed and dropped while it is there, and gone with the grant that it becomes.
func testPendingGrant(t *testing.T, w World) {
	ctx, s, now := t.Context(), w.Store, time.Now()
	p := mailroom.PendingGrant{
		ID: mailroom.NewID(mailroom.PrefixPending), Binding: "binding", OrgID: w.OrgID, UserID: w.UserID, MailboxID: w.Mailbox.ID, ProviderID: "microsoft",
		Account: "a@corp.example", Data: mailroom.Sealed{KeyID: "k", Data: []byte{1, 0, 2}}, CreatedAt: now, ExpiresAt: now.Add(time.Minute),
	}
	older := p
	older.ID = mailroom.NewID(mailroom.PrefixPending)
	fine(t, s.SavePendingGrant(ctx, older))
	fine(t, s.SavePendingGrant(ctx, p))
	found, err := s.PendingGrant(ctx, w.OrgID, w.UserID, "binding", now)
	fine(t, err)
	if found.ID != p.ID || found.Account != p.Account || !bytes.Equal(found.Data.Data, p.Data.Data) || !found.ExpiresAt.Equal(p.ExpiresAt.UTC().Truncate(time.Microsecond)) {
		t.Errorf("found %+v", found)
	}
	for name, q := range map[string]struct {
		org, user, binding string
		at                 time.Time
	}{
		"another organization": {"org_x", w.UserID, "binding", now},
		"another person":       {w.OrgID, "usr_x", "binding", now},
		"another session":      {w.OrgID, w.UserID, "other", now},
		"too late":             {w.OrgID, w.UserID, "binding", now.Add(time.Hour)},
	} {
		if _, err := s.PendingGrant(ctx, q.org, q.user, q.binding, q.at); mailroom.KindOf(err) != mailroom.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.ChangePendingGrant(ctx, w.OrgID, older.ID, p.Data); mailroom.KindOf(err) != mailroom.Conflict {
		t.Errorf("one that was replaced is changed: %v", err)
	}
	fine(t, s.ChangePendingGrant(ctx, w.OrgID, p.ID, mailroom.Sealed{KeyID: "k2", Data: []byte("new")}))
	if found, err = s.PendingGrant(ctx, w.OrgID, w.UserID, "binding", now); err != nil || found.Data.KeyID != "k2" {
		t.Errorf("changed: %+v, %v", found.Data, err)
	}
	e := mailroom.AuditEvent{OrgID: w.OrgID, ActorID: w.UserID, Action: "grant.refused", Subject: w.Mailbox.ID}
	if err := s.DropPendingGrant(ctx, "org_x", p.ID, e); mailroom.KindOf(err) != mailroom.NotFound {
		t.Errorf("another organization drops it: %v", err)
	}
	fine(t, s.DropPendingGrant(ctx, w.OrgID, p.ID, e))
	if n := w.Count(t, `audit WHERE action = 'grant.refused' AND subject = $1`, w.Mailbox.ID); n != 1 {
		t.Errorf("%d audit events", n)
	}
	fine(t, s.SavePendingGrant(ctx, p))
	c, err := s.Credentials(ctx, w.Mailbox.ID)
	fine(t, err)
	n := mailroom.NewGrant{Secrets: mailroom.GrantSecrets{Access: mailroom.Sealed{KeyID: "k", Data: []byte("a")}}, Grant: mailroom.Grant{ID: mailroom.NewID(mailroom.PrefixGrant), OrgID: w.OrgID, MailboxID: w.Mailbox.ID, ProviderID: "microsoft",
		Subject: "s", Account: p.Account, GrantedBy: w.UserID, GrantedAt: now, RefreshedAt: now, ExpiresAt: now, Version: 1, Via: mailroom.ViaShared},
		Event: mailroom.AuditEvent{OrgID: w.OrgID, ActorID: w.UserID, Action: "grant.given", Subject: w.Mailbox.ID}}
	if c.Grant != nil {
		n.Replaces = c.Grant.Version
	}
	fine(t, s.SaveGrant(ctx, n))
	if n := w.Count(t, `pending_grants WHERE mailbox_id = $1`, w.Mailbox.ID); n != 0 {
		t.Error("it waits though it is granted")
	}
	if g, err := s.Grant(ctx, w.OrgID, w.Mailbox.ID); err != nil || g.Via != mailroom.ViaShared {
		t.Errorf("%+v, %v", g, err)
	}
}

func fine(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
