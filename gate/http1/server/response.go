package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"gate421/gate/http1"
)

// response is the http.ResponseWriter of one request. What http.ResponseController can do it does too.
type response struct {
	x      *exchange
	header http.Header
	isHead bool

	mu           sync.Mutex // guards all below: the body may send "100 Continue" meanwhile
	status       int        // the final one; 0: none yet
	length       int64      // that the handler announced; -1: it did not
	sent         int64      // bytes of the body that the handler wrote
	headDone     bool       // the head is complete, with what says where the body ends
	chunked      bool
	closeFieldAt int      // in out, where "Connection: close" can still be inserted; 0: it is too late
	tooLong      bool     // the handler wrote more than it had announced
	close        bool     // the connection ends after this response
	trailers     []string // names that the handler announced as trailers
	spelling     http1.Spelling
	held         []byte  // the body while the head is not complete
	out          []byte  // what is to be written next
	buffer       *[]byte // where out is
	writeErr     error   // the first error of writing
	hijacked     bool    // the connection is the handler's
	ended        bool    // the request has ended
}

// bufferBytes is what goes out in one piece: a record of TLS.
const bufferBytes = 16 << 10

// heldBytes is how much of a body of unknown length is held back, so that a short one gets its length.
const heldBytes = 2 << 10

func (r *response) init(x *exchange, h *head) {
	r.x, r.length, r.isHead = x, -1, h.method == http.MethodHead
	r.close = !h.keepsAlive() || h.method == http.MethodConnect // bytes for a tunnel may come behind it
}

// Header serves http.ResponseWriter.
func (r *response) Header() http.Header {
	if r.header == nil {
		r.header = make(http.Header, 8)
	}
	return r.header
}

// WriteHeader serves http.ResponseWriter. Informational responses go out at once, the final one with its body or a
// Flush.
func (r *response) WriteHeader(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writeHeader(status)
}

func (r *response) writeHeader(status int) {
	switch {
	case status < 100 || status > 999:
		panic("http1: invalid status " + strconv.Itoa(status))
	case r.status != 0 || r.hijacked || r.ended:
	case status < 200 && status != http.StatusSwitchingProtocols:
		if r.x.request.ProtoMinor == 0 {
			return // HTTP/1.0 knows none
		}
		if status == http.StatusContinue && !r.x.body.awaitsContinue.CompareAndSwap(true, false) {
			return // it was said, or nobody waits for it
		}
		r.startHead(status)
		r.out = append(r.out, "\r\n"...)
		r.flush()
	default:
		r.status = status
		r.readHandlerHeader()
		r.startHead(status)
		_, coded := r.header["Transfer-Encoding"]
		if r.length >= 0 || coded || http1.Bodiless(status) {
			r.endHead()
		}
	}
}

// readHandlerHeader reads what the handler says of the body and the connection.
func (r *response) readHandlerHeader() {
	if values := r.header["Content-Length"]; len(values) > 0 && r.header["Transfer-Encoding"] == nil {
		if n, ok := http1.Decimal(values[0]); ok {
			r.length = n
		}
	}
	if values := r.header["Connection"]; values != nil && http1.Lists(values, "close") {
		r.close = true
	}
	if r.header["Trailer"] != nil {
		r.announceTrailers()
	}
}

// writeContinue sends "100 Continue" to a client that waits for it, unless the response has begun.
func (r *response) writeContinue() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended || r.hijacked:
		return http.ErrBodyReadAfterClose
	case r.status != 0:
		return nil
	}
	r.startHead(0)
	r.out = append(r.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
	r.flush()
	return r.writeErr
}

// Write serves io.Writer.
func (r *response) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.hijacked:
		return 0, http.ErrHijacked
	case r.ended:
		return 0, io.ErrClosedPipe
	case r.status == 0:
		r.writeHeader(http.StatusOK)
	}
	switch {
	case http1.Bodiless(r.status):
		return 0, http.ErrBodyNotAllowed
	case r.tooLong || r.length >= 0 && int64(len(p)) > r.length-r.sent:
		r.tooLong = true
		return 0, http.ErrContentLength
	}
	r.sent += int64(len(p))
	switch {
	case r.isHead:
		return len(p), nil
	case !r.headDone && len(r.held)+len(p) <= heldBytes:
		r.held = append(r.held, p...)
		return len(p), nil
	case !r.headDone:
		r.endHead()
	}
	r.writeBody(p)
	if r.writeErr != nil {
		return 0, r.writeErr
	}
	return len(p), nil
}

// Spell sets how the names of the fields that are written next are spelled.
func (r *response) Spell(names http1.Spelling) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spelling = names
}

// Flush serves http.Flusher.
func (r *response) Flush() { r.FlushError() }

// FlushError serves http.ResponseController.
func (r *response) FlushError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.hijacked:
		return http.ErrHijacked
	case r.ended:
		return io.ErrClosedPipe
	case r.status == 0:
		r.writeHeader(http.StatusOK)
	}
	if !r.headDone {
		r.endHead()
	}
	r.flush()
	return r.writeErr
}

// EnableFullDuplex serves http.ResponseController: it always is.
func (r *response) EnableFullDuplex() error { return nil }

// SetReadDeadline serves http.ResponseController. The deadline is for the rest of the request.
func (r *response) SetReadDeadline(deadline time.Time) error {
	return r.x.context.setReadDeadline(deadline)
}

// SetWriteDeadline serves http.ResponseController. The deadline is for the rest of the connection.
func (r *response) SetWriteDeadline(deadline time.Time) error {
	return r.x.conn.Conn.SetWriteDeadline(deadline)
}

// Hijack serves http.Hijacker.
func (r *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.x.conn
	if r.hijacked || r.ended || r.writeErr != nil {
		return nil, nil, http.ErrHijacked
	}
	if r.flush(); r.writeErr != nil {
		return nil, nil, r.writeErr
	}
	r.x.context.stopWatching()
	r.hijacked = true
	k.reader.enter(inLinger)
	k.Conn.SetDeadline(time.Time{})
	return k.Conn, bufio.NewReadWriter(k.r, bufio.NewWriter(k.Conn)), nil
}

// end ends the response, when its handler has returned.
func (r *response) end() outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hijacked {
		return hijacked
	}
	if r.status == 0 {
		r.writeHeader(http.StatusOK)
	}
	if !r.headDone {
		if (r.x.request.ProtoMinor == 0 || !r.hasTrailers()) && (!r.isHead || r.sent > 0 && r.sent <= heldBytes) {
			r.length = r.sent
		}
		r.endHead()
	}
	if r.chunked {
		r.writeTrailers()
	}
	r.ended = true
	settled, last := r.x.body.atEnd.Load(), false
	if !settled && r.closeFieldAt > 0 { // nothing is out yet, and the response can still say that it is the last
		if settled = r.drainBody(); !settled {
			r.out = slices.Insert(r.out, r.closeFieldAt, []byte("Connection: close\r\n")...)
			last = true
		}
	}
	r.flush()
	switch {
	case r.writeErr != nil:
		return abort
	case r.length > r.sent && !r.isHead && !http1.Bodiless(r.status):
		return abort // the client must not take it for complete
	case last, !settled && !r.drainBody(): // a response that said it is the last is, whatever has come meanwhile
		return linger
	case r.close && !r.x.request.Close:
		return linger // the client does not know yet, and may have asked more
	case r.close:
		return closeNormally
	}
	return keepAlive
}

// drainBody consumes the rest of the request body. It releases mu, so that a concurrent reader cannot deadlock on
// 100-continue.
func (r *response) drainBody() bool {
	r.mu.Unlock()
	defer r.mu.Lock()
	return r.x.body.drain()
}

// flushPartial sends what there is of a response that its handler has aborted; its end is missing.
func (r *response) flushPartial() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status == 0 || r.hijacked {
		return
	}
	if !r.headDone {
		r.endHead()
	}
	r.flush()
}
