package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"

	//lint:file-ignore SA1019 x/net's engine is wanted: the copy in Go 1.26's net/http has published holes that x/net has mended.
	"golang.org/x/net/http2"
)

// h2conn is one connection to an HTTP/2 server. Below the engine it is what the engine reads from.
type h2conn struct {
	net.Conn // TLS on top of the socket, or the socket
	raw      net.Conn
	pool     *h2pool
	reads    atomic.Pointer[http2.ClientConn] // the engine, as Read knows it; nil: it need not look for settings
	used     atomic.Bool                      // it has had a request
	pinged   atomic.Bool                      // since more of a response came

	// Guarded by pool.mu; engine and wide do not change once it is in use.
	owner    owner
	wide     bool
	single   bool // it serves one request and no other
	engine   *http2.ClientConn
	requests int // under way: until their responses have been read, whatever the engine thinks
	waiting  int // requests that wait for ready
	ready    chan struct{}
	isReady  bool      // ready is closed: requests may be sent, if it is open
	err      error     // why it was never open
	broken   bool      // a request was broken off
	gone     bool      // it is closed
	since    time.Time // idle since then; zero: it has not been idle
}

// maxStreams is how many requests it carries, unless the server allows fewer.
func (h *h2conn) maxStreams() int {
	if h.wide {
		return wideStreams
	}
	return narrowStreams
}

// beReady closes ready. The caller holds pool.mu.
func (h *h2conn) beReady() {
	if !h.isReady {
		h.isReady = true
		close(h.ready)
	}
}

// dial opens c for the request that it was added for.
func (h *h2pool) dial(ctx context.Context, c *h2conn) error {
	engine, err := h.open(ctx, c)
	h.mu.Lock()
	if err != nil {
		c.err, c.gone = err, true
		c.requests--
		h.disengage(c)
		c.beReady()
		h.mu.Unlock()
		return err
	}
	c.engine = engine
	engine.ReserveNewRequest() // where it fails the request fails, too
	if h.known {
		c.beReady()
	}
	h.mu.Unlock()
	c.reads.Store(engine)
	c.checkSettings()
	return nil
}

func (h *h2pool) open(ctx context.Context, c *h2conn) (*http2.ClientConn, error) {
	if err := h.files.acquire(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	raw, err := h.files.dial(ctx, h.connector.or(&h.dialer), "tcp", h.address)
	if err != nil {
		return nil, err
	}
	c.Conn, c.raw = raw, raw
	if h.secure != nil {
		if c.Conn, err = h.handshake(ctx, raw, c.owner.host); err != nil {
			raw.Close()
			return nil, &unconnected{err}
		}
	}
	if c.wide {
		return h.wide.NewClientConn(c)
	}
	return h.narrow.NewClientConn(c)
}

// handshake does the handshake, and insists on HTTP/2.
func (h *h2pool) handshake(ctx context.Context, raw net.Conn, host string) (net.Conn, error) {
	config := h.secure.Clone()
	config.NextProtos = []string{http2.NextProtoTLS}
	if config.ServerName == "" {
		config.ServerName = host
	}
	c := tls.Client(raw, config)
	err := c.HandshakeContext(ctx)
	if err == nil && c.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		err = errNoHTTP2
	}
	return c, err
}

var errNoHTTP2 = errors.New("the server does not speak HTTP/2")

// unconnected is why there is no connection although the server was reached.
type unconnected struct{ error }

// Unwrap gives the cause.
func (u *unconnected) Unwrap() error { return u.error }

// Read serves the engine. By the time that it reads on it has dealt with what came before.
func (h *h2conn) Read(b []byte) (int, error) {
	if h.reads.Load() != nil {
		h.checkSettings()
	}
	return h.Conn.Read(b)
}

// checkSettings looks whether the server's first settings have come.
func (h *h2conn) checkSettings() {
	if engine := h.reads.Load(); engine != nil {
		if allows := engine.State().MaxConcurrentStreams; allows > 0 {
			h.reads.Store(nil)
			h.pool.setStreamLimit(h, allows)
		}
	}
}

// Close serves the engine, and forgets the connection. A TLS connection takes its time to send close_notify to a server
// that does not read.
func (h *h2conn) Close() error {
	h.pool.drop(h)
	timer := time.AfterFunc(250*time.Millisecond, func() { h.raw.Close() })
	defer timer.Stop()
	return h.Conn.Close()
}

// ping gives the server a reason to look at all responses of the connection again, where one of several does not go on.
// HAProxy before 2.9 (2.6.12 is Debian 12's) forgets those that were waiting behind one whose window is used up: they
// go on when any frame comes, and if the client reads none of the others none does. ("BUG/MINOR: mux-h2: make up other
// blocked streams upon removal from list" is what mended it.)
//
// There is no second ping until more of a response has come: gRPC's servers close a connection after three in a row. It
// waits for the reply, though not longer than wait; there need be none.
func (h *h2conn) ping(wait time.Duration) {
	h.pool.mu.Lock()
	alone := h.requests < 2
	h.pool.mu.Unlock()
	if alone || h.pinged.Swap(true) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	h.engine.Ping(ctx)
}

// heard says that more of a response has come.
func (h *h2conn) heard() {
	if h.pinged.Load() {
		h.pinged.Store(false)
	}
}
