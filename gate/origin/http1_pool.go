package origin

import (
	"sync"
	"time"
)

// pool keeps idle connections, by host. The zero value is ready. A connection is closed when it has been idle for
// idleAtMost, or for nearly as long as its server has said to keep it (Keep-Alive: timeout).
type pool struct {
	mu     sync.Mutex
	top    *conn            // the one used last of host "", which is all without TLS
	tops   map[string]*conn // … and of every other host, whose names may be the clients' choice
	oldest *conn            // of all hosts
	newest *conn
	count  int
	timer  *time.Timer
	due    time.Time // when the timer fires
	closed bool
}

// pooled is a connection's place in a pool: among those of its host, and among all.
type pooled struct {
	below, above *conn
	older, newer *conn
}

const (
	idleAtMost = 90 * time.Second
	idleConns  = 1024
	// aMoment is how long a connection may be idle and still get a request that cannot be repeated, where its
	// server has not said how long it keeps it. Servers end idle connections after a second or more, and what is
	// written at that very moment is lost.
	aMoment = 500 * time.Millisecond
)

// take returns the connection to a host that was used last; nil: there is none. With once it is one that is sure to be
// kept open: the request cannot be repeated.
func (p *pool) take(host string, once bool) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.topOf(host)
	if c == nil || (once || c.keptFor > 0) && !c.fit(once) {
		return nil
	}
	p.remove(c)
	return c
}

// fit says whether an idle connection's server still keeps it open, for all that is known.
func (c *conn) fit(once bool) bool {
	idle := time.Since(c.answered)
	switch {
	case c.keptFor > 0 && once:
		return idle < c.keptFor/2
	case c.keptFor > 0:
		return idle < c.keptFor-closeAhead(c.keptFor)
	}
	return !once || idle < aMoment
}

// closeAhead is how long before its server would a connection is closed.
func closeAhead(keptFor time.Duration) time.Duration { return min(keptFor/2, time.Second) }

// ends is when an idle connection is closed.
func (c *conn) ends() time.Time {
	at := c.since.Add(idleAtMost)
	if c.keptFor > 0 {
		if said := c.answered.Add(c.keptFor - closeAhead(c.keptFor)); said.Before(at) {
			return said
		}
	}
	return at
}

func (p *pool) put(c *conn) {
	c.Used, c.since = true, time.Now()
	if c.answered.IsZero() {
		c.answered = c.since
	}
	c.Shrink()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Raw.Close()
		return
	}
	if p.count >= idleConns {
		last := p.oldest
		p.remove(last)
		last.Raw.Close()
	}
	c.pooled = pooled{below: p.topOf(c.host), older: p.newest}
	if c.pooled.below != nil {
		c.pooled.below.pooled.above = c
	}
	p.setTop(c.host, c)
	if p.newest != nil {
		p.newest.pooled.newer = c
	} else {
		p.oldest = c
	}
	p.newest = c
	p.count++
	p.wake(c.ends())
}

func (p *pool) topOf(host string) *conn {
	if host == "" {
		return p.top
	}
	return p.tops[host]
}

// setTop is called with mu held; with nil the host has none any more.
func (p *pool) setTop(host string, c *conn) {
	switch {
	case host == "":
		p.top = c
	case c == nil:
		delete(p.tops, host)
	default:
		if p.tops == nil {
			p.tops = map[string]*conn{}
		}
		p.tops[host] = c
	}
}

// remove takes a connection out. The caller holds mu.
func (p *pool) remove(c *conn) {
	at := c.pooled
	switch {
	case at.above != nil:
		at.above.pooled.below = at.below
	default:
		p.setTop(c.host, at.below)
	}
	if at.below != nil {
		at.below.pooled.above = at.above
	}
	if at.older != nil {
		at.older.pooled.newer = at.newer
	} else {
		p.oldest = at.newer
	}
	if at.newer != nil {
		at.newer.pooled.older = at.older
	} else {
		p.newest = at.older
	}
	c.pooled = pooled{}
	p.count--
}

// wake has the timer fire at a time, or a second later. The caller holds mu.
func (p *pool) wake(at time.Time) {
	switch {
	case p.timer == nil:
		p.timer = time.AfterFunc(time.Until(at), p.sweep)
	case p.due.Sub(at) > time.Second:
		p.timer.Reset(time.Until(at))
	default:
		return
	}
	p.due = at
}

// sweep closes what has been idle for too long, and comes again while anything is left.
func (p *pool) sweep() {
	var over []*conn
	p.mu.Lock()
	p.timer = nil
	now, next := time.Now(), time.Time{}
	for c := p.oldest; c != nil; {
		this, at := c, c.ends()
		c = c.pooled.newer
		switch {
		case !now.Before(at):
			p.remove(this)
			over = append(over, this)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	if p.count > 0 && !p.closed {
		p.wake(next)
	}
	p.mu.Unlock()
	for _, c := range over {
		c.Raw.Close()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.empty()
}

// closeIdle closes all idle connections, for others are wanted more.
func (p *pool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.empty()
}

// empty closes all. The caller holds mu.
func (p *pool) empty() {
	for c := p.oldest; c != nil; c = p.oldest {
		p.remove(c)
		c.Raw.Close()
	}
}
