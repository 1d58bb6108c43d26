package origin

import (
	"sync"
	"time"
)

// stall ends a response over HTTP/2 whose body does not go on, as the read deadlines of a client.Conn do over
// HTTP/1.1: the server's next byte may take one wait. Only that time counts. While the client is slow to take
// what has come, or while more of its own body is waited for, nothing is bounded.
type stall struct {
	wait    time.Duration
	onStall func() // ends the request
	onLate  func() // called when the byte has taken lateAfter, twice as long, four times …; may block; nil: nothing is called

	mu      sync.Mutex
	timer   *time.Timer // nil: nothing was waited for yet
	until   time.Time   // the server's next byte has to be here
	reading bool        // it is waited for
	sending bool        // the client's body is on its way, and what comes next is up to the client
	over    bool        // it did not come in time
}

// lateAfter is how long a byte is waited for before onLate is called. Responses that go on are quicker.
const lateAfter = time.Second

// waitForServer says that the server's next byte is waited for, or no more. It returns whether the response was ended.
func (s *stall) waitForServer(waiting bool) (over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = waiting
	s.set()
	return s.over
}

// begin says that the head of a response is waited for. It has to be here by then, unless the client sends meanwhile.
func (s *stall) begin(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading, s.until = true, until
	if !s.sending {
		s.arm(lateAfter)
	}
}

// expired says whether the request was ended.
func (s *stall) expired() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// waitForClient says that the client's next byte is waited for, or no more: it is with the server now, or nobody wants
// it.
func (s *stall) waitForClient(waiting bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending = waiting
	s.set()
}

// set begins the time that the server has, or ends it. The caller holds mu.
func (s *stall) set() {
	switch {
	case s.reading && !s.sending && !s.over:
		s.until = time.Now().Add(s.wait)
		s.arm(lateAfter)
	case s.timer != nil:
		s.timer.Stop()
	}
}

// arm has expire look after a while, or when the time is over. The caller holds mu.
func (s *stall) arm(after time.Duration) {
	after = min(after, time.Until(s.until))
	if s.timer == nil {
		s.timer = time.AfterFunc(after, s.expire)
	} else {
		s.timer.Reset(after)
	}
}

// expire is called by the timer. It may run after the time was started again, so it looks at until first.
func (s *stall) expire() {
	s.mu.Lock()
	waiting, left := s.reading && !s.sending && !s.over, time.Until(s.until)
	s.over = s.over || waiting && left <= 0
	over, late := s.over, waiting && left > 0 && s.wait-left >= lateAfter
	if late {
		s.arm(s.wait - left)
	}
	s.mu.Unlock()
	switch {
	case over:
		s.onStall()
	case late && s.onLate != nil:
		s.onLate()
	}
}
