package front

import (
	"net"
	"net/netip"
	"sync"

	"gate421/gate/socket"
)

// listener accepts the connections that the admission has a slot for.
type listener struct {
	net.Listener
	admission *admission
	onAccept  func(netip.Addr) // nil: not called
	closing   sync.Once
	closed    chan struct{}
}

func (a *admission) listen(l net.Listener, onAccept func(netip.Addr)) *listener {
	return &listener{Listener: l, admission: a, onAccept: onAccept, closed: make(chan struct{})}
}

// Close also ends an accept that waits for a slot.
func (l *listener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// accept never waits for the client. While there is no slot, the connection accepted last is held and the next ones
// wait in the kernel's queue, where they are not closed.
func (l *listener) accept() (*conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		a := l.admission
		c := &conn{Conn: socket.Wrap(raw), admission: a, counts: a.counts, onAccept: l.onAccept}
		c.place.rank.Store(a.rank(classSilent))
		a.counts.fresh.Add(1)
		c.writes = pace{time: a.stallTime, bytes: a.stallBytes, cut: c.stalled}
		peer := addressOf(raw.RemoteAddr())
		client := peer
		if within(a.balancers, peer) {
			c.behindBalancer = true
			client = netip.Addr{} // unknown until the PROXY header is read
		}
		entered, full := a.admit(c, client)
		if !entered && !full {
			a.counts.limited[limitedConnections].Add(1)
			a.notices.add(limitedConnections, netip.Prefix{})
			entered, full = a.wait(c, client, l.closed)
		}
		switch {
		case full:
			c.Close()
			continue
		case !entered: // the listener was closed: serve the last connection all the same
			a.admitAnyway(c)
		}
		if !c.behindBalancer {
			c.announce(peer)
		}
		return c, nil
	}
}

// setClient sets the client that a PROXY header names. It returns false if that has too many connections.
func (c *conn) setClient(client netip.Addr) bool {
	if !c.admission.reassign(c, client) {
		return false
	}
	c.announce(client)
	return true
}

func (c *conn) announce(client netip.Addr) {
	if c.onAccept != nil && client.IsValid() {
		c.onAccept(client)
	}
}

// addressOf is a socket's address, the zero Addr if it has none.
func addressOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}
