package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gate421/gate/http1"
)

// startHead appends a status line and the fields that are the handler's; nothing for the status 0.
func (r *response) startHead(status int) {
	if r.buffer == nil {
		r.buffer, _ = r.x.conn.server.buffers.Get().(*[]byte)
		if r.buffer == nil {
			buffer := make([]byte, bufferBytes)
			r.buffer = &buffer
		}
		r.out = (*r.buffer)[:0]
	}
	if status == 0 {
		return
	}
	r.out = append(r.out, "HTTP/1.1 "...)
	r.out = strconv.AppendInt(r.out, int64(status), 10)
	r.out = append(r.out, ' ')
	r.out = append(r.out, http.StatusText(status)...)
	r.out = append(r.out, "\r\n"...)
	k := r.x.conn
	names := k.names[:0]
	for name := range r.header {
		if !writtenElsewhere(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		written := r.spelling.Of(name)
		for _, value := range r.header[name] {
			r.writeField(written, value)
		}
	}
	clear(names)
	k.names, r.spelling = names, nil
	if _, said := r.header["Date"]; !said && status >= 200 {
		r.out = append(r.out, k.server.dateNow()...)
	}
}

// writtenElsewhere reports whether a field of the handler's is not written with the others, because it frames the body
// or is a trailer by its prefix. A field announced as a trailer may be in the head, too.
func writtenElsewhere(name string) bool {
	switch name {
	case "Content-Length", "Transfer-Encoding", "Connection":
		return true
	}
	return strings.HasPrefix(name, http.TrailerPrefix)
}

// writeField appends a field, unless it is malformed.
func (r *response) writeField(name, value string) {
	if !http1.Token(name) || !http1.Printable(value) {
		return
	}
	r.out = append(r.out, name...)
	r.out = append(r.out, ": "...)
	r.out = append(r.out, value...)
	r.out = append(r.out, "\r\n"...)
}

// endHead completes the head: where the body ends, and what becomes of the connection (RFC 9112 sections 6 and 9.6). It
// writes the part of the body that was held back.
func (r *response) endHead() {
	r.headDone = true
	old := r.x.request.ProtoMinor == 0
	switch {
	case http1.Bodiless(r.status):
	case r.length >= 0:
		r.writeContentLength()
	case r.isHead:
	case old:
		r.close = true
	default:
		r.chunked = true
		r.out = append(r.out, "Transfer-Encoding: chunked\r\n"...)
	}
	if r.x.conn.server.ending.Load() || r.x.body.awaitsContinue.Load() {
		r.close = true
	}
	switch values := r.header["Connection"]; {
	case r.close && r.status != http.StatusSwitchingProtocols:
		r.out = append(r.out, "Connection: close\r\n"...)
	case old:
		r.out = append(r.out, "Connection: keep-alive\r\n"...)
	default:
		for _, value := range values {
			r.writeField("Connection", value)
		}
	}
	if !r.close {
		r.closeFieldAt = len(r.out)
	}
	r.out = append(r.out, "\r\n"...)
	held := r.held
	r.held = nil
	r.writeBody(held)
}

func (r *response) writeContentLength() {
	r.out = append(r.out, "Content-Length: "...)
	r.out = strconv.AppendInt(r.out, r.length, 10)
	r.out = append(r.out, "\r\n"...)
}

// writeBody appends bytes of the body, and writes whenever the buffer is full.
func (r *response) writeBody(p []byte) {
	const around = len("4000\r\n") + len("\r\n")
	for len(p) > 0 && r.writeErr == nil {
		if !r.chunked && len(r.out) == 0 && len(p) >= bufferBytes {
			_, r.writeErr = r.x.conn.Conn.Write(p)
			return
		}
		free := bufferBytes - len(r.out)
		if r.chunked {
			free -= around
		}
		if free <= 0 || r.chunked && free < len(p) && free < bufferBytes/8 {
			r.flush()
			continue
		}
		n := min(free, len(p))
		if r.chunked {
			r.out = strconv.AppendInt(r.out, int64(n), 16)
			r.out = append(r.out, "\r\n"...)
		}
		r.out = append(r.out, p[:n]...)
		if r.chunked {
			r.out = append(r.out, "\r\n"...)
		}
		if p = p[n:]; len(r.out) >= bufferBytes-around {
			r.flush()
		}
	}
}

// flush writes the buffer to the connection.
func (r *response) flush() {
	if len(r.out) > 0 && r.writeErr == nil {
		_, r.writeErr = r.x.conn.Conn.Write(r.out)
	}
	r.out, r.closeFieldAt = r.out[:0], 0
}

// announceTrailers keeps the names that the handler announces as trailers.
func (r *response) announceTrailers() {
	for _, list := range r.header["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = http.CanonicalHeaderKey(strings.Trim(name, " \t")); allowedInTrailer(name) {
				r.trailers = append(r.trailers, name)
			}
		}
	}
}

// allowedInTrailer reports whether a field may be a trailer.
func allowedInTrailer(name string) bool {
	return http1.Token(name) && name != "Transfer-Encoding" && name != "Content-Length" && name != "Trailer"
}

// hasTrailers reports whether there may be trailers.
func (r *response) hasTrailers() bool {
	if len(r.trailers) > 0 {
		return true
	}
	for name := range r.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// writeTrailers ends a chunked body, with its trailers.
func (r *response) writeTrailers() {
	r.out = append(r.out, "0\r\n"...)
	names := r.x.conn.names[:0]
	for name := range r.header {
		plain, prefixed := strings.CutPrefix(name, http.TrailerPrefix)
		if (prefixed || slices.Contains(r.trailers, name)) && allowedInTrailer(plain) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		written := r.spelling.Of(strings.TrimPrefix(name, http.TrailerPrefix))
		for _, value := range r.header[name] {
			r.writeField(written, value)
		}
	}
	clear(names)
	r.x.conn.names = names
	r.out = append(r.out, "\r\n"...)
}

// dateField is the Date field for one second.
type dateField struct {
	second int64
	field  string
}

// dateNow returns the Date field, made once a second.
func (s *Server) dateNow() string {
	t := time.Now()
	if last := s.date.Load(); last != nil && last.second == t.Unix() {
		return last.field
	}
	next := &dateField{t.Unix(), "Date: " + t.UTC().Format(http.TimeFormat) + "\r\n"}
	s.date.Store(next)
	return next.field
}
