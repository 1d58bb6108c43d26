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

// answer is the http.ResponseWriter of one request. What http.ResponseController can do it does too.
type answer struct {
	x      *exchange
	header http.Header
	isHead bool

	mu       sync.Mutex // body says "100 Continue" meanwhile
	status   int        // the final one; 0: none yet
	length   int64      // that the handler announced; -1: it did not
	sent     int64      // bytes of the body that the handler wrote
	framed   bool       // the head is complete, with what says where the body ends
	chunked  bool
	mark     int      // in out, where the head may still be added to; 0: nowhere
	spilled  bool     // the handler wrote more than it had announced
	close    bool     // the connection ends behind it
	declared []string // fields that are to come behind the body
	spelling http1.Spelling
	held     []byte  // the body while the head is not complete
	out      []byte  // what is to be written next
	room     *[]byte // where out is
	failed   error   // that writing has met
	taken    bool    // the connection is the handler's
	over     bool    // the request has ended
}

// roomBytes is what goes out in one piece: a record of TLS.
const roomBytes = 16 << 10

// heldBytes is how much of a body of unknown length is held back, so that a short one gets its length.
const heldBytes = 2 << 10

func (a *answer) init(x *exchange, h *head) {
	a.x, a.length, a.isHead = x, -1, h.method == http.MethodHead
	a.close = !h.keeps() || h.method == http.MethodConnect // bytes for a tunnel may come behind it
}

// Header serves http.ResponseWriter.
func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = make(http.Header, 8)
	}
	return a.header
}

// WriteHeader serves http.ResponseWriter. Informational answers go out at once, the final one with its body or a Flush.
func (a *answer) WriteHeader(status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writeHeader(status)
}

func (a *answer) writeHeader(status int) {
	switch {
	case status < 100 || status > 999:
		panic("http1: invalid status " + strconv.Itoa(status))
	case a.status != 0 || a.taken || a.over:
	case status < 200 && status != http.StatusSwitchingProtocols:
		if a.x.request.ProtoMinor == 0 {
			return // HTTP/1.0 knows none
		}
		if status == http.StatusContinue && !a.x.body.asked.CompareAndSwap(true, false) {
			return // it was said, or nobody waits for it
		}
		a.begin(status)
		a.out = append(a.out, "\r\n"...)
		a.send()
	default:
		a.status = status
		a.announce()
		a.begin(status)
		_, coded := a.header["Transfer-Encoding"]
		if a.length >= 0 || coded || http1.Bodiless(status) {
			a.frame()
		}
	}
}

// announce looks at what the handler says of the body.
func (a *answer) announce() {
	if values := a.header["Content-Length"]; len(values) > 0 && a.header["Transfer-Encoding"] == nil {
		if n, ok := http1.Decimal(values[0]); ok {
			a.length = n
		}
	}
	if values := a.header["Connection"]; values != nil && http1.Lists(values, "close") {
		a.close = true
	}
	if a.header["Trailer"] != nil {
		a.declare()
	}
}

// proceed says "100 Continue" to a client that waits for it, unless it has its answer.
func (a *answer) proceed() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.over || a.taken:
		return http.ErrBodyReadAfterClose
	case a.status != 0:
		return nil
	}
	a.begin(0)
	a.out = append(a.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
	a.send()
	return a.failed
}

// Write serves io.Writer.
func (a *answer) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.taken:
		return 0, http.ErrHijacked
	case a.over:
		return 0, io.ErrClosedPipe
	case a.status == 0:
		a.writeHeader(http.StatusOK)
	}
	switch {
	case http1.Bodiless(a.status):
		return 0, http.ErrBodyNotAllowed
	case a.spilled || a.length >= 0 && int64(len(p)) > a.length-a.sent:
		a.spilled = true
		return 0, http.ErrContentLength
	}
	a.sent += int64(len(p))
	switch {
	case a.isHead:
		return len(p), nil
	case !a.framed && len(a.held)+len(p) <= heldBytes:
		a.held = append(a.held, p...)
		return len(p), nil
	case !a.framed:
		a.frame()
	}
	a.put(p)
	if a.failed != nil {
		return 0, a.failed
	}
	return len(p), nil
}

// Spell says how the names of the fields are to be written that are written next.
func (a *answer) Spell(names http1.Spelling) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spelling = names
}

// Flush serves http.Flusher.
func (a *answer) Flush() { a.FlushError() }

// FlushError serves http.ResponseController.
func (a *answer) FlushError() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.taken:
		return http.ErrHijacked
	case a.over:
		return io.ErrClosedPipe
	case a.status == 0:
		a.writeHeader(http.StatusOK)
	}
	if !a.framed {
		a.frame()
	}
	a.send()
	return a.failed
}

// EnableFullDuplex serves http.ResponseController: it always is.
func (a *answer) EnableFullDuplex() error { return nil }

// SetReadDeadline serves http.ResponseController. The deadline is for the rest of the request.
func (a *answer) SetReadDeadline(deadline time.Time) error { return a.x.life.lend(deadline) }

// SetWriteDeadline serves http.ResponseController. The deadline is for the rest of the connection.
func (a *answer) SetWriteDeadline(deadline time.Time) error {
	return a.x.conn.Conn.SetWriteDeadline(deadline)
}

// Hijack serves http.Hijacker.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.x.conn
	if a.taken || a.over || a.failed != nil {
		return nil, nil, http.ErrHijacked
	}
	if a.send(); a.failed != nil {
		return nil, nil, a.failed
	}
	a.x.life.deafen()
	a.taken = true
	k.inlet.enter(inLinger)
	k.Conn.SetDeadline(time.Time{})
	return k.Conn, bufio.NewReadWriter(k.r, bufio.NewWriter(k.Conn)), nil
}

// end ends the answer, when its handler has returned.
func (a *answer) end() after {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.taken {
		return handedOver
	}
	if a.status == 0 {
		a.writeHeader(http.StatusOK)
	}
	if !a.framed {
		if (a.x.request.ProtoMinor == 0 || !a.trails()) && (!a.isHead || a.sent > 0 && a.sent <= heldBytes) {
			a.length = a.sent
		}
		a.frame()
	}
	if a.chunked {
		a.finish()
	}
	a.over = true
	settled, last := a.x.body.ended.Load(), false
	if !settled && a.mark > 0 { // nothing is out yet, and the answer can still say that it is the last
		if settled = a.settle(); !settled {
			a.out = slices.Insert(a.out, a.mark, []byte("Connection: close\r\n")...)
			last = true
		}
	}
	a.send()
	switch {
	case a.failed != nil:
		return cutOff
	case a.length > a.sent && !a.isHead && !http1.Bodiless(a.status):
		return cutOff // nobody must take it for whole
	case last, !settled && !a.settle(): // what was said to be the last is it, whatever has come meanwhile
		return linger
	case a.close && !a.x.request.Close:
		return linger // the client does not know yet, and may have asked more
	case a.close:
		return goodbye
	}
	return goOn
}

// settle settles the body. Whoever reads it still may be about to say "100 Continue", and has to be told that it is too late.
func (a *answer) settle() bool {
	a.mu.Unlock()
	defer a.mu.Lock()
	return a.x.body.settle()
}

// abandon lets the client have what there is of an answer that does not go on; its end is missing.
func (a *answer) abandon() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.status == 0 || a.taken {
		return
	}
	if !a.framed {
		a.frame()
	}
	a.send()
}
