package server

import (
	"sync"
	"time"
)

// seldom says whether something is to be said again. The zero value has said nothing.
type seldom struct {
	mu   sync.Mutex
	said map[string]time.Time
}

// first is true for the first time in an hour that a word is asked about. The words are of a closed list.
func (s *seldom) first(word string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.said[word]; ok && now.Sub(last) < time.Hour {
		return false
	}
	if s.said == nil {
		s.said = map[string]time.Time{}
	}
	s.said[word] = now
	return true
}
