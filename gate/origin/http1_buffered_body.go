package origin

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gate421/gate/http1"
)

// bufferedBody is a client's body of unknown length that was waited for a moment: where all of it has come by then, its
// length is known.
//
// HTTP/1.1 has chunked bodies for the others. But many an application reads no body without a Content-Length (CGI and
// WSGI hand it none), and takes a chunked one for an empty one.
//
// A goroutine reads until the body has ended, it is longer than gatherBytes, or nobody waits any more and what it was
// reading has come. Then reading is the caller's.
type bufferedBody struct {
	io.ReadCloser               // the client's
	held          *atomic.Int64 // bodies that are held
	done          chan struct{} // closed when the goroutine has ended

	mu    sync.Mutex
	room  []byte
	there int   // bytes of it that were read
	given int   // bytes of it that were passed on
	err   error // that reading has met
	hurry bool  // nobody waits
	left  bool  // it does not count among those that are held
}

const (
	gatherBytes = 64 << 10
	gatherTime  = 200 * time.Millisecond
	// gatherAskedTime is for a client that begins its body after 100 Continue: a round trip later.
	gatherAskedTime = time.Second
	gatherMost      = 1024 // bodies that are held for one server at a time: 64 MiB
)

// bufferBody waits for a body of unknown length where that may help. It returns nil, and leaves r as it is,
// where the length is known, where trailers are announced, for gRPC, whose messages may be far apart, and beyond
// gatherMost.
//
// A client that expects a go-ahead gets it here: servers of HTTP give it when the body is read first. So
// Expect is deleted: a server that saw it might wait for a body that is already coming, or respond 417.
func (p *http1Proxy) bufferBody(r *http.Request) *bufferedBody {
	if r.ContentLength >= 0 || len(r.Trailer) > 0 ||
		strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		return nil
	}
	if g, again := r.Body.(*bufferedBody); again { // another server was asked before
		return g
	}
	if p.held.Add(1) > gatherMost {
		p.held.Add(-1)
		return nil
	}
	g := &bufferedBody{ReadCloser: r.Body, held: &p.held, done: make(chan struct{}), room: make([]byte, 4<<10)}
	r.Body = g
	most := gatherTime
	if http1.Lists(r.Header["Expect"], "100-continue") {
		delete(r.Header, "Expect")
		most = gatherAskedTime
	}
	delete(r.Header, "Upgrade") // which a request with a body is not granted; one whose body is empty would be
	go g.read()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-g.done:
	case <-timer.C:
	}
	if g.whole() && len(r.Trailer) == 0 {
		r.ContentLength, r.TransferEncoding = int64(g.there), nil
		if g.there == 0 {
			r.Body = http.NoBody
		}
	}
	return g
}

// whole ends the waiting and says whether all of the body is there. If it is not, the fields behind it may come at
// any moment.
func (b *bufferedBody) whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hurry = true
	return b.err == io.EOF && b.there <= gatherBytes
}

// broke says why the body cannot come whole any more, as far as that is known.
func (b *bufferedBody) broke() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == io.EOF {
		return nil
	}
	return b.err
}

// read is the goroutine.
func (b *bufferedBody) read() {
	defer close(b.done)
	for b.more() {
	}
}

// more reads once, and says whether to go on.
func (b *bufferedBody) more() bool {
	n, err := b.ReadCloser.Read(b.room[b.there:])
	b.mu.Lock()
	defer b.mu.Unlock()
	b.there += n
	if b.err = err; err != nil || b.hurry || b.there > gatherBytes {
		return false
	}
	if b.there == len(b.room) {
		b.room = append(b.room, make([]byte, min(3*len(b.room), gatherBytes+1-len(b.room)))...)
	}
	return true
}

// Read serves io.Reader.
func (b *bufferedBody) Read(p []byte) (int, error) {
	if n := b.take(p); n > 0 || len(p) == 0 {
		return n, nil
	}
	<-b.done
	if n := b.take(p); n > 0 {
		return n, nil
	}
	b.leave()
	b.room, b.there, b.given = nil, 0, 0
	if b.err != nil {
		return 0, b.err
	}
	return b.ReadCloser.Read(p)
}

// take takes of what is there.
func (b *bufferedBody) take(p []byte) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = copy(p, b.room[b.given:b.there])
	b.given += n
	return n
}

// end is called when a server is done with the request. If another may be asked (c.retryable), reading goes on for it.
func (b *bufferedBody) end(w http.ResponseWriter, r *http.Request, c *call) {
	if !c.retryable {
		b.interrupt(w, r)
	}
	b.leave()
}

// leave takes the body off the count of those held, once. It can still be read.
func (b *bufferedBody) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.left {
		b.left = true
		b.held.Add(-1)
	}
}

// interrupt ends a goroutine that still reads when the request is over, by a read deadline in the past; over HTTP/1.x
// only, whose server must find nobody reading the body. What comes later cannot be read any more: the reader of chunks
// may have stopped anywhere.
func (b *bufferedBody) interrupt(w http.ResponseWriter, r *http.Request) {
	select {
	case <-b.done:
		return
	default:
	}
	control := http.NewResponseController(w)
	if r.ProtoMajor > 1 || control.SetReadDeadline(time.Unix(1, 0)) != nil {
		return
	}
	<-b.done
	control.SetReadDeadline(time.Time{})
}
