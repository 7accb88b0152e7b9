package access

import (
	"errors"

	"mailroom/internal/mailroom"
	"mailroom/internal/vault"
)

// What is sealed is tied to its row and column: a value that is copied elsewhere
// does not open.

func dataKeyIdentity(mailboxID string) string  { return "mailbox:" + mailboxID + ":data_key" }
func passwordIdentity(mailboxID string) string { return "mailbox:" + mailboxID + ":password" }
func accessIdentity(grantID string) string     { return "grant:" + grantID + ":access" }
func refreshIdentity(grantID string) string    { return "grant:" + grantID + ":refresh" }
func verifierIdentity(stateHash string) string { return "auth_request:" + stateHash + ":verifier" }

func pendingIdentity(id string) string       { return "pending_grant:" + id + ":data" }
func credentialIdentity(id string) string    { return "credential:" + id + ":secret" }
func doctorIdentity(stateHash string) string { return "doctor_request:" + stateHash + ":verifier" }

// opened are the secrets of a grant in clear, and the key that seals the next ones.
type opened struct {
	key             *vault.DataKey
	access, refresh string
}

// open opens a mailbox's tokens.
func (a *Access) open(c mailroom.Credentials) (opened, error) {
	k, err := a.Vault.OpenDataKey(dataKeyIdentity(c.MailboxID), c.DataKey.KeyID, c.DataKey.Data)
	if err != nil {
		return opened{}, keyMissing(err)
	}
	o := opened{key: k}
	access, err := k.Open(accessIdentity(c.Grant.ID), c.Secrets.Access.KeyID, c.Secrets.Access.Data)
	if err != nil {
		return opened{}, keyMissing(err)
	}
	o.access = string(access)
	if c.Secrets.Refresh.KeyID != "" {
		refresh, err := k.Open(refreshIdentity(c.Grant.ID), c.Secrets.Refresh.KeyID, c.Secrets.Refresh.Data)
		if err != nil {
			return opened{}, keyMissing(err)
		}
		o.refresh = string(refresh)
	}
	return o, nil
}

func sealTokens(k *vault.DataKey, grantID string, t mailroom.Tokens) mailroom.GrantSecrets {
	s := mailroom.GrantSecrets{Access: mailroom.Sealed{KeyID: k.ID(), Data: k.Seal(accessIdentity(grantID), []byte(t.Access))}}
	if t.Refresh != "" {
		s.Refresh = mailroom.Sealed{KeyID: k.ID(), Data: k.Seal(refreshIdentity(grantID), []byte(t.Refresh))}
	}
	return s
}

// keyMissing: the recruiter can do nothing about a lost key, and granting again
// is not the first thing to try.
func keyMissing(err error) *mailroom.Error {
	key := "grant.error.key_damaged"
	if errors.Is(err, vault.ErrUnknownKey) {
		key = "grant.error.key_missing"
	}
	return mailroom.E(mailroom.NeedsVendor, key, err)
}
