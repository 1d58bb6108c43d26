package front

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"gate421/gate/socket"
)

// yard is what both listeners share: how many connections there are, in all and from each address.
type yard struct {
	balancers  []netip.Prefix // their connections begin with a PROXY header
	exempt     []netip.Prefix // many clients behind one address: not counted by address
	perAddress int
	headerTime time.Duration
	stallTime  time.Duration
	stallBytes int
	counts     *counts
	room       chan struct{} // holds something for every open connection

	mu   sync.Mutex
	open map[netip.Prefix]int
}

func (s *Server) yard(limits Limits) *yard {
	if limits.WriteTime < limits.StallTime { // the same pace, and an earlier end
		limits.StallBytes = max(int(float64(limits.StallBytes)*float64(limits.WriteTime)/float64(limits.StallTime)), 1)
		limits.StallTime = limits.WriteTime
	}
	return &yard{
		balancers: s.Balancers, exempt: s.Proxies, perAddress: limits.ConnectionsPerAddress, headerTime: limits.HeaderTime,
		stallTime: limits.StallTime, stallBytes: limits.StallBytes, counts: &s.counts,
		room: make(chan struct{}, limits.Connections), open: map[netip.Prefix]int{},
	}
}

// network is what one client can be expected to have: an IPv4 address, or an IPv6 /64.
func network(client netip.Addr) netip.Prefix {
	bits := 64
	if client.Is4() {
		bits = 32
	}
	n, _ := client.Prefix(bits) // the zero Prefix for no address
	return n
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// admit counts a connection of a client, which leave takes back. It returns false where the client has too many.
func (y *yard) admit(client netip.Addr) (counted netip.Prefix, ok bool) {
	n := network(client)
	if !n.IsValid() || within(y.exempt, client) {
		return netip.Prefix{}, true
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.open[n] >= y.perAddress {
		y.counts.limited[limitedAddress].Add(1)
		return netip.Prefix{}, false
	}
	y.open[n]++
	return n, true
}

func (y *yard) leave(counted netip.Prefix) {
	if !counted.IsValid() {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.open[counted]--; y.open[counted] == 0 {
		delete(y.open, counted)
	}
}

// listener hands on the connections that there is room for.
type listener struct {
	net.Listener
	yard     *yard
	accepted func(netip.Addr) // nil: nobody is told
	closing  sync.Once
	closed   chan struct{}
}

func (y *yard) listen(l net.Listener, accepted func(netip.Addr)) *listener {
	return &listener{Listener: l, yard: y, accepted: accepted, closed: make(chan struct{})}
}

// Close also ends an Accept that waits for room.
func (l *listener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// accept wraps what it accepts; it never waits for the client. While there is no room the connection that came last is held
// back and the next ones stay in the kernel's queue, where they wait instead of being turned away.
func (l *listener) accept() (*conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: socket.Wrap(raw), yard: l.yard, counts: l.yard.counts, accepted: l.accepted, extra: !l.enter()}
		l.yard.counts.fresh.Add(1)
		c.writes = pace{time: l.yard.stallTime, bytes: l.yard.stallBytes, cut: c.stalled}
		peer := addressOf(raw.RemoteAddr())
		if within(l.yard.balancers, peer) {
			c.balanced = true
			return c, nil
		}
		if c.arrive(peer) {
			return c, nil
		}
		c.Close()
	}
}

// enter waits until there is room. It returns false when the listener was closed: whoever came last is then let in all the same.
func (l *listener) enter() bool {
	select {
	case l.yard.room <- struct{}{}:
		return true
	default:
	}
	l.yard.counts.limited[limitedConnections].Add(1)
	select {
	case l.yard.room <- struct{}{}:
		return true
	case <-l.closed:
		return false
	}
}

// arrive notes who the client is. It returns false where that client has too many connections.
func (c *conn) arrive(client netip.Addr) bool {
	counted, ok := c.yard.admit(client)
	c.fate.Lock()
	if c.closed { // while it was waited for who the client is
		c.yard.leave(counted)
		counted, ok = netip.Prefix{}, false
	}
	c.counted = counted
	c.fate.Unlock()
	if ok && c.accepted != nil && client.IsValid() {
		c.accepted(client)
	}
	return ok
}

// addressOf is a socket's address; the zero Addr where it has none.
func addressOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}
