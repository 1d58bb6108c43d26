//go:build unix

package socket

import "syscall"

// CloseWrite is shutdown(2) of a socket's side that writes.
func CloseWrite(fd uintptr) error { return syscall.Shutdown(int(fd), syscall.SHUT_WR) }
