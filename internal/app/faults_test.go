package app_test

import (
	"context"
	"crypto/x509"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mailroom/internal/imapconn"
	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/pretend/imapd"
	"mailroom/internal/syncer"
)

// TestFaultsOnTheWire reads a mailbox through a proxy that spoils every
// connection, in the clear, by STARTTLS and by TLS, while another client
// delivers, moves, marks and expunges. Once the line is good again nothing is
// lost, nothing is there twice, no goroutine runs and no connection is open.
// With TORTURE=N there are 5 N faults, and N at the pretend server; TORTURE_SEED
// repeats a plan.
func TestFaultsOnTheWire(t *testing.T) {
	seed := setting(t, "TORTURE_SEED", time.Now().UnixNano())
	n := int(setting(t, "TORTURE", 20))
	t.Logf("TORTURE_SEED=%d", seed)
	t.Run("Dovecot", func(t *testing.T) {
		d := dovecot(t)
		faulty(t, newSite(t), spoilt{server: d, plain: d.Addr, tls: d.TLSAddr, roots: d.Cert.CA,
			modes: []mailroom.TLSMode{mailroom.ImplicitTLS, mailroom.PlainText, mailroom.ImplicitTLS, mailroom.StartTLS}}, 5*n, seed)
		for _, c := range d.ChangingCommands() {
			if !cutShort(c.Line) {
				t.Errorf("a command that changes the mailbox: %v", c)
			}
		}
	})
	// As little as Exchange offers: no CONDSTORE, no QRESYNC, no ESEARCH.
	t.Run("Exchange", func(t *testing.T) {
		p := pretendExchange(t)
		faulty(t, newSite(t), spoilt{server: p, plain: p.s.Addr(), tls: p.s.TLSAddr(), roots: p.s.CAPool(),
			modes: []mailroom.TLSMode{mailroom.ImplicitTLS, mailroom.PlainText}}, n, seed)
		if cmds := p.s.Mutating(); len(cmds) > 0 {
			t.Errorf("commands that change the mailbox: %v", cmds)
		}
	})
}

// spoilt is a server behind the proxy.
type spoilt struct {
	server     mailServer
	plain, tls string // host:port
	roots      *x509.CertPool
	modes      []mailroom.TLSMode // in turn
}

func faulty(t *testing.T, s site, to spoilt, faults int, seed int64) {
	o := &other{t: t, d: to.server, r: rand.New(rand.NewPCG(uint64(seed), 2)), folders: mapped}
	first := min(10*faults, 3000)
	o.deliver("INBOX", first/2)
	o.deliver("Sent", first/4)
	o.deliver("Archive", first/4)
	s.settleAt(t, endpoint(t, to.plain, mailroom.PlainText))
	st, packs, leave := s.rooms(t, nil)
	db := s.database(t)
	ids := db.QueryRow(`SELECT org_id, id FROM mailboxes`)
	var org, mailbox string
	must(t, ids.Scan(&org, &mailbox))

	before := runtime.NumGoroutine()
	proxy := peers.Faults(t, peers.FaultOptions{Plain: to.plain, TLS: to.tls, Seed: uint64(seed), Most: faults, Quiet: 100 * time.Millisecond})
	line := line{proxy: proxy, to: to, faults: faults, opened: new(atomic.Int64)}
	var stats syncLog
	keeper := syncer.New(syncer.Config{
		Store: st, Blobs: st.Blobs(packs), Node: "faulty", Open: line.open, Log: slog.New(&stats),
		// A connection that has lived at all proves the server well, so that the next
		// one comes without a pause.
		Tuning: syncer.Tuning{Poll: time.Second, BusyPoll: time.Second, CompareAgain: time.Second, SaveEvery: time.Second,
			Settled: time.Millisecond},
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); keeper.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended }) // before leave

	began, struck, last := time.Now(), 0, time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for struck < faults {
		<-tick.C
		// Somebody who does not wait for the pause after a failed sign-in.
		must(t, st.RequestSync(t.Context(), org, mailbox, mailroom.AuditEvent{OrgID: org, Action: "mailbox.sync", Subject: mailbox}))
		if now := proxy.Struck(); now > struck {
			struck, last = now, time.Now()
			o.disturb()
		} else if time.Since(last) > time.Minute {
			t.Fatalf("no fault strikes any more: %s; %s", proxy, told(t, db, "INBOX"))
		}
	}
	t.Logf("%d faults within %v: %s; %d mails delivered in all", struck, time.Since(began).Round(time.Second), proxy, o.n)
	must(t, st.RequestSync(t.Context(), org, mailbox, mailroom.AuditEvent{OrgID: org, Action: "mailbox.sync", Subject: mailbox}))
	healed := time.Now()
	server := accounted(t, db, o)
	t.Logf("accounted for within %v", time.Since(healed).Round(time.Second))
	if n := proxy.Open(); n > 2 {
		t.Errorf("%d connections are open, two are allowed", n)
	}
	stop()
	<-ended
	if !holds(20*time.Second, func() bool { return proxy.Open() == 0 && o.d.Connections(owner) == 0 }) {
		t.Errorf("left open: %d connections at the proxy, %d at the server", proxy.Open(), o.d.Connections(owner))
	}
	proxy.Close()
	if !holds(10*time.Second, func() bool { return runtime.NumGoroutine() <= before }) {
		var all strings.Builder
		pprof.Lookup("goroutine").WriteTo(&all, 1)
		t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, all.String())
	}
	stats.check(t)
	leave()
	e := evidence{t: t, s: s, db: db, addr: to.plain, server: server}
	e.books()
	e.deliveries()
	e.bytes()
}

// cutShort tells the beginning of a harmless command of which the rest did not
// get through; the server never carries it out.
func cutShort(line string) bool {
	return slices.ContainsFunc([]string{"CAPABILITY", "ENABLE", "EXAMINE", "IDLE", "LIST", "LOGOUT", "NAMESPACE", "NOOP", "STATUS", "UID FETCH", "UID SEARCH"},
		func(whole string) bool { return strings.HasPrefix(whole, line) })
}

// line is the way to the server: through the proxy, each time by another mode.
type line struct {
	proxy  *peers.FaultProxy
	to     spoilt
	faults int
	opened *atomic.Int64
}

func (l line) open(ctx context.Context, _ mailroom.Mailbox) (syncer.Conn, error) {
	mode := l.to.modes[int(l.opened.Add(1))%len(l.to.modes)]
	addr := l.proxy.Addr
	if mode == mailroom.ImplicitTLS {
		addr = l.proxy.TLSAddr
	}
	at, err := parseEndpoint(addr, mode)
	if err != nil {
		return nil, err
	}
	a := imapconn.Account{Endpoint: at, Username: owner, Password: appPassword, RootCAs: l.to.roots}
	if l.proxy.Struck() < l.faults {
		// Two minutes of silence are for real servers; the ones here need not be waited for.
		a.IdleRenewal = time.Second
		a.Timeouts = imapwire.Timeouts{Begin: time.Second, Progress: time.Second, Write: time.Second, AfterBye: time.Second}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
	}
	conn, err := imapconn.Open(ctx, a)
	if err != nil { // not conn: a nil *Conn in an interface is not nil
		return nil, err
	}
	return conn, nil
}

func parseEndpoint(addr string, mode mailroom.TLSMode) (mailroom.Endpoint, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return mailroom.Endpoint{}, err
	}
	n, err := strconv.Atoi(port)
	return mailroom.Endpoint{Host: host, Port: n, TLS: mode}, err
}

func endpoint(t *testing.T, addr string, mode mailroom.TLSMode) mailroom.Endpoint {
	t.Helper()
	e, err := parseEndpoint(addr, mode)
	must(t, err)
	return e
}

// pretend is the owner's mailbox at the pretend server, in the manner of mailServer.
type pretend struct {
	t *testing.T
	s *imapd.Server
	a *imapd.Account
}

func pretendExchange(t *testing.T) pretend {
	t.Helper()
	d := imapd.Exchange()
	d.Login, d.CapsBefore = true, strings.ReplaceAll(d.CapsBefore, " LOGINDISABLED", "") // an app password, which settling types
	s, err := imapd.Start(imapd.Options{Dialect: d})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	a, err := s.AddAccount(imapd.AccountConfig{Address: owner, Password: appPassword})
	must(t, err)
	a.AddFolder("Sent", imapd.FolderOptions{Role: `\Sent`})
	a.AddFolder("Archive", imapd.FolderOptions{})
	return pretend{t, s, a}
}

func (p pretend) Deliver(_, folder string, mails ...peers.Mail) {
	var all []imapd.Message
	for _, m := range mails {
		all = append(all, imapd.Message{Raw: imapd.Content{m.Raw}, Date: m.Date, Flags: m.Flags})
	}
	p.a.DeliverAll(folder, all)
}

func (p pretend) Delete(_, folder string, uids ...uint32) { must(p.t, p.a.Expunge(folder, uids...)) }

func (p pretend) Move(_, from, to string, uids ...uint32) {
	_, err := p.a.Move(from, to, uids...)
	must(p.t, err)
}

func (p pretend) Copy(_, from, to string, uids ...uint32) {
	_, err := p.a.Copy(from, to, uids...)
	must(p.t, err)
}

func (p pretend) SetFlags(_, folder string, flags []string, uids ...uint32) {
	for _, u := range uids {
		must(p.t, p.a.SetFlags(folder, u, flags...))
	}
}

func (p pretend) Folder(_, folder string) peers.FolderState {
	for _, f := range p.a.Folders() {
		if f.Name != folder {
			continue
		}
		out := peers.FolderState{UIDValidity: f.UIDValidity, UIDNext: f.UIDNext, Flags: map[uint32][]string{}}
		for _, u := range f.UIDs {
			m, _ := p.a.Stored(folder, u)
			out.Flags[u] = m.Flags
		}
		return out
	}
	p.t.Fatalf("no folder %s", folder)
	return peers.FolderState{}
}

func (p pretend) Connections(string) int { return p.s.Connections(owner) }

// syncLog keeps what must never be said: that something of ours is broken.
type syncLog struct {
	slog.Handler
	internal atomic.Pointer[string]
	lines    atomic.Int64
}

func (l *syncLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *syncLog) Handle(_ context.Context, r slog.Record) error {
	l.lines.Add(1)
	bad, line := r.Level >= slog.LevelError, r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		bad = bad || a.Key == "kind" && a.Value.String() == string(mailroom.Internal)
		return true
	})
	if bad {
		l.internal.CompareAndSwap(nil, &line)
	}
	return nil
}

func (l *syncLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *syncLog) WithGroup(string) slog.Handler      { return l }

func (l *syncLog) check(t *testing.T) {
	t.Helper()
	if line := l.internal.Load(); line != nil {
		t.Errorf("the engine says of itself: %s", *line)
	}
	t.Logf("%d lines logged", l.lines.Load())
}
