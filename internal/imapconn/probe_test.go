package imapconn_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"mailroom/internal/imapconn"
	"mailroom/internal/imapwire/wiretest"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
)

// probed is how each step came out, in one word each, and the last problem's key.
func probed(t *testing.T, a imapconn.Account) (results, key string) {
	t.Helper()
	told := 0
	s := mailroom.NewSteps(time.Now, func([]mailroom.Check) { told++ }, imapconn.ProbeSteps()...)
	err := imapconn.Probe(t.Context(), a, s)
	var words []string
	made := 0
	for _, c := range s.Checks() {
		words = append(words, string(c.Result))
		if c.Result != mailroom.CheckUnknown {
			made++
		}
		if c.Result == mailroom.CheckFailed {
			key = c.Problem.Key
		}
	}
	if told != made+1 {
		t.Errorf("%d steps were made, told of %d times", made, told)
	}
	if (err == nil) != mailroom.AllPassed(s.Checks()) {
		t.Errorf("%v, and the rows say %v", err, words)
	}
	return strings.Join(words, " "), key
}

func TestProbeSaysHowFarItCame(t *testing.T) {
	for name, c := range map[string]struct{ script, results, key string }{
		"well": {signedIn + `
S: * NAMESPACE (("" "/")) NIL NIL
S: {b} OK done
C: {c} LIST {*}
S: * LIST () "/" INBOX
S: * LIST (\Sent) "/" "Sent Items"
S: {c} OK done`, "ok ok ok ok", ""},
		"IMAP switched off": {signedIn + `
S: {b} BAD User is authenticated but not connected.
S: * BYE Connection closed. 14`, "ok ok failed unknown", "imap.error.not_connected"},
		"token refused": {`
S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready
C: {a} AUTHENTICATE XOAUTH2 {*}
S: {a} NO AUTHENTICATE failed.`, "ok failed unknown unknown", "imap.error.auth"},
		"hung up": {"CLOSE", "failed unknown unknown unknown", "imap.error.network"},
		"no folder of mail": {signedIn + `
S: * NAMESPACE (("" "/")) NIL NIL
S: {b} OK done
C: {c} LIST {*}
S: * LIST (\Noselect) "/" Calendar
S: {c} OK done`, "ok ok ok failed", "imap.error.no_folders"},
	} {
		t.Run(name, func(t *testing.T) {
			results, key := probed(t, imapconn.Account{
				Endpoint: mailroom.Endpoint{Host: "127.0.0.1", Port: 143, TLS: mailroom.PlainText},
				Username: anna, Token: "token", SASL: []string{"XOAUTH2"},
				Dial: func(context.Context, string, string) (net.Conn, error) {
					return loopback{wiretest.Play(t, c.script)}, nil
				},
			})
			if results != c.results || key != c.key {
				t.Errorf("%s (%s), want %s (%s)", results, key, c.results, c.key)
			}
		})
	}
}

func TestProbeAtARealServerChangesNothing(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	d.Deliver(anna, "INBOX", mails(2)...)
	if results, key := probed(t, plain(d)); results != "ok ok ok ok" {
		t.Errorf("%s (%s)", results, key)
	}
	wrong := plain(d)
	wrong.Token, wrong.Password = "wrong", "wrong"
	if results, _ := probed(t, wrong); results != "ok failed unknown unknown" {
		t.Errorf("with the wrong credentials: %s", results)
	}
	if cmds := d.ChangingCommands(); len(cmds) > 0 {
		t.Errorf("probing changed the mailbox: %v", cmds)
	}
}
