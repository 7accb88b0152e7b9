package imapd_test

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"mailroom/internal/pretend/imapd"

	"bufio"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

const user = "sanne@agency.example"

// checkToken knows one good token per user, one that expires soon, and one that belongs to nobody.
func checkToken(u, token string) imapd.Verdict {
	switch token {
	case "good":
		return imapd.Verdict{OK: true, Mailbox: u}
	case "short":
		return imapd.Verdict{OK: true, Mailbox: u, Expires: time.Now().Add(50 * time.Millisecond)}
	case "other":
		return imapd.Verdict{OK: true}
	}
	return imapd.Verdict{}
}

func start(t *testing.T, opts imapd.Options) (*imapd.Server, *imapd.Account) {
	t.Helper()
	opts.Check = checkToken
	s, err := imapd.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	a, err := s.AddAccount(imapd.AccountConfig{
		Address: user, Password: "app-password",
		Fill: func() []imapd.Folder {
			inbox := imapd.Folder{Name: "INBOX"}
			for i := range 5 {
				inbox.Messages = append(inbox.Messages, imapd.Message{Raw: mail(i), Date: time.Date(2026, 3, i+1, 9, 0, 0, 0, time.UTC)})
			}
			return []imapd.Folder{
				inbox,
				{Name: "Sent Items", Options: imapd.FolderOptions{Role: `\Sent`}},
				{Name: "Projecten", Options: imapd.FolderOptions{NoSelect: true}},
				{Name: "Projecten/Détachering – Zürich"},
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, a
}

func mail(i int) imapd.Content {
	return imapd.Content{
		[]byte(fmt.Sprintf("From: Anna Peeters <anna%d@thuis.example>\r\nTo: sanne@agency.example\r\nSubject: Mail %d\r\nMessage-ID: <m%d@thuis.example>\r\n", i, i, i)),
		[]byte("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\nContent-Type: text/plain\r\n\r\nHello\r\n"),
		[]byte("--b1\r\nContent-Type: application/pdf; name=cv.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--b1--\r\n"),
	}
}

// xoauth2 is the client side of XOAUTH2.
type xoauth2 struct{ user, token string }

func (x xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}
func (x xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }

func dial(t *testing.T, s *imapd.Server, opts *imapclient.Options) *imapclient.Client {
	t.Helper()
	if opts == nil {
		opts = &imapclient.Options{}
	}
	opts.TLSConfig = &tls.Config{RootCAs: s.CAPool()}
	c, err := imapclient.DialTLS(s.TLSAddr(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func signIn(t *testing.T, s *imapd.Server, opts *imapclient.Options) *imapclient.Client {
	t.Helper()
	c := dial(t, s, opts)
	if err := c.Authenticate(xoauth2{user, "good"}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestExchangeAnnouncesAlmostNothing(t *testing.T) {
	s, _ := start(t, imapd.Options{})
	c := dial(t, s, nil)
	caps, err := c.Capability().Wait()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []imap.Cap{"AUTH=XOAUTH2", "SASL-IR", "LOGINDISABLED", "ID", "IDLE", "UIDPLUS"} {
		if _, ok := caps[want]; !ok {
			t.Errorf("capability %s missing", want)
		}
	}
	for _, no := range []imap.Cap{"CONDSTORE", "ESEARCH", "SPECIAL-USE", "LIST-STATUS", "ENABLE", "AUTH=OAUTHBEARER"} {
		if _, ok := caps[no]; ok {
			t.Errorf("capability %s announced", no)
		}
	}
	if err := c.Login(user, "app-password").Wait(); err == nil {
		t.Error("LOGIN worked on Exchange")
	}
}

func TestSignInListAndFetchWithAnIndependentClient(t *testing.T) {
	s, _ := start(t, imapd.Options{})
	c := signIn(t, s, nil)
	list, err := c.List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*imap.ListData{}
	for _, l := range list {
		byName[l.Mailbox] = l
	}
	if l := byName["Sent Items"]; l == nil || !slices.Contains(l.Attrs, imap.MailboxAttrSent) {
		t.Errorf("Sent Items: %+v", l)
	}
	if l := byName["Projecten"]; l == nil || !slices.Contains(l.Attrs, imap.MailboxAttrNoSelect) || !slices.Contains(l.Attrs, imap.MailboxAttrHasChildren) {
		t.Errorf("Projecten: %+v", l)
	}
	if byName["Projecten/Détachering – Zürich"] == nil {
		t.Errorf("the name in modified UTF-7 is missing from %v", byName)
	}
	if _, err := c.Select("Projecten", &imap.SelectOptions{ReadOnly: true}).Wait(); err == nil {
		t.Error("an unselectable folder was selected")
	}
	sel, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if sel.NumMessages != 5 || sel.UIDNext != 6 || sel.UIDValidity == 0 {
		t.Errorf("INBOX: %+v", sel)
	}
	whole := &imap.FetchItemBodySection{Peek: true}
	msgs, err := c.Fetch(imap.UIDSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{
		UID: true, Flags: true, InternalDate: true, Envelope: true, RFC822Size: true,
		BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
		BodySection:   []*imap.FetchItemBodySection{whole, {Part: []int{2}, Peek: true}},
	}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	if len(msgs) != 5 {
		t.Fatalf("%d messages", len(msgs))
	}
	m := msgs[2]
	if m.UID != 3 || m.Envelope.Subject != "Mail 2" || m.Envelope.From[0].Addr() != "anna2@thuis.example" {
		t.Errorf("message 3: %d %+v", m.UID, m.Envelope)
	}
	if got := string(m.FindBodySection(whole)); got != string(mail(2).Bytes()) {
		t.Errorf("body differs: %q", got)
	}
	if got := string(m.FindBodySection(&imap.FetchItemBodySection{Part: []int{2}, Peek: true})); got != "JVBERi0=" {
		t.Errorf("part 2 is %q", got)
	}
	if m.RFC822Size == int64(mail(2).Len()) {
		t.Error("Exchange gave an exact size; it never does")
	}
	if mp, ok := m.BodyStructure.(*imap.BodyStructureMultiPart); !ok || len(mp.Children) != 2 {
		t.Errorf("structure %+v", m.BodyStructure)
	}
	if got := s.Mutating(); len(got) != 0 {
		t.Errorf("a read-only run counts as changing: %+v", got)
	}
	if slices.ContainsFunc(s.Commands(), func(c imapd.Command) bool {
		return strings.Contains(c.Args, "user=") || c.Name == "AUTHENTICATE" && c.Args != ""
	}) {
		t.Error("the record of commands holds a credential")
	}
}

func TestOpenRangeAlwaysHoldsTheLastMessage(t *testing.T) {
	s, _ := start(t, imapd.Options{})
	r := rawDial(t, s.Addr())
	r.send("a AUTHENTICATE XOAUTH2 " + b64("user="+user+"\x01auth=Bearer good\x01\x01"))
	r.until("a OK")
	r.send("b EXAMINE INBOX")
	r.until("b OK [READ-ONLY]")
	r.send("c UID FETCH 99:* (FLAGS)")
	r.until("* 5 FETCH (UID 5 FLAGS ())")
}

func TestRefusedAndForeignTokens(t *testing.T) {
	s, _ := start(t, imapd.Options{})
	c := dial(t, s, nil)
	err := c.Authenticate(xoauth2{user, "wrong"})
	var ie *imap.Error
	if !errors.As(err, &ie) || ie.Type != imap.StatusResponseTypeNo {
		t.Errorf("refused token: %v", err)
	}
	if err := c.Authenticate(xoauth2{user, "other"}); err != nil {
		t.Fatalf("a foreign token signs in at Exchange, got %v", err)
	}
	_, err = c.List("", "*", nil).Collect()
	if !errors.As(err, &ie) || ie.Type != imap.StatusResponseTypeBad || !strings.Contains(ie.Text, "authenticated but not connected") {
		t.Errorf("after it: %v", err)
	}
}

func TestIdleTellsOfDeliveryFlagsAndExpunge(t *testing.T) {
	s, a := start(t, imapd.Options{})
	exists, expunged, flags := make(chan uint32, 10), make(chan uint32, 10), make(chan string, 10)
	c := signIn(t, s, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				exists <- *d.NumMessages
			}
		},
		Expunge: func(n uint32) { expunged <- n },
		Fetch: func(m *imapclient.FetchMessageData) {
			if b, err := m.Collect(); err == nil {
				flags <- fmt.Sprint(b.UID, b.Flags)
			}
		},
	}})
	if _, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		t.Fatal(err)
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	if uid := a.Deliver("INBOX", imapd.Message{Raw: mail(9)}); uid != 6 {
		t.Errorf("delivered as UID %d", uid)
	}
	if got := receive(t, exists); got != 6 {
		t.Errorf("EXISTS %d", got)
	}
	if err := a.SetFlags("INBOX", 2, `\Seen`); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, flags); got != `2 [\Seen]` {
		t.Errorf("flags %s", got)
	}
	if uids, err := a.Move("INBOX", "Sent Items", 1); err != nil || len(uids) != 1 {
		t.Fatal(uids, err)
	}
	if got := receive(t, expunged); got != 1 {
		t.Errorf("EXPUNGE %d", got)
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := s.Connections(user); n != 1 {
		t.Errorf("%d connections", n)
	}
	s.DropConnections(user)
	if err := c.Noop().Wait(); err == nil {
		t.Error("the connection survived DropConnections")
	}
}

func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(5 * time.Second):
		t.Fatal("nothing came in 5 s")
		panic("unreachable")
	}
}

func TestThrottlingNamesAPauseAndCountsThoseWhoComeEarly(t *testing.T) {
	clock := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s, a := start(t, imapd.Options{Now: func() time.Time { return clock }})
	a.SetFaults(imapd.Faults{ThrottleAfter: 3, Backoff: 5 * time.Minute})
	fetch := func() error {
		c := signIn(t, s, nil)
		if _, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
			return err
		}
		_, err := c.Fetch(imap.UIDSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
		return err
	}
	if err := fetch(); err == nil || !strings.Contains(err.Error(), "Suggested Backoff Time: 300000 milliseconds") {
		t.Fatalf("first fetch: %v", err)
	}
	clock = clock.Add(time.Minute)
	if err := fetch(); err == nil || !strings.Contains(err.Error(), "Suggested Backoff Time: 240000 milliseconds") {
		t.Fatalf("too early: %v", err)
	}
	if n := a.EarlyReturns(); n != 1 {
		t.Errorf("%d early returns", n)
	}
	clock = clock.Add(4 * time.Minute)
	if err := fetch(); err != nil {
		t.Errorf("after the pause: %v", err)
	}
}

func TestFaultsOfSingleMessages(t *testing.T) {
	s, a := start(t, imapd.Options{})
	c := signIn(t, s, nil)
	a.SetFault("INBOX", 2, imapd.FetchEmpty, 1)
	a.SetFault("INBOX", 4, imapd.FetchPlaceholder, -1)
	if _, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		t.Fatal(err)
	}
	whole := &imap.FetchItemBodySection{Peek: true}
	fetch := func() []string {
		msgs, err := c.Fetch(imap.UIDSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range msgs {
			kind := "mail"
			if strings.Contains(string(m.FindBodySection(whole)), "Retrieval using the IMAP4 protocol failed") {
				kind = "placeholder"
			}
			got = append(got, fmt.Sprint(m.UID, kind))
		}
		return got
	}
	if got := strings.Join(fetch(), " "); got != "1mail 3mail 4placeholder 5mail" && got != "1 mail 3 mail 4 placeholder 5 mail" {
		t.Errorf("first: %s", got)
	}
	if got := fetch(); len(got) != 5 {
		t.Errorf("second: %v", got)
	}
}

func TestRenumberingAfterAFullRead(t *testing.T) {
	s, a := start(t, imapd.Options{})
	a.SetFaults(imapd.Faults{RenumberAfter: time.Millisecond})
	a.Open()
	a.Expunge("INBOX", 1)
	before := a.Folders()[0]
	c := signIn(t, s, nil)
	if _, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Fetch(imap.UIDSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect(); err != nil {
		t.Fatal(err)
	}
	for changed := a.Changed(); a.Folders()[0].UIDValidity == before.UIDValidity; changed = a.Changed() {
		receive(t, changed)
	}
	if got := a.Folders()[0].UIDs; !slices.Equal(got, []uint32{1, 2, 3, 4}) {
		t.Errorf("UIDs %v", got)
	}
}

func TestTokenEndClosesTheSession(t *testing.T) {
	s, _ := start(t, imapd.Options{})
	r := rawDial(t, s.Addr())
	r.send("a AUTHENTICATE XOAUTH2 " + b64("user="+user+"\x01auth=Bearer short\x01\x01"))
	r.until("a OK")
	r.until("* BYE Session invalidated - AccessTokenExpired")
}

func TestLongAndBadCommandsAreRefused(t *testing.T) {
	s, _ := start(t, imapd.Options{})
	r := rawDial(t, s.Addr())
	r.send("a NOOP " + strings.Repeat("x", 11_000))
	r.until("a BAD Command line too long")
	for i := range 9 {
		r.send(fmt.Sprintf("b%d NONSENSE", i))
		r.until(fmt.Sprintf("b%d BAD", i))
	}
	r.until("* BYE")
}

func TestGmailAndPlainDialects(t *testing.T) {
	s, a := start(t, imapd.Options{Dialect: imapd.Gmail()})
	c := dial(t, s, nil)
	if err := c.Authenticate(sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: user, Token: "good"})); err != nil {
		t.Fatal(err)
	}
	sel, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true, CondStore: true}).Wait()
	if err != nil || sel.HighestModSeq == 0 {
		t.Fatal(sel, err)
	}
	a.SetFlags("INBOX", 3, `\Flagged`)
	msgs, err := c.Fetch(imap.UIDSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{Flags: true, ChangedSince: sel.HighestModSeq}).Collect()
	if err != nil || len(msgs) != 1 || msgs[0].UID != 3 {
		t.Errorf("CHANGEDSINCE: %v %v", msgs, err)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Since: time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)}, &imap.SearchOptions{ReturnAll: true, ReturnCount: true}).Wait()
	if err != nil || found.Count != 3 {
		t.Errorf("ESEARCH: %+v %v", found, err)
	}
	bad := dial(t, s, nil)
	if err := bad.Authenticate(xoauth2{user, "wrong"}); err == nil || !strings.Contains(err.Error(), "Invalid credentials") {
		t.Errorf("refused at Gmail: %v", err)
	}

	p, _ := start(t, imapd.Options{Dialect: imapd.Plain(), StartTLS: true})
	pc, err := imapclient.DialStartTLS(p.Addr(), &imapclient.Options{TLSConfig: &tls.Config{RootCAs: p.CAPool()}})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if err := pc.Login(user, "wrong").Wait(); err == nil {
		t.Error("wrong password accepted")
	}
	if err := pc.Login(user, "app-password").Wait(); err != nil {
		t.Fatal(err)
	}
	list, err := pc.List("", "%", nil).Collect()
	if err != nil || len(list) != 3 || list[0].Delim != '.' {
		t.Errorf("LIST %%: %v %v", list, err)
	}
}

func TestCutInTheMiddle(t *testing.T) {
	s, a := start(t, imapd.Options{})
	a.SetFaults(imapd.Faults{DropAfterBytes: 1500})
	c := signIn(t, s, nil)
	if _, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err == nil {
		_, err = c.Fetch(imap.UIDSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
		if err == nil {
			t.Fatal("the connection was not cut")
		}
	}
	again := signIn(t, s, nil)
	if _, err := again.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		t.Errorf("cut twice: %v", err)
	}
}

func TestModifiedUTF7(t *testing.T) {
	for in, want := range map[string]string{
		"Détachering – Zürich": "D&AOk-tachering &IBM- Z&APw-rich",
		"Werving & selectie":   "Werving &- selectie",
		"Отправленные":         "&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-",
		"INBOX":                "INBOX",
	} {
		if got := imapd.EncodeUTF7(in); got != want {
			t.Errorf("EncodeUTF7(%q) = %q, want %q", in, got, want)
		}
		if got := imapd.DecodeUTF7(want); got != in {
			t.Errorf("DecodeUTF7(%q) = %q", want, got)
		}
	}
}

// rawConn speaks lines, for what a polite client would never send.
type rawConn struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func rawDial(t *testing.T, addr string) *rawConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return &rawConn{t, c, bufio.NewReader(c)}
}

func (r *rawConn) send(line string) { fmt.Fprintf(r.c, "%s\r\n", line) }

func (r *rawConn) until(prefix string) {
	r.t.Helper()
	for {
		l, err := r.r.ReadString('\n')
		if strings.HasPrefix(l, prefix) {
			return
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				r.t.Fatalf("connection ended before %q", prefix)
			}
			r.t.Fatal(err)
		}
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
