package app_test

import (
	"regexp"
	"strings"
	"testing"
)

// Keys are added, used and dropped by commands while the program reads mail, and it
// notices only that it has other keys: it is not started again.
func TestKeysRotateWhileItServes(t *testing.T) {
	d := dovecot(t)
	d.Deliver(owner, "INBOX", mails(0, 5)...)
	s := newSite(t, "MAILROOM_ALLOW_PRIVATE_HOSTS=true", "MAILROOM_POLL=5s")
	s.settle(t, d)
	p := s.serve(t)
	db := s.database(t)
	read := func(n int64) func() bool {
		return func() bool { return number(t, db, `SELECT COUNT(*) FROM placements`) == n }
	}
	within(t, "the first mails are read", read(5))
	keys := func(code int, args ...string) string {
		t.Helper()
		out, errs, got := s.tool(t, "", append([]string{"keys"}, args...)...)
		if got != code {
			t.Errorf("keys %v: code %d\n%s%s", args, got, out, errs)
		}
		return out + errs
	}
	says := func(text, want string) {
		t.Helper()
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}

	old := regexp.MustCompile(`kek_\S+`).FindString(keys(0, "list"))
	says(keys(0, "list"), old+` +\S+ +1 +seals`)
	says(keys(0, "rotate"), "everything is sealed by "+old)
	added := regexp.MustCompile(`kek_\w+`).FindString(keys(0, "add"))
	says(keys(0, "list"), added+` +\S+ +0 +waits`)
	says(keys(1, "drop", old), "1 values are still sealed by "+old)
	says(keys(0, "rotate"), `(?s)`+added+` seals from now on.*1 values sealed again by `+added+`.*needed no more: `+old)
	says(keys(0, "list"), `(?s)`+old+` +\S+ +0 +needed no more.*`+added+` +\S+ +1 +seals.*process \S+ +seals with `+added)
	says(keys(1, "drop", added), "the key that seals|still sealed by")
	says(keys(0, "drop", old), "dropped "+old)

	// The password opens: the program signs in anew.
	d.Kick(owner)
	d.Deliver(owner, "INBOX", mails(5, 3)...)
	within(t, "mail comes in after the old key is gone", read(8))
	select {
	case <-p.ended:
		t.Error("the program ended")
	default:
	}
	if errs := p.errs.String(); strings.Contains(errs, "key_missing") || strings.Contains(errs, "not usable") {
		t.Errorf("the program missed a key:\n%s", errs)
	}
}
