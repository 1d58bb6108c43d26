// Package socket answers one question: how does a byte get through a socket for the least work?
//
// On Linux (amd64, arm64) it reads and writes without telling Go's scheduler that a system call has begun. The sockets
// of package net never block, so no call here takes longer than the kernel needs to copy; but on a busy machine that is
// long enough for the scheduler to take the processor away from the goroutine, hand it to another thread and wake that
// up, and to undo it all a moment later. A sixth of what an HTTP/1.1 request costs went there. Whoever waits, waits in
// package net's poller as always. Elsewhere everything is package net's own.
//
// So it is in a build with the race detector (build tag race): the detector knows which memory package net's reads and
// writes touch and what they order, but sees nothing of raw system calls.
package socket

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Conn is a TCP or Unix connection whose Read and Write take the short way. All else is the connection's own, deadlines
// and errors included.
type Conn struct {
	net.Conn
	raw     syscall.RawConn
	in, out operation
}

// operation is a read or a write that is under way.
type operation struct {
	mu   sync.Mutex // readers among each other, writers among each other
	step func(fd uintptr) bool
	p    []byte
	n    int
	err  error
}

// Wrap returns c with the short way, or c itself where there is none: it is no socket, or this is not such a Linux.
func Wrap(c net.Conn) net.Conn {
	s, ok := c.(syscall.Conn)
	if !ok || !short {
		return c
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return c
	}
	k := &Conn{Conn: c, raw: raw}
	k.in.step, k.out.step = k.in.read, k.out.write
	return k
}

// Read serves net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	t := &c.in
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p, t.n, t.err = p, 0, nil
	err := c.raw.Read(t.step)
	return t.done("read", c.Conn, err)
}

// Write serves net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	t := &c.out
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p, t.n, t.err = p, 0, nil
	err := c.raw.Write(t.step)
	return t.done("write", c.Conn, err)
}

// Unread says whether bytes or the end have come that have not been read yet. It is false for what is no socket, and for a
// closed one.
func Unread(c net.Conn) bool {
	var raw syscall.RawConn
	switch c := c.(type) {
	case *Conn:
		raw = c.raw
	case syscall.Conn:
		raw, _ = c.SyscallConn()
	}
	if raw == nil {
		return false
	}
	quiet := true
	raw.Control(func(fd uintptr) { quiet = Quiet(fd, make([]byte, 1)) })
	return !quiet
}

// CloseWrite ends our side of the connection.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return os.ErrInvalid
}

// done names the error of a turn as package net does.
func (o *operation) done(op string, c net.Conn, err error) (int, error) {
	o.p = nil
	switch {
	case err == nil && o.err == nil:
		return o.n, nil
	case err == nil && o.err == io.EOF:
		return 0, io.EOF
	case err == nil:
		return o.n, Failure(op, c, o.err)
	}
	if named, ok := err.(*net.OpError); ok {
		named.Op = op // of a connection of its own: nobody else has it
	}
	return o.n, err
}

func (o *operation) read(fd uintptr) bool {
	for {
		n, err := Read(fd, o.p)
		switch {
		case n > 0:
			o.n = n
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			o.err = err
		default:
			o.err = io.EOF
		}
		return true
	}
}

func (o *operation) write(fd uintptr) bool {
	for o.n < len(o.p) {
		n, err := Write(fd, o.p[o.n:])
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			o.err = err
			return true
		default:
			o.n += n
		}
	}
	return true
}

// Failure is what package net would say of an error of read or write.
func Failure(op string, c net.Conn, err error) error {
	from, to := c.LocalAddr(), c.RemoteAddr()
	return &net.OpError{Op: op, Net: from.Network(), Source: from, Addr: to, Err: os.NewSyscallError(op, err)}
}
