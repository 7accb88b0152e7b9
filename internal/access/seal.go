package access

import (
	"errors"

	"mailroom/internal/mailroom"
	"mailroom/internal/vault"
)

// What is sealed is tied to its row and column: a value that is copied elsewhere
// does not open.

// sealedColumn is a place where a key-encryption key seals values itself.
type sealedColumn struct {
	mailroom.SealedColumn
	identity func(row string) string
}

// sealedColumns are all of those places. A key is rotated by sealing them again:
// what is missing here is lost with the old key.
var sealedColumns = []sealedColumn{
	{mailroom.SealedColumn{Table: "mailboxes", Row: "id", Key: "data_key_id", Data: "data_key_sealed"}, dataKeyIdentity},
	{mailroom.SealedColumn{Table: "credentials", Row: "id", Key: "sealed_key", Data: "sealed_data"}, credentialIdentity},
	{mailroom.SealedColumn{Table: "auth_requests", Row: "state_hash", Key: "verifier_key", Data: "verifier_data"}, verifierIdentity},
	{mailroom.SealedColumn{Table: "pending_grants", Row: "id", Key: "sealed_key", Data: "sealed_data"}, pendingIdentity},
	{mailroom.SealedColumn{Table: "doctor_requests", Row: "state_hash", Key: "verifier_key", Data: "verifier_data"}, doctorIdentity},
}

func dataKeyIdentity(mailboxID string) string  { return "mailbox:" + mailboxID + ":data_key" }
func credentialIdentity(id string) string      { return "credential:" + id + ":secret" }
func verifierIdentity(stateHash string) string { return "auth_request:" + stateHash + ":verifier" }
func pendingIdentity(id string) string         { return "pending_grant:" + id + ":data" }
func doctorIdentity(stateHash string) string   { return "doctor_request:" + stateHash + ":verifier" }

// These are sealed by the mailbox's data key, which stays when it is sealed anew.

func passwordIdentity(mailboxID string) string { return "mailbox:" + mailboxID + ":password" }
func accessIdentity(grantID string) string     { return "grant:" + grantID + ":access" }
func refreshIdentity(grantID string) string    { return "grant:" + grantID + ":refresh" }

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
