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
func (h *hourly) due(key string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if last, ok := h.last[key]; ok && now.Sub(last) < time.Hour {
		return false
	}
	if h.last == nil {
		h.last = map[string]time.Time{}
	}
	h.last[key] = now
	return true
}
