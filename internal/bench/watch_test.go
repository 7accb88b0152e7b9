package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/internal/pretend/imapd"
)

// newMail is a mail from a known person that its subject tells from all others.
func newMail(subject string) imapd.Message {
	return imapd.Message{Raw: imapd.Content{fmt.Appendf(nil, "From: Kim <kim@client.example>\r\nTo: Anna <%s>\r\nSubject: %s\r\nMessage-ID: <%s@client.example>\r\n"+
		"Date: Mon, 06 Jan 2025 10:00:00 +0000\r\n\r\nHello\r\n", owner, subject, subject)}}
}

// viewer is a user who waits for mail.
type viewer struct {
	user    mailroom.User
	account *imapd.Account
	changes <-chan struct{}
}

// sees delivers a mail and says how long it took from the server's notice until it
// was in the list, with the person it is linked to.
func (v viewer) sees(t testing.TB, s *site, subject string) time.Duration {
	t.Helper()
	started := time.Now()
	v.account.Deliver("INBOX", newMail(subject))
	for deadline := time.After(time.Minute); ; {
		list, err := s.Portal.Mails(t.Context(), v.user, portal.MailQuery{Limit: 5})
		must(t, err)
		if len(list.Rows) > 0 && list.Rows[0].Subject == subject && len(list.Rows[0].People) == 1 {
			return time.Since(started)
		}
		select {
		case <-v.changes:
		case <-time.After(time.Second):
		case <-deadline:
			t.Fatalf("%s was not seen in a minute", subject)
		}
	}
}

// BenchmarkNotice measures from a server's notice under IDLE until the mail is
// stored, linked and in the list, alone and while another mailbox does its first sync.
func BenchmarkNotice(t *testing.B) {
	samples, count := n(t, "notices"), n(t, "beside")
	// Ten mailboxes in turn: of one that tells of something more than once a second
	// again and again, Mailroom stops listening for a moment.
	const inTurn = 10
	server := pretendServer(t, modern(), inTurn, func(int) []smallMail { return smallCorpus(4, 20) })
	d, _ := recruitersServer(t, count)
	s, err := open(t.Context(), t.TempDir(), "", "")
	must(t, err)
	defer func() { must(t, s.close()) }()
	users, err := s.staff(t.Context(), inTurn+1)
	must(t, err)
	_, _, err = s.Portal.AddPerson(t.Context(), users[0], portal.PersonForm{Kind: mailroom.Candidate, Name: "Kim", Addresses: []string{"kim@client.example"}})
	must(t, err)
	must(t, s.connectAll(t.Context(), users[:inTurn], server.source(0, false)))
	var viewers []viewer
	for i, u := range users[:inTurn] {
		must(t, s.stored(t.Context(), u, 20, nil))
		viewers = append(viewers, viewer{u, server.Account(mailboxName(i)), s.Portal.Changes(t.Context(), u)})
	}
	server.idling(inTurn)
	measure := func(round string, enough <-chan struct{}) (all []float64) {
		tick := time.NewTicker(1100 * time.Millisecond / inTurn)
		defer tick.Stop()
		for i := range samples {
			select {
			case <-enough:
				return all
			case <-tick.C:
			}
			all = append(all, viewers[i%inTurn].sees(t, s, fmt.Sprintf("%s-%d", round, i)).Seconds()*1e3)
		}
		return all
	}
	measure("warm", nil)
	alone := measure("alone", nil)

	busy := users[inTurn]
	must(t, s.connect(t.Context(), busy, d.Source(owner, mailPass, false)))
	first, err := s.begin(t.Context(), busy, count)
	must(t, err)
	beside := measure("beside", first.done)
	<-first.done
	must(t, first.err)
	report(t, result{Name: "Save Mappings to first mail visible, where others are watched", Ours: first.visible.Seconds(), Unit: "s", Target: 2})
	for _, x := range []struct {
		name string
		v    []float64
	}{{"alone", alone}, {"beside a first sync", beside}} {
		tell("notice to visible, %s: p50 %.1f ms, p99 %.1f ms, most %.1f ms (%d mails)", x.name, median(x.v), quantile(x.v, 0.99), quantile(x.v, 1), len(x.v))
	}
	report(t, result{Name: "notice under IDLE to visible, p99", Ours: quantile(alone, 0.99), Unit: "ms", Target: 50})
	if len(beside) == 0 {
		t.Fatal("the first sync was over before anything was measured")
	}
	report(t, result{Name: "new mail in B while A does its first sync, p99, against A idle", Ours: quantile(beside, 0.99), Peer: quantile(alone, 0.99), Unit: "ms", Target: 2})
}

// BenchmarkWatched is a whole Mailroom that watches mailboxes over TLS: what memory
// each holds, and what CPU time it takes while nothing comes and while some mail does.
func BenchmarkWatched(t *testing.B) {
	count, lasting, rate := n(t, "watched"), time.Duration(n(t, "seconds"))*time.Second, n(t, "rate")
	server := pretendServer(t, modern(), count, func(int) []smallMail { return smallCorpus(5, 1) })
	source := server.source(0, true)
	r := start(t, program(t, "watch", job{Dir: roundDir(t), Source: source, Count: count}))
	w := r.hear()
	server.idling(count)
	r.settle()
	resident := memory(r.cmd.Process.Pid, "VmRSS")
	tell("%d mailboxes watched: %.0f MB in all, %.0f MB before the first", count, float64(resident)/1e6, float64(w.Base)/1e6)
	report(t, result{Name: "an idle watched mailbox of a whole Mailroom, memory", Ours: float64(resident-w.Base) / float64(count) / 1e3, Unit: "kB"})
	report(t, result{Name: "2,000 idle mailboxes of a whole Mailroom, RSS", Ours: float64(resident) / 1e6, Unit: "MB"})

	share := func(each func(i int)) float64 {
		before, started := processor(t, r.cmd.Process.Pid), time.Now()
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for i := 0; time.Since(started) < lasting; i++ {
			<-tick.C
			each(i)
		}
		return float64(processor(t, r.cmd.Process.Pid)-before) / float64(time.Since(started))
	}
	idle := share(func(int) {})
	server.ForgetCommands()
	sent := 0
	busy := share(func(i int) {
		server.Account(mailboxName(i%count)).Deliver("INBOX", newMail(fmt.Sprintf("delivery-%d", i)))
		sent++
	})
	for deadline := time.Now().Add(time.Minute); ; <-time.After(100 * time.Millisecond) {
		read := 0
		for _, c := range server.Commands() {
			if c.Name == "UID FETCH" && strings.Contains(c.Args, "BODY.PEEK[]") {
				read++
			}
		}
		if read >= sent*9/10 { // one FETCH may bring two that came close together
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d deliveries were read", read, sent)
		}
	}
	r.finish()
	tell("%d mailboxes: %.1f %% of one core while nothing comes, %.1f %% with %d deliveries a second", count, idle*100, busy*100, rate)
	report(t, result{Name: "2,000 idle mailboxes, share of one core", Ours: idle, Unit: "cores"})
	report(t, result{Name: "2,000 idle mailboxes and 20 deliveries/s, share of one core", Ours: busy, Unit: "cores", Target: 0.10})
}
