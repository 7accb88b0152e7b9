package imapconn_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
)

const anna = "anna@agency.example"

func mail(n int) peers.Mail {
	return peers.Mail{Raw: fmt.Appendf(nil, "From: c%d@example.org\r\nTo: %s\r\nMessage-ID: <m%d@example.org>\r\nSubject: mail %d\r\n\r\nbody %d\r\n", n, anna, n, n, n)}
}

func mails(n int) []peers.Mail {
	var out []peers.Mail
	for i := range n {
		out = append(out, mail(i+1))
	}
	return out
}

func plain(d *peers.DovecotServer) imapconn.Account {
	return imapconn.Account{
		Endpoint: mailroom.Endpoint{Host: d.Host, Port: d.Port, TLS: mailroom.PlainText}, Username: anna, Password: "secret",
	}
}

func dovecot(t *testing.T, o peers.DovecotOptions) *peers.DovecotServer {
	o.Users = map[string]string{anna: "secret"}
	return peers.Dovecot(t, o)
}

func open(t *testing.T, a imapconn.Account) *imapconn.Conn {
	t.Helper()
	c, err := imapconn.Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func byName(t *testing.T, c *imapconn.Conn) map[string]mailroom.Folder {
	t.Helper()
	list, err := c.Folders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]mailroom.Folder{}
	for _, f := range list {
		m[f.Name] = f
	}
	return m
}

func TestFoldersAreReadableWithRolesAndCounts(t *testing.T) {
	for _, without := range [][]string{nil, {"LIST-STATUS", "SPECIAL-USE", "CONDSTORE", "QRESYNC", "LIST-EXTENDED"}} {
		t.Run(strings.Join(without, "+"), func(t *testing.T) {
			d := dovecot(t, peers.DovecotOptions{Without: without, Folders: []peers.DovecotFolder{
				{Name: "Verzonden items", Role: `\Sent`}, {Name: "Agenda"}, {Name: "Projecten/Détachering – Zürich"},
			}})
			d.Deliver(anna, "INBOX", mails(3)...)
			d.Deliver(anna, "Projecten/Détachering – Zürich", mail(9))
			got := byName(t, open(t, plain(d)))
			if f := got["INBOX"]; f.Role != mailroom.RoleInbox || f.Messages != 3 || !f.Mappable() {
				t.Errorf("inbox: %+v", f)
			}
			if f := got["Verzonden items"]; f.Role != mailroom.RoleSent || f.Messages != 0 {
				t.Errorf("sent: %+v", f)
			}
			if f := got["Agenda"]; f.Mappable() {
				t.Errorf("a calendar must not be offered: %+v", f)
			}
			if f := got["Projecten/Détachering – Zürich"]; f.Messages != 1 || f.Leaf() != "Détachering – Zürich" || f.RawName == f.Name {
				t.Errorf("subfolder: %+v", f)
			}
		})
	}
}

func TestEveryMailIsFetchedOnceNewestChunkFirstAndNothingChanges(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	d.Deliver(anna, "INBOX", mails(700)...)
	before := d.Snapshot(anna)
	c := open(t, plain(d))
	st, err := c.Examine(t.Context(), "INBOX")
	if err != nil || st.Messages != 700 || st.UIDNext != 701 {
		t.Fatalf("%+v %v", st, err)
	}
	all, err := c.UIDs(t.Context(), 1)
	if err != nil || all.Len() != 700 {
		t.Fatalf("%v %v", all, err)
	}
	if last, _ := c.UIDs(t.Context(), 701); !last.Empty() {
		t.Errorf("n:* named the last message as new: %v", last)
	}
	var order []uint32
	err = c.Fetch(t.Context(), all, func(m mailroom.FetchedMail) error {
		if m.Refused != "" || !strings.Contains(string(m.Raw), "Message-ID: <m") || m.InternalDate.IsZero() {
			t.Errorf("uid %d: refused %q, %d octets", m.UID, m.Refused, len(m.Raw))
		}
		order = append(order, m.UID)
		m.Release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if order[0] != 676 || order[24] != 700 {
		t.Errorf("the newest 25 come first, got %d…%d", order[0], order[24])
	}
	slices.Sort(order)
	if len(slices.Compact(order)) != 700 {
		t.Errorf("%d mails, some twice or missing", len(order))
	}
	if cmds := d.ChangingCommands(); len(cmds) > 0 {
		t.Errorf("commands that change the mailbox: %v", cmds)
	}
	if after := d.Snapshot(anna); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("reading changed the mailbox")
	}
}

func TestAnErrorInTheMiddleOfAFetchIsReturnedAtOnce(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	d.Deliver(anna, "INBOX", mails(100)...)
	c := open(t, plain(d))
	c.Examine(t.Context(), "INBOX")
	n := 0
	err := c.Fetch(t.Context(), mailroom.Range(1, 100), func(m mailroom.FetchedMail) error {
		n++
		return mailroom.ErrFenced
	})
	if err != mailroom.ErrFenced || n != 1 {
		t.Errorf("%v after %d mails", err, n)
	}
}

func TestLargeMessagesTravelThroughAFileAndTooLargeOnesAreRefused(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	big := append(mail(1).Raw, []byte(strings.Repeat("0123456789abcdef\r\n", 600_000))...) // 10.8 MB
	d.Deliver(anna, "INBOX", peers.Mail{Raw: big}, mail(2))
	for limit, want := range map[int64]string{0: "", 5 << 20: "too_large"} {
		a := plain(d)
		a.MaxMessage = limit
		c := open(t, a)
		c.Examine(t.Context(), "INBOX")
		got := map[uint32]string{}
		err := c.Fetch(t.Context(), mailroom.Range(1, 2), func(m mailroom.FetchedMail) error {
			got[m.UID] = m.Refused
			if m.UID == 1 && m.Refused == "" && string(m.Raw) != string(big) {
				t.Error("the large message is not what was delivered")
			}
			if m.UID == 1 && m.Size != int64(len(big)) {
				t.Errorf("size %d", m.Size)
			}
			m.Release()
			return nil
		})
		if err != nil || len(got) != 2 || got[1] != want || got[2] != "" {
			t.Errorf("limit %d: %v %v", limit, got, err)
		}
	}
}

func TestIdleIsToldOfNewMailAndEndsPolitely(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	d.Deliver(anna, "INBOX", mail(1))
	c := open(t, plain(d))
	if !c.CanIdle() {
		t.Fatal("Dovecot offers IDLE")
	}
	c.Examine(t.Context(), "INBOX")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	delivered := make(chan struct{})
	go func() { defer close(delivered); d.Deliver(anna, "INBOX", mail(2)) }()
	changed, err := c.Idle(ctx)
	if err != nil || !changed {
		t.Fatalf("idle: %v %v", changed, err)
	}
	<-delivered
	if set, err := c.UIDs(t.Context(), 2); err != nil || set.Len() != 1 {
		t.Errorf("after idle: %v %v", set, err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if changed, err := c.Idle(ended); err != nil {
		t.Errorf("idle with an ended context: %v %v", changed, err)
	}
	if _, err := c.Examine(t.Context(), "INBOX"); err != nil {
		t.Errorf("the connection must stay usable: %v", err)
	}
}

func TestAVanishedFolderIsToldApart(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	c := open(t, plain(d))
	_, err := c.Examine(t.Context(), "Nowhere")
	if e := mailroom.AsError(err); e == nil || e.Kind != mailroom.NotFound || e.Key != "folder.error.gone" {
		t.Errorf("%v", err)
	}
	st, err := c.Statuses(t.Context(), []string{"Nowhere", "Sent"})
	if err != nil || len(st) != 1 {
		t.Errorf("one bad folder must not spoil the others: %v %v", st, err)
	}
}

func TestCreateMakesAFolderWithAReadableName(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	c := open(t, plain(d))
	if err := c.Create(t.Context(), "OTYS Zürich"); err != nil {
		t.Fatal(err)
	}
	if f := byName(t, c)["OTYS Zürich"]; !f.Mappable() {
		t.Errorf("%+v", f)
	}
}

func TestEncryptionIsVerified(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	implicit, starttls := plain(d), plain(d)
	implicit.Endpoint.Port, implicit.Endpoint.TLS = d.TLSPort, mailroom.ImplicitTLS
	starttls.Endpoint.TLS = mailroom.StartTLS
	for name, a := range map[string]imapconn.Account{"tls": implicit, "starttls": starttls} {
		a.RootCAs = d.Cert.CA
		open(t, a)
		a.RootCAs = x509.NewCertPool()
		_, err := imapconn.Open(t.Context(), a)
		if e := mailroom.AsError(err); e == nil || e.Key != "imap.error.certificate" {
			t.Errorf("%s with an unknown authority: %v", name, err)
		}
	}
}

func TestAWrongPasswordAsksTheRecruiter(t *testing.T) {
	a := plain(dovecot(t, peers.DovecotOptions{}))
	a.Password = "wrong"
	_, err := imapconn.Open(t.Context(), a)
	if e := mailroom.AsError(err); e == nil || e.Kind != mailroom.NeedsConsent || e.Key != "imap.error.password" {
		t.Errorf("%v", err)
	}
}

func TestTokensOpenTheMailboxByEitherMechanism(t *testing.T) {
	op := peers.OIDCProvider(t, peers.OIDCOptions{})
	d := peers.Dovecot(t, peers.DovecotOptions{OAuth: op.DovecotOAuth()})
	token := op.Token(anna, peers.ScopeOutlookIMAP).AccessToken
	a := plain(d)
	a.Password, a.Token = "", token
	for _, mech := range []string{"XOAUTH2", "OAUTHBEARER"} {
		a.SASL = []string{mech}
		if got := byName(t, open(t, a)); len(got) == 0 {
			t.Error("no folders by", mech)
		}
		bad := a
		bad.Token = "revoked"
		_, err := imapconn.Open(t.Context(), bad)
		if e := mailroom.AsError(err); e == nil || e.Kind != mailroom.NeedsConsent || e.Key != "imap.error.auth" {
			t.Errorf("%s with a dead token: %v", mech, err)
		}
		if err != nil && strings.Contains(err.Error(), token) {
			t.Error("the token stands in the error")
		}
	}
}

func TestAServerThatIsGoneIsANetworkFault(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	a := plain(d)
	d.Stop()
	_, err := imapconn.Open(t.Context(), a)
	if e := mailroom.AsError(err); e == nil || e.Kind != mailroom.Unavailable || e.Key != "imap.error.network" {
		t.Errorf("%v", err)
	}
}
