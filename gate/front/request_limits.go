package front

import (
	"io"
	"net/http"
	"time"
)

// bounded keeps requests within the limits that the HTTP/1 server and the HTTP/2 engine know nothing of.
func (s *Server) bounded(next http.Handler, limits Limits) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := s.pacedBody(w, r, limits)
		if in != nil {
			r.Body = in
			defer in.pace.stop()
		}
		if r.ProtoMajor == 2 {
			out := &stream{ResponseWriter: w, request: r, conn: connOf(r)}
			out.pace = pace{time: limits.StallTime, bytes: limits.StallBytes, cut: func() {
				s.counts.limited[limitedWrite].Add(1)
				http.NewResponseController(w).SetWriteDeadline(longAgo())
			}}
			defer out.end()
			w = out
		}
		if fields(r.Header) > limits.HeaderFields {
			s.rejectFields(w, r)
			return
		}
		if in != nil && r.ContentLength < 0 {
			w = &conversation{w, &in.pace}
		}
		next.ServeHTTP(w, r)
	})
}

// rejectFields answers a request with too many header fields, within the limits of every response. They are let go of before a
// client is waited for that may not take the response.
func (s *Server) rejectFields(w http.ResponseWriter, r *http.Request) {
	clear(r.Header)
	s.counts.limited[limitedFields].Add(1)
	s.counts.rejected(http.StatusRequestHeaderFieldsTooLarge)
	http.Error(w, "431: the request has too many header fields.", http.StatusRequestHeaderFieldsTooLarge)
}

// pacedBody is a request's body that has to come at a pace; nil where there is none.
func (s *Server) pacedBody(w http.ResponseWriter, r *http.Request, limits Limits) *body {
	if r.ContentLength == 0 {
		return nil
	}
	in, limit := &body{ReadCloser: r.Body}, limitedRead
	in.pace = pace{time: limits.StallTime, bytes: limits.StallBytes, cut: func() {
		s.counts.limited[limit].Add(1)
		http.NewResponseController(w).SetReadDeadline(longAgo())
	}}
	if r.ContentLength < 0 { // any byte will do
		limit = limitedSilence
		in.pace.time, in.pace.bytes = limits.StreamIdleTime, 1
	}
	return in
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
type body struct {
	io.ReadCloser
	pace pace
}

// Read serves io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.pace.begin()
	n, err := b.ReadCloser.Read(p)
	b.pace.end(n)
	return n, b.pace.named(err)
}

// conversation is the response to a request whose body has no length: once it has begun, both sides know that the other is there
// and means to go on, and the client may be silent for as long as it likes.
type conversation struct {
	http.ResponseWriter
	silence *pace // of the body
}

// Unwrap serves http.ResponseController.
func (c *conversation) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// WriteHeader serves http.ResponseWriter.
func (c *conversation) WriteHeader(status int) {
	if status >= 200 {
		c.silence.stop()
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write serves io.Writer.
func (c *conversation) Write(p []byte) (int, error) {
	c.silence.stop()
	return c.ResponseWriter.Write(p)
}

// Flush serves http.Flusher.
func (c *conversation) Flush() { c.FlushError() }

// FlushError serves http.ResponseController.
func (c *conversation) FlushError() error {
	c.silence.stop()
	return http.NewResponseController(c.ResponseWriter).Flush()
}

// stream is an HTTP/2 answer that has to be taken at a pace. A closed window holds up a stream and not the socket, which is
// watched below TLS and for HTTP/1.x is enough.
type stream struct {
	http.ResponseWriter
	request *http.Request
	conn    *conn // nil in a test of a handler alone
	pace    pace
	total   int64 // bytes written
	held    bool  // some of them by the engine's buffer, perhaps
	flushed bool
}

// Unwrap serves http.ResponseController.
func (w *stream) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write serves io.Writer. What is large goes in parts, each of which has its time. What stays in the engine's buffer cannot
// stall.
func (w *stream) Write(p []byte) (n int, err error) {
	if !w.flushed && w.total+int64(len(p)) <= smallBytes {
		n, err = w.ResponseWriter.Write(p)
		w.total += int64(n)
		w.held = true
		return n, err
	}
	for {
		part := p[n:min(len(p), n+w.pace.bytes)]
		w.pace.begin()
		written, err := w.ResponseWriter.Write(part)
		w.pace.end(written)
		n += written
		w.total += int64(written)
		w.held = true
		if err != nil || n == len(p) {
			return n, w.pace.named(err)
		}
	}
}

// WriteString saves a short text's copy.
func (w *stream) WriteString(text string) (int, error) {
	if w.flushed || w.total+int64(len(text)) > smallBytes {
		return w.Write([]byte(text))
	}
	n, err := io.WriteString(w.ResponseWriter, text)
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
	w.held, w.flushed = false, true
	return w.pace.named(err)
}

// end sends what the engine has in its buffer while the stream is still watched, unless there is sure to be room in the
// client's windows: after the handler nothing could reset the stream any more. Where there is, and all of the answer is there,
// header and body can leave together.
func (w *stream) end() {
	switch {
	case !w.held || w.conn == nil:
	case w.conn.narrow(w.total):
		w.FlushError()
	case w.small():
		w.conn.cork.expect()
	}
	w.pace.stop()
}
