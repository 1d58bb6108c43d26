package front

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// framed is an HTTP/2 connection that reads along: the engine tells nobody which streams were reset and why a connection
// had to end, and the frames do. Nothing is changed, and what comes in is not held up.
type framed struct {
	*tls.Conn
	ours    *conn
	socket  net.Conn // below TLS and ours
	in      frames   // by the goroutine that reads
	cork    cork     // what goes out
	streams streams

	gone     bool        // the engine has been told that the client is; by the goroutine that reads
	told     []byte      // what it is still to read of that; by the same one
	within   bool        // a header, of which CONTINUATION frames are to come; by the same one
	settings atomic.Bool // the client's have come
	over     atomic.Bool // the connection is to end
}

// follow begins to read along a connection whose client says so many bytes before its first frame. What it holds back is in
// arrays from spare.
func follow(c *tls.Conn, counts *counts, limits Limits, preface int, spare *sync.Pool) *framed {
	ours, ok := c.NetConn().(*conn)
	if !ok {
		ours = &conn{}
	}
	f := &framed{Conn: c, ours: ours, socket: ours.Conn, cork: cork{tls: c, spare: spare, narrow: func() bool { return ours.narrow(smallBytes) }}}
	f.in = frames{skip: preface, seen: func(h *frameHead) {
		counts.received(h)
		ours.windows.granted(h)
		f.cork.received(h)
		f.cork.postponed.received(h)
		f.streams.received(h)
		f.received(h)
	}}
	f.cork.out = frames{seen: func(h *frameHead) {
		if h.kind == frameResetStream && f.cork.postpone(h) {
			return
		}
		counts.sent(h)
		ours.windows.sent(h)
		f.cork.sent(h)
		f.streams.sent(h)
	}}
	f.streams.after, f.streams.stuck = limits.StallTime/2, ours.stalled
	ours.cork, ours.streams = &f.cork, &f.streams
	ours.setEvict(f.makeWay)
	return f
}

// Read serves net.Conn.
func (f *framed) Read(p []byte) (int, error) {
	for {
		if f.over.Load() && !f.gone && f.in.have == 0 && f.in.skip == 0 && !f.within {
			f.gone, f.told = true, goAway()
		}
		if len(f.told) > 0 {
			n := copy(p, f.told)
			f.told = f.told[n:]
			return n, nil
		}
		n, err := f.Conn.Read(p)
		f.ours.receivedBytes.Add(int64(n))
		f.in.follow(p[:n])
		if calm := f.streams.calm(); calm != nil {
			return 0, calm
		}
		if n > 0 || !f.over.Load() || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		f.SetReadDeadline(time.Time{}) // it was makeWay's
	}
}

// received looks at a client's frame.
func (f *framed) received(h *frameHead) {
	switch h.kind {
	case frameSettings:
		f.settings.Store(true)
	case frameHeaders, frameContinuation:
		f.within = h.open
	}
}

// makeWay ends the connection gently: the engine is made to read that the client is going away, and does what it does then. It sends
// GOAWAY, answers what was asked before, and closes. A frame or header that is on its way is read first.
func (f *framed) makeWay() bool {
	if !f.settings.Load() { // a frame before them is an error
		f.socket.Close()
		return true
	}
	f.over.Store(true)
	f.SetReadDeadline(longAgo())
	return true
}

// goAway is a frame with the code NO_ERROR (RFC 9113 section 6.8).
func goAway() []byte { return []byte{0, 0, 8, frameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} }

// Write serves net.Conn.
func (f *framed) Write(p []byte) (int, error) { return f.cork.write(p) }

// Close serves net.Conn.
func (f *framed) Close() error {
	f.cork.close()
	f.streams.end()
	return f.Conn.Close()
}

// The types of frames that begin or end something or open a window (RFC 9113 sections 6.1, 6.2, 6.4, 6.5, 6.8 and 6.9).
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameResetStream  = 0x3
	frameSettings     = 0x4
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9
)

const (
	headBytes    = 9
	settingBytes = 6
	mostSettings = 10 // that are looked at; nobody has more
)

// frames finds the heads of frames (RFC 9113 section 4.1) in one direction of a connection, however it is cut into pieces.
type frames struct {
	seen func(*frameHead)                            // told of every frame, which is valid until it returns
	skip int                                         // bytes until the next head begins
	head [headBytes + mostSettings*settingBytes]byte // a head, and what follows it as far as want
	have int                                         // bytes of head
	last frameHead                                   // the one that seen is told of
	at   int                                         // bytes of the piece that is followed, up to the end of what was seen
}

// frameHead is what is known of a frame.
type frameHead struct {
	kind    byte
	length  int    // of the payload
	id      uint32 // of its stream; 0: it belongs to the connection
	last    uint32 // GOAWAY: the last stream that is served
	end     bool   // DATA and HEADERS: END_STREAM, the stream's last
	open    bool   // HEADERS and CONTINUATION: without END_HEADERS, the header goes on in the next frame
	code    uint32 // RST_STREAM and GOAWAY: why
	more    uint32 // WINDOW_UPDATE: by how much
	initial int64  // SETTINGS: the new initial window of streams, 0 where that may be, -1 where it stays
}

func (f *frames) follow(p []byte) {
	for all := len(p); len(p) > 0; {
		if f.skip > 0 {
			n := min(f.skip, len(p))
			f.skip -= n
			p = p[n:]
			continue
		}
		want := f.want()
		n := copy(f.head[f.have:want], p)
		f.have += n
		p = p[n:]
		f.at = all - len(p)
		if f.have == want && f.want() == want {
			f.whole()
		}
	}
}

// want is how many bytes of head are needed, as far as those that came say.
func (f *frames) want() int {
	if f.have < headBytes {
		return headBytes
	}
	switch length := f.length(); {
	case (f.head[3] == frameResetStream || f.head[3] == frameWindowUpdate) && length >= 4:
		return headBytes + 4
	case f.head[3] == frameGoAway && length >= 8:
		return headBytes + 8
	case f.head[3] == frameSettings && length%settingBytes == 0:
		return headBytes + min(length, mostSettings*settingBytes)
	}
	return headBytes
}

// length is that of the payload.
func (f *frames) length() int {
	return int(f.head[0])<<16 | int(f.head[1])<<8 | int(f.head[2])
}

// whole ends a head.
func (f *frames) whole() {
	h := &f.last
	*h = frameHead{kind: f.head[3], length: f.length(), id: binary.BigEndian.Uint32(f.head[5:]) & (1<<31 - 1), initial: -1}
	h.end = h.kind <= frameHeaders && f.head[4]&0x1 != 0
	h.open = (h.kind == frameHeaders || h.kind == frameContinuation) && f.head[4]&0x4 == 0
	if f.have > headBytes {
		last := binary.BigEndian.Uint32(f.head[f.have-4 : f.have])
		switch h.kind {
		case frameResetStream:
			h.code = last
		case frameGoAway:
			h.code, h.last = last, binary.BigEndian.Uint32(f.head[headBytes:])&(1<<31-1)
		case frameWindowUpdate:
			h.more = last & (1<<31 - 1)
		case frameSettings:
			h.initial = initialWindow(f.head[headBytes:f.have], h.length)
		}
	}
	f.seen(h)
	f.skip = headBytes + h.length - f.have
	f.have = 0
}

// initialWindow looks for SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 section 6.5.2). Of settings that were not all looked at the
// worst is thought.
func initialWindow(settings []byte, length int) int64 {
	if length > len(settings) {
		return 0
	}
	initial := int64(-1)
	for ; len(settings) >= settingBytes; settings = settings[settingBytes:] {
		if binary.BigEndian.Uint16(settings) == 0x4 {
			initial = int64(binary.BigEndian.Uint32(settings[2:]))
		}
	}
	return initial
}

// windows is how much a client's HTTP/2 connection is ready to take, as far as its frames and ours say.
type windows struct {
	initial    atomic.Int64 // the least that streams have begun with, less the default
	connection atomic.Int64 // what is left of the connection's, less what it begins with
}

const defaultWindow = 65_535

// granted follows the client's frames, sent ours.
func (w *windows) granted(h *frameHead) {
	switch {
	case h.kind == frameWindowUpdate && h.id == 0:
		w.connection.Add(int64(h.more))
	case h.kind == frameSettings && h.initial >= 0 && h.initial-defaultWindow < w.initial.Load():
		w.initial.Store(h.initial - defaultWindow)
	}
}

func (w *windows) sent(h *frameHead) {
	if h.kind == frameData {
		w.connection.Add(-int64(h.length))
	}
}

// narrow says whether the end of an answer of so many bytes might have to wait for the client to open a window. Others may
// be about to end on the same connection.
func (c *conn) narrow(total int64) bool {
	const others = 512 << 10
	return total > defaultWindow+c.windows.initial.Load() || c.windows.connection.Load()+defaultWindow < others
}
