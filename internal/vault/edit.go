package vault

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// AddKey appends a new key to the file at path and returns its id. It waits:
// whoever reads the file can open what it seals, and nobody seals with it before
// UseKey.
func AddKey(path string, at time.Time) (id string, err error) {
	line := NewKey(at)
	id, _, _ = strings.Cut(line, ":")
	return id, edit(path, func(lines []string) ([]string, error) { return append(lines, line+" "+waiting), nil })
}

// UseKey has a key of the file at path seal from now on: it is moved to the end and
// waits no longer. The others stay: they open what is not sealed again yet.
func UseKey(path, id string) error {
	return edit(path, func(lines []string) ([]string, error) {
		i := lineOf(lines, id)
		if i < 0 {
			return nil, fmt.Errorf("there is no key %q in it", id)
		}
		line := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(lines[i]), waiting))
		return append(slices.Delete(lines, i, i+1), line), nil
	})
}

// DropKey takes a key out of the file at path, never the one that seals. What only
// it opens is lost.
func DropKey(path, id string) error {
	return edit(path, func(lines []string) ([]string, error) {
		i := lineOf(lines, id)
		if i < 0 {
			return nil, fmt.Errorf("there is no key %q in it", id)
		}
		k, err := readKeys(strings.Join(lines, "\n"))
		if err != nil {
			return nil, err
		}
		if k.newest == id {
			return nil, fmt.Errorf("%q is the key that seals", id)
		}
		return slices.Delete(lines, i, i+1), nil
	})
}

func lineOf(lines []string, id string) int {
	return slices.IndexFunc(lines, func(line string) bool {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			return false
		}
		name, _, _, ok := cutKey(line)
		return ok && name == id
	})
}

// edit changes the lines of a key file, whole or not at all.
func edit(path string, change func([]string) ([]string, error)) error {
	fault := func(err error) error { return fmt.Errorf("key file %s: %w", path, err) }
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	list, err := readPrivate(path)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	if _, err := readKeys(list); err != nil {
		return fault(err)
	}
	lines, err := change(strings.Split(strings.TrimRight(list, "\n"), "\n"))
	if err != nil {
		return fault(err)
	}
	list = strings.Join(lines, "\n") + "\n"
	if _, err := readKeys(list); err != nil {
		return fault(err)
	}
	old, err := os.Stat(path)
	if err != nil {
		return fault(err)
	}
	if err := place(path, list, old); err != nil {
		return fault(err)
	}
	return nil
}
