package origin

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// conn is one connection to an origin, with the buffers that its requests share.
type conn struct {
	net.Conn          // raw, or TLS on top of it
	raw      net.Conn // the socket
	host     string   // what the pool knows it under
	r        *bufio.Reader
	wait     time.Duration // the longest without progress

	out   []byte   // the request as written
	in    []byte   // the head of the answer
	names []string // of the request's fields, to sort them

	used  bool      // it has served a request before
	heard bool      // of this request a byte came back
	body  bool      // it is the body that is read
	up    *upload   // of this request's body; nil: it has none
	since time.Time // idle since

	alive  func() bool // is it good for another request?
	hangUp func()      // closes it
	stop   func() bool // ends the guard
}

// inlet is where a conn's reader gets its bytes. The head has to come within one wait; in a body every read may take as
// long: the bound is on stalling, and the time that the client takes does not count. While the client's body is on its way
// nothing is bounded: a server may wait for it.
type inlet struct{ c *conn }

func (i inlet) Read(p []byte) (int, error) {
	if i.c.body && (i.c.up == nil || !i.c.up.active.Load()) {
		i.c.Conn.SetReadDeadline(time.Now().Add(i.c.wait))
	}
	return i.c.Conn.Read(p)
}

func newConn(raw net.Conn, host string, wait time.Duration) *conn {
	c := &conn{Conn: raw, raw: raw, host: host, wait: wait, alive: watch(raw), hangUp: func() { raw.Close() }}
	c.r = bufio.NewReaderSize(inlet{c}, 8<<10)
	return c
}

// guard closes the connection when the client's request ends early, whatever it is doing at that moment.
func (c *conn) guard(ctx context.Context) {
	c.heard, c.body, c.up = false, false, nil
	c.stop = context.AfterFunc(ctx, c.hangUp)
}

// release ends the guard and says whether the connection is still whole.
func (c *conn) release() bool {
	stop := c.stop
	c.stop = nil
	return stop == nil || stop()
}

func (c *conn) close() {
	c.release()
	c.raw.Close()
}

// clean says whether nothing has come behind the answer. What TLS has taken from the socket is seen by nobody later.
func (c *conn) clean() bool {
	if c.r.Buffered() > 0 || c.Conn == c.raw {
		return c.r.Buffered() == 0
	}
	c.body = false
	c.Conn.SetReadDeadline(time.Unix(1, 0)) // without a look at the socket
	_, err := c.r.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// Read reads body bytes.
func (c *conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// ready says whether Read would find something without waiting for the origin.
func (c *conn) ready() bool { return c.r.Buffered() > 0 }

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

// pool keeps idle connections, by host. The zero value is ready. Connections idle for idleAtMost are closed.
type pool struct {
	mu     sync.Mutex
	idle   map[string][]*conn // the one used last at the end
	count  int                // of all hosts, whose names may be the clients' choice
	timer  *time.Timer
	closed bool
}

const (
	idleAtMost = 90 * time.Second
	idleConns  = 1024
)

func (p *pool) take(host string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	stack := p.idle[host]
	if len(stack) == 0 {
		return nil
	}
	c := stack[len(stack)-1]
	stack[len(stack)-1] = nil
	p.idle[host] = stack[:len(stack)-1]
	p.count--
	return c
}

func (p *pool) put(c *conn) {
	c.used, c.since = true, time.Now()
	c.shrink()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.raw.Close()
		return
	}
	if p.count >= idleConns {
		p.evict()
	}
	if p.idle == nil {
		p.idle = map[string][]*conn{}
	}
	p.idle[c.host] = append(p.idle[c.host], c)
	p.count++
	if p.timer == nil {
		p.timer = time.AfterFunc(idleAtMost, p.sweep)
	}
}

// evict closes one connection, some host's oldest.
func (p *pool) evict() {
	for host, stack := range p.idle {
		if len(stack) > 0 {
			stack[0].raw.Close()
			stack[0], p.idle[host] = nil, stack[1:]
			p.count--
			return
		}
	}
}

// sweep closes what has been idle for too long, and comes again while anything is left.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = nil
	for host, stack := range p.idle {
		old := 0
		for old < len(stack) && time.Since(stack[old].since) >= idleAtMost {
			stack[old].raw.Close()
			old++
		}
		p.count -= old
		if p.idle[host] = append([]*conn(nil), stack[old:]...); len(p.idle[host]) == 0 {
			delete(p.idle, host)
		}
	}
	if p.count > 0 && !p.closed {
		p.timer = time.AfterFunc(idleAtMost/2, p.sweep)
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	for _, stack := range p.idle {
		for _, c := range stack {
			c.raw.Close()
		}
	}
	p.idle, p.count = nil, 0
}
