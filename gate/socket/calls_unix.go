//go:build unix && (race || !(linux && (amd64 || arm64)))

package socket

import "syscall"

const short = false

// Read is read(2) on a descriptor that does not block. The error is a syscall.Errno.
func Read(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

// Write is write(2) on a descriptor that does not block. The error is a syscall.Errno.
func Write(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }

// Quiet says whether nothing has come that has not been read, neither bytes nor the end. It looks with one.
func Quiet(fd uintptr, one []byte) bool {
	_, _, err := syscall.Recvfrom(int(fd), one, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
}
