package front

import (
	"sync"
	"time"
)

// pace watches one direction of a connection or stream: while something is under way, so many bytes have to get through in
// so much time, or it is cut off. Between two operations the clock stands still, so silence is never a stall, however long.
type pace struct {
	time  time.Duration // for so many
	bytes int
	cut   func() // called once; the operation under way does not return before it

	mu    sync.Mutex
	timer *time.Timer
	left  time.Duration // of time, for what is missing of bytes
	moved int           // since left was whole
	since time.Time     // when the operation under way began
	until time.Time     // when the last one ended
	busy  bool
	over  bool
}

// begin begins an operation. There is one at a time.
func (p *pace) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.since, p.busy = time.Now(), true
	if p.timer == nil {
		p.left = p.time
		p.timer = time.AfterFunc(p.left, p.fire)
		return
	}
	if p.since.Sub(p.until) >= p.time {
		p.left, p.moved = p.time, 0
	}
	p.timer.Reset(p.left)
}

// end ends it; n bytes got through.
func (p *pace) end(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.timer.Stop()
	p.busy, p.until = false, time.Now()
	p.left -= p.until.Sub(p.since)
	if p.moved += n; p.moved >= p.bytes {
		p.left, p.moved = p.time, 0
	}
}

// stop ends the watch.
func (p *pace) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

func (p *pace) fire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || !p.busy || time.Since(p.since) < p.left { // an earlier operation's
		return
	}
	p.over = true
	p.cut()
}
