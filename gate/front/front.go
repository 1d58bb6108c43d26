// Package front answers one question: which connections are open, over which protocol, and for how long?
//
// It owns the sockets: TLS with HTTP/1.1 and HTTP/2 on one listener, plain HTTP (ACME's HTTP-01 and Server.Plain) on
// the other. It passes requests to an http.Handler and knows nothing of sites, crawlers or decisions.
//
// HTTP/2 is served by golang.org/x/net/http2 and by nothing else: the copy bundled with Go 1.26 has published holes in
// its earlier patch releases. HTTP/1.x is served by package http1/server: net/http's server has dropped, by the time a
// handler is called, what tells an ambiguous request from a clear one. A test checks who serves.
//
// Every connection remembers its certificate, so that [Covers] can say whether a request belongs on it.
//
// # Who the client is
//
// The client is the socket's peer. If that is one of Server.Balancers, the connection has to begin with a PROXY
// header, version 1 or 2, and the client is the one named there: RemoteAddr, OnAccept and the limits see no other. A
// header that is malformed, longer than 4 KiB or not there within Limits.HeaderTime ends the connection. LOCAL,
// UNKNOWN and a Unix socket's client leave the balancer's own address. TLVs have to be well-formed and are not used:
// ALPN and authority say what a balancer negotiated when it terminated TLS, and here TLS is terminated by this server.
// From anyone else a PROXY header is not TLS and ends the handshake. HTTP header fields about the client are not read
// here.
//
// # What a client may hold
//
// See [Limits]. A stream that is opened and reset at once still runs its handler, never more than Limits.Streams at a
// time. The connection ends with ENHANCE_YOUR_CALM when four times as many streams wait for a handler, or when, of
// streams reset by either side within a second and before their response, there are 500 more than of streams that got
// one. Control frames are answered one for one until 10,000 answers wait. Responses of the HTTP/2 engine itself (400
// and 431) end with their connection if the client does not take them.
//
// At a limit on connections, an idle one is closed for a new one: of the network (IPv4 /24, IPv6 /48) with most
// connections, first those without a TLS hello, then those without a request, then the one idle for longest. Idle
// HTTP/2 connections get GOAWAY, and requests sent before that arrives get their responses. A connection with a
// request under way stays.
//
// # Shutdown
//
// An accepted connection that sends its request within 2 s gets a response: see serving.drain. If another process holds
// the sockets open, a restart rejects no connection.
package front

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Limits bound what one client can hold. A zero value means the default in brackets.
type Limits struct {
	HeaderBytes      int           // a request's header, give or take 4 KiB; beyond, 431 or the connection ends [32 KiB]
	HeaderTime       time.Duration // a TLS handshake, and each HTTP/1.x header; HTTP/2's preface has 10 s [10 s]
	IdleTime         time.Duration // a connection without a request [120 s]
	PingAfter        time.Duration // HTTP/2: silence before a ping [30 s]
	PingTime         time.Duration // HTTP/2: until its answer [15 s]
	WriteTime        time.Duration // the socket takes less than StallBytes; not for closed HTTP/2 windows [60 s]
	Streams          uint32        // HTTP/2: open at once on a connection [100]
	FrameBytes       uint32        // HTTP/2: largest frame accepted, 16 KiB to 16 MiB - 1 [16 KiB]
	StreamWindow     int32         // HTTP/2: bytes accepted before the handler reads, per stream [256 KiB]
	ConnectionWindow int32         // HTTP/2: the same per connection, at least 64 KiB [1 MiB]
	DrainTime        time.Duration // for open requests to finish during shutdown [30 s]

	HeaderFields int // of a request; beyond, 431 [128]
	// StallTime and StallBytes are for bodies of requests with a Content-Length, and of responses: while the client is
	// waited for, StallBytes have to get through in every StallTime, or the HTTP/2 stream is reset or the HTTP/1.x
	// connection closed. Time in which the handler does not read or write does not count. [60 s, 64 KiB]
	StallTime  time.Duration
	StallBytes int
	// StreamIdleTime is for request bodies without a length, chunked or over HTTP/2, which may be one side of a
	// conversation (gRPC, a log that is followed). Until the response has begun, a byte has to come in every
	// StreamIdleTime; after that there is no limit, and pings and TCP keep-alives find out whether the client is
	// there. [10 min]
	StreamIdleTime time.Duration
	// Connections are those open at once, over both listeners. Beyond, an idle one is closed for a new one; if there is
	// none, new ones wait in the kernel's queue. [16,384]
	Connections int
	// ConnectionsPerAddress are those of one IPv4 address or IPv6 /64; an IPv4 /24 or IPv6 /48 may have half of
	// Connections. Beyond, one of the client's own idle connections is closed for a new one; if there is none, the new
	// one is closed without a response. [4,096]
	ConnectionsPerAddress int
	// RequestsPerAddress are those of one IPv4 address or IPv6 /64 under way at the sites' own servers; of one
	// connection there are at most Streams. Beyond, they wait, for HeaderTime at most: see Admit. [1,024]
	RequestsPerAddress int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		HeaderBytes: cmp.Or(l.HeaderBytes, 32<<10), HeaderTime: cmp.Or(l.HeaderTime, 10*time.Second),
		IdleTime: cmp.Or(l.IdleTime, 120*time.Second), PingAfter: cmp.Or(l.PingAfter, 30*time.Second),
		PingTime: cmp.Or(l.PingTime, 15*time.Second), WriteTime: cmp.Or(l.WriteTime, 60*time.Second),
		Streams: cmp.Or(l.Streams, 100), FrameBytes: cmp.Or(l.FrameBytes, 16<<10),
		StreamWindow: cmp.Or(l.StreamWindow, 256<<10), ConnectionWindow: cmp.Or(l.ConnectionWindow, 1<<20),
		DrainTime: cmp.Or(l.DrainTime, 30*time.Second), HeaderFields: cmp.Or(l.HeaderFields, 128),
		StallTime: cmp.Or(l.StallTime, 60*time.Second), StallBytes: cmp.Or(l.StallBytes, 64<<10),
		StreamIdleTime: cmp.Or(l.StreamIdleTime, 10*time.Minute),
		Connections:    cmp.Or(l.Connections, 16384), ConnectionsPerAddress: cmp.Or(l.ConnectionsPerAddress, 4096),
		RequestsPerAddress: cmp.Or(l.RequestsPerAddress, 1024),
	}
}

// Server serves HTTP/1.x and HTTP/2 on two listeners. Its fields are set before Serve and not changed after.
type Server struct {
	Handler http.Handler // https
	Plain   http.Handler // plain HTTP; nil: 404
	// Certificate picks a connection's certificate. It must be quick and do no I/O. nil and no error mean a name that
	// is not served here: the handshake ends with the alert unrecognized_name.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// OnAccept is called with the address of every client that connects to the https listener, before anything but a
	// PROXY header is read. It must not block: it may run in the accept loop. nil: not called.
	OnAccept func(netip.Addr)
	// ConnContext derives the context of the requests of a connection to the https listener, after its handshake.
	// onClose is called when the connection has ended; nil: not called. nil: the context stays as it is.
	ConnContext func(ctx context.Context, client netip.Addr) (_ context.Context, onClose func())
	// Balancers are the networks of TCP load balancers: connections from there have to begin with a PROXY header.
	Balancers []netip.Prefix
	// Proxies are the networks of HTTP proxies, each of which speaks for many clients. Limits.ConnectionsPerAddress
	// does not apply to them, nor to loopback, private and link-local addresses.
	Proxies []netip.Prefix
	// Challenge responds to ACME HTTP-01 requests on the plain listener and says whether it did. nil: none.
	Challenge func(http.ResponseWriter, *http.Request) bool
	Limits    Limits
	// OnLimit is called when a limit on connections begins to be enforced, while that goes on, and when it ends, in a
	// goroutine of its own. nil: not called.
	OnLimit func(LimitNotice)
	// ErrorLog gets messages for the operator, one per Write. What every public port sees all day (failed handshakes,
	// garbage) is left out. nil: dropped.
	ErrorLog io.Writer

	counts   counts
	notices  atomic.Pointer[notices] // nil: Serve has not been called
	draining atomic.Bool
}

// Serve serves on both listeners (plain may be nil) until ctx ends, then drains: it stops accepting, sends GOAWAY,
// gives connections that have not sent a request up to 2 s for it, lets open requests and hijacked connections finish
// for Limits.DrainTime, then closes what is left and ends its contexts. It returns nil after a drain, however that
// went, and an error if a listener failed. It always closes the listeners.
func (s *Server) Serve(ctx context.Context, secure, plain net.Listener) error {
	v := s.serving(context.WithoutCancel(ctx))
	defer v.end()
	admission := newAdmission(s, v.limits)
	s.notices.Store(admission.notices)
	defer admission.notices.end()
	https := admission.listen(secure, s.OnAccept)
	listeners := []*listener{https}
	failed := make(chan error, 2)
	v.accepting.Go(func() { failed <- v.accept(https, v.https) })
	if plain != nil {
		http := admission.listen(plain, nil)
		listeners = append(listeners, http)
		v.accepting.Go(func() { failed <- v.accept(http, v.http) })
	}
	var err error
	left := len(listeners)
	select {
	case <-ctx.Done():
	case err = <-failed:
		left--
	}
	v.drain(listeners)
	for range left {
		if e := <-failed; err == nil && !errors.Is(e, net.ErrClosed) {
			err = e
		}
	}
	return err
}

// cipherSuites are the TLS 1.2 suites without known weaknesses (AEAD, forward secret). TLS 1.3 has no others.
func cipherSuites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// countRequests counts requests while they are open. It also sets Request.TLS, which the HTTP/2 engine leaves nil
// where :scheme is http, whatever the connection.
func (s *serving) countRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			widen()
		}
		if r.TLS == nil {
			r.TLS = tlsOf(r)
		}
		if r.ProtoMajor == 2 && s.draining.Load() { // the connection may have begun after GOAWAY was sent
			w.Header().Set("Connection", "close")
		}
		if r.ProtoMajor == 2 {
			if c := connOf(r); c != nil {
				defer c.streams.leave(c.streams.enter())
			}
		}
		open := s.counts.requestsOf(r)
		open.Add(1)
		s.requests.add()
		defer func() {
			s.requests.done()
			open.Add(-1)
		}()
		next.ServeHTTP(w, r)
	})
}

// widen makes the stack of a goroutine large enough for a request. The engine begins one for every request, and Go
// gives it the smallest stack: to let that grow where it has to costs two copies of all that is on it by then, a tenth
// of a request.
//
//go:noinline
func widen() {
	var room [5 << 10]byte
	occupy(room[:])
}

//go:noinline
func occupy([]byte) {}

// servePlain handles requests over plain HTTP.
func (s *Server) servePlain(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.Challenge != nil && s.Challenge(w, r):
	case s.Plain != nil:
		s.Plain.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// noiseFilter drops log lines that every public server sees, and clients' addresses.
type noiseFilter struct{ out io.Writer }

func (n noiseFilter) Write(line []byte) (int, error) {
	if n.out == nil {
		return len(line), nil
	}
	for _, noise := range []string{
		"http2: server: error reading preface",
		"http2: server connection error", "http2: server closing client connection", "http2: received GOAWAY",
		"timeout waiting for ",
	} {
		if bytes.HasPrefix(line, []byte(noise)) {
			return len(line), nil
		}
	}
	// The client is in the decision log, as far as privacy settings allow.
	if before, rest, found := bytes.Cut(line, []byte("panic serving ")); found {
		if _, what, found := bytes.Cut(rest, []byte(": ")); found {
			_, err := n.out.Write(slices.Concat(before, []byte("panic serving a client: "), what))
			return len(line), err
		}
	}
	return n.out.Write(line)
}
