package front

import (
	"io"
	"net/http"
	"time"
)

// limitRequests enforces the limits that neither the HTTP/1 server nor the HTTP/2 engine knows: header fields, and the
// pace of bodies and responses.
func (s *Server) limitRequests(next http.Handler, limits Limits) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := s.pacedBody(w, r, limits)
		if in != nil {
			r.Body = in
			defer in.pace.stop()
		}
		if r.ProtoMajor == 2 {
			out := &http2Response{ResponseWriter: w, request: r, conn: connOf(r)}
			out.pace = pace{time: limits.StallTime, bytes: limits.StallBytes, cut: func() {
				s.counts.limited[limitedWrite].Add(1)
				http.NewResponseController(w).SetWriteDeadline(longAgo())
			}}
			defer out.end()
			w = out
		}
		if countFields(r.Header) > limits.HeaderFields {
			s.rejectFields(w, r)
			return
		}
		if in != nil && r.ContentLength < 0 {
			w = &streamedResponse{w, &in.pace}
		}
		next.ServeHTTP(w, r)
	})
}

// rejectFields responds to a request with too many header fields. It drops them first, because the client may be slow
// to read the response.
func (s *Server) rejectFields(w http.ResponseWriter, r *http.Request) {
	clear(r.Header)
	s.counts.limited[limitedFields].Add(1)
	s.counts.onReject(http.StatusRequestHeaderFieldsTooLarge)
	http.Error(w, "431: the request has too many header fields.", http.StatusRequestHeaderFieldsTooLarge)
}

// pacedBody is the request's body with its pace enforced, nil if there is none.
func (s *Server) pacedBody(w http.ResponseWriter, r *http.Request, limits Limits) *body {
	if r.ContentLength == 0 {
		return nil
	}
	in, limit := &body{ReadCloser: r.Body}, limitedRead
	in.pace = pace{time: limits.StallTime, bytes: limits.StallBytes, cut: func() {
		s.counts.limited[limit].Add(1)
		http.NewResponseController(w).SetReadDeadline(longAgo())
	}}
	if r.ContentLength < 0 { // one byte in StreamIdleTime is enough
		limit = limitedStreamIdle
		in.pace.time, in.pace.bytes = limits.StreamIdleTime, 1
	}
	return in
}

// longAgo is a deadline that has passed: it makes the engine abort what is under way and reset the stream.
func longAgo() time.Time { return time.Unix(1, 0) }

func countFields(header http.Header) int {
	n := len(header)
	for _, values := range header {
		n += len(values) - 1
	}
	return n
}

// body is a request's body with its pace enforced.
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

// streamedResponse is the response to a request whose body has no length. Once it has begun, both sides know that the
// other is there, and the client may be silent for as long as it likes.
type streamedResponse struct {
	http.ResponseWriter
	bodyPace *pace // of the request's body
}

// Unwrap serves http.ResponseController.
func (s *streamedResponse) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// WriteHeader serves http.ResponseWriter.
func (s *streamedResponse) WriteHeader(status int) {
	if status >= 200 {
		s.bodyPace.stop()
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write serves io.Writer.
func (s *streamedResponse) Write(p []byte) (int, error) {
	s.bodyPace.stop()
	return s.ResponseWriter.Write(p)
}

// Flush serves http.Flusher.
func (s *streamedResponse) Flush() { s.FlushError() }

// FlushError serves http.ResponseController.
func (s *streamedResponse) FlushError() error {
	s.bodyPace.stop()
	return http.NewResponseController(s.ResponseWriter).Flush()
}

// http2Response is an HTTP/2 response that the client has to take at a pace. A closed flow-control window stalls a
// stream and not the socket; conn watches the socket, which is enough for HTTP/1.x.
type http2Response struct {
	http.ResponseWriter
	request *http.Request
	conn    *conn // nil in tests of a handler alone
	pace    pace
	total   int64 // bytes written
	held    bool  // some of them may be in the engine's buffer
	flushed bool
}

// Unwrap serves http.ResponseController.
func (h *http2Response) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// Write serves io.Writer. It writes large responses in parts, each with its own time. A small one stays in the
// engine's buffer and cannot stall.
func (h *http2Response) Write(p []byte) (n int, err error) {
	if !h.flushed && h.total+int64(len(p)) <= smallBytes {
		n, err = h.ResponseWriter.Write(p)
		h.total += int64(n)
		h.held = true
		return n, err
	}
	for {
		part := p[n:min(len(p), n+h.pace.bytes)]
		h.pace.begin()
		written, err := h.ResponseWriter.Write(part)
		h.pace.end(written)
		n += written
		h.total += int64(written)
		h.held = true
		if err != nil || n == len(p) {
			return n, h.pace.named(err)
		}
	}
}

// WriteString avoids a copy of a short text.
func (h *http2Response) WriteString(text string) (int, error) {
	if h.flushed || h.total+int64(len(text)) > smallBytes {
		return h.Write([]byte(text))
	}
	n, err := io.WriteString(h.ResponseWriter, text)
	h.total += int64(n)
	h.held = true
	return n, err
}

// Flush serves http.Flusher.
func (h *http2Response) Flush() { h.FlushError() }

// FlushError serves http.ResponseController.
func (h *http2Response) FlushError() error {
	h.pace.begin()
	err := http.NewResponseController(h.ResponseWriter).Flush()
	h.pace.end(0)
	h.held, h.flushed = false, true
	return h.pace.named(err)
}

// end flushes the engine's buffer while the stream is still watched, unless the client's windows are sure to have
// room: after the handler has returned nothing could reset the stream. Where they have, and the whole response is in
// the buffer, header and body can leave together.
func (h *http2Response) end() {
	switch {
	case !h.held || h.conn == nil:
	case h.conn.narrow(h.total):
		h.FlushError()
	case h.small():
		h.conn.cork.expect()
	}
	h.pace.stop()
}
