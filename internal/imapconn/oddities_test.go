package imapconn_test

import (
	"context"
	"net"
	"testing"
	"time"

	"mailroom/internal/imapconn"
	"mailroom/internal/imapwire/wiretest"
	"mailroom/internal/mailroom"
)

// scripted signs in at a server that says what the script says.
func scripted(t *testing.T, script string) (*imapconn.Conn, error) {
	t.Helper()
	a := imapconn.Account{
		Endpoint: mailroom.Endpoint{Host: "127.0.0.1", Port: 143, TLS: mailroom.PlainText},
		Username: anna, Token: "token", SASL: []string{"XOAUTH2"},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return loopback{wiretest.Play(t, script)}, nil
		},
	}
	c, err := imapconn.Open(t.Context(), a)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// loopback is an in-memory connection that says it is one on this machine.
type loopback struct{ net.Conn }

func (loopback) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 143} }

const signedIn = `
S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 NAMESPACE] ready
C: {a} AUTHENTICATE XOAUTH2 {*}
S: {a} OK [CAPABILITY IMAP4rev1 NAMESPACE] done
C: {b} NAMESPACE
`

func TestRefusalsNameWhoCanFixThem(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		kind   mailroom.Kind
		key    string
	}{
		"IMAP switched off": {signedIn + `
S: {b} BAD User is authenticated but not connected.
S: * BYE Connection closed. 14`, mailroom.NeedsAdmin, "imap.error.not_connected"},
		"throttled": {signedIn + `
S: {b} NO Request is throttled. Suggested Backoff Time: 299961 milliseconds`, mailroom.Throttled, "imap.error.throttled"},
		"token refused": {`
S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready
C: {a} AUTHENTICATE XOAUTH2 {*}
S: {a} NO AUTHENTICATE failed.`, mailroom.NeedsConsent, "imap.error.auth"},
		"too many connections": {`
S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready
C: {a} AUTHENTICATE XOAUTH2 {*}
S: {a} NO [ALERT] Too many simultaneous connections. (Failure)`, mailroom.Unavailable, "imap.error.too_many"},
		"token ended": {signedIn + `
S: * BYE Session invalidated - AccessTokenExpired
CLOSE`, mailroom.Unavailable, "imap.error.session_ended"},
		"hung up": {"CLOSE", mailroom.Unavailable, "imap.error.network"},
		"no IMAP": {"S: HTTP/1.1 400 Bad Request\nCLOSE", mailroom.Unavailable, "imap.error.network"},
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Now()
			_, err := scripted(t, c.script)
			e := mailroom.AsError(err)
			if e == nil || e.Kind != c.kind || e.Key != c.key {
				t.Fatalf("got %v", err)
			}
			if c.kind == mailroom.Throttled && e.Until.Before(before.Add(299*time.Second)) {
				t.Errorf("tried again before the server allowed: %v", e.Until)
			}
		})
	}
}

const examined = signedIn + `
S: * NAMESPACE (("" "/")) NIL NIL
S: {b} OK done
C: {c} EXAMINE "INBOX"
S: * 3 EXISTS
S: * OK [UIDVALIDITY 7] ok
S: * OK [UIDNEXT 13] ok
S: {c} OK [READ-ONLY] done
`

func fetched(t *testing.T, script string, set mailroom.UIDSet) map[uint32]string {
	t.Helper()
	c, err := scripted(t, examined+script)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Examine(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	got := map[uint32]string{}
	err = c.Fetch(t.Context(), set, func(m mailroom.FetchedMail) error {
		if _, twice := got[m.UID]; twice {
			t.Errorf("uid %d came twice", m.UID)
		}
		got[m.UID] = m.Refused
		if m.Refused == "" {
			got[m.UID] = string(m.Raw)
		}
		m.Release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWhatTheServerWithholdsIsReportedAndNotLost(t *testing.T) {
	got := fetched(t, `
C: {d} UID FETCH 10:12 {*}
S: * 1 FETCH (BODY[] {4}
R: "mail UID 10 FLAGS ())\r\n"
S: * 2 FETCH (UID 11 FLAGS (\Seen) INTERNALDATE "03-Nov-2026 09:15:00 +0100" BODY[] NIL)
S: * 3 FETCH (FLAGS (\Seen) UID 12)
S: {d} OK done
`, mailroom.Range(10, 12))
	if got[10] != "mail" || got[11] != "empty" {
		t.Errorf("%v", got)
	}
	if _, told := got[12]; told {
		t.Error("changed flags of a mail are no answer to our question")
	}
}

func TestACutInTheMiddleOfAMailIsANetworkFault(t *testing.T) {
	for name, body := range map[string]string{
		"in memory": `R: "* 1 FETCH (UID 10 BODY[] {400}\r\nhalf a mail"`,
		"in a file": `R: "* 1 FETCH (UID 10 BODY[] {9000000}\r\nhalf a mail"`,
		"before it": `R: "* 1 FETCH (UID 10 BODY[] {400}\r\n"`,
	} {
		t.Run(name, func(t *testing.T) {
			c, err := scripted(t, examined+"C: {d} UID FETCH 10 {*}\n"+body+"\nCLOSE")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Examine(t.Context(), "INBOX"); err != nil {
				t.Fatal(err)
			}
			err = c.Fetch(t.Context(), mailroom.UIDs(10), func(mailroom.FetchedMail) error {
				t.Error("half a mail was given out")
				return nil
			})
			if e := mailroom.AsError(err); e == nil || e.Kind != mailroom.Unavailable || e.Key != "imap.error.network" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestARefusedChunkStopsNoOther(t *testing.T) {
	got := fetched(t, `
C: {d} UID FETCH 16:40 {*}
C: {e} UID FETCH 10:15 {*}
S: {d} NO Server error while fetching.
S: * 1 FETCH (UID 10 BODY[] {4}
R: "mail FLAGS ())\r\n"
S: {e} OK done
`, mailroom.Range(10, 40))
	if len(got) != 1 || got[10] != "mail" {
		t.Errorf("%v", got)
	}
}

func TestExchangesNoteInPlaceOfAMailIsRecognised(t *testing.T) {
	got := fetched(t, `
C: {d} UID FETCH 10 {*}
S: * 1 FETCH (UID 10 BODY[] {149}
R: "From: \"Microsoft Exchange Server\" <@.MISSING-HOST-NAME.>\r\nSubject: x\r\n\r\nRetrieval using the IMAP4 protocol failed for the following message: 123456789\r\n\r\n FLAGS ())\r\n"
S: {d} OK done
`, mailroom.UIDs(10))
	if got[10] != "placeholder" {
		t.Errorf("%v", got)
	}
}

func TestAFullListingAnsweredByNothingIsNotBelieved(t *testing.T) {
	c, err := scripted(t, examined+`
C: {d} UID SEARCH ALL
S: {d} OK done
`)
	if err != nil {
		t.Fatal(err)
	}
	c.Examine(t.Context(), "INBOX")
	if set, err := c.UIDs(t.Context(), 1); mailroom.KindOf(err) != mailroom.Unavailable {
		t.Errorf("%v %v: everything would count as removed", set, err)
	}
}

func TestACutWithinAMailIsANetworkFault(t *testing.T) {
	for _, size := range []string{"1000", "20000000"} { // in a buffer, in a file
		c, err := scripted(t, examined+`
C: {d} UID FETCH 10 {*}
S: * 1 FETCH (UID 10 BODY[] {`+size+`}
R: "From: half"
CLOSE`)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Examine(t.Context(), "INBOX"); err != nil {
			t.Fatal(err)
		}
		err = c.Fetch(t.Context(), mailroom.UIDs(10), func(m mailroom.FetchedMail) error { t.Error("half a mail was given"); return nil })
		if e := mailroom.AsError(err); e == nil || e.Key != "imap.error.network" {
			t.Errorf("%s octets: %v", size, err)
		}
	}
}

// A server that speaks Latin-1: the name is no text, and the folder is read all
// the same, by its very octets.
func TestAFolderWhoseNameIsNoTextIsOfferedAndOpened(t *testing.T) {
	c, err := scripted(t, `
S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready
C: {a} AUTHENTICATE XOAUTH2 {*}
S: {a} OK [CAPABILITY IMAP4rev1 LITERAL+] done
C: {n} NOOP
S: {n} OK done
C: {b} LIST "" "*"
R: "* LIST () \"/\" \"R\xe9sum\xe9\"\r\n"
S: {b} OK done
C: {c} STATUS {*}
B: 6
C: {*}
R: "* STATUS {6}\r\nR\xe9sum\xe9 (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 7)\r\n"
S: {c} OK done
C: {d} EXAMINE {*}
B: 6
C: {*}
S: * 3 EXISTS
S: * OK [UIDVALIDITY 7] ok
S: {d} OK [READ-ONLY] done
`)
	if err != nil {
		t.Fatal(err)
	}
	folders, err := c.Folders(t.Context())
	if err != nil || len(folders) != 1 {
		t.Fatalf("%+v, %v", folders, err)
	}
	f := folders[0]
	if f.RawName != "%%R%E9sum%E9" || f.Name != "R\uFFFDsum\uFFFD" || f.Messages != 3 || !f.Mappable() {
		t.Errorf("listed as %+v", f)
	}
	st, err := c.Examine(t.Context(), f.RawName)
	if err != nil || st.Messages != 3 || st.UIDValidity != 7 {
		t.Errorf("opened: %+v, %v", st, err)
	}
}
