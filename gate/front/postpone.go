package front

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// postponed are the resets that follow a whole response to a request whose body has not ended. The engine sends them right behind the
// response (RFC 9113 section 8.1 lets it); some clients, curl 7.88 among them, lose the response when they read both at once. So the
// reset goes out later, or not at all if the client has ended the stream by then. Until then frames of its body are not answered with
// resets, either, as the engine would: it has forgotten the stream.
type postponed struct {
	mu      sync.Mutex      // a client's frames wait for nothing else
	streams map[uint32]bool // whether the client has ended it
}

const (
	resetBytes    = headBytes + 4 // of a frame
	resetTime     = time.Second   // that a client has to read the response
	mostPostponed = 256           // of a connection
)

// received looks at a client's frame.
func (p *postponed) received(h *frameHead) {
	if !h.end && h.kind != frameResetStream {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch _, known := p.streams[h.id]; {
	case !known:
	case h.kind == frameResetStream: // what comes on the stream from now on is an error
		delete(p.streams, h.id)
	default:
		p.streams[h.id] = true
	}
}

// postpone says whether a reset of ours is not to go out now. It is called while that is written, with mu held.
func (c *cork) postpone(h *frameHead) bool {
	if c.out.at < resetBytes {
		return false
	}
	p := &c.postponed
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.streams[h.id]; !known {
		if h.code != 0 || len(p.streams) >= mostPostponed {
			return false
		}
		if p.streams == nil {
			p.streams = map[uint32]bool{}
		}
		p.streams[h.id] = false
		stream := h.id
		time.AfterFunc(resetTime, func() { c.reset(stream) })
	}
	c.spans = append(c.spans, c.out.at-resetBytes)
	return true
}

// without is what is written now without the frames that are not to go out.
//
//go:noinline
func (c *cork) without(all []byte) []byte {
	rest, from := make([]byte, 0, len(all)), 0
	for _, at := range c.spans {
		rest = append(rest, all[from:at]...)
		from = at + resetBytes
	}
	c.spans = c.spans[:0]
	return append(rest, all[from:]...)
}

// reset ends an upload whose response has been out for a while.
func (c *cork) reset(stream uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil && (c.out.have > 0 || c.out.skip > 0) { // amid a frame
		time.AfterFunc(heldTime, func() { c.reset(stream) })
		return
	}
	c.postponed.mu.Lock()
	ended, known := c.postponed.streams[stream]
	delete(c.postponed.streams, stream)
	c.postponed.mu.Unlock()
	if known && !ended && c.failed == nil {
		c.pass(slices.Concat([]byte{0, 0, 4, frameResetStream, 0}, binary.BigEndian.AppendUint32(nil, stream), []byte{0, 0, 0, 0}))
	}
}
