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

// body is a request's body. Reading it is the handler's; another goroutine of the handler's may write the answer meanwhile.
type body struct {
	x     *exchange
	asked atomic.Bool // the client waits for "100 Continue"
	ended atomic.Bool // all of it was read, trailers included, or there is none

	mu     sync.Mutex // held while it is read
	left   int64      // of a body with a length
	chunks *http1.Chunks
	err    error // that every read returns from now on
}

func (b *body) init(x *exchange, h *head) {
	b.x, b.left = x, h.length
	if h.length < 0 {
		b.chunks = &http1.Chunks{R: x.conn.r, Trailer: b.trailer}
	}
	b.ended.Store(h.length == 0)
}

// trailer takes a field that came behind the body, if it may.
func (b *body) trailer(name, value string) error {
	if !behind(name) {
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
	if b.asked.CompareAndSwap(true, false) {
		if b.err = b.x.answer.proceed(); b.err != nil {
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
		b.ended.Store(true)
		b.x.life.listen()
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

// settle takes the body from the handler and says whether the next request comes right behind it: what is left of it and small
// is read, for a moment.
func (b *body) settle() bool {
	if b.ended.Load() {
		return true
	}
	if !b.mu.TryLock() { // somebody reads on after the handler
		b.x.conn.inlet.lend(time.Unix(1, 0))
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	last := b.err
	b.err = http.ErrBodyReadAfterClose
	if b.asked.Load() || last != nil && last != http.ErrBodyReadAfterClose {
		return false
	}
	const most, patience = 64 << 10, 50 * time.Millisecond
	if b.left > most || b.x.conn.inlet.lend(time.Now().Add(patience)) != nil {
		return false
	}
	rest := make([]byte, 4<<10)
	for n := 0; n <= most; {
		m, err := b.read(rest)
		if n += m; err != nil {
			b.ended.Store(err == io.EOF)
			return err == io.EOF
		}
	}
	return false
}
