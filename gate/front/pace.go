package front

import (
	"io"
	"sync"
	"time"
)

// pace watches one direction of a connection or stream: while something is under way, so many bytes have to get through in
// so much time, or it is cut off. Between two operations the clock stands still: what nobody waits for is no stall, however long
// it takes.
type pace struct {
	time  time.Duration
	bytes int
	cut   func() // called once; the operation under way does not return before it

	mu    sync.Mutex
	timer *time.Timer
	armed bool          // the timer will fire; it is left to, which costs less than stopping it
	left  time.Duration // spent while something is under way, earned by bytes, never more than time
	since time.Time     // when the operation under way began
	until time.Time     // when the last one ended
	busy  bool
	over  bool
	fired bool // it was cut off
}

// stalled is the error of an operation that a limit ended: the client was there, and too slow.
type stalled struct{ cause error }

// Error serves error.
func (s *stalled) Error() string { return "the client is too slow: " + s.cause.Error() }

// Unwrap gives what the operation met.
func (s *stalled) Unwrap() error { return s.cause }

// ClientStalled says whose fault it was to whoever asks with errors.As, and cannot know this package.
func (s *stalled) ClientStalled() bool { return true }

// named is the error of an operation, with the reason if it was cut off.
func (p *pace) named(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.fired {
		return err
	}
	return &stalled{err}
}

// begin begins an operation. There is one at a time.
func (p *pace) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.since, p.busy = time.Now(), true
	if p.since.Sub(p.until) >= p.time {
		p.left = p.time
	}
	switch {
	case p.timer == nil:
		p.timer, p.armed = time.AfterFunc(p.left, p.fire), true
	case !p.armed || p.left < p.time/4*3: // it would fire much too late
		p.timer.Reset(p.left)
		p.armed = true
	}
}

// end ends it; n bytes got through.
func (p *pace) end(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.busy, p.until = false, time.Now()
	p.left += time.Duration(float64(p.time)*float64(n)/float64(p.bytes)) - p.until.Sub(p.since)
	p.left = min(p.left, p.time)
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

// fire cuts off what is under way, if its time is up.
func (p *pace) fire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	switch more := p.left - time.Since(p.since); {
	case p.over || !p.busy:
	case more > 0:
		p.timer.Reset(more)
		p.armed = true
	default:
		p.over, p.fired = true, true
		p.cut()
	}
}
