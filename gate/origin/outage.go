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
func (o *outage) failed(server string, err error) (news Health, said bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if o.inARow.Add(1) == 1 {
		o.since = now
	}
	o.err = err
	if o.down || o.inARow.Load() < downAfter || now.Sub(o.recovered) < wellFor {
		return Health{}, false
	}
	o.down = true
	return Health{Server: server, Down: true, Since: o.since, Err: err}, true
}

// answered notes a response. said is false unless the server was down. It costs next to nothing where all is well.
func (o *outage) answered(server string) (news Health, said bool) {
	if o.inARow.Load() == 0 {
		return Health{}, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inARow.Store(0)
	o.err = nil
	if !o.down {
		return Health{}, false
	}
	o.down, o.recovered = false, time.Now()
	return Health{Server: server, Since: o.since}, true
}

// status is the news that was said last, if it still holds.
func (o *outage) status() (down bool, since time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.down {
		return false, time.Time{}, nil
	}
	return true, o.since, o.err
}
