package mailroom

import "testing"

func TestSameMailbox(t *testing.T) {
	base := func() MailboxLook {
		return MailboxLook{Inbox: FolderMark{14, 900}, Newest: map[uint32]string{898: "a", 899: "b"},
			Folders: map[string]FolderMark{"Sent": {15, 300}, "Junk": {}}}
	}
	for name, c := range map[string]struct {
		bend func(*MailboxLook)
		want bool
	}{
		"nothing differs": {func(*MailboxLook) {}, true},
		"mail came meanwhile": {func(l *MailboxLook) {
			l.Inbox.UIDNext = 902
			l.Newest = map[uint32]string{899: "b", 900: "c", 901: "d"}
		}, true},
		"a mail was removed":   {func(l *MailboxLook) { delete(l.Newest, 899) }, true},
		"other validity":       {func(l *MailboxLook) { l.Inbox.UIDValidity = 13 }, false},
		"other mail there":     {func(l *MailboxLook) { l.Newest[899] = "x" }, false},
		"much more mail":       {func(l *MailboxLook) { l.Inbox.UIDNext = 4000 }, false},
		"another folder":       {func(l *MailboxLook) { l.Folders["Projects"] = FolderMark{} }, false},
		"folder of other name": {func(l *MailboxLook) { delete(l.Folders, "Junk"); l.Folders["Spam"] = FolderMark{} }, false},
		"other sent mail":      {func(l *MailboxLook) { l.Folders["Sent"] = FolderMark{15, 700} }, false},
	} {
		o := base()
		c.bend(&o)
		if got := base().Same(o); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if got := o.Same(base()); got != c.want {
			t.Errorf("%s, the other way round: %v", name, got)
		}
	}
	fresh := MailboxLook{Inbox: FolderMark{14, 2}, Newest: map[uint32]string{1: "welcome"}, Folders: map[string]FolderMark{"Sent": {15, 1}}}
	if fresh.Same(fresh) {
		t.Error("two new mailboxes with the same welcome are taken for one")
	}
}
