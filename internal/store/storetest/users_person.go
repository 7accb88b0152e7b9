package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/store"
)

// testSetup needs a store without an organization.
func testSetup(t *testing.T, s *store.Store) {
	ctx := t.Context()
	if o := got(s.Organizations(ctx)); len(o) != 0 {
		t.Fatalf("a new store has organizations: %v", o)
	}
	must(t, s.SaveSetupToken(ctx, "old"))
	must(t, s.SaveSetupToken(ctx, "new"))
	found := func(token, n string) error {
		id := mailroom.NewID(mailroom.PrefixOrganization)
		o := mailroom.Organization{ID: id, Name: n, CreatedAt: time.Now()}
		u := mailroom.User{ID: mailroom.NewID(mailroom.PrefixUser), OrgID: id, Email: n + "@agency.example", Name: "Anna", Role: mailroom.Administrator, SessionEpoch: 1}
		return s.Found(ctx, token, o, u, mailroom.AuditEvent{OrgID: id, ActorID: u.ID, Action: "organization.founded"})
	}
	refused(t, found("old", "a"), mailroom.NotFound, "organization.error.setup_used")

	// Two browsers at once: one wins.
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, name := range []string{"b", "c"} {
		wg.Go(func() { errs[i] = found("new", name) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("setup with one token twice: %v", errs)
	}
	refused(t, errors.Join(errs...), mailroom.NotFound, "organization.error.setup_used")
	orgs := got(s.Organizations(ctx))
	if len(orgs) != 1 {
		t.Fatalf("%d organizations were founded", len(orgs))
	}
	users := got(s.Users(ctx, orgs[0].ID))
	if len(users) != 1 || !users[0].IsAdmin() {
		t.Fatalf("founded with %v", users)
	}
	folders := got(s.OTYSFolders(ctx, users[0].ID))
	if len(folders) != 2 || folders[0].Role != mailroom.RoleInbox || folders[1].Role != mailroom.RoleSent {
		t.Fatalf("the OTYS mailbox begins with %v", folders)
	}
	// Without a token, a second agency beside the first.
	must(t, found("", "d"))
	// Once there is one, a token that was left opens nothing.
	must(t, s.SaveSetupToken(ctx, "left"))
	refused(t, found("left", "e"), mailroom.NotFound, "organization.error.setup_used")
}

func testUsers(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	id := mailroom.NewID(mailroom.PrefixUser)
	u := mailroom.User{ID: id, OrgID: w.OrgID, Email: id + "@werk.example", Name: "Zoë", Role: mailroom.Administrator,
		PasswordHash: "h", Language: "nl", SessionEpoch: 1, CreatedAt: time.UnixMicro(5).UTC()}
	must(t, s.AddUser(ctx, u, w.act("user.added")))
	w.audited(t, "user.added")
	if v := got(s.User(ctx, w.OrgID, id)); v != u {
		t.Fatalf("stored %+v, read %+v", u, v)
	}
	if v := got(s.UserByEmail(ctx, u.Email)); v.ID != id {
		t.Fatalf("by address: %+v", v)
	}
	_, err := s.User(ctx, "org_other", id)
	refused(t, err, mailroom.NotFound, "error.not_found")

	again := u
	again.ID = "usr_again" + id
	refused(t, s.AddUser(ctx, again, w.act("user.added")), mailroom.Conflict, "user.error.email_taken")

	signalled(t, s, store.TopicOrg(w.OrgID), func(ctx context.Context) error {
		return s.ChangeUser(ctx, w.OrgID, id, func(v *mailroom.User, admins int) error {
			if admins != 1 {
				t.Errorf("%d administrators", admins)
			}
			v.Name, v.SessionEpoch = "Zoë B", 2
			return nil
		}, w.act("user.saved"))
	})
	if v := got(s.UserByID(ctx, id)); v.Name != "Zoë B" || v.SessionEpoch != 2 {
		t.Fatalf("changed to %+v", v)
	}
	refused(t, s.ChangeUser(ctx, "org_other", id, nil, w.act("user.saved")), mailroom.NotFound, "error.not_found")

	// A rule that refuses leaves no trace.
	no := mailroom.E(mailroom.Conflict, "user.error.last_admin")
	refused(t, s.ChangeUser(ctx, w.OrgID, id, func(v *mailroom.User, _ int) error { v.Name = "x"; return no }, w.act("user.role")), no.Kind, no.Key)
	w.audited(t, "user.saved")
	if v := got(s.UserByID(ctx, id)); v.Name != "Zoë B" {
		t.Fatal("a refused change was stored")
	}

	o := got(s.Organization(ctx, w.OrgID))
	o.Name, o.ShareLinkedMail, o.AllowPrivateHosts = "Werk & Zn", true, true
	must(t, s.SaveOrganization(ctx, o, w.act("organization.saved")))
	if v := got(s.Organization(ctx, w.OrgID)); v != o {
		t.Fatalf("stored %+v, read %+v", o, v)
	}
}

// Two administrators who demote each other at the same moment must not both succeed.
func testLastAdministrator(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	var ids [2]string
	for i := range ids {
		ids[i] = mailroom.NewID(mailroom.PrefixUser)
		must(t, s.AddUser(ctx, mailroom.User{ID: ids[i], OrgID: w.OrgID, Email: ids[i] + "@werk.example", Name: "A", Role: mailroom.Administrator}, w.act("user.added")))
	}
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			err := s.ChangeUser(ctx, w.OrgID, id, func(u *mailroom.User, admins int) error {
				if admins <= 1 {
					return mailroom.E(mailroom.Conflict, "user.error.last_admin")
				}
				u.Role = mailroom.Recruiter
				return nil
			}, w.act("user.role"))
			if err != nil && mailroom.KindOf(err) != mailroom.Conflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := w.Count(t, `users WHERE org_id = $1 AND role = 'administrator'`, w.OrgID); n != 1 {
		t.Fatalf("%d administrators are left", n)
	}
}

func testDisabledUser(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	must(t, s.ChangeUser(ctx, w.OrgID, w.UserID, func(u *mailroom.User, _ int) error { u.DisabledAt = time.Now(); return nil }, w.act("user.disabled")))
	if _, err := s.Deliver(ctx, c, w.Batch(w.Inbox, w.Mail(1, "a@b.example", "Late", "x"))); !errors.Is(err, mailroom.ErrFenced) {
		t.Fatalf("the mailbox of a disabled user was still written to: %v", err)
	}
	if w.claimable(t) {
		t.Fatal("the mailbox of a disabled user is read")
	}
	must(t, s.ChangeUser(ctx, w.OrgID, w.UserID, func(u *mailroom.User, _ int) error { u.DisabledAt = time.Time{}; return nil }, w.act("user.enabled")))
	if !w.claimable(t) {
		t.Fatal("the mailbox of an enabled user is not read")
	}
}

// claimable reports whether a node gets the world's mailbox.
func (w World) claimable(t testing.TB) bool {
	t.Helper()
	for _, c := range got(w.Store.ClaimMailboxes(t.Context(), "asker", time.Hour, 1000, time.Now())) {
		must(t, w.Store.Release(t.Context(), c, time.Time{}, nil, 0))
		if c.MailboxID == w.Mailbox.ID {
			return true
		}
	}
	return false
}
