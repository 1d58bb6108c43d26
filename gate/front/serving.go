package front

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"gate421/gate/http1/server"
)

// serving is the state of a Server while it serves.
type serving struct {
	*Server
	limits Limits
	slots  *slots
	base   context.Context // of every request
	end    context.CancelFunc
	log    *log.Logger
	tls    *tls.Config

	http1, plain *server.Server
	http2        func(context.Context, *tls.Conn) // serves a connection until it ends
	sendGoAway   func()                           // sends GOAWAY to every HTTP/2 connection

	accepting             sync.WaitGroup // the listeners' loops
	requests, connections running

	mu   sync.Mutex
	open map[*conn]struct{}
}

func (s *Server) serving(ctx context.Context) *serving {
	v := &serving{
		Server: s, limits: s.Limits.withDefaults(), open: map[*conn]struct{}{},
		log: log.New(noiseFilter{s.ErrorLog}, "", 0),
	}
	v.base, v.end = context.WithCancel(ctx)
	v.tls = &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   cipherSuites(),
		NextProtos:     []string{"h2", "http/1.1", "acme-tls/1"},
		GetCertificate: chosenCertificate,
		// It returns nil, so this configuration stays in force, with "acme-tls/1".
		GetConfigForClient: s.chooseCertificate,
	}
	v.slots = newSlots(s, v.limits)
	handler := v.countRequests(s.limitRequests(s.Handler, v.limits))
	v.http1 = v.server(handler)
	v.plain = v.server(v.countRequests(s.limitRequests(http.HandlerFunc(s.servePlain), v.limits)))
	v.http2, v.sendGoAway = serveHTTP2(handler, v.limits, &s.counts, v.log)
	return v
}

// server returns a server of HTTP/1.x.
func (s *serving) server(handler http.Handler) *server.Server {
	return &server.Server{
		Handler: handler, Log: s.log,
		HeaderBytes: s.limits.HeaderBytes, HeaderTime: s.limits.HeaderTime, IdleTime: s.limits.IdleTime,
		OnFirstByte: s.counts.onFirstByte, OnState: s.counts.onHTTP1State, OnReject: s.counts.onReject,
	}
}

// accept serves the connections of a listener until that fails. When there are no file descriptors or no memory left,
// it pauses and tries again.
func (s *serving) accept(l *listener, serve func(*conn) (taken bool)) error {
	const least, most = 5 * time.Millisecond, time.Second
	for pause := time.Duration(0); ; {
		c, err := l.accept()
		switch {
		case err == nil:
			pause = 0
			s.connections.add()
			go s.serve(c, serve)
			continue
		case temporary(err) && !s.draining.Load():
			pause = min(max(2*pause, least), most)
			if !l.admission.evictForFiles(err) {
				s.log.Printf("accepting a connection: %s; trying again in %v", err, pause)
			}
		default:
			return err
		}
		select {
		case <-time.After(pause):
		case <-l.closed:
		}
	}
}

// temporary says whether the next accept may succeed after this error. Linux also returns network errors of a
// connection that was not accepted yet (accept(2), "Error handling").
func temporary(err error) bool {
	var named interface{ Temporary() bool }
	if errors.As(err, &named) && named.Temporary() {
		return true
	}
	for _, one := range []syscall.Errno{
		syscall.ENOMEM, syscall.ENOBUFS, syscall.EPERM, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.ENETDOWN,
		syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH,
	} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// serve serves one connection. It counts as open for as long as a handler that has hijacked it holds it.
func (s *serving) serve(c *conn, serve func(*conn) (taken bool)) {
	c.slots = s.slots
	s.mu.Lock()
	s.open[c] = struct{}{}
	s.mu.Unlock()
	onClose := func() {
		s.counts.onClose(c)
		if c.onClose != nil {
			c.onClose()
		}
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		s.connections.done()
	}
	if s.serveRecovering(c, serve) {
		c.whenClosed(onClose)
		return
	}
	c.Close()
	onClose()
}

// serveRecovering keeps a panic outside of handlers, for example in Server.Certificate, from ending the process.
func (s *serving) serveRecovering(c *conn, serve func(*conn) (taken bool)) (taken bool) {
	defer func() {
		if caught := recover(); caught != nil {
			s.log.Printf("panic serving %v: %s\n%s", c.Conn.RemoteAddr(), caught, debug.Stack())
		}
	}()
	return serve(c)
}

// closeAll closes every connection.
func (s *serving) closeAll() {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

// http serves plain HTTP.
func (s *serving) http(c *conn) (taken bool) {
	s.counts.onAccept(c, protocolPlain)
	c.setEvict(func() bool { return s.plain.CloseWaiting(c, graceTime) })
	return s.plain.Serve(withConn(s.base, c), c, nil)
}

// https serves the protocol that the TLS handshake negotiates.
func (s *serving) https(c *conn) (taken bool) {
	s.counts.onAccept(c, protocolNone)
	c.RemoteAddr() // a PROXY header has its own HeaderTime
	secure := tls.Server(c, s.tls)
	c.tls = secure
	secure.SetDeadline(time.Now().Add(s.limits.HeaderTime))
	if err := secure.Handshake(); err != nil {
		rejectPlainHTTP(err)
		return false
	}
	secure.SetDeadline(time.Time{})
	c.handshaken = true
	c.setClass(classHandshake)
	state := secure.ConnectionState()
	switch ctx := s.context(c); state.NegotiatedProtocol {
	case "h2":
		s.http2(ctx, secure)
	case "acme-tls/1": // TLS-ALPN-01: the certificate is the response
		secure.Close()
	default:
		c.setEvict(func() bool { return s.http1.CloseWaiting(secure, graceTime) })
		return s.http1.Serve(ctx, secure, &state)
	}
	return false
}

// rejectPlainHTTP responds 400 to a client that speaks HTTP where TLS is expected.
func rejectPlainHTTP(err error) {
	var header tls.RecordHeaderError
	if !errors.As(err, &header) || header.Conn == nil {
		return
	}
	switch string(header.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\n"+
			"Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+
			"400: this port speaks HTTPS, and the request came as HTTP.\n")
		header.Conn.Close()
	}
}
