package front

import (
	"net/netip"
	"sync"
	"time"
)

// admission says which connections may be open, those of both listeners together: so many in all, so many of an address and of a
// network. A connection that does nothing makes way for a new one where one of these limits is reached; one with a request under
// way never does, and one that was opened within settleTime is not asked to yet, for its first request may be on its way.
//
// In all, the connection that makes way is one of the network that has most of them. Among its own it is the one that has shown
// least: no TLS hello first, then no request, then the one that has been idle for longest. Who is no single visitor, for many may
// be behind it, counts as so many networks of one connection each.
type admission struct {
	balancers  []netip.Prefix // their connections begin with a PROXY header
	proxies    []netip.Prefix // HTTP proxies: many clients behind one address
	limit      int
	perAddress int
	perNetwork int
	headerTime time.Duration
	stallTime  time.Duration
	stallBytes int
	counts     *counts
	notices    *notices
	epoch      time.Time     // that ranks count from
	freed      chan struct{} // a slot may be free

	mu        sync.Mutex
	open      int // slots that are taken
	waiting   int // listeners that wait for one
	addresses map[netip.Prefix]*group
	networks  map[netip.Prefix]*group
	shared    *group    // those of no single visitor
	greedy    greediest // networks in which something can make way
	young     queue     // connections that have just come
	settling  queue     // those of them that have begun to say something
	leaving   queue     // connections that were asked to make way, the first one first; they hold no slot
}

// retryTime is how often a listener that waits looks for a connection that can make way by now.
const retryTime = 20 * time.Millisecond

func newAdmission(s *Server, limits Limits) *admission {
	if limits.WriteTime < limits.StallTime { // the same pace, and an earlier end
		limits.StallBytes = max(int(float64(limits.StallBytes)*float64(limits.WriteTime)/float64(limits.StallTime)), 1)
		limits.StallTime = limits.WriteTime
	}
	return &admission{
		balancers: s.Balancers, proxies: s.Proxies, headerTime: limits.HeaderTime, stallTime: limits.StallTime, stallBytes: limits.StallBytes,
		limit: limits.Connections, perAddress: limits.ConnectionsPerAddress, perNetwork: max(limits.Connections/2, limits.ConnectionsPerAddress),
		counts: &s.counts, notices: &notices{tell: s.OnLimit}, epoch: time.Now(), freed: make(chan struct{}, 1),
		addresses: map[netip.Prefix]*group{}, networks: map[netip.Prefix]*group{}, shared: newGroup(netip.Prefix{}, ofNetwork),
	}
}

// address is what one client can be expected to have: an IPv4 address, or an IPv6 /64.
func address(client netip.Addr) netip.Prefix { return prefix(client, 32, 64) }

// network is what one site or provider hands out to many: an IPv4 /24, or an IPv6 /48.
func network(client netip.Addr) netip.Prefix { return prefix(client, 24, 48) }

// prefix is the zero Prefix for no address.
func prefix(client netip.Addr, bits4, bits6 int) netip.Prefix {
	bits := bits6
	if client.Is4() {
		bits = bits4
	}
	p, _ := client.Prefix(bits)
	return p
}

// carrierNAT is what providers number their customers from who share an address (RFC 6598); whoever comes from there has come
// through something that does the same.
func carrierNAT() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) }

// single says whether an address can be taken for one visitor's. Within a machine, a container's network or a company's it is as
// likely that of a balancer or of a NAT.
func (a *admission) single(client netip.Addr) bool {
	return client.IsValid() && !client.IsLoopback() && !client.IsPrivate() && !client.IsLinkLocalUnicast() &&
		!carrierNAT().Contains(client) && !within(a.proxies, client)
}

func within(networks []netip.Prefix, client netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(client) {
			return true
		}
	}
	return false
}

// enter takes a slot for a connection of a client. It returns false where there is none, and full where the client has all that it
// may have.
func (a *admission) enter(c *conn, client netip.Addr) (entered, full bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	address, network := a.groups(client)
	if a.crowded(address, network, client) {
		return false, true
	}
	if a.open >= a.limit {
		if !a.makeRoom() {
			return false, false
		}
		a.notices.add(limitedConnections, netip.Prefix{})
	}
	a.join(c, address, network)
	c.place.since = time.Now()
	a.young.add(c)
	if a.waiting > 0 && a.open < a.limit {
		a.wake()
	}
	return true, false
}

// force takes a slot that may not be there.
func (a *admission) force(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.join(c, nil, a.shared)
}

// move counts a connection that has entered for a client who was not known then. It returns false where that client has all that it
// may have, or the connection has been closed or told to make way meanwhile.
func (a *admission) move(c *conn, client netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	address, network := a.groups(client)
	if c.place.state != inside || a.crowded(address, network, client) {
		return false
	}
	if network == c.place.groups[ofNetwork] { // shared, still
		return true
	}
	a.unlist(c)
	a.part(c)
	a.release(c)
	a.join(c, address, network)
	return true
}

// join counts a connection; part takes back what it holds, and release what remembers it.
func (a *admission) join(c *conn, address, network *group) {
	c.place.groups = [2]*group{address, network}
	if address != nil {
		address.all++
		network.all++
		a.addresses[address.prefix], a.networks[network.prefix] = address, network
	}
	a.stay(c)
}

// stay gives a connection a slot.
func (a *admission) stay(c *conn) {
	c.place.state = inside
	c.place.tell.Store(tellIdle)
	a.open++
	for _, g := range c.place.groups {
		if g != nil {
			g.open++
		}
	}
	a.settle(c.place.groups[ofNetwork])
}

func (a *admission) part(c *conn) {
	a.open--
	for _, g := range c.place.groups {
		if g != nil {
			g.open--
		}
	}
	a.settle(c.place.groups[ofNetwork])
}

func (a *admission) release(c *conn) {
	address, network := c.place.groups[ofAddress], c.place.groups[ofNetwork]
	if address == nil {
		return
	}
	if address.all--; address.all == 0 {
		delete(a.addresses, address.prefix)
	}
	if network.all--; network.all == 0 {
		delete(a.networks, network.prefix)
	}
}

// groups are those that a client's connections count in. Both are new where it has none; address is nil for a client that is no
// single visitor.
func (a *admission) groups(client netip.Addr) (of, in *group) {
	if !a.single(client) {
		return nil, a.shared
	}
	find := func(groups map[netip.Prefix]*group, p netip.Prefix, which int) *group {
		g := groups[p]
		if g == nil {
			g = newGroup(p, which)
		}
		return g
	}
	return find(a.addresses, address(client), ofAddress), find(a.networks, network(client), ofNetwork)
}

// crowded says whether a client has as many connections as it may, with nothing among them that makes way.
func (a *admission) crowded(address, network *group, client netip.Addr) bool {
	switch {
	case address == nil:
	case address.open >= a.perAddress && !a.makeWay(address):
		a.counts.limited[limitedAddress].Add(1)
		a.notices.add(limitedAddress, address.prefix)
		return true
	case network.open >= a.perNetwork && !a.makeWay(network):
		a.counts.limited[limitedNetwork].Add(1)
		a.notices.add(limitedNetwork, network.prefix)
		return true
	}
	return false
}

// exit gives back what enter has taken.
func (a *admission) exit(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	state := c.place.state
	if state == outside {
		return
	}
	a.unlist(c)
	c.place.queue.remove(c)
	c.place.state = outside
	if state == inside {
		a.part(c)
	}
	a.release(c)
	if a.waiting > 0 {
		a.wake()
	}
}

func (a *admission) wake() {
	select {
	case a.freed <- struct{}{}:
	default:
	}
}

// wait enters as soon as there is a slot. It returns false when closed is closed before.
func (a *admission) wait(c *conn, client netip.Addr, closed <-chan struct{}) (entered, full bool) {
	a.mu.Lock()
	a.waiting++
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		a.waiting--
		a.mu.Unlock()
	}()
	retry := time.NewTicker(retryTime)
	defer retry.Stop()
	for {
		if entered, full = a.enter(c, client); entered || full {
			return entered, full
		}
		select {
		case <-a.freed:
		case <-retry.C:
		case <-closed:
			return false, false
		}
	}
}
