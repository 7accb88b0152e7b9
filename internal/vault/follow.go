package vault

import (
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// followed is a key file that is read again when it has changed.
type followed struct {
	path   string
	failed func(error)

	mu   sync.Mutex
	seen fs.FileInfo // as it was when it was last read without a fault
	told string      // the last fault, so that it is told once
}

// FollowFile is LoadFile for a process that stays: whenever the ring seals, tells
// of its keys or meets a key that it does not know, it looks whether the file has
// changed. A file that cannot be read, or holds no key list, changes nothing:
// failed is told once, and the keys that were there stay.
func FollowFile(path string, failed func(error)) (*Keyring, error) {
	r, err := LoadFile(path)
	if err != nil {
		return nil, err
	}
	r.follow = &followed{path: path, failed: failed}
	r.current() // what was read a moment ago has no stamp yet
	return r, nil
}

// current is the set of keys, read again if its file has changed.
func (r *Keyring) current() *keySet {
	if f := r.follow; f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		k, err := f.changed()
		switch {
		case err != nil && err.Error() != f.told:
			f.told = err.Error()
			f.failed(err)
		case k != nil:
			f.told = ""
			r.now.Store(k)
		}
	}
	return r.now.Load()
}

// changed reads the file when it is not the one that was read last; nil when it is.
func (f *followed) changed() (*keySet, error) {
	st, err := os.Stat(f.path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if f.seen != nil && os.SameFile(st, f.seen) && st.ModTime().Equal(f.seen.ModTime()) && st.Size() == f.seen.Size() && st.Mode() == f.seen.Mode() {
		return nil, nil
	}
	list, err := readPrivate(f.path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	k, err := readKeys(list)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", f.path, err)
	}
	f.seen = st
	return k, nil
}
