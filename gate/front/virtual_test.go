package front

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// openVirtual is open in a bubble of synctest: connections are pipes with a buffer, from 127.0.0.1, and waiting costs
// no time. The caller must be in the bubble.
func openVirtual(t *testing.T, s *Server) *deployment {
	t.Helper()
	if s.Certificate == nil {
		s.Certificate = one(t)
	}
	d := &deployment{secure: "secure", plain: "plain"}
	n := &pipeNetwork{}
	t.Cleanup(func() { // after the server has ended
		n.close()
		time.Sleep(24 * time.Hour) // until nobody sends any more
	})
	secure, plain := newPipeListener(n), newPipeListener(n)
	d.dialTo = func(address string) (net.Conn, error) {
		if address == d.plain {
			return plain.dial()
		}
		return secure.dial()
	}
	d.serve(t, s, [2]net.Listener{secure, plain})
	return d
}

// plainClient speaks HTTP/1.1 to the plain listener, whatever the URL's host.
func (d *deployment) plainClient(t *testing.T) *http.Client {
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn,
		error) {
		return d.dialTo(d.plain)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * patience}
}

// bubbles runs a test over HTTP/1.1 and HTTP/2, each in a bubble of its own.
func bubbles(t *testing.T, test func(t *testing.T, http2 bool)) {
	t.Helper()
	both(t, func(t *testing.T, http2 bool) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { test(t, http2) })
	})
}

// pipeNetwork is all connections of a test.
type pipeNetwork struct {
	mu   sync.Mutex
	ends []*buffered
}

// connect returns the two ends of a new connection.
func (n *pipeNetwork) connect() (client, server net.Conn) {
	a, b := net.Pipe()
	ours, theirs := buffer(a), buffer(b)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ends = append(n.ends, ours, theirs)
	return ours, at{Conn: theirs, address: "127.0.0.1:12345"}
}

// close closes what is open, also connections that were never accepted.
func (n *pipeNetwork) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, end := range n.ends {
		end.Close()
		end.Conn.Close()
	}
}

// pipeListener accepts pipes.
type pipeListener struct {
	network *pipeNetwork
	clients chan net.Conn
	closing sync.Once
	closed  chan struct{}
}

func newPipeListener(n *pipeNetwork) *pipeListener {
	return &pipeListener{network: n, clients: make(chan net.Conn, 1<<10), closed: make(chan struct{})}
}

func (l *pipeListener) dial() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	client, server := l.network.connect()
	l.clients <- server
	return client, nil
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.clients:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.closing.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{} }

// buffered is an end of a pipe with a buffer for what is written, as a socket has.
type buffered struct {
	net.Conn
	queue   chan []byte
	closing sync.Once
	closed  chan struct{}
}

func buffer(c net.Conn) *buffered {
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
		case <-b.closed:
		}
		select {
		case p := <-b.queue: // written before the end
			b.Conn.Write(p)
		default:
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

// SetWriteDeadline changes nothing: what was written is on its way.
func (b *buffered) SetWriteDeadline(time.Time) error { return nil }

func (b *buffered) SetDeadline(at time.Time) error { return b.SetReadDeadline(at) }

func (b *buffered) Close() error {
	b.closing.Do(func() { close(b.closed) })
	return nil
}
