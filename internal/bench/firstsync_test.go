package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"crypto/tls"

	"mailroom/internal/imapwire"
	"mailroom/internal/peers"
)

// quietServer has Dovecot keep no record of what is said, which tests read and
// which would cost it as much as what is measured.
const quietServer = "protocol imap {\n  rawlog_dir =\n}\n"

// recruitersServer is a Dovecot with recruiters' mail in owner's INBOX, and its octets.
func recruitersServer(t testing.TB, count int) (*peers.DovecotServer, int64) {
	t.Helper()
	d := peers.Dovecot(t, peers.DovecotOptions{Users: map[string]string{owner: mailPass}, Extra: quietServer})
	var octets int64
	const part = 1000 // not the whole corpus in memory
	c := newCorpus(1, count, 15_000)
	for mails := c.next(part); len(mails) > 0; mails = c.next(part) {
		for _, m := range mails {
			octets += int64(len(m.Raw))
		}
		d.Deliver(owner, "INBOX", mails...)
	}
	return d, octets
}

// BenchmarkFirstSync reads the same folder by each door with everything on (parse,
// compress, index, link, SQLite, fsync as by default), beside a bare FETCH to
// nowhere and the peers, in alternation.
func BenchmarkFirstSync(t *testing.B) {
	count, rounds := n(t, "messages"), n(t, "rounds")
	d, octets := recruitersServer(t, count)
	mb := float64(octets) / 1e6
	tell("%d messages, %.0f MB, %d rounds", count, mb, rounds)

	t.Run("plain", func(t *testing.B) {
		from := d.Source(owner, mailPass, false)
		ours, bare := &series{name: "Mailroom"}, &series{name: "bare FETCH, one connection"}
		mbsync, flow := &series{name: "mbsync, fsync"}, &series{name: "imapflow + simpleParser"}
		var visible, disk []float64
		bareFetch(t, d, from, count) // fills the server's caches, so that no side pays for it
		alternate(rounds,
			func() { bare.add(bareFetch(t, d, from, count)) },
			func() {
				first, used, u, wire := firstSync(t, d, from, count)
				ours.add(u, wire)
				visible, disk = append(visible, first.Seconds()), append(disk, float64(used)/1e6)
			},
			func() { mbsync.add(pull(t, d, from, count)) },
			func() { flow.add(readByImapFlow(t, d, from, count)) },
		)
		show(ours, bare, mbsync, flow)
		t.ReportMetric(float64(count)/median(ours.wall), "messages/s")
		report(t, result{Name: "first sync, plain, against a bare FETCH", Ours: median(ours.wall), Peer: median(bare.wall), Unit: "s"})
		report(t, result{Name: "first sync, plain, against mbsync with fsync", Ours: median(ours.wall), Peer: median(mbsync.wall), Unit: "s", Target: 0.33})
		report(t, result{Name: "first sync, plain, against imapflow + simpleParser", Ours: median(ours.wall), Peer: median(flow.wall), Unit: "s", Target: 0.17})
		report(t, result{Name: "client CPU of a first sync, plain, against imapflow + simpleParser", Ours: median(ours.cpu), Peer: median(flow.cpu), Unit: "CPU s", Target: 0.20})
		report(t, result{Name: "peak memory of a first sync, against imapflow + simpleParser", Ours: median(ours.peak), Peer: median(flow.peak), Unit: "MB", Target: 0.5})
		report(t, result{Name: "disk after a first sync, index included, against raw bytes", Ours: median(disk), Peer: mb, Unit: "MB", Target: 0.90})
		report(t, result{Name: "Save Mappings to first mail visible", Ours: median(visible), Unit: "s", Target: 2})
	})
	t.Run("TLS", func(t *testing.B) {
		from := d.Source(owner, mailPass, true)
		ours, bare := &series{name: "Mailroom, TLS"}, &series{name: "bare FETCH, TLS, one connection"}
		bareFetch(t, d, from, count)
		alternate(rounds,
			func() { bare.add(bareFetch(t, d, from, count)) },
			func() {
				_, _, u, wire := firstSync(t, d, from, count)
				ours.add(u, wire)
			},
		)
		show(ours, bare)
		report(t, result{Name: "first sync over TLS, against a bare FETCH over TLS", Ours: median(ours.wall), Peer: median(bare.wall), Unit: "s", Target: 1.25})
	})
}

// BenchmarkDistantServer pulls a folder over a line with a round trip of 40 ms.
func BenchmarkDistantServer(t *testing.B) {
	count, rounds := n(t, "distant"), n(t, "rounds")
	d, _ := recruitersServer(t, count)
	line := peers.Delay(t, d.Addr, longLine)
	from := through(t, d.Source(owner, mailPass, false), line)
	ours, mbsync := &series{name: "Mailroom, 40 ms"}, &series{name: "mbsync, fsync, 40 ms"}
	alternate(rounds,
		func() {
			_, _, u, wire := firstSync(t, d, from, count)
			ours.add(u, wire)
		},
		func() { mbsync.add(pull(t, d, from, count)) },
	)
	tell("%d messages", count)
	show(ours, mbsync)
	report(t, result{Name: "500 messages at 40 ms round trip, against mbsync", Ours: median(ours.wall), Peer: median(mbsync.wall), Unit: "s", Target: 0.75})
}

const longLine = 40 * time.Millisecond

// through is a mailbox as seen through a proxy.
func through(t testing.TB, from peers.Source, line *peers.DelayProxy) peers.Source {
	t.Helper()
	_, port, err := net.SplitHostPort(line.Addr)
	must(t, err)
	from.Port, err = strconv.Atoi(port)
	must(t, err)
	return from
}

// BenchmarkGrowth reads a folder of small messages and one that is ten times as
// large, from a pretend server, which keeps the large one in memory.
func BenchmarkGrowth(t *testing.B) {
	base, grown, rounds := n(t, "base"), n(t, "grown"), n(t, "rounds")
	small, large := &series{name: fmt.Sprintf("%d small messages", base)}, &series{name: fmt.Sprintf("%d small messages", grown)}
	from := map[int]peers.Source{}
	for _, count := range []int{base, grown} {
		server := pretendServer(t, modern(), 1, func(int) []smallMail { return smallCorpus(uint64(count), count) })
		from[count] = server.source(0, false)
	}
	alternate(rounds,
		func() {
			_, _, u, _ := firstSync(t, nil, from[base], base)
			small.add(u, 0)
		},
		func() {
			_, _, u, _ := firstSync(t, nil, from[grown], grown)
			large.add(u, 0)
		},
	)
	show(small, large)
	each := func(v []float64, count int) float64 { return median(v) / float64(count) * 1e6 }
	report(t, result{Name: "wall time per message at 200,000 messages, against 20,000", Ours: each(large.wall, grown), Peer: each(small.wall, base), Unit: "µs", Target: 1.15})
	report(t, result{Name: "CPU per message at 200,000 messages, against 20,000", Ours: each(large.cpu, grown), Peer: each(small.cpu, base), Unit: "µs", Target: 1.15})
	report(t, result{Name: "peak memory of a first sync at 200,000 messages, against 20,000", Ours: median(large.peak), Peer: median(small.peak), Unit: "MB", Target: 1.15})
}

// firstSync runs a new Mailroom from Save Mappings until all are stored: how long
// until the first was in the list of mail, what the files of it all occupy, and
// what the program took, its start and end among it but for the wall time.
func firstSync(t testing.TB, d *peers.DovecotServer, from peers.Source, count int) (visible time.Duration, disk int64, u usage, wire int64) {
	t.Helper()
	dir := roundDir(t)
	defer os.RemoveAll(dir)
	j := job{Dir: dir, Source: from, Count: count}
	run(t, program(t, "settle", j))
	before := wireOctets(t, d)
	r := start(t, program(t, "first-sync", j))
	w := r.hear()
	u = r.end()
	u.wall = w.Wall
	return w.Visible, onDisk(t, dir), u, wireOctets(t, d) - before
}

// pull is a first run of mbsync.
func pull(t testing.TB, d *peers.DovecotServer, from peers.Source, count int) (usage, int64) {
	t.Helper()
	dir := roundDir(t)
	defer os.RemoveAll(dir)
	before := wireOctets(t, d)
	u := run(t, peers.Mbsync(t, from, dir, true))
	if got := pulled(t, dir); got != count {
		t.Fatalf("mbsync pulled %d of %d: %s", got, count, u.said)
	}
	return u, wireOctets(t, d) - before
}

// pulled counts the files of mbsync's Maildir.
func pulled(t testing.TB, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "mail", "INBOX", "*", "*"))
	must(t, err)
	count := 0
	for _, f := range files {
		if folder := filepath.Base(filepath.Dir(f)); folder == "cur" || folder == "new" {
			count++
		}
	}
	return count
}

func readByImapFlow(t testing.TB, d *peers.DovecotServer, from peers.Source, count int) (usage, int64) {
	t.Helper()
	before := wireOctets(t, d)
	cmd := peers.ImapFlow(t, from, true)
	cmd.Stderr = os.Stderr
	u := run(t, cmd)
	if strings.TrimSpace(u.said) != strconv.Itoa(count) {
		t.Fatalf("imapflow read %q of %d", u.said, count)
	}
	return u, wireOctets(t, d) - before
}

// roundDir is a directory on a disk (not in memory, where an fsync costs nothing)
// that one round uses and removes, so that a run needs no more room than one.
func roundDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "round")
	must(t, err)
	return dir
}

var loggedOctets = regexp.MustCompile(`imap\(` + regexp.QuoteMeta(owner) + `\).*\bin=(\d+) out=(\d+)`)

// wireOctets are those of owner's sessions that have ended, as the server logged
// them: without TLS's own, and with no proxy in between.
func wireOctets(t testing.TB, d *peers.DovecotServer) int64 {
	t.Helper()
	if d == nil {
		return 0
	}
	for deadline := time.Now().Add(5 * time.Second); d.Connections(owner) > 0 && time.Now().Before(deadline); {
		<-time.After(20 * time.Millisecond)
	}
	var total int64
	for _, m := range loggedOctets.FindAllStringSubmatch(d.Log(), -1) {
		in, _ := strconv.ParseInt(m[1], 10, 64)
		out, _ := strconv.ParseInt(m[2], 10, 64)
		total += in + out
	}
	return total
}

// signIn is a bare connection with INBOX open.
func signIn(t testing.TB, from peers.Source) *imapwire.Client {
	t.Helper()
	ctx := t.Context()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(from.Host, strconv.Itoa(from.Port)))
	must(t, err)
	if from.TLS {
		pool, err := certPool(from.CAFile)
		must(t, err)
		conn = tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: from.Host})
	}
	c, err := imapwire.NewClient(ctx, conn, imapwire.Options{})
	must(t, err)
	must(t, c.Authenticate(ctx, imapwire.Plain(from.User, from.Password)))
	_, err = c.Examine("INBOX", imapwire.ExamineOptions{}).Wait(ctx)
	must(t, err)
	return c
}

// bareFetch reads every message of INBOX over one connection into nothing.
func bareFetch(t testing.TB, d *peers.DovecotServer, from peers.Source, count int) (usage, int64) {
	t.Helper()
	before := wireOctets(t, d)
	started, used := time.Now(), processor(t, os.Getpid())
	c := signIn(t, from)
	got, err := c.UIDFetch(imapwire.UIDsFrom(1), imapwire.FetchItems{Body: true}, imapwire.FetchHandler{
		Body: func(_ *imapwire.Message, lit *imapwire.Literal) error { _, err := io.Copy(io.Discard, lit); return err },
	}).Wait(context.WithoutCancel(t.Context()))
	if err != nil || got != count {
		t.Fatalf("bare fetch got %d of %d: %v", got, count, err)
	}
	must(t, c.Close())
	u := usage{wall: time.Since(started), cpu: processor(t, os.Getpid()) - used}
	return u, wireOctets(t, d) - before
}
