package blob

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"os"

	"mailroom/internal/mailroom"
)

// A record is a header of 64 octets and the stored octets of one mail:
//
//	0  "MRB1"
//	4  codec, 3 octets zero
//	8  stored length, 16 raw size (little endian)
//	24 SHA-256 of the raw mail
//	56 CRC-32C of the 56 octets before, 4 octets zero
//
// The header lets a pack be walked without the index.
type record struct {
	ref  mailroom.BlobRef
	data []byte
}

const (
	headerSize = 64
	hashSize   = 32
	magic      = "MRB1"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var codecs = []string{CodecRaw, CodecZstd}

var errHeader = errors.New("no record header")

func (r record) appendHeader(b []byte) []byte {
	var h [headerSize]byte
	copy(h[:], magic)
	if r.ref.Codec == CodecZstd {
		h[4] = 1
	}
	binary.LittleEndian.PutUint64(h[8:], uint64(r.ref.Length))
	binary.LittleEndian.PutUint64(h[16:], uint64(r.ref.Size))
	hex.Decode(h[24:], []byte(r.ref.Hash))
	binary.LittleEndian.PutUint32(h[56:], crc32.Checksum(h[:56], castagnoli))
	return append(b, h[:]...)
}

// parseHeader reads a header; Pack and Offset of the reference are not in it.
func parseHeader(h []byte) (r mailroom.BlobRef, err error) {
	if len(h) < headerSize || !bytes.Equal(h[:4], []byte(magic)) || int(h[4]) >= len(codecs) ||
		binary.LittleEndian.Uint32(h[56:]) != crc32.Checksum(h[:56], castagnoli) {
		return r, errHeader
	}
	r.Codec = codecs[h[4]]
	r.Length = int64(binary.LittleEndian.Uint64(h[8:]))
	r.Size = int64(binary.LittleEndian.Uint64(h[16:]))
	r.Hash = hex.EncodeToString(h[24:56])
	if r.Length < 0 || r.Size < 0 {
		return r, errHeader
	}
	return r, nil
}

// walk goes from header to header and returns where the last whole record ends,
// and whether that is the end of the file.
func walk(f *os.File) (good int64, whole bool, err error) {
	st, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	var h [headerSize]byte
	for good < st.Size() {
		if _, err := f.ReadAt(h[:], good); errors.Is(err, io.EOF) {
			return good, false, nil
		} else if err != nil {
			return good, false, err
		}
		r, err := parseHeader(h[:])
		if err != nil || r.Length > st.Size()-good-headerSize {
			return good, false, nil
		}
		good += headerSize + r.Length
	}
	return good, true, nil
}
