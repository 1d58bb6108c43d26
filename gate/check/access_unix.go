//go:build unix

package check

import "golang.org/x/sys/unix"

// mayWrite fails if this user may not write to a file, or make and remove files in a folder.
func mayWrite(path string, folder bool) error {
	mode := uint32(unix.W_OK)
	if folder {
		mode |= unix.R_OK | unix.X_OK
	}
	return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
}
