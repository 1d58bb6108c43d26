package verify

import (
	"sync/atomic"
	"time"
)

// workaroundTTL is how long it is remembered that a server does not respond in the default mode.
const workaroundTTL = 15 * time.Minute

// server is one DNS server and what has been learned about it. It is safe for concurrent use.
type server struct {
	address    string // host:port
	workaround atomic.Pointer[workaround]
	latency    atomic.Int64 // nanoseconds, a moving average of its responses; 0: none came yet
}

// workaround is a mode in which a server responds, while it did not in the default mode.
type workaround struct {
	mode  mode
	until time.Time
}

// firstMode is the mode of the first query to the server: standard, unless a workaround is known.
func (s *server) firstMode(standard mode) mode {
	if w := s.workaround.Load(); w != nil && time.Now().Before(w.until) {
		return w.mode
	}
	return standard
}

// learn notes that the server responded to a query in that mode.
func (s *server) learn(mode, standard mode) {
	known := s.workaround.Load()
	switch {
	case mode == standard:
		if known != nil {
			s.workaround.Store(nil)
		}
	case known == nil || known.mode != mode || time.Now().After(known.until):
		s.workaround.Store(&workaround{mode: mode, until: time.Now().Add(workaroundTTL)})
	}
}

// recordLatency notes how long a response took.
func (s *server) recordLatency(took time.Duration) {
	if known := s.latency.Load(); known > 0 {
		took = (time.Duration(known) + took) / 2
	}
	s.latency.Store(int64(max(took, 1)))
}

// silenceTimeout is how long a response is awaited before another attempt is made: minimum, or more for a slow server.
func (s *server) silenceTimeout(minimum time.Duration) time.Duration {
	return min(max(minimum, 2*time.Duration(s.latency.Load())), 4*minimum)
}
