package front

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
)

// conn is a client's connection.
type conn struct {
	net.Conn
	tls          *tls.Conn                        // on top of it; set before the first request
	choice       certificateChoice                // of this handshake
	leaf         atomic.Pointer[x509.Certificate] // the certificate shown; nil: unknown
	lastCoverage atomic.Pointer[coverage]         // of the last host asked about: mostly the same one

	counts     *counts
	gotBytes   atomic.Bool  // the client has sent something, behind a PROXY header
	gotHello   bool         // a ClientHello has come
	handshaken bool         // the handshake was completed
	protocol   atomic.Int32 // one of the protocol constants

	admission  *admission // nil in other tests
	place      place
	evict      atomic.Pointer[func() bool] // see setEvict; nil: just close it
	onAccept   func(netip.Addr)            // called with the client's address once that is known; nil: not called
	closeOnce  sync.Once
	mu         sync.Mutex
	closed     bool
	onClose    func() // from Server.ConnContext; nil: not called
	afterClose func() // called when a handler that has hijacked the connection closes it; nil: none has
	beginOnce  sync.Once
	writes     pace
	windows    windows
	cork       *cork    // nil: not HTTP/2
	streams    *streams // nil: not HTTP/2

	slots        *slots    // nil in other tests
	requests     semaphore // guarded by slots.mu, as are the next two
	prefixKnown  bool
	clientPrefix netip.Prefix // key in slots.addresses; the zero Prefix: no single client

	receivedBytes atomic.Int64 // HTTP/2 bytes from the client
	spentBytes    atomic.Int64 // by SpendCredit

	behindBalancer bool // a PROXY header comes first
	headerOnce     sync.Once
	client         net.Addr      // named by the header, else the balancer
	rejected       bool          // the header is malformed, or the client has too many connections
	buffered       *bufio.Reader // bytes read behind the header; nil: none
}

// certificateChoice is what Server.Certificate returned.
type certificateChoice struct {
	certificate *tls.Certificate
	err         error
}

// coverage is what Covers has found for a host.
type coverage struct {
	host    string
	covered bool
}

// Write serves net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	c.writes.begin()
	n, err := c.Conn.Write(p)
	c.writes.end(n)
	return n, c.writes.named(err)
}

// CloseWrite ends our side of the connection, if the socket supports that.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// stalled closes a connection whose client does not read.
func (c *conn) stalled() {
	c.counts.limited[limitedWrite].Add(1)
	c.Conn.Close()
}

// chooseCertificate picks the certificate and remembers it. It runs for every handshake as GetConfigForClient;
// GetCertificate is not called when a TLS 1.3 session is resumed.
func (s *Server) chooseCertificate(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c := hello.Conn.(*conn)
	c.gotHello = true
	c.setClass(classHandshake)
	c.choice.certificate, c.choice.err = s.Certificate(hello)
	if c.choice.err == nil && c.choice.certificate != nil {
		c.leaf.Store(leaf(c.choice.certificate))
	}
	return nil, nil
}

// chosenCertificate returns what chooseCertificate picked.
func chosenCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	shown := hello.Conn.(*conn).choice
	return shown.certificate, shown.err
}

func leaf(certificate *tls.Certificate) *x509.Certificate {
	if certificate.Leaf != nil || len(certificate.Certificate) == 0 {
		return certificate.Leaf
	}
	parsed, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return nil
	}
	return parsed
}

type connKey struct{}

// connContext is a context with a connection as its value. It is looked up several times per request, and faster than
// context.WithValue.
type connContext struct {
	context.Context
	conn *conn
}

// Value serves context.Context.
func (c *connContext) Value(key any) any {
	if _, asked := key.(connKey); asked {
		return c.conn
	}
	return c.Context.Value(key)
}

func withConn(ctx context.Context, c *conn) context.Context { return &connContext{ctx, c} }

// context is the context of the connection's requests.
func (s *serving) context(c *conn) context.Context {
	ctx := withConn(s.base, c)
	if s.ConnContext != nil {
		ctx, c.onClose = s.ConnContext(ctx, addressOf(c.RemoteAddr()))
	}
	return ctx
}

// setEvict sets how the connection is closed gracefully. evict returns false, and leaves it open, if a request has
// begun to arrive. The admission calls it with its mu held, so it must not call conn.Close.
func (c *conn) setEvict(makeWay func() bool) { c.evict.Store(&makeWay) }

// countBegun notes that the first request, or HTTP/2, has begun. It may be called again.
func (c *conn) countBegun() { c.beginOnce.Do(func() { c.counts.fresh.Add(-1) }) }

// connOf is a request's connection, nil if it did not come through a Server.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// Covers says whether the certificate of a request's connection covers host, a lower-case name without port. In a
// resumed session it is the certificate that the client would be shown now for the name it gave. Covers is true if no
// certificate is known: a request is never rejected for want of knowledge.
func Covers(r *http.Request, host string) bool {
	c := connOf(r)
	if c == nil || r.TLS == nil || host != "" && strings.EqualFold(host, r.TLS.ServerName) {
		return true
	}
	if last := c.lastCoverage.Load(); last != nil && last.host == host {
		return last.covered
	}
	shown := c.leaf.Load()
	covered := shown == nil || shown.VerifyHostname(host) == nil
	c.lastCoverage.Store(&coverage{host, covered})
	return covered
}

// SpendCredit says whether the HTTP/2 connection of a request has received enough bytes to pay for so many, such as
// those of its log record, and spends them if it has. Each byte received is worth two, because the client may have
// compressed its header, and a connection begins with 16 KiB of credit. Over HTTP/1.x it is always true: every request
// comes with all the bytes that it has.
func SpendCredit(r *http.Request, bytes int) bool {
	const begins = 16 << 10
	c := connOf(r)
	if c == nil || c.cork == nil {
		return true
	}
	for {
		spent := c.spentBytes.Load()
		if spent+int64(bytes) > begins+2*c.receivedBytes.Load() {
			return false
		}
		if c.spentBytes.CompareAndSwap(spent, spent+int64(bytes)) {
			return true
		}
	}
}

// tlsOf is the TLS state of a request's connection, nil if there is none.
func tlsOf(r *http.Request) *tls.ConnectionState {
	c := connOf(r)
	if c == nil || c.tls == nil {
		return nil
	}
	state := c.tls.ConnectionState()
	return &state
}
