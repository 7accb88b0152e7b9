package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"mailroom/internal/mailroom"
)

func openSQLite(t *testing.T) (s *Store, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "mailroom.db")
	s, err := Open(t.Context(), Options{DSN: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, path
}

// TestTokensSurviveAPowerCut: what holds a token waits for the disk, and nothing
// else pays for it.
func TestTokensSurviveAPowerCut(t *testing.T) {
	s, _ := openSQLite(t)
	level := func(run func(fn func(*tx) error) error) (n int) {
		t.Helper()
		if err := run(func(x *tx) (err error) {
			n, err = value[int](t.Context(), x, `PRAGMA synchronous`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 2 {
		if n := level(func(fn func(*tx) error) error { return s.tx(t.Context(), fn) }); n != 1 {
			t.Errorf("a plain transaction is written at level %d", n)
		}
		if n := level(func(fn func(*tx) error) error { return s.txDurable(t.Context(), fn) }); n != 2 {
			t.Errorf("a durable transaction is written at level %d", n)
		}
	}
	// The four that hold one: seen at the first statement of each.
	c := t.Context()
	for name, act := range map[string]func() error{
		"SaveGrant":     func() error { return s.SaveGrant(c, mailroom.NewGrant{}) },
		"SaveRefreshed": func() error { _, err := s.SaveRefreshed(c, mailroom.Refreshed{}); return err },
		"SavePassword": func() error {
			return s.SavePassword(c, "", mailroom.Sealed{}, mailroom.Sealed{}, mailroom.AuditEvent{})
		},
		"ShredGrant": func() error { _, err := s.ShredGrant(c, "", mailroom.AuditEvent{}); return err },
	} {
		how := plain
		s.trace = func(string, []any) { how = s.writer.how }
		act() // of no mailbox: it fails after it has begun
		s.trace = nil
		if how != durable {
			t.Errorf("%s may be lost in a power cut", name)
		}
	}
}

// TestShreddedKeyIsNotInTheFile: neither in the database nor in its log.
func TestShreddedKeyIsNotInTheFile(t *testing.T) {
	s, path := openSQLite(t)
	ctx, key := t.Context(), bytes.Repeat([]byte("KEY-"), 15)
	if err := s.tx(ctx, func(x *tx) error {
		for _, text := range []string{
			`INSERT INTO organizations(id, name, created_at) VALUES ('org_1', 'x', 1)`,
			`INSERT INTO users(id, org_id, email, name, role, password_hash, created_at) VALUES ('usr_1', 'org_1', 'a@b', 'x', 'recruiter', '', 1)`,
			`INSERT INTO mailboxes(id, org_id, user_id, address, created_at) VALUES ('mbx_1', 'org_1', 'usr_1', 'a@b', 1)`,
			`INSERT INTO users(id, org_id, email, name, role, password_hash, created_at) VALUES ('usr_2', 'org_1', 'b@b', 'x', 'recruiter', '', 1)`,
			`INSERT INTO mailboxes(id, org_id, user_id, address, created_at) VALUES ('mbx_2', 'org_1', 'usr_2', 'a@b', 1)`,
		} {
			if _, err := x.exec(ctx, text); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	sealed := mailroom.Sealed{KeyID: "k", Data: []byte("token")}
	n := mailroom.NewGrant{Grant: mailroom.Grant{ID: "gra_1", OrgID: "org_1", MailboxID: "mbx_1", Version: 1}, DataKey: mailroom.Sealed{KeyID: "k", Data: key},
		Secrets: mailroom.GrantSecrets{Access: sealed, Refresh: sealed}}
	if err := s.SaveGrant(ctx, n); err != nil {
		t.Fatal(err)
	}
	lies := func() bool {
		t.Helper()
		found := false
		for _, end := range []string{"", "-wal"} {
			b, err := os.ReadFile(path + end)
			if err != nil {
				t.Fatal(err)
			}
			found = found || bytes.Contains(b, key)
		}
		return found
	}
	if !lies() {
		t.Fatal("the key is not to be seen even before")
	}
	if err := s.writer.emptyLog(ctx); err != nil || !lies() {
		t.Fatal("the key is not in the database file", err)
	}
	if _, err := s.ShredGrant(ctx, "mbx_1", mailroom.AuditEvent{OrgID: "org_1", Action: "grant.revoked"}); err != nil {
		t.Fatal(err)
	}
	if lies() {
		t.Error("the shredded key still lies in the files")
	}
}
