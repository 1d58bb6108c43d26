package front

import (
	"net"
	"net/netip"
	"sync"

	"gate421/gate/socket"
)

// listener hands on the connections that are admitted.
type listener struct {
	net.Listener
	admission *admission
	accepted  func(netip.Addr) // nil: nobody is told
	closing   sync.Once
	closed    chan struct{}
}

func (a *admission) listen(l net.Listener, accepted func(netip.Addr)) *listener {
	return &listener{Listener: l, admission: a, accepted: accepted, closed: make(chan struct{})}
}

// Close also ends an Accept that waits for a slot.
func (l *listener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// accept wraps what it accepts; it never waits for the client. While there is no slot the connection that came last is held
// back and the next ones stay in the kernel's queue, where they wait instead of being closed.
func (l *listener) accept() (*conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		a := l.admission
		c := &conn{Conn: socket.Wrap(raw), admission: a, counts: a.counts, accepted: l.accepted}
		c.place.rank.Store(a.rank(classSilent))
		a.counts.fresh.Add(1)
		c.writes = pace{time: a.stallTime, bytes: a.stallBytes, cut: c.stalled}
		peer := addressOf(raw.RemoteAddr())
		client := peer
		if within(a.balancers, peer) {
			c.balanced = true
			client = netip.Addr{} // it is not known yet
		}
		entered, full := a.enter(c, client)
		if !entered && !full {
			a.counts.limited[limitedConnections].Add(1)
			a.notices.add(limitedConnections, netip.Prefix{})
			entered, full = a.wait(c, client, l.closed)
		}
		switch {
		case full:
			c.Close()
			continue
		case !entered: // the listener was closed: whoever came last is let in all the same
			a.force(c)
		}
		if !c.balanced {
			c.announce(peer)
		}
		return c, nil
	}
}

// arrive notes whom a balancer's connection comes from. It returns false where that client has too many connections.
func (c *conn) arrive(client netip.Addr) bool {
	if !c.admission.move(c, client) {
		return false
	}
	c.announce(client)
	return true
}

func (c *conn) announce(client netip.Addr) {
	if c.accepted != nil && client.IsValid() {
		c.accepted(client)
	}
}

// addressOf is a socket's address; the zero Addr where it has none.
func addressOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}
