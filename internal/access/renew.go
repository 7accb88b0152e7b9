package access

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// renewAgain is how soon after a refresh another one is not worth asking for: a
// server that refuses a token just made does so for another reason.
const renewAgain = time.Minute

// Renew returns an access token in place of one that the mail server refused
// although it had not run out: it may have been revoked at the provider, and only
// the provider's answer to a refresh can tell. Errors are those of Token.
func (a *Access) Renew(ctx context.Context, mailboxID, refused string) (token string, expires time.Time, err error) {
	c, err := a.granted(ctx, mailboxID)
	if err != nil {
		return "", time.Time{}, err
	}
	o, err := a.open(c)
	if err != nil {
		return "", time.Time{}, err
	}
	if o.access != refused {
		return a.Token(ctx, mailboxID) // somebody was quicker
	}
	if a.Now().Sub(c.Grant.RefreshedAt) < renewAgain {
		return "", time.Time{}, mailroom.E(mailroom.NeedsConsent, "imap.error.auth")
	}
	if err := a.Store.ExpireToken(ctx, c.Grant.ID, c.Grant.Version); err != nil {
		return "", time.Time{}, err
	}
	return a.Token(ctx, mailboxID)
}
