package front

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// bounded keeps requests within the limits that net/http and the HTTP/2 engine know nothing of.
func (s *Server) bounded(next http.Handler, limits Limits) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := connOf(r)
		if c != nil && c.unread.Load() {
			c.unread.Store(false) // the body before this request came to its end
		}
		if r.ContentLength != 0 {
			in := &body{ReadCloser: r.Body, control: http.NewResponseController(w), engines: r}
			in.pace = pace{time: limits.StallTime, bytes: limits.StallBytes, cut: func() {
				s.counts.limited[limitedRead].Add(1)
				in.control.SetReadDeadline(longAgo())
			}}
			in.ours = r.WithContext(r.Context())
			in.ours.Body = in
			r = in.ours
			if r.ProtoMajor == 1 && r.TLS != nil { // plain HTTP has a time for all of a request
				in.hold(time.Now())
				defer in.leave(c)
			}
			defer in.pace.stop()
		}
		if fields(r.Header) > limits.HeaderFields {
			s.counts.limited[limitedFields].Add(1)
			http.Error(w, "431: the request has too many header fields.", http.StatusRequestHeaderFieldsTooLarge)
			return
		}
		if r.ProtoMajor == 2 {
			out := &stream{ResponseWriter: w, conn: c}
			out.pace = pace{time: limits.StallTime, bytes: limits.StallBytes, cut: func() {
				s.counts.limited[limitedWrite].Add(1)
				http.NewResponseController(w).SetWriteDeadline(longAgo())
			}}
			defer out.end()
			w = out
		}
		next.ServeHTTP(w, r)
	})
}

// longAgo is a deadline that has passed: the engine then ends what is under way and resets the stream.
func longAgo() time.Time { return time.Unix(1, 0) }

func fields(header http.Header) int {
	n := len(header)
	for _, values := range header {
		n += len(values) - 1
	}
	return n
}

// body is a request's body that has to come at a pace.
//
// net/http looks at the body of the request that it made, to see whether a client still waits for leave to send it, and says
// there what came behind it. So that request stays as it is, and the handler gets one of its own.
type body struct {
	io.ReadCloser
	pace          pace
	control       *http.ResponseController
	engines, ours *http.Request
	held          time.Time // since when HTTP/1's reads have a deadline; zero: they have none
	ended         atomic.Bool
}

// Read serves io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if !b.held.IsZero() {
		if now := time.Now(); now.Sub(b.held) >= b.pace.time {
			b.hold(now)
		}
	}
	b.pace.begin()
	n, err := b.ReadCloser.Read(p)
	b.pace.end(n)
	if err == io.EOF && !b.ended.Swap(true) {
		b.ours.Trailer = b.engines.Trailer
		if !b.held.IsZero() {
			b.control.SetReadDeadline(time.Time{}) // what comes next has its own
		}
	}
	return n, err
}

// hold bounds what net/http reads of a body that the handler leaves alone, which it does before or after the answer, and for
// which it has no time of its own. The deadline is never nearer than the pace's.
func (b *body) hold(now time.Time) {
	b.held = now
	b.control.SetReadDeadline(now.Add(2 * b.pace.time))
}

// leave does so when the handler has returned, whatever that has done with deadlines.
func (b *body) leave(c *conn) {
	if b.ended.Load() {
		return
	}
	if c != nil {
		c.unread.Store(true)
	}
	b.control.SetReadDeadline(time.Now().Add(b.pace.time))
}

// stream is an HTTP/2 answer that has to be taken at a pace. A closed window holds up a stream and not the socket, which is
// watched below TLS and for HTTP/1.x is enough.
type stream struct {
	http.ResponseWriter
	conn  *conn // nil in a test of a handler alone
	pace  pace
	total int64 // bytes written
	held  bool  // some of them by the engine's buffer, perhaps
}

// Unwrap serves http.ResponseController.
func (w *stream) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write serves io.Writer. What is large goes in parts, each of which has its time.
func (w *stream) Write(p []byte) (n int, err error) {
	for {
		part := p[n:min(len(p), n+w.pace.bytes)]
		w.pace.begin()
		written, err := w.ResponseWriter.Write(part)
		w.pace.end(written)
		n += written
		w.total += int64(written)
		w.held = true
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// WriteString saves a short text's copy.
func (w *stream) WriteString(text string) (int, error) {
	if len(text) > w.pace.bytes {
		return w.Write([]byte(text))
	}
	w.pace.begin()
	n, err := io.WriteString(w.ResponseWriter, text)
	w.pace.end(n)
	w.total += int64(n)
	w.held = true
	return n, err
}

// Flush serves http.Flusher.
func (w *stream) Flush() { w.FlushError() }

// FlushError serves http.ResponseController.
func (w *stream) FlushError() error {
	w.pace.begin()
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.pace.end(0)
	w.held = false
	return err
}

// end sends what the engine has in its buffer while the stream is still watched, unless there is sure to be room in the
// client's windows: after the handler nothing could reset the stream any more.
func (w *stream) end() {
	if w.held && w.conn != nil && w.conn.narrow(w.total) {
		w.FlushError()
	}
	w.pace.stop()
}
