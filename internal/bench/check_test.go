package bench

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"net"

	"mailroom/internal/app"
	"mailroom/internal/imapconn"
	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
)

// smallServer is a Dovecot with small messages in the INBOX of each user, as many
// as it says.
func smallServer(t testing.TB, counts map[string]int) *peers.DovecotServer {
	t.Helper()
	users := map[string]string{}
	for user := range counts {
		users[user] = mailPass
	}
	d := peers.Dovecot(t, peers.DovecotOptions{Users: users, Extra: quietServer})
	for user, count := range counts {
		var mails []peers.Mail
		for _, m := range smallCorpus(uint64(count), count) {
			mails = append(mails, peers.Mail{Raw: append(append([]byte{}, m[0]...), m[1]...)})
		}
		d.Deliver(user, "INBOX", mails...)
	}
	return d
}

// bursts watches what goes over a line for some time, and tells apart what a pause
// of half a second lies between: looks at the server, one after the other.
func bursts(line *peers.DelayProxy, lasting time.Duration) []peers.Traffic {
	var out []peers.Traffic
	began, last := line.Traffic(), line.Traffic()
	moved := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(lasting); time.Now().Before(end); {
		<-tick.C
		now := line.Traffic()
		switch {
		case now != last:
			last, moved = now, time.Now()
		case last != began && time.Since(moved) > 500*time.Millisecond:
			out = append(out, last.Since(began))
			began = last
		}
	}
	return out
}

// quiet waits until nothing has gone over a line for some time.
func quiet(line *peers.DelayProxy, pause time.Duration) {
	last, moved := line.Traffic(), time.Now()
	for time.Since(moved) < pause {
		<-time.After(20 * time.Millisecond)
		if now := line.Traffic(); now != last {
			last, moved = now, time.Now()
		}
	}
}

// shortPoll is how often folders are looked at in these rows: the least that may
// be set. What one look costs does not depend on it.
const shortPoll = 5 * time.Second

// checked is one server that is looked at for changes.
type checked struct {
	name   string
	user   mailroom.User
	line   *peers.DelayProxy
	looks  []peers.Traffic
	mbsync peers.Traffic // one run that finds nothing
}

// BenchmarkCheck reads a folder, then measures what looking at it costs while
// nothing changes, and when fifty messages out of all get another flag.
func BenchmarkCheck(t *testing.B) {
	count := n(t, "checked")
	fewer := count / 10
	const large, small = "large@mail.example", "small@mail.example"
	d := smallServer(t, map[string]int{large: count, small: fewer})
	exchange := pretendServer(t, exchangeLike(), 1, func(int) []smallMail { return smallCorpus(9, count) })

	s, err := open(t.Context(), t.TempDir(), "", "", func(c *app.Config) { c.Poll = shortPoll })
	must(t, err)
	defer func() { must(t, s.close()) }()
	users, err := s.staff(t.Context(), 3)
	must(t, err)
	begin := func(name string, u mailroom.User, from peers.Source, count int) *checked {
		c := &checked{name: name, user: u}
		addr := net.JoinHostPort(from.Host, strconv.Itoa(from.Port))
		c.line = peers.Delay(t, addr, 0)
		must(t, s.connect(t.Context(), u, through(t, from, c.line)))
		must(t, s.mapInbox(t.Context(), u))
		c.mbsync = checkByMbsync(t, from, count)
		return c
	}
	atLarge := begin("CONDSTORE", users[0], d.Source(large, mailPass, false), count)
	atSmall := begin("CONDSTORE, a tenth", users[1], d.Source(small, mailPass, false), fewer)
	atExchange := begin("Exchange-like", users[2], exchange.source(0, false), count)

	for c, all := range map[*checked]int{atLarge: count, atSmall: fewer, atExchange: count} {
		must(t, s.stored(t.Context(), c.user, all, nil))
	}
	// The first looks compare all UIDs, as the ones every 15 minutes do.
	<-time.After(2 * shortPoll)
	lasting := time.Duration(n(t, "looks"))*shortPoll + shortPoll/2
	watched := make(chan struct{})
	go func() { defer close(watched); atExchange.looks = bursts(atExchange.line, lasting) }()
	atLarge.looks = bursts(atLarge.line, lasting)
	<-watched

	for _, c := range []*checked{atLarge, atExchange} {
		var octets, turns []float64
		for _, look := range c.looks {
			octets, turns = append(octets, float64(look.Octets())), append(turns, float64(look.Turns))
		}
		if len(octets) == 0 {
			t.Fatalf("%s: no look in %v", c.name, lasting)
		}
		tell("%s, %d messages, nothing changed: octets %v, round trips %v; mbsync %d octets, %d round trips",
			c.name, count, octets, turns, c.mbsync.Octets(), c.mbsync.Turns)
		target := 0.001
		if c == atExchange {
			target = 0.01
		}
		report(t, result{Name: "nothing changed, " + c.name + ", against bytes of mbsync's check", Ours: median(octets), Peer: float64(c.mbsync.Octets()), Unit: "B", Target: target})
		if c == atLarge {
			report(t, result{Name: "nothing changed, CONDSTORE, round trips", Ours: median(turns), Unit: "round trips", Target: 1})
		}
	}

	// Other flags each time, or nothing would change.
	flags := [][]string{{`\Flagged`}, {`\Answered`}}
	change := func(c *checked, user string, count, round int) float64 {
		quiet(c.line, time.Second)
		before := c.line.Traffic()
		d.SetFlags(user, "INBOX", flags[round%2], spread(count)...)
		quiet(c.line, 2*time.Second)
		return float64(c.line.Traffic().Since(before).Octets())
	}
	var amongMany, amongFew []float64
	for round := range n(t, "rounds") {
		amongMany = append(amongMany, change(atLarge, large, count, round))
		amongFew = append(amongFew, change(atSmall, small, fewer, round))
	}
	scan := flagScan(t, d.Source(large, mailPass, false), count)
	tell("50 changes: octets %.0f among %d, %.0f among %d; a flag scan of all %.0f", amongMany, count, amongFew, fewer, scan)
	report(t, result{Name: "50 changes among 20,000 messages, CONDSTORE, against bytes of a flag scan", Ours: median(amongMany), Peer: scan, Unit: "B", Target: 1.0 / 300})
	report(t, result{Name: "50 changes among 20,000 messages, against the same among 2,000", Ours: median(amongMany), Peer: median(amongFew), Unit: "B", Target: 1.1})
}

// spread are fifty UIDs over a folder of so many.
func spread(count int) []uint32 {
	var out []uint32
	for i := range 50 {
		out = append(out, uint32(1+i*count/50))
	}
	return out
}

// checkByMbsync is a run of mbsync that finds nothing, after one that pulled all.
func checkByMbsync(t testing.TB, from peers.Source, count int) peers.Traffic {
	t.Helper()
	line := peers.Delay(t, net.JoinHostPort(from.Host, strconv.Itoa(from.Port)), 0)
	from = through(t, from, line)
	dir := roundDir(t)
	defer os.RemoveAll(dir)
	run(t, peers.Mbsync(t, from, dir, false))
	if got := pulled(t, dir); got != count {
		t.Fatalf("mbsync pulled %d of %d", got, count)
	}
	before := line.Traffic()
	run(t, peers.Mbsync(t, from, dir, false))
	return line.Traffic().Since(before)
}

// flagScan is what it costs to ask for the flags of all messages.
func flagScan(t testing.TB, from peers.Source, count int) float64 {
	t.Helper()
	c := signIn(t, from)
	defer c.Close()
	before := c.Stats()
	got, err := c.UIDFetch(imapwire.UIDsFrom(1), imapwire.FetchItems{Flags: true}, imapwire.FetchHandler{}).Wait(t.Context())
	if err != nil || got != count {
		t.Fatalf("flags of %d of %d: %v", got, count, err)
	}
	after := c.Stats()
	return float64(after.BytesRead + after.BytesWritten - before.BytesRead - before.BytesWritten)
}

// BenchmarkFolderList lists forty folders with their counts over a line with a
// round trip of 40 ms.
func BenchmarkFolderList(t *testing.B) {
	var folders []peers.DovecotFolder
	for i := range 39 { // and INBOX
		folders = append(folders, peers.DovecotFolder{Name: fmt.Sprintf("Folder %d", i)})
	}
	for _, c := range []struct {
		name    string
		without []string
		target  float64
	}{{"with LIST-STATUS", nil, 1}, {"without LIST-STATUS", []string{"LIST-STATUS"}, 2}} {
		d := peers.Dovecot(t, peers.DovecotOptions{Users: map[string]string{owner: mailPass}, Folders: folders, Without: c.without, Extra: quietServer})
		line := peers.Delay(t, d.Addr, longLine)
		from := through(t, d.Source(owner, mailPass, false), line)
		conn, err := imapconn.Open(t.Context(), imapconn.Account{
			Endpoint: mailroom.Endpoint{Host: from.Host, Port: from.Port, TLS: mailroom.PlainText}, Username: from.User, Password: from.Password,
		})
		must(t, err)
		before, started := line.Traffic(), time.Now()
		got, err := conn.Folders(t.Context())
		if err != nil || len(got) != 40 {
			t.Fatalf("%d folders: %v", len(got), err)
		}
		took, used := time.Since(started), line.Traffic().Since(before)
		must(t, conn.Close())
		tell("40 folders %s at 40 ms: %v, %d octets, %d round trips", c.name, took, used.Octets(), used.Turns)
		report(t, result{Name: "folder list of 40 folders, " + c.name + ", round trips", Ours: float64(used.Turns), Unit: "round trips", Target: c.target})
		report(t, result{Name: "folder list of 40 folders at 40 ms, " + c.name, Ours: took.Seconds(), Unit: "s"})
	}
}
