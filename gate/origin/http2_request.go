package origin

import (
	"context"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gate421/gate/http1/client"
)

// http2Request is what the callbacks of one forwarded request leave for serve; it travels in the request's context.
type http2Request struct {
	call    call
	client  http.ResponseWriter
	request *http.Request          // the client's
	source  *replayBody            // the client's body; nil: it has none
	conn    *h2conn                // that the response comes over; nil: there is none
	asked   atomic.Pointer[h2conn] // that the request went over, for ping; nil: none
	broke   error                  // what ended the server's body too early
	ended   bool                   // the server's body was read to its end
	stall   stall
	pace    minRate
	cancel  context.CancelFunc

	mu        sync.Mutex
	body      io.Closer // of the response
	abandoned bool
}

type http2RequestKey struct{}

// gone says whether the client has left, or its body broke. Where the body was stopped, it only looks so.
func (f *http2Request) gone() bool {
	return f.source != nil && f.source.broke() || !f.stopped() && f.request.Context().Err() != nil
}

// stopped says whether nobody wants the rest of the client's body.
func (f *http2Request) stopped() bool {
	if f.source == nil {
		return false
	}
	f.source.mu.Lock()
	defer f.source.mu.Unlock()
	return f.source.stopped
}

// abandon ends the request. Where the engine waits for the server to take more, it looks at no context: closing the
// response ends that.
func (f *http2Request) abandon() {
	f.cancel() // first: Close would wait for the stream's end otherwise
	f.mu.Lock()
	f.abandoned = true
	body := f.body
	f.mu.Unlock()
	if body != nil {
		body.Close()
	}
}

// ping is what stall does about a late byte.
func (f *http2Request) ping() {
	if c := f.asked.Load(); c != nil {
		c.ping(f.stall.wait)
	}
}

// response takes the body of the server's response.
func (f *http2Request) response(response *http.Response) *http2ResponseBody {
	d := &http2ResponseBody{
		body:     response.Body,
		flight:   f,
		response: response,
		drip:     f.pace.watch(response.Header, response.ContentLength, f.stall.wait),
	}
	f.mu.Lock()
	f.body = d
	abandoned := f.abandoned
	f.mu.Unlock()
	if abandoned {
		d.Close()
	}
	return d
}

// release gives the connection back.
func (f *http2Request) release() {
	f.asked.Store(nil)
	if f.conn != nil {
		f.conn.pool.release(f.conn, f.ended && (f.source == nil || f.source.whole()))
		f.conn = nil
	}
}

// http2ResponseBody is a server's body; it notes that it broke, or stalled.
type http2ResponseBody struct {
	body     io.ReadCloser
	flight   *http2Request
	response *http.Response
	drip     *rateWatch
	closed   atomic.Bool
}

// Read serves io.Reader.
func (d *http2ResponseBody) Read(p []byte) (int, error) {
	var since time.Time
	if d.drip != nil {
		since = time.Now()
	}
	d.flight.stall.waitForServer(true)
	n, err := d.body.Read(p)
	over := d.flight.stall.waitForServer(false)
	if c := d.flight.asked.Load(); n > 0 && c != nil {
		c.heard()
	}
	if d.drip != nil && err == nil && (d.flight.source == nil || d.flight.source.whole()) {
		err = d.drip.read(n, time.Since(since))
	}
	switch {
	case err == io.EOF:
		d.flight.ended = true
		client.StripTrailer(d.response.Trailer)
	case err != nil:
		if over {
			err = os.ErrDeadlineExceeded // as from a conn, and not that the stream was ended for it
		}
		d.flight.broke = err
	}
	return n, err
}

// Close serves io.Closer. The engine would count what nobody reads twice otherwise.
func (d *http2ResponseBody) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	return d.body.Close()
}
