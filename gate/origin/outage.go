package origin

import (
	"sync"
	"sync/atomic"
	"time"
)

// Health is news of a server: it has stopped answering, or answers again.
type Health struct {
	Server string    // as configured
	Down   bool      // it does not answer
	Since  time.Time // its first failure in a row
	Err    error     // with Down: the latest failure
}

// A server is down for its owner after so many failures in a row, however far apart; one that comes and goes is news
// again only after it has been well for a while. This is for people: whom requests go to is for health to say.
const (
	downAfter = 3
	wellFor   = 10 * time.Second
)

// outage notices that a server, or a folder, does not answer. The zero value has seen nothing.
type outage struct {
	inARow atomic.Int32 // failures since it last answered

	mu        sync.Mutex
	since     time.Time
	err       error
	down      bool
	recovered time.Time
}

// failed notes a failure. said is false unless the server is down with it.
func (t *outage) failed(server string, err error) (news Health, said bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.inARow.Add(1) == 1 {
		t.since = now
	}
	t.err = err
	if t.down || t.inARow.Load() < downAfter || now.Sub(t.recovered) < wellFor {
		return Health{}, false
	}
	t.down = true
	return Health{Server: server, Down: true, Since: t.since, Err: err}, true
}

// answered notes a response. said is false unless the server was down. It costs next to nothing where all is well.
func (t *outage) answered(server string) (news Health, said bool) {
	if t.inARow.Load() == 0 {
		return Health{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inARow.Store(0)
	t.err = nil
	if !t.down {
		return Health{}, false
	}
	t.down, t.recovered = false, time.Now()
	return Health{Server: server, Since: t.since}, true
}

// status is the news that was said last, if it still holds.
func (t *outage) status() (down bool, since time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.down {
		return false, time.Time{}, nil
	}
	return true, t.since, t.err
}
