package front

import (
	"container/list"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// slots limits the requests that the sites' own servers work on at once, per connection and per address. Requests
// beyond that wait, first come, first served. A request holds its slot until its server has let go of it, which may be
// after the client has left: a client that asks and leaves at once causes as much work as one that waits for the
// response.
type slots struct {
	perConnection, perAddress int
	waitTime                  time.Duration // longest wait of a request
	single                    func(netip.Addr) bool
	counts                    *counts

	mu        sync.Mutex
	addresses map[netip.Prefix]*semaphore
	spare     *semaphore // one to use again; nil: none
}

// semaphore is the slots of one connection or address. waiting has a channel per waiting request, closed when that
// gets a slot.
type semaphore struct {
	held    int
	waiting list.List
}

func newSlots(s *Server, limits Limits) *slots {
	return &slots{
		perConnection: int(limits.Streams), perAddress: limits.RequestsPerAddress, waitTime: limits.HeaderTime,
		single: (&admission{proxies: s.Proxies}).single, counts: &s.counts, addresses: map[netip.Prefix]*semaphore{},
	}
}

// Slot is held by a request that a site's own server works on.
type Slot struct{ conn *conn }

// Admit waits until a request may go on to its site's own server, for Limits.HeaderTime at most and no longer than its
// client. The caller releases the slot when the server has let go of the request, which may be after its handler has
// returned.
func Admit(r *http.Request) (slot Slot, ok bool) {
	c := connOf(r)
	if c == nil || c.slots == nil {
		return Slot{}, true
	}
	return Slot{c}, c.slots.enter(c, r)
}

// Release gives the slot back, to the first waiting request if there is one.
func (s Slot) Release() {
	if s.conn != nil {
		s.conn.slots.leave(s.conn)
	}
}

// enter takes a slot of the connection, then one of its client's address.
func (s *slots) enter(c *conn, r *http.Request) bool {
	s.mu.Lock()
	if !c.prefixKnown {
		c.prefixKnown = true
		if client := addressOf(c.RemoteAddr()); s.single(client) {
			c.clientPrefix = address(client)
		}
	}
	if !s.take(&c.requests, s.perConnection, r) {
		s.mu.Unlock()
		return false
	}
	if !c.clientPrefix.IsValid() {
		s.mu.Unlock()
		return true
	}
	t := s.addresses[c.clientPrefix]
	if t == nil {
		if t = s.spare; t == nil {
			t = &semaphore{}
		}
		s.addresses[c.clientPrefix], s.spare = t, nil
	}
	if t.held >= s.perAddress && c.admission != nil {
		c.admission.notices.add(limitedRequests, c.clientPrefix)
	}
	ok := s.take(t, s.perAddress, r)
	if !ok {
		c.requests.leave()
	}
	s.mu.Unlock()
	return ok
}

// take must be called with mu held. It releases mu while it waits.
func (s *slots) take(t *semaphore, most int, r *http.Request) bool {
	if t.held < most {
		t.held++
		return true
	}
	s.counts.limited[limitedRequests].Add(1)
	granted := make(chan struct{})
	element := t.waiting.PushBack(granted)
	s.mu.Unlock()
	timer := time.NewTimer(s.waitTime)
	select {
	case <-granted:
	case <-timer.C:
	case <-r.Context().Done():
	}
	timer.Stop()
	s.mu.Lock()
	select {
	case <-granted:
		return true
	default:
		t.waiting.Remove(element)
		return false
	}
}

// leave hands a slot on.
func (s *semaphore) leave() {
	if first := s.waiting.Front(); first != nil {
		close(s.waiting.Remove(first).(chan struct{}))
		return
	}
	s.held--
}

func (s *slots) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.addresses[c.clientPrefix]; t != nil && c.clientPrefix.IsValid() {
		if t.leave(); t.held == 0 {
			delete(s.addresses, c.clientPrefix)
			s.spare = t
		}
	}
	c.requests.leave()
}
