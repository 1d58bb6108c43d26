//go:build unix && !race

package client

import (
	"io"
	"net"
	"syscall"

	"gate421/gate/socket"
)

// exchange writes a request and reads the beginning of its response in one go: it looks whether the socket is quiet,
// writes, waits and reads. A net.Conn reads in vain before it waits, and looking would be a call of its own.
type exchange struct {
	conn  net.Conn
	raw   syscall.RawConn
	again func(fd uintptr) bool // step

	look bool
	left []byte // of the request
	in   []byte
	n    int
	err  error
	peek [1]byte
}

// newExchange returns nil for what is no socket.
func newExchange(c net.Conn) *exchange {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	l := &exchange{conn: c, raw: raw}
	l.again = l.step
	return l
}

// do writes out and reads into in what comes then. With look it writes nothing if there is something to read already:
// errStale. left is what could not be written without waiting; then nothing is read. The connection's read deadline
// holds.
func (l *exchange) do(out, in []byte, look bool) (left []byte, n int, err error) {
	l.look, l.left, l.in, l.n, l.err = look, out, in, 0, nil
	err = l.raw.Read(l.again)
	left, n = l.left, l.n
	if op, ok := err.(*net.OpError); ok {
		op.Op = "read"
	} else if err == nil {
		err = l.err
	}
	l.left, l.in, l.err = nil, nil, nil
	return left, n, err
}

// step says whether nothing is to be waited for.
func (l *exchange) step(fd uintptr) bool {
	if len(l.left) == 0 {
		return l.read(fd)
	}
	if l.look && !socket.Quiet(fd, l.peek[:]) {
		l.err = ErrStale
		return true
	}
	n, err := socket.Write(fd, l.left)
	l.left = l.left[max(n, 0):]
	if err != nil && err != syscall.EAGAIN && err != syscall.EINTR {
		l.err = socket.Failure("write", l.conn, err)
	}
	// The poller reports only what was not there at the look.
	return len(l.left) > 0 || l.err != nil || !l.look && l.read(fd)
}

func (l *exchange) read(fd uintptr) bool {
	for {
		n, err := socket.Read(fd, l.in)
		switch {
		case n > 0:
			l.n = n
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			l.err = socket.Failure("read", l.conn, err)
		default:
			l.err = io.EOF
		}
		return true
	}
}
