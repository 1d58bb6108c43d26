package front

import (
	"net/netip"
	"sync"
	"time"
)

// admission decides which connections may be open, over both listeners together: it limits them in all, per address
// and per network. At a limit an idle connection is evicted for a new one. A connection with a request under way is
// never evicted, and one opened within graceTime is not yet: its first request may be on its way.
//
// At the limit in all, the victim is of the network with most connections. Within a network it is the one with the
// lowest rank: first those without a TLS hello, then those without a request, then the one idle for longest. Each
// connection from an address that may have many clients behind it (see single) counts as a network of its own.
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
	epoch      time.Time     // rank times are relative to it
	freed      chan struct{} // signals that a slot may be free

	mu        sync.Mutex
	open      int // slots taken
	waiting   int // listeners waiting for a slot
	addresses map[netip.Prefix]*group
	networks  map[netip.Prefix]*group
	shared    *group      // connections whose address may have many clients behind it
	evictable networkHeap // networks with a connection that can be evicted
	young     queue       // connections opened within silentTime, oldest first
	inGrace   queue       // older ones that have sent something and are within graceTime
	leaving   queue       // evicted and not closed yet, oldest first; they hold no slot
}

// retryTime is how often a listener that waits for a slot tries again to evict a connection.
const retryTime = 20 * time.Millisecond

func newAdmission(s *Server, limits Limits) *admission {
	if limits.WriteTime < limits.StallTime { // keep the pace and cut off earlier
		limits.StallBytes = max(int(float64(limits.StallBytes)*float64(limits.WriteTime)/float64(limits.StallTime)), 1)
		limits.StallTime = limits.WriteTime
	}
	return &admission{
		balancers: s.Balancers, proxies: s.Proxies, headerTime: limits.HeaderTime,
		stallTime: limits.StallTime, stallBytes: limits.StallBytes,
		limit: limits.Connections, perAddress: limits.ConnectionsPerAddress,
		perNetwork: max(limits.Connections/2, limits.ConnectionsPerAddress),
		counts:     &s.counts, notices: &notices{onLimit: s.OnLimit}, epoch: time.Now(), freed: make(chan struct{}, 1),
		addresses: map[netip.Prefix]*group{}, networks: map[netip.Prefix]*group{},
		shared: newGroup(netip.Prefix{}, ofNetwork),
	}
}

// address is the prefix that one client is expected to have: an IPv4 address, or an IPv6 /64.
func address(client netip.Addr) netip.Prefix { return prefix(client, 32, 64) }

// network is the prefix that one site or provider is expected to have: an IPv4 /24, or an IPv6 /48.
func network(client netip.Addr) netip.Prefix { return prefix(client, 24, 48) }

// prefix is the zero Prefix for an invalid address.
func prefix(client netip.Addr, bits4, bits6 int) netip.Prefix {
	bits := bits6
	if client.Is4() {
		bits = bits4
	}
	p, _ := client.Prefix(bits)
	return p
}

// carrierNAT is the shared address space of carrier-grade NAT (RFC 6598): many customers are behind each address.
func carrierNAT() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) }

// single says whether an address can be taken for one client's. Loopback, private and link-local addresses are as
// likely those of a balancer or a NAT.
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

// admit takes a slot for a connection. entered is false if there is none; full says that the client has as many
// connections as it may have, so that waiting does not help.
func (a *admission) admit(c *conn, client netip.Addr) (entered, full bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	address, network := a.groups(client)
	if a.atLimit(address, network, client) {
		return false, true
	}
	if a.open >= a.limit {
		if !a.evict() {
			return false, false
		}
		a.notices.add(limitedConnections, netip.Prefix{})
	}
	a.register(c, address, network)
	c.place.since = time.Now()
	a.young.add(c)
	if a.waiting > 0 && a.open < a.limit {
		a.wake()
	}
	return true, false
}

// admitAnyway takes a slot beyond all limits.
func (a *admission) admitAnyway(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.register(c, nil, a.shared)
}

// reassign counts an admitted connection for its client, once a PROXY header has named that. It returns false if the
// client has as many connections as it may have, or if the connection was closed or evicted meanwhile.
func (a *admission) reassign(c *conn, client netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	address, network := a.groups(client)
	if c.place.state != stateOpen || a.atLimit(address, network, client) {
		return false
	}
	if network == c.place.groups[ofNetwork] { // no single client: both are shared
		return true
	}
	a.unlist(c)
	a.freeSlot(c)
	a.forget(c)
	a.register(c, address, network)
	return true
}

// register counts a connection in its groups and gives it a slot.
func (a *admission) register(c *conn, address, network *group) {
	c.place.groups = [2]*group{address, network}
	if address != nil {
		address.all++
		network.all++
		a.addresses[address.prefix], a.networks[network.prefix] = address, network
	}
	a.takeSlot(c)
}

// takeSlot gives a connection a slot, freeSlot takes it back.
func (a *admission) takeSlot(c *conn) {
	c.place.state = stateOpen
	c.place.notify.Store(notifyWhenIdle)
	a.open++
	for _, g := range c.place.groups {
		if g != nil {
			g.open++
		}
	}
	a.reorder(c.place.groups[ofNetwork])
}

func (a *admission) freeSlot(c *conn) {
	a.open--
	for _, g := range c.place.groups {
		if g != nil {
			g.open--
		}
	}
	a.reorder(c.place.groups[ofNetwork])
}

// forget removes a connection from its groups, and groups without connections.
func (a *admission) forget(c *conn) {
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

// groups returns the groups that a client's connections count in, new ones where it has none. address is nil for a
// client that is no single one.
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

// atLimit says whether a client has as many connections as it may have and none of them can be evicted. Otherwise one
// may have been evicted.
func (a *admission) atLimit(address, network *group, client netip.Addr) bool {
	switch {
	case address == nil:
	case address.open >= a.perAddress && !a.evictFrom(address):
		a.counts.limited[limitedAddress].Add(1)
		a.notices.add(limitedAddress, address.prefix)
		return true
	case network.open >= a.perNetwork && !a.evictFrom(network):
		a.counts.limited[limitedNetwork].Add(1)
		a.notices.add(limitedNetwork, network.prefix)
		return true
	}
	return false
}

// release gives back what admit has taken. It may be called again.
func (a *admission) release(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	state := c.place.state
	if state == stateOut {
		return
	}
	a.unlist(c)
	c.place.queue.remove(c)
	c.place.state = stateOut
	if state == stateOpen {
		a.freeSlot(c)
	}
	a.forget(c)
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

// wait admits the connection as soon as there is a slot. It returns false if closed is closed before.
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
		if entered, full = a.admit(c, client); entered || full {
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
