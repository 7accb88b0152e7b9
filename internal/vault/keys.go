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
// base64. The last one is the newest. Empty lines and lines that begin with #
// are skipped. In an environment variable a comma may stand for the line's end.

const fileHeader = "# Mailroom key-encryption keys. Whoever has this file and the database can sign in\n" +
	"# to every connected mailbox; without it all of them must be granted again. The last key seals.\n"

// Parse reads a key list, as it stands in an environment variable. Errors name
// the line and never hold key material.
func Parse(list string) (*Keyring, error) {
	return parseLines(strings.ReplaceAll(list, ",", "\n"))
}

func parseLines(list string) (*Keyring, error) {
	r := &Keyring{keys: map[string]cipher.AEAD{}}
	sc := bufio.NewScanner(strings.NewReader(list))
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, key, ok := cutKey(line)
		if !ok {
			return nil, fmt.Errorf("key %d: want an id and a key of %d octets in base64", n, KeySize)
		}
		if r.keys[id] != nil {
			return nil, fmt.Errorf("key %d: the id %q stands there twice", n, id)
		}
		r.keys[id] = newAEAD(key)
		r.newest = id
		clear(key)
	}
	if err := sc.Err(); err != nil {
		return nil, errors.New("key list: line too long")
	}
	if r.newest == "" {
		return nil, errors.New("key list: no key in it")
	}
	return r, nil
}

func cutKey(line string) (id string, key []byte, ok bool) {
	i := strings.IndexAny(line, ": \t")
	if i <= 0 {
		return "", nil, false
	}
	text := strings.TrimRight(strings.TrimSpace(line[i+1:]), "=")
	enc := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		enc = base64.RawURLEncoding
	}
	key, err := enc.DecodeString(text)
	return line[:i], key, err == nil && len(key) == KeySize
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
			err = place(path, fileHeader+NewKey(time.Now())+"\n", false)
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

// AddKey appends a new key to the file at path and returns the ring with it. The
// older keys stay: they open what is not sealed again yet.
func AddKey(path string, at time.Time) (*Keyring, error) {
	list, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if _, err := parseLines(list); err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	list = strings.TrimRight(list, "\n") + "\n" + NewKey(at) + "\n"
	if err := place(path, list, true); err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return parseLines(list)
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
// used would be lost with everything under it. Without replace an existing file
// is fs.ErrExist.
func place(path, text string, replace bool) error {
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
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if replace {
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
