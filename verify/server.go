package verify

import (
	"sync/atomic"
	"time"
)

// habitFor is how long it is remembered that a server has to be asked in another manner than the first.
const habitFor = 15 * time.Minute

// server is one DNS server and what has been learned about it. It is safe for concurrent use.
type server struct {
	address string // host:port
	habit   atomic.Pointer[habit]
	latency atomic.Int64 // nanoseconds that its responses take, the latest counting most; 0: none came yet
}

// habit is a manner in which a server answers, while it did not in the manner that comes first.
type habit struct {
	how   manner
	until time.Time
}

// manner is how the server is asked first.
func (s *server) manner(usual manner) manner {
	if h := s.habit.Load(); h != nil && time.Now().Before(h.until) {
		return h.how
	}
	return usual
}

// learn notes that the server answered a question put in that manner.
func (s *server) learn(how, usual manner) {
	known := s.habit.Load()
	switch {
	case how == usual:
		if known != nil {
			s.habit.Store(nil)
		}
	case known == nil || known.how != how || time.Now().After(known.until):
		s.habit.Store(&habit{how: how, until: time.Now().Add(habitFor)})
	}
}

// responded notes how long a response took.
func (s *server) responded(took time.Duration) {
	if known := s.latency.Load(); known > 0 {
		took = (time.Duration(known) + took) / 2
	}
	s.latency.Store(int64(max(took, 1)))
}

// patience is how long an answer is waited for before something else is tried beside it.
func (s *server) patience(least time.Duration) time.Duration {
	return min(max(least, 2*time.Duration(s.latency.Load())), 4*least)
}
