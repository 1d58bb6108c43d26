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

// serving is a Server while it serves.
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
	goodbye      func()                           // sends GOAWAY to every HTTP/2 connection

	accepting             sync.WaitGroup // the listeners' loops
	requests, connections running

	mu   sync.Mutex
	open map[*conn]struct{}
}

func (s *Server) serving(ctx context.Context) *serving {
	v := &serving{Server: s, limits: s.Limits.withDefaults(), open: map[*conn]struct{}{}, log: log.New(quiet{s.Trouble}, "", 0)}
	v.base, v.end = context.WithCancel(ctx)
	v.tls = &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   suites(),
		NextProtos:     []string{"h2", "http/1.1", "acme-tls/1"},
		GetCertificate: certificate,
		// It keeps this very configuration, "acme-tls/1" included.
		GetConfigForClient: s.hello,
	}
	v.slots = newSlots(s, v.limits)
	handler := v.counted(s.bounded(s.Handler, v.limits))
	v.http1 = v.server(handler)
	v.plain = v.server(v.counted(s.bounded(http.HandlerFunc(s.answerPlain), v.limits)))
	v.http2, v.goodbye = serveHTTP2(handler, v.limits, &s.counts, v.log)
	return v
}

// server is one for HTTP/1.x.
func (v *serving) server(handler http.Handler) *server.Server {
	return &server.Server{
		Handler: handler, HeaderBytes: v.limits.HeaderBytes, HeaderTime: v.limits.HeaderTime, IdleTime: v.limits.IdleTime, Log: v.log,
		OnFirstByte: v.counts.begun, OnState: v.counts.answered, OnReject: v.counts.rejected,
	}
}

// accept serves what a listener lets in. When there are no more file descriptors, or no memory, it waits for some.
func (v *serving) accept(l *listener, serve func(*conn) (taken bool)) error {
	const least, most = 5 * time.Millisecond, time.Second
	for pause := time.Duration(0); ; {
		c, err := l.accept()
		switch {
		case err == nil:
			pause = 0
			v.connections.enter()
			go v.serve(c, serve)
			continue
		case passing(err) && !v.draining.Load():
			pause = min(max(2*pause, least), most)
			if !l.admission.lacksFiles(err) {
				v.log.Printf("accepting a connection: %v; trying again in %v", err, pause)
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

// passing says whether the next connection may be accepted all the same. What a network had to say of a connection that was not
// accepted yet comes here, too (accept(2), under "Error handling").
func passing(err error) bool {
	var named interface{ Temporary() bool }
	if errors.As(err, &named) && named.Temporary() {
		return true
	}
	for _, one := range []syscall.Errno{
		syscall.ENOMEM, syscall.ENOBUFS, syscall.EPERM, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.ENETDOWN, syscall.ENETUNREACH,
		syscall.EHOSTDOWN, syscall.EHOSTUNREACH,
	} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// serve serves one connection. It is open for as long as a handler that has taken it over holds it.
func (v *serving) serve(c *conn, serve func(*conn) (taken bool)) {
	c.slots = v.slots
	v.mu.Lock()
	v.open[c] = struct{}{}
	v.mu.Unlock()
	left := func() {
		v.counts.went(c)
		if c.onClose != nil {
			c.onClose()
		}
		v.mu.Lock()
		delete(v.open, c)
		v.mu.Unlock()
		v.connections.leave()
	}
	if v.guarded(c, serve) {
		c.whenClosed(left)
		return
	}
	c.Close()
	left()
}

// guarded serves a connection so that nothing that panics on the way to a handler, such as whoever has the certificates, takes the
// others with it.
func (v *serving) guarded(c *conn, serve func(*conn) (taken bool)) (taken bool) {
	defer func() {
		if caught := recover(); caught != nil {
			v.log.Printf("panic serving %v: %v\n%s", c.Conn.RemoteAddr(), caught, debug.Stack())
		}
	}()
	return serve(c)
}

// cut closes every connection.
func (v *serving) cut() {
	v.mu.Lock()
	open := slices.Collect(maps.Keys(v.open))
	v.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

// http serves plain HTTP.
func (v *serving) http(c *conn) (taken bool) {
	v.counts.came(c, protocolPlain)
	c.yields(func() bool { return v.plain.CloseWaiting(c, settleTime) })
	return v.plain.Serve(withConn(v.base, c), c, nil)
}

// https serves what the client and we agree on.
func (v *serving) https(c *conn) (taken bool) {
	v.counts.came(c, protocolNone)
	c.RemoteAddr() // a balancer's introduction has a time of its own
	secure := tls.Server(c, v.tls)
	c.tls = secure
	secure.SetDeadline(time.Now().Add(v.limits.HeaderTime))
	if err := secure.Handshake(); err != nil {
		answerPlainly(err)
		return false
	}
	secure.SetDeadline(time.Time{})
	c.shaken = true
	c.become(classHandshake)
	state := secure.ConnectionState()
	switch ctx := v.context(c); state.NegotiatedProtocol {
	case "h2":
		v.http2(ctx, secure)
	case "acme-tls/1": // the certificate was the answer
		secure.Close()
	default:
		c.yields(func() bool { return v.http1.CloseWaiting(secure, settleTime) })
		return v.http1.Serve(ctx, secure, &state)
	}
	return false
}

// answerPlainly tells a client that speaks HTTP where TLS is expected.
func answerPlainly(err error) {
	var header tls.RecordHeaderError
	if !errors.As(err, &header) || header.Conn == nil {
		return
	}
	switch string(header.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+
			"400: this port speaks HTTPS, and the request came as HTTP.\n")
		header.Conn.Close()
	}
}
