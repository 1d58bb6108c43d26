// Package server answers one question: what does a client ask over HTTP/1.x, so that nobody could read it in another way?
//
// It serves one connection at a time in the caller's goroutine. A request's head is read whole and strictly before any handler
// hears of it; what is ambiguous is answered and the connection closed, so that what comes behind it is never taken for a
// request:
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
// Lines of a head may end in LF alone, lines of a chunked body may not. Nothing is guessed or added but Date and what says
// where the body ends: no Content-Type, no Cache-Control. Fields are written in the order of their names.
//
// A handler may read the request's body while it writes the answer, also after it has begun to (full duplex). The request's
// context ends when the client leaves, which is looked for from the first call of its Done on: a handler that does not wait
// for it costs no second goroutine. It ends when the handler returns in any case.
//
// An answer of unknown length is chunked, and ends with the connection in HTTP/1.0. One that its handler ends with
// http.ErrAbortHandler, or that is shorter than its Content-Length, is cut off without TLS's goodbye, so that it cannot look
// whole.
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

// Server serves connections. All fields are set before Serve and not changed after. It is safe for any number of goroutines.
type Server struct {
	Handler     http.Handler
	HeaderBytes int           // of a request's head; more is answered 431
	HeaderTime  time.Duration // for a head, from its first byte; for the first one from Serve
	IdleTime    time.Duration // between requests
	Log         *log.Logger   // is told of handlers that panic; nil: nobody is
	// Begun is told of every connection's first byte, in the goroutine of Serve. nil: nobody is.
	Begun func(net.Conn)
	// OnState is told when a request's head has been read (http.StateActive) and when the next one is waited for
	// (http.StateIdle), in the goroutine of Serve. nil: nobody is.
	OnState func(net.Conn, http.ConnState)
	// Refused is told the status of every answer that is given without the Handler, by the list above. nil: nobody is.
	Refused func(status int)

	ending    atomic.Bool
	lingering atomic.Int64 // connections
	mu        sync.Mutex
	open      map[net.Conn]*conn
	rooms     sync.Pool // of *[]byte, where answers are put together
	date      atomic.Pointer[stamp]
}

// conn is one connection.
type conn struct {
	server *Server
	net.Conn
	secure *tls.ConnectionState // nil: without TLS
	remote string
	base   context.Context
	inlet  inlet
	r      *bufio.Reader
	head   []byte   // of the request, while it is read
	names  []string // of an answer's fields, to sort them
	state  atomic.Int32
}

// What a connection is doing.
const (
	waiting = iota // for a request
	reading        // the head of one
	busy           // with one
	ended          // it is to be closed, for it waited
)

// Serve serves c until it ends, and closes it unless a handler has taken it over; taken says that. secure is the state of its
// TLS, nil where there is none. Contexts of requests are made of ctx.
func (s *Server) Serve(ctx context.Context, c net.Conn, secure *tls.ConnectionState) (taken bool) {
	k := &conn{server: s, Conn: c, secure: secure, base: ctx, remote: c.RemoteAddr().String()}
	k.inlet.conn, k.inlet.idle, k.inlet.header, k.inlet.records = c, s.IdleTime, s.HeaderTime, secure != nil
	k.r = bufio.NewReaderSize(&k.inlet, 4<<10)
	s.mu.Lock()
	if s.open == nil {
		s.open = map[net.Conn]*conn{}
	}
	s.open[c] = k
	s.mu.Unlock()
	how := cutOff
	defer func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		k.end(how)
	}()
	for first := true; ; first = false {
		if how = k.next(first); how != goOn {
			return how == handedOver
		}
		k.inlet.enter(inIdle)
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

// End makes every answer from now on the last of its connection.
func (s *Server) End() { s.ending.Store(true) }

// CloseIdle has the connections closed that wait for a request, each by its own goroutine: over TLS that may take a while. One
// whose request comes at that moment, or lies with the kernel already, is served.
func (s *Server) CloseIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.open {
		k.closeIdle()
	}
}

// CloseWaiting does the same with one connection that is served, and closes it at once where the head of a request has been on its
// way for longer than slow. It returns false where the connection is busy, or about to be.
func (s *Server) CloseWaiting(c net.Conn, slow time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.open[c]
	return k == nil || k.closeIdle() || k.state.Load() == reading && k.inlet.cutHead(slow)
}

// closeIdle returns false where the connection does not wait for a request. It is called with the server's mu held.
func (k *conn) closeIdle() bool {
	const moment = 50 * time.Millisecond
	if !k.state.CompareAndSwap(waiting, ended) {
		return k.state.Load() == ended
	}
	k.inlet.lend(time.Now().Add(moment))
	return true
}

// asks says whether a connection that has waited until it was to be closed has a request all the same: on a busy machine the deadline
// may be over before anybody has looked at what came.
func (k *conn) asks(err error) bool {
	const look = 5 * time.Millisecond
	if k.state.Load() != ended || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	k.inlet.lend(time.Now().Add(look))
	_, err = k.r.Peek(1)
	return err == nil
}

// How a connection goes on after a request.
type after int

const (
	goOn       after = iota
	goodbye          // it ends in order
	linger           // it ends, and the client may still be sending
	cutOff           // it ends at once: what was said is not whole
	handedOver       // it belongs to somebody else
)

// next serves one request.
func (k *conn) next(first bool) after {
	if _, err := k.r.Peek(1); err != nil && !k.asks(err) {
		return goodbye
	}
	if !k.state.CompareAndSwap(waiting, reading) { // it was to be closed, and asked first
		k.server.mu.Lock() // until CloseIdle has set its deadline
		k.state.Store(reading)
		k.inlet.enter(inHead)
		k.server.mu.Unlock()
	}
	switch {
	case !first:
		k.inlet.enter(inHead)
	case k.server.Begun != nil:
		k.server.Begun(k.Conn)
	}
	h, failure := k.readHead()
	if failure != nil {
		return k.refuse(failure)
	}
	k.state.Store(busy)
	if k.server.OnState != nil {
		k.server.OnState(k.Conn, http.StateActive)
	}
	k.inlet.enter(inBody)
	x := k.exchange(h)
	if failure := x.expect(h); failure != nil {
		return k.refuse(failure)
	}
	how := x.handle()
	x.finish()
	return how
}

// exchange is a request and its answer.
type exchange struct {
	conn     *conn
	request  *http.Request
	spelling *http1.Spelling // of its fields' names
	life     life
	body     body
	answer   answer
}

// handle lets the handler answer, and ends the answer.
func (x *exchange) handle() (how after) {
	how = cutOff
	defer func() {
		caught := recover()
		if caught != nil {
			x.answer.abandon()
		}
		x.life.stop()
		if caught != nil && caught != http.ErrAbortHandler && x.conn.server.Log != nil {
			x.conn.server.Log.Printf("http: panic serving %v: %v\n%s", x.conn.remote, caught, debug.Stack())
		}
	}()
	x.conn.server.Handler.ServeHTTP(&x.answer, x.request)
	how = x.answer.end()
	if !x.life.stop() && how == goOn {
		how = goodbye
	}
	return how
}

// finish lets go of what belongs to the connection.
func (x *exchange) finish() {
	k := x.conn
	x.answer.mu.Lock()
	defer x.answer.mu.Unlock()
	x.answer.over = true
	if room := x.answer.room; room != nil {
		x.answer.room, x.answer.out = nil, nil
		k.server.rooms.Put(room)
	}
	const usual = 4 << 10
	if cap(k.head) > usual {
		k.head = nil
	}
}

// end closes the connection.
func (k *conn) end(how after) {
	switch how {
	case handedOver:
	case cutOff:
		if t, ok := k.Conn.(*tls.Conn); ok {
			t.NetConn().Close()
		}
		k.Conn.Close()
	case linger:
		k.linger()
		k.Conn.Close()
	default:
		k.Conn.Close()
	}
}
