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
func (u *attemptBody) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		switch {
		case u.over:
			return 0, errEnded
		case u.at < len(u.kept):
			n := copy(p, u.kept[u.at:])
			u.at += n
			u.spent = u.spent || len(u.kept) > keepAtMost || u.held.Load() > keepAllAtMost
			if u.spent && u.at == len(u.kept) {
				u.drop()
				u.at = 0
			}
			return n, nil
		case u.err != nil:
			return 0, u.err
		case u.reading:
			u.free.Wait()
		case u.spent:
			u.ask()
			u.mu.Unlock()
			n, err := u.body.Read(p)
			u.mu.Lock()
			u.got(err)
			return n, err
		default:
			u.ask()
			go u.fetch(slices.Grow(u.kept, u.piece()))
		}
	}
}

// ask and got are called with mu held, before and after the client is waited for.
func (s *replayBody) ask() {
	s.reading, s.read = true, true
	s.flight.stall.waitForClient(!s.stopped)
}

func (s *replayBody) got(err error) {
	s.flight.stall.waitForClient(false)
	s.reading, s.err = false, err
	if err == io.EOF {
		client.StripTrailer(s.request.Trailer)
	}
	s.free.Broadcast()
}

// piece is how much is fetched at once.
func (s *replayBody) piece() int {
	if length := s.request.ContentLength; length >= 0 {
		return int(min(copySize, length+1))
	}
	return copySize
}

// fetch waits for the client in a goroutine of its own, so that an attempt can end meanwhile. What comes is for the
// next one.
func (s *replayBody) fetch(kept []byte) {
	n, err := s.body.Read(kept[len(kept):cap(kept)])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, kept[len(kept):cap(kept)][:n]...)
	s.held.Add(int64(n))
	s.got(err)
}

// drop is called with mu held.
func (s *replayBody) drop() {
	s.held.Add(-int64(len(s.kept)))
	s.kept = nil
}

// Close serves the engine: the attempt is over. A client's body that no other attempt will read is not waited for.
func (u *attemptBody) Close() error {
	u.mu.Lock()
	u.over = true
	u.free.Broadcast()
	stop := u.spent || u.last
	u.mu.Unlock()
	if stop {
		u.stop()
	}
	return nil
}

// answered says that the server has begun its response: there is no other attempt.
func (u *attemptBody) answered() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.spent = true
	if u.at == len(u.kept) {
		u.drop()
		u.at = 0
	}
}

// again says whether another attempt may have the body from its beginning.
func (s *replayBody) again() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.spent && !s.stopped && (s.err == nil || s.err == io.EOF)
}

// whole says whether it was read to its end, or nobody has begun.
func (s *replayBody) whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.read || s.err == io.EOF
}

// untouched says whether nobody has asked the client for it.
func (s *replayBody) untouched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.read
}

// pending says whether the client is waited for, or was until it was stopped.
func (s *replayBody) pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reading || s.waited
}

// broke says whether the client broke it off. Where it was stopped, it only looks so.
func (s *replayBody) broke() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.stopped && s.err != nil && s.err != io.EOF
}

// assign makes f the one whose time it is.
func (s *replayBody) assign(f *http2Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = f
	f.stall.waitForClient(s.reading)
}

// stop lets nobody wait for a client that says no more.
func (s *replayBody) stop() {
	s.mu.Lock()
	s.flight.stall.waitForClient(false)
	s.waited = s.waited || s.reading && !s.stopped
	done := !s.read || s.err != nil || s.stopped
	s.stopped = s.stopped || !done && s.request.Context().Err() == nil
	s.mu.Unlock()
	if done {
		return
	}
	if s.request.ProtoMajor > 1 || http.NewResponseController(s.client).SetReadDeadline(time.Unix(1, 0)) != nil {
		s.body.Close()
	}
}

// finish waits until nobody reads any more, and lets the server of an HTTP/1 client read on.
func (s *replayBody) finish() {
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.reading {
		s.free.Wait()
	}
	s.spent = true
	s.drop()
	if s.stopped && s.request.ProtoMajor == 1 {
		http.NewResponseController(s.client).SetReadDeadline(time.Time{}) // as in upload.stop
	}
}
