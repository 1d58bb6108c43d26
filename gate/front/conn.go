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

// conn is a client's connection and what its certificate covers.
type conn struct {
	net.Conn
	tls   *tls.Conn                        // on top of it; set before the first request
	shown chosen                           // the handshake's own
	leaf  atomic.Pointer[x509.Certificate] // nil: none is known
	last  atomic.Pointer[answer]           // connections ask about the same host again and again

	counts   *counts
	heard    atomic.Bool  // something came, behind a balancer's introduction
	greeted  bool         // a ClientHello came
	shaken   bool         // the handshake was completed
	protocol atomic.Int32 // what is spoken on it

	admission *admission // nil in a test of something else
	place     place
	makeWay   atomic.Pointer[func() bool] // ends it gently, unless a request has begun to come; nil: there is nothing to be gentle with
	accepted  func(netip.Addr)            // is told the client's address once that is known
	left      sync.Once
	fate      sync.Mutex
	closed    bool
	onClose   func() // Server.ConnContext's; nil: there is none
	after     func() // what is left to do when a handler that has taken it closes it; nil: nobody has, or nothing is
	begun     sync.Once
	writes    pace
	windows   windows
	cork      *cork    // nil: not HTTP/2
	streams   *streams // nil: not HTTP/2

	slots   *slots // nil in a test of something else
	turns   turns  // in slots.mu, as what follows
	asked   bool
	visitor netip.Prefix // in slots.addresses; the zero Prefix: many may be behind it

	brought atomic.Int64 // bytes of HTTP/2 from the client
	spent   atomic.Int64 // of them, by Paid

	balanced     bool // a PROXY header comes first, and introduction reads it
	introduction sync.Once
	client       net.Addr      // whom it names, or the balancer
	unknown      bool          // it cannot be believed
	rest         *bufio.Reader // what came with it; nil: nothing
}

// chosen is what Server.Certificate returned.
type chosen struct {
	certificate *tls.Certificate
	err         error
}

type answer struct {
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

// CloseWrite ends our side, where the socket can.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// stalled ends a connection whose client takes nothing.
func (c *conn) stalled() {
	c.counts.limited[limitedWrite].Add(1)
	c.Conn.Close()
}

// hello picks the certificate, and notes which it is. It runs for every handshake; GetCertificate would not, where a TLS
// 1.3 session is resumed.
func (s *Server) hello(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c := hello.Conn.(*conn)
	c.greeted = true
	c.become(classHandshake)
	c.shown.certificate, c.shown.err = s.Certificate(hello)
	if c.shown.err == nil && c.shown.certificate != nil {
		c.leaf.Store(leaf(c.shown.certificate))
	}
	return nil, nil
}

// certificate hands over what hello picked.
func certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	shown := hello.Conn.(*conn).shown
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

// connContext is a context with a connection as its value. It is asked several times a request, and faster than a WithValue.
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

// context is that of the connection's requests.
func (v *serving) context(c *conn) context.Context {
	ctx := withConn(v.base, c)
	if v.ConnContext != nil {
		ctx, c.onClose = v.ConnContext(ctx, addressOf(c.RemoteAddr()))
	}
	return ctx
}

// yields says how the connection is ended gently. The admission calls that with its mu held, so that it must not come to Close.
func (c *conn) yields(makeWay func() bool) { c.makeWay.Store(&makeWay) }

// begin notes that the first request has begun, or HTTP/2.
func (c *conn) begin() { c.begun.Do(func() { c.counts.fresh.Add(-1) }) }

// connOf is a request's connection, nil where there is none of ours.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// Covers says whether the certificate of a request's connection covers a host, a lower-case name without port. On a
// session that was resumed it is the certificate that the client would be shown now for the name it gave. It is true
// where there is no certificate to look at: a request is never turned away for what is not known.
func Covers(r *http.Request, host string) bool {
	c := connOf(r)
	if c == nil || r.TLS == nil || host != "" && strings.EqualFold(host, r.TLS.ServerName) {
		return true
	}
	if last := c.last.Load(); last != nil && last.host == host {
		return last.covered
	}
	shown := c.leaf.Load()
	covered := shown == nil || shown.VerifyHostname(host) == nil
	c.last.Store(&answer{host, covered})
	return covered
}

// Paid says whether the HTTP/2 connection of a request has brought so many bytes that nobody has asked for yet, and takes them.
// Each that it brought is worth two, because the client may have packed them, and it begins with a few. Over HTTP/1.x every
// request brings all that it says.
func Paid(r *http.Request, bytes int) bool {
	const begins = 16 << 10
	c := connOf(r)
	if c == nil || c.cork == nil {
		return true
	}
	for {
		spent := c.spent.Load()
		if spent+int64(bytes) > begins+2*c.brought.Load() {
			return false
		}
		if c.spent.CompareAndSwap(spent, spent+int64(bytes)) {
			return true
		}
	}
}

// tlsOf is the TLS state of a request's connection, nil where there is none.
func tlsOf(r *http.Request) *tls.ConnectionState {
	c := connOf(r)
	if c == nil || c.tls == nil {
		return nil
	}
	state := c.tls.ConnectionState()
	return &state
}
