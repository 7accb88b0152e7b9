package mailroom

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// ID prefixes, one per kind of row.
const (
	PrefixOrganization = "org"
	PrefixUser         = "usr"
	PrefixMailbox      = "mbx"
	PrefixGrant        = "gra"
	PrefixPending      = "pen"
	PrefixMapping      = "map"
	PrefixMessage      = "msg"
	PrefixOTYSFolder   = "ofo"
	PrefixPerson       = "per"
	PrefixRun          = "run"
	PrefixAudit        = "aud"
	PrefixQuarantine   = "qua"
	PrefixFinding      = "fin"
	PrefixNotice       = "not"
	PrefixDoctor       = "doc"
	PrefixConsentLink  = "col"
	PrefixJourney      = "coj"
	PrefixCredential   = "cre"
)

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns a new identifier "prefix_…": 48 bits of milliseconds, so that
// ids sort by time of making, then 72 random bits.
func NewID(prefix string) string {
	var b [15]byte
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Now().UnixMilli()))
	copy(b[:6], ms[2:])
	rand.Read(b[6:])
	return prefix + "_" + idEncoding.EncodeToString(b[:])
}

// NewSecret is 256 random bits for a URL: state, nonce, PKCE verifier, one-time
// link.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// HashSecret is how a secret is kept where only its bearer needs to know it:
// SHA-256 in hex.
func HashSecret(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// Micros is a time as the store keeps it: UTC microseconds since 1970, 0 for
// the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicros is the inverse of Micros.
func FromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
