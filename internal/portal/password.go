package portal

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/alexedwards/argon2id"

	"mailroom/internal/mailroom"
)

// defaultArgon is the second recommended setting of RFC 9106 §4: 64 MiB, three
// passes, four lanes.
var defaultArgon = argon2id.Params{Memory: 64 << 10, Iterations: 3, Parallelism: 4, SaltLength: 16, KeyLength: 32}

// passwords hashes and checks passwords, few at a time: each takes the memory
// of defaultArgon, so a crowd at the door must queue.
type passwords struct {
	params argon2id.Params
	slots  chan struct{}
	// nobody is the hash that is checked for an unknown user.
	nobody string
}

func newPasswords(params *argon2id.Params) *passwords {
	p := &passwords{params: defaultArgon, slots: make(chan struct{}, 4)}
	if params != nil {
		p.params = *params
	}
	p.nobody = nobody(p.params)
	return p
}

// nobody is a hash that no password has, in the PHC string form of argon2id: the
// bytes are random, so that making it costs nothing and checking it costs what
// checking any other does.
func nobody(p argon2id.Params) string {
	random := make([]byte, p.SaltLength+p.KeyLength)
	rand.Read(random)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", p.Memory, p.Iterations, p.Parallelism,
		b64.EncodeToString(random[:p.SaltLength]), b64.EncodeToString(random[p.SaltLength:]))
}

func (p *passwords) enter(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return mailroom.AsError(ctx.Err())
	}
}

func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	if err := p.enter(ctx); err != nil {
		return "", err
	}
	defer func() { <-p.slots }()
	h, err := argon2id.CreateHash(password, &p.params)
	if err != nil {
		return "", mailroom.AsError(err)
	}
	return h, nil
}

// check compares; hash "" stands for an unknown user and costs the same.
func (p *passwords) check(ctx context.Context, password, hash string) (bool, error) {
	if len(password) > maxPassword {
		password = ""
	}
	if err := p.enter(ctx); err != nil {
		return false, err
	}
	defer func() { <-p.slots }()
	known := hash != ""
	if !known {
		hash = p.nobody
	}
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, mailroom.AsError(err)
	}
	return ok && known, nil
}
