package front

import (
	"context"
	"sync"
	"time"
)

// running counts what is open, requests or connections, and can wait for none to be.
type running struct {
	mu   sync.Mutex
	open int
	none []chan struct{} // closed when open falls to zero
}

func (r *running) add() {
	r.mu.Lock()
	r.open++
	r.mu.Unlock()
}

func (r *running) done() {
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

// wait returns when nothing is open or ctx has ended.
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

// drain ends the service: gracefully for Limits.DrainTime, then by closing all connections. Handlers that were cut off
// have one more second to return, so that their records are written.
//
// Every accepted connection gets a response: idle ones are closed only after those without a request yet had time to
// send one.
func (s *serving) drain(listeners []*listener) {
	gentle, cancel := context.WithTimeout(context.Background(), s.limits.DrainTime)
	defer cancel()
	s.draining.Store(true) // from now on every response announces the end of its connection
	s.http1.End()
	s.plain.End()
	for _, l := range listeners {
		l.Close()
	}
	s.accepting.Wait() // connections already accepted are counted by now
	s.sendGoAway()
	s.counts.waitForFirstRequests(gentle)
	s.sendGoAway() // to connections that began HTTP/2 meanwhile
	s.http1.CloseIdle()
	s.plain.CloseIdle()
	s.requests.wait(gentle)
	s.connections.wait(gentle)
	s.closeAll()
	s.end() // after the connections: a response that is cut off must not look complete
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.requests.wait(last)
	s.connections.wait(last)
}

// waitForFirstRequests waits until every connection has begun its first request or HTTP/2, for 2 s at most: slower
// connections may never send anything.
func (c *counts) waitForFirstRequests(ctx context.Context) {
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
