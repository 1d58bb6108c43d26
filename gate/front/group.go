package front

import "net/netip"

// group are the connections of one address or of one network.
type group struct {
	prefix netip.Prefix // the zero Prefix: they are no single visitor's
	open   int          // those with a slot
	all    int          // those that are leaving, too
	idle   ranking
	at     int // in greediest
}

const nowhere = -1

func newGroup(p netip.Prefix, which int) *group {
	return &group{prefix: p, at: nowhere, idle: ranking{which: which}}
}

// weight is what a group has taken, compared with others.
func (g *group) weight() int {
	if !g.prefix.IsValid() {
		return 1
	}
	return g.open
}

// ranking has those of a group that could make way when they were last looked at, the first one first. A rank only grows while its
// connection is listed, so that the first one's is looked at again and put right before anything is made of it.
type ranking struct {
	conns []*conn
	which int // of a place's at
}

const (
	ofAddress = iota
	ofNetwork
)

// Len serves heap.Interface, and so do the next four.
func (h *ranking) Len() int { return len(h.conns) }

// Less has the connection first that makes way first.
func (h *ranking) Less(i, j int) bool { return h.conns[i].place.filed < h.conns[j].place.filed }

// Swap keeps places.
func (h *ranking) Swap(i, j int) {
	h.conns[i], h.conns[j] = h.conns[j], h.conns[i]
	h.conns[i].place.at[h.which], h.conns[j].place.at[h.which] = i, j
}

// Push takes a *conn.
func (h *ranking) Push(c any) {
	c.(*conn).place.at[h.which] = len(h.conns)
	h.conns = append(h.conns, c.(*conn))
}

// Pop gives the last one.
func (h *ranking) Pop() any {
	last := len(h.conns) - 1
	c := h.conns[last]
	h.conns[last] = nil
	h.conns = h.conns[:last]
	return c
}

// greediest has the networks in which something can make way, the one with most connections first, and among equals the one whose
// connection makes way first.
type greediest []*group

// Len serves heap.Interface, and so do the next four.
func (g greediest) Len() int { return len(g) }

// Less has the group first that is to give something back first.
func (g greediest) Less(i, j int) bool {
	if a, b := g[i].weight(), g[j].weight(); a != b {
		return a > b
	}
	return g[i].idle.conns[0].place.filed < g[j].idle.conns[0].place.filed
}

// Swap keeps places.
func (g greediest) Swap(i, j int) {
	g[i], g[j] = g[j], g[i]
	g[i].at, g[j].at = i, j
}

// Push takes a *group.
func (g *greediest) Push(one any) {
	one.(*group).at = len(*g)
	*g = append(*g, one.(*group))
}

// Pop gives the last one.
func (g *greediest) Pop() any {
	last := len(*g) - 1
	one := (*g)[last]
	(*g)[last] = nil
	*g = (*g)[:last]
	one.at = nowhere
	return one
}

// queue are connections in the order of their since. The zero value is ready for use.
type queue struct {
	first, last *conn
	len         int
}

func (q *queue) add(c *conn) {
	p := &c.place
	p.queue, p.previous, p.next = q, q.last, nil
	if q.last == nil {
		q.first = c
	} else {
		q.last.place.next = c
	}
	q.last = c
	q.len++
}

// remove takes out a connection that was added. A nil queue has none.
func (q *queue) remove(c *conn) {
	if q == nil {
		return
	}
	p := &c.place
	if p.previous == nil {
		q.first = p.next
	} else {
		p.previous.place.next = p.next
	}
	if p.next == nil {
		q.last = p.previous
	} else {
		p.next.place.previous = p.previous
	}
	p.queue, p.previous, p.next = nil, nil, nil
	q.len--
}
