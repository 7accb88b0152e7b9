package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"mailroom/internal/app"
	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/portal"
)

const (
	owner    = "anna@agency.example"
	password = "correct horse battery"
)

// result is one line of BENCH_JSON.
type result struct {
	Name   string  `json:"name"`
	Ours   float64 `json:"ours"`
	Peer   float64 `json:"peer"`
	Ratio  float64 `json:"ratio"`
	Unit   string  `json:"unit"`
	Target float64 `json:"target"`
}

// BenchmarkFirstSync reads the same folder twice in alternation: once by a bare
// FETCH to nowhere, once by the whole of Mailroom (parse, compress, index, link,
// store, fsync as by default). BENCH=full takes 20,000 messages.
func BenchmarkFirstSync(t *testing.B) {
	n, rounds := 2000, 3
	if os.Getenv("BENCH") == "full" {
		n, rounds = 20_000, 5
	}
	d := peers.Dovecot(t, peers.DovecotOptions{Users: map[string]string{owner: "secret"}})
	mails := corpus(1, n, 15_000)
	var octets int64
	for _, m := range mails {
		octets += int64(len(m.Raw))
	}
	d.Deliver(owner, "INBOX", mails...)
	bareFetch(t, d, n) // fills the server's caches, so that neither side pays for it

	var ours, bare, cpu, first []float64
	for range rounds {
		bare = append(bare, bareFetch(t, d, n).Seconds())
		whole, visible, used := firstSync(t, d, n)
		ours, first, cpu = append(ours, whole.Seconds()), append(first, visible.Seconds()), append(cpu, used.Seconds())
	}
	r := result{Name: "first sync, plain", Ours: median(ours), Peer: median(bare), Unit: "s"}
	r.Ratio = r.Ours / r.Peer
	mb := float64(octets) / 1e6
	t.Logf("%d messages, %.0f MB, %d rounds, medians", n, mb, rounds)
	t.Logf("mailroom    %6.2f s  %7.0f messages/s  %6.1f MB/s  CPU of the whole process %.2f s", r.Ours, float64(n)/r.Ours, mb/r.Ours, median(cpu))
	t.Logf("bare FETCH  %6.2f s  %7.0f messages/s  %6.1f MB/s", r.Peer, float64(n)/r.Peer, mb/r.Peer)
	t.Logf("ratio %.2f   (all rounds: ours %.2f, bare %.2f)", r.Ratio, ours, bare)
	t.ReportMetric(r.Ratio, "x-bare-fetch")
	t.ReportMetric(float64(n)/r.Ours, "messages/s")
	t.ReportMetric(mb/r.Ours, "MB/s")
	report(t, r)
	t.Logf("Save Mappings to first mail in the list  %.3f s  (all rounds: %.3f)", median(first), first)
	report(t, result{Name: "Save Mappings to first mail visible", Ours: median(first), Unit: "s", Target: 2})
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func report(t testing.TB, r result) {
	name := os.Getenv("BENCH_JSON")
	if name == "" {
		return
	}
	var all []result
	if b, err := os.ReadFile(name); err == nil {
		if err := json.Unmarshal(b, &all); err != nil {
			t.Fatal(err)
		}
	}
	all = append(all, r)
	slices.SortStableFunc(all, func(a, b result) int { return cmp.Compare(a.Name, b.Name) })
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// bareFetch reads every message of INBOX over one connection into nothing.
func bareFetch(t testing.TB, d *peers.DovecotServer, n int) time.Duration {
	t.Helper()
	started := time.Now()
	conn, err := net.Dial("tcp", d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	c, err := imapwire.NewClient(ctx, conn, imapwire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Authenticate(ctx, imapwire.Plain(owner, "secret")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Examine("INBOX", imapwire.ExamineOptions{}).Wait(ctx); err != nil {
		t.Fatal(err)
	}
	got, err := c.UIDFetch(imapwire.UIDsFrom(1), imapwire.FetchItems{Body: true}, imapwire.FetchHandler{
		Body: func(_ *imapwire.Message, lit *imapwire.Literal) error { _, err := io.Copy(io.Discard, lit); return err },
	}).Wait(ctx)
	if err != nil || got != n {
		t.Fatalf("bare fetch got %d of %d: %v", got, n, err)
	}
	return time.Since(started)
}

// firstSync runs a new Mailroom from Save Mappings until all n are stored, and
// tells when the first of them was in the list of mail.
func firstSync(t testing.TB, d *peers.DovecotServer, n int) (wall, visible, cpu time.Duration) {
	t.Helper()
	cfg := app.Defaults()
	cfg.Addr, cfg.Data, cfg.AllowPrivateHosts = "127.0.0.1:0", filepath.Join(t.TempDir(), "data"), true
	cfg.Log = slog.New(slog.DiscardHandler)
	a, err := app.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	u := recruiter(t, a, d)
	page, err := a.Portal.RefreshFolders(ctx, u)
	if err != nil || page.Problem != nil {
		t.Fatal(err, page.Problem)
	}
	before := cpuTime()
	started := time.Now()
	inbox := page.OTYS[0].ID
	if err := a.Portal.SaveMappings(ctx, u, portal.MappingsForm{Version: page.Version, Rows: []portal.MappingForm{{RawName: "INBOX", OTYSFolder: inbox}}}); err != nil {
		t.Fatal(err)
	}
	changes := a.Portal.Changes(ctx, u)
	for deadline := time.After(10 * time.Minute); ; {
		if visible == 0 {
			list, err := a.Portal.Mails(ctx, u, portal.MailQuery{})
			if err != nil {
				t.Fatal(err)
			}
			if len(list.Rows) > 0 {
				visible = time.Since(started)
			}
		}
		p, err := a.Portal.MappingPage(ctx, u)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Rows) == 1 && p.Rows[0].Progress.Stored == int64(n) {
			return time.Since(started), visible, cpuTime() - before
		}
		select {
		case <-changes:
		case <-time.After(200 * time.Millisecond): // the signal is coalesced; look again anyway
		case <-deadline:
			t.Fatalf("not done after ten minutes: %+v", p.Rows)
		}
	}
}

// recruiter makes the first organization with a user whose mailbox is d's.
func recruiter(t testing.TB, a *app.App, d *peers.DovecotServer) mailroom.User {
	t.Helper()
	ctx := t.Context()
	u, err := a.Portal.AddOrganization(ctx, portal.SetupForm{Organization: "Agency", Name: "Anna", Email: owner, Password: password})
	must(t, err)
	must(t, a.Portal.SaveAddress(ctx, u, owner, false))
	must(t, a.Portal.ChooseAccount(ctx, u, portal.AccountForm{
		Account: mailroom.Other, IMAP: mailroom.Endpoint{Host: d.Host, Port: d.Port, TLS: mailroom.PlainText},
	}))
	must(t, a.Portal.SavePassword(ctx, u, "secret"))
	return u
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(fmt.Sprint("getrusage: ", err))
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
