package origin

import (
	"io"
	"sync"
	"time"
)

// stall ends an answer over HTTP/2 whose body does not go on, as the deadlines of a conn do over HTTP/1.1 (see inlet): the
// server's next byte may take one wait. Only that time counts. While the client is slow to take what has come, or while more
// of its own body is waited for, nothing is bounded.
type stall struct {
	wait time.Duration
	end  func()    // ends the request
	body io.Closer // of the answer: closing it ends the stream also where the engine waits to send, and looks at no context

	mu      sync.Mutex
	timer   *time.Timer // nil: nothing was waited for yet
	until   time.Time   // the server's next byte has to be here
	reading bool        // it is waited for
	sending bool        // the client's body is on its way, and what comes next is up to the client
	over    bool        // it did not come in time
}

// read says that the server's next byte is waited for, or no more. It returns whether the answer was ended.
func (s *stall) read(waiting bool) (over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = waiting
	s.set()
	return s.over
}

// send says that the client's next byte is waited for, or no more: it is with the server now, or nobody wants it.
func (s *stall) send(waiting bool) {
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
		if s.timer == nil {
			s.timer = time.AfterFunc(s.wait, s.expire)
		} else {
			s.timer.Reset(s.wait)
		}
	case s.timer != nil:
		s.timer.Stop()
	}
}

// expire is the timer's. It may come late, when the time has begun anew.
func (s *stall) expire() {
	s.mu.Lock()
	s.over = s.over || s.reading && !s.sending && !time.Now().Before(s.until)
	over := s.over
	s.mu.Unlock()
	if over {
		s.end() // first: Close would wait for the stream's end otherwise
		s.body.Close()
	}
}
