package imapwire

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailroom/internal/imapwire/wiretest"
)

// Each of these kills some client in the wild; the names say what goes wrong.

func TestFetchBodyBeforeUIDIsNotLost(t *testing.T) {
	c := open(t, "", `
		C: {a} UID FETCH 7:9 (UID FLAGS BODY.PEEK[])
		R: "* 1 FETCH (BODY[] {5}\r\nfirst UID 7 FLAGS (\\Seen))\r\n"
		R: "* 2 FETCH (FLAGS () BODY[] {6}\r\nsecond UID 8)\r\n"
		R: "* 3 FETCH (UID 9 BODY[] {5}\r\nthird FLAGS (\\ANSWERED $X))\r\n"
		S: {a} OK done
	`)
	var g got
	n := wait(t, c.UIDFetch(UIDsBetween(7, 9), FetchItems{Flags: true, Body: true}, g.handler()))
	want := map[uint32]string{7: "first", 8: "second", 9: "third"}
	if n != 3 || !reflect.DeepEqual(g.bodies, want) {
		t.Errorf("%d messages %v, want %v", n, g.bodies, want)
	}
	if f := g.msgs[2].Flags; !reflect.DeepEqual(f, []string{`\Answered`, "$X"}) {
		t.Errorf("flags after the body are %q", f)
	}
}

func TestBodyWithoutAnyUIDIsStillReported(t *testing.T) {
	c := open(t, "", `
		C: {a} UID FETCH 7 (UID BODY.PEEK[])
		R: "* 1 FETCH (BODY[] {5}\r\nfirst)\r\n"
		S: {a} OK done
	`)
	var g got
	wait(t, c.UIDFetch(UIDs(7), FetchItems{Body: true}, g.handler()))
	if len(g.msgs) != 1 || g.msgs[0].UID != 0 || g.bodies[0] != "first" {
		t.Errorf("got %v %v", g.msgs, g.bodies)
	}
}

func TestUnknownResponsesAreSkippedAndCounted(t *testing.T) {
	var words []string
	c := open(t, "", `
		C: {a} CAPABILITY
		S: * XYZZY plugh (nested "string)" NIL)
		S: * 5 WIBBLE wobble
		R: "* METADATA \"\" (/private/x {5}\r\n) * 1 /b \"c\")\r\n"
		S: * [COPYUID 1 2 3]
		S: *
		S: * LSUB () "/" INBOX
		S: * CAPABILITY IMAP4rev1 IDLE
		S: {a} OK done
	`+aliveScript, func(o *Options) {
		o.OnSkip = func(k SkipKind, word string) { words = append(words, k.String()+" "+word) }
	})
	wait(t, c.Capability())
	if !c.Has("idle") {
		t.Error("the answer between the noise was lost")
	}
	alive(t, c)
	if n := skipped(c, SkipResponse); n != 6 {
		t.Errorf("%d unknown responses counted, want 6: %q", n, words)
	}
}

func TestUnknownFetchItemsAreSkippedAndCounted(t *testing.T) {
	c := open(t, "", `
		C: {a} UID FETCH 7 (UID BODY.PEEK[])
		R: "* 1 FETCH (X-NEW (a (b {3}\r\n))( c) NIL) SAVEDATE \"x\" PREVIEW {4}\r\n(UID BODY[] {2}\r\nhi BODYSTRUCTURE (\"TEXT\" \"PLAIN\" NIL) UID 7)\r\n"
		S: {a} OK done
	`+aliveScript)
	var g got
	wait(t, c.UIDFetch(UIDs(7), FetchItems{Body: true}, g.handler()))
	alive(t, c)
	if g.bodies[7] != "hi" || g.msgs[0].Damaged {
		t.Errorf("got %v, damaged %v", g.bodies, g.msgs[0].Damaged)
	}
	if n := skipped(c, SkipItem); n != 4 {
		t.Errorf("%d items counted, want 4", n)
	}
}

func TestStrayLinesDoNotKill(t *testing.T) {
	c := open(t, "", `
		C: {a} STATUS "INBOX" (MESSAGES)
		S: Server Unavailable. 15
		S:
		R: "\x00\xff{3}\r\n"
		S: * STATUS INBOX (MESSAGES 3)
		S: {a} OK done
	`+aliveScript)
	if s := wait(t, c.Status("INBOX", StatusMessages)); s.Messages != 3 {
		t.Errorf("status is %+v", s)
	}
	alive(t, c)
	if n := skipped(c, SkipLine); n != 3 {
		t.Errorf("%d stray lines counted, want 3", n)
	}
}

func TestServerUnavailableBeforeHangupIsTold(t *testing.T) {
	c := open(t, "", `
		C: {a} NOOP
		S: Server Unavailable. 15
		CLOSE
	`)
	_, err := c.Noop().Wait(t.Context())
	ce := wantErr[*ConnError](t, err)
	if ce.Stray != "Server Unavailable. 15" || !errors.Is(err, io.EOF) {
		t.Errorf("error is %v", err)
	}
}

func TestServerUnavailableInsteadOfGreeting(t *testing.T) {
	_, err := NewClient(t.Context(), wiretest.Play(t, "S: Server Unavailable. 15\nCLOSE"), Options{})
	if ce := wantErr[*ConnError](t, err); !strings.Contains(ce.Error(), "Server Unavailable") {
		t.Errorf("error is %v", ce)
	}
}

func TestOddResponseCodes(t *testing.T) {
	for _, tc := range []struct{ line, code, args, text string }{
		{`NO [AUTHENTICATIONFAILED] Invalid`, "AUTHENTICATIONFAILED", "", "Invalid"},
		{`NO [Error="x] y \"q]\"" AuthResultFromPopImapEnd=0 Proxy=a.b:1993:SSL] failed.`, "ERROR", `"x] y \"q]\"" AuthResultFromPopImapEnd=0 Proxy=a.b:1993:SSL`, "failed."},
		{`NO [PERMANENTFLAGS (a]b \*)] x`, "PERMANENTFLAGS", `(a]b \*)`, "x"},
		{`NO [REFERRAL "unbalanced] text`, "REFERRAL", `"unbalanced`, "text"},
		{`NO [never closed`, "", "", "[never closed"},
		{`NO [] empty`, "", "", "empty"},
		{`NO [BADURL (] open paren`, "BADURL", "(", "open paren"},
		{`NO   [ALERT]   many spaces`, "ALERT", "", "many spaces"},
		{`NO`, "", "", ""},
		{`no [alert] lower`, "ALERT", "", "lower"},
		{"NO caf\xe9", "", "", "caf\uFFFD"},
		{`BAD User is authenticated but not connected.`, "", "", "User is authenticated but not connected."},
	} {
		c := open(t, "", "C: {a} NAMESPACE\nR: "+quote("{a} "+tc.line+"\r\n")+aliveScript)
		_, err := c.Namespace().Wait(t.Context())
		e := wantErr[*ResponseError](t, err)
		if e.Code != tc.code || e.CodeArgs != tc.args || e.Text != tc.text || e.Command != "NAMESPACE" {
			t.Errorf("%s\n gives %+v", tc.line, *e)
		}
		alive(t, c)
	}
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

func TestEarlyExistsBeforeIdlingIsHeard(t *testing.T) {
	c := open(t, "IDLE", `
		C: {a} IDLE
		S: * 24 EXISTS
		S: + idling
		C: DONE
		S: {a} OK IDLE terminated
	`+aliveScript)
	var heard []Event
	end, err := c.Idle(t.Context(), time.Hour, func(e Event) bool { heard = append(heard, e); return true })
	if err != nil || end != IdleStopped {
		t.Fatalf("idle ended %v, %v", end, err)
	}
	if len(heard) != 1 || heard[0].Kind != EventExists || heard[0].Num != 24 {
		t.Errorf("heard %+v", heard)
	}
	alive(t, c)
}

func TestUntaggedDataAtAnyTime(t *testing.T) {
	var events []Event
	c := open(t, "", `
		C: {a} UID FETCH 7:8 (UID FLAGS BODY.PEEK[])
		S: * 12 EXISTS
		R: "* 1 FETCH (UID 7 BODY[] {1}\r\na)\r\n"
		S: * 3 EXPUNGE
		S: * 5 FETCH (FLAGS (\Deleted))
		S: * OK Still here
		S: * 0 RECENT
		S: * VANISHED 310,302:300
		S: * NO [ALERT] Disk nearly full
		S: * LIST () "/" Foo
		S: * STATUS Foo (MESSAGES 1)
		S: * SEARCH 1 2 3
		S: * FLAGS (\Seen)
		S: + what?
		R: "* 2 FETCH (UID 8 BODY[] {1}\r\nb)\r\n"
		S: {a} OK done
	`, func(o *Options) { o.OnEvent = func(e Event) { events = append(events, e) } })
	var g got
	wait(t, c.UIDFetch(UIDsBetween(7, 8), FetchItems{Flags: true, Body: true}, g.handler()))
	if !reflect.DeepEqual(g.bodies, map[uint32]string{7: "a", 8: "b"}) {
		t.Errorf("bodies %v", g.bodies)
	}
	var kinds []EventKind
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	want := []EventKind{EventExists, EventExpunge, EventFetch, EventNotice, EventVanished, EventNotice}
	if !reflect.DeepEqual(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
	if s := events[4].UIDs.String(); s != "300:302,310" {
		t.Errorf("vanished %s", s)
	}
	if n := skipped(c, SkipUnasked); n != 4 {
		t.Errorf("%d unasked counted, want 4", n)
	}
}

func TestWrongSizeIsHarmless(t *testing.T) {
	c := open(t, "", `
		C: {a} UID FETCH 7 (UID RFC822.SIZE BODY.PEEK[])
		R: "* 1 FETCH (UID 7 RFC822.SIZE 99999 BODY[] {2}\r\nhi)\r\n"
		S: {a} OK done
	`+aliveScript)
	var g got
	wait(t, c.UIDFetch(UIDs(7), FetchItems{Size: true, Body: true}, g.handler()))
	if g.bodies[7] != "hi" || g.msgs[0].Size != 99999 {
		t.Errorf("%v %+v", g.bodies, g.msgs[0])
	}
	alive(t, c)
}

func TestNILAnywhere(t *testing.T) {
	c := open(t, "", `
		C: {a} UID FETCH 7 (UID)
		S: * 1 FETCH (UID 7 FLAGS NIL INTERNALDATE NIL RFC822.SIZE NIL MODSEQ NIL EMAILID NIL THREADID NIL X-GM-MSGID NIL X-GM-LABELS NIL BODY[] NIL ENVELOPE NIL)
		S: {a} OK done
		C: {b} LIST "" "*"
		S: * LIST NIL NIL foo
		S: * LIST NIL "/" NIL
		S: {b} OK done
		C: {c} NAMESPACE
		S: * NAMESPACE NIL NIL NIL
		S: {c} OK done
		C: {d} ID NIL
		S: * ID NIL
		S: {d} OK done
		C: {e} ID NIL
		S: * ID ("name" NIL "vendor" "x")
		S: {e} OK done
		C: {f} STATUS "x" (MESSAGES UIDNEXT)
		S: * STATUS x (MESSAGES NIL UIDNEXT 5)
		S: {f} OK done
	`+aliveScript)
	var g got
	wait(t, c.UIDFetch(UIDs(7), FetchItems{}, g.handler()))
	if len(g.msgs) != 1 || g.msgs[0].UID != 7 || g.msgs[0].Has&HasNIL == 0 || g.msgs[0].Has&HasBody != 0 {
		t.Errorf("messages %+v", g.msgs)
	}
	if l := wait(t, c.List(ListOptions{})); len(l) != 1 || l[0].Name != "foo" || l[0].Delimiter != "" {
		t.Errorf("list %+v", l)
	}
	if ns := wait(t, c.Namespace()); ns.Personal != nil {
		t.Errorf("namespaces %+v", ns)
	}
	if id := wait(t, c.ID()); len(id) != 0 {
		t.Errorf("id %v", id)
	}
	if id := wait(t, c.ID()); !reflect.DeepEqual(id, map[string]string{"vendor": "x"}) {
		t.Errorf("id %v", id)
	}
	if s := wait(t, c.Status("x", StatusMessages|StatusUIDNext)); s.Has != StatusUIDNext || s.UIDNext != 5 {
		t.Errorf("status %+v", s)
	}
	alive(t, c)
}

func TestBareLineFeeds(t *testing.T) {
	c := connect(t, wiretest.Play(t, `
		R: "* OK ready\n"
		C: {a} UID FETCH 7 (UID BODY.PEEK[])
		R: "* 1 FETCH (UID 7 BODY[] {4}\na\r\nb)\n{a} OK done\n"
	`+aliveScript))
	var g got
	wait(t, c.UIDFetch(UIDs(7), FetchItems{Body: true}, g.handler()))
	if g.bodies[7] != "a\r\nb" {
		t.Errorf("body %q", g.bodies[7])
	}
	alive(t, c)
}

func TestEightBitInQuotedStringsAndBareNames(t *testing.T) {
	c := open(t, "", `
		C: {a} LIST "" "*"
		R: "* LIST (\\HasNoChildren) \"/\" \"Entw\xc3\xbcrfe\"\r\n"
		R: "* LIST (\\HasNoChildren) \"\\\\\" \"a\\\\b \\\"c\\\"\"\r\n"
		R: "* LIST (\\Sent) \"/\" Sent Items\r\n"
		R: "* LIST () \"/\" {7}\r\nL\xe9ger (\r\n"
		R: "* LIST () \"/\" Con\x01trol\x07\r\n"
		R: "* LIST (\\NonExistent) \"/\" Foo (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"
		R: "* LIST (\\Sent \\HasChildren\r\n"
		S: {a} OK done
	`+aliveScript)
	var names []string
	for _, e := range wait(t, c.List(ListOptions{})) {
		names = append(names, e.Name)
	}
	want := []string{"Entw\xc3\xbcrfe", `a\b "c"`, "Sent Items", "L\xe9ger (", "Con\x01trol\x07", "Foo"}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
	if n := skipped(c, SkipMalformed); n != 1 {
		t.Errorf("%d malformed counted, want 1", n)
	}
	alive(t, c)
}

func TestBrokenFetchResponseHoldsUpNoOther(t *testing.T) {
	c := open(t, "", `
		C: {a} UID FETCH 1:9 (UID FLAGS BODY.PEEK[])
		R: "* 1 FETCH (UID 1 FLAGS (\\Seen BODY[] {2}\r\nhi)\r\n"
		R: "* 2 FETCH UID 2\r\n"
		R: "* 3 FETCH (UID 3 BODY[] {3}\r\nabc JUNK\r\n"
		R: "* 4 FETCH (UID -4 FLAGS ())\r\n"
		R: "* 5 FETCH (UID 99999999999 FLAGS ())\r\n"
		R: "* 6 FETCH (UID 6 INTERNALDATE \"soon\" RFC822.SIZE big MODSEQ (x))\r\n"
		R: "* 7 FETCH (UID 7 BODY[] {x}\r\n"
		R: "* 8 FETCH (UID 8 BODY[] \"q\\\"uoted \xff\"))) \r\n"
		R: "*  9  FETCH  ( UID  9  BODY[]  {1}\r\nz )\r\n"
		S: {a} OK done
	`+aliveScript)
	var g got
	wait(t, c.UIDFetch(UIDsBetween(1, 9), FetchItems{Flags: true, Body: true}, g.handler()))
	damaged := map[uint32]bool{}
	for _, m := range g.msgs {
		damaged[m.UID] = m.Damaged
	}
	want := map[uint32]bool{1: true, 3: true, 6: true, 7: true, 8: false, 9: false}
	if !reflect.DeepEqual(damaged, want) {
		t.Errorf("messages and damage %v, want %v", damaged, want)
	}
	if g.bodies[9] != "z" || g.bodies[3] != "abc" || g.bodies[8] != "q\"uoted \xff" {
		t.Errorf("bodies %v", g.bodies)
	}
	alive(t, c)
}

func TestEmptyFetchIsNoError(t *testing.T) {
	c := open(t, "", `
		C: {a} UID FETCH 7 (UID BODY.PEEK[])
		S: {a} OK FETCH completed.
	`)
	if n := wait(t, c.UIDFetch(UIDs(7), FetchItems{Body: true}, FetchHandler{})); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestAnswersToStrangersTagsAreStray(t *testing.T) {
	c := open(t, "", `
		C: {a} NOOP
		S: zz OK not yours
		S: m999 NO nor this
		S: {a} OK yours
	`)
	wait(t, c.Noop())
	if n := skipped(c, SkipLine); n != 2 {
		t.Errorf("%d stray lines, want 2", n)
	}
}

func TestUnknownTaggedStatusIsAnError(t *testing.T) {
	for line, want := range map[string]string{"{a} PERHAPS later": "PERHAPS", "{a}": ""} {
		c := open(t, "", "C: {a} NOOP\nS: "+line+"\n"+aliveScript)
		_, err := c.Noop().Wait(t.Context())
		if e := wantErr[*ResponseError](t, err); e.Status != want {
			t.Errorf("%s: error %+v", line, e)
		}
		alive(t, c)
	}
}

func TestByeIsRecordedAndSurfaced(t *testing.T) {
	var bye []Event
	c := open(t, "", `
		C: {a} EXAMINE "INBOX"
		S: * BYE Session invalidated - AccessTokenExpired
		CLOSE
	`, func(o *Options) { o.OnEvent = func(e Event) { bye = append(bye, e) } })
	_, err := c.Examine("INBOX", ExamineOptions{}).Wait(t.Context())
	ce := wantErr[*ConnError](t, err)
	if ce.Bye == nil || ce.Bye.Text != "Session invalidated - AccessTokenExpired" || c.Bye() == nil {
		t.Errorf("error %v", err)
	}
	if len(bye) != 1 || bye[0].Kind != EventBye {
		t.Errorf("events %+v", bye)
	}
	if _, err := c.Noop().Wait(t.Context()); !errors.Is(err, ce) {
		t.Errorf("later calls get %v", err)
	}
}

func TestTaggedReasonBeforeByeIsNotLost(t *testing.T) {
	c := open(t, "", `
		C: {a} LIST "" "*"
		S: {a} BAD User is authenticated but not connected.
		S: * BYE Connection closed. 14
		CLOSE
	`)
	_, err := c.List(ListOptions{}).Wait(t.Context())
	if e := wantErr[*ResponseError](t, err); e.Text != "User is authenticated but not connected." {
		t.Errorf("error %v", e)
	}
	_, err = c.Noop().Wait(t.Context())
	wantErr[*ConnError](t, err)
}

func TestByeThatCameBeforeWeSpokeIsTheReason(t *testing.T) {
	c := connect(t, deaf{&tape{data: []byte("* OK ready\r\n* 5 EXISTS\r\n* BYE Session invalidated - AccessTokenExpired\r\n"), step: 12}})
	_, err := c.Noop().Wait(t.Context())
	if ce := wantErr[*ConnError](t, err); ce.Bye == nil || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("error %v", err)
	}
}

// deaf is a server that has hung up, with its last words still in our buffer.
type deaf struct{ *tape }

func (deaf) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestByeInGreeting(t *testing.T) {
	_, err := NewClient(t.Context(), wiretest.Play(t, "S: * BYE [UNAVAILABLE] Too busy\nCLOSE"), Options{})
	if ce := wantErr[*ConnError](t, err); ce.Bye == nil || ce.Bye.Code != "UNAVAILABLE" {
		t.Errorf("error %v", ce)
	}
}

func TestCutInTheMiddleOfALiteral(t *testing.T) {
	c := open(t, "", `
		C: {a} UID FETCH 7 (UID BODY.PEEK[])
		R: "* 1 FETCH (UID 7 BODY[] {100}\r\nonly so much"
		CLOSE
	`)
	var n int64
	done := 0
	_, err := c.UIDFetch(UIDs(7), FetchItems{Body: true}, FetchHandler{
		Body: func(_ *Message, lit *Literal) (err error) { n, err = io.Copy(io.Discard, lit); return err },
		Done: func(*Message) error { done++; return nil },
	}).Wait(t.Context())
	wantErr[*ConnError](t, err)
	if !errors.Is(err, io.ErrUnexpectedEOF) || n != 12 || done != 0 {
		t.Errorf("error %v after %d bytes, %d done", err, n, done)
	}
}

func TestSearchAnswersInEitherForm(t *testing.T) {
	c := open(t, "ESEARCH", `
		C: {a} UID SEARCH ALL
		S: * ESEARCH (TAG "{a}") UID ALL 1:3,9 COUNT 4 X-NEW (1 2)
		S: {a} OK done
		C: {b} UID SEARCH RETURN (ALL) ALL
		S: * SEARCH 9 2 3 1 (MODSEQ 917)
		S: {b} OK done
		C: {c} UID SEARCH RETURN (ALL) ALL
		S: * ESEARCH (TAG "{c}") UID
		S: {c} OK done
		C: {d} UID SEARCH ALL
		S: * SEARCH
		S: {d} OK done
		C: {e} UID SEARCH ALL
		S: {e} OK done
		C: {f} UID SEARCH ALL
		S: * SEARCH 1 2
		S: * SEARCH 3 x 0 9
		S: {f} OK done
	`)
	for i, want := range []SearchResult{
		{UIDs: UIDs(1, 2, 3, 9), Answered: true},
		{UIDs: UIDs(1, 2, 3, 9), Answered: true, ModSeq: 917},
		{Answered: true},
		{Answered: true},
		{},
		{UIDs: UIDs(1, 2, 3, 9), Answered: true},
	} {
		if r := wait(t, c.UIDSearch(Criteria{}, i == 1 || i == 2)); !reflect.DeepEqual(r, want) {
			t.Errorf("search %d gives %+v, want %+v", i, r, want)
		}
	}
}

func TestOddEnabledAnswers(t *testing.T) {
	c := open(t, "", `
		C: {a} ENABLE QRESYNC
		S: * ENABLED
		S: {a} OK done
		C: {b} ENABLE QRESYNC
		S: * ENABLED qresync CONDSTORE (x)
		S: {b} OK done
	`+aliveScript)
	if e := wait(t, c.Enable("QRESYNC")); e != nil || c.Enabled("QRESYNC") {
		t.Errorf("enabled %v", e)
	}
	if e := wait(t, c.Enable("QRESYNC")); !reflect.DeepEqual(e, []string{"QRESYNC"}) || !c.Enabled("condstore") {
		t.Errorf("enabled %v", e)
	}
	alive(t, c)
}
