package store_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mailroom/internal/blob"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

// keeper opens a store with its raw mail, as app does.
func keeper(t *testing.T, dsn string) (*store.Store, *store.Blobs, *blob.Packs) {
	t.Helper()
	s := storetest.OpenDSN(t, dsn)
	if s.Postgres() {
		return s, s.Blobs(nil), nil
	}
	p, err := blob.Open(filepath.Join(t.TempDir(), "mail"), blob.Options{PackSize: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return s, s.Blobs(p), p
}

func rawMail(seed byte, n int) []byte {
	b := fmt.Appendf(nil, "Subject: %d\r\n\r\n", seed)
	noise := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(noise)
	return append(append(b, bytes.Repeat([]byte("tekst "), n/6)...), noise...)
}

func hashOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// filed is a mail with that raw text.
func filed(w storetest.World, uid uint32, raw []byte) mailroom.Mail {
	m := w.Mail(uid, "eva@x.example", fmt.Sprintf("Mail %d", uid), "text")
	m.Message.RawHash, m.Blob = hashOf(raw), mailroom.BlobRef{Hash: hashOf(raw)}
	return m
}

func TestRawMailComesBack(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		s, blobs, packs := keeper(t, dsn)
		w := storetest.Seed(t, s)
		raws := [][]byte{rawMail(1, 10), rawMail(2, 3000), rawMail(3, 200_000), rawMail(2, 3000), {}}
		var hashes []string
		for _, r := range raws {
			hashes = append(hashes, hashOf(r))
		}
		refs, err := blobs.Put(t.Context(), w.OrgID, hashes, raws)
		if err != nil {
			t.Fatal(err)
		}
		if refs[1].Length >= refs[1].Size || refs[1] != refs[3] {
			t.Errorf("%+v", refs)
		}
		if _, err := blobs.Open(t.Context(), w.OrgID, hashes[0]); mailroom.KindOf(err) != mailroom.NotFound {
			t.Errorf("named by nobody, and opened: %v", err)
		}
		var mails []mailroom.Mail
		for i, r := range raws {
			mails = append(mails, filed(w, uint32(i+1), r))
		}
		b := w.Batch(w.Inbox, mails...)
		b.Blobs = refs
		c := w.Claim(t, "n1")
		if n, err := s.Deliver(t.Context(), c, b); n != len(raws) || err != nil {
			t.Fatal(n, err)
		}
		check := func() {
			t.Helper()
			for i, h := range hashes {
				if raw, err := blobs.Open(t.Context(), w.OrgID, h); err != nil || !bytes.Equal(raw, raws[i]) {
					t.Errorf("mail %d: %d octets, %v", i, len(raw), err)
				}
			}
		}
		check()
		other := storetest.Seed(t, s)
		if _, err := blobs.Open(t.Context(), other.OrgID, hashes[1]); mailroom.KindOf(err) != mailroom.NotFound {
			t.Errorf("another organization opens it: %v", err)
		}

		// A batch that never came to be leaves bytes behind; sweeping takes those only.
		ghost := rawMail(9, 90_000)
		for range 2 {
			if _, err := blobs.Put(t.Context(), w.OrgID, []string{hashOf(ghost)}, [][]byte{ghost}); err != nil {
				t.Fatal(err)
			}
		}
		if packs == nil {
			w.Exec(t, `UPDATE blob_data SET at = 1`)
		}
		if _, err := s.SweepBlobs(t.Context()); err != nil {
			t.Fatal(err)
		}
		if packs == nil {
			if n := w.Count(t, `blob_data`); n != 4 {
				t.Errorf("%d raw mails are kept, want 4", n)
			}
		} else if got, err := packs.Sweep(t.Context(), s, time.Hour, time.Now().Add(2*time.Hour)); err != nil || got.Freed < 90_000 {
			t.Errorf("swept %+v, %v", got, err)
		}
		check()
	})
}

// TestRawMailWhileItMoves: the sweeper rewrites packs under a reader's hands.
func TestRawMailWhileItMoves(t *testing.T) {
	s, blobs, packs := keeper(t, filepath.Join(t.TempDir(), "x.db"))
	w := storetest.Seed(t, s)
	c := w.Claim(t, "n1")
	var kept [][]byte
	for i := range 30 {
		raws := [][]byte{rawMail(byte(i), 500), rawMail(byte(i+100), 5000)} // the second is named by nobody
		hashes := []string{hashOf(raws[0]), hashOf(raws[1])}
		refs, err := blobs.Put(t.Context(), w.OrgID, hashes, raws)
		if err != nil {
			t.Fatal(err)
		}
		b := w.Batch(w.Inbox, filed(w, uint32(i+1), raws[0]))
		b.Blobs = refs
		if _, err := s.Deliver(t.Context(), c, b); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, raws[0])
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			raw := kept[i%len(kept)]
			if got, err := blobs.Open(t.Context(), w.OrgID, hashOf(raw)); err != nil || !bytes.Equal(got, raw) {
				t.Errorf("mail %d: %v", i%len(kept), err)
				return
			}
		}
	})
	swept, err := packs.Sweep(t.Context(), s, time.Hour, time.Now().Add(2*time.Hour))
	close(done)
	wg.Wait()
	if err != nil || swept.Rewritten < 3 {
		t.Errorf("swept %+v, %v", swept, err)
	}
}

func TestDamagedRowIsNoMail(t *testing.T) {
	s, blobs, _ := keeper(t, peers.Postgres(t)) // packs have this test in internal/blob
	w := storetest.Seed(t, s)
	raw := rawMail(1, 1000)
	refs, err := blobs.Put(t.Context(), w.OrgID, []string{hashOf(raw)}, [][]byte{raw})
	if err != nil {
		t.Fatal(err)
	}
	b := w.Batch(w.Inbox, filed(w, 1, raw))
	b.Blobs = refs
	if _, err := s.Deliver(t.Context(), w.Claim(t, "n1"), b); err != nil {
		t.Fatal(err)
	}
	w.Exec(t, `UPDATE blob_data SET data = $1`, []byte("rot"))
	if _, err := blobs.Open(t.Context(), w.OrgID, hashOf(raw)); err == nil {
		t.Error("a changed mail was handed out")
	}
}
