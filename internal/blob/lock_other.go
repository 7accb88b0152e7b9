//go:build !unix

package blob

import "os"

// lockDir opens the file only: this system has no lock that we know.
func lockDir(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
