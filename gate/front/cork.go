package front

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	smallBytes = 4 << 10              // a body of so many is in the engine's buffer until the handler has returned
	heldBytes  = 16 << 10             // are held back at most: a TLS record
	heldTime   = 4 * time.Millisecond // for which, at most
	lastTime   = 5 * time.Second      // for what is held back when the connection closes; crypto/tls takes as much for its goodbye
)

// cork makes one TLS record, and one write to the socket, of a small answer's header and body. The engine flushes the header
// before its serve loop can know that the body is there already: the handler hands it over only when the header was written.
//
// A stream whose handler has returned is expected: what it sends next is its header, and right behind it, waiting for nobody,
// its end. While a header that was held back has no end yet, whatever the engine flushes is held back behind it, in its order: for
// as long as a goroutine that can run needs to get its turn.
//
// Streams are counted and not known by number, for the engine tells no handler its own. A header of another stream may so be
// taken for an expected one's, and any stream's end for a held one's. The second lets go early, which costs a saving and nothing
// else; so the first waits for the expected stream's end and not for its own. What keeps an expected end from coming is looked
// for where it shows: a reset and the end of the connection in the frames of both directions, a window in the client's. What
// shows nowhere is bounded by heldTime and heldBytes.
type cork struct {
	tls    net.Conn
	out    frames
	narrow func() bool // whether the end of a small answer might have to wait for the client
	spare  *sync.Pool  // of *[heldBytes]byte; a connection has one only while it holds something back

	expected atomic.Int64 // streams whose header is to come; made less under mu only
	recalled atomic.Bool  // something came that may keep an end from coming
	holding  atomic.Bool

	mu      sync.Mutex // held while TLS writes: whoever reads, and a handler, must not wait for it
	timer   *time.Timer
	room    *[heldBytes]byte // nil: nothing is held back
	held    int              // bytes of it
	waiting int              // headers among them that have no end yet
	failed  error            // of a write that nobody was told of

	postponed postponed
	spans     []int // where frames that are not to go out now begin in what is written
}

// small says that the answer is all in the engine's buffer, with a body, so that its end follows its header. Trailers change
// nothing: they follow as surely. The context of a stream that was reset has ended, and its answer is dropped. A handler that
// panicked has its stream reset, which is seen.
func (h *http2Response) small() bool {
	return !h.flushed && h.total > 0 && h.total <= smallBytes && h.request.Method != http.MethodHead &&
		h.request.Context().Err() == nil
}

// expect says that a small answer is about to be sent.
func (c *cork) expect() { c.expected.Add(1) }

// received looks at a client's frame, and never waits. It is told before the engine is.
func (c *cork) received(h *frameHead) {
	if h.kind != frameResetStream && (h.initial < 0 || h.initial >= smallBytes) {
		return
	}
	c.recalled.Store(true)
	if c.holding.Load() { // or else hold sees the recall
		c.timer.Reset(0)
	}
}

// sent looks at a frame of ours.
func (c *cork) sent(h *frameHead) {
	switch {
	case h.kind == frameResetStream || h.kind == frameGoAway: // after an error's GOAWAY no stream sends anything
		c.forget()
	case h.end:
		c.waiting = max(c.waiting-1, 0)
	case h.kind == frameHeaders && c.expected.Load() > 0:
		c.expected.Add(-1)
		c.waiting++
	}
}

// forget expects nothing any more.
func (c *cork) forget() {
	c.expected.Store(0)
	c.waiting = 0
}

// write writes p or holds it back. An error may be that of an earlier p.
func (c *cork) write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return 0, c.failed
	}
	whole := len(p)
	c.out.follow(p)
	if len(c.spans) > 0 {
		p = c.without(p)
	}
	n, err := c.pass(p)
	if n == len(p) {
		n = whole
	}
	return n, err
}

// pass is write, of what is to go out now.
func (c *cork) pass(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.held+len(p) > heldBytes {
		if err := c.send(); err != nil {
			return 0, err
		}
	}
	if c.waiting == 0 && c.held == 0 {
		n, err := c.tls.Write(p)
		c.failed = err // TLS fails for good, and the rest of a frame never comes
		return n, err
	}
	if c.room == nil {
		c.room = c.spare.Get().(*[heldBytes]byte)
	}
	c.held += copy(c.room[c.held:], p)
	if c.waiting > 0 && c.hold() {
		return len(p), nil
	}
	if err := c.send(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// hold returns false where there is a reason not to hold anything back.
func (c *cork) hold() bool {
	if !c.holding.Load() {
		if c.timer == nil {
			c.timer = time.AfterFunc(heldTime, c.late)
		} else {
			c.timer.Reset(heldTime)
		}
		c.holding.Store(true)
	}
	if c.recalled.Swap(false) || c.narrow() { // after the timer and holding were set: see received
		c.forget()
		return false
	}
	return true
}

// send writes what is held back.
func (c *cork) send() error {
	c.waiting = 0 // a header that is out can wait for its end no longer
	if c.room == nil {
		return nil
	}
	if c.holding.Load() {
		c.holding.Store(false)
		c.timer.Stop()
	}
	_, c.failed = c.tls.Write(c.room[:c.held])
	c.spare.Put(c.room)
	c.room, c.held = nil, 0
	return c.failed
}

// late sends what has been held back for too long, or was recalled. The engine hears of an error when it writes again; where it
// does not, conn's own watch is below.
func (c *cork) late() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recalled.Store(false)
	c.forget()
	c.send()
}

// close sends what is held back. While something is being written it waits for nothing: closing is what ends such a write.
func (c *cork) close() {
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	if c.room != nil {
		c.tls.SetWriteDeadline(time.Now().Add(lastTime))
		c.send()
	}
	if c.failed == nil {
		c.failed = net.ErrClosed
	}
}
