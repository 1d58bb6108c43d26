package client

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

// Conn is one connection to a server, for one request at a time, with the buffers that its requests share.
//
// Most requests are over within a millisecond, and most clients wait for their response. So for its first moments a
// request has neither a guard nor a deadline of its own: one short deadline on reading bounds both, and stays good for
// several requests. Only where it passes does a request get what it needs for a longer wait.
type Conn struct {
	net.Conn          // Raw, or TLS on top of it
	Raw      net.Conn // the socket
	r        *bufio.Reader
	exchange *exchange     // writes a request and reads the response in one go; nil: it cannot be done here
	Wait     time.Duration // the longest without progress

	out    []byte   // the request as written
	unsent bool     // out is to be written before the response is read
	in     []byte   // the head of the response
	names  []string // of the request's fields, to sort them

	chunks       http1.Chunks   // of the response's body
	trailer      http.Header    // where the fields behind them go
	TrailerNames http1.Spelling // of these
	readTrailer  func() error   // readTrailers, without an allocation for each response

	Used  bool // it has served a request before; set by the caller
	Heard bool // a byte of this request's response came
	body  bool // it is the body that is read
	// Sending says whether this request's body is still on its way; nil: it has none.
	Sending *atomic.Bool

	ctx     context.Context // of this request; nil: there is none
	Until   time.Time       // the head has to be here
	readBy  time.Time       // the deadline that is set; zero: another one
	writeBy time.Time

	alive  func() bool // is it good for another request?
	HangUp func()      // called by the guard; closes the connection, Raw at least, and may do more; may be called twice
	stop   func() bool // ends the guard; nil: nobody is on guard
}

const (
	// brief is how long a request may go without a guard: so much later its client's leaving is noticed, at most.
	brief = 50 * time.Millisecond
	// surelySent is what fits into the empty buffer of a socket, so that writing it never waits.
	surelySent = 4 << 10
	// mostInOneGo is the longest head that is left to the first read.
	mostInOneGo = 64 << 10
)

// ErrStale says that a connection had something to say, or had ended, before its request was written.
var ErrStale = errors.New("the connection went bad while it was idle")

// deadlineReader is where a conn's reader gets its bytes. The head has to come within one wait; in a body every read
// may take as long: the bound is on stalling, and the time that the client takes does not count. While the client's
// body is on its way nothing is bounded: a server may wait for it.
type deadlineReader struct{ c *Conn }

func (d deadlineReader) Read(p []byte) (int, error) {
	c := d.c
	if c.ctx != nil && c.stop == nil {
		n, err := c.read(p)
		if err == nil || c.stop != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		c.Guard()
		if !c.body {
			c.readBefore(c.Until, 0)
		}
	}
	switch {
	case !c.body:
	case c.Sending == nil:
		c.readBefore(c.Until, c.Wait/16)
	case !c.Sending.Load():
		c.readBefore(time.Now().Add(c.Wait), c.Wait/16)
	}
	return c.read(p)
}

// read reads from the connection. Where the request is not written yet it is written before.
func (c *Conn) read(p []byte) (int, error) {
	if !c.unsent {
		return c.Conn.Read(p)
	}
	left, n, err := c.exchange.do(c.out, p, c.Used)
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

// NewConn makes a connection of a socket, which is idle. wait is the longest until a response's head is there, and for each
// read of its body; it is more than zero. Not safe for several goroutines at once, but for the promoted methods of net.Conn.
func NewConn(raw net.Conn, wait time.Duration) *Conn {
	c := &Conn{
		Conn:     raw,
		Raw:      raw,
		exchange: newExchange(raw),
		Wait:     wait,
		alive:    watch(raw),
		HangUp:   func() { raw.Close() },
	}
	c.r = bufio.NewReaderSize(deadlineReader{c}, 8<<10)
	c.readTrailer = c.readTrailers
	return c
}

// Begin prepares for a request, which ends when ctx does. With bound it gets its guard and its deadline at once, as one
// with a body has to.
func (c *Conn) Begin(ctx context.Context, bound bool) {
	now := time.Now()
	c.Heard, c.body, c.Sending, c.unsent = false, false, nil, false
	c.ctx, c.Until = ctx, now.Add(c.Wait)
	if bound || c.Wait <= 2*brief {
		c.bound()
		return
	}
	c.readBefore(now.Add(brief), brief/2)
}

// WriteRequest writes the head of the request; announced is AppendRequest's. Where no body follows, it may be left to
// the first read. ErrStale: nothing was written.
func (c *Conn) WriteRequest(r *http.Request, announced bool) error {
	c.out = AppendRequest(c.out[:0], r, announced, &c.names)
	if r.ContentLength == 0 && c.exchange != nil && len(c.out) <= mostInOneGo {
		c.unsent = true
		return nil
	}
	if c.Used && !c.Alive() {
		if c.bound(); !c.Alive() { // it was not the brief deadline
			return ErrStale
		}
	}
	switch {
	case c.stop != nil:
	case len(c.out) > surelySent:
		c.bound()
	case outside(c.writeBy, c.Until, c.Wait/16):
		c.writeBy = c.Until
		c.Conn.SetWriteDeadline(c.Until)
	}
	_, err := c.Conn.Write(c.out)
	return err
}

// bound sets the guard, and the deadlines of whatever comes before the body.
func (c *Conn) bound() {
	c.Guard()
	c.readBy, c.writeBy = time.Time{}, time.Time{}
	c.Conn.SetDeadline(c.Until)
}

// readBefore bounds reading. A deadline that is early by no more than slack stays: setting one is slow.
func (c *Conn) readBefore(by time.Time, slack time.Duration) {
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

// Alive says whether an idle connection is good for another request: open, with nothing to read.
func (c *Conn) Alive() bool { return c.alive() }

// Guard sets the guard, which closes the connection when the client's request ends early, whatever it is doing at that
// moment.
func (c *Conn) Guard() {
	if c.stop == nil {
		c.stop = context.AfterFunc(c.ctx, c.HangUp)
	}
}

// Release ends the request and its guard. It says whether the guard has left the connection open.
func (c *Conn) Release() bool {
	stop := c.stop
	c.stop, c.ctx, c.chunks, c.trailer, c.TrailerNames = nil, nil, http1.Chunks{}, nil, nil
	return stop == nil || stop()
}

// Clean says whether nothing has come behind the response. What TLS has taken from the socket is seen by nobody later.
func (c *Conn) Clean() bool {
	if c.r.Buffered() > 0 || c.Conn == c.Raw {
		return c.r.Buffered() == 0
	}
	c.body, c.ctx, c.readBy = false, nil, time.Time{}
	c.Conn.SetReadDeadline(time.Unix(1, 0)) // without a look at the socket
	_, err := c.r.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// Secure has everything go over a TLS connection on top of Raw.
func (c *Conn) Secure(secure net.Conn) { c.Conn, c.exchange = secure, nil }

// BeginBody says that the head has been passed on, and that what is read now is the body.
func (c *Conn) BeginBody() { c.body = true }

// Done is closed when the context of the request under way has ended. There has to be one.
func (c *Conn) Done() <-chan struct{} { return c.ctx.Done() }

// Read reads body bytes.
func (c *Conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// SmallBody is a whole body of known length that came with the head, as that of a small page does; nil where it did
// not. It is valid until the next Read.
func (c *Conn) SmallBody(length int64) []byte {
	if length <= 0 || int64(c.r.Buffered()) < length {
		return nil
	}
	body, _ := c.r.Peek(int(length))
	c.r.Discard(len(body))
	return body
}

// Ready says whether Read would find something without waiting for the origin.
func (c *Conn) Ready() bool { return c.r.Buffered() > 0 }

// Shrink lets go of buffers that an unusual request or response has made large: connections are idle for most of their
// life.
func (c *Conn) Shrink() {
	const usual = 8 << 10
	if cap(c.out) > usual {
		c.out = nil
	}
	if cap(c.in) > usual {
		c.in = nil
	}
}
