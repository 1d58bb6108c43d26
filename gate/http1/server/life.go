package server

import (
	"bufio"
	"context"
	"net"
	"sync"
	"time"

	"gate421/gate/http1"
)

// life is a request's context: it ends with the request, with the server, and when the client leaves. The client is listened
// to from the first Done on, when its body has been read.
type life struct {
	x    *exchange
	base context.Context

	mu        sync.Mutex
	inner     context.Context // nil: nobody has asked for Done
	cancel    context.CancelFunc
	listening chan struct{} // closed when nobody listens any more; nil: nobody ever did
	deaf      bool          // nobody listens from now on
	over      bool
	gone      bool // the client
}

func (l *life) init(x *exchange, base context.Context) { l.x, l.base = x, base }

// Deadline serves context.Context: there is none.
func (l *life) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done serves context.Context.
func (l *life) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner == nil {
		l.inner, l.cancel = context.WithCancel(l.base)
		if l.over {
			l.cancel()
		}
		l.listenLocked()
	}
	return l.inner.Done()
}

// Err serves context.Context.
func (l *life) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.inner != nil:
		return l.inner.Err()
	case l.over:
		return context.Canceled
	}
	return l.base.Err()
}

// Value serves context.Context. Package context finds the context that does the work in it, and needs no goroutine to follow
// this one.
func (l *life) Value(key any) any {
	if _, asked := key.(http1.SpellingKey); asked {
		return l.x.spelling
	}
	l.mu.Lock()
	inner := l.inner
	l.mu.Unlock()
	if inner == nil {
		inner = l.base
	}
	return inner.Value(key)
}

// listen begins to listen where somebody waits for the client to leave, now that its body has been read.
func (l *life) listen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner != nil {
		l.listenLocked()
	}
}

func (l *life) listenLocked() {
	if l.deaf || l.listening != nil || !l.x.body.ended.Load() {
		return
	}
	l.listening = make(chan struct{})
	go l.hear(l.x.conn)
}

// hear waits for a byte of the next request, which stays in the buffer, or for the client's end.
func (l *life) hear(k *conn) {
	defer close(l.listening)
	_, err := k.r.Peek(k.r.Buffered() + 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && err != bufio.ErrBufferFull && !l.deaf {
		l.gone = true
		l.cancel()
	}
}

// deafen ends listening, and returns when nobody does.
func (l *life) deafen() {
	l.mu.Lock()
	l.deaf = true
	listening := l.listening
	l.mu.Unlock()
	if listening != nil {
		l.x.conn.inlet.lend(time.Unix(1, 0))
		<-listening
		l.mu.Lock()
		l.listening = nil // the deadlines of a connection that is taken over are not touched again
		l.mu.Unlock()
	}
}

// lend sets a deadline for reading while the connection is the request's.
func (l *life) lend(until time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deaf {
		return net.ErrClosed
	}
	return l.x.conn.inlet.lend(until)
}

// stop ends the context, when the handler has returned. It returns false if the client has left.
func (l *life) stop() bool {
	l.deafen()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.cancel != nil {
		l.cancel()
	}
	return !l.gone
}
