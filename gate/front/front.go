// Package front answers one question: who is at the door, over which protocol, and for how long may they stay?
//
// It owns the sockets: TLS with HTTP/1.1 and HTTP/2 on one listener, plain HTTP (ACME's HTTP-01 and whatever handler is
// behind it) on the other. It hands on an http.Handler's requests and knows nothing of sites, crawlers or decisions.
//
// HTTP/2 is served by golang.org/x/net/http2 and by nothing else: the copy bundled with Go 1.26 has published holes in
// its earlier patch releases. HTTP/1.x is served by package http1: net/http's server has dropped by the time that a handler is
// called what tells an ambiguous request from a clear one. A test looks at who serves.
//
// Every connection carries what its certificate covers, so that [Covers] can say whether a request belongs on it.
//
// # Who the client is
//
// It is the socket's peer. Where that is one of Server.Balancers, the connection has to begin with a PROXY header, version 1 or
// 2, and the client is whom that names: from then on the request's RemoteAddr, Accepted and the limits know no other. What is
// malformed, longer than 4 KiB or not there within Limits.HeaderTime ends the connection. LOCAL, UNKNOWN and a Unix socket's
// client leave the balancer's own address. A header's TLVs have to be whole, and are not used: ALPN and authority tell what a
// balancer agreed with a client whose TLS it ended, and here no TLS is ended but our own, which knows both. From anyone else a
// PROXY header is not TLS, and ends the handshake. Headers of HTTP are not looked at here.
//
// # What a client may hold
//
// [Limits] says it. A stream that is opened and reset at once still runs its handler, never more than Limits.Streams at a time; when
// four times as many wait, or when 500 streams more were reset within a second and before their response than were answered, whoever
// reset them, the connection ends with ENHANCE_YOUR_CALM. Control frames are answered one for one until 10,000 answers wait. What the engine answers by itself (400 and
// 431) ends with its connection if the client does not take it.
//
// Where all connections are taken, one without a request makes way for a new one: of the network (IPv4 /24, IPv6 /48) that has
// most, the one that has shown least (no TLS hello, then no request, then idle for longest). Idle HTTP/2 connections get GOAWAY, and
// whatever was asked before that arrives is answered. A connection with a request under way stays.
//
// # The end
//
// Whoever was let in is answered: see drain. With sockets that somebody else holds open, a restart turns nobody away.
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

// Limits bound what one client can hold. Each zero value means the default in brackets.
type Limits struct {
	HeaderBytes      int           // a request's header in all, give or take 4 KiB; beyond, 431 or the connection's end [32 KiB]
	HeaderTime       time.Duration // a TLS handshake, and after it each HTTP/1.x header; HTTP/2's preface has 10 s [10 s]
	IdleTime         time.Duration // a connection without a request [120 s]
	PingAfter        time.Duration // HTTP/2: silence before a ping [30 s]
	PingTime         time.Duration // HTTP/2: its answer [15 s]
	WriteTime        time.Duration // the socket takes nothing, or less than StallBytes would have it; a closed HTTP/2 window is something else [60 s]
	Streams          uint32        // HTTP/2: at once on a connection [100]
	FrameBytes       uint32        // HTTP/2: largest frame taken, 16 KiB to 16 MiB - 1 [16 KiB]
	StreamWindow     int32         // HTTP/2: bytes taken before the handler reads, a stream [256 KiB]
	ConnectionWindow int32         // HTTP/2: the same, a connection, 64 KiB at least [1 MiB]
	DrainTime        time.Duration // how long open requests may go on after the end was announced [30 s]

	HeaderFields int // of a request; beyond, 431 [128]
	// Bodies of requests with a Content-Length, and of responses: while one is waited for, StallBytes have to get through in every
	// StallTime, or its HTTP/2 stream is reset, its HTTP/1.x connection closed. Silence of a handler is none. [60 s, 64 KiB]
	StallTime  time.Duration
	StallBytes int
	// StreamIdleTime is for request bodies without a length, chunked or HTTP/2's: they may come byte by byte, for they are one side
	// of a conversation (gRPC, a log that is followed). Until the response has begun a byte has to come in every so much time; from
	// then on silence may last for ever. That the client is there at all, pings and TCP's keep-alives find out. [10 min]
	StreamIdleTime time.Duration
	// Connections are those open at once, of both listeners. Beyond, one without a request makes way, see below; where there is
	// none, new ones wait in the kernel's queue. [16,384]
	Connections int
	// ConnectionsPerAddress are those of one IPv4 address or IPv6 /64; an IPv4 /24 or IPv6 /48 may have half of Connections.
	// Beyond, one of their own without a request makes way; where there is none, new ones are closed unanswered. [4,096]
	ConnectionsPerAddress int
	// RequestsPerAddress are those of one IPv4 address or IPv6 /64 that sites' own servers work on; of one connection there are as
	// many as Streams. Beyond, they wait, for HeaderTime at most: see Admit. [1,024]
	RequestsPerAddress int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		HeaderBytes: cmp.Or(l.HeaderBytes, 32<<10), HeaderTime: cmp.Or(l.HeaderTime, 10*time.Second), IdleTime: cmp.Or(l.IdleTime, 120*time.Second),
		PingAfter: cmp.Or(l.PingAfter, 30*time.Second), PingTime: cmp.Or(l.PingTime, 15*time.Second), WriteTime: cmp.Or(l.WriteTime, 60*time.Second),
		Streams: cmp.Or(l.Streams, 100), FrameBytes: cmp.Or(l.FrameBytes, 16<<10), StreamWindow: cmp.Or(l.StreamWindow, 256<<10),
		ConnectionWindow: cmp.Or(l.ConnectionWindow, 1<<20), DrainTime: cmp.Or(l.DrainTime, 30*time.Second),
		HeaderFields: cmp.Or(l.HeaderFields, 128), StallTime: cmp.Or(l.StallTime, 60*time.Second), StallBytes: cmp.Or(l.StallBytes, 64<<10),
		StreamIdleTime: cmp.Or(l.StreamIdleTime, 10*time.Minute),
		Connections:    cmp.Or(l.Connections, 16384), ConnectionsPerAddress: cmp.Or(l.ConnectionsPerAddress, 4096),
		RequestsPerAddress: cmp.Or(l.RequestsPerAddress, 1024),
	}
}

// Server is the door. All fields are set before Serve and not changed after.
type Server struct {
	Handler http.Handler // https
	Plain   http.Handler // plain HTTP; nil: 404
	// Certificate picks a connection's certificate; it must be quick and do no I/O. It returns nil and no error for a
	// name that is not served here, which ends the handshake with the alert unrecognized_name.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Accepted is told the address of every client that connects to the https listener, before anything but a PROXY header is
	// read. It must not block: it runs in the accept loop. nil: nobody is told.
	Accepted func(netip.Addr)
	// ConnContext makes the context of the requests of a connection to the https listener out of another, when its
	// handshake is over. onClose is called when the connection has ended; nil: nobody is. A nil ConnContext changes
	// nothing.
	ConnContext func(ctx context.Context, client netip.Addr) (_ context.Context, onClose func())
	// Balancers are the networks of TCP load balancers: connections from there have to begin with a PROXY header.
	Balancers []netip.Prefix
	// Proxies are the networks of HTTP proxies, each of which speaks for many clients: Limits.ConnectionsPerAddress is not for
	// them, as it is not for addresses of this machine and of private networks.
	Proxies []netip.Prefix
	// Challenge answers ACME HTTP-01 requests on the plain listener and says whether it did. nil: there are none.
	Challenge func(http.ResponseWriter, *http.Request) bool
	Limits    Limits
	// OnLimit is told when a limit on connections begins to be enforced, and how that goes on. It is called in a goroutine of its
	// own. nil: nobody is told.
	OnLimit func(LimitNotice)
	// Trouble takes messages that an operator should see, one a Write; what any port on the internet sees all day (failed
	// handshakes, garbage) is kept out. nil: dropped.
	Trouble io.Writer

	counts   counts
	notices  atomic.Pointer[notices] // nil: it does not serve yet
	draining atomic.Bool
}

// Serve serves on both listeners (plain may be nil) until ctx ends, then drains: it stops accepting, sends GOAWAY, lets
// open requests finish for Limits.DrainTime, upgraded connections among them, closes what is left and ends its contexts. It
// returns nil after a drain, however it went, and an error if a listener failed. The listeners are closed in any case.
func (s *Server) Serve(ctx context.Context, secure, plain net.Listener) error {
	v := s.serving(context.WithoutCancel(ctx))
	defer v.end()
	admission := newAdmission(s, v.limits)
	s.notices.Store(admission.notices)
	defer admission.notices.end()
	https := admission.listen(secure, s.Accepted)
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

// suites are those of TLS 1.2 that nobody has complained about: forward secret and authenticated. TLS 1.3 has no others.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// counted hands requests on, and counts them while they are open. The HTTP/2 server withholds the TLS state from a request whose
// :scheme says http, whatever connection it came on.
func (v *serving) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			widen()
		}
		if r.TLS == nil {
			r.TLS = tlsOf(r)
		}
		if r.ProtoMajor == 2 && v.draining.Load() { // a connection that came at the last moment has not been told yet
			w.Header().Set("Connection", "close")
		}
		if r.ProtoMajor == 2 {
			if c := connOf(r); c != nil {
				defer c.streams.leave(c.streams.enter())
			}
		}
		open := v.counts.requestsOf(r)
		open.Add(1)
		v.requests.enter()
		defer func() {
			v.requests.leave()
			open.Add(-1)
		}()
		next.ServeHTTP(w, r)
	})
}

// widen makes the stack of a goroutine large enough for a request. The engine begins one for every request, and Go gives it the
// smallest stack: to let that grow where it has to costs two copies of all that is on it by then, a tenth of a request.
//
//go:noinline
func widen() {
	var room [5 << 10]byte
	occupy(room[:])
}

//go:noinline
func occupy([]byte) {}

// answerPlain is what answers over plain HTTP.
func (s *Server) answerPlain(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.Challenge != nil && s.Challenge(w, r):
	case s.Plain != nil:
		s.Plain.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// quiet keeps the internet's background noise out of the error log.
type quiet struct{ out io.Writer }

func (q quiet) Write(line []byte) (int, error) {
	if q.out == nil {
		return len(line), nil
	}
	for _, noise := range []string{
		"http2: server: error reading preface",
		"http2: server connection error", "http2: server closing client connection", "http2: received GOAWAY", "timeout waiting for ",
	} {
		if bytes.HasPrefix(line, []byte(noise)) {
			return len(line), nil
		}
	}
	// Whose request it was is in the decision log, as far as that may say it.
	if before, rest, found := bytes.Cut(line, []byte("panic serving ")); found {
		if _, what, found := bytes.Cut(rest, []byte(": ")); found {
			_, err := q.out.Write(slices.Concat(before, []byte("panic serving a client: "), what))
			return len(line), err
		}
	}
	return q.out.Write(line)
}
