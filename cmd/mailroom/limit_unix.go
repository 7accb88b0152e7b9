//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// surviveFileLimit makes a write beyond the limit that an operator set for files
// fail, as on a full disk, where it would end the program (getrlimit(2), RLIMIT_FSIZE).
func surviveFileLimit() { signal.Ignore(syscall.SIGXFSZ) }
