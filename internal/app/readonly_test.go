package app_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"mailroom/internal/app"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
)

// TestNothingChangesInTheMailbox: after a first sync, a sync that was asked for,
// new mail and a look at the folders, every folder is as it was, flag by flag,
// and no command was sent that could have changed one.
func TestNothingChangesInTheMailbox(t *testing.T) {
	d := dovecot(t)
	d.Deliver(owner, "INBOX", mails(0, 120)...)
	d.Deliver(owner, "Sent", mails(200, 30)...)
	d.Append(owner, "Archive", peers.Mail{Raw: mail(300, 900).Raw, Flags: []string{`\Answered`, "$Forwarded", "Important"}})
	before := d.Snapshot(owner)
	d.ForgetCommands()

	a := run(t, configured(newSite(t)))
	u := settled(t, a, d)
	synced(t, a, u, "INBOX", 120)
	synced(t, a, u, "Sent", 30)
	synced(t, a, u, "Archive", 1)
	if after := d.Snapshot(owner); !reflect.DeepEqual(before, after) {
		t.Errorf("the first sync changed the mailbox:\n%v\n%v", before, after)
	}

	page, err := a.Portal.RefreshFolders(t.Context(), u)
	must(t, err)
	d.Deliver(owner, "INBOX", mails(400, 1)...)
	must(t, a.Portal.SyncNow(t.Context(), u, page.Mailbox.ID))
	synced(t, a, u, "INBOX", 121)
	within(t, "Sync now is answered", func() bool {
		v, err := a.Portal.Integrations(t.Context(), u)
		must(t, err)
		return v.Mailbox.Done == v.Mailbox.Wanted
	})
	after := d.Snapshot(owner)
	for folder, was := range before {
		for uid, flags := range was.Flags {
			if now, ok := after[folder].Flags[uid]; !ok || !slices.Equal(now, flags) {
				t.Errorf("%s UID %d: flags %v became %v", folder, uid, flags, now)
			}
		}
	}
	if got, want := slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)); !slices.Equal(got, want) {
		t.Errorf("folders %v became %v", want, got)
	}
	if cmds := d.ChangingCommands(); len(cmds) > 0 {
		t.Errorf("commands that change the mailbox: %v", cmds)
	}
	names := map[string]bool{}
	for _, c := range d.Commands() {
		names[c.Name] = true
	}
	if !names["EXAMINE"] || !names["UID FETCH"] {
		t.Errorf("the server was not watched: %v", names)
	}
}

// synced waits until a folder is in the OTYS mailbox.
func synced(t *testing.T, a *app.App, u mailroom.User, folder string, n int64) {
	t.Helper()
	within(t, folder+" is stored", func() bool {
		page, err := a.Portal.MappingPage(t.Context(), u)
		must(t, err)
		for _, r := range page.Rows {
			if r.Mapping.RawName == folder {
				return r.Progress.Stored == n && r.Progress.Backlog.Empty()
			}
		}
		return false
	})
}
