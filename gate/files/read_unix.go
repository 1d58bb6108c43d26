//go:build unix

package files

import (
	"os"
	"syscall"
)

// openToRead opens a path without waiting for the other end of a pipe, and makes no terminal the process's own.
func openToRead(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
}
