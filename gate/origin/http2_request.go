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
func (h *http2Request) gone() bool {
	return h.source != nil && h.source.broke() || !h.stopped() && h.request.Context().Err() != nil
}

// stopped says whether nobody wants the rest of the client's body.
func (h *http2Request) stopped() bool {
	if h.source == nil {
		return false
	}
	h.source.mu.Lock()
	defer h.source.mu.Unlock()
	return h.source.stopped
}

// abandon ends the request. Where the engine waits for the server to take more, it looks at no context: closing the
// response ends that.
func (h *http2Request) abandon() {
	h.cancel() // first: Close would wait for the stream's end otherwise
	h.mu.Lock()
	h.abandoned = true
	body := h.body
	h.mu.Unlock()
	if body != nil {
		body.Close()
	}
}

// ping is what stall does about a late byte.
func (h *http2Request) ping() {
	if c := h.asked.Load(); c != nil {
		c.ping(h.stall.wait)
	}
}

// response takes the body of the server's response.
func (h *http2Request) response(response *http.Response) *http2ResponseBody {
	d := &http2ResponseBody{
		body:     response.Body,
		flight:   h,
		response: response,
		drip:     h.pace.watch(response.Header, response.ContentLength, h.stall.wait),
	}
	h.mu.Lock()
	h.body = d
	abandoned := h.abandoned
	h.mu.Unlock()
	if abandoned {
		d.Close()
	}
	return d
}

// release gives the connection back.
func (h *http2Request) release() {
	h.asked.Store(nil)
	if h.conn != nil {
		h.conn.pool.release(h.conn, h.ended && (h.source == nil || h.source.whole()))
		h.conn = nil
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
func (h *http2ResponseBody) Read(p []byte) (int, error) {
	var since time.Time
	if h.drip != nil {
		since = time.Now()
	}
	h.flight.stall.waitForServer(true)
	n, err := h.body.Read(p)
	over := h.flight.stall.waitForServer(false)
	if c := h.flight.asked.Load(); n > 0 && c != nil {
		c.heard()
	}
	if h.drip != nil && err == nil && (h.flight.source == nil || h.flight.source.whole()) {
		err = h.drip.read(n, time.Since(since))
	}
	switch {
	case err == io.EOF:
		h.flight.ended = true
		client.StripTrailer(h.response.Trailer)
	case err != nil:
		if over {
			err = os.ErrDeadlineExceeded // as from a conn, and not that the stream was ended for it
		}
		h.flight.broke = err
	}
	return n, err
}

// Close serves io.Closer. The engine would count what nobody reads twice otherwise.
func (h *http2ResponseBody) Close() error {
	if h.closed.Swap(true) {
		return nil
	}
	return h.body.Close()
}
