package front

import (
	"net/netip"
	"sync"
	"time"
)

// LimitNotice says that a limit is being enforced. There is one when that begins, at most one a minute while it goes on, and a last
// one when it has not happened for a minute.
type LimitNotice struct {
	// Limit is a word of Stats.Limits: address and network (of whom new connections are closed), connections (all slots are taken:
	// idle connections make way, or new ones wait), files (this process has no file descriptor left), requests (an address
	// has as many under way at the sites' own servers as it may have, and more wait), proxy_protocol (a balancer's
	// connection did not begin with a sound PROXY header).
	Limit string
	// Client is one of those whom it concerns: an address or a network. The zero Prefix: it concerns everybody.
	Client netip.Prefix
	// Times that it was enforced since the last notice.
	Times uint64
	Since time.Time // it goes on
	Began bool      // this is the first notice
	Ended bool      // this is the last one
}

// noticeTime is between two notices of a limit.
const noticeTime = time.Minute

// notices collects what is to be told of limits, however often they are enforced, and tells it in goroutines of its own.
type notices struct {
	tell func(LimitNotice) // nil: nobody is told

	mu      sync.Mutex
	current [limitations]*notice // nil: it is not being enforced
	ended   bool
	telling sync.WaitGroup
}

type notice struct {
	LimitNotice
	timer *time.Timer
}

// add notes that a limit was enforced. It never waits.
func (n *notices) add(limit int, client netip.Prefix) {
	if n.tell == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	one := n.current[limit]
	switch {
	case n.ended:
		return
	case one == nil:
		one = &notice{LimitNotice: LimitNotice{Limit: limitWords()[limit], Client: client, Since: time.Now(), Began: true}}
		n.current[limit] = one
		one.timer = time.AfterFunc(0, func() { n.due(limit) })
	case one.Times == 0:
		one.Client = client
	}
	one.Times++
}

// due tells of a limit, and looks again after a while.
func (n *notices) due(limit int) {
	n.mu.Lock()
	if n.ended {
		n.mu.Unlock()
		return
	}
	n.telling.Add(1)
	defer n.telling.Done()
	one := n.current[limit]
	said := one.take()
	if said.Ended {
		n.current[limit] = nil
	}
	n.mu.Unlock()
	n.tell(said)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !said.Ended && !n.ended {
		one.timer.Reset(noticeTime)
	}
}

// take is what is to be told now.
func (n *notice) take() LimitNotice {
	said := n.LimitNotice
	said.Ended = said.Times == 0
	n.Times, n.Began = 0, false
	return said
}

// end tells what has not been told yet.
func (n *notices) end() {
	n.mu.Lock()
	n.ended = true
	var last []LimitNotice
	for _, one := range n.current {
		if one == nil {
			continue
		}
		one.timer.Stop()
		said := one.take()
		said.Ended = true
		last = append(last, said)
	}
	n.mu.Unlock()
	n.telling.Wait()
	for _, said := range last {
		n.tell(said)
	}
}

// Enforced are the limits that are being enforced at this moment, as the last notices said. A nil Server enforces none.
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
