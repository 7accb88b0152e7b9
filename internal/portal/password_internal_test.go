package portal

import (
	"testing"

	"github.com/alexedwards/argon2id"
)

// Checking a password for nobody must take the same work as for somebody.
func TestUnknownUserCostsTheSame(t *testing.T) {
	p := newPasswords(&argon2id.Params{Memory: 64, Iterations: 3, Parallelism: 2, SaltLength: 16, KeyLength: 32})
	real, err := p.hash(t.Context(), "some password")
	if err != nil {
		t.Fatal(err)
	}
	somebody, _, _, err := argon2id.DecodeHash(real)
	if err != nil {
		t.Fatal(err)
	}
	nobody, _, _, err := argon2id.DecodeHash(p.nobody)
	if err != nil || *nobody != *somebody {
		t.Fatalf("nobody costs %+v, somebody %+v, %v", nobody, somebody, err)
	}
	if ok, err := p.check(t.Context(), "", ""); ok || err != nil {
		t.Fatalf("no user, no password: %v, %v", ok, err)
	}
}

func TestGeneratedPasswords(t *testing.T) {
	a, b := newPassword(), newPassword()
	if a == b || len(a) != 19 || checkPassword("p", a, "") != nil {
		t.Fatalf("generated %q and %q", a, b)
	}
}
