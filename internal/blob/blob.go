// Package blob keeps raw mail in append-only pack files: one file per message
// costs an fsync each, rows in SQLite twice the time of all else (docs/performance.md,
// "Storing").
//
// What Put returns is durable, so the transaction that names it may follow at
// once. What no transaction came to name, or names no longer, is dead weight
// that Sweep takes away.
//
// It knows no SQL and no organization: the index (hash → pack, offset, length)
// lies in the database, and deduplication is the caller's.
package blob

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/klauspost/compress/zstd"

	"mailroom/internal/mailroom"
)

const (
	suffix = ".pack"
	// smallMail is the largest mail that is compressed, in octets. Larger ones are
	// base64 attachments, as a rule compressed before: four times the CPU for 7 %.
	smallMail = 64 << 10
	// window bounds what Put holds of compressed copies at a time, copied what it
	// gathers for one write.
	window = 8 << 20
	copied = 1 << 20
)

// Codecs of BlobRef.
const (
	CodecRaw  = "raw"
	CodecZstd = "zstd"
)

// Options of Open.
type Options struct {
	PackSize int64 // octets after which a new pack begins; 256 MB
	Log      *slog.Logger
}

// Packs is a directory of packs, owned by this process alone. Methods may be
// called concurrently.
type Packs struct {
	dir  string
	max  int64
	log  *slog.Logger
	lock *os.File
	enc  *zstd.Encoder
	dec  *zstd.Decoder

	mu  sync.Mutex // appending
	cur *pack      // nil until the first Put after a torn or full one
}

// pack is the pack that is being appended to.
type pack struct {
	name string
	f    *os.File
	size atomic.Int64 // grows under Packs.mu only

	mu     sync.Mutex // syncing
	synced int64
	broken error // a write or fsync failed: nobody knows what is on the disk
}

// mark is the end of what somebody wrote to a pack.
type mark struct {
	c   *pack
	end int64
}

// Open opens the packs in dir, which is made when missing. Another process that
// has them open is an error: two would write into one file.
func Open(dir string, o Options) (*Packs, error) {
	if o.PackSize == 0 {
		o.PackSize = 256 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDir(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("blob: %s is in use: %w", dir, err)
	}
	p := &Packs{dir: dir, max: o.PackSize, log: o.Log, lock: lock}
	if p.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(smallMail), zstd.WithLowerEncoderMem(true), zstd.WithEncoderConcurrency(workers())); err != nil {
		return nil, err
	}
	if p.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(smallMail)); err != nil {
		return nil, err
	}
	if err := p.resume(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// resume goes on with the newest pack if it is whole. A torn tail, left by a
// crash between writing and fsync, is named by no row; it stays where it is
// until Sweep, since nothing here can prove that.
func (p *Packs) resume() error {
	names, err := p.packs()
	if err != nil || len(names) == 0 {
		return err
	}
	name := names[len(names)-1]
	f, err := os.OpenFile(p.path(name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	size, whole, err := walk(f)
	if err != nil || !whole || size >= p.max {
		f.Close()
		if err == nil && !whole {
			p.log.Warn("blob: the newest pack ends in a torn record; a new one begins", "pack", name, "good", size)
		}
		return err
	}
	p.cur = &pack{name: name, f: f}
	p.cur.size.Store(size)
	return nil
}

// Close gives the directory back.
func (p *Packs) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.retire()
	if p.dec != nil {
		p.dec.Close()
	}
	return errors.Join(err, p.lock.Close())
}

// Put keeps raws, whose SHA-256 in hex are hashes, and says where. It is durable
// when it returns. organization is for stores that keep walls; packs need none.
// Equal hashes in one call are kept once.
func (p *Packs) Put(ctx context.Context, organization string, hashes []string, raws [][]byte) ([]mailroom.BlobRef, error) {
	refs := make([]mailroom.BlobRef, len(raws))
	first := map[string]int{}
	var todo []int
	for i, h := range hashes {
		if _, twice := first[h]; !twice {
			first[h] = i
			todo = append(todo, i)
		}
	}
	var written []mark
	for len(todo) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, octets := 0, 0
		for n < len(todo) && (n == 0 || octets+len(raws[todo[n]]) <= window) {
			octets += len(raws[todo[n]])
			n++
		}
		records, err := p.encode(todo[:n], hashes, raws)
		if err != nil {
			return nil, err
		}
		marks, err := p.append(records)
		if err != nil {
			return nil, classify(err)
		}
		written = append(written, marks...)
		for k, i := range todo[:n] {
			refs[i] = records[k].ref
		}
		todo = todo[n:]
	}
	for _, m := range written {
		if err := m.c.sync(m.end); err != nil {
			return nil, classify(err)
		}
	}
	for i, h := range hashes {
		refs[i] = refs[first[h]]
	}
	return refs, nil
}

// encode makes records of raws, in parallel.
func (p *Packs) encode(which []int, hashes []string, raws [][]byte) ([]record, error) {
	out := make([]record, len(which))
	errs := make([]error, len(which))
	var wg sync.WaitGroup
	for w := range min(workers(), len(which)) {
		wg.Go(func() {
			for k := w; k < len(which); k += workers() {
				out[k], errs[k] = p.record(hashes[which[k]], raws[which[k]])
			}
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

func (p *Packs) record(hash string, raw []byte) (record, error) {
	sum, err := hex.DecodeString(hash)
	if err != nil || len(sum) != hashSize {
		return record{}, fmt.Errorf("blob: %q is no SHA-256", hash)
	}
	data, codec := raw, CodecRaw
	if len(raw) <= smallMail {
		if small := p.enc.EncodeAll(raw, make([]byte, 0, len(raw))); len(small) < len(raw) {
			data, codec = small, CodecZstd
		}
	}
	return record{ref: mailroom.BlobRef{Hash: hash, Length: int64(len(data)), Size: int64(len(raw)), Codec: codec}, data: data}, nil
}

func workers() int { return min(runtime.GOMAXPROCS(0), 4) }

// append writes records at the end of the packs and fills in where each lies.
// It returns what has to be synced.
func (p *Packs) append(records []record) (written []mark, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var buf []byte
	flush := func(b []byte) error {
		if len(b) == 0 {
			return nil
		}
		if err := p.cur.write(b); err != nil {
			p.retire()
			return err
		}
		written = append(written, mark{p.cur, p.cur.size.Load()})
		return nil
	}
	for i := range records {
		r := &records[i]
		if p.cur == nil || p.cur.size.Load()+int64(len(buf)) >= p.max {
			if err := flush(buf); err != nil {
				return nil, err
			}
			buf = buf[:0]
			if err := p.begin(); err != nil {
				return nil, err
			}
		}
		r.ref.Pack, r.ref.Offset = p.cur.name, p.cur.size.Load()+int64(len(buf))
		buf = r.appendHeader(buf)
		large := len(r.data) > copied
		if !large {
			buf = append(buf, r.data...)
		}
		if !large && len(buf) <= copied && i < len(records)-1 {
			continue
		}
		if err := flush(buf); err != nil {
			return nil, err
		}
		buf = buf[:0]
		if large {
			if err := flush(r.data); err != nil {
				return nil, err
			}
		}
	}
	return written, nil
}

// write appends b, or leaves the pack as it was.
func (c *pack) write(b []byte) error {
	size := c.size.Load()
	if _, err := c.f.WriteAt(b, size); err != nil {
		return errors.Join(err, c.f.Truncate(size))
	}
	c.size.Store(size + int64(len(b)))
	return nil
}

// begin starts a new pack.
func (p *Packs) begin() error {
	if err := p.retire(); err != nil {
		return err
	}
	name := mailroom.NewID("pack")
	f, err := os.OpenFile(p.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := syncDir(p.dir); err != nil {
		f.Close()
		return err
	}
	p.cur = &pack{name: name, f: f}
	return nil
}

// retire syncs and closes the current pack; nothing more is appended to it.
func (p *Packs) retire() error {
	c := p.cur
	if c == nil {
		return nil
	}
	p.cur = nil
	return errors.Join(c.sync(c.size.Load()), c.f.Close())
}

// sync makes the pack durable up to end. Those who wait for one fsync share it
// or the next.
func (c *pack) sync(end int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil || c.synced >= end {
		return c.broken
	}
	size := c.size.Load()
	if err := c.f.Sync(); err != nil {
		// The kernel may have dropped the pages and says so only once.
		c.broken = err
		return err
	}
	c.synced = size
	return nil
}

func (p *Packs) path(name string) string { return filepath.Join(p.dir, name+suffix) }

// packs are the names of all packs, oldest first.
func (p *Packs) packs() ([]string, error) {
	entries, err := os.ReadDir(p.dir)
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok && e.Type().IsRegular() {
			names = append(names, name)
		}
	}
	return names, err // ReadDir sorts, and the names rise with time
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func classify(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return mailroom.E(mailroom.Unavailable, "error.disk_full", err)
	case errors.Is(err, syscall.EROFS):
		return mailroom.E(mailroom.Unavailable, "error.read_only", err)
	}
	return fmt.Errorf("blob: %w", err)
}
