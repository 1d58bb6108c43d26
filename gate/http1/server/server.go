// Package server serves HTTP/1.x to clients. It answers one question: what does a client ask, so that nobody could read
// it in another way?
//
// It serves one connection at a time in the caller's goroutine. A request's head is read whole and strictly before the
// handler is called; an ambiguous request is rejected with an error response and the connection closed, so that what
// follows is never taken for a request:
//
//	400  a request line that is not METHOD SP TARGET SP HTTP/1.x; a control character, a blank before a colon, a folded line;
//	     no Host in HTTP/1.1, more than one, or one that is none; Content-Length that is no number, or more than one;
//	     Transfer-Encoding beside Content-Length, in HTTP/1.0, malformed, or without chunked at its end; a target with a
//	     fragment, which some servers cut off and others take for a part of the path
//	414  a target that alone is more than HeaderBytes
//	417  an Expect that is not 100-continue
//	431  a head of more than HeaderBytes
//	501  a transfer coding beside chunked
//	505  another major version
//
// Lines of a head may end in LF alone, lines of a chunked body may not. Nothing is guessed or added but Date and what
// says where the body ends: no Content-Type, no Cache-Control. Fields are written in the order of their names.
//
// A handler may read the request's body while it writes the response (full duplex). The request's context ends when the
// client leaves, which is watched for from the first call of its Done on: a handler that does not wait for it costs no
// second goroutine. It ends when the handler returns in any case.
//
// A response of unknown length is chunked, and ends with the connection in HTTP/1.0. One that its handler ends with
// http.ErrAbortHandler, or that is shorter than its Content-Length, is cut off without TLS's close_notify, so that it
// cannot look whole.
package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"gate421/gate/http1"
)

// Server serves connections. All fields are set before Serve and not changed after. It is safe for any number of
// goroutines.
type Server struct {
	Handler     http.Handler
	HeaderBytes int           // of a request's head; more is rejected with 431
	HeaderTime  time.Duration // for a head, from its first byte; for the first one from Serve
	IdleTime    time.Duration // between requests
	Log         *log.Logger   // takes reports of handlers that panic; nil: they are dropped
	// OnFirstByte is called at every connection's first byte, in the goroutine of Serve. nil: it is not.
	OnFirstByte func(net.Conn)
	// OnState is called when a request's head has been read (http.StateActive) and when the next one is waited for
	// (http.StateIdle), in the goroutine of Serve. nil: it is not.
	OnState func(net.Conn, http.ConnState)
	// OnReject is called with the status of every response that is sent without the Handler, by the list above. nil: it
	// is not.
	OnReject func(status int)

	ending    atomic.Bool
	lingering atomic.Int64 // connections
	mu        sync.Mutex
	open      map[net.Conn]*conn
	buffers   sync.Pool // of *[]byte, where responses are put together
	date      atomic.Pointer[dateField]
}

// conn is one connection.
type conn struct {
	server *Server
	net.Conn
	secure *tls.ConnectionState // nil: without TLS
	remote string
	base   context.Context
	reader deadlineReader
	r      *bufio.Reader
	head   []byte   // of the request, while it is read
	names  []string // of a response's fields, to sort them
	state  atomic.Int32
}

// What a connection is doing.
const (
	waiting = iota // for a request
	reading        // the head of one
	busy           // with one
	ended          // it is to be closed, for it waited
)

// Serve serves c until it ends, and closes it unless a handler has hijacked it, which taken reports. secure is the
// state of its TLS, nil where there is none. Contexts of requests are made of ctx.
func (s *Server) Serve(ctx context.Context, c net.Conn, secure *tls.ConnectionState) (taken bool) {
	k := &conn{server: s, Conn: c, secure: secure, base: ctx, remote: c.RemoteAddr().String()}
	k.reader.conn, k.reader.idle, k.reader.header, k.reader.records = c, s.IdleTime, s.HeaderTime, secure != nil
	k.r = bufio.NewReaderSize(&k.reader, 4<<10)
	s.mu.Lock()
	if s.open == nil {
		s.open = map[net.Conn]*conn{}
	}
	s.open[c] = k
	s.mu.Unlock()
	how := abort
	defer func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		k.end(how)
	}()
	for first := true; ; first = false {
		if how = k.next(first); how != keepAlive {
			return how == hijacked
		}
		k.reader.enter(inIdle)
		k.state.Store(waiting)
		if s.OnState != nil {
			s.OnState(c, http.StateIdle)
		}
		if s.ending.Load() {
			how = linger // the client does not know yet, and may have asked more
			return false
		}
	}
}

// End makes every response from now on the last of its connection.
func (s *Server) End() { s.ending.Store(true) }

// CloseIdle closes the connections that wait for a request, each in its own goroutine: over TLS that may take a while.
// One whose request comes at that moment, or is in the kernel's buffer already, is served.
func (s *Server) CloseIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.open {
		k.closeIdle()
	}
}

// CloseWaiting does the same with one connection, and closes it at once if the head of a request has been arriving for
// longer than slow. It returns false if the connection is busy, or about to be.
func (s *Server) CloseWaiting(c net.Conn, slow time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.open[c]
	return k == nil || k.closeIdle() || k.state.Load() == reading && k.reader.abortSlowHead(slow)
}

// closeIdle returns false if the connection does not wait for a request. The caller holds the server's mu.
func (c *conn) closeIdle() bool {
	const moment = 50 * time.Millisecond
	if !c.state.CompareAndSwap(waiting, ended) {
		return c.state.Load() == ended
	}
	c.reader.setDeadline(time.Now().Add(moment))
	return true
}

// requestArrived reports whether a connection that was about to be closed for idleness has a request after all: on a
// busy machine the deadline may pass before anybody has looked at what came.
func (c *conn) requestArrived(err error) bool {
	const look = 5 * time.Millisecond
	if c.state.Load() != ended || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.reader.setDeadline(time.Now().Add(look))
	_, err = c.r.Peek(1)
	return err == nil
}

// outcome is what becomes of a connection after a request.
type outcome int

const (
	keepAlive     outcome = iota
	closeNormally         // it ends in order
	linger                // it ends after what the client is still sending
	abort                 // it ends at once: what was said is not whole
	hijacked              // it belongs to somebody else
)

// next serves one request.
func (c *conn) next(first bool) outcome {
	if _, err := c.r.Peek(1); err != nil && !c.requestArrived(err) {
		return closeNormally
	}
	if !c.state.CompareAndSwap(waiting, reading) { // it was to be closed, and asked first
		c.server.mu.Lock() // until CloseIdle has set its deadline
		c.state.Store(reading)
		c.reader.enter(inHead)
		c.server.mu.Unlock()
	}
	switch {
	case !first:
		c.reader.enter(inHead)
	case c.server.OnFirstByte != nil:
		c.server.OnFirstByte(c.Conn)
	}
	h, failure := c.readHead()
	if failure != nil {
		return c.reject(failure)
	}
	c.state.Store(busy)
	if c.server.OnState != nil {
		c.server.OnState(c.Conn, http.StateActive)
	}
	c.reader.enter(inBody)
	x := c.exchange(h)
	if failure := x.expect(h); failure != nil {
		return c.reject(failure)
	}
	how := x.handle()
	x.release()
	return how
}

// exchange is a request and its response.
type exchange struct {
	conn     *conn
	request  *http.Request
	spelling *http1.Spelling // of its fields' names
	context  requestContext
	body     body
	response response
}

// handle calls the handler and ends the response.
func (e *exchange) handle() (how outcome) {
	how = abort
	defer func() {
		caught := recover()
		if caught != nil {
			e.response.flushPartial()
		}
		e.context.end()
		if caught != nil && caught != http.ErrAbortHandler && e.conn.server.Log != nil {
			e.conn.server.Log.Printf("http: panic serving %v: %v\n%s", e.conn.remote, caught, debug.Stack())
		}
	}()
	e.conn.server.Handler.ServeHTTP(&e.response, e.request)
	how = e.response.end()
	if !e.context.end() && how == keepAlive {
		how = closeNormally
	}
	return how
}

// release gives the buffers back to the connection and the server.
func (e *exchange) release() {
	k := e.conn
	e.response.mu.Lock()
	defer e.response.mu.Unlock()
	e.response.ended = true
	if buffer := e.response.buffer; buffer != nil {
		e.response.buffer, e.response.out = nil, nil
		k.server.buffers.Put(buffer)
	}
	const usual = 4 << 10
	if cap(k.head) > usual {
		k.head = nil
	}
}

// end closes the connection.
func (c *conn) end(how outcome) {
	switch how {
	case hijacked:
	case abort:
		if t, ok := c.Conn.(*tls.Conn); ok {
			t.NetConn().Close()
		}
		c.Conn.Close()
	case linger:
		c.linger()
		c.Conn.Close()
	default:
		c.Conn.Close()
	}
}
