//go:build linux && (amd64 || arm64) && !race

package socket

import (
	"syscall"
	"unsafe"
)

const short = true

// Read is read(2) on a descriptor that does not block. The error is a syscall.Errno.
func Read(fd uintptr, p []byte) (int, error) { return call(syscall.SYS_READ, fd, p, 0) }

// Write is write(2) on a descriptor that does not block. The error is a syscall.Errno.
func Write(fd uintptr, p []byte) (int, error) { return call(syscall.SYS_WRITE, fd, p, 0) }

// Quiet says whether nothing has come that has not been read, neither bytes nor the end. It looks with one.
func Quiet(fd uintptr, one []byte) bool {
	_, err := call(syscall.SYS_RECVFROM, fd, one, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err == syscall.EAGAIN
}

func call(trap, fd uintptr, p []byte, flags uintptr) (int, error) {
	n, _, failed := syscall.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
	if failed != 0 {
		return 0, failed
	}
	return int(n), nil
}
