//go:build unix

package imapconn

import (
	"os"
	"sync"
	"syscall"
)

func mapFile(f *os.File, size int64) (spool, error) {
	b, err := syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return spool{}, err
	}
	var once sync.Once
	return spool{bytes: b, release: func() { once.Do(func() { syscall.Munmap(b) }) }}, nil
}
