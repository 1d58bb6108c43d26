package origin

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gate421/gate/http1/client"
)

// replayBody is a client's body on its way to HTTP/2 servers, one after another where the first ones do nothing about
// the request.
//
// What was read of it is kept for that while it is small: a server that has not looked at a request has given no more
// window than the 64 KiB that it begins with, as a rule. A server that took more, or has begun to answer, is the last
// one.
type replayBody struct {
	body    io.ReadCloser
	client  http.ResponseWriter
	request *http.Request // the client's
	held    *atomic.Int64 // what all sources of a server keep

	mu      sync.Mutex
	free    sync.Cond     // nobody waits for the client any more, or an attempt is over
	flight  *http2Request // whose time it is
	reading bool          // the client is waited for
	read    bool          // it was
	kept    []byte
	spent   bool  // its beginning is not there any more, or not wanted
	err     error // how it ended
	stopped bool  // nobody wants the rest
	waited  bool  // the client was waited for when it was stopped
}

const (
	keepAtMost    = 64<<10 + copySize // of one body: the window, and what waits for more of it
	keepAllAtMost = 64 << 20          // of all bodies for one server
)

var errEnded = errors.New("the attempt is over")

func newSource(w http.ResponseWriter, r *http.Request, held *atomic.Int64) *replayBody {
	s := &replayBody{body: r.Body, client: w, request: r, held: held}
	s.free.L = &s.mu
	return s
}

// attemptBody is a source as one attempt reads it.
type attemptBody struct {
	*replayBody
	at   int  // of what is kept
	over bool // the attempt is
	last bool // closing it closes the client's body
}

// Read serves io.Reader.
func (a *attemptBody) Read(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		switch {
		case a.over:
			return 0, errEnded
		case a.at < len(a.kept):
			n := copy(p, a.kept[a.at:])
			a.at += n
			a.spent = a.spent || len(a.kept) > keepAtMost || a.held.Load() > keepAllAtMost
			if a.spent && a.at == len(a.kept) {
				a.drop()
				a.at = 0
			}
			return n, nil
		case a.err != nil:
			return 0, a.err
		case a.reading:
			a.free.Wait()
		case a.spent:
			a.ask()
			a.mu.Unlock()
			n, err := a.body.Read(p)
			a.mu.Lock()
			a.got(err)
			return n, err
		default:
			a.ask()
			go a.fetch(slices.Grow(a.kept, a.piece()))
		}
	}
}

// ask and got are called with mu held, before and after the client is waited for.
func (r *replayBody) ask() {
	r.reading, r.read = true, true
	r.flight.stall.waitForClient(!r.stopped)
}

func (r *replayBody) got(err error) {
	r.flight.stall.waitForClient(false)
	r.reading, r.err = false, err
	if err == io.EOF {
		client.StripTrailer(r.request.Trailer)
	}
	r.free.Broadcast()
}

// piece is how much is fetched at once.
func (r *replayBody) piece() int {
	if length := r.request.ContentLength; length >= 0 {
		return int(min(copySize, length+1))
	}
	return copySize
}

// fetch waits for the client in a goroutine of its own, so that an attempt can end meanwhile. What comes is for the
// next one.
func (r *replayBody) fetch(kept []byte) {
	n, err := r.body.Read(kept[len(kept):cap(kept)])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, kept[len(kept):cap(kept)][:n]...)
	r.held.Add(int64(n))
	r.got(err)
}

// drop is called with mu held.
func (r *replayBody) drop() {
	r.held.Add(-int64(len(r.kept)))
	r.kept = nil
}

// Close serves the engine: the attempt is over. A client's body that no other attempt will read is not waited for.
func (a *attemptBody) Close() error {
	a.mu.Lock()
	a.over = true
	a.free.Broadcast()
	stop := a.spent || a.last
	a.mu.Unlock()
	if stop {
		a.stop()
	}
	return nil
}

// answered says that the server has begun its response: there is no other attempt.
func (a *attemptBody) answered() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spent = true
	if a.at == len(a.kept) {
		a.drop()
		a.at = 0
	}
}

// again says whether another attempt may have the body from its beginning.
func (r *replayBody) again() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.spent && !r.stopped && (r.err == nil || r.err == io.EOF)
}

// whole says whether it was read to its end, or nobody has begun.
func (r *replayBody) whole() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.read || r.err == io.EOF
}

// untouched says whether nobody has asked the client for it.
func (r *replayBody) untouched() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.read
}

// pending says whether the client is waited for, or was until it was stopped.
func (r *replayBody) pending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reading || r.waited
}

// broke says whether the client broke it off. Where it was stopped, it only looks so.
func (r *replayBody) broke() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.stopped && r.err != nil && r.err != io.EOF
}

// assign makes f the one whose time it is.
func (r *replayBody) assign(f *http2Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flight = f
	f.stall.waitForClient(r.reading)
}

// stop lets nobody wait for a client that says no more.
func (r *replayBody) stop() {
	r.mu.Lock()
	r.flight.stall.waitForClient(false)
	r.waited = r.waited || r.reading && !r.stopped
	done := !r.read || r.err != nil || r.stopped
	r.stopped = r.stopped || !done && r.request.Context().Err() == nil
	r.mu.Unlock()
	if done {
		return
	}
	if r.request.ProtoMajor > 1 || http.NewResponseController(r.client).SetReadDeadline(time.Unix(1, 0)) != nil {
		r.body.Close()
	}
}

// finish waits until nobody reads any more, and lets the server of an HTTP/1 client read on.
func (r *replayBody) finish() {
	r.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.reading {
		r.free.Wait()
	}
	r.spent = true
	r.drop()
	if r.stopped && r.request.ProtoMajor == 1 {
		http.NewResponseController(r.client).SetReadDeadline(time.Time{}) // as in upload.stop
	}
}
