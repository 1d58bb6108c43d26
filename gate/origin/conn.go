package origin

import (
	"bufio"
	"context"
	"net"
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
	body  []byte   // copy buffer

	used  bool      // it has served a request before
	heard bool      // of this request a byte came back
	since time.Time // idle since
	stop  func() bool
}

func newConn(raw net.Conn, host string) *conn {
	return &conn{Conn: raw, raw: raw, host: host, r: bufio.NewReaderSize(nil, 8<<10)}
}

// guard closes the connection when the client's request ends early, whatever it is doing at that moment.
func (c *conn) guard(ctx context.Context) {
	c.heard = false
	c.stop = context.AfterFunc(ctx, func() { c.raw.Close() })
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

// Read reads body bytes. Whenever it has to wait for more it waits the whole time again: the bound is on stalling.
func (c *conn) Read(p []byte) (int, error) {
	c.renew()
	return c.r.Read(p)
}

// ready says whether Read would find something without waiting for the origin.
func (c *conn) ready() bool { return c.r.Buffered() > 0 }

// renew gives the next read the whole time, if it is one that has to wait.
func (c *conn) renew() {
	if c.r.Buffered() == 0 {
		c.Conn.SetReadDeadline(time.Now().Add(c.wait))
	}
}

func (c *conn) borrow() []byte {
	if c.body == nil {
		c.body = make([]byte, 16<<10)
	}
	return c.body
}

// pool keeps idle connections, by host. The zero value is ready. Connections idle for idleAtMost are closed.
type pool struct {
	mu     sync.Mutex
	idle   map[string][]*conn // the one used last at the end
	timer  *time.Timer
	closed bool
}

const (
	idleAtMost = 90 * time.Second
	idleConns  = 1024 // a host
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
	return c
}

func (p *pool) put(c *conn) {
	c.used, c.since = true, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle[c.host]) >= idleConns {
		c.raw.Close()
		return
	}
	if p.idle == nil {
		p.idle = map[string][]*conn{}
	}
	p.idle[c.host] = append(p.idle[c.host], c)
	if p.timer == nil {
		p.timer = time.AfterFunc(idleAtMost, p.sweep)
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
		if p.idle[host] = append([]*conn(nil), stack[old:]...); len(p.idle[host]) == 0 {
			delete(p.idle, host)
		}
	}
	if len(p.idle) > 0 && !p.closed {
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
	p.idle = nil
}
