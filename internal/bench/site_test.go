package bench

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mailroom/internal/app"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/portal"
	"mailroom/internal/store"
)

const (
	owner    = "anna@agency.example"
	password = "correct horse battery"
	mailPass = "secret" // of every mailbox
)

// site is a running Mailroom as a program starts it, with its settings left as
// they are but for what keeps it on this machine.
type site struct {
	*app.App
	cfg  app.Config
	stop context.CancelFunc
	done chan error
}

// open starts a Mailroom whose data lie in dir, on SQLite, or on PostgreSQL where
// a database is named.
func open(ctx context.Context, dir, database, caFile string, change ...func(*app.Config)) (*site, error) {
	cfg := app.Defaults()
	cfg.Addr, cfg.Data, cfg.Database, cfg.CAFile = "127.0.0.1:0", filepath.Join(dir, "data"), database, caFile
	cfg.AllowPrivateHosts = true // mail servers are on loopback here
	cfg.TrustProxy = true        // many browsers come from one address
	cfg.Log = slog.New(slog.DiscardHandler)
	for _, c := range change {
		c(&cfg)
	}
	a, err := app.New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &site{App: a, cfg: cfg, done: make(chan error, 1)}
	ctx, s.stop = context.WithCancel(ctx)
	go func() { s.done <- a.Run(ctx) }()
	return s, nil
}

// close stops the Mailroom and waits until it has.
func (s *site) close() error {
	s.stop()
	return <-s.done
}

// beside opens the database of a Mailroom a second time, as its command-line tools do.
func (s *site) beside(ctx context.Context) (*store.Store, error) {
	dsn := s.cfg.Database
	if dsn == "" {
		dsn = filepath.Join(s.cfg.Data, "mailroom.db")
	}
	return store.Open(ctx, store.Options{DSN: dsn, Log: slog.New(slog.DiscardHandler)})
}

// staff makes the organization with so many users, the first its administrator.
// All have the same password: to hash one takes longer than a test should.
func (s *site) staff(ctx context.Context, count int) ([]mailroom.User, error) {
	first, err := s.Portal.AddOrganization(ctx, portal.SetupForm{Organization: "Agency", Name: "Anna", Email: owner, Password: password})
	if err != nil || count == 1 {
		return []mailroom.User{first}, err
	}
	db, err := s.beside(ctx)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	known, err := db.UserByEmail(ctx, owner)
	if err != nil {
		return nil, err
	}
	users := []mailroom.User{first}
	for i := 1; i < count; i++ {
		u := mailroom.User{
			ID: mailroom.NewID(mailroom.PrefixUser), OrgID: first.OrgID, Email: fmt.Sprintf("user%d@agency.example", i), Name: fmt.Sprintf("User %d", i),
			Role: mailroom.Recruiter, PasswordHash: known.PasswordHash, CreatedAt: time.Now().UTC(),
		}
		ev := mailroom.AuditEvent{ID: mailroom.NewID(mailroom.PrefixAudit), OrgID: u.OrgID, At: u.CreatedAt, Action: "user.added", Subject: u.ID}
		if err := db.AddUser(ctx, u, ev); err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	return users, nil
}

// user finds one who was added by an earlier process.
func (s *site) user(ctx context.Context, email string) (mailroom.User, error) {
	db, err := s.beside(ctx)
	if err != nil {
		return mailroom.User{}, err
	}
	defer db.Close()
	return db.UserByEmail(ctx, email)
}

// connect makes a mailbox a user's, with its folders listed.
func (s *site) connect(ctx context.Context, u mailroom.User, from peers.Source) error {
	mode := mailroom.PlainText
	if from.TLS {
		mode = mailroom.ImplicitTLS
	}
	if err := s.Portal.SaveAddress(ctx, u, from.User, false); err != nil {
		return err
	}
	err := s.Portal.ChooseAccount(ctx, u, portal.AccountForm{
		Account: mailroom.Other, IMAP: mailroom.Endpoint{Host: from.Host, Port: from.Port, TLS: mode},
	})
	if err != nil {
		return err
	}
	if err := s.Portal.SavePassword(ctx, u, from.Password); err != nil {
		return err
	}
	page, err := s.Portal.RefreshFolders(ctx, u)
	if err == nil && page.Problem != nil {
		err = fmt.Errorf("list folders of %s: %v", from.User, page.Problem)
	}
	return err
}

// mapInbox is Save Mappings with one row.
func (s *site) mapInbox(ctx context.Context, u mailroom.User) error {
	page, err := s.Portal.MappingPage(ctx, u)
	if err != nil {
		return err
	}
	return s.Portal.SaveMappings(ctx, u, portal.MappingsForm{
		Version: page.Version, Rows: []portal.MappingForm{{RawName: "INBOX", OTYSFolder: page.OTYS[0].ID}},
	})
}

// stored waits until so many mails of the user's one mapping are.
func (s *site) stored(ctx context.Context, u mailroom.User, count int, each func() error) error {
	changes := s.Portal.Changes(ctx, u)
	for deadline := time.After(30 * time.Minute); ; {
		if each != nil {
			if err := each(); err != nil {
				return err
			}
		}
		rows, err := s.Portal.Mapped(ctx, u)
		if err != nil {
			return err
		}
		if len(rows) == 1 && rows[0].Progress.Stored >= int64(count) {
			return nil
		}
		select {
		case <-changes:
		case <-time.After(200 * time.Millisecond): // signals are coalesced; look again anyway
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return fmt.Errorf("not done after half an hour: %+v", rows)
		}
	}
}

// syncing is the first sync of a user's INBOX, under way.
type syncing struct {
	visible time.Duration // from Save Mappings to the first mail in the list
	done    chan struct{}
	err     error // once done is closed
}

// begin maps a user's INBOX and returns when its first mail is in the list.
func (s *site) begin(ctx context.Context, u mailroom.User, count int) (*syncing, error) {
	x := &syncing{done: make(chan struct{})}
	started := time.Now()
	if err := s.mapInbox(ctx, u); err != nil {
		return nil, err
	}
	changes := s.Portal.Changes(ctx, u)
	for {
		list, err := s.Portal.Mails(ctx, u, portal.MailQuery{})
		if err != nil {
			return nil, err
		}
		if len(list.Rows) > 0 {
			break
		}
		select {
		case <-changes:
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	x.visible = time.Since(started)
	go func() {
		defer close(x.done)
		x.err = s.stored(context.WithoutCancel(ctx), u, count, nil)
	}()
	return x, nil
}

// connectAll connects and maps mailbox i of a server for user i.
func (s *site) connectAll(ctx context.Context, users []mailroom.User, from peers.Source) error {
	errs := make([]error, len(users))
	var all sync.WaitGroup
	room := make(chan struct{}, 4)
	for i, u := range users {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			its := from
			its.User = mailboxName(i)
			if errs[i] = s.connect(ctx, u, its); errs[i] == nil {
				errs[i] = s.mapInbox(ctx, u)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func mailboxName(i int) string { return fmt.Sprintf("user%d@mail.example", i) }

// playSettle makes the organization, its user and the user's mailbox.
func playSettle(ctx context.Context, j job) error {
	s, err := open(ctx, j.Dir, "", j.Source.CAFile)
	if err != nil {
		return err
	}
	users, err := s.staff(ctx, 1)
	if err == nil {
		err = s.connect(ctx, users[0], j.Source)
	}
	return errors.Join(err, s.close())
}

// playFirstSync runs from Save Mappings until all mails are stored.
func playFirstSync(ctx context.Context, j job, say func(word)) error {
	s, err := open(ctx, j.Dir, "", j.Source.CAFile)
	if err != nil {
		return err
	}
	u, err := s.user(ctx, owner)
	if err != nil {
		return errors.Join(err, s.close())
	}
	var w word
	started := time.Now()
	err = s.mapInbox(ctx, u)
	if err == nil {
		err = s.stored(ctx, u, j.Count, func() error {
			if w.Visible > 0 {
				return nil
			}
			list, err := s.Portal.Mails(ctx, u, portal.MailQuery{})
			if err == nil && len(list.Rows) > 0 {
				w.Visible = time.Since(started)
			}
			return err
		})
	}
	w.Wall = time.Since(started)
	if err := errors.Join(err, s.close()); err != nil {
		return err
	}
	say(w)
	return nil
}

// playWatch is a whole Mailroom with so many mailboxes, until it is told to stop.
func playWatch(ctx context.Context, j job, say func(word)) error {
	s, err := open(ctx, j.Dir, "", j.Source.CAFile)
	if err != nil {
		return err
	}
	rest()
	base := memory(os.Getpid(), "VmRSS")
	users, err := s.staff(ctx, j.Count)
	if err == nil {
		err = s.connectAll(ctx, users, j.Source)
	}
	if err == nil {
		for _, u := range users {
			if err = s.stored(ctx, u, 1, nil); err != nil {
				break
			}
		}
	}
	if err == nil {
		say(word{Base: base})
		<-ctx.Done()
	}
	return errors.Join(err, s.close())
}

func certPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}
