package front

import (
	"container/heap"
	"errors"
	"net/netip"
	"syscall"
	"time"

	"gate421/gate/socket"
)

const (
	silentTime   = 100 * time.Millisecond // a connection that has sent nothing may be evicted after it
	graceTime    = time.Second            // one that has sent something, and no whole request, may be evicted after it
	leaveTime    = 100 * time.Millisecond // an evicted one is closed after it when others wait
	leastLeaving = 16                     // evicted and not closed yet, at once; a 64th of the slots if that is more
)

// evict evicts a connection of the network with most connections. It returns false if there is none to evict, or if
// enough are leaving already.
func (a *admission) evict() bool {
	if a.leaving.len >= max(leastLeaving, a.limit/64) {
		for c := a.leaving.first; c != nil && time.Since(c.place.since) > leaveTime; c = c.place.next {
			c.Conn.Close()
		}
		return false
	}
	a.listEligible()
	for len(a.evictable) > 0 {
		if a.tryEvict(a.evictable[0].idle.conns[0]) {
			return true
		}
	}
	return false
}

// evictForFiles evicts some connections if err says that there are no file descriptors left. It returns false for
// other errors.
func (a *admission) evictForFiles(err error) bool {
	if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		return false
	}
	a.counts.limited[limitedFiles].Add(1)
	a.notices.add(limitedFiles, netip.Prefix{})
	a.mu.Lock()
	defer a.mu.Unlock()
	for n := 0; n < leastLeaving && a.evict(); n++ {
	}
	return true
}

// evictFrom evicts a connection of one address or network.
func (a *admission) evictFrom(g *group) bool {
	a.listEligible()
	for g.idle.Len() > 0 {
		if a.tryEvict(g.idle.conns[0]) {
			return true
		}
	}
	return false
}

// listEligible makes connections eligible whose time has passed: silent ones after silentTime, others without a
// request after graceTime. On a busy machine what a client has sent may not have been read yet, so it looks at the
// socket, too.
func (a *admission) listEligible() {
	for c := a.young.first; c != nil && time.Since(c.place.since) >= silentTime; c = a.young.first {
		a.young.remove(c)
		switch rank := c.place.rank.Load(); {
		case rank == busy:
		case classOf(rank) == classSilent && c.silent():
			a.list(c, rank)
		default:
			a.inGrace.add(c)
		}
	}
	for c := a.inGrace.first; c != nil && time.Since(c.place.since) >= graceTime; c = a.inGrace.first {
		a.inGrace.remove(c)
		if rank := c.place.rank.Load(); rank != busy {
			a.list(c, rank)
		}
	}
}

// silent says whether the client has sent nothing, whether read or not.
func (c *conn) silent() bool {
	return !c.gotBytes.Load() && !socket.Unread(c.Conn)
}

// tryEvict evicts a listed connection. If its rank has changed since it was listed, tryEvict corrects that and returns
// false.
func (a *admission) tryEvict(c *conn) bool {
	p := &c.place
	rank := p.rank.Load()
	switch {
	case rank == busy:
		a.unlist(c)
		if rank = p.rank.Load(); rank != busy { // setClass missed that it has to call onRank
			a.list(c, rank)
		}
		return false
	case rank != p.listedRank:
		p.listedRank = rank
		for which, g := range p.groups {
			if g != nil {
				heap.Fix(&g.idle, p.at[which])
			}
		}
		a.reorder(p.groups[ofNetwork])
		return false
	case time.Since(p.since) < graceTime &&
		(classOf(rank) == classHandshake || classOf(rank) == classSilent && !c.silent()):
		// It was silent when it was listed, and has sent something since.
		a.unlist(c)
		p.since = time.Now()
		a.inGrace.add(c)
		return false
	}
	return a.evictListed(c, classOf(rank))
}

// evictListed evicts a connection, unless a request has begun to arrive.
func (a *admission) evictListed(c *conn, of class) bool {
	p := &c.place
	a.unlist(c)
	if evict := c.evict.Load(); evict == nil {
		c.Conn.Close()
	} else if !(*evict)() { // a request has begun to arrive
		p.queue.remove(c)
		p.since = time.Now()
		a.inGrace.add(c)
		return false
	}
	p.queue.remove(c)
	p.since = time.Now()
	a.leaving.add(c)
	a.freeSlot(c)
	p.state = stateEvicted
	p.notify.Store(notifyAlways)
	if p.rank.Load() == busy { // setBusy missed that it has to call onRank
		p.queue.remove(c)
		a.takeSlot(c)
		return false
	}
	a.counts.madeWay[of].Add(1)
	return true
}
