package server

import (
	"sync"
	"time"
)

// hourly limits messages to one an hour for each key. The zero value is ready. It is safe for concurrent use.
type hourly struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// due says whether a message with this key may be written now, and then counts it as written. Keys are of a closed
// list.
func (s *hourly) due(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.last[key]; ok && now.Sub(last) < time.Hour {
		return false
	}
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	s.last[key] = now
	return true
}
