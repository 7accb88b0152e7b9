package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func testMailboxPaused(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	row := got(s.MailboxOf(ctx, w.UserID))
	if row.Mailbox.ID != w.Mailbox.ID || row.Owner.ID != w.UserID || !row.HasGrant || !row.Ready() {
		t.Fatalf("read %+v", row)
	}
	c := w.take(t, "n1")
	pause := func(paused bool) error {
		return s.ChangeMailbox(ctx, w.OrgID, w.Mailbox.ID, func(m *mailroom.Mailbox) error { m.Paused = paused; return nil }, w.act("mailbox.paused"))
	}
	must(t, pause(true))
	w.audited(t, "mailbox.paused")
	if _, err := s.Deliver(ctx, c, w.Batch(w.Inbox, w.Mail(1, "a@b.example", "Late", "x"))); !errors.Is(err, mailroom.ErrFenced) {
		t.Fatalf("a paused mailbox was written to: %v", err)
	}
	if w.claimable(t) {
		t.Fatal("a paused mailbox is read")
	}
	must(t, pause(false))
	if !w.claimable(t) {
		t.Fatal("a resumed mailbox is not read")
	}
	before := got(s.MailboxOf(ctx, w.UserID)).Mailbox.Wanted
	must(t, s.RequestSync(ctx, w.OrgID, w.Mailbox.ID, w.act("mailbox.sync_asked")))
	if got(s.MailboxOf(ctx, w.UserID)).Mailbox.Wanted != before+1 {
		t.Fatal("asking for a sync asks for nothing")
	}
	refused(t, s.RequestSync(ctx, "org_other", w.Mailbox.ID, w.act("mailbox.sync_asked")), mailroom.NotFound, "error.not_found")
	refused(t, s.ChangeMailbox(ctx, "org_other", w.Mailbox.ID, nil, w.act("x")), mailroom.NotFound, "error.not_found")
	if rows := got(s.MailboxRows(ctx, w.OrgID)); len(rows) != 1 || rows[0].Mailbox.ID != w.Mailbox.ID {
		t.Fatalf("the organization's mailboxes are %v", rows)
	}
}

func testMailboxReplaced(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	w.file(t, w.Inbox, w.Mail(1, "a@b.example", "Kept", "x"))
	if !got(s.MailboxUsed(ctx, w.Mailbox.ID)) {
		t.Fatal("a mailbox that was read counts as unused")
	}
	fresh := mailroom.Mailbox{ID: mailroom.NewID(mailroom.PrefixMailbox), OrgID: w.OrgID, UserID: w.UserID, Address: "new@werk.example",
		Account: mailroom.Other, IMAP: mailroom.Endpoint{Host: "imap.example", Port: 993, TLS: mailroom.ImplicitTLS}, CreatedAt: time.UnixMicro(9).UTC()}
	refused(t, s.AddMailbox(ctx, fresh, w.act("mailbox.address")), mailroom.Conflict, "mailbox.error.changed")
	must(t, s.ReplaceMailbox(ctx, w.Mailbox.ID, fresh, true, w.act("mailbox.address")))
	w.audited(t, "mailbox.address")

	row := got(s.MailboxOf(ctx, w.UserID))
	if row.Mailbox.ID != fresh.ID || row.Mailbox.IMAP != fresh.IMAP || row.HasGrant || row.Mailbox.Wanted == 0 {
		t.Fatalf("in its place stands %+v", row)
	}
	old := got(s.MailboxByID(ctx, w.OrgID, w.Mailbox.ID))
	if old.Mailbox.RetiredAt.IsZero() || old.HasGrant {
		t.Fatalf("the old one is %+v", old)
	}
	if w.claimable(t) {
		t.Fatal("a retired mailbox is read")
	}
	var names, before []string
	for _, r := range got(s.MappingRows(ctx, w.Mailbox.ID)) {
		before = append(before, r.Mapping.RawName)
	}
	for _, r := range got(s.MappingRows(ctx, fresh.ID)) {
		names = append(names, r.Mapping.RawName)
		if r.Mapping.ID == w.Inbox.ID || !r.Progress.CheckedAt.IsZero() || r.Progress.Cursor.UIDValidity != 0 {
			t.Fatalf("a copied mapping begins with %+v", r)
		}
	}
	if len(names) != 2 || !slices.Equal(names, before) {
		t.Fatalf("copied mappings are %v", names)
	}
	if n := len(got(s.MappingRows(ctx, w.Mailbox.ID))); n != 2 {
		t.Fatalf("the old mailbox has %d mappings", n)
	}
	if n := len(got(s.MappingRowsOfOrg(ctx, w.OrgID))); n != 2 {
		t.Fatalf("the organization has %d mappings; those of retired mailboxes do not count", n)
	}
	if l := w.list(t, mailroom.MailFilter{}); !slices.Equal(l, []string{"Kept"}) {
		t.Fatalf("after the change the mail is %v", l)
	}
	refused(t, s.ReplaceMailbox(ctx, w.Mailbox.ID, fresh, false, w.act("x")), mailroom.Conflict, "mailbox.error.changed")

	// A password goes with its key.
	w.Exec(t, `UPDATE mailboxes SET password_key = 'k', password_sealed = $1, data_key_id = 'd', data_key_sealed = $1 WHERE id = $2`, []byte("s"), fresh.ID)
	if !got(s.MailboxOf(ctx, w.UserID)).Ready() {
		t.Fatal("a password account with a password is not ready")
	}
	must(t, s.ChangeMailbox(ctx, w.OrgID, fresh.ID, func(m *mailroom.Mailbox) error { m.PasswordSet = false; return nil }, w.act("password.cleared")))
	if n := w.Count(t, `mailboxes WHERE id = $1 AND password_sealed IS NULL AND data_key_sealed IS NULL AND password_key = '' AND data_key_id = ''`, fresh.ID); n != 1 {
		t.Fatal("a cleared password is still there")
	}
}
