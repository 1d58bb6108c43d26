package front

import (
	"container/heap"
	"math"
	"sync/atomic"
	"time"
)

// class is what a connection has shown. Of two the lower one makes way first.
type class uint64

const (
	classSilent    class = iota // no TLS hello; in plain HTTP: no request
	classHandshake              // a hello, and no request
	classIdle                   // nothing since its last request was answered
	classes
)

func classWords() [classes]string { return [...]string{"silent", "handshake", "idle"} }

// busy is the rank of a connection with a request under way.
const busy = math.MaxUint64

// rank orders connections: the lowest makes way first. It is the class and, below it, since when.
func (a *admission) rank(of class) uint64 { return uint64(of)<<60 | uint64(time.Since(a.epoch)) }

func classOf(rank uint64) class { return class(rank >> 60) }

// place is where a connection stands among the others.
type place struct {
	rank atomic.Uint64 // as it is now
	tell atomic.Int32  // who changes rank tells the admission: never, when it is idle again, or always

	// The rest is the admission's, under its mu.
	state          state
	listed         bool      // in the heaps of its groups
	filed          uint64    // the rank that it has there; never above rank while it is listed
	at             [2]int    // where in them
	groups         [2]*group // of its address, nil for no single visitor, and of its network
	queue          *queue    // that it waits in; nil: none
	previous, next *conn     // in that
	since          time.Time // since then
}

// state says what a connection takes of the admission.
type state int

const (
	outside state = iota // nothing
	inside               // a slot
	leaving              // none any more, but it is not closed yet
)

// What a connection tells the admission.
const (
	tellNothing = iota
	tellIdle
	tellAll
)

// become gives a connection without a request its rank, busy one with a request. Both are called by whoever serves the connection.
func (c *conn) become(of class) {
	if c.admission == nil { // in a test
		return
	}
	c.place.rank.Store(c.admission.rank(of))
	if c.place.tell.Load() != tellNothing {
		c.admission.ranked(c)
	}
}

func (c *conn) busy() {
	c.place.rank.Store(busy)
	if c.place.tell.Load() == tellAll {
		c.admission.ranked(c)
	}
}

// ranked is told that a connection which is not listed has a new rank.
func (a *admission) ranked(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	rank := c.place.rank.Load()
	switch p := &c.place; {
	case p.state == leaving && rank == busy: // its client was faster
		p.queue.remove(c)
		a.stay(c)
	case p.state == inside && !p.listed && rank != busy && classOf(rank) == classIdle:
		p.queue.remove(c)
		a.list(c, rank)
	}
}

// settle puts a network where it belongs among the others.
func (a *admission) settle(network *group) {
	switch {
	case network.at == nowhere && network.idle.Len() > 0:
		heap.Push(&a.greedy, network)
	case network.at != nowhere && network.idle.Len() == 0:
		heap.Remove(&a.greedy, network.at)
	case network.at != nowhere:
		heap.Fix(&a.greedy, network.at)
	}
}

// list makes a connection of so low a rank one that can make way; unlist takes that back.
func (a *admission) list(c *conn, rank uint64) {
	p := &c.place
	p.listed, p.filed = true, rank
	p.tell.Store(tellNothing)
	for _, g := range p.groups {
		if g != nil {
			heap.Push(&g.idle, c)
		}
	}
	a.settle(p.groups[ofNetwork])
}

func (a *admission) unlist(c *conn) {
	p := &c.place
	if !p.listed {
		return
	}
	p.listed = false
	p.tell.Store(tellIdle)
	for which, g := range p.groups {
		if g != nil {
			heap.Remove(&g.idle, p.at[which])
		}
	}
	a.settle(p.groups[ofNetwork])
}
