package imapconn_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
)

func TestMailsAreFoundByTheirHeaders(t *testing.T) {
	for _, without := range [][]string{nil, {"ESEARCH"}} {
		d := dovecot(t, peers.DovecotOptions{Without: without})
		d.Deliver(anna, "INBOX", mails(12)...)
		d.Deliver(anna, "INBOX", peers.Mail{Raw: []byte("From: \"J\u00f6rg \\\"X\\\"\" <jorg@example.org>\r\nMessage-ID: <J@example.org>\r\n" +
			"Subject: =?UTF-8?Q?Sollicitatie_caf=C3=A9?=\r\n\r\nx\r\n")})
		before := d.Snapshot(anna)
		c := open(t, plain(d))
		if _, err := c.Examine(t.Context(), "INBOX"); err != nil {
			t.Fatal(err)
		}
		uids := d.Folder(anna, "INBOX").UIDs()
		for _, q := range []struct {
			terms mailroom.FindTerms
			want  mailroom.UIDSet
		}{
			{mailroom.FindTerms{MessageID: "m1@example.org"}, mailroom.UIDs(uids[0])},
			{mailroom.FindTerms{MessageID: " <m12@example.org>\n"}, mailroom.UIDs(uids[11])},
			{mailroom.FindTerms{MessageID: "1@example.org"}, mailroom.UIDSet{}}, // a part of m1's and m11's
			{mailroom.FindTerms{Subject: "mail 1"}, mailroom.UIDs(uids[0], uids[9], uids[10], uids[11])},
			{mailroom.FindTerms{Subject: "caf\u00e9"}, mailroom.UIDs(uids[12])},
			{mailroom.FindTerms{Subject: "mail", From: "c3@"}, mailroom.UIDs(uids[2])},
			{mailroom.FindTerms{From: `"X\"`}, mailroom.UIDs(uids[12])},
			{mailroom.FindTerms{MessageID: "never@example.org"}, mailroom.UIDSet{}},
			{mailroom.FindTerms{Subject: " \r\n\x00"}, mailroom.UIDSet{}},
			{mailroom.FindTerms{}, mailroom.UIDSet{}},
		} {
			got, err := c.Find(t.Context(), q.terms)
			if err != nil || !got.Equal(q.want) {
				t.Errorf("%+v: %s, want %s, %v", q.terms, got, q.want, err)
			}
		}
		if cmds := d.ChangingCommands(); len(cmds) > 0 || fmt.Sprint(before) != fmt.Sprint(d.Snapshot(anna)) {
			t.Errorf("looking changed the mailbox: %v", cmds)
		}
	}
}

func TestMessageIDsAndSamplesAreToldWithoutReadingMails(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	d.Deliver(anna, "INBOX", mails(300)...)
	d.Deliver(anna, "INBOX",
		peers.Mail{Raw: []byte("From: a@example.org\r\nSubject: none\r\n\r\nno id\r\n")},
		peers.Mail{Raw: []byte("From: b@example.org\r\nmessage-id:\r\n <folded@example.org>\r\nX-Other: <not@example.org>\r\n\r\nx\r\n")},
		peers.Mail{Raw: []byte("From: c@example.org\r\nMessage-ID: bare@example.org\r\nTo: " + strings.Repeat("someone@example.org,\r\n ", 9000) + "x@example.org\r\n\r\nx\r\n")})
	c := open(t, plain(d))
	c.Examine(t.Context(), "INBOX")
	uids := d.Folder(anna, "INBOX").UIDs()
	ids, err := c.MessageIDs(t.Context(), mailroom.UIDs(uids[99], uids[300], uids[301], uids[302], 4711))
	want := map[uint32]string{uids[99]: "m100@example.org", uids[300]: "", uids[301]: "folded@example.org", uids[302]: "bare@example.org"}
	if err != nil || !maps.Equal(ids, want) {
		t.Errorf("%v %v", ids, err)
	}
	for _, headers := range []bool{false, true} {
		got := map[uint32]mailroom.Sampled{}
		err := c.Sample(t.Context(), mailroom.UIDs(uids...), headers, func(s mailroom.Sampled) {
			if s.Size == 0 || s.InternalDate.IsZero() || (s.Header != nil) != headers {
				t.Fatalf("%+v", s)
			}
			got[s.UID] = s
		})
		if err != nil || len(got) != 303 {
			t.Fatalf("%d sampled, %v", len(got), err)
		}
		if headers && !strings.Contains(string(got[uids[4]].Header), "Subject: mail 5\r\n") {
			t.Errorf("%q", got[uids[4]].Header)
		}
		if n := len(got[uids[302]].Header); n > 64<<10 {
			t.Errorf("a header of %d octets is kept", n)
		}
	}
	if n := c.Stats().BytesRead; n > 200_000+9000*22*2 {
		t.Errorf("%d octets read", n)
	}
}

func objectIDs(t *testing.T, capability, script string) map[uint32]string {
	t.Helper()
	c, err := scripted(t, strings.Replace(examined, "IMAP4rev1 NAMESPACE]", "IMAP4rev1 NAMESPACE "+capability+"]", 1)+script)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := c.Examine(t.Context(), "INBOX"); err != nil || st.Messages != 3 {
		t.Fatal(st, err)
	}
	ids, err := c.ObjectIDs(t.Context(), mailroom.Range(10, 12))
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestObjectIDsAreTheOnesThatFetchedMailsHave(t *testing.T) {
	for capability, script := range map[string]string{
		"OBJECTID": `
C: {d} UID FETCH 10:12 (UID EMAILID)
S: * 1 FETCH (EMAILID (M6d99ac3275bb4e) UID 10)
S: * 2 FETCH (UID 11 EMAILID NIL)
S: * 3 FETCH (UID 12 FLAGS (\Seen))
S: * 4 FETCH (UID 99 EMAILID (Mother))
S: {d} OK done`,
		"X-GM-EXT-1": `
C: {d} UID FETCH 10:12 (UID X-GM-MSGID)
S: * 1 FETCH (X-GM-MSGID 1278455344230334865 UID 10)
S: * 3 FETCH (UID 12 FLAGS (\Seen))
S: {d} OK done`,
	} {
		ids := objectIDs(t, capability, script)
		want := map[string]string{"OBJECTID": "M6d99ac3275bb4e", "X-GM-EXT-1": "1278455344230334865"}[capability]
		if len(ids) != 1 || ids[10] != want {
			t.Errorf("%s: %v", capability, ids)
		}
	}
	if ids := objectIDs(t, "IDLE", ""); len(ids) != 0 {
		t.Errorf("a server without ids was asked: %v", ids)
	}
}

func TestAFoldersOwnIDComesWithItsStatus(t *testing.T) {
	c, err := scripted(t, strings.Replace(signedIn, "IMAP4rev1 NAMESPACE]", "IMAP4rev1 NAMESPACE OBJECTID]", 1)+`
S: {b} OK done
C: {c} STATUS "Sent" ({*})
S: * STATUS "Sent" (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 7 MAILBOXID (F22))
S: {c} OK done
C: {d} EXAMINE "Sent"
S: * 3 EXISTS
S: * OK [UIDVALIDITY 7] ok
S: * OK [MAILBOXID (F22)] ok
S: {d} OK done
`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.Statuses(t.Context(), []string{"Sent"})
	if err != nil || all["Sent"].ObjectID != "F22" {
		t.Errorf("%+v %v", all, err)
	}
	if st, err := c.Examine(t.Context(), "Sent"); err != nil || st.ObjectID != "F22" {
		t.Errorf("%+v %v", st, err)
	}
}

// harmless are the commands that leave a mailbox as it is.
var harmless = regexp.MustCompile(`^m\d+ (CAPABILITY|ID|ENABLE QRESYNC$|NOOP|NAMESPACE|LIST|STATUS|EXAMINE|UID FETCH|UID SEARCH|IDLE|AUTHENTICATE|LOGIN|LOGOUT)( |$)|^(DONE|\*\*\*)$`)

// Every method of Conn but Create is called here. A new one makes the test fail
// until somebody thought about it.
func TestNoMethodButCreateCanChangeAMailbox(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	d.Deliver(anna, "INBOX", mails(30)...)
	before := d.Snapshot(anna)
	var lines []string
	a := plain(d)
	a.OnCommand = func(l string) { lines = append(lines, l) }
	c := open(t, a)
	ctx, all := t.Context(), mailroom.Range(1, 30)
	st, err := c.Examine(ctx, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"Folders":  func() error { _, err := c.Folders(ctx); return err },
		"Statuses": func() error { _, err := c.Statuses(ctx, []string{"Sent", "Trash"}); return err },
		"Examine":  func() error { _, err := c.Examine(ctx, "INBOX"); return err },
		"Resync": func() error {
			_, _, _, err := c.Resync(ctx, "INBOX", st.UIDValidity, 1)
			return err
		},
		"UIDs":      func() error { _, err := c.UIDs(ctx, 1); return err },
		"UIDsSince": func() error { _, err := c.UIDsSince(ctx, time.Now()); return err },
		"Fetch": func() error {
			return c.Fetch(ctx, all, func(m mailroom.FetchedMail) error { m.Release(); return nil })
		},
		"Flags":      func() error { return c.Flags(ctx, all, 1, func(mailroom.FlagChange) {}) },
		"ObjectIDs":  func() error { _, err := c.ObjectIDs(ctx, all); return err },
		"MessageIDs": func() error { _, err := c.MessageIDs(ctx, all); return err },
		"Sample":     func() error { return c.Sample(ctx, all, true, func(mailroom.Sampled) {}) },
		"Find": func() error {
			_, err := c.Find(ctx, mailroom.FindTerms{MessageID: "m3@example.org", Subject: "mail"})
			return err
		},
		"Preview": func() error { _, err := c.Preview(ctx, "INBOX", time.Time{}); return err },
		"Look":    func() error { _, err := c.Look(ctx); return err },
		"Idle": func() error {
			ended, end := context.WithCancel(ctx)
			end()
			_, err := c.Idle(ended)
			return err
		},
		"CanIdle":      func() error { c.CanIdle(); return nil },
		"CanCondStore": func() error { c.CanCondStore(); return nil },
		"CanResync":    func() error { c.CanResync(); return nil },
		"HasObjectIDs": func() error { c.HasObjectIDs(); return nil },
		"Stats":        func() error { c.Stats(); return nil },
	}
	typ := reflect.TypeFor[*imapconn.Conn]()
	for i := range typ.NumMethod() {
		name := typ.Method(i).Name
		switch call := calls[name]; {
		case call != nil:
			if err := call(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case name != "Create" && name != "Close":
			t.Errorf("%s is new here: can it change a mailbox?", name)
		}
	}
	for _, l := range lines {
		if !harmless.MatchString(l) || strings.Contains(strings.ReplaceAll(l, "BODY.PEEK[", ""), "BODY[") {
			t.Errorf("%q was sent", l)
		}
	}
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "HEADER.FIELDS") }) {
		t.Error("the header samples were not seen here")
	}
	after := d.Snapshot(anna)
	if fmt.Sprint(before["INBOX"]) != fmt.Sprint(after["INBOX"]) {
		t.Error("reading changed the mailbox")
	}
	if cmds := d.ChangingCommands(); len(cmds) > 0 {
		t.Errorf("commands that change the mailbox: %v", cmds)
	}
}
