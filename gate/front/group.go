package front

import "net/netip"

// group is the connections of one address or of one network.
type group struct {
	prefix netip.Prefix // the zero Prefix: addresses with many clients behind them
	open   int          // with a slot
	all    int          // with those evicted and not closed yet
	idle   ranking
	at     int // index in admission.evictable
}

const notInHeap = -1

func newGroup(p netip.Prefix, which int) *group {
	return &group{prefix: p, at: notInHeap, idle: ranking{which: which}}
}

// weight is the number of connections that the group is compared with others by.
func (g *group) weight() int {
	if !g.prefix.IsValid() {
		return 1
	}
	return g.open
}

// ranking is a heap of a group's connections that can be evicted, the lowest listedRank first. The rank of a listed
// connection only grows, so tryEvict compares that of the first one before it evicts it.
type ranking struct {
	conns []*conn
	which int // index in place.at: ofAddress or ofNetwork
}

const (
	ofAddress = iota
	ofNetwork
)

// Len serves heap.Interface, as do the next four methods.
func (r *ranking) Len() int { return len(r.conns) }

// Less puts the connection first that is evicted first.
func (r *ranking) Less(i, j int) bool {
	return r.conns[i].place.listedRank < r.conns[j].place.listedRank
}

// Swap keeps the indexes in place.at.
func (r *ranking) Swap(i, j int) {
	r.conns[i], r.conns[j] = r.conns[j], r.conns[i]
	r.conns[i].place.at[r.which], r.conns[j].place.at[r.which] = i, j
}

// Push adds a *conn.
func (r *ranking) Push(c any) {
	c.(*conn).place.at[r.which] = len(r.conns)
	r.conns = append(r.conns, c.(*conn))
}

// Pop removes the last connection.
func (r *ranking) Pop() any {
	last := len(r.conns) - 1
	c := r.conns[last]
	r.conns[last] = nil
	r.conns = r.conns[:last]
	return c
}

// networkHeap is a heap of networks with a connection that can be evicted: most connections first, then the lowest
// rank.
type networkHeap []*group

// Len serves heap.Interface, as do the next four methods.
func (n networkHeap) Len() int { return len(n) }

// Less puts the network first from which is evicted first.
func (n networkHeap) Less(i, j int) bool {
	if a, b := n[i].weight(), n[j].weight(); a != b {
		return a > b
	}
	return n[i].idle.conns[0].place.listedRank < n[j].idle.conns[0].place.listedRank
}

// Swap keeps group.at.
func (n networkHeap) Swap(i, j int) {
	n[i], n[j] = n[j], n[i]
	n[i].at, n[j].at = i, j
}

// Push adds a *group.
func (n *networkHeap) Push(one any) {
	one.(*group).at = len(*n)
	*n = append(*n, one.(*group))
}

// Pop removes the last group.
func (n *networkHeap) Pop() any {
	last := len(*n) - 1
	one := (*n)[last]
	(*n)[last] = nil
	*n = (*n)[:last]
	one.at = notInHeap
	return one
}

// queue is a linked list of connections in the order of place.since. The zero value is ready for use.
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

// remove removes a connection that was added. A nil queue is valid and has none.
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
