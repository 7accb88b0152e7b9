package portal

import (
	"context"

	"mailroom/internal/mailroom"
)

// Consent gets permission for a mailbox, and gives it up.
type Consent interface {
	// Begin is where the browser goes to grant permission. binding ties the
	// request to the browser session that began it.
	Begin(ctx context.Context, u mailroom.User, m mailroom.Mailbox, p mailroom.Provider, binding string) (url string, err error)
	Finish(ctx context.Context, u mailroom.User, binding, providerID, state, code, issuer string) (mailroom.GrantOutcome, error)
	// Refused uses up the state and says in our words why the provider refused.
	Refused(ctx context.Context, binding, state, oauthError, description, subcode string) error
	Revoke(ctx context.Context, u mailroom.User, m mailroom.Mailbox) (mailroom.RevokeOutcome, error)
	// SealPassword stores a mailbox's password sealed.
	SealPassword(ctx context.Context, mailboxID, password string) error
}

// Store keeps everything. Each method is one transaction.
type Store interface {
	// Watch signals changes of a topic ("work", "user:ID", "org:ID").
	Watch(topic string) (<-chan struct{}, func())
}
