package front

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"strings"
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
	greeted  bool        // a ClientHello came
	protocol int         // written by the goroutine that net/http serves it in
	taken    atomic.Bool // by a handler, and not yet closed
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

type listener struct {
	net.Listener
	accepted func(netip.Addr)
	counts   *counts
}

// Accept wraps what it accepts; it never waits for the client.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if peer, ok := c.RemoteAddr().(*net.TCPAddr); ok && l.accepted != nil {
		l.accepted(peer.AddrPort().Addr().Unmap().WithZone(""))
	}
	return &conn{Conn: c, counts: l.counts}, nil
}

// hello picks the certificate, and notes which it is. It runs for every handshake; GetCertificate would not, where a TLS
// 1.3 session is resumed.
func (s *Server) hello(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c := hello.Conn.(*conn)
	c.greeted = true
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

func withConn(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		if inner, ok := t.NetConn().(*conn); ok {
			inner.tls = t
			return context.WithValue(ctx, connKey{}, inner)
		}
	}
	return ctx
}

// Covers says whether the certificate of a request's connection covers a host, a lower-case name without port. On a
// session that was resumed it is the certificate that the client would be shown now for the name it gave. It is true
// where there is no certificate to look at: a request is never turned away for what is not known.
func Covers(r *http.Request, host string) bool {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok || r.TLS == nil || host != "" && strings.EqualFold(host, r.TLS.ServerName) {
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

// tlsOf is the TLS state of a request's connection, nil where there is none.
func tlsOf(r *http.Request) *tls.ConnectionState {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok || c.tls == nil {
		return nil
	}
	state := c.tls.ConnectionState()
	return &state
}
