//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package guard

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lock holds a shared lock on a file of the state folder for as long as a gateway runs, see Running; nil where it
// cannot. A file that this user cannot open, because another user's gateway has left it, is replaced: a free lock that
// nobody can take would say that no gateway runs.
func lock(folder string) *os.File {
	path := filepath.Join(folder, lockFile)
	open := func() (*os.File, error) {
		return os.OpenFile(path, os.O_RDONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	}
	f, err := open()
	if err != nil {
		_ = os.Remove(path)
		f, err = open()
	}
	if err != nil {
		return nil
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH) != nil { // waits for Running at most, which holds it for a moment
		f.Close()
		return nil
	}
	return f
}

// Running says whether a gateway with this state folder runs on this machine. known is false where that cannot be found
// out: on some systems and network file systems, and before the first gateway.
func Running(folder string) (running, known bool) {
	f, err := os.OpenFile(filepath.Join(folder, lockFile), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false, false
	}
	defer f.Close() // and the lock
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return errors.Is(err, syscall.EWOULDBLOCK), err == nil || errors.Is(err, syscall.EWOULDBLOCK)
}
