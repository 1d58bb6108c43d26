package front

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// running counts the requests whose handlers have not returned. net/http's Shutdown does not wait for connections that a
// handler took over, such as a WebSocket's, and its Close waits for no handler at all.
type running struct {
	mu   sync.Mutex
	open int
	none []chan struct{} // closed when open falls to zero
}

func (r *running) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		r.open++
		r.mu.Unlock()
		defer r.left()
		next.ServeHTTP(w, q)
	})
}

func (r *running) left() {
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

// wait waits until no request is open or ctx ends.
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

// drain ends the servers: gently for as long as most, then by force. What was cut off has a last second to return, so that
// its record is written.
//
// Whoever was let in is answered. net/http's own Shutdown would read a request on a connection that is still new and then close
// that without a word, so it comes last, when there is none.
func (s *Server) drain(servers []*http.Server, listeners []*listener, requests *running, most time.Duration, end context.CancelFunc) {
	gentle, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	s.draining.Store(true) // from now on every answer says that it is the connection's last
	for _, l := range listeners {
		l.Close()
	}
	s.goodbye()
	s.counts.settle(gentle)
	s.goodbye() // to those who came last
	for _, server := range servers {
		server.SetKeepAlivesEnabled(false) // closes what is idle
	}
	requests.wait(gentle)
	var ended sync.WaitGroup
	for _, server := range servers {
		ended.Go(func() { server.Shutdown(gentle) })
	}
	ended.Wait()
	requests.wait(gentle)
	for _, server := range servers {
		server.Close()
	}
	end() // after the connections: what is cut must not look whole
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	requests.wait(last)
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
