//go:build unix

package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// openFiles is how many files this process may have open; 0 where nobody knows.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur)
}

// mayWrite says why this user may not write to a file, or make and remove files in a folder; nil if it may.
func mayWrite(path string, folder bool) error {
	mode := uint32(unix.W_OK)
	if folder {
		mode |= unix.R_OK | unix.X_OK
	}
	return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
}
