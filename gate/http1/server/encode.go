package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gate421/gate/http1"
)

// begin appends a status line and the fields that are the handler's; nothing for the status 0.
func (a *answer) begin(status int) {
	if a.room == nil {
		a.room, _ = a.x.conn.server.rooms.Get().(*[]byte)
		if a.room == nil {
			room := make([]byte, roomBytes)
			a.room = &room
		}
		a.out = (*a.room)[:0]
	}
	if status == 0 {
		return
	}
	a.out = append(a.out, "HTTP/1.1 "...)
	a.out = strconv.AppendInt(a.out, int64(status), 10)
	a.out = append(a.out, ' ')
	a.out = append(a.out, http.StatusText(status)...)
	a.out = append(a.out, "\r\n"...)
	k := a.x.conn
	names := k.names[:0]
	for name := range a.header {
		if !ours(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		written := a.spelling.Of(name)
		for _, value := range a.header[name] {
			a.field(written, value)
		}
	}
	clear(names)
	k.names, a.spelling = names, nil
	if _, said := a.header["Date"]; !said && status >= 200 {
		a.out = append(a.out, k.server.now()...)
	}
}

// ours says whether a field of the handler's is not written with the others: it says where the body ends, or comes behind it
// alone. One that is announced for there may be in the head, too.
func ours(name string) bool {
	switch name {
	case "Content-Length", "Transfer-Encoding", "Connection":
		return true
	}
	return strings.HasPrefix(name, http.TrailerPrefix)
}

// field appends one, if it can be one.
func (a *answer) field(name, value string) {
	if !http1.Token(name) || !http1.Printable(value) {
		return
	}
	a.out = append(a.out, name...)
	a.out = append(a.out, ": "...)
	a.out = append(a.out, value...)
	a.out = append(a.out, "\r\n"...)
}

// frame completes the head: where the body ends, and what becomes of the connection (RFC 9112 sections 6 and 9.6). It puts out
// what was held.
func (a *answer) frame() {
	a.framed = true
	old := a.x.request.ProtoMinor == 0
	switch {
	case http1.Bodiless(a.status):
	case a.length >= 0:
		a.number()
	case a.isHead:
	case old:
		a.close = true
	default:
		a.chunked = true
		a.out = append(a.out, "Transfer-Encoding: chunked\r\n"...)
	}
	if a.x.conn.server.ending.Load() || a.x.body.asked.Load() {
		a.close = true
	}
	switch values := a.header["Connection"]; {
	case a.close && a.status != http.StatusSwitchingProtocols:
		a.out = append(a.out, "Connection: close\r\n"...)
	case old:
		a.out = append(a.out, "Connection: keep-alive\r\n"...)
	default:
		for _, value := range values {
			a.field("Connection", value)
		}
	}
	if !a.close {
		a.mark = len(a.out)
	}
	a.out = append(a.out, "\r\n"...)
	held := a.held
	a.held = nil
	a.put(held)
}

func (a *answer) number() {
	a.out = append(a.out, "Content-Length: "...)
	a.out = strconv.AppendInt(a.out, a.length, 10)
	a.out = append(a.out, "\r\n"...)
}

// put puts out bytes of the body.
func (a *answer) put(p []byte) {
	const around = len("4000\r\n") + len("\r\n")
	for len(p) > 0 && a.failed == nil {
		if !a.chunked && len(a.out) == 0 && len(p) >= roomBytes {
			_, a.failed = a.x.conn.Conn.Write(p)
			return
		}
		room := roomBytes - len(a.out)
		if a.chunked {
			room -= around
		}
		if room <= 0 || a.chunked && room < len(p) && room < roomBytes/8 {
			a.send()
			continue
		}
		n := min(room, len(p))
		if a.chunked {
			a.out = strconv.AppendInt(a.out, int64(n), 16)
			a.out = append(a.out, "\r\n"...)
		}
		a.out = append(a.out, p[:n]...)
		if a.chunked {
			a.out = append(a.out, "\r\n"...)
		}
		if p = p[n:]; len(a.out) >= roomBytes-around {
			a.send()
		}
	}
}

// send writes what was put out.
func (a *answer) send() {
	if len(a.out) > 0 && a.failed == nil {
		_, a.failed = a.x.conn.Conn.Write(a.out)
	}
	a.out, a.mark = a.out[:0], 0
}

// declare notes the fields that the handler says will come behind the body.
func (a *answer) declare() {
	for _, list := range a.header["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = http.CanonicalHeaderKey(strings.Trim(name, " \t")); behind(name) {
				a.declared = append(a.declared, name)
			}
		}
	}
}

// behind says whether a field may come behind a body.
func behind(name string) bool {
	return http1.Token(name) && name != "Transfer-Encoding" && name != "Content-Length" && name != "Trailer"
}

// trails says whether there is anything to come behind the body.
func (a *answer) trails() bool {
	if len(a.declared) > 0 {
		return true
	}
	for name := range a.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// finish ends a chunked body.
func (a *answer) finish() {
	a.out = append(a.out, "0\r\n"...)
	names := a.x.conn.names[:0]
	for name := range a.header {
		plain, prefixed := strings.CutPrefix(name, http.TrailerPrefix)
		if (prefixed || slices.Contains(a.declared, name)) && behind(plain) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		written := a.spelling.Of(strings.TrimPrefix(name, http.TrailerPrefix))
		for _, value := range a.header[name] {
			a.field(written, value)
		}
	}
	clear(names)
	a.x.conn.names = names
	a.out = append(a.out, "\r\n"...)
}

// stamp is a Date field of one second.
type stamp struct {
	second int64
	field  string
}

// now is the Date field.
func (s *Server) now() string {
	t := time.Now()
	if last := s.date.Load(); last != nil && last.second == t.Unix() {
		return last.field
	}
	next := &stamp{t.Unix(), "Date: " + t.UTC().Format(http.TimeFormat) + "\r\n"}
	s.date.Store(next)
	return next.field
}
