package origin

import (
	"sync"
	"time"
)

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
