package access

import (
	"context"

	"mailroom/internal/mailroom"
)

// SealPassword stores the (app) password of a mailbox without OAuth, sealed under
// a data key of its own.
func (a *Access) SealPassword(ctx context.Context, mailboxID, password string) error {
	if password == "" {
		return mailroom.E(mailroom.Invalid, "grant.error.password_empty").On("password")
	}
	c, err := a.Store.Credentials(ctx, mailboxID)
	if err != nil {
		return err
	}
	k, keyID, sealedKey := a.Vault.NewDataKey(dataKeyIdentity(mailboxID))
	sealed := mailroom.Sealed{KeyID: k.ID(), Data: k.Seal(passwordIdentity(mailboxID), []byte(password))}
	return a.Store.SavePassword(ctx, mailboxID, sealed, mailroom.Sealed{KeyID: keyID, Data: sealedKey},
		mailroom.AuditEvent{OrgID: c.OrgID, ActorID: c.UserID, Action: "password.saved", Subject: mailboxID})
}

// Password returns the (app) password of a mailbox. Errors: NeedsConsent
// "grant.error.no_password" when it has none.
func (a *Access) Password(ctx context.Context, mailboxID string) (string, error) {
	c, err := a.Store.Credentials(ctx, mailboxID)
	if err != nil {
		return "", err
	}
	if c.Password.KeyID == "" || c.Retired {
		return "", mailroom.E(mailroom.NeedsConsent, "grant.error.no_password")
	}
	k, err := a.Vault.OpenDataKey(dataKeyIdentity(mailboxID), c.DataKey.KeyID, c.DataKey.Data)
	if err != nil {
		return "", keyMissing(err)
	}
	password, err := k.Open(passwordIdentity(mailboxID), c.Password.KeyID, c.Password.Data)
	if err != nil {
		return "", keyMissing(err)
	}
	return string(password), nil
}
