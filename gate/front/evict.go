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
	silentTime   = 100 * time.Millisecond // until a connection that says nothing may be told to make way
	settleTime   = time.Second            // until one that has begun to say something, and has not asked, may be
	leaveTime    = 100 * time.Millisecond // that a connection has to leave in when others wait for it
	leastLeaving = 16                     // may be about to leave at once; more where there are many slots
)

// makeRoom has a connection of the greediest network make way. It returns false where there is none, or enough are leaving.
func (a *admission) makeRoom() bool {
	if a.leaving.len >= max(leastLeaving, a.limit/64) {
		for c := a.leaving.first; c != nil && time.Since(c.place.since) > leaveTime; c = c.place.next {
			c.Conn.Close()
		}
		return false
	}
	a.grow()
	for len(a.greedy) > 0 {
		if a.try(a.greedy[0].idle.conns[0]) {
			return true
		}
	}
	return false
}

// lacksFiles has some connections make way where one could not be accepted for want of a file descriptor. It returns false where
// err says something else.
func (a *admission) lacksFiles(err error) bool {
	if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		return false
	}
	a.counts.limited[limitedFiles].Add(1)
	a.notices.add(limitedFiles, netip.Prefix{})
	a.mu.Lock()
	defer a.mu.Unlock()
	for n := 0; n < leastLeaving && a.makeRoom(); n++ {
	}
	return true
}

// makeWay does the same among the connections of one address or network.
func (a *admission) makeWay(g *group) bool {
	a.grow()
	for g.idle.Len() > 0 {
		if a.try(g.idle.conns[0]) {
			return true
		}
	}
	return false
}

// grow lists those that have had time to show something and have not. What a client has sent may be there and not read yet, where
// the processor has much to do.
func (a *admission) grow() {
	for c := a.young.first; c != nil && time.Since(c.place.since) >= silentTime; c = a.young.first {
		a.young.remove(c)
		switch rank := c.place.rank.Load(); {
		case rank == busy:
		case classOf(rank) == classSilent && c.quiet():
			a.list(c, rank)
		default:
			a.settling.add(c)
		}
	}
	for c := a.settling.first; c != nil && time.Since(c.place.since) >= settleTime; c = a.settling.first {
		a.settling.remove(c)
		if rank := c.place.rank.Load(); rank != busy {
			a.list(c, rank)
		}
	}
}

// quiet says whether nothing has come from a client, read or not.
func (c *conn) quiet() bool {
	return !c.heard.Load() && !socket.Unread(c.Conn)
}

// try has a listed connection make way, or puts right what is known of it and returns false.
func (a *admission) try(c *conn) bool {
	p := &c.place
	rank := p.rank.Load()
	switch {
	case rank == busy:
		a.unlist(c)
		if rank = p.rank.Load(); rank != busy { // it did not see that it has to tell
			a.list(c, rank)
		}
		return false
	case rank != p.filed:
		p.filed = rank
		for which, g := range p.groups {
			if g != nil {
				heap.Fix(&g.idle, p.at[which])
			}
		}
		a.settle(p.groups[ofNetwork])
		return false
	case time.Since(p.since) < settleTime && (classOf(rank) == classHandshake || classOf(rank) == classSilent && !c.quiet()):
		// It was silent when it was listed.
		a.unlist(c)
		p.since = time.Now()
		a.settling.add(c)
		return false
	}
	return a.leave(c, classOf(rank))
}

// leave tells a connection to make way.
func (a *admission) leave(c *conn, of class) bool {
	p := &c.place
	a.unlist(c)
	if makeWay := c.makeWay.Load(); makeWay == nil {
		c.Conn.Close()
	} else if !(*makeWay)() { // a request has begun to come
		p.queue.remove(c)
		p.since = time.Now()
		a.settling.add(c)
		return false
	}
	p.queue.remove(c)
	p.since = time.Now()
	a.leaving.add(c)
	a.part(c)
	p.state = leaving
	p.tell.Store(tellAll)
	if p.rank.Load() == busy { // it did not see that
		p.queue.remove(c)
		a.stay(c)
		return false
	}
	a.counts.madeWay[of].Add(1)
	return true
}
