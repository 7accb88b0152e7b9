//go:build !unix

package imapconn

import "os"

func mapFile(f *os.File, size int64) (spool, error) {
	b := make([]byte, size)
	_, err := f.ReadAt(b, 0)
	return spool{bytes: b, release: func() {}}, err
}
