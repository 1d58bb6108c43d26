package origin

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"gate421/gate/http1"
)

// conn is one connection to an origin, with the buffers that its requests share.
//
// Most requests are over within a millisecond, and most clients wait for their answer. So for its first moments a request
// has neither a guard nor a deadline of its own: one short deadline on reading bounds both, and stays good for several
// requests. Only where it passes does a request get what it needs for a longer wait.
type conn struct {
	net.Conn          // raw, or TLS on top of it
	raw      net.Conn // the socket
	host     string   // what the pool knows it under
	r        *bufio.Reader
	line     *line         // writes a request and reads the answer in one go; nil: it cannot be done here
	wait     time.Duration // the longest without progress

	out    []byte   // the request as written
	unsent bool     // out is to be written before the answer is read
	in     []byte   // the head of the answer
	names  []string // of the request's fields, to sort them

	chunks      http1.Chunks   // of the answer's body
	behind      http.Header    // where what comes behind them goes
	behindNames http1.Spelling // of these
	trailers    func() error   // readTrailers; a method that is named takes memory each time

	own      bool // it is one client's alone
	halfDone bool // with own: the client was asked for the next step of its login
	closed   bool // by close

	used  bool      // it has served a request before
	heard bool      // of this request a byte came back
	body  bool      // it is the body that is read
	up    *upload   // of this request's body; nil: it has none
	since time.Time // idle since

	answered time.Time     // when the head of the last answer came: from then on its server may have counted
	keptFor  time.Duration // how long the server says that it keeps it open; 0: it does not say
	pooled   pooled

	ctx     context.Context // of this request; nil: there is none
	until   time.Time       // the head has to be here
	readBy  time.Time       // the deadline that is set; zero: another one
	writeBy time.Time

	alive  func() bool                   // is it good for another request?
	hangUp func()                        // closes it, and waits for a server that may work on: see abandoned; once
	stop   func() bool                   // ends the guard; nil: nobody is on guard
	over   atomic.Pointer[chan struct{}] // closed when the server has let go of a request that the guard has ended; nil: none was
}

const (
	// brief is how long a request may go without a guard: so much later its client's leaving is noticed, at most.
	brief = 50 * time.Millisecond
	// surelySent is what fits into the empty buffer of a socket, so that writing it never waits.
	surelySent = 4 << 10
	// mostInOneGo is the longest head that is left to the first read.
	mostInOneGo = 64 << 10
)

// errStale says that a connection had something to say, or had ended, before its request was written.
var errStale = errors.New("the connection went bad while it was idle")

// inlet is where a conn's reader gets its bytes. The head has to come within one wait; in a body every read may take as
// long: the bound is on stalling, and the time that the client takes does not count. While the client's body is on its way
// nothing is bounded: a server may wait for it.
type inlet struct{ c *conn }

func (i inlet) Read(p []byte) (int, error) {
	c := i.c
	if c.ctx != nil && c.stop == nil {
		n, err := c.read(p)
		if err == nil || c.stop != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		c.arm()
		if !c.body {
			c.readBefore(c.until, 0)
		}
	}
	switch {
	case !c.body:
	case c.up == nil:
		c.readBefore(c.until, c.wait/16)
	case !c.up.active.Load():
		c.readBefore(time.Now().Add(c.wait), c.wait/16)
	}
	return c.read(p)
}

// read reads from the connection. Where the request is not written yet it is written before.
func (c *conn) read(p []byte) (int, error) {
	if !c.unsent {
		return c.Conn.Read(p)
	}
	left, n, err := c.line.turn(c.out, p, c.used)
	if len(left) == len(c.out) && errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, err // nothing was done yet
	}
	c.unsent = false
	if len(left) == 0 || err != nil {
		return n, err
	}
	c.bound()
	if _, err := c.Conn.Write(left); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func newConn(raw net.Conn, host string, wait time.Duration) *conn {
	c := &conn{Conn: raw, raw: raw, host: host, line: newLine(raw), wait: wait, alive: watch(raw), hangUp: func() { raw.Close() }}
	c.r = bufio.NewReaderSize(inlet{c}, 8<<10)
	c.trailers = c.readTrailers
	return c
}

// begin prepares for a request. With bound it gets its guard and its deadline at once.
func (c *conn) begin(ctx context.Context, bound bool) {
	now := time.Now()
	c.heard, c.body, c.up, c.unsent = false, false, nil, false
	c.ctx, c.until = ctx, now.Add(c.wait)
	if bound || c.wait <= 2*brief {
		c.bound()
		return
	}
	c.readBefore(now.Add(brief), brief/2)
}

// send writes the head of the request, which is in out. Where nothing comes behind it, it may be left to the first read.
func (c *conn) send(alone bool) error {
	if alone && c.line != nil && len(c.out) <= mostInOneGo {
		c.unsent = true
		return nil
	}
	if c.used && !c.alive() {
		if c.bound(); !c.alive() { // it was not the brief deadline
			return errStale
		}
	}
	switch {
	case c.stop != nil:
	case len(c.out) > surelySent:
		c.bound()
	case outside(c.writeBy, c.until, c.wait/16):
		c.writeBy = c.until
		c.Conn.SetWriteDeadline(c.until)
	}
	_, err := c.Conn.Write(c.out)
	return err
}

// bound sets the guard, and the deadlines of whatever comes before the body.
func (c *conn) bound() {
	c.arm()
	c.readBy, c.writeBy = time.Time{}, time.Time{}
	c.Conn.SetDeadline(c.until)
}

// readBefore bounds reading. A deadline that is early by no more than slack stays: setting one is slow.
func (c *conn) readBefore(by time.Time, slack time.Duration) {
	if outside(c.readBy, by, slack) {
		c.readBy = by
		c.Conn.SetReadDeadline(by)
	}
}

// outside says whether a deadline is later than it should be, or earlier by more than slack.
func outside(set, wanted time.Time, slack time.Duration) bool {
	early := wanted.Sub(set)
	return early < 0 || early > slack
}

// arm sets the guard, which closes the connection when the client's request ends early, whatever it is doing at that moment.
func (c *conn) arm() {
	if c.stop == nil {
		c.stop = context.AfterFunc(c.ctx, c.hangUp)
	}
}

// release ends the guard and says whether the connection is still whole.
func (c *conn) release() bool {
	stop := c.stop
	c.stop, c.ctx, c.chunks, c.behind, c.behindNames = nil, nil, http1.Chunks{}, nil, nil
	return stop == nil || stop()
}

func (c *conn) close() {
	c.release()
	c.raw.Close()
	c.closed = true
}

// clean says whether nothing has come behind the answer. What TLS has taken from the socket is seen by nobody later.
func (c *conn) clean() bool {
	if c.r.Buffered() > 0 || c.Conn == c.raw {
		return c.r.Buffered() == 0
	}
	c.body, c.ctx, c.readBy = false, nil, time.Time{}
	c.Conn.SetReadDeadline(time.Unix(1, 0)) // without a look at the socket
	_, err := c.r.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// Read reads body bytes.
func (c *conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// smallBody is a whole body of known length that came with the head, as that of a small page does; nil where it did not. It is
// valid until the next Read.
func (c *conn) smallBody(length int64) []byte {
	if length <= 0 || int64(c.r.Buffered()) < length {
		return nil
	}
	body, _ := c.r.Peek(int(length))
	c.r.Discard(len(body))
	return body
}

// Ready says whether Read would find something without waiting for the origin.
func (c *conn) Ready() bool { return c.r.Buffered() > 0 }

// shrink lets go of buffers that an unusual request or answer has made large: connections are idle for most of their life.
func (c *conn) shrink() {
	const usual = 8 << 10
	if cap(c.out) > usual {
		c.out = nil
	}
	if cap(c.in) > usual {
		c.in = nil
	}
}
