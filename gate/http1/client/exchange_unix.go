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
func (e *exchange) do(out, in []byte, look bool) (left []byte, n int, err error) {
	e.look, e.left, e.in, e.n, e.err = look, out, in, 0, nil
	err = e.raw.Read(e.again)
	left, n = e.left, e.n
	if op, ok := err.(*net.OpError); ok {
		op.Op = "read"
	} else if err == nil {
		err = e.err
	}
	e.left, e.in, e.err = nil, nil, nil
	return left, n, err
}

// step says whether nothing is to be waited for.
func (e *exchange) step(fd uintptr) bool {
	if len(e.left) == 0 {
		return e.read(fd)
	}
	if e.look && !socket.Quiet(fd, e.peek[:]) {
		e.err = ErrStale
		return true
	}
	n, err := socket.Write(fd, e.left)
	e.left = e.left[max(n, 0):]
	if err != nil && err != syscall.EAGAIN && err != syscall.EINTR {
		e.err = socket.Failure("write", e.conn, err)
	}
	// The poller reports only what was not there at the look.
	return len(e.left) > 0 || e.err != nil || !e.look && e.read(fd)
}

func (e *exchange) read(fd uintptr) bool {
	for {
		n, err := socket.Read(fd, e.in)
		switch {
		case n > 0:
			e.n = n
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			e.err = socket.Failure("read", e.conn, err)
		default:
			e.err = io.EOF
		}
		return true
	}
}
