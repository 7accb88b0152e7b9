// Package portal is what a person may ask of Mailroom: it checks who asks,
// applies the rules, and stores the outcome together with its audit event in
// one transaction.
//
// It knows no HTTP, no SQL, no IMAP and no OAuth: those doors are the small
// interfaces in doors.go, plugged in by app. Everything that belongs to
// somebody else is NotFound.
package portal

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/sync/singleflight"

	"mailroom/internal/mailroom"
)

// Deps are the doors and facts that a Portal needs.
type Deps struct {
	Store   Store
	Consent Consent
	// AdminConsent is the approval of a company's IT administrator.
	AdminConsent AdminConsent
	Providers    mailroom.ProvidersOf
	// Foresight knows what will break and who is told; nil for a program that tells nobody.
	Foresight Foresight
	Registrar Registrar
	// BaseURL is where browsers reach Mailroom.
	BaseURL func() string
	// CheckProvider names the first field of a provider that cannot be right; nil
	// for no check.
	CheckProvider func(mailroom.Provider) (field string, err error)
	// CheckMailServer looks whether a provider's IMAP server answers and takes its
	// tokens' mechanism, without signing in; nil for no look.
	CheckMailServer func(context.Context, mailroom.Provider) mailroom.Check
	// LiveFolders asks the mailbox's server for its folders.
	LiveFolders func(context.Context, mailroom.Mailbox) ([]mailroom.Folder, error)
	// CreateFolder makes a folder in the mailbox: the one change that Mailroom
	// ever makes there, and only when a person asks for it.
	CreateFolder func(ctx context.Context, m mailroom.Mailbox, decodedName string) error
	// Preview asks what a folder would bring if it were mapped, from headers only;
	// since is the date limit, zero for none.
	Preview func(ctx context.Context, m mailroom.Mailbox, rawName string, since time.Time) (mailroom.FolderPreview, error)
	// Ask looks into the mailbox's folders for mails of which any of the terms
	// holds, and changes nothing there.
	Ask func(ctx context.Context, m mailroom.Mailbox, anyOf []mailroom.FindTerms) ([]mailroom.FolderFind, error)
	// Probe signs in to a mailbox as reading does and says step by step how far it
	// comes; tell, if not nil, gets the rows as they change.
	Probe func(ctx context.Context, m mailroom.Mailbox, tell func([]mailroom.Check)) []mailroom.Check
	// Doctor examines, Looking gets it its permit.
	Doctor  Doctor
	Looking Looking
	// RawMail opens the raw bytes of a mail.
	RawMail func(ctx context.Context, orgID, rawHash string) ([]byte, error)
	// CheckHost refuses a typed host that the installation must not reach; nil
	// for no check.
	CheckHost func(ctx context.Context, host string, allowPrivate bool) error
	// Writable asks whether the database takes a write; nil for no question.
	Writable func(context.Context) error
	Now      func() time.Time // nil for the clock
	Log      *slog.Logger     // nil for none
	// Argon is the cost of passwords; nil for RFC 9106's.
	Argon *argon2id.Params
}

// Portal answers people. It is safe for concurrent use.
type Portal struct {
	d         Deps
	passwords *passwords
	probes    *probes
	listings  singleflight.Group // live folder lists that are being asked for, by mailbox
}

// New makes a Portal.
func New(d Deps) *Portal {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	return &Portal{d: d, passwords: newPasswords(d.Argon), probes: &probes{by: map[string]*Probing{}}}
}

// Everyday refusals.

func notFound(cause ...error) *mailroom.Error {
	return mailroom.E(mailroom.NotFound, "error.not_found", cause...)
}

func forbidden() *mailroom.Error { return mailroom.E(mailroom.Forbidden, "error.forbidden") }

func invalid(field, key string) *mailroom.Error {
	return mailroom.E(mailroom.Invalid, key).On(field)
}

// provider is one that the organization is offered.
func (p *Portal) provider(ctx context.Context, orgID, id string) (mailroom.Provider, bool) {
	offered, err := p.d.Providers(ctx, orgID)
	if err != nil {
		p.d.Log.Error("providers", "err", err)
	}
	return offered.ByID(id)
}

func (p *Portal) now() time.Time { return p.d.Now().UTC().Truncate(time.Microsecond) }

// complaints gathers what is wrong with a form, all of it at once.
type complaints []error

func (c *complaints) add(err error) {
	if err != nil {
		*c = append(*c, err)
	}
}

func (c complaints) join() error { return errors.Join(c...) }
