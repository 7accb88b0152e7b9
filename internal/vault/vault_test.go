package vault_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mailroom/internal/vault"
)

func ring(t *testing.T, list string) *vault.Keyring {
	t.Helper()
	r, err := vault.Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSecretsOpenOnlyWhereTheyWereSealed(t *testing.T) {
	r := ring(t, vault.NewKey(time.Now()))
	k, keyID, sealedKey := r.NewDataKey("mailbox:a")
	secret := []byte("a refresh token")
	sealed := k.Seal("grant:a:refresh", secret)
	if bytes.Contains(sealed, secret) {
		t.Fatal("the secret lies in clear in what was sealed")
	}
	if again := k.Seal("grant:a:refresh", secret); bytes.Equal(again, sealed) {
		t.Fatal("sealing twice gives the same bytes: the nonce is not random")
	}

	again, err := r.OpenDataKey("mailbox:a", keyID, sealedKey)
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() != k.ID() {
		t.Fatalf("id of the opened key %s, want %s", again.ID(), k.ID())
	}
	got, err := again.Open("grant:a:refresh", again.ID(), sealed)
	if err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("opened %q, %v", got, err)
	}

	other, _, _ := r.NewDataKey("mailbox:a")
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	cases := []struct {
		name string
		open func() ([]byte, error)
		want error
	}{
		{"another row", func() ([]byte, error) { return k.Open("grant:b:refresh", k.ID(), sealed) }, vault.ErrDamaged},
		{"another column", func() ([]byte, error) { return k.Open("grant:a:access", k.ID(), sealed) }, vault.ErrDamaged},
		{"one bit changed", func() ([]byte, error) { return k.Open("grant:a:refresh", k.ID(), flipped) }, vault.ErrDamaged},
		{"cut short", func() ([]byte, error) { return k.Open("grant:a:refresh", k.ID(), sealed[:5]) }, vault.ErrDamaged},
		{"empty", func() ([]byte, error) { return k.Open("grant:a:refresh", k.ID(), nil) }, vault.ErrDamaged},
		{"other version", func() ([]byte, error) {
			return k.Open("grant:a:refresh", k.ID(), append([]byte{9}, sealed[1:]...))
		}, vault.ErrDamaged},
		{"key of the next grant", func() ([]byte, error) { return other.Open("grant:a:refresh", k.ID(), sealed) }, vault.ErrUnknownKey},
		{"key of the next grant, name forged", func() ([]byte, error) {
			return other.Open("grant:a:refresh", other.ID(), sealed)
		}, vault.ErrDamaged},
	}
	for _, c := range cases {
		if got, err := c.open(); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: got %q, %v, want %v", c.name, got, err, c.want)
		}
	}
	if _, err := r.OpenDataKey("mailbox:b", keyID, sealedKey); !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("data key of another mailbox opened: %v", err)
	}
}

func TestRewrap(t *testing.T) {
	first, second := vault.NewKey(time.Now()), vault.NewKey(time.Now())
	before := ring(t, first)
	k, oldID, sealedKey := before.NewDataKey("mailbox:a")
	sealed := k.Seal("x", []byte("kept"))

	both := ring(t, first+","+second)
	newID, resealed, changed, err := both.Rewrap("mailbox:a", oldID, sealedKey)
	if err != nil || !changed || newID != both.Newest() || newID == oldID {
		t.Fatalf("rewrap: id %s, changed %v, %v", newID, changed, err)
	}
	if _, same, changed, _ := both.Rewrap("mailbox:a", newID, resealed); changed || !bytes.Equal(same, resealed) {
		t.Error("a value of the newest key was sealed again")
	}

	after := ring(t, second)
	if _, err := after.OpenDataKey("mailbox:a", oldID, sealedKey); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("without the old key: %v, want ErrUnknownKey", err)
	}
	again, err := after.OpenDataKey("mailbox:a", newID, resealed)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Open("x", again.ID(), sealed); err != nil || string(got) != "kept" {
		t.Errorf("after rotation: %q, %v", got, err)
	}
}

func TestParse(t *testing.T) {
	const good = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	for _, c := range []struct{ name, list, newest, fails string }{
		{"one", "k1:" + good, "k1", ""},
		{"blank between, no padding, comment", "# mine\n\n k1 " + strings.TrimRight(good, "=") + "\n", "k1", ""},
		{"last is newest", "k1:" + good + ",k2:" + good, "k2", ""},
		{"waiting", "k1:" + good + ",k2:" + good + " waiting", "k1", ""},
		{"all wait", "k1:" + good + " waiting", "", "none seals"},
		{"an id called waiting", "waiting " + good, "waiting", ""},
		{"empty", " \n#\n", "", "no key"},
		{"short", "k1:MDEyMw==", "", "key 1"},
		{"no id", ":" + good, "", "key 1"},
		{"not base64", "k1:" + good + "\nk2:!!!!", "", "key 2"},
		{"twice", "k1:" + good + "\nk1:" + good, "", "twice"},
	} {
		r, err := vault.Parse(c.list)
		switch {
		case c.fails == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.fails == "" && (r.Newest() != c.newest || !r.Has(c.newest)):
			t.Errorf("%s: newest %q, want %q", c.name, r.Newest(), c.newest)
		case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.fails)
		case err != nil && strings.Contains(err.Error(), good[:12]):
			t.Errorf("%s: the error tells the key: %v", c.name, err)
		}
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "mailroom.key")
	rings := make([]*vault.Keyring, 8)
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() {
			r, err := vault.LoadFile(path)
			if err != nil {
				t.Error(err)
				return
			}
			rings[i] = r
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, r := range rings {
		if r.Newest() != rings[0].Newest() {
			t.Fatal("processes that start together use different keys")
		}
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %04o, want 0600", st.Mode().Perm())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".key-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	k, keyID, sealedKey := rings[0].NewDataKey("m")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("# made for the office in Breda, do not lose it\n")
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	id, err := vault.AddKey(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := vault.LoadFile(path)
	if err != nil || waiting.Newest() != keyID || !waiting.Has(id) {
		t.Fatalf("a key that waits has to open and not to seal: %v", err)
	}
	if err := vault.UseKey(path, id); err != nil {
		t.Fatal(err)
	}
	loaded, err := vault.LoadFile(path)
	if err != nil || loaded.Newest() != id || !loaded.Has(keyID) {
		t.Fatalf("the new key does not seal beside the old one: %v", err)
	}
	if again, err := loaded.OpenDataKey("m", keyID, sealedKey); err != nil || again.ID() != k.ID() {
		t.Errorf("after adding a key the old data key does not open: %v", err)
	}
	if err := vault.DropKey(path, id); err == nil {
		t.Error("the key that seals was dropped")
	}
	if err := vault.UseKey(path, "kek_other"); err == nil {
		t.Error("a key that is not there is used")
	}
	if err := vault.DropKey(path, keyID); err != nil {
		t.Error(err)
	}
	if after, err := vault.LoadFile(path); err != nil || after.Has(keyID) || after.Newest() != id {
		t.Errorf("after dropping the old key: %v", err)
	}
	if text, _ := os.ReadFile(path); !strings.Contains(string(text), "office in Breda") {
		t.Error("an operator's comment is gone")
	}

	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.LoadFile(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key file that others may read was accepted: %v", err)
	}
	if _, err := vault.LoadFile(t.TempDir()); err == nil {
		t.Error("a directory was accepted as key file")
	}
}

// A process that stays meets a key that another one has just begun to seal with,
// and seals with it itself from then on.
func TestFollowedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mailroom.key")
	var faults []string
	stays, err := vault.FollowFile(path, func(err error) { faults = append(faults, err.Error()) })
	if err != nil {
		t.Fatal(err)
	}
	first := stays.Newest()
	_, sealed := stays.Seal("row", []byte("old"))

	id, err := vault.AddKey(path, time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if keys := stays.Keys(); len(keys) != 2 || !keys[0].Seals || !keys[1].Waiting || keys[1].Seals || keys[1].Made.Day() != 24 {
		t.Errorf("with a key that waits: %+v", keys)
	}
	if err := vault.UseKey(path, id); err != nil {
		t.Fatal(err)
	}
	other, err := vault.LoadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newID, theirs := other.Seal("row", []byte("theirs"))
	if got, err := stays.Open("row", newID, theirs); err != nil || string(got) != "theirs" {
		t.Errorf("what another process sealed with the new key: %q, %v", got, err)
	}
	if now, _ := stays.Seal("row", nil); now != id {
		t.Errorf("sealed with %s, want the new key %s", now, id)
	}
	if got, err := stays.Open("row", first, sealed); err != nil || string(got) != "old" {
		t.Errorf("what the old key sealed: %q, %v", got, err)
	}

	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, spoilt := range []string{"", "half a li", string(whole[:len(whole)-20])} {
		if err := os.WriteFile(path, []byte(spoilt), 0o600); err != nil {
			t.Fatal(err)
		}
		told := len(faults)
		if stays.Newest() != id || !stays.Has(first) {
			t.Fatalf("a spoilt file (%d octets) took the keys away", len(spoilt))
		}
		stays.Newest()
		if len(faults) != told+1 {
			t.Errorf("a spoilt file was told %d times, want once", len(faults)-told)
		}
	}
	for _, text := range faults {
		if strings.Contains(text, string(whole[len(whole)-30:len(whole)-10])) {
			t.Errorf("a fault tells a key: %s", text)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := vault.DropKey(path, first); err != nil {
		t.Fatal(err)
	}
	if stays.Newest() != id || stays.Has(first) {
		t.Error("a key that was dropped still opens")
	}
}

func TestMAC(t *testing.T) {
	list := vault.NewKey(time.Now())
	r := ring(t, list)
	keyID, mac := r.MAC("link", []byte("message"))
	if err := ring(t, list+","+vault.NewKey(time.Now())).CheckMAC("link", keyID, []byte("message"), mac); err != nil {
		t.Errorf("signed before a new key came: %v", err)
	}
	for name, err := range map[string]error{
		"another purpose": r.CheckMAC("state", keyID, []byte("message"), mac),
		"another message": r.CheckMAC("link", keyID, []byte("massage"), mac),
		"cut short":       r.CheckMAC("link", keyID, []byte("message"), mac[:8]),
	} {
		if !errors.Is(err, vault.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ring(t, vault.NewKey(time.Now())).CheckMAC("link", keyID, []byte("message"), mac); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("by a key that is not here: %v", err)
	}
}
