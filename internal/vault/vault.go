// Package vault seals and opens secrets with named keys: AES-256-GCM with a
// random nonce, and the identity of the row as additional data, so that a sealed
// value copied into another row or column does not open.
//
// It is an envelope. A Keyring holds key-encryption keys from a file or the
// environment; they seal data keys, of which every mailbox has one, and a data
// key seals that mailbox's secrets. Deleting a sealed data key makes everything
// under it unreadable; a new key-encryption key means sealing data keys again,
// and nothing else.
//
// It does not know what it seals, keeps no sealed value, and knows no store.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// KeySize is the length of every key in octets: AES-256.
const KeySize = 32

// format is the first octet of everything sealed: version 1 is AES-256-GCM,
// 12 octets of nonce, ciphertext, 16 octets of tag.
const format = 1

var (
	// ErrUnknownKey: sealed by a key that is not on the ring. Whoever operates the
	// installation has to bring the key back; nothing is wrong with the value.
	ErrUnknownKey = errors.New("vault: sealed by a key that is not here")
	// ErrDamaged: the value, the key or the identity is not the one it was sealed with.
	ErrDamaged = errors.New("vault: sealed value does not open")
)

// Keyring is a set of key-encryption keys. The one that seals is the last of the
// list that is not waiting; every one opens. A ring that follows its file picks a
// changed one up by itself; any other never changes. It is safe for use by many
// goroutines.
type Keyring struct {
	now    atomic.Pointer[keySet]
	follow *followed // nil: the keys never change
}

// keySet is a list of keys as it was read.
type keySet struct {
	list   []Key // without secrets, in the order of the list
	opens  map[string]cipher.AEAD
	macs   map[string][]byte
	newest string
}

// Key is what may be told of a key-encryption key.
type Key struct {
	ID      string
	Made    time.Time // the day that its id tells; zero when it tells none
	Seals   bool      // what is sealed now, is sealed by it
	Waiting bool      // it opens, and seals nothing yet
}

// Keys are those on the ring, oldest first.
func (r *Keyring) Keys() []Key { return slices.Clone(r.current().list) }

// Newest is the id of the key that seals.
func (r *Keyring) Newest() string { return r.current().newest }

// Has reports whether the ring can open what the named key sealed.
func (r *Keyring) Has(keyID string) bool { return r.current().opens[keyID] != nil }

// Seal seals a secret directly with the newest key, for the few that belong to
// no mailbox. identity must be the same when it is opened; it is not secret.
func (r *Keyring) Seal(identity string, secret []byte) (keyID string, sealed []byte) {
	k := r.current()
	return k.newest, seal(k.opens[k.newest], identity, secret)
}

// Open opens what Seal sealed. Errors: ErrUnknownKey, ErrDamaged.
func (r *Keyring) Open(identity, keyID string, sealed []byte) ([]byte, error) {
	aead := r.now.Load().opens[keyID]
	if aead == nil { // another process may have sealed with a key that is new
		aead = r.current().opens[keyID]
	}
	if aead == nil {
		return nil, fmt.Errorf("%w: %q", ErrUnknownKey, keyID)
	}
	return open(aead, identity, sealed)
}

// Rewrap seals a value again with the newest key. changed is false when it is
// sealed with that key already.
func (r *Keyring) Rewrap(identity, keyID string, sealed []byte) (newID string, resealed []byte, changed bool, err error) {
	if keyID == r.Newest() {
		return keyID, sealed, false, nil
	}
	secret, err := r.Open(identity, keyID, sealed)
	if err != nil {
		return "", nil, false, err
	}
	defer clear(secret)
	newID, resealed = r.Seal(identity, secret)
	return newID, resealed, true, nil
}

// MAC signs a message for a purpose with a key that is derived from the newest
// key-encryption key, so that a signature for one purpose is none for another.
func (r *Keyring) MAC(purpose string, message []byte) (keyID string, mac []byte) {
	k := r.current()
	return k.newest, sign(k.macs[k.newest], purpose, message)
}

// CheckMAC reports whether MAC made mac for that purpose and message. Errors:
// ErrUnknownKey, ErrDamaged.
func (r *Keyring) CheckMAC(purpose, keyID string, message, mac []byte) error {
	key := r.current().macs[keyID]
	switch {
	case key == nil:
		return fmt.Errorf("%w: %q", ErrUnknownKey, keyID)
	case !hmac.Equal(mac, sign(key, purpose, message)):
		return ErrDamaged
	}
	return nil
}

func sign(key []byte, purpose string, message []byte) []byte {
	own := hmac.New(sha256.New, key)
	own.Write([]byte(purpose))
	h := hmac.New(sha256.New, own.Sum(nil))
	h.Write(message)
	return h.Sum(nil)
}

// DataKey seals the secrets of one owner.
type DataKey struct {
	id   string
	aead cipher.AEAD
}

// NewDataKey makes a data key, and its form at rest: sealed by the newest
// key-encryption key under identity.
func (r *Keyring) NewDataKey(identity string) (k *DataKey, keyID string, sealed []byte) {
	secret := make([]byte, KeySize)
	rand.Read(secret)
	defer clear(secret)
	keyID, sealed = r.Seal(identity, secret)
	return newDataKey(secret), keyID, sealed
}

// OpenDataKey opens a data key from its form at rest.
func (r *Keyring) OpenDataKey(identity, keyID string, sealed []byte) (*DataKey, error) {
	secret, err := r.Open(identity, keyID, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	if len(secret) != KeySize {
		return nil, ErrDamaged
	}
	return newDataKey(secret), nil
}

func newDataKey(secret []byte) *DataKey {
	// The id is derived, so that it needs no place of its own beside the sealed
	// key, and tells a value under a shredded key from a damaged one.
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("mailroom data key id"))
	return &DataKey{id: "dk_" + hex.EncodeToString(mac.Sum(nil)[:8]), aead: newAEAD(secret)}
}

// ID names the data key. It is kept beside what the key seals.
func (k *DataKey) ID() string { return k.id }

// Seal seals a secret for the row and column that identity names.
func (k *DataKey) Seal(identity string, secret []byte) []byte {
	return seal(k.aead, identity, secret)
}

// Open opens what Seal sealed. Errors: ErrUnknownKey when another data key sealed
// it, ErrDamaged.
func (k *DataKey) Open(identity, keyID string, sealed []byte) ([]byte, error) {
	if keyID != k.id {
		return nil, fmt.Errorf("%w: %q", ErrUnknownKey, keyID)
	}
	return open(k.aead, identity, sealed)
}

func seal(aead cipher.AEAD, identity string, secret []byte) []byte {
	return aead.Seal([]byte{format}, nil, secret, []byte(identity))
}

func open(aead cipher.AEAD, identity string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != format {
		return nil, ErrDamaged
	}
	secret, err := aead.Open(nil, nil, sealed[1:], []byte(identity))
	if err != nil {
		return nil, ErrDamaged
	}
	return secret, nil
}

// newAEAD panics on a key of another length: every caller has checked it. The
// nonce is random, 96 bits, and goes before the ciphertext; a key seals far
// fewer than the 2^32 values that SP 800-38D §8.3 allows it.
func newAEAD(secret []byte) cipher.AEAD {
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}
