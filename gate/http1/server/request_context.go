package server

import (
	"bufio"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gate421/gate/http1"
)

// requestContext is a request's context: it ends with the request, with the server, and when the client leaves. That is
// watched for from the first Done on, once the body has been read.
type requestContext struct {
	x    *exchange
	base context.Context

	mu           sync.Mutex
	inner        context.Context // nil: Done was not called
	cancel       context.CancelFunc
	watching     chan struct{} // closed when watchForClose has returned; nil: it was not started
	watchingOver bool          // it is not started any more
	ended        bool
	clientGone   bool // the client

	awaited atomic.Bool // Done was called, and inner is there
}

func (r *requestContext) init(x *exchange, base context.Context) { r.x, r.base = x, base }

// Deadline serves context.Context: there is none.
func (r *requestContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done serves context.Context.
func (r *requestContext) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inner == nil {
		r.inner, r.cancel = context.WithCancel(r.base)
		r.awaited.Store(true)
		if r.ended {
			r.cancel()
		}
		r.startWatching()
	}
	return r.inner.Done()
}

// Err serves context.Context.
func (r *requestContext) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.inner != nil:
		return r.inner.Err()
	case r.ended:
		return context.Canceled
	}
	return r.base.Err()
}

// Value serves context.Context. Package context finds the context that does the work in it, and needs no goroutine to
// follow this one.
func (r *requestContext) Value(key any) any {
	if _, asked := key.(http1.SpellingKey); asked {
		return r.x.spelling
	}
	if !r.awaited.Load() { // values are asked for several times a request, Done seldom
		return r.base.Value(key)
	}
	r.mu.Lock()
	inner := r.inner
	r.mu.Unlock()
	return inner.Value(key)
}

// watchIfAwaited starts to watch if somebody has called Done, now that the body has been read.
func (r *requestContext) watchIfAwaited() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inner != nil {
		r.startWatching()
	}
}

func (r *requestContext) startWatching() {
	if r.watchingOver || r.watching != nil || !r.x.body.atEnd.Load() {
		return
	}
	r.watching = make(chan struct{})
	go r.watchForClose(r.x.conn)
}

// watchForClose waits for a byte of the next request, which stays in the buffer, or for the client to close.
func (r *requestContext) watchForClose(k *conn) {
	defer close(r.watching)
	_, err := k.r.Peek(k.r.Buffered() + 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && err != bufio.ErrBufferFull && !r.watchingOver {
		r.clientGone = true
		r.cancel()
	}
}

// stopWatching ends the watching for good, and returns when its goroutine has ended.
func (r *requestContext) stopWatching() {
	r.mu.Lock()
	r.watchingOver = true
	listening := r.watching
	r.mu.Unlock()
	if listening != nil {
		r.x.conn.reader.setDeadline(time.Unix(1, 0))
		<-listening
		r.mu.Lock()
		r.watching = nil // the deadlines of a connection that is taken over are not touched again
		r.mu.Unlock()
	}
}

// setReadDeadline sets a deadline for reading while the connection is the request's.
func (r *requestContext) setReadDeadline(until time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watchingOver {
		return net.ErrClosed
	}
	return r.x.conn.reader.setDeadline(until)
}

// end ends the context, when the handler has returned. It returns false if the client has left.
func (r *requestContext) end() bool {
	r.stopWatching()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if r.cancel != nil {
		r.cancel()
	}
	return !r.clientGone
}
