package front

import (
	"container/list"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// slots bound what clients have under way at the sites' own servers at once: so many requests of one connection, and so many of one
// address. What is more waits its turn, the first one first. A request holds its slot until its server has let go of it, which may
// be later than its client did: who asks and leaves at once makes as much work as who waits for the response.
type slots struct {
	perConnection, perAddress int
	patience                  time.Duration // the longest that one waits
	single                    func(netip.Addr) bool
	counts                    *counts

	mu        sync.Mutex
	addresses map[netip.Prefix]*turns
	spare     *turns // the latest that an address needed no more; nil: there is none
}

// turns are the requests of one connection or one address. Those that wait are channels, each closed when it is its turn.
type turns struct {
	held    int
	waiting list.List
}

func newSlots(s *Server, limits Limits) *slots {
	return &slots{
		perConnection: int(limits.Streams), perAddress: limits.RequestsPerAddress, patience: limits.HeaderTime, single: (&admission{proxies: s.Proxies}).single,
		counts: &s.counts, addresses: map[netip.Prefix]*turns{},
	}
}

// Slot is held by a request that a site's own server works on.
type Slot struct{ conn *conn }

// Admit waits until a request may go on to its site's own server, for Limits.HeaderTime at most and no longer than its client. The
// caller releases the slot when the server has let go of the request, also later than its handler.
func Admit(r *http.Request) (slot Slot, ok bool) {
	c := connOf(r)
	if c == nil || c.slots == nil {
		return Slot{}, true
	}
	return Slot{c}, c.slots.enter(c, r)
}

// Release gives the slot back and lets the next waiting request in.
func (s Slot) Release() {
	if s.conn != nil {
		s.conn.slots.leave(s.conn)
	}
}

// enter takes a slot of the connection, and then one of its client's address.
func (s *slots) enter(c *conn, r *http.Request) bool {
	s.mu.Lock()
	if !c.asked {
		c.asked = true
		if client := addressOf(c.RemoteAddr()); s.single(client) {
			c.visitor = address(client)
		}
	}
	if !s.take(&c.turns, s.perConnection, r) {
		s.mu.Unlock()
		return false
	}
	if !c.visitor.IsValid() {
		s.mu.Unlock()
		return true
	}
	t := s.addresses[c.visitor]
	if t == nil {
		if t = s.spare; t == nil {
			t = &turns{}
		}
		s.addresses[c.visitor], s.spare = t, nil
	}
	if t.held >= s.perAddress && c.admission != nil {
		c.admission.notices.add(limitedRequests, c.visitor)
	}
	ok := s.take(t, s.perAddress, r)
	if !ok {
		c.turns.leave()
	}
	s.mu.Unlock()
	return ok
}

// take is called with mu held, and gives it up while it waits.
func (s *slots) take(t *turns, most int, r *http.Request) bool {
	if t.held < most {
		t.held++
		return true
	}
	s.counts.limited[limitedRequests].Add(1)
	turn := make(chan struct{})
	place := t.waiting.PushBack(turn)
	s.mu.Unlock()
	timer := time.NewTimer(s.patience)
	select {
	case <-turn:
	case <-timer.C:
	case <-r.Context().Done():
	}
	timer.Stop()
	s.mu.Lock()
	select {
	case <-turn:
		return true
	default:
		t.waiting.Remove(place)
		return false
	}
}

// leave hands a slot on.
func (t *turns) leave() {
	if first := t.waiting.Front(); first != nil {
		close(t.waiting.Remove(first).(chan struct{}))
		return
	}
	t.held--
}

func (s *slots) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.addresses[c.visitor]; t != nil && c.visitor.IsValid() {
		if t.leave(); t.held == 0 {
			delete(s.addresses, c.visitor)
			s.spare = t
		}
	}
	c.turns.leave()
}
