package front

import (
	"context"
	"sync"
	"time"
)

// running counts what has not ended: requests whose handlers have not returned, connections.
type running struct {
	mu   sync.Mutex
	open int
	none []chan struct{} // closed when open falls to zero
}

func (r *running) enter() {
	r.mu.Lock()
	r.open++
	r.mu.Unlock()
}

func (r *running) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open--; r.open > 0 {
		return
	}
	for _, waiting := range r.none {
		close(waiting)
	}
	r.none = nil
}

// wait waits until nothing is open or ctx ends.
func (r *running) wait(ctx context.Context) {
	none := make(chan struct{})
	r.mu.Lock()
	if r.open == 0 {
		close(none)
	} else {
		r.none = append(r.none, none)
	}
	r.mu.Unlock()
	select {
	case <-none:
	case <-ctx.Done():
	}
}

// drain ends the service: gently for as long as Limits.DrainTime, then by force. What was cut off has a last second to return, so
// that its record is written.
//
// Whoever was let in is answered: connections that have not asked yet are waited for before those that are idle are closed.
func (v *serving) drain(listeners []*listener) {
	gentle, cancel := context.WithTimeout(context.Background(), v.limits.DrainTime)
	defer cancel()
	v.draining.Store(true) // from now on every answer says that it is the connection's last
	v.http1.End()
	v.plain.End()
	for _, l := range listeners {
		l.Close()
	}
	v.accepting.Wait() // a connection that has left the kernel's queue is counted then
	v.goodbye()
	v.counts.settle(gentle)
	v.goodbye() // to those who came last
	v.http1.CloseIdle()
	v.plain.CloseIdle()
	v.requests.wait(gentle)
	v.connections.wait(gentle)
	v.cut()
	v.end() // after the connections: what is cut must not look whole
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	v.requests.wait(last)
	v.connections.wait(last)
}

// settle waits until every connection has begun its first request, or spoken HTTP/2. Who takes longer may not mean to.
func (c *counts) settle(ctx context.Context) {
	const patience, look = 2 * time.Second, 5 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for c.fresh.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(look):
		}
	}
}
