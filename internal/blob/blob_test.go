package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"mailroom/internal/blob"
	"mailroom/internal/mailroom"
)

const org = "org_1"

func open(t testing.TB, dir string, packSize int64) *blob.Packs {
	t.Helper()
	p, err := blob.Open(dir, blob.Options{PackSize: packSize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func sum(raw []byte) string {
	s := sha256.Sum256(raw)
	return hex.EncodeToString(s[:])
}

func put(t testing.TB, p *blob.Packs, raws ...[]byte) []mailroom.BlobRef {
	t.Helper()
	hashes := make([]string, len(raws))
	for i, r := range raws {
		hashes[i] = sum(r)
	}
	refs, err := p.Put(t.Context(), org, hashes, raws)
	if err != nil {
		t.Fatal(err)
	}
	if len(refs) != len(raws) {
		t.Fatalf("%d references for %d mails", len(refs), len(raws))
	}
	return refs
}

func wantMail(t testing.TB, p *blob.Packs, ref mailroom.BlobRef, want []byte) {
	t.Helper()
	got, err := p.Open(t.Context(), ref)
	if err != nil {
		t.Fatalf("%+v: %v", ref, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%+v: %d octets came back, put %d", ref, len(got), len(want))
	}
}

// noise is what cannot be compressed, text what can.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	c.Read(b)
	return b
}

func text(i int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "Regel %d van een sollicitatie.\r\n", i), 20+i%50)
}

func packFiles(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEveryMailComesBackAsItWas(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, 0)
	raws := [][]byte{{}, []byte("x"), text(1), noise(1, 1000), noise(2, 64<<10), text(3), noise(3, 64<<10+1), bytes.Repeat([]byte("big "), 3<<20), text(4)}
	refs := put(t, p, raws...)
	for i, raw := range raws {
		wantMail(t, p, refs[i], raw)
		if refs[i].Size != int64(len(raw)) || refs[i].Hash != sum(raw) {
			t.Errorf("mail %d: %+v", i, refs[i])
		}
	}
	if refs[2].Codec != blob.CodecZstd || refs[2].Length >= refs[2].Size {
		t.Errorf("text is not compressed: %+v", refs[2])
	}
	if refs[3].Codec != blob.CodecRaw || refs[7].Codec != blob.CodecRaw {
		t.Errorf("noise and large mail are to be kept as they are: %+v %+v", refs[3], refs[7])
	}
	p.Close()
	again := open(t, dir, 0)
	for i, raw := range raws {
		wantMail(t, again, refs[i], raw)
	}
}

func TestEqualMailsInOneCallAreKeptOnce(t *testing.T) {
	p := open(t, t.TempDir(), 0)
	refs := put(t, p, text(1), text(2), text(1))
	if refs[0] != refs[2] || refs[0] == refs[1] {
		t.Errorf("%+v", refs)
	}
}

func TestPacksRollOver(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, 10_000)
	var raws [][]byte
	for i := range 20 {
		raws = append(raws, noise(uint64(i), 1500))
	}
	refs := put(t, p, raws...)
	if n := len(packFiles(t, dir)); n < 3 {
		t.Errorf("%d packs of 10,000 octets hold 30,000", n)
	}
	for i := range raws {
		wantMail(t, p, refs[i], raws[i])
	}
}

func TestManyWritersAndReaders(t *testing.T) {
	p := open(t, t.TempDir(), 200_000)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				raw := noise(uint64(w*100+i), 3000)
				refs, err := p.Put(context.Background(), org, []string{sum(raw)}, [][]byte{raw})
				if err != nil {
					t.Error(err)
					return
				}
				got, err := p.Open(context.Background(), refs[0])
				if err != nil || !bytes.Equal(got, raw) {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, 0)
	if _, err := blob.Open(dir, blob.Options{}); err == nil {
		t.Fatal("two have the packs open")
	}
	p.Close()
	open(t, dir, 0)
}

func TestTornTailHarmsNothing(t *testing.T) {
	for name, tear := range map[string]func([]byte) []byte{
		"half a header":  func(b []byte) []byte { return append(b, b[:30]...) },
		"half a record":  func(b []byte) []byte { return append(b, b[:80]...) },
		"garbage":        func(b []byte) []byte { return append(b, noise(9, 500)...) },
		"zeros":          func(b []byte) []byte { return append(b, make([]byte, 4096)...) },
		"length of a TB": func(b []byte) []byte { h := slices.Clone(b[:64]); h[13] = 1; return append(b, h...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := open(t, dir, 0)
			first := put(t, p, text(1), noise(1, 100))
			p.Close()
			file := packFiles(t, dir)[0]
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			whole := len(b)
			if err := os.WriteFile(file, tear(b), 0o600); err != nil {
				t.Fatal(err)
			}
			p = open(t, dir, 0)
			second := put(t, p, text(2))
			wantMail(t, p, first[0], text(1))
			wantMail(t, p, first[1], noise(1, 100))
			wantMail(t, p, second[0], text(2))
			p.Close()

			p = open(t, dir, 0)
			x := index{refs: append(slices.Clone(first), second...)}
			s, err := p.Sweep(t.Context(), &x, time.Hour, time.Now().Add(2*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if st, _ := os.Stat(file); s.Truncated+s.Rewritten != 1 || st != nil && int(st.Size()) != whole {
				t.Errorf("the torn tail is still there: %+v", s)
			}
			for i, raw := range [][]byte{text(1), noise(1, 100), text(2)} {
				wantMail(t, p, x.refs[i], raw)
			}
		})
	}
}

func TestWholePackIsGoneOnWith(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		p := open(t, dir, 0)
		put(t, p, text(i))
		p.Close()
	}
	if n := len(packFiles(t, dir)); n != 1 {
		t.Errorf("three starts made %d packs", n)
	}
}

func TestChangedOctetsAreNoMail(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, 0)
	refs := put(t, p, noise(1, 1000), text(2))
	file := packFiles(t, dir)[0]
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		changed := slices.Clone(b)
		changed[ref.Offset+64+ref.Length/2] ^= 1
		if err := os.WriteFile(file, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Open(t.Context(), ref); err == nil {
			t.Errorf("%s: a changed mail was handed out", ref.Codec)
		}
	}
	for _, ref := range []mailroom.BlobRef{
		{Hash: refs[0].Hash, Pack: refs[0].Pack, Offset: refs[1].Offset, Length: refs[0].Length, Size: refs[0].Size, Codec: refs[0].Codec},
		{Hash: refs[0].Hash, Pack: refs[0].Pack, Offset: 1 << 40, Length: 10, Size: 10, Codec: blob.CodecRaw},
		{Hash: refs[0].Hash, Pack: "../../etc/passwd", Length: 10, Size: 10, Codec: blob.CodecRaw},
	} {
		if _, err := p.Open(t.Context(), ref); err == nil {
			t.Errorf("%+v was found", ref)
		}
	}
}

// index is the database's side, in memory.
type index struct {
	refs    []mailroom.BlobRef
	refuses error
}

func (x *index) BlobsIn(_ context.Context, pack string) (out []mailroom.BlobRef, err error) {
	for _, r := range x.refs {
		if r.Pack == pack {
			out = append(out, r)
		}
	}
	return out, nil
}

func (x *index) MoveBlobs(_ context.Context, from, to []mailroom.BlobRef) error {
	if x.refuses != nil {
		return x.refuses
	}
	for i, f := range from {
		for k, r := range x.refs {
			if r == f {
				x.refs[k] = to[i]
			}
		}
	}
	return nil
}

func TestSweepFreesWhatNobodyNames(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, 10_000)
	var raws [][]byte
	for i := range 40 { // about 6 in each pack
		raws = append(raws, noise(uint64(i), 1500))
	}
	refs := put(t, p, raws...)
	named := map[int]bool{0: true, 39: true} // one of the first pack; the one being written to
	for i := 7; i < 14; i++ {                // all of the second
		named[i] = true
	}
	x := index{}
	kept := [][]byte{}
	for i := range raws {
		if named[i] {
			x.refs = append(x.refs, refs[i])
			kept = append(kept, raws[i])
		}
	}
	if s, err := p.Sweep(t.Context(), &x, time.Hour, time.Now()); err != nil || s != (blob.Swept{}) {
		t.Fatalf("within the grace period nothing may go: %+v %v", s, err)
	}

	x.refuses = errors.New("database gone")
	later := time.Now().Add(2 * time.Hour)
	if _, err := p.Sweep(t.Context(), &x, time.Hour, later); !errors.Is(err, x.refuses) {
		t.Fatalf("the index refused, Sweep says %v", err)
	}
	for i, r := range x.refs {
		wantMail(t, p, r, kept[i])
	}

	x.refuses = nil
	before := len(packFiles(t, dir))
	s, err := p.Sweep(t.Context(), &x, time.Hour, later)
	if err != nil {
		t.Fatal(err)
	}
	if s.Rewritten == 0 || len(packFiles(t, dir)) >= before {
		t.Errorf("%+v, %d packs of %d left", s, len(packFiles(t, dir)), before)
	}
	for i, r := range x.refs {
		wantMail(t, p, r, kept[i])
	}
	if x.refs[0] == refs[0] {
		t.Error("the lonely mail was not moved")
	}
	if _, err := p.Open(t.Context(), refs[0]); !errors.Is(err, blob.ErrGone) {
		t.Errorf("the old reference says %v, want ErrGone", err)
	}
}

func TestDamagedMailStopsItsPackFromGoing(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, 5_000)
	raws := [][]byte{noise(1, 1000), noise(2, 5000), noise(3, 100)}
	refs := put(t, p, raws...)
	file := filepath.Join(dir, refs[0].Pack+".pack")
	b, _ := os.ReadFile(file)
	b[refs[0].Offset+100] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	x := index{refs: refs[:1]}
	if _, err := p.Sweep(t.Context(), &x, time.Hour, time.Now().Add(2*time.Hour)); err == nil {
		t.Error("a damaged mail was swept over")
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("the pack with the damaged mail is gone:", err)
	}
}

func BenchmarkPut(b *testing.B) {
	p := open(b, b.TempDir(), 0)
	var raws [][]byte
	total := int64(0)
	for i := range 500 {
		raws = append(raws, append(text(i), noise(uint64(i), 1000+i*200)...))
		total += int64(len(raws[i]))
	}
	b.SetBytes(total)
	for b.Loop() {
		put(b, p, raws...)
	}
}
