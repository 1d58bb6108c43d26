package front

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// fakeSocket only remembers that it was closed.
type fakeSocket struct {
	net.Conn
	closed bool
}

// Close serves net.Conn.
func (s *fakeSocket) Close() error {
	s.closed = true
	return nil
}

// RemoteAddr serves net.Conn.
func (s *fakeSocket) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// visit is a connection in tests of the admission alone, and what is expected of it.
type visit struct {
	*conn
	socket  *fakeSocket
	client  netip.Addr
	entered time.Time

	busy    bool
	class   class
	since   time.Time // it is of that class, or busy
	settled bool      // it has answered a request
}

func newVisit(a *admission, client string) *visit {
	time.Sleep(time.Microsecond) // no two of them are alike
	s := &fakeSocket{}
	v := &visit{socket: s, client: netip.MustParseAddr(client), entered: time.Now(), since: time.Now()}
	v.conn = &conn{Conn: s, admission: a, counts: a.counts}
	v.place.rank.Store(a.rank(classSilent))
	return v
}

func (v *visit) show(of class) {
	time.Sleep(time.Microsecond)
	v.setClass(of)
	v.class, v.busy, v.since = of, false, time.Now()
	v.settled = v.settled || of == classIdle
}

func (v *visit) ask() {
	v.conn.setBusy()
	v.busy = true
}

// before says whether v is evicted before other.
func (v *visit) before(other *visit) bool {
	return other == nil || v.class < other.class || v.class == other.class && v.since.Before(other.since)
}

// crowd is a model of the admission: it looks at all connections for every question.
type crowd struct {
	*admission
	visits  []*visit // that have a slot
	leaving []*visit
}

func (c *crowd) count(of func(netip.Addr) netip.Prefix, client netip.Addr) (n int) {
	for _, v := range c.visits {
		if c.single(v.client) && of(v.client) == of(client) {
			n++
		}
	}
	return n
}

// first is the one of the wanted connections that is expected to be evicted; nil: none.
func (c *crowd) first(wanted func(*visit) bool) (first *visit) {
	for _, v := range c.visits {
		eligible := v.settled || time.Since(v.entered) >= graceTime ||
			v.class == classSilent && time.Since(v.entered) >= silentTime
		if !v.busy && eligible && wanted(v) && v.before(first) {
			first = v
		}
	}
	return first
}

// greediest is the number of connections of the network to evict from; 0: none can be evicted.
func (c *crowd) greediest() (most int) {
	for _, v := range c.visits {
		if c.first(func(other *visit) bool { return other == v }) != nil {
			most = max(most, c.weight(v))
		}
	}
	return most
}

func (c *crowd) weight(v *visit) int {
	if !c.single(v.client) {
		return 1
	}
	return c.count(network, v.client)
}

// expect says what has to become of a new connection, and removes the connections evicted for it.
func (c *crowd) expect(client netip.Addr) (made []*visit, entered, full bool) {
	way := func(v *visit) bool {
		if v == nil {
			return false
		}
		c.remove(v)
		c.leaving = append(c.leaving, v)
		made = append(made, v)
		return true
	}
	if c.single(client) {
		for _, one := range []struct {
			of   func(netip.Addr) netip.Prefix
			most int
		}{{address, c.perAddress}, {network, c.perNetwork}} {
			same := func(v *visit) bool { return c.single(v.client) && one.of(v.client) == one.of(client) }
			if c.count(one.of, client) >= one.most && !way(c.first(same)) {
				return made, false, true
			}
		}
	}
	if len(c.visits) < c.limit {
		return made, true, false
	}
	if len(c.leaving) >= leastLeaving {
		return made, false, false
	}
	most := c.greediest()
	return made, way(c.first(func(v *visit) bool { return c.weight(v) == most })), false
}

func (c *crowd) remove(v *visit) {
	for i, other := range c.visits {
		if other == v {
			c.visits = append(c.visits[:i:i], c.visits[i+1:]...)
			return
		}
	}
}

// The admission evicts the connections that the model does, and keeps nothing of closed ones.
func TestEvictionMatchesModel(t *testing.T) {
	t.Parallel()
	clients := []string{
		"192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1", "203.0.113.9",
		"2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:1::1",
		"10.0.0.1", "127.0.0.1", "100.64.0.1", "fd00::1", "169.254.1.1", "fe80::1", "198.18.0.1",
	}
	synctest.Test(t, func(t *testing.T) { rapid.Check(noDeadline{t}, func(t *rapid.T) { makesWay(t, clients) }) })
}

func makesWay(t *rapid.T, clients []string) {
	s := &Server{Proxies: []netip.Prefix{netip.MustParsePrefix("198.18.0.0/24")}}
	c := &crowd{admission: newAdmission(s, Limits{Connections: 10, ConnectionsPerAddress: 4}.withDefaults())}
	actions := map[string]func(*rapid.T){
		"enter": func(t *rapid.T) {
			v := newVisit(c.admission, rapid.SampledFrom(clients).Draw(t, "client"))
			made, wanted, wantedFull := c.expect(v.client)
			entered, full := c.admit(v.conn, v.client)
			if entered != wanted || full != wantedFull {
				t.Fatalf("%s: entered %v, full %v; want %v, %v", v.client, entered, full, wanted, wantedFull)
			}
			for _, one := range made {
				if !one.socket.closed {
					t.Errorf("%s (%+v): got open, want evicted", one.client, one)
				}
			}
			for _, one := range c.visits {
				if one.socket.closed {
					t.Errorf("%s (%+v): got evicted, want open", one.client, one)
				}
			}
			if entered {
				c.visits = append(c.visits, v)
			}
		},
		"show": func(t *rapid.T) {
			// Who has been silent for a while and then says hello gets some more time; see TestLateHelloHasGraceTime.
			if v := c.any(t); v != nil && (v.busy || v.class == classSilent && time.Since(v.entered) < silentTime) {
				v.show(map[bool]class{true: classIdle, false: classHandshake}[v.busy])
			}
		},
		"ask": func(t *rapid.T) {
			if v := c.any(t); v != nil {
				v.ask()
			}
		},
		"close": func(t *rapid.T) {
			if v := c.any(t); v != nil {
				c.release(v.conn)
				c.remove(v)
			}
		},
		"leave": func(t *rapid.T) {
			for _, v := range c.leaving {
				c.release(v.conn)
			}
			c.leaving = nil
		},
		"wait": func(t *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(1, int(graceTime/3)).Draw(t, "time")))
		},
		"": func(t *rapid.T) {
			if c.open != len(c.visits) || c.admission.leaving.len != len(c.leaving) {
				t.Fatalf("%d open, %d leaving; want %d, %d", c.open, c.admission.leaving.len, len(c.visits),
					len(c.leaving))
			}
		},
	}
	for range 10 {
		t.Repeat(actions)
	}
	for _, v := range append(c.visits, c.leaving...) {
		c.release(v.conn)
	}
	a := c.admission
	if a.open+len(a.addresses)+len(a.networks)+len(a.evictable) > 0 ||
		a.young.len+a.inGrace.len+a.leaving.len+a.shared.open+a.shared.idle.Len() > 0 {
		t.Errorf("got %+v, want nothing in memory", a)
	}
}

func (c *crowd) any(t *rapid.T) *visit {
	if len(c.visits) == 0 {
		return nil
	}
	return rapid.SampledFrom(c.visits).Draw(t, "visit")
}

// noDeadline hides a test's deadline, which is not in the bubble's time.
type noDeadline struct{ testing.TB }

func TestSingleAddressesAndNetworks(t *testing.T) {
	t.Parallel()
	a := newAdmission(&Server{Proxies: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}},
		Limits{}.withDefaults())
	for _, test := range []struct {
		client, address, network string
		single                   bool
	}{
		{"192.0.2.77", "192.0.2.77/32", "192.0.2.0/24", true},
		{"2001:db8:1:2::3", "2001:db8:1:2::/64", "2001:db8:1::/48", true},
		{"100.63.255.255", "100.63.255.255/32", "100.63.255.0/24", true},
		{"100.64.0.1", "100.64.0.1/32", "100.64.0.0/24", false},
		{"100.127.255.255", "100.127.255.255/32", "100.127.255.0/24", false},
		{"100.128.0.0", "100.128.0.0/32", "100.128.0.0/24", true},
		{"10.1.2.3", "10.1.2.3/32", "10.1.2.0/24", false},
		{"172.17.0.1", "172.17.0.1/32", "172.17.0.0/24", false},
		{"172.32.0.1", "172.32.0.1/32", "172.32.0.0/24", true},
		{"192.168.1.1", "192.168.1.1/32", "192.168.1.0/24", false},
		{"127.0.0.1", "127.0.0.1/32", "127.0.0.0/24", false},
		{"169.254.1.1", "169.254.1.1/32", "169.254.1.0/24", false},
		{"198.51.100.9", "198.51.100.9/32", "198.51.100.0/24", false},
		{"::1", "::/64", "::/48", false},
		{"fe80::1", "fe80::/64", "fe80::/48", false},
		{"fd12:3456:789a:1::1", "fd12:3456:789a:1::/64", "fd12:3456:789a::/48", false},
	} {
		client := netip.MustParseAddr(test.client)
		if got := a.single(client); got != test.single {
			t.Errorf("%s: one visitor %v, want %v", client, got, test.single)
		}
		if of, in := address(client).String(), network(client).String(); of != test.address || in != test.network {
			t.Errorf("%s: %s in %s, want %s in %s", client, of, in, test.address, test.network)
		}
	}
	if a.single(netip.Addr{}) {
		t.Error("no address is one visitor's")
	}
}

// An evicted connection that sends a request before it is closed keeps its slot, and the next one is evicted.
func TestRequestUndoesEviction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(&Server{}, Limits{Connections: 2}.withDefaults())
		first, second := newVisit(a, "192.0.2.1"), newVisit(a, "198.51.100.1")
		for _, v := range []*visit{first, second} {
			a.admit(v.conn, v.client)
			v.ask()
			v.show(classIdle)
		}
		told := 0
		first.setEvict(func() bool { told++; return true })
		third, fourth, fifth := newVisit(a, "203.0.113.1"), newVisit(a, "203.0.113.2"), newVisit(a, "203.0.113.3")
		if entered, _ := a.admit(third.conn, third.client); !entered || told != 1 || second.socket.closed {
			t.Fatalf("got entered %v, told %d, the second closed %v; want true, 1, false", entered, told,
				second.socket.closed)
		}
		first.ask()
		if a.open != 3 || a.leaving.len != 0 {
			t.Errorf("%d open, %d leaving; want 3, 0", a.open, a.leaving.len)
		}
		if entered, _ := a.admit(fourth.conn, fourth.client); !entered || !second.socket.closed {
			t.Errorf("got entered %v, the second closed %v; want true, true", entered, second.socket.closed)
		}
		third.ask()
		fourth.ask()
		if entered, full := a.admit(fifth.conn, fifth.client); entered || full {
			t.Errorf("all busy: got entered %v, full %v; want false, false", entered, full)
		}
		first.show(classIdle)
		if entered, _ := a.admit(fifth.conn, fifth.client); !entered || told != 2 {
			t.Errorf("got entered %v, told %d; want true, 2", entered, told)
		}
	})
}

// A connection whose request has begun to arrive is not evicted, until that takes too long.
func TestArrivingRequestIsNotEvicted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(&Server{}, Limits{Connections: 1}.withDefaults())
		slow, next := newVisit(a, "192.0.2.1"), newVisit(a, "198.51.100.1")
		a.admit(slow.conn, slow.client)
		slow.show(classIdle)
		asking := true
		slow.setEvict(func() bool { return !asking })
		for range 3 {
			if entered, _ := a.admit(next.conn, next.client); entered {
				t.Fatal("it had to make way")
			}
		}
		asking = false
		time.Sleep(graceTime)
		if entered, _ := a.admit(next.conn, next.client); !entered {
			t.Error("it stays")
		}
	})
}

// Connections opened a moment ago count like those with requests under way: the next ones of their address are closed,
// with a notice. After graceTime they are evicted.
func TestNewConnectionsCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told := make(chan LimitNotice, 1)
		limits := Limits{Connections: 16, ConnectionsPerAddress: 4}.withDefaults()
		a := newAdmission(&Server{OnLimit: func(n LimitNotice) { told <- n }}, limits)
		defer a.notices.end()
		const client = "192.0.2.1"
		for n := range 4 {
			v := newVisit(a, client)
			if entered, full := a.admit(v.conn, v.client); !entered || full {
				t.Fatalf("connection %d: entered %v, full %v; want it in", n, entered, full)
			}
			v.show(classHandshake)
			if n == 0 {
				v.ask()
			}
		}
		next := newVisit(a, client)
		if entered, full := a.admit(next.conn, next.client); entered || !full {
			t.Errorf("at once: entered %v, full %v; want it closed", entered, full)
		}
		if got := <-told; got.Limit != "address" || got.Client.String() != client+"/32" {
			t.Errorf("got notice %+v, want one of the address", got)
		}
		time.Sleep(graceTime)
		if entered, full := a.admit(next.conn, next.client); !entered || full {
			t.Errorf("after %v: entered %v, full %v; want it in", graceTime, entered, full)
		}
	})
}

// A silent client that sends its ClientHello when it is about to be evicted has graceTime for its handshake.
func TestLateHelloHasGraceTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(&Server{}, Limits{Connections: 2}.withDefaults())
		first, second := newVisit(a, "192.0.2.1"), newVisit(a, "192.0.2.1")
		third, fourth := newVisit(a, "198.51.100.1"), newVisit(a, "198.51.100.1")
		a.admit(first.conn, first.client)
		a.admit(second.conn, second.client)
		if entered, _ := a.admit(third.conn, third.client); entered {
			t.Fatal("one that has just come makes way")
		}
		time.Sleep(silentTime)
		a.mu.Lock()
		a.listEligible()
		a.mu.Unlock()
		first.show(classHandshake)
		if entered, _ := a.admit(third.conn, third.client); !entered || first.socket.closed || !second.socket.closed {
			t.Errorf("got entered %v, closed %v and %v; want true, false, true",
				entered, first.socket.closed, second.socket.closed)
		}
		third.ask()
		if entered, _ := a.admit(fourth.conn, fourth.client); entered {
			t.Error("one in its handshake makes way at once")
		}
		time.Sleep(graceTime)
		if entered, _ := a.admit(fourth.conn, fourth.client); !entered || !first.socket.closed {
			t.Errorf("got entered %v, the first closed %v; want true, true", entered, first.socket.closed)
		}
	})
}

// So has a client whose ClientHello has been read and not parsed yet. If it sends no more, it does not get graceTime
// twice.
func TestUnparsedHelloHasGraceTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(&Server{}, Limits{Connections: 1}.withDefaults())
		first, second := newVisit(a, "192.0.2.1"), newVisit(a, "198.51.100.1")
		a.admit(first.conn, first.client)
		time.Sleep(silentTime)
		a.mu.Lock()
		a.listEligible()
		a.mu.Unlock()
		first.gotBytes.Store(true)
		if entered, _ := a.admit(second.conn, second.client); entered || first.socket.closed {
			t.Fatalf("got entered %v, the first closed %v; want false, false", entered, first.socket.closed)
		}
		time.Sleep(graceTime)
		if entered, _ := a.admit(second.conn, second.client); !entered || !first.socket.closed {
			t.Errorf("got entered %v, the first closed %v; want true, true", entered, first.socket.closed)
		}
	})
}

// Evicted connections that are not closed in time are closed when others wait.
func TestEvictedConnectionsAreClosedInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(&Server{}, Limits{Connections: leastLeaving + 1}.withDefaults())
		var visits []*visit
		for range 2*leastLeaving + 1 {
			v := newVisit(a, "192.0.2.1")
			v.setEvict(func() bool { return true })
			if entered, _ := a.admit(v.conn, v.client); !entered {
				t.Fatal("it has to wait")
			}
			v.show(classIdle)
			visits = append(visits, v)
		}
		last := newVisit(a, "192.0.2.1")
		if entered, _ := a.admit(last.conn, last.client); entered || visits[0].socket.closed {
			t.Fatalf("got entered %v, the first closed %v; want false, false", entered, visits[0].socket.closed)
		}
		time.Sleep(2 * leaveTime)
		a.admit(last.conn, last.client)
		for i, v := range visits {
			if want := i < leastLeaving; v.socket.closed != want {
				t.Errorf("%d: closed %v, want %v", i, v.socket.closed, want)
			}
			if v.socket.closed {
				a.release(v.conn)
			}
		}
		if entered, _ := a.admit(last.conn, last.client); !entered {
			t.Error("it has to wait")
		}
	})
}

// A balancer's connection that was evicted before its PROXY header came is not counted for its client, and gives its
// slot back once.
func TestEvictedConnectionIsNotReassigned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(&Server{}, Limits{Connections: 1}.withDefaults())
		first, second := newVisit(a, "192.0.2.1"), newVisit(a, "198.51.100.1")
		a.admit(first.conn, netip.Addr{})
		time.Sleep(graceTime)
		if entered, _ := a.admit(second.conn, netip.Addr{}); !entered || !first.socket.closed {
			t.Fatalf("got entered %v, the first closed %v; want true, true", entered, first.socket.closed)
		}
		if a.reassign(first.conn, first.client) {
			t.Error("it is moved")
		}
		a.release(first.conn)
		if a.open != 1 || a.shared.open != 1 {
			t.Errorf("%d open, %d of no single visitor; want 1, 1", a.open, a.shared.open)
		}
	})
}
