//go:build unix

package client

import (
	"net"
	"syscall"

	"gate421/gate/socket"
)

// watch returns what says whether an idle connection is still good: open, and with nothing to read, which on an idle
// connection could only be the server's close_notify or FIN, or bytes behind a response.
func watch(c net.Conn) func() bool {
	s, ok := c.(syscall.Conn)
	if !ok {
		return func() bool { return true }
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return func() bool { return false }
	}
	var b [1]byte // in here it would be allocated for every look
	quiet := false
	look := func(fd uintptr) bool {
		quiet = socket.Quiet(fd, b[:])
		return true
	}
	return func() bool {
		quiet = false
		return raw.Read(look) == nil && quiet
	}
}
