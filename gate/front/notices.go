package front

import (
	"net/netip"
	"sync"
	"time"
)

// LimitNotice says that a limit is being enforced. There is one when that begins, at most one per minute while it goes
// on, and a last one when the limit has not been enforced for a minute.
type LimitNotice struct {
	// Limit is a word of Stats.Limits: address and network (new connections of them are closed), connections (all
	// slots are taken: idle connections are closed, or new ones wait), files (this process has no file descriptors
	// left), requests (an address has as many under way at the sites' own servers as it may have, and more wait),
	// proxy_protocol (a balancer's connection did not begin with a valid PROXY header).
	Limit string
	// Client is an address or network that the limit was enforced on. The zero Prefix: it concerns everybody.
	Client netip.Prefix
	// Times that it was enforced since the last notice.
	Times uint64
	Since time.Time // it goes on
	Began bool      // this is the first notice
	Ended bool      // this is the last one
}

// noticeTime is the time between two notices of a limit.
const noticeTime = time.Minute

// notices collects enforcements of limits and calls onLimit about them, in goroutines of its own.
type notices struct {
	onLimit func(LimitNotice) // nil: not called

	mu      sync.Mutex
	current [limitations]*notice // nil: not being enforced
	ended   bool
	telling sync.WaitGroup
}

type notice struct {
	LimitNotice
	timer *time.Timer
}

// add notes that a limit was enforced. It does not block.
func (n *notices) add(limit int, client netip.Prefix) {
	if n.onLimit == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	one := n.current[limit]
	switch {
	case n.ended:
		return
	case one == nil:
		one = &notice{LimitNotice: LimitNotice{
			Limit: limitWords()[limit], Client: client, Since: time.Now(), Began: true,
		}}
		n.current[limit] = one
		one.timer = time.AfterFunc(0, func() { n.due(limit) })
	case one.Times == 0:
		one.Client = client
	}
	one.Times++
}

// due sends the notice of a limit, and schedules the next one.
func (n *notices) due(limit int) {
	n.mu.Lock()
	if n.ended {
		n.mu.Unlock()
		return
	}
	n.telling.Add(1)
	defer n.telling.Done()
	one := n.current[limit]
	due := one.take()
	if due.Ended {
		n.current[limit] = nil
	}
	n.mu.Unlock()
	n.onLimit(due)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !due.Ended && !n.ended {
		one.timer.Reset(noticeTime)
	}
}

// take returns the notice that is due now, and begins the next one.
func (n *notice) take() LimitNotice {
	due := n.LimitNotice
	due.Ended = due.Times == 0
	n.Times, n.Began = 0, false
	return due
}

// end sends the last notices and waits for onLimit to return. After it there are none.
func (n *notices) end() {
	n.mu.Lock()
	n.ended = true
	var last []LimitNotice
	for _, one := range n.current {
		if one == nil {
			continue
		}
		one.timer.Stop()
		due := one.take()
		due.Ended = true
		last = append(last, due)
	}
	n.mu.Unlock()
	n.telling.Wait()
	for _, due := range last {
		n.onLimit(due)
	}
}

// Enforced returns the limits that are being enforced now, as the last notices said. A nil Server enforces none.
func (s *Server) Enforced() []LimitNotice {
	if s == nil {
		return nil
	}
	n := s.notices.Load()
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []LimitNotice
	for _, one := range n.current {
		if one != nil {
			out = append(out, one.LimitNotice)
		}
	}
	return out
}
