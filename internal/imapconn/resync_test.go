package imapconn_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
)

func TestWhatChangedElsewhereComesInOneRoundTrip(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	d.Deliver(anna, "INBOX", mails(40)...)
	c := open(t, plain(d))
	if !c.CanResync() {
		t.Fatal("Dovecot has QRESYNC")
	}
	first, err := c.Examine(t.Context(), "INBOX")
	if err != nil || first.HighestModSeq == 0 {
		t.Fatalf("%+v %v", first, err)
	}
	uids := d.Folder(anna, "INBOX").UIDs()
	d.Delete(anna, "INBOX", uids[3], uids[4], uids[20])
	d.SetFlags(anna, "INBOX", []string{`\Seen`, `\Flagged`}, uids[7])
	d.Deliver(anna, "INBOX", mail(41))

	trips := c.Stats().RoundTrips
	st, changes, vanished, err := c.Resync(t.Context(), "INBOX", first.UIDValidity, first.HighestModSeq)
	if err != nil {
		t.Fatal(err)
	}
	if n := c.Stats().RoundTrips - trips; n != 1 {
		t.Errorf("%d round trips", n)
	}
	if st.Messages != 38 || st.UIDValidity != first.UIDValidity || st.HighestModSeq <= first.HighestModSeq {
		t.Errorf("%+v after %+v", st, first)
	}
	if want := mailroom.UIDs(uids[3], uids[4], uids[20]); !vanished.Equal(want) {
		t.Errorf("vanished %s, want %s", vanished, want)
	}
	at := slices.IndexFunc(changes, func(f mailroom.FlagChange) bool { return f.UID == uids[7] })
	if at < 0 || !changes[at].Flags.Seen || !changes[at].Flags.Flagged || changes[at].ModSeq == 0 {
		t.Errorf("changes: %+v", changes)
	}
	// Nothing more since.
	st2, changes, vanished, err := c.Resync(t.Context(), "INBOX", st.UIDValidity, st.HighestModSeq)
	if err != nil || len(changes) > 0 || !vanished.Empty() || st2.Messages != st.Messages {
		t.Errorf("%+v %v %s %v", st2, changes, vanished, err)
	}
	if _, _, _, err := c.Resync(t.Context(), "Nowhere", 1, 1); mailroom.KindOf(err) != mailroom.NotFound || !c.CanResync() {
		t.Errorf("a folder that is gone: %v", err)
	}
	if cmds := d.ChangingCommands(); len(cmds) > 0 {
		t.Errorf("commands that change the mailbox: %v", cmds)
	}
}

func TestARenumberedFolderIsToldByItsStatusOnly(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	d.Deliver(anna, "INBOX", mails(5)...)
	c := open(t, plain(d))
	first, err := c.Examine(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	d.Renumber(anna, "INBOX")
	c = open(t, plain(d))
	st, changes, vanished, err := c.Resync(t.Context(), "INBOX", first.UIDValidity, first.HighestModSeq)
	if err != nil || st.UIDValidity == first.UIDValidity || st.Messages != 5 || len(changes) > 0 || !vanished.Empty() {
		t.Errorf("%+v %v %s %v", st, changes, vanished, err)
	}
}

// With QRESYNC on, removals are told as VANISHED and no longer as EXPUNGE.
func TestIdleIsToldOfARemoval(t *testing.T) {
	for _, without := range [][]string{nil, {"QRESYNC"}} {
		t.Run("without "+strings.Join(without, ""), func(t *testing.T) {
			d := dovecot(t, peers.DovecotOptions{Without: without})
			d.Deliver(anna, "INBOX", mails(3)...)
			c := open(t, plain(d))
			if c.CanResync() != (without == nil) {
				t.Fatalf("CanResync is %v", c.CanResync())
			}
			if _, err := c.Examine(t.Context(), "INBOX"); err != nil {
				t.Fatal(err)
			}
			uid := d.Folder(anna, "INBOX").UIDs()[1]
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			done := make(chan struct{})
			go func() { defer close(done); d.Delete(anna, "INBOX", uid) }()
			changed, err := c.Idle(ctx)
			<-done
			if err != nil || !changed {
				t.Errorf("%v %v", changed, err)
			}
		})
	}
}

const resyncing = `
S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready
C: {a} AUTHENTICATE XOAUTH2 {*}
S: {a} OK [CAPABILITY IMAP4rev1 IMAP4rev2 ENABLE CONDSTORE QRESYNC NAMESPACE] done
C: {b} ENABLE QRESYNC
`

const confirmed = resyncing + `
S: * ENABLED QRESYNC
S: {b} OK done
C: {c} NAMESPACE
S: * NAMESPACE (("" "/")) NIL NIL
S: {c} OK done
`

// resync plays a script up to the answer of Resync("INBOX", 7, 90).
func resync(t *testing.T, script string) (c *imapconn.Conn, st mailroom.FolderStatus, changes []mailroom.FlagChange, vanished mailroom.UIDSet) {
	t.Helper()
	c, err := scripted(t, script)
	if err != nil {
		t.Fatal(err)
	}
	if st, changes, vanished, err = c.Resync(t.Context(), "INBOX", 7, 90); err != nil {
		t.Fatal(err)
	}
	return c, st, changes, vanished
}

func TestOddVanishedResponsesAreRead(t *testing.T) {
	for name, one := range map[string]struct{ lines, vanished string }{
		"as the standard has it": {`S: * VANISHED (EARLIER) 1:4,9`, "1:4,9"},
		"one at a time":          {"S: * VANISHED (EARLIER) 1\nS: * VANISHED (EARLIER) 9\nS: * VANISHED (EARLIER) 2", "1:2,9"},
		"lower case, reversed":   {`S: * vanished (earlier) 4:1`, "1:4"},
		"not earlier":            {`S: * VANISHED 3`, "3"},
		"nothing":                {`S: * VANISHED (EARLIER)`, ""},
		"doubled spaces":         {`S: * VANISHED  (EARLIER)  1,,3`, "1,3"},
		"zero":                   {`S: * VANISHED (EARLIER) 0,3`, "3"},
		"too large":              {`S: * VANISHED (EARLIER) 5000000000,3`, "3"},
		"words":                  {`S: * VANISHED (EARLIER) none`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, st, changes, vanished := resync(t, confirmed+`
C: {d} EXAMINE "INBOX" (QRESYNC (7 90))
S: * 3 EXISTS
S: * OK [UIDVALIDITY 7] ok
S: * OK [UIDNEXT 13] ok
S: * OK [HIGHESTMODSEQ 95] ok
S: * OK [MAILBOXID (F2212ea87-6097-4256-9d51-71338625)] ok
`+one.lines+`
S: * 2 FETCH (UID 11 FLAGS (\Seen) MODSEQ (94))
S: * 3 FETCH (FLAGS (\Seen))
S: {d} OK [READ-ONLY] done
`)
			if vanished.String() != one.vanished || !c.CanResync() {
				t.Errorf("vanished %q, want %q", vanished, one.vanished)
			}
			if st.Messages != 3 || st.HighestModSeq != 95 || st.ObjectID != "F2212ea87-6097-4256-9d51-71338625" {
				t.Errorf("%+v", st)
			}
			if len(changes) != 1 || changes[0].UID != 11 || !changes[0].Flags.Seen || changes[0].ModSeq != 94 {
				t.Errorf("changes %+v", changes)
			}
		})
	}
}

// What comes before [CLOSED] is about the folder that was open before.
func TestNewsOfTheFolderBeforeIsNotTakenForThisOne(t *testing.T) {
	_, st, changes, vanished := resync(t, confirmed+`
C: {d} EXAMINE "INBOX" (QRESYNC (7 90))
S: * VANISHED 1:3
S: * 9 EXISTS
S: * 2 FETCH (UID 5 FLAGS (\Deleted) MODSEQ (300))
S: * OK [CLOSED] the one before
S: * 3 EXISTS
S: * OK [UIDVALIDITY 7] ok
S: * OK [HIGHESTMODSEQ 91] ok
S: * VANISHED (EARLIER) 8
S: {d} OK [READ-ONLY] done
`)
	if vanished.String() != "8" || len(changes) > 0 || st.Messages != 3 {
		t.Errorf("%+v %v %s", st, changes, vanished)
	}
}

func TestAnotherGenerationOrNoModSeqBringsNoChanges(t *testing.T) {
	for _, line := range []string{"S: * OK [UIDVALIDITY 8] ok\nS: * OK [HIGHESTMODSEQ 95] ok", "S: * OK [UIDVALIDITY 7] ok\nS: * OK [NOMODSEQ] none kept"} {
		_, st, changes, vanished := resync(t, confirmed+`
C: {d} EXAMINE "INBOX" (QRESYNC (7 90))
S: * 3 EXISTS
`+line+`
S: * VANISHED (EARLIER) 8
S: * 2 FETCH (UID 5 FLAGS () MODSEQ (93))
S: {d} OK [READ-ONLY] done
`)
		if !vanished.Empty() || len(changes) > 0 || st.Messages != 3 {
			t.Errorf("%s: %+v %v %s", line, st, changes, vanished)
		}
	}
}

const bare = `
C: {d} EXAMINE "INBOX" (CONDSTORE)
S: * 3 EXISTS
S: * OK [UIDVALIDITY 7] ok
S: * OK [HIGHESTMODSEQ 95] ok
S: {d} OK [READ-ONLY] done
C: {e} UID FETCH 1:* (UID FLAGS MODSEQ) (CHANGEDSINCE 90)
S: * 2 FETCH (UID 11 FLAGS (\Seen) MODSEQ (94))
S: {e} OK done
`

func TestAServerThatAnnouncesQresyncAndHasItNotIsAskedTheOtherWay(t *testing.T) {
	for name, script := range map[string]string{
		"NO to ENABLE":                       resyncing + "S: {b} NO not today\nC: {c} NAMESPACE\nS: {c} OK done" + bare,
		"BAD to ENABLE":                      resyncing + "S: {b} BAD what\nC: {c} NAMESPACE\nS: {c} OK done" + bare,
		"iCloud confirms nothing":            resyncing + "S: {b} OK ENABLE completed\nC: {c} NAMESPACE\nS: {c} OK done" + bare,
		"confirms nothing, in so many words": resyncing + "S: * ENABLED\nS: {b} OK ENABLE completed\nC: {c} NAMESPACE\nS: {c} OK done" + bare,
		"confirms something else":            resyncing + "S: * ENABLED CONDSTORE\nS: {b} OK done\nC: {c} NAMESPACE\nS: {c} OK done" + bare,
		"BAD to the parameter": confirmed + `
C: {d} EXAMINE "INBOX" (QRESYNC (7 90))
S: {d} BAD Command Argument Error. 11` + bare,
		"NO to the parameter": confirmed + `
C: {d} EXAMINE "INBOX" (QRESYNC (7 90))
S: {d} NO cannot` + bare,
	} {
		t.Run(name, func(t *testing.T) {
			c, st, changes, vanished := resync(t, script)
			if c.CanResync() {
				t.Error("it is asked again")
			}
			if st.Messages != 3 || !vanished.Empty() || len(changes) != 1 || changes[0].UID != 11 {
				t.Errorf("%+v %v %s", st, changes, vanished)
			}
		})
	}
}

func TestAThrottledResyncIsNoRefusalOfQresync(t *testing.T) {
	c, err := scripted(t, confirmed+`
C: {d} EXAMINE "INBOX" (QRESYNC (7 90))
S: {d} NO Request is throttled. Suggested Backoff Time: 60000 milliseconds
`)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := c.Resync(t.Context(), "INBOX", 7, 90); mailroom.KindOf(err) != mailroom.Throttled || !c.CanResync() {
		t.Errorf("%v, CanResync %v", err, c.CanResync())
	}
}
