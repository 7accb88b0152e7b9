package imapwire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mailroom/internal/imapwire/wiretest"
)

func TestManyStatusInOneFlight(t *testing.T) {
	const boxes = 40
	c := connect(t, wiretest.Serve(t, func(s *wiretest.Session) {
		s.Send("* OK ready")
		// All forty must arrive before the first answer goes out.
		var tags []string
		for i := range boxes {
			s.Expect(fmt.Sprintf(`{t} STATUS "box %d" (UIDNEXT UIDVALIDITY)`, i))
			tags = append(tags, s.Word("t"))
		}
		for i, tag := range tags {
			if i == 7 {
				s.Send(tag + " NO [NONEXISTENT] gone")
				continue
			}
			s.Send(fmt.Sprintf(`* STATUS "box %d" (UIDNEXT %d UIDVALIDITY 3)`, i, i+100), tag+" OK")
		}
	}))
	var calls []*Call[Status]
	for i := range boxes {
		calls = append(calls, c.Status(fmt.Sprintf("box %d", i), StatusUIDNext|StatusUIDValidity))
	}
	for i, call := range calls {
		st, err := call.Wait(t.Context())
		if i == 7 {
			if e := wantErr[*ResponseError](t, err); e.Code != "NONEXISTENT" {
				t.Errorf("error %v", e)
			}
		} else if err != nil || st.UIDNext != uint32(i+100) || st.Name != fmt.Sprintf("box %d", i) {
			t.Errorf("box %d: %+v, %v", i, st, err)
		}
	}
	if n := c.Stats().RoundTrips; n != 1 {
		t.Errorf("%d round trips, want 1", n)
	}
	if n := c.Stats().Commands; n != boxes {
		t.Errorf("%d commands", n)
	}
}

func TestThousandsOfStatusDoNotLockBothSides(t *testing.T) {
	// The server answers each command before it reads the next, and commands
	// and answers are far more than the buffers on the way hold.
	const boxes = 4000
	conn := dialListen(t, func(conn net.Conn) {
		tcp := conn.(*net.TCPConn)
		tcp.SetReadBuffer(16 << 10)
		tcp.SetWriteBuffer(16 << 10)
		io.WriteString(conn, "* OK ready\r\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			f := strings.Fields(lines.Text())
			if _, err := fmt.Fprintf(conn, "* STATUS %s (MESSAGES 1 X-FILLER \"and so on and so forth\")\r\n%s OK\r\n", f[2], f[0]); err != nil {
				return
			}
		}
	})
	conn.(*net.TCPConn).SetReadBuffer(16 << 10)
	conn.(*net.TCPConn).SetWriteBuffer(16 << 10)
	c := connect(t, conn, func(o *Options) { o.Timeouts.Write = 10 * time.Second })
	var calls []*Call[Status]
	for i := range boxes {
		calls = append(calls, c.Status(fmt.Sprintf("box%d", i), StatusMessages))
	}
	if st := wait(t, calls[boxes-1]); st.Messages != 1 {
		t.Errorf("last is %+v", st)
	}
	for _, call := range calls {
		if !call.Done() {
			t.Fatal("an earlier call is not done")
		}
	}
}

func TestStatusOfInboxInAnyCase(t *testing.T) {
	c := open(t, "", `
		C: {a} STATUS "INBOX" (MESSAGES)
		C: {b} STATUS "Sent" (MESSAGES)
		S: * STATUS "Inbox" (MESSAGES 4)
		S: {a} OK
		S: * STATUS "Sent" (MESSAGES 5)
		S: {b} OK
	`)
	a, b := c.Status("INBOX", StatusMessages), c.Status("Sent", StatusMessages)
	if wait(t, a).Messages != 4 || wait(t, b).Messages != 5 {
		t.Error("counts were mixed up")
	}
}

func TestFirstCommandsShareAFlight(t *testing.T) {
	c := open(t, "", `
		C: {a} CAPABILITY
		C: {b} ID ("name" "Mail \"room\"" "version" "1")
		C: {c} NAMESPACE
		C: {d} LIST "" "*"
		S: * CAPABILITY IMAP4rev1 IDLE
		S: {a} OK
		S: * ID ("name" "peer")
		S: {b} OK
		S: * NAMESPACE (("" "/")("#x/" NIL "X-PARAM" ("a" "b"))) NIL (("Public/" "/"))
		S: {c} OK
		S: * LIST (\HasNoChildren) "/" INBOX
		S: {d} OK
	`)
	a, b, n, l := c.Capability(), c.ID("name", `Mail "room"`, "version", "1"), c.Namespace(), c.List(ListOptions{})
	if e := wait(t, l); len(e) != 1 || e[0].Name != "INBOX" || !e[0].HasAttr(`\hasnochildren`) {
		t.Errorf("list %+v", e)
	}
	if caps := wait(t, a); !slices.Contains(caps, "IDLE") {
		t.Errorf("capabilities %v", caps)
	}
	if id := wait(t, b); id["name"] != "peer" {
		t.Errorf("id %v", id)
	}
	want := Namespaces{Personal: []Namespace{{"", "/"}, {"#x/", ""}}, Shared: []Namespace{{"Public/", "/"}}}
	if ns := wait(t, n); !reflect.DeepEqual(ns, want) {
		t.Errorf("namespaces %+v", ns)
	}
	if n := c.Stats().RoundTrips; n != 1 {
		t.Errorf("%d round trips, want 1", n)
	}
}

func TestListStatusInOneFlight(t *testing.T) {
	c := open(t, "LIST-EXTENDED LIST-STATUS SPECIAL-USE", `
		C: {a} LIST "" "*" RETURN (SPECIAL-USE CHILDREN STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ SIZE MAILBOXID))
		S: * STATUS Sent (MESSAGES 9)
		S: * LIST (\Noselect) "/" Public
		S: * LIST () "/" INBOX
		S: * STATUS inbox (MESSAGES 17 UIDNEXT 18 UIDVALIDITY 5 HIGHESTMODSEQ 18446744073709551615 SIZE 70000000000 MAILBOXID (F2) RECENT 1 X-Y (a b))
		S: * LIST (\Sent) "/" "Sent"
		S: {a} OK
	`)
	l := wait(t, c.List(ListOptions{ReturnSpecialUse: true, ReturnChildren: true,
		Status: StatusMessages | StatusUIDNext | StatusUIDValidity | StatusHighestModSeq | StatusSize | StatusMailboxID}))
	if len(l) != 3 || l[0].Status != nil || l[2].Status == nil || l[2].Status.Messages != 9 {
		t.Fatalf("list %+v", l)
	}
	s := *l[1].Status
	if s.Messages != 17 || s.UIDNext != 18 || s.UIDValidity != 5 || s.Size != 70_000_000_000 || s.MailboxID != "F2" || s.Name != "INBOX" {
		t.Errorf("status %+v", s)
	}
	if s.Has&StatusHighestModSeq != 0 {
		t.Error("a MODSEQ beyond 63 bits was believed (RFC 7162 section 7)")
	}
}

func TestExamineTellsAll(t *testing.T) {
	c := open(t, "CONDSTORE", `
		C: {a} EXAMINE "INBOX" (CONDSTORE)
		S: * OK [CLOSED] previous
		S: * FLAGS (\Answered \Seen $Forwarded)
		S: * OK [PERMANENTFLAGS ()] Read-only mailbox.
		S: * 172 EXISTS
		S: * 1 RECENT
		S: * OK [UNSEEN 12] first unseen
		S: * OK [UIDVALIDITY 3857529045] valid
		S: * OK [UIDNEXT 4392] next
		S: * OK [HIGHESTMODSEQ 715194045007] highest
		S: * OK [MAILBOXID (F2212ea87)] id
		S: * OK [X-ODD stuff] whatever
		S: {a} OK [READ-ONLY] done
		C: {b} EXAMINE "x"
		S: * 0 EXISTS
		S: * OK [NOMODSEQ] none
		S: * NO [UIDNOTSTICKY] none
		S: {b} OK [READ-WRITE] hm
	`)
	m := wait(t, c.Examine("INBOX", ExamineOptions{CondStore: true}))
	want := Mailbox{Name: "INBOX", Exists: 172, HasExists: true, UIDValidity: 3857529045, UIDNext: 4392, HighestModSeq: 715194045007,
		MailboxID: "F2212ea87", Flags: []string{`\Answered`, `\Seen`, "$Forwarded"}, PermanentFlags: "()", ReadOnly: true}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("mailbox %+v\nwant    %+v", m, want)
	}
	m = wait(t, c.Examine("x", ExamineOptions{}))
	if !m.NoModSeq || !m.UIDNotSticky || m.ReadOnly || !m.HasExists || m.Exists != 0 {
		t.Errorf("mailbox %+v", m)
	}
}

func TestQResyncTellsChangesAndRemovals(t *testing.T) {
	c := open(t, "QRESYNC", `
		C: {a} EXAMINE "INBOX" (QRESYNC (67890007 90060115194045000 41,43:211))
		S: * 314 EXISTS
		S: * OK [UIDVALIDITY 67890007] ok
		S: * VANISHED (EARLIER) 41,43:116,118
		S: * 49 FETCH (UID 117 FLAGS (\Seen) MODSEQ (90060115194045001))
		S: {a} OK [READ-ONLY] done
		C: {b} UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 12345 VANISHED)
		S: * VANISHED (EARLIER) 300:310
		S: * VANISHED 405
		S: * 1 FETCH (UID 404 MODSEQ (65402) FLAGS ())
		S: {b} OK done
	`)
	var g got
	var gone []string
	h := g.handler()
	h.Vanished = func(s UIDSet, earlier bool) error { gone = append(gone, fmt.Sprint(s, earlier)); return nil }
	known, _ := ParseUIDSet("41,43:211")
	m := wait(t, c.Examine("INBOX", ExamineOptions{QResync: &QResync{67890007, 90060115194045000, known}, Changes: h}))
	if m.Exists != 314 || m.UIDValidity != 67890007 {
		t.Errorf("mailbox %+v", m)
	}
	n := wait(t, c.UIDFetch(UIDsFrom(1), FetchItems{Flags: true, ChangedSince: 12345, Vanished: true}, h))
	if n != 1 || len(g.msgs) != 2 || g.msgs[0].ModSeq != 90060115194045001 || g.msgs[1].UID != 404 {
		t.Errorf("messages %+v", g.msgs)
	}
	if want := []string{"41,43:116,118 true", "300:310 true", "405 false"}; !slices.Equal(gone, want) {
		t.Errorf("gone %q, want %q", gone, want)
	}
}

func TestAllFetchItems(t *testing.T) {
	c := open(t, "", `
		C: {a} UID FETCH 5 (UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ EMAILID THREADID X-GM-MSGID X-GM-THRID X-GM-LABELS BODY.PEEK[HEADER] BODY.PEEK[HEADER.FIELDS (From Message-ID)] BODY.PEEK[]<0.5>)
		R: "* 3 FETCH (X-GM-LABELS (\"\\\\Inbox\" \\Sent {3}\r\nfoo \"&AOk-\") X-GM-THRID 1278455344230334865 X-GM-MSGID 1278455344230334866 UID 5 RFC822.SIZE 44827 INTERNALDATE \" 7-Jul-1996 02:44:25 -0700\" MODSEQ (624140003) EMAILID (M6d99ac3275bb4e) THREADID (T64b478a75b7ea9) FLAGS (\\Seen) BODY[HEADER] {2}\r\nH1 BODY[HEADER.FIELDS (\"FROM\" \"MESSAGE-ID\")] {2}\r\nH2 BODY[]<0> {5}\r\nabcde)\r\n"
		S: {a} OK
	`)
	var sections []string
	var msg *Message
	wait(t, c.UIDFetch(UIDs(5), FetchItems{Flags: true, InternalDate: true, Size: true, ModSeq: true, EmailID: true, ThreadID: true,
		GmailID: true, GmailThread: true, GmailLabels: true, Header: true, HeaderFields: []string{"From", "Message-ID"}, Body: true, BodyOctets: 5},
		FetchHandler{
			Body: func(_ *Message, lit *Literal) error {
				var b bytes.Buffer
				_, err := lit.WriteTo(&b)
				sections = append(sections, fmt.Sprintf("%s=%s/%d", lit.Section, &b, lit.Size))
				return err
			},
			Done: func(m *Message) error { msg = m; return nil },
		}))
	want := &Message{Seq: 3, UID: 5, Has: HasFlags | HasInternalDate | HasSize | HasModSeq | HasEmailID | HasThreadID | HasGmailID | HasGmailThread | HasGmailLabels | HasBody,
		Flags: []string{`\Seen`}, InternalDate: time.Date(1996, 7, 7, 9, 44, 25, 0, time.UTC), Size: 44827, ModSeq: 624140003,
		EmailID: "M6d99ac3275bb4e", ThreadID: "T64b478a75b7ea9", GmailID: 1278455344230334866, GmailThread: 1278455344230334865,
		GmailLabels: []string{`\Inbox`, `\Sent`, "foo", "&AOk-"}}
	if !reflect.DeepEqual(msg, want) {
		t.Errorf("message %+v\nwant    %+v", msg, want)
	}
	if want := []string{"HEADER=H1/2", `HEADER.FIELDS ("FROM" "MESSAGE-ID")=H2/2`, "=abcde/5"}; !slices.Equal(sections, want) {
		t.Errorf("bodies %q, want %q", sections, want)
	}
}

func TestTwoFetchesInFlight(t *testing.T) {
	const batches = 5
	c := connect(t, wiretest.Serve(t, func(s *wiretest.Session) {
		s.Send("* OK ready")
		s.Expect("{now} UID FETCH 1 (UID BODY.PEEK[])")
		for i := 1; i <= batches; i++ {
			if i < batches {
				// The next one must be here before this one is answered.
				s.Expect(fmt.Sprintf("{next} UID FETCH %d (UID BODY.PEEK[])", i+1))
			}
			s.Raw(fmt.Sprintf("* %d FETCH (BODY[] {2}\r\nm%d UID %d)\r\n", i, i, i))
			s.Send(s.Word("now") + " OK")
			s.SetWord("now", s.Word("next"))
		}
	}))
	var g got
	h := g.handler()
	this := c.UIDFetch(UIDs(1), FetchItems{Body: true}, h)
	for i := 2; i <= batches; i++ {
		next := c.UIDFetch(UIDs(uint32(i)), FetchItems{Body: true}, h)
		wait(t, this)
		if next.Done() {
			t.Error("waiting for one finished the other")
		}
		this = next
	}
	wait(t, this)
	if len(g.bodies) != batches || g.bodies[5] != "m5" {
		t.Errorf("bodies %v", g.bodies)
	}
}

func TestHandlerErrorDrainsAndKeepsTheConnection(t *testing.T) {
	mine := errors.New("disk full")
	for _, where := range []string{"body", "done"} {
		c := open(t, "", `
			C: {a} UID FETCH 1:2 (UID BODY.PEEK[])
			R: "* 1 FETCH (BODY[] {10}\r\n0123456789 UID 1)\r\n"
			R: "* 2 FETCH (UID 2 BODY[] {10}\r\n0123456789)\r\n"
			S: {a} OK
		`+aliveScript)
		calls := 0
		fail := func(at string) error {
			if at != where {
				return nil
			}
			calls++
			return mine
		}
		_, err := c.UIDFetch(UIDsBetween(1, 2), FetchItems{Body: true}, FetchHandler{
			Body: func(_ *Message, lit *Literal) error { lit.Read(make([]byte, 3)); return fail("body") },
			Done: func(*Message) error { return fail("done") },
		}).Wait(t.Context())
		if err != mine || calls != 1 {
			t.Errorf("%s: error %v after %d calls", where, err, calls)
		}
		alive(t, c)
	}
}

func TestLiteralIsDeadAfterItsHandler(t *testing.T) {
	c := open(t, "", `
		C: {a} UID FETCH 1 (UID BODY.PEEK[])
		R: "* 1 FETCH (BODY[] {10}\r\n0123456789 UID 1)\r\n"
		S: {a} OK
	`+aliveScript)
	var kept *Literal
	wait(t, c.UIDFetch(UIDs(1), FetchItems{Body: true}, FetchHandler{Body: func(_ *Message, lit *Literal) error { kept = lit; return nil }}))
	if n, err := kept.Read(make([]byte, 5)); n != 0 || err == nil || err == io.EOF {
		t.Errorf("late read gives %d, %v", n, err)
	}
	alive(t, c)
}

func TestLargeLiteralArrivesWhole(t *testing.T) {
	body := strings.Repeat("All work and no play\r\n", 20_000)
	for _, how := range []string{"WriteTo", "small reads", "large reads"} {
		c := connect(t, wiretest.Serve(t, func(s *wiretest.Session) {
			s.Send("* OK ready")
			s.Expect("{a} UID FETCH 1 (UID BODY.PEEK[])")
			s.Raw(fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n%s UID 1)\r\n", len(body), body))
			s.Send("{a} OK")
		}))
		var b bytes.Buffer
		wait(t, c.UIDFetch(UIDs(1), FetchItems{Body: true}, FetchHandler{Body: func(_ *Message, lit *Literal) (err error) {
			switch how {
			case "WriteTo":
				_, err = lit.WriteTo(&b)
			case "small reads":
				_, err = io.CopyBuffer(struct{ io.Writer }{&b}, struct{ io.Reader }{lit}, make([]byte, 700))
			default:
				_, err = io.CopyBuffer(struct{ io.Writer }{&b}, struct{ io.Reader }{lit}, make([]byte, 300_000))
			}
			return err
		}}))
		if b.String() != body {
			t.Errorf("%s: %d bytes arrived of %d", how, b.Len(), len(body))
		}
	}
}

func TestNamesThatNeedALiteral(t *testing.T) {
	c := open(t, "", `
		C: {a} EXAMINE {6}
		S: + go on
		B: 6
		C: 
		S: {a} OK [READ-ONLY]
		C: {b} STATUS {6}
		S: {b} NO refused before the literal
		C: {c} CREATE "OTYS"
		S: {c} OK [MAILBOXID (F7)] made
	`)
	wait(t, c.Examine("L\xe9ger\x7f", ExamineOptions{}))
	_, err := c.Status("L\xe9ger\x7f", StatusMessages).Wait(t.Context())
	wantErr[*ResponseError](t, err)
	if id := wait(t, c.Create("OTYS")); id != "F7" {
		t.Errorf("mailbox id %q", id)
	}
	plus := open(t, "LITERAL+", `
		C: {a} EXAMINE {6+}
		B: 6
		C: 
		S: {a} OK
	`)
	wait(t, plus.Examine("L\xe9ger\x7f", ExamineOptions{}))
}

func TestSearchCriteria(t *testing.T) {
	day := time.Date(2026, 11, 3, 23, 0, 0, 0, time.UTC)
	c := open(t, "LITERAL+", `
		C: {a} UID SEARCH UID 5:* SINCE 3-Nov-2026 BEFORE 4-Nov-2026 SENTSINCE 3-Nov-2026 SENTBEFORE 3-Nov-2026 LARGER 5 SMALLER 9 MODSEQ 7 SEEN KEYWORD $X UNDELETED UNKEYWORD $Y HEADER Message-ID "<a@b>" HEADER X ""
		S: * SEARCH
		S: {a} OK
		C: {b} UID SEARCH CHARSET UTF-8 HEADER Subject {5+}
		B: 5
		C: 
		S: * SEARCH 4
		S: {b} OK
	`)
	wait(t, c.UIDSearch(Criteria{UIDs: UIDsFrom(5), Since: day, Before: day.AddDate(0, 0, 1), SentSince: day, SentBefore: day, Larger: 5, Smaller: 9, ModSeq: 7,
		With: []string{`\Seen`, "$X"}, Without: []string{`\Deleted`, "$Y"}, Header: []HeaderTerm{{"Message-ID", "<a@b>"}, {"X", ""}}}, false))
	if r := wait(t, c.UIDSearch(Criteria{Header: []HeaderTerm{{"Subject", "Caf\u00e9"}}}, false)); !r.UIDs.Contains(4) {
		t.Errorf("found %v", r.UIDs)
	}
}

func TestWhatCannotBeSentIsNotSent(t *testing.T) {
	c := open(t, "", aliveScript)
	var long UIDSet
	for u := uint32(1); u < 20_000; u += 2 {
		long.Add(u)
	}
	check := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	_, err := c.UIDFetch(long, FetchItems{}, FetchHandler{}).Wait(t.Context())
	check(err, ErrCommandTooLong)
	_, err = c.UIDFetch(nil, FetchItems{}, FetchHandler{}).Wait(t.Context())
	check(err, ErrBadArgument)
	_, err = c.UIDFetch(UIDs(1), FetchItems{HeaderFields: []string{"A)] BODY[]"}}, FetchHandler{}).Wait(t.Context())
	check(err, ErrBadArgument)
	_, err = c.Examine("a\r\nm9 DELETE INBOX", ExamineOptions{}).Wait(t.Context())
	check(err, ErrBadArgument)
	_, err = c.UIDSearch(Criteria{With: []string{`\Seen DELETED`}}, false).Wait(t.Context())
	check(err, ErrBadArgument)
	_, err = c.UIDSearch(Criteria{Header: []HeaderTerm{{"Subject\r\n", "x"}}}, false).Wait(t.Context())
	check(err, ErrBadArgument)
	_, err = c.Enable("X\r\nm9 DELETE INBOX").Wait(t.Context())
	check(err, ErrBadArgument)
	_, err = c.Status("x", 0).Wait(t.Context())
	check(err, ErrBadArgument)
	_, err = c.ID("odd").Wait(t.Context())
	check(err, ErrBadArgument)
	_, err = c.Create("").Wait(t.Context())
	check(err, ErrBadArgument)
	check(c.Login(t.Context(), "a\x00", "b"), ErrBadArgument)
	alive(t, c)
}

func TestCapabilitiesAreForgottenBySigningIn(t *testing.T) {
	c := open(t, "SASL-IR AUTH=XOAUTH2", `
		C: {a} AUTHENTICATE XOAUTH2 {*}
		S: {a} OK [Error="x]" Proxy=y] AUTHENTICATE completed.
	`)
	if err := c.Authenticate(t.Context(), XOAuth2("u", "t")); err != nil {
		t.Fatal(err)
	}
	if c.KnowsCapabilities() || c.Has("SASL-IR") {
		t.Error("the capabilities from before sign-in are still believed")
	}
	for _, answer := range []string{"S: {a} OK [CAPABILITY IMAP4rev1 IDLE] in", "S: * CAPABILITY IMAP4rev1 IDLE\nS: {a} OK in"} {
		c := open(t, "LOGINDISABLED", "C: {a} LOGIN \"u\" \"p\"\n"+answer)
		if err := c.Login(t.Context(), "u", "p"); err != nil {
			t.Fatal(err)
		}
		if !c.Has("IDLE") || c.Has("LOGINDISABLED") {
			t.Errorf("capabilities after sign-in are %v", c.Capabilities())
		}
	}
}

func TestLogoutClosesPolitely(t *testing.T) {
	for name, script := range map[string]string{
		"bye and ok":   "S: * BYE see you\nS: {a} OK done",
		"bye and gone": "S: * BYE see you\nCLOSE",
		"just gone":    "CLOSE",
	} {
		c := open(t, "", "C: {a} LOGOUT\n"+script)
		if err := c.Logout(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Noop().Wait(t.Context()); err == nil {
			t.Errorf("%s: still usable", name)
		}
	}
}

func TestASecondUserIsRefused(t *testing.T) {
	c := open(t, "", `
		C: {a} UID FETCH 1 (UID BODY.PEEK[])
		R: "* 1 FETCH (UID 1 BODY[] {2}\r\nhi)\r\n"
		S: {a} OK
	`+aliveScript)
	wait(t, c.UIDFetch(UIDs(1), FetchItems{Body: true}, FetchHandler{Body: func(*Message, *Literal) error {
		call := c.Noop()
		if _, err := call.Wait(background()); err != ErrBusy {
			t.Errorf("waiting within a handler gives %v", err)
		}
		return nil
	}}))
	// What the handler queued still goes out.
	if err := c.run(t.Context(), func() error { return c.pump(func() bool { return len(c.sent)+len(c.queue) == 0 }) }); err != nil {
		t.Error(err)
	}
}

func TestCloseFromElsewhereUnblocks(t *testing.T) {
	asked := make(chan struct{})
	c := connect(t, wiretest.Serve(t, func(s *wiretest.Session) {
		s.Send("* OK ready")
		s.Expect("{a} NOOP")
		close(asked)
	}))
	go func() { <-asked; c.Close() }()
	_, err := c.Noop().Wait(context.Background())
	if !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}
