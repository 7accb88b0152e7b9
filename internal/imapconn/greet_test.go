package imapconn_test

import (
	"context"
	"net"
	"testing"

	"mailroom/internal/imapconn"
	"mailroom/internal/imapwire/wiretest"
	"mailroom/internal/mailroom"
)

func TestGreetSignsInNowhere(t *testing.T) {
	for name, c := range map[string]struct{ script, mechanism, key string }{
		"in the greeting": {"S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=OAUTHBEARER] ready\n", "OAUTHBEARER", ""},
		"asked for":       {"S: * OK ready\nC: {a} CAPABILITY\nS: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2\nS: {a} OK done\n", "XOAUTH2", ""},
		"takes passwords": {"S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\n", "", "imap.error.mechanism"},
	} {
		got, err := imapconn.Greet(t.Context(), imapconn.Account{
			Endpoint: mailroom.Endpoint{Host: "127.0.0.1", Port: 143, TLS: mailroom.PlainText}, SASL: []string{"XOAUTH2", "OAUTHBEARER"},
			Dial: func(context.Context, string, string) (net.Conn, error) {
				return loopback{wiretest.Play(t, c.script)}, nil
			},
		})
		if got != c.mechanism || (err == nil) != (c.key == "") || err != nil && mailroom.AsError(err).Key != c.key {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
