package server

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"gate421/gate/http1"
)

// body is a request's body. The handler reads it; another goroutine of the handler's may write the response meanwhile.
type body struct {
	x              *exchange
	awaitsContinue atomic.Bool // the client waits for "100 Continue"
	atEnd          atomic.Bool // all of it was read, trailers included, or there is none

	mu     sync.Mutex // held while it is read
	left   int64      // of a body with a length
	chunks *http1.Chunks
	err    error // what every read returns from now on
}

func (b *body) init(x *exchange, h *head) {
	b.x, b.left = x, h.length
	if h.length < 0 {
		b.chunks = &http1.Chunks{R: x.conn.r, Trailer: b.trailer}
	}
	b.atEnd.Store(h.length == 0)
}

// trailer keeps a trailer field, if it may be one.
func (b *body) trailer(name, value string) error {
	if !allowedInTrailer(name) {
		return nil
	}
	r := b.x.request
	if r.Trailer == nil {
		r.Trailer = http.Header{}
	}
	r.Trailer[name] = append(r.Trailer[name], value)
	return nil
}

// Read serves io.Reader. The last bytes of a body with a length come with io.EOF.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.awaitsContinue.CompareAndSwap(true, false) {
		if b.err = b.x.response.writeContinue(); b.err != nil {
			return 0, b.err
		}
	}
	n, err := b.read(p)
	if err == nil {
		return n, nil
	}
	var slow interface{ Timeout() bool }
	if !errors.As(err, &slow) || !slow.Timeout() {
		b.err = err
	}
	if err == io.EOF {
		b.atEnd.Store(true)
		b.x.context.watchIfAwaited()
	}
	return n, err
}

func (b *body) read(p []byte) (int, error) {
	if b.chunks != nil {
		return b.chunks.Read(p)
	}
	n, err := b.x.conn.r.Read(p[:min(int64(len(p)), b.left)])
	switch b.left -= int64(n); {
	case b.left == 0:
		return n, io.EOF
	case err == io.EOF:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// Close serves io.Closer. What has not been read stays where it is.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = http.ErrBodyReadAfterClose
	}
	return nil
}

// drain takes the body from the handler, consumes the rest if it is small and comes at once, and reports whether all of
// it was read, so that the next request follows.
func (b *body) drain() bool {
	if b.atEnd.Load() {
		return true
	}
	if !b.mu.TryLock() { // a goroutine of the handler's still reads
		b.x.conn.reader.setDeadline(time.Unix(1, 0))
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	last := b.err
	b.err = http.ErrBodyReadAfterClose
	if b.awaitsContinue.Load() || last != nil && last != http.ErrBodyReadAfterClose {
		return false
	}
	const most, patience = 64 << 10, 50 * time.Millisecond
	if b.left > most || b.x.conn.reader.setDeadline(time.Now().Add(patience)) != nil {
		return false
	}
	rest := make([]byte, 4<<10)
	for n := 0; n <= most; {
		m, err := b.read(rest)
		if n += m; err != nil {
			b.atEnd.Store(err == io.EOF)
			return err == io.EOF
		}
	}
	return false
}
