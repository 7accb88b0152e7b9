package vault

import (
	"bufio"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A key list is text, one key a line: its id, a blank or colon, and 32 octets in
// base64. The last one seals, all open. A key with the word "waiting" behind it
// opens only: so that every node knows a new key before the first one seals with
// it. Empty lines and lines that begin with # are skipped. In an environment
// variable a comma may stand for the line's end.

const fileHeader = "# Mailroom key-encryption keys. Whoever has this file and the database can sign in\n" +
	"# to every connected mailbox; without it all of them must be granted again. The last key seals, unless it is waiting.\n"

// Parse reads a key list, as it stands in an environment variable. Errors name
// the line and never hold key material.
func Parse(list string) (*Keyring, error) {
	return parseLines(strings.ReplaceAll(list, ",", "\n"))
}

func parseLines(list string) (*Keyring, error) {
	k, err := readKeys(list)
	if err != nil {
		return nil, err
	}
	r := &Keyring{}
	r.now.Store(k)
	return r, nil
}

// waiting marks a key that opens and does not seal.
const waiting = "waiting"

func readKeys(list string) (*keySet, error) {
	k := &keySet{opens: map[string]cipher.AEAD{}, macs: map[string][]byte{}}
	sc := bufio.NewScanner(strings.NewReader(list))
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, key, waits, ok := cutKey(line)
		if !ok {
			return nil, fmt.Errorf("key %d: want an id and a key of %d octets in base64", n, KeySize)
		}
		if k.opens[id] != nil {
			return nil, fmt.Errorf("key %d: the id %q stands there twice", n, id)
		}
		k.opens[id] = newAEAD(key)
		k.macs[id] = sign(key, "mailroom mac", nil)
		k.list = append(k.list, Key{ID: id, Made: madeOn(id), Waiting: waits})
		if !waits {
			k.newest = id
		}
		clear(key)
	}
	if err := sc.Err(); err != nil {
		return nil, errors.New("key list: line too long")
	}
	if len(k.list) == 0 {
		return nil, errors.New("key list: no key in it")
	}
	if k.newest == "" {
		return nil, errors.New("key list: every key in it is waiting, and none seals")
	}
	for i := range k.list {
		k.list[i].Seals = k.list[i].ID == k.newest
	}
	return k, nil
}

// madeOn is the day that an id of NewKey tells.
func madeOn(id string) time.Time {
	parts := strings.Split(id, "_")
	if len(parts) != 3 {
		return time.Time{}
	}
	day, err := time.Parse("20060102", parts[1])
	if err != nil {
		return time.Time{}
	}
	return day
}

func cutKey(line string) (id string, key []byte, waits, ok bool) {
	i := strings.IndexAny(line, ": \t")
	if i <= 0 {
		return "", nil, false, false
	}
	text := strings.TrimSpace(line[i+1:])
	if before, found := strings.CutSuffix(text, waiting); found && strings.TrimRight(before, " \t") != before {
		text, waits = strings.TrimSpace(before), true
	}
	text = strings.TrimRight(text, "=")
	enc := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		enc = base64.RawURLEncoding
	}
	key, err := enc.DecodeString(text)
	return line[:i], key, waits, err == nil && len(key) == KeySize
}

// NewKey is a line of a key list with a new random key. Its id tells the day.
func NewKey(at time.Time) string {
	var key [KeySize]byte
	var tail [3]byte
	rand.Read(key[:])
	rand.Read(tail[:])
	return "kek_" + at.UTC().Format("20060102") + "_" + hex.EncodeToString(tail[:]) + ":" +
		base64.StdEncoding.EncodeToString(key[:])
}

// LoadFile reads the key file at path, and makes it with one new key, mode
// 0600, when there is none. A file that others may read is refused.
func LoadFile(path string) (*Keyring, error) {
	for {
		list, err := readPrivate(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = place(path, fileHeader+NewKey(time.Now())+"\n", nil)
			if err == nil || errors.Is(err, fs.ErrExist) {
				continue // another process may have been quicker: its key counts
			}
		}
		if err != nil {
			return nil, fmt.Errorf("key file: %w", err)
		}
		r, err := parseLines(list)
		if err != nil {
			return nil, fmt.Errorf("key file %s: %w", path, err)
		}
		return r, nil
	}
}

func readPrivate(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", path)
	}
	if perm := st.Mode().Perm(); perm&0o077 != 0 {
		return "", fmt.Errorf("%s may be read or written by others (mode %04o): chmod 600 it", path, perm)
	}
	if st.Size() > 1<<20 {
		return "", fmt.Errorf("%s is too large for a key file", path)
	}
	b := make([]byte, st.Size())
	n, err := f.ReadAt(b, 0)
	if n < len(b) && err != nil {
		return "", err
	}
	return string(b), nil
}

// place writes a file whole or not at all: a key that was half written and then
// used would be lost with everything under it. With old it takes that file's place
// and owner; without, an existing file is fs.ErrExist.
func place(path, text string, old fs.FileInfo) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text)
	if err == nil && old != nil {
		err = keepOwner(tmp, old)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if old != nil {
		err = os.Rename(tmp.Name(), path)
	} else {
		err = os.Link(tmp.Name(), path)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
