// Package app builds Mailroom from its configuration and runs it until told to
// stop: it plugs the doors (store, blob, imapconn, oauth) into the rooms that
// name them (portal, access, syncer, web).
//
// It wires and starts, nothing else: a rule that is found here is in the wrong
// room.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"mailroom/internal/access"
	"mailroom/internal/blob"
	"mailroom/internal/envelope"
	"mailroom/internal/graph"
	"mailroom/internal/i18n"
	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/netguard"
	"mailroom/internal/notice"
	"mailroom/internal/oauth"
	"mailroom/internal/portal"
	"mailroom/internal/store"
	"mailroom/internal/syncer"
	"mailroom/web"
)

// App is a built Mailroom. Run it once.
type App struct {
	cfg     Config
	log     *slog.Logger
	store   *store.Store
	packs   *blob.Packs // nil on PostgreSQL
	Portal  *portal.Portal
	Applied []string // migrations that New had to run

	listener net.Listener
	handler  http.Handler
	keeper   *syncer.Keeper
	notices  *notice.Teller
	access   *access.Access
}

// New opens the stores, brings the database up to date and binds the address.
// Close what it returns, unless Run is called.
func New(ctx context.Context, cfg Config) (*App, error) {
	a, err := open(ctx, cfg, true)
	if err != nil {
		return nil, err
	}
	if err := a.build(ctx); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// open is the part that command-line tools need too: configuration, database
// and portal, without a listener.
func open(ctx context.Context, cfg Config, serve bool) (*App, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("the configuration is not usable:\n%w", err)
	}
	a := &App{cfg: cfg, log: cfg.logger()}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("MAILROOM_DATA: %w", err)
	}
	dsn := cfg.Database
	if dsn == "" {
		dsn = filepath.Join(cfg.Data, "mailroom.db")
	}
	var err error
	if a.store, err = store.Open(ctx, store.Options{DSN: dsn, Log: a.log}); err != nil {
		return nil, fmt.Errorf("MAILROOM_DATABASE: %w", err)
	}
	if a.Applied, err = a.store.Migrate(ctx); err != nil {
		a.Close()
		return nil, fmt.Errorf("bringing the database up to date: %w", err)
	}
	// Tools leave the raw mail alone: the process that serves owns it.
	if serve && !a.store.Postgres() {
		if a.packs, err = blob.Open(filepath.Join(cfg.Data, "mail"), blob.Options{Log: a.log}); err != nil {
			a.Close()
			return nil, fmt.Errorf("MAILROOM_DATA: %w", err)
		}
	}
	if err := a.wire(); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// wire plugs the rooms together.
func (a *App) wire() error {
	cfg := a.cfg
	base, err := cfg.providers()
	if err != nil {
		return err
	}
	keys, err := cfg.keyring(a.log)
	if err != nil {
		return err
	}
	roots, err := cfg.rootCAs()
	if err != nil {
		return err
	}
	grants := access.New(access.Deps{
		Store: a.store, OAuth: oauth.New(oauth.Options{AllowPrivate: cfg.AllowPrivateHosts, RootCAs: roots, Log: a.log}),
		Vault: keys, Base: base, Node: cfg.Node, Log: a.log,
		RedirectURL:        func(id string) string { return a.cfg.BaseURL + "/oauth/callback/" + id },
		ConsentRedirectURL: func(id string) string { return a.cfg.BaseURL + "/consent/callback/" + id },
		DoctorURL:          func(id string) string { return a.cfg.BaseURL + "/doctor/callback/" + id },
	})
	a.access = grants
	boxes := &mailboxes{
		credentials: grants, providers: grants.Providers, organization: a.store.Organization, rootCAs: roots,
		maxMessage: cfg.MaxMessage << 20, allowPrivate: cfg.AllowPrivateHosts, log: a.log,
	}
	boxes.budget = syncer.NewBudget(boxes.limits)
	grants.HungUp = boxes.budget.Idle
	grants.Look = boxes.look // which needs the providers that grants knows
	blobs := a.store.Blobs(a.packs)
	if a.notices, err = a.tellers(grants.Providers, keys, roots); err != nil {
		return err
	}
	a.Portal = portal.New(portal.Deps{
		Store: a.store, Foresight: a.notices, Consent: grants, AdminConsent: grants, Providers: grants.Providers, Registrar: grants,
		CheckProvider: oauth.CheckProvider, CheckMailServer: boxes.greets, BaseURL: func() string { return a.cfg.BaseURL },
		LiveFolders: boxes.folders, CreateFolder: boxes.create, Preview: boxes.preview,
		Ask: boxes.ask, Probe: boxes.probe, Writable: a.writable,
		Doctor: newDoctor(boxes, graph.New(graph.Options{AllowPrivate: cfg.AllowPrivateHosts, RootCAs: roots})), Looking: grants,
		RawMail: blobs.Open, CheckHost: func(ctx context.Context, host string, allow bool) error {
			return netguard.CheckHost(ctx, host, allow || cfg.AllowPrivateHosts)
		}, Log: a.log,
	})
	a.keeper = syncer.New(syncer.Config{
		Store: a.store, Blobs: blobs, Node: cfg.Node, Version: cfg.readingVersion(), Parse: envelope.Parse, Log: a.log, Tuning: syncer.Tuning{Poll: cfg.Poll},
		Open: func(ctx context.Context, m mailroom.Mailbox) (syncer.Conn, error) {
			conn, err := boxes.open(ctx, m)
			if err != nil { // not conn: a nil *Conn in an interface is not nil
				return nil, err
			}
			return conn, nil
		},
		Budget: boxes.budget,
	})
	return nil
}

// build binds the address and makes the pages.
func (a *App) build(ctx context.Context) error {
	var err error
	if a.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.Addr); err != nil {
		return fmt.Errorf("MAILROOM_ADDR: %w", err)
	}
	if a.cfg.BaseURL == "http://"+a.cfg.Addr { // port 0 is known only now
		a.cfg.BaseURL = "http://" + a.Addr()
	}
	texts, err := i18n.New()
	if err != nil {
		return err
	}
	public, err := url.Parse(a.cfg.BaseURL)
	if err != nil {
		return err
	}
	meters := newMeters(a.keeper, a.notices)
	pages, err := web.New(web.Deps{
		Portal: a.Portal, Sessions: a.store, Texts: texts, Refusals: slices.Concat(oauth.ReadCatalogue().Listed(), imapconn.Refusals()), PublicURL: public, TrustProxy: a.cfg.TrustProxy, Log: a.log,
		Health: http.HandlerFunc(alive), Ready: a.ready(), Metrics: meters.handler(a.cfg.MetricsToken), Observe: meters.observe,
	})
	if err != nil {
		return err
	}
	a.handler = pages.Handler()
	// What a process that was killed held need not wait for its leases to run out.
	taken, err := a.store.TakeBack(ctx, a.cfg.Node)
	if taken > 0 {
		a.log.Info("leases taken back from a process that is no more", "mailboxes", taken)
	}
	if err != nil {
		return err
	}
	again, err := a.store.RetryAfterUpgrade(ctx, a.cfg.readingVersion())
	if again > 0 {
		a.log.Info("mails in quarantine are tried by this version", "mails", again)
	}
	return err
}

// Addr is the address that is listened on, with the real port.
func (a *App) Addr() string { return a.listener.Addr().String() }

// URL is where browsers find this Mailroom.
func (a *App) URL() string { return a.cfg.BaseURL }

// SetupLink is the one-time link that creates the organization and its first
// administrator; "" once there is one.
func (a *App) SetupLink(ctx context.Context) (string, error) {
	token, err := a.Portal.SetupToken(ctx)
	if err != nil || token == "" {
		return "", err
	}
	return a.cfg.BaseURL + "/setup?token=" + token, nil
}

// Run serves until ctx ends, then stops in order: no new requests, streams cut,
// batches finished or handed back, stores closed.
func (a *App) Run(ctx context.Context) error {
	defer a.Close()
	g, ctx := errgroup.WithContext(ctx)
	streams, endStreams := context.WithCancel(context.WithoutCancel(ctx))
	defer endStreams()
	srv := &http.Server{
		Handler: a.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return streams },
		ErrorLog:    slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	g.Go(func() error {
		if err := srv.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		endStreams()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := srv.Shutdown(stop); err != nil {
			// A page that is still being made then is not waited for: supervisors kill
			// what does not stop, with what it has in hand.
			a.log.Warn("requests are cut off", "err", err)
			return srv.Close()
		}
		return nil
	})
	g.Go(func() error { return a.keeper.Run(ctx) })
	g.Go(func() error { return a.access.Run(ctx) })
	g.Go(func() error { return a.notices.Run(ctx) })
	g.Go(func() error { return a.keepHouse(ctx) })
	g.Go(func() error {
		return takeBack(ctx, a.store, func(err error) { a.log.Warn("a mapping is not being undone", "err", err) })
	})
	a.log.Info("mailroom is ready", "addr", a.Addr(), "engine", a.engine())
	err := g.Wait()
	a.log.Info("mailroom has stopped")
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (a *App) engine() string {
	if a.store.Postgres() {
		return "postgresql"
	}
	return "sqlite"
}

// sweepGrace is how old a pack must be before what no row names in it is swept:
// far longer than any batch takes from Put to commit.
const sweepGrace = time.Hour

// keepHouse drops what has run out, now and then.
func (a *App) keepHouse(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		err := a.store.KeepHouse(ctx)
		_, unnamed := a.store.SweepBlobs(ctx)
		err = errors.Join(err, unnamed)
		if a.packs != nil {
			_, swept := a.packs.Sweep(ctx, a.store, sweepGrace, time.Now())
			err = errors.Join(err, swept)
		}
		if err != nil && ctx.Err() == nil {
			a.log.Warn("keeping house", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Close gives up the address and the stores.
func (a *App) Close() error {
	var errs []error
	if a.listener != nil {
		a.listener.Close() // Serve has closed it already, mostly
	}
	if a.packs != nil {
		errs = append(errs, a.packs.Close())
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	return errors.Join(errs...)
}

// Run builds and runs Mailroom, and tells out how to begin when there is no
// organization yet.
func Run(ctx context.Context, cfg Config, out io.Writer) error {
	a, err := New(ctx, cfg)
	if err != nil {
		return err
	}
	link, err := a.SetupLink(ctx)
	if err != nil {
		a.Close()
		return err
	}
	fmt.Fprintf(out, "Mailroom is at %s\n", a.URL())
	if link != "" {
		fmt.Fprintf(out, "Nobody can sign in yet. Open this link once to create your organization:\n  %s\n", link)
	}
	return a.Run(ctx)
}
