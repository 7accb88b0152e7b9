package imapconn

import (
	"io"
	"math/bits"
	"os"
	"sync"
)

// spool holds one message's bytes until its reader is done with them: in a
// recycled buffer, or, over spoolLimit, in a file without a name that is mapped
// into memory, so that a message of 150 MB costs pages that the system can
// take back and not heap.
type spool struct {
	bytes   []byte
	release func()
}

const (
	spoolLimit = 8 << 20
	smallest   = 12 // 4 KB, as a power of two
)

// pools recycles buffers by size class: 4 KB, 8 KB, … 8 MB.
var pools [12]sync.Pool

func readSpool(r io.Reader, size int64) (spool, error) {
	if size > spoolLimit {
		return readFile(r, size)
	}
	class := max(bits.Len64(uint64(size-1)), smallest) - smallest
	var buf *[]byte
	if v := pools[class].Get(); v != nil {
		buf = v.(*[]byte)
	} else {
		b := make([]byte, 1<<(class+smallest))
		buf = &b
	}
	var once sync.Once
	s := spool{bytes: (*buf)[:size:size], release: func() { once.Do(func() { pools[class].Put(buf) }) }}
	if _, err := io.ReadFull(r, s.bytes); err != nil {
		s.release()
		return spool{}, err
	}
	return s, nil
}

func readFile(r io.Reader, size int64) (spool, error) {
	f, err := os.CreateTemp("", "mailroom-*.eml")
	if err != nil {
		return spool{}, err
	}
	defer f.Close()
	defer os.Remove(f.Name())
	if _, err := io.CopyN(f, r, size); err != nil {
		return spool{}, err
	}
	return mapFile(f, size)
}
