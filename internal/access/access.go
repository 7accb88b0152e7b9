// Package access gets grants, keeps them fresh, gives them up and hands out
// access tokens; it is the only room that opens a seal.
//
// It speaks neither OAuth nor SQL: the provider is behind OAuth, the rows are
// behind Store. It decides nothing about mappings or mail, and never sees a
// message.
package access

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/vault"
)

// Times that a grant lives by.
const (
	// requestLife is how long a person may take at the provider.
	requestLife = 10 * time.Minute
	// freshFor is how long a token that is handed out must still be good.
	freshFor = 5 * time.Minute
	// leaseFor outlives the longest refresh: the request, its time limit and the
	// write after it.
	leaseFor = 60 * time.Second
	// refreshLimit bounds a refresh that nobody waits for any more.
	refreshLimit = 40 * time.Second
)

// Store keeps requests, grants and sealed secrets. Each method is one
// transaction.
type Store interface {
	// SaveAuthRequest keeps a begun grant and forgets expired ones.
	SaveAuthRequest(ctx context.Context, r mailroom.AuthRequest) error
	// TakeAuthRequest returns a begun grant and deletes it: NotFound the second time.
	TakeAuthRequest(ctx context.Context, stateHash string) (mailroom.AuthRequest, error)

	// Credentials reads what a mailbox signs in with. NotFound without such a mailbox.
	Credentials(ctx context.Context, mailboxID string) (mailroom.Credentials, error)
	// SaveGrant stores a grant with its data key and audit event, clears the
	// mailbox's problem and asks for a sync. Conflict when the grant is no longer
	// the version that it replaces, or the mailbox is retired.
	SaveGrant(ctx context.Context, g mailroom.NewGrant) error
	// LeaseGrant lets owner refresh version of a grant until then; false when
	// somebody else does, or the version has passed.
	LeaseGrant(ctx context.Context, grantID, owner string, version int64, now, until time.Time) (bool, error)
	// SaveRefreshed stores a renewed token, gives the lease back and clears a
	// problem that refreshing had caused; false when the lease or version has passed.
	SaveRefreshed(ctx context.Context, r mailroom.Refreshed) (bool, error)
	// FailRefresh gives the lease back and, with a problem, writes it on the
	// mailbox, unless the version has passed. What it wrote comes back: many refusals
	// at once are a fault of the provider.
	FailRefresh(ctx context.Context, mailboxID, grantID, owner string, version int64, p *mailroom.Problem) (*mailroom.Problem, error)
	// ExpireToken has the access token of a grant's version count as run out.
	ExpireToken(ctx context.Context, grantID string, version int64) error
	// ShredGrant deletes a mailbox's grant and data key. What it deleted comes
	// back; NotFound when there was no grant.
	ShredGrant(ctx context.Context, mailboxID string, e mailroom.AuditEvent) (mailroom.Credentials, error)
	// SavePassword stores a sealed password with its new data key. Conflict while
	// the mailbox has a grant.
	SavePassword(ctx context.Context, mailboxID string, password, dataKey mailroom.Sealed, e mailroom.AuditEvent) error
	// IdleGrants lists, by id from behind after on, grants that were last refreshed
	// before a time and that nothing but use is missing.
	IdleGrants(ctx context.Context, before time.Time, after string, limit int) ([]mailroom.Grant, error)
	keyStore
	// SaveAudit adds an audit event that stands alone.
	SaveAudit(ctx context.Context, e mailroom.AuditEvent) error

	doctorStore
	pendingStore
	// ProviderSettings are an organization's providers as it set them, and its
	// credentials.
	ProviderSettings(ctx context.Context, orgID string) ([]mailroom.ProviderRow, []mailroom.Credential, error)
	Organization(ctx context.Context, id string) (mailroom.Organization, error)
	ClientCredential(ctx context.Context, orgID, id string) (mailroom.Credential, error)
	AddClientCredential(ctx context.Context, c mailroom.Credential, e mailroom.AuditEvent) error
	// JudgeClientCredential keeps what a token request said of a credential:
	// refused with a problem, or proved at a time. It reports whether that is news.
	JudgeClientCredential(ctx context.Context, orgID, id string, proved time.Time, p *mailroom.Problem) (bool, error)
	// ProvableMailboxes have a grant at the provider that is good as far as is known.
	ProvableMailboxes(ctx context.Context, orgID, providerID string, limit int) ([]string, error)

	Watch(topic string) (<-chan struct{}, func())

	ConsentStore
}

// OAuth speaks to a provider. Errors are *mailroom.Error: NeedsConsent and
// NeedsAdmin only when the provider said that the grant is not good any more.
type OAuth interface {
	ConsentURL(ctx context.Context, p mailroom.Provider, r mailroom.ConsentRequest) (string, error)
	Exchange(ctx context.Context, p mailroom.Provider, r mailroom.CodeRequest) (mailroom.Tokens, error)
	Refresh(ctx context.Context, p mailroom.Provider, refreshToken string) (mailroom.Tokens, error)
	// Revoke asks the provider to forget a token (RFC 7009); false without an
	// error when it has no such endpoint.
	Revoke(ctx context.Context, p mailroom.Provider, token string) (bool, error)
	// CheckClient asks for a token with an invented code: nil when the provider
	// refuses the code and not us (RFC 6749 §5.2).
	CheckClient(ctx context.Context, p mailroom.Provider, redirectURL string) error
	// Check looks at a provider's data and our registration there, as far as can be
	// seen without a person.
	Check(ctx context.Context, p mailroom.Provider, redirectURL string) []mailroom.Check
	// Refusal puts the error of a callback into our words.
	Refusal(p mailroom.Provider, oauthError, description, subcode string) *mailroom.Error
}

// Deps is what Access works with.
type Deps struct {
	Store Store
	OAuth OAuth
	Vault *vault.Keyring
	// Base is what the installation offers to every organization.
	Base mailroom.Providers
	// RedirectURL is where a provider sends the browser back to. Each provider
	// has its own, so that one cannot answer for another (RFC 9700 §4.4.2).
	RedirectURL func(providerID string) string
	// HungUp waits until this process has no connection to a mailbox any more; false
	// when ctx ends first. nil for a process that has none.
	HungUp func(ctx context.Context, mailboxID string) bool
	// Node names this process to operators; a made-up name when "".
	Node string
	// ConsentRedirectURL is the same for administrators' consent, DoctorURL for the
	// doctor's own registration.
	ConsentRedirectURL func(providerID string) string
	DoctorURL          func(providerID string) string
	// Look signs in with a token as a user and says what that shows of a mailbox; it
	// counts as one of the connections to mailboxID. nil refuses every grant of
	// another address than was typed.
	Look func(ctx context.Context, p mailroom.Provider, mailboxID, token, user string) (mailroom.MailboxLook, error)
	Log  *slog.Logger
	Now  func() time.Time // nil for time.Now
}

// Access is safe for use by many goroutines, and many of them may share a store.
type Access struct {
	Deps
	node string // names this instance in refresh leases

	mu      sync.Mutex
	flights map[string]*flight   // refreshes under way here, by mailbox
	known   map[string]*settings // by organization
}

// New makes an Access.
func New(d Deps) *Access {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	node := mailroom.NewID("acc")
	if d.Node == "" {
		d.Node = node
	}
	return &Access{Deps: d, node: node, flights: map[string]*flight{}, known: map[string]*settings{}}
}
