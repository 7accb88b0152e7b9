package app

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/netguard"
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
	providers    mailroom.Providers
	organization func(ctx context.Context, id string) (mailroom.Organization, error)
	rootCAs      *x509.CertPool
	maxMessage   int64
	allowPrivate bool
	log          *slog.Logger
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
	if m.UsesPassword() {
		if account.Password, err = o.credentials.Password(ctx, m.ID); err != nil {
			return nil, err
		}
		return imapconn.Open(ctx, account)
	}
	if account.Token, _, err = o.credentials.Token(ctx, m.ID); err != nil {
		return nil, err
	}
	conn, err := imapconn.Open(ctx, account)
	if e := mailroom.AsError(err); e == nil || e.Key != "imap.error.auth" {
		return conn, err
	}
	if account.Token, _, err = o.credentials.Renew(ctx, m.ID, account.Token); err != nil {
		return nil, err
	}
	return imapconn.Open(ctx, account)
}

func (o *mailboxes) account(ctx context.Context, m mailroom.Mailbox) (imapconn.Account, error) {
	a := imapconn.Account{Endpoint: m.IMAP, Username: m.Address, RootCAs: o.rootCAs, MaxMessage: o.maxMessage, Log: o.log}
	private := o.allowPrivate
	if m.UsesPassword() {
		org, err := o.organization(ctx, m.OrgID)
		if err != nil {
			return a, err
		}
		private = private || org.AllowPrivateHosts
	} else {
		p, ok := o.providers.ByID(m.ProviderID)
		if !ok {
			return a, mailroom.E(mailroom.NeedsVendor, "grant.error.no_provider")
		}
		a.Endpoint, a.SASL, a.IdleRenewal = p.IMAP, p.SASL, p.IdleRenewal()
		private = private || p.Loopback
	}
	// The address that a name leads to is checked when it is dialled, not only
	// when it was typed: names can be moved.
	a.Dial = netguard.Dialer(private).DialContext
	return a, nil
}

// connections is how many connections at a time a mailbox's provider allows.
func (o *mailboxes) connections(m mailroom.Mailbox) int {
	if p, ok := o.providers.ByID(m.ProviderID); ok && p.MaxConnections > 0 {
		return p.MaxConnections
	}
	return 2
}

// folders lists a mailbox's folders for a person who waits.
func (o *mailboxes) folders(ctx context.Context, m mailroom.Mailbox) ([]mailroom.Folder, error) {
	conn, err := o.open(ctx, m)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Folders(ctx)
}

// create makes a folder, because a person asked for it.
func (o *mailboxes) create(ctx context.Context, m mailroom.Mailbox, name string) error {
	conn, err := o.open(ctx, m)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Create(ctx, name)
}

// preview asks what a folder would bring, for a person who waits.
func (o *mailboxes) preview(ctx context.Context, m mailroom.Mailbox, rawName string, since time.Time) (mailroom.FolderPreview, error) {
	conn, err := o.open(ctx, m)
	if err != nil {
		return mailroom.FolderPreview{}, err
	}
	defer conn.Close()
	return conn.Preview(ctx, rawName, since)
}
