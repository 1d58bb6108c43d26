package front

import (
	"container/heap"
	"math"
	"sync/atomic"
	"time"
)

// class is how far a connection has come. Lower classes are evicted first.
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

// rank orders connections: the lowest is evicted first. It is the class in the high bits and, below it, since when.
func (a *admission) rank(of class) uint64 { return uint64(of)<<60 | uint64(time.Since(a.epoch)) }

func classOf(rank uint64) class { return class(rank >> 60) }

// place is what the admission knows of a connection.
type place struct {
	rank   atomic.Uint64 // current
	notify atomic.Int32  // when a change of rank calls admission.onRank: one of the notify constants

	// Guarded by admission.mu.
	state          state
	listed         bool      // in the heaps of its groups
	listedRank     uint64    // rank in those heaps; never above rank while listed
	at             [2]int    // index in those heaps
	groups         [2]*group // of its address, nil for no single client, and of its network
	queue          *queue    // the queue that it is in; nil: none
	previous, next *conn     // in queue
	since          time.Time // when it entered queue
}

// state is what a connection holds of the admission.
type state int

const (
	stateOut     state = iota // nothing
	stateOpen                 // a slot
	stateEvicted              // no slot any more, but it is not closed yet
)

// When a connection calls admission.onRank about its rank.
const (
	notifyNever = iota
	notifyWhenIdle
	notifyAlways
)

// setClass gives a connection without a request the rank of its class, setBusy that of one with a request. The
// connection's server calls both.
func (c *conn) setClass(of class) {
	if c.admission == nil { // in a test
		return
	}
	c.place.rank.Store(c.admission.rank(of))
	if c.place.notify.Load() != notifyNever {
		c.admission.onRank(c)
	}
}

func (c *conn) setBusy() {
	c.place.rank.Store(busy)
	if c.place.notify.Load() == notifyAlways {
		c.admission.onRank(c)
	}
}

// onRank is called when the rank of a connection that is not listed has changed.
func (a *admission) onRank(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	rank := c.place.rank.Load()
	switch p := &c.place; {
	case p.state == stateEvicted && rank == busy: // a request arrived before the connection was closed
		p.queue.remove(c)
		a.takeSlot(c)
	case p.state == stateOpen && !p.listed && rank != busy && classOf(rank) == classIdle:
		p.queue.remove(c)
		a.list(c, rank)
	}
}

// reorder puts a network at its position in evictable.
func (a *admission) reorder(network *group) {
	switch {
	case network.at == notInHeap && network.idle.Len() > 0:
		heap.Push(&a.evictable, network)
	case network.at != notInHeap && network.idle.Len() == 0:
		heap.Remove(&a.evictable, network.at)
	case network.at != notInHeap:
		heap.Fix(&a.evictable, network.at)
	}
}

// list makes a connection one that can be evicted, unlist takes that back.
func (a *admission) list(c *conn, rank uint64) {
	p := &c.place
	p.listed, p.listedRank = true, rank
	p.notify.Store(notifyNever)
	for _, g := range p.groups {
		if g != nil {
			heap.Push(&g.idle, c)
		}
	}
	a.reorder(p.groups[ofNetwork])
}

func (a *admission) unlist(c *conn) {
	p := &c.place
	if !p.listed {
		return
	}
	p.listed = false
	p.notify.Store(notifyWhenIdle)
	for which, g := range p.groups {
		if g != nil {
			heap.Remove(&g.idle, p.at[which])
		}
	}
	a.reorder(p.groups[ofNetwork])
}
