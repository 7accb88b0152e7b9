package app

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/netguard"
	"mailroom/internal/syncer"
)

// credentials hands out what opens a mailbox (access.Access).
type credentials interface {
	Token(ctx context.Context, mailboxID string) (token string, expires time.Time, err error)
	// Renew gets another access token in place of one that the server refused.
	Renew(ctx context.Context, mailboxID, refused string) (token string, expires time.Time, err error)
	Password(ctx context.Context, mailboxID string) (string, error)
}

// mailboxes opens connections: it brings together who may sign in (access),
// where (the provider's data) and how (imapconn).
type mailboxes struct {
	credentials  credentials
	providers    mailroom.ProvidersOf
	organization func(ctx context.Context, id string) (mailroom.Organization, error)
	rootCAs      *x509.CertPool
	maxMessage   int64
	allowPrivate bool
	log          *slog.Logger
	budget       *syncer.Budget // of connections, with the syncer's
}

// open signs in to a mailbox. A token that the server refuses although it has
// not run out may have been revoked at the provider: one fresh token is asked
// for before anybody is told to grant again, and it is the provider's answer to
// that which decides.
func (o *mailboxes) open(ctx context.Context, m mailroom.Mailbox) (*imapconn.Conn, error) {
	account, err := o.account(ctx, m)
	if err != nil {
		return nil, err
	}
	if err := o.credentialsFor(ctx, m, &account); err != nil {
		return nil, err
	}
	if m.UsesPassword() {
		return dial(ctx, account)
	}
	conn, err := dial(ctx, account)
	if e := mailroom.AsError(err); e == nil || e.Key != "imap.error.auth" {
		return conn, err
	}
	if account.Token, _, err = o.credentials.Renew(ctx, m.ID, account.Token); err != nil {
		return nil, err
	}
	return dial(ctx, account)
}

// dial signs in, once more after a moment where there are too many connections:
// a server notices late that one of ours has been hung up.
func dial(ctx context.Context, account imapconn.Account) (*imapconn.Conn, error) {
	conn, err := imapconn.Open(ctx, account)
	if e := mailroom.AsError(err); e == nil || e.Key != "imap.error.too_many" {
		return conn, err
	}
	if !pause(ctx, 500*time.Millisecond) {
		return nil, err
	}
	return imapconn.Open(ctx, account)
}

func (o *mailboxes) account(ctx context.Context, m mailroom.Mailbox) (imapconn.Account, error) {
	if !m.UsesPassword() {
		offered, err := o.providers(ctx, m.OrgID)
		if err != nil {
			return imapconn.Account{}, err
		}
		p, ok := offered.ByID(m.ProviderID)
		if !ok {
			return imapconn.Account{}, mailroom.E(mailroom.NeedsVendor, "grant.error.no_provider")
		}
		return o.oauthAccount(p, m.Address), nil
	}
	org, err := o.organization(ctx, m.OrgID)
	return imapconn.Account{
		Endpoint: m.IMAP, Username: m.Address, RootCAs: o.rootCAs, MaxMessage: o.maxMessage, Log: o.log,
		Dial: netguard.Dialer(o.allowPrivate || org.AllowPrivateHosts).DialContext,
	}, err
}

// greets looks whether a provider's mail server answers and takes its tokens'
// mechanism, without signing in.
func (o *mailboxes) greets(ctx context.Context, p mailroom.Provider) mailroom.Check {
	const name = "provider.check.imap"
	began := time.Now()
	mechanism, err := imapconn.Greet(ctx, imapconn.Account{
		Endpoint: p.IMAP, SASL: p.SASL, RootCAs: o.rootCAs, Log: o.log, Dial: netguard.Dialer(o.allowPrivate || p.Loopback || p.Private).DialContext,
	})
	if err != nil {
		return mailroom.Failing(name, err, time.Now().UTC())
	}
	check := mailroom.Passed(name, map[string]any{"host": p.IMAP.Host, "mechanism": mechanism})
	check.Took = time.Since(began)
	return check
}

// limits are the manners of a mailbox's provider towards it.
func (o *mailboxes) limits(m mailroom.Mailbox) syncer.Limits {
	offered, err := o.providers(context.Background(), m.OrgID) // in memory, but for a moment now and then
	p, ok := offered.ByID(m.ProviderID)
	if err != nil || !ok {
		return syncer.Limits{Provider: m.IMAP.Host}
	}
	return syncer.Limits{Connections: p.MaxConnections, Provider: p.ID, SignIns: p.SignIns}
}

// visit is a person's short connection. Close gives its place back.
type visit struct {
	*imapconn.Conn
	leave func()
}

func (v visit) Close() error {
	defer v.leave()
	return v.Conn.Close()
}

// visit signs in for a person who waits: within the connections that the
// provider allows, before the reading of a backlog, and not while the provider
// wants to be left alone.
func (o *mailboxes) visit(ctx context.Context, m mailroom.Mailbox) (visit, error) {
	leave, err := o.seat(ctx, m)
	if err != nil {
		return visit{}, err
	}
	conn, err := o.open(ctx, m)
	if err != nil {
		leave()
		o.budget.Heed(m.ID, err)
		return visit{}, err
	}
	return visit{conn, leave}, nil
}

// seat is the right to one connection for a person who waits.
func (o *mailboxes) seat(ctx context.Context, m mailroom.Mailbox) (leave func(), err error) {
	if p := m.Problem; p != nil && p.Kind == mailroom.Throttled && time.Now().Before(p.Until) {
		return nil, &mailroom.Error{Kind: p.Kind, Key: p.Key, Args: p.Args, Until: p.Until}
	}
	return o.budget.Visit(ctx, m)
}

// folders lists a mailbox's folders for a person who waits.
func (o *mailboxes) folders(ctx context.Context, m mailroom.Mailbox) ([]mailroom.Folder, error) {
	conn, err := o.visit(ctx, m)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Folders(ctx)
}

// create makes a folder, because a person asked for it.
func (o *mailboxes) create(ctx context.Context, m mailroom.Mailbox, name string) error {
	conn, err := o.visit(ctx, m)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Create(ctx, name)
}

// preview asks what a folder would bring, for a person who waits.
func (o *mailboxes) preview(ctx context.Context, m mailroom.Mailbox, rawName string, since time.Time) (mailroom.FolderPreview, error) {
	conn, err := o.visit(ctx, m)
	if err != nil {
		return mailroom.FolderPreview{}, err
	}
	defer conn.Close()
	return conn.Preview(ctx, rawName, since)
}
