package grpc

import (
	"net"
	"slices"
	"sync"
)

// pipes is a network without sockets, for a bubble of synctest: connections to it come out of Accept.
type pipes struct {
	conns   chan net.Conn
	closing sync.Once
	closed  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.closing.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

func (p *pipes) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- roomy(theirs):
		return roomy(ours), nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// buffered is an end of a pipe that takes what is written at once, as a socket does that has room.
type buffered struct {
	net.Conn
	queue   chan []byte
	closing sync.Once
	closed  chan struct{}
}

func roomy(c net.Conn) *buffered {
	b := &buffered{Conn: c, queue: make(chan []byte, 1<<10), closed: make(chan struct{})}
	go b.send()
	return b
}

func (b *buffered) send() {
	defer b.Conn.Close()
	for {
		select {
		case p := <-b.queue:
			b.Conn.Write(p)
			continue
		default:
		}
		select {
		case p := <-b.queue:
			b.Conn.Write(p)
		case <-b.closed:
			return
		}
	}
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case b.queue <- slices.Clone(p):
		return len(p), nil
	case <-b.closed:
		return 0, net.ErrClosed
	}
}

func (b *buffered) Close() error {
	b.closing.Do(func() { close(b.closed) })
	return nil
}
