package syncer_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/pretend/imapd"
)

// story is one thing that servers, networks or people do, named after what a
// user would notice. docs/stories.md says which fact each one stands for.
type story struct {
	name    string
	dialect func() imapd.Dialect // nil for Exchange
	tell    func(s *stage)
}

func allStories() []story {
	return slices.Concat(exchangeStories(), mailStories(), folderStories(), followStories())
}

// TestWhatServersDo tells every story through the whole engine: the pretend
// server, the wire, the connection, the syncer and a database. Whatever the
// story, nothing in the mailbox is changed, and the server's rules are kept.
func TestWhatServersDo(t *testing.T) {
	for _, st := range allStories() {
		t.Run(st.name, func(t *testing.T) {
			t.Parallel()
			dialect := imapd.Exchange()
			if st.dialect != nil {
				dialect = st.dialect()
			}
			s := newStage(t, dialect)
			st.tell(s)
			s.manners()
		})
	}
}

// TestStoriesAreListed: the table in docs/stories.md names the stories that
// there are, and no others.
func TestStoriesAreListed(t *testing.T) {
	text, err := os.ReadFile("../../docs/stories.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("`TestWhatServersDo/([a-z0-9_]+)`").FindAllStringSubmatch(string(text), -1) {
		listed[m[1]] = true
	}
	for _, st := range allStories() {
		if !listed[st.name] {
			t.Errorf("%s is told and not listed", st.name)
		}
		delete(listed, st.name)
	}
	for name := range listed {
		t.Errorf("%s is listed and not told", name)
	}
}

// exchangeStories are of signing in, limits and the connection.
func exchangeStories() []story {
	return []story{
		{"authenticated_but_not_connected_says_imap_is_off", nil, func(s *stage) {
			s.fill("INBOX", 0, 3)
			s.account.SetFaults(imapd.Faults{NotConnected: true})
			s.run()
			s.trouble("mailboxes", mailroom.NeedsAdmin, "imap.error.not_connected")
			s.account.SetFaults(imapd.Faults{})
			s.ask()
			s.stored(s.world.Inbox, 3)
			s.quiet()
		}},
		{"an_outage_of_signing_in_ends_no_permission_and_heals", nil, func(s *stage) {
			s.fill("INBOX", 0, 3)
			s.account.SetFaults(imapd.Faults{RefuseLogin: true})
			s.run()
			s.until("the refusal is told", func() bool { return s.count("mailboxes WHERE problem <> ''") == 1 })
			if s.count("grants") != 1 {
				s.t.Error("the grant is gone")
			}
			s.account.SetFaults(imapd.Faults{})
			s.later(20 * time.Minute) // nobody asks
			s.stored(s.world.Inbox, 3)
			s.quiet()
		}},
		{"odd_ok_code_in_authenticate", nil, func(s *stage) {
			s.fill("INBOX", 0, 3)
			s.account.SetFaults(imapd.Faults{OddLogin: true})
			s.run()
			s.stored(s.world.Inbox, 3)
			s.quiet()
		}},
		{"a_refused_token_with_a_challenge_is_told", imapd.Gmail, func(s *stage) {
			s.account.SetFaults(imapd.Faults{RefuseLogin: true})
			s.run()
			s.trouble("mailboxes", mailroom.NeedsConsent, "imap.error.auth")
		}},
		{"throttled_waits_exactly_as_long_as_it_is_told", nil, toldToWait},
		{"an_ended_token_is_taken_up_again_unseen", nil, func(s *stage) {
			s.fill("INBOX", 0, 3)
			s.run()
			s.stored(s.world.Inbox, 3)
			for n := range 3 { // hour after hour
				s.later(time.Hour)
				s.server.Bye(s.world.Mailbox.Address, "Session invalidated - AccessTokenExpired")
				s.fill("INBOX", 10+n, 1)
				s.stored(s.world.Inbox, 4+n)
			}
			if n := s.count("runs WHERE problem <> ''"); n != 0 {
				s.t.Errorf("%d readings ended in trouble", n)
			}
			if n := s.count("mailboxes WHERE problem <> '' OR failures <> 0"); n != 0 {
				s.t.Error("the end of a token is shown as trouble")
			}
		}},
		{"imap4rev2_is_never_enabled", func() imapd.Dialect {
			d := imapd.Exchange()
			d.CapsAfter += " ENABLE IMAP4rev2"
			d.Enable, d.NoLsub, d.ESearches = true, true, true
			return d
		}, func(s *stage) {
			s.fill("INBOX", 0, 30)
			s.run()
			s.stored(s.world.Inbox, 30)
			s.fill("INBOX", 100, 1)
			s.stored(s.world.Inbox, 31)
		}},
		{"two_connections_at_most", nil, func(s *stage) {
			s.fill("INBOX", 0, 300)
			s.fill("Sent Items", 1000, 300)
			s.account.SetFaults(imapd.Faults{FetchDelay: 2 * time.Millisecond})
			s.run()
			s.until("the backfill is under way", func() bool { return s.count("placements") > 60 })
			s.fill("INBOX", 2000, 1)
			s.stored(s.world.Inbox, 301)
			s.stored(s.world.Sent, 300)
		}},
		{"too_many_connections_means_one_after_the_other", nil, func(s *stage) {
			s.fill("INBOX", 0, 300)
			s.fill("Sent Items", 1000, 100)
			s.account.SetFaults(imapd.Faults{MaxConns: 1})
			s.run()
			s.stored(s.world.Inbox, 300)
			s.stored(s.world.Sent, 100)
			if n := s.count("runs WHERE problem <> ''") + s.count("mailboxes WHERE problem <> ''"); n != 0 {
				s.t.Errorf("a second connection too many is told as trouble\n%s", s.told())
			}
		}},
		{"too_many_connections_said_in_words", imapd.Gmail, func(s *stage) {
			s.fill("INBOX", 0, 300)
			s.fill("Sent Items", 1000, 100)
			s.account.SetFaults(imapd.Faults{MaxConns: 1})
			s.run()
			s.stored(s.world.Inbox, 300)
			s.stored(s.world.Sent, 100)
			if s.count("mailboxes WHERE problem <> ''") != 0 {
				s.t.Errorf("a second connection too many is told as trouble\n%s", s.told())
			}
		}},
		{"commands_stay_under_8_kb", nil, scattered},
		{"idle_that_says_nothing_is_not_relied_on", nil, func(s *stage) {
			s.fill("INBOX", 0, 3)
			s.account.SetFaults(imapd.Faults{SilentIdle: true})
			s.run()
			s.stored(s.world.Inbox, 3)
			s.fill("INBOX", 10, 1)
			s.stored(s.world.Inbox, 4)
		}},
		{"news_told_before_idle_begins_is_heard", nil, func(s *stage) {
			s.tuning.Poll = time.Hour
			s.fill("INBOX", 0, 40)
			s.account.SetFaults(imapd.Faults{LateNews: true, FetchDelay: 5 * time.Millisecond})
			s.run()
			s.until("the first reading is under way", func() bool { return s.asked("UID FETCH", "BODY.PEEK[]") > 0 })
			s.fill("INBOX", 100, 1)
			s.stored(s.world.Inbox, 41)
		}},
		{"stray_lines_and_copyuid_without_ok", nil, func(s *stage) {
			s.fill("INBOX", 0, 60)
			s.account.SetFaults(imapd.Faults{StrayLine: true, BodyFirst: true})
			s.run()
			s.stored(s.world.Inbox, 60)
			s.whole(s.world.Inbox, "INBOX")
			s.quiet()
		}},
		{"a_broken_network_is_no_lost_permission", nil, func(s *stage) {
			s.fill("INBOX", 0, 30)
			s.run()
			s.stored(s.world.Inbox, 30)
			for n := range 6 {
				s.server.DropConnections("")
				s.until("it is tried again", func() bool { s.skip(); return s.server.Connections(s.world.Mailbox.Address) > 0 })
				s.fill("INBOX", 100+n, 1)
			}
			s.until("all mail is there", func() bool { s.skip(); return s.holds(s.world.Inbox, 36, 0) })
			s.quiet()
			if n := s.count(`runs WHERE problem LIKE '%needs_%'`); n != 0 {
				s.t.Error("somebody was told to grant again")
			}
		}},
		{"a_clock_that_is_set_stops_nothing", nil, func(s *stage) {
			s.tuning.Lease, s.tuning.Renew = 15*time.Second, 200*time.Millisecond
			s.fill("INBOX", 0, 20)
			s.run()
			s.stored(s.world.Inbox, 20)
			for n, by := range []time.Duration{26 * time.Hour, -50 * time.Hour, 24 * time.Hour} {
				s.later(by)
				s.fill("INBOX", 100+n, 1)
				s.stored(s.world.Inbox, 21+n)
				s.server.DropConnections("") // nor when it has to begin anew
				s.fill("INBOX", 200+n, 1)
				s.until("it goes on", func() bool { return s.count("placements") >= 22+2*n })
				s.must(s.account.Expunge("INBOX", s.last("INBOX")))
				s.until("and counts right", func() bool { return s.holds(s.world.Inbox, 21+n, 0) })
			}
		}},
		{"a_server_that_stands_still_is_told_and_left", nil, func(s *stage) {
			s.fill("INBOX", 0, 120)
			s.account.SetFaults(imapd.Faults{FetchDelay: time.Hour})
			// The watchdog goes by the clock that nobody sets, so this one really waits.
			s.tuning.Renew, s.tuning.Stalled, s.hangs = 50*time.Millisecond, 3*time.Second, true
			s.run()
			s.until("it is asked", func() bool { return s.asked("UID FETCH", "BODY.PEEK[]") > 0 })
			s.trouble("mailboxes", mailroom.Unavailable, "sync.error.stalled")
			s.account.SetFaults(imapd.Faults{})
			s.until("all is there", func() bool { s.skip(); return s.holds(s.world.Inbox, 120, 0) })
			s.quiet()
		}},
	}
}

// toldToWait: nobody comes back before the server allows it, also not when a
// person asks, and the reason and the time are shown.
func toldToWait(s *stage) {
	s.fill("INBOX", 0, 60)
	s.account.SetFaults(imapd.Faults{ThrottleAfter: 40, Backoff: 299961 * time.Millisecond})
	s.run()
	s.trouble("mailboxes", mailroom.Throttled, "imap.error.throttled")
	s.until("it has hung up", func() bool { return s.server.Connections(s.world.Mailbox.Address) == 0 })
	before := s.count("placements")
	logins := s.logins.Load()
	s.later(290 * time.Second)
	s.ask()
	s.until("the asking is seen", func() bool { return s.count("mailboxes WHERE owner = '' AND wanted = done") == 1 })
	if got := s.logins.Load(); got != logins {
		s.t.Errorf("%d connections before the time had come", got-logins)
	}
	s.later(10 * time.Second)
	s.stored(s.world.Inbox, 60)
	if n := s.account.EarlyReturns(); n != 0 {
		s.t.Errorf("%d commands before the server allowed them", n)
	}
	if before == 0 {
		s.t.Error("what had been read before the pause was not kept")
	}
	s.quiet()
}

// scattered asks for 200,000 UIDs of which no two are neighbours, of which few
// are there: no command is as long as Exchange's limit, and all answer.
func scattered(s *stage) {
	var set mailroom.UIDSet
	for step := range 4 {
		var some []uint32
		for n := range 50_000 {
			some = append(some, uint32(1+3*(step*50_000+n)))
		}
		set = set.Union(mailroom.UIDs(some...))
	}
	want := 0
	for n := range 40 {
		s.account.SkipUIDs(uint32(1 + n*15_000))
		s.fill("INBOX", n, 1)
		want++
	}
	c, err := s.open(s.t.Context(), s.world.Mailbox)
	s.must(err)
	conn := c.(*imapconn.Conn)
	defer conn.Close()
	_, err = conn.Examine(s.t.Context(), "INBOX")
	s.must(err)
	flags, mails := 0, 0
	s.must(conn.Flags(s.t.Context(), set, 0, func(mailroom.FlagChange) { flags++ }))
	part := set.Newest(10_000) // a slice asks for 2,000
	s.must(conn.Fetch(s.t.Context(), part, func(m mailroom.FetchedMail) error { mails++; m.Release(); return nil }))
	if flags != want || mails != 2 {
		s.t.Errorf("%d flags of %d, %d mails of 2", flags, want, mails)
	}
	if n := len(s.server.Commands()); n < 200 {
		s.t.Errorf("%d commands: the set was not scattered", n)
	}
	conn.Close()
}

// mailStories are of what servers do to single mails and to listings.
func mailStories() []story {
	return []story{
		{"ok_without_data_comes_later", nil, func(s *stage) {
			uids := s.fill("INBOX", 0, 30)
			s.must(s.account.SetFault("INBOX", uids[12], imapd.FetchEmpty, -1))
			s.run()
			s.until("one is in quarantine", func() bool { return s.holds(s.world.Inbox, 29, 1) })
			if s.count(`quarantine WHERE reason LIKE '%quarantine.reason.empty%'`) != 1 {
				s.t.Error("the reason is not told")
			}
			s.must(s.account.SetFault("INBOX", uids[12], imapd.FetchNormal, 0))
			s.later(time.Hour)
			s.stored(s.world.Inbox, 30)
			s.whole(s.world.Inbox, "INBOX")
		}},
		{"placeholder_is_not_filed_as_mail", nil, func(s *stage) {
			uids := s.fill("INBOX", 0, 30)
			s.must(s.account.SetFault("INBOX", uids[3], imapd.FetchPlaceholder, -1))
			s.run()
			s.until("one is in quarantine", func() bool { return s.holds(s.world.Inbox, 29, 1) })
			if s.count(`messages WHERE subject LIKE '%Retrieval%'`) != 0 {
				s.t.Error("the server's note is shown as mail")
			}
			if s.count(`quarantine WHERE reason LIKE '%quarantine.reason.placeholder%'`) != 1 {
				s.t.Error("the reason is not told")
			}
			s.must(s.account.SetFault("INBOX", uids[3], imapd.FetchNormal, 0))
			s.later(time.Hour)
			s.stored(s.world.Inbox, 30)
			s.whole(s.world.Inbox, "INBOX")
		}},
		{"wrong_rfc822_size_loses_nothing", func() imapd.Dialect {
			d := imapd.Exchange()
			d.SizeError = 1 << 30
			return d
		}, func(s *stage) {
			s.fill("INBOX", 0, 60)
			s.run()
			s.stored(s.world.Inbox, 60)
			s.whole(s.world.Inbox, "INBOX")
		}},
		{"n_star_returns_the_last_message_and_nothing_is_doubled", nil, func(s *stage) {
			s.fill("INBOX", 0, 5)
			s.run()
			s.stored(s.world.Inbox, 5)
			s.account.SkipUIDs(500) // UIDNEXT rises, nothing is there
			s.until("it is looked for", func() bool { return s.asked("UID SEARCH", ":*") > 0 })
			s.until("it was looked again", func() bool {
				return s.count(`progress WHERE mapping_id = $1 AND uid_next = 500 AND stage = 'idle'`, s.world.Inbox.ID) == 1
			})
			s.fill("INBOX", 10, 1)
			s.stored(s.world.Inbox, 6)
			if n := s.count("messages"); n != 6 {
				s.t.Errorf("%d messages", n)
			}
		}},
		{"uidvalidity_that_lies_once_costs_nothing", nil, func(s *stage) {
			s.fill("INBOX", 0, 30)
			stop := s.run()
			s.stored(s.world.Inbox, 30)
			stop()
			s.server.ForgetCommands()
			s.account.SetFaults(imapd.Faults{WrongValidity: 1})
			s.run()
			s.until("the lie is told", func() bool { return s.account.Faults().WrongValidity == 0 })
			s.fill("INBOX", 100, 1)
			s.stored(s.world.Inbox, 31)
			if n := s.count("placements"); n != 31 {
				s.t.Errorf("%d placements", n)
			}
			if n := s.asked("UID FETCH", "BODY.PEEK[]"); n != 1 {
				s.t.Errorf("%d fetches for one new mail", n)
			}
		}},
		{"renumbered_folder_is_read_again_without_doubles", nil, func(s *stage) {
			s.fill("INBOX", 0, 120)
			s.run()
			s.stored(s.world.Inbox, 120)
			s.must(s.account.Renumber("INBOX"))
			validity := s.validity("INBOX")
			s.until("the new numbers are known", func() bool {
				s.skip()
				return s.count("placements WHERE uid_validity = $1 AND gone_at = 0", validity) == 120
			})
			s.stored(s.world.Inbox, 120)
			s.whole(s.world.Inbox, "INBOX")
			if m, d := s.count("messages"), s.count("deliveries"); m != 120 || d != 120 {
				s.t.Errorf("%d messages, %d deliveries of 120 mails", m, d)
			}
		}},
		{"a_short_listing_removes_nothing", nil, func(s *stage) {
			s.tuning.CompareEvery = 100 * time.Millisecond
			s.fill("INBOX", 0, 40)
			s.run()
			s.stored(s.world.Inbox, 40)
			s.account.SetFaults(imapd.Faults{ShortSearches: 3})
			s.until("three short listings were told", func() bool { return s.account.Faults().ShortSearches == 0 })
			s.fill("INBOX", 100, 1)
			s.stored(s.world.Inbox, 41)
			if n := s.count("placements WHERE gone_at <> 0"); n != 0 {
				s.t.Errorf("%d mails were taken for removed", n)
			}
		}},
		{"a_moved_mail_has_a_new_uid_and_is_one_mail", nil, func(s *stage) {
			uids := s.fill("INBOX", 0, 20)
			s.run()
			s.stored(s.world.Inbox, 20)
			_, err := s.account.Move("INBOX", "Sent Items", uids[4], uids[5])
			s.must(err)
			s.stored(s.world.Inbox, 18)
			s.stored(s.world.Sent, 2)
			if n := s.count("messages"); n != 20 {
				s.t.Errorf("%d messages of 20 mails", n)
			}
		}},
		{"read_and_flagged_elsewhere_is_seen_without_condstore", nil, followed},
		{"read_and_flagged_elsewhere_is_seen_with_condstore", imapd.Gmail, followed},
		{"a_label_is_a_place_and_no_second_mail", imapd.Gmail, func(s *stage) {
			m := s.mail(1)
			m.GmailID, m.GmailThread = 4711, 4711
			s.account.Deliver("INBOX", m)
			s.account.Deliver("Sent Items", m)
			s.run()
			s.stored(s.world.Inbox, 1)
			s.stored(s.world.Sent, 1)
			if n := s.count("messages"); n != 1 {
				s.t.Errorf("%d messages of one mail with two labels", n)
			}
		}},
		{"two_mails_that_share_a_message_id_are_two_mails", nil, func(s *stage) {
			s.account.Deliver("INBOX", s.letter(7, "The first text.\r\n"))
			s.account.Deliver("INBOX", s.letter(7, "Quite another text.\r\n"))
			s.account.Deliver("Sent Items", s.letter(7, "The first text.\r\n"))
			s.run()
			s.stored(s.world.Inbox, 2)
			s.stored(s.world.Sent, 1)
			if n := s.count("messages"); n != 2 {
				s.t.Errorf("%d messages", n)
			}
		}},
		{"a_meeting_request_by_link_is_a_mail", nil, func(s *stage) {
			anna := s.world.AddPerson(s.t, "Anna", "anna@home.example")
			s.account.Deliver("INBOX", imapd.Message{Raw: imapd.Content{[]byte("From: anna@home.example\r\nTo: " + s.world.Mailbox.Address +
				"\r\nMessage-ID: <meet@home.example>\r\nSubject: Interview on Monday\r\nContent-Class: urn:content-classes:calendarmessage\r\n" +
				"Content-Type: text/html; charset=utf-8\r\n\r\n<a href=\"https://outlook.example/owa/?viewmodel=ReadMessageItem\">Open the meeting request</a>\r\n")}})
			s.run()
			s.stored(s.world.Inbox, 1)
			if s.count(`messages WHERE subject = 'Interview on Monday'`) != 1 || s.count("links WHERE person_id = $1", anna) != 1 {
				s.t.Error("it is not shown at the one who sent it")
			}
		}},
		{"a_mail_of_45_mb_arrives_whole", nil, func(s *stage) {
			line := []byte("VGhpcyBpcyBhIGN2IHRoYXQgbm9ib2R5IHdpbGwgZXZlciByZWFkIHRvIGl0cyBlbmQuLi4=\r\n")
			m := s.mail(1)
			m.Raw = append(imapd.Content{[]byte("From: anna@home.example\r\nMessage-ID: <big@home.example>\r\nSubject: My CV\r\nMIME-Version: 1.0\r\n" +
				"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n--b\r\n" +
				"Content-Type: application/pdf; name=cv.pdf\r\nContent-Disposition: attachment; filename=cv.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n")},
				bytes.Repeat(line, 45<<20/len(line)), []byte("--b--\r\n"))
			s.account.Deliver("INBOX", m)
			s.fill("INBOX", 10, 3)
			s.run()
			s.stored(s.world.Inbox, 4)
			s.whole(s.world.Inbox, "INBOX")
		}},
		{"one_huge_or_bad_mail_stops_no_other", nil, badMails},
		{"every_mail_on_the_server_has_a_place_or_a_reason", nil, everyMail},
	}
}

func (s *stage) validity(folder string) uint32 {
	for _, f := range s.account.Folders() {
		if f.Name == folder {
			return f.UIDValidity
		}
	}
	s.t.Fatalf("no folder %s", folder)
	return 0
}

// last is the newest UID of a folder.
func (s *stage) last(folder string) (uid uint32) {
	for _, f := range s.account.Folders() {
		if f.Name == folder && len(f.UIDs) > 0 {
			uid = f.UIDs[len(f.UIDs)-1]
		}
	}
	return uid
}

// followed: what is read or flagged at another mail program is so here.
func followed(s *stage) {
	uids := s.fill("INBOX", 0, 20)
	s.run()
	s.stored(s.world.Inbox, 20)
	s.must(s.account.SetFlags("INBOX", uids[3], `\Seen`))
	s.must(s.account.SetFlags("INBOX", uids[4], `\Flagged`, `\Answered`))
	s.until("flags follow", func() bool {
		return s.count("placements WHERE uid = $1 AND seen", uids[3]) == 1 && s.count("placements WHERE uid = $1 AND flagged AND answered", uids[4]) == 1
	})
	if n := s.count("deliveries WHERE NOT unread"); n != 1 {
		s.t.Errorf("%d mails count as read", n)
	}
}

// badMails: one that is too large, one that no parser reads, one that the server
// refuses, one at which it hangs up; the rest is there, and each has its reason.
func badMails(s *stage) {
	s.most = 100 << 10
	uids := s.fill("INBOX", 0, 60)
	s.account.Deliver("INBOX", s.letter(100, strings.Repeat("A very long line of a very long mail.\r\n", 4000)))
	s.account.Deliver("INBOX", imapd.Message{Raw: imapd.Content{[]byte("\x00\x01\x02")}})
	s.must(s.account.SetFault("INBOX", uids[20], imapd.FetchRefused, -1))
	s.must(s.account.SetFault("INBOX", uids[30], imapd.FetchCut, -1))
	s.run()
	s.until("the good ones are stored", func() bool {
		s.skip()
		return s.holds(s.world.Inbox, 58, 4)
	})
	s.whole(s.world.Inbox, "INBOX")
	for _, reason := range []string{"too_large", "unreadable", "empty", "breaks"} {
		if s.count(`quarantine WHERE reason LIKE $1`, "%quarantine.reason."+reason+"%") != 1 {
			s.t.Errorf("no mail is told to be %s", reason)
		}
	}
	s.fill("INBOX", 200, 1)
	s.until("new mail comes all the same", func() bool { s.skip(); return s.holds(s.world.Inbox, 59, 4) })
	s.fill("Sent Items", 300, 5)
	s.until("and in other folders", func() bool { s.skip(); return s.holds(s.world.Sent, 5, 0) })
}

// everyMail is the answer to mail that is missing under a green light: with all
// that goes wrong at once, what is shown as in order adds up, UID by UID.
func everyMail(s *stage) {
	s.world.Exec(s.t, "UPDATE mappings SET since = $1 WHERE id = $2", mailroom.Micros(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)), s.world.Inbox.ID)
	var ms []imapd.Message
	for n := range 200 {
		m := s.mail(n)
		if n%10 == 0 {
			m.Date = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC) // older than the limit
		}
		ms = append(ms, m)
	}
	ms[31].Fault, ms[31].FaultTimes = imapd.FetchEmpty, -1
	ms[52].Fault, ms[52].FaultTimes = imapd.FetchPlaceholder, -1
	ms[73].Fault, ms[73].FaultTimes = imapd.FetchCut, 2
	ms[94].Fault, ms[94].FaultTimes = imapd.FetchEmpty, 1
	uids := s.account.DeliverAll("INBOX", ms)
	s.account.SetFaults(imapd.Faults{StrayLine: true, BodyFirst: true, SilentIdle: true, OddLogin: true, DropAfterBytes: 60_000, WrongValidity: 1})
	s.run()
	s.must(s.account.Expunge("INBOX", uids[120:130]...))
	s.fill("INBOX", 500, 7)
	green := func() bool {
		s.skip()
		return s.count(`progress WHERE mapping_id = $1 AND stored = 176 AND quarantined = 2 AND on_server = 197 AND backlog = '' AND problem = '' AND stage = 'idle'`,
			s.world.Inbox.ID) == 1
	}
	s.until("the sum holds", green)
	s.whole(s.world.Inbox, "INBOX")
	s.quiet()
}

// folderStories are of folders: their names, which are read, and which stop others.
func folderStories() []story {
	return []story{
		{"special_folders_by_name_in_dutch_german_french", func() imapd.Dialect {
			d := imapd.Exchange()
			d.Roles = false
			return d
		}, func(s *stage) {
			s.must(s.account.RemoveFolder("Sent Items"))
			s.run()
			for _, in := range []map[string]mailroom.FolderRole{
				{"Sent Items": mailroom.RoleSent, "Deleted Items": mailroom.RoleTrash, "Drafts": mailroom.RoleDrafts, "Junk Email": mailroom.RoleJunk, "Archive": mailroom.RoleArchive},
				{"Verzonden items": mailroom.RoleSent, "Verwijderde items": mailroom.RoleTrash, "Concepten": mailroom.RoleDrafts, "Ongewenste e-mail": mailroom.RoleJunk, "Archief": mailroom.RoleArchive},
				{"Gesendete Elemente": mailroom.RoleSent, "Gelöschte Elemente": mailroom.RoleTrash, "Entwürfe": mailroom.RoleDrafts, "Junk-E-Mail": mailroom.RoleJunk, "Archiv": mailroom.RoleArchive},
				{"Éléments envoyés": mailroom.RoleSent, "Éléments supprimés": mailroom.RoleTrash, "Brouillons": mailroom.RoleDrafts, "Courrier indésirable": mailroom.RoleJunk, "Archives": mailroom.RoleArchive},
			} {
				for name := range in {
					s.account.AddFolder(name, imapd.FolderOptions{})
				}
				s.listed(in)
				for name := range in {
					s.must(s.account.RemoveFolder(name))
				}
			}
		}},
		{"calendar_and_tasks_are_not_offered", nil, func(s *stage) {
			s.run()
			none := map[string]mailroom.FolderRole{}
			for _, name := range []string{"Calendar", "Contacts", "Tasks", "Journal", "Notes", "Outbox", "Agenda", "Contactpersonen", "Taken", "Kalender",
				"Aufgaben", "Calendrier", "Tâches", "Calendar/Birthdays", "Files"} {
				s.account.AddFolder(name, imapd.FolderOptions{})
				none[name] = mailroom.RoleNonMail
			}
			s.account.AddFolder("Clients/Notes on candidates", imapd.FolderOptions{})
			none["Clients/Notes on candidates"] = mailroom.RoleNone
			s.listed(none)
		}},
		{"a_folder_that_is_not_mapped_is_never_opened", nil, func(s *stage) {
			s.account.AddFolder("Private", imapd.FolderOptions{})
			s.fill("Private", 0, 5)
			s.fill("INBOX", 10, 5)
			s.fill("Sent Items", 20, 5)
			s.run()
			s.stored(s.world.Inbox, 5)
			s.stored(s.world.Sent, 5)
			// One mapping goes while it is read: its folder is not looked into again.
			s.world.Exec(s.t, "DELETE FROM mappings WHERE id = $1", s.world.Sent.ID)
			s.world.Exec(s.t, "UPDATE mailboxes SET mappings_version = mappings_version + 1, wanted = wanted + 1")
			s.until("the change is taken up", func() bool { return s.count("mailboxes WHERE wanted = done") == 1 })
			s.server.ForgetCommands()
			s.fill("Sent Items", 30, 1)
			s.fill("INBOX", 40, 1)
			s.stored(s.world.Inbox, 6)
			s.neverOpened("Private", "Sent Items")
			// Without any mapping nothing is read at all.
			s.world.Exec(s.t, "DELETE FROM mappings")
			s.world.Exec(s.t, "UPDATE mailboxes SET mappings_version = mappings_version + 1, wanted = wanted + 1")
			s.until("nobody is there any more", func() bool { return s.server.Connections(s.world.Mailbox.Address) == 0 })
			s.server.ForgetCommands()
			s.fill("INBOX", 50, 1)
			s.ask()
			s.later(time.Hour)
			s.neverOpened("Private", "Sent Items", "INBOX")
			if n := s.count("messages"); n != 11 {
				s.t.Errorf("%d messages", n)
			}
		}},
		{"one_folders_watermark_stops_no_other", nil, func(s *stage) {
			s.account.SkipUIDs(900_000)
			s.fill("INBOX", 0, 5)
			s.account.AddFolder("Clients", imapd.FolderOptions{})
			s.account.AddFolder("Clients/New", imapd.FolderOptions{})
			clients := s.world.Map(s.t, "Clients", "Clients", mailroom.RoleNone)
			s.run()
			s.stored(s.world.Inbox, 5)
			s.fill("Clients", 100, 3) // UIDs from 1 on
			s.stored(clients, 3)
			s.must(s.account.Renumber("INBOX"))
			s.fill("Clients", 200, 1)
			s.fill("INBOX", 300, 1)
			s.until("both go on", func() bool {
				s.skip()
				return s.holds(clients, 4, 0) && s.holds(s.world.Inbox, 6, 0)
			})
			if n := s.asked("UID SEARCH", "UID 0:"); n != 0 {
				s.t.Error("it was asked for UID 0")
			}
		}},
		{"a_container_a_deleted_or_an_odd_folder_stops_no_other", nil, func(s *stage) {
			s.account.AddFolder("Box", imapd.FolderOptions{NoSelect: true})
			s.account.AddFolder("Was here", imapd.FolderOptions{})
			box := s.world.Map(s.t, "Box", "Box", mailroom.RoleNone)
			gone := s.world.Map(s.t, "Was here", "Was here", mailroom.RoleNone)
			odd := s.world.Map(s.t, `"*%&\`, "Odd", mailroom.RoleNone)
			s.fill("INBOX", 0, 30)
			s.fill("Sent Items", 100, 30)
			s.must(s.account.RemoveFolder("Was here"))
			s.run()
			s.stored(s.world.Inbox, 30)
			s.stored(s.world.Sent, 30)
			for _, m := range []mailroom.Mapping{box, gone, odd} {
				s.until(m.Name+" is named", func() bool { return s.count("progress WHERE mapping_id = $1 AND problem <> ''", m.ID) == 1 })
			}
			s.fill("INBOX", 200, 1)
			s.stored(s.world.Inbox, 31)
			s.quiet()
			// It is looked for again by itself, and found when it is back.
			s.account.AddFolder("Was here", imapd.FolderOptions{})
			s.fill("Was here", 300, 2)
			s.until("the folder is back", func() bool { s.skip(); return s.holds(gone, 2, 0) })
		}},
		{"names_with_umlauts_ampersands_and_delimiters", nil, oddNames},
		{"names_where_the_delimiter_is_a_dot", imapdDots, oddNames},
	}
}

func imapdDots() imapd.Dialect {
	d := imapd.Exchange()
	d.Delimiter = "."
	return d
}

// oddNames: folders are found and read under the name that the server gave, and
// shown under the one that people gave.
func oddNames(s *stage) {
	names := []string{"Übersicht & Ablage", "Kandidaten/Büro Zürich", "R&D", "日本/東京", "50% done", `Quote " and \ slash`, "Café/Été & hiver", "Tilde~and+plus"}
	for i, name := range names {
		s.account.AddFolder(name, imapd.FolderOptions{})
		s.fill(name, 100*i, 2)
	}
	stop := s.run()
	shown := map[string]string{} // readable to raw
	s.until("the folders are listed", func() bool {
		fs, err := s.world.Store.Folders(s.t.Context(), s.world.Mailbox.ID)
		s.must(err)
		for _, f := range fs {
			shown[strings.Join(f.Path, "/")] = f.RawName
		}
		return len(shown) >= len(names)+2
	})
	stop()
	var maps []mailroom.Mapping
	for i, name := range names {
		raw, ok := shown[name]
		if !ok {
			s.t.Fatalf("%q is not shown; there are %q", name, shown)
		}
		maps = append(maps, s.world.Map(s.t, raw, fmt.Sprintf("Folder %d", i), mailroom.RoleNone))
	}
	s.run()
	for i, m := range maps {
		s.stored(m, 2)
		s.whole(m, names[i])
	}
}

// listed waits until folders are known with these roles, and are offered or not.
func (s *stage) listed(want map[string]mailroom.FolderRole) {
	s.t.Helper()
	s.until(fmt.Sprintf("folders are %v", want), func() bool {
		fs, err := s.world.Store.Folders(s.t.Context(), s.world.Mailbox.ID)
		s.must(err)
		found := 0
		for _, f := range fs {
			role, ok := want[strings.Join(f.Path, "/")]
			if ok && f.GoneAt.IsZero() && f.Role == role && f.Mappable() == (role != mailroom.RoleNonMail) {
				found++
			}
		}
		return found == len(want)
	})
}

// neverOpened checks that no command has named a folder but for its counts.
func (s *stage) neverOpened(names ...string) {
	s.t.Helper()
	for _, c := range s.server.Commands() {
		for _, name := range names {
			if c.Name != "STATUS" && c.Name != "LIST" && strings.Contains(c.Args, name) {
				s.t.Errorf("%s %s", c.Name, c.Args)
			}
		}
	}
}
