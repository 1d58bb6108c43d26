package verify

import (
	"net/netip"
	"slices"
	"time"
)

// Budget bounds the lookups that strangers can cause. A lookup that cannot start now waits its turn in a queue; one that
// finds the queue full is Unknown, CauseBudget, at once, and is not remembered. Who came first is looked up first, except
// that addresses in the published ranges come before all others and that nobody waits for a busy network but its own.
//
// A quarter of each bound, at least one, is kept for addresses in the published ranges, so a flood of false claims, from
// however many addresses, does not keep crawlers from being verified.
type Budget struct {
	InFlight   int // lookups at a time. 0: 64; 1 counts as 2
	PerSecond  int // lookups started within any second. 0: 200; 1 counts as 2
	Queue      int // lookups that wait. 0: 256; 1 counts as 2
	PerNetwork int // lookups at a time for one IPv4 /24 or IPv6 /64, published ranges and loopback aside. 0: 1
}

// queuePerNetwork is how much of the queue one network can take, published ranges and loopback aside.
const queuePerNetwork = 16

// budget keeps the accounts. Its methods are called under Verifier.mu, except that published may be called any time.
type budget struct {
	published  func() *Ranges
	perNetwork int
	all        account // of every lookup
	strangers  account // of those outside the published ranges, who get three quarters of it
	networks   map[netip.Prefix]traffic

	crawlerQueue, strangerQueue []*flight
}

// account counts lookups.
type account struct {
	flying, mostFlying   int
	waiting, mostWaiting int
	starts               []time.Time // of the last lookups, as many as may start within a second
	oldest               int         // index into starts
}

// traffic is what one network has under way.
type traffic struct{ flying, waiting int }

func newBudget(limits Budget, published func() *Ranges) budget {
	orDefault := func(n, fallback int) int {
		if n > 0 {
			return max(n, 2)
		}
		return fallback
	}
	flying, rate, waiting := orDefault(limits.InFlight, 64), orDefault(limits.PerSecond, 200), orDefault(limits.Queue, 256)
	most := func(n int) int { return n - max(n/4, 1) }
	return budget{
		published:  published,
		perNetwork: max(limits.PerNetwork, 1),
		all:        account{mostFlying: flying, mostWaiting: waiting, starts: make([]time.Time, rate)},
		strangers:  account{mostFlying: most(flying), mostWaiting: most(waiting), starts: make([]time.Time, most(rate))},
		networks:   make(map[netip.Prefix]traffic),
	}
}

// enqueue makes f wait for its turn, and reports whether there was room.
func (b *budget) enqueue(f *flight) bool {
	_, f.published = b.published().Find(f.addr)
	f.network = network(f.addr, f.published)
	if b.all.waiting >= b.all.mostWaiting {
		return false
	}
	if f.published {
		b.all.waiting++
		b.crawlerQueue = append(b.crawlerQueue, f)
		return true
	}
	t := b.networks[f.network]
	if b.strangers.waiting >= b.strangers.mostWaiting || f.network.IsValid() && t.waiting >= queuePerNetwork {
		return false
	}
	b.all.waiting++
	b.strangers.waiting++
	b.strangerQueue = append(b.strangerQueue, f)
	t.waiting++
	b.note(f.network, t)
	return true
}

// next takes the flight whose turn it is out of the queue. Without one it returns nil and how long until the bound on
// lookups a second allows one; 0: none will be before a flight ends or comes.
func (b *budget) next(now time.Time) (*flight, time.Duration) {
	if b.all.waiting == 0 || b.all.flying >= b.all.mostFlying {
		return nil, 0
	}
	if pause := b.all.pause(now); pause > 0 {
		return nil, pause
	}
	if len(b.crawlerQueue) > 0 {
		f := b.crawlerQueue[0]
		b.crawlerQueue = slices.Delete(b.crawlerQueue, 0, 1)
		b.all.depart(now)
		return f, 0
	}
	if b.strangers.flying >= b.strangers.mostFlying {
		return nil, 0
	}
	i := slices.IndexFunc(b.strangerQueue, func(f *flight) bool {
		return !f.network.IsValid() || b.networks[f.network].flying < b.perNetwork
	})
	if i < 0 {
		return nil, 0
	}
	if pause := b.strangers.pause(now); pause > 0 {
		return nil, pause
	}
	f := b.strangerQueue[i]
	b.strangerQueue = slices.Delete(b.strangerQueue, i, i+1)
	b.all.depart(now)
	b.strangers.depart(now)
	t := b.networks[f.network]
	t.waiting--
	t.flying++
	b.note(f.network, t)
	return f, 0
}

// land ends a flight that next returned.
func (b *budget) land(f *flight) {
	b.all.flying--
	if !f.published {
		b.strangers.flying--
		t := b.networks[f.network]
		t.flying--
		b.note(f.network, t)
	}
}

// abandon empties the queue and returns what waited in it.
func (b *budget) abandon() []*flight {
	waiting := slices.Concat(b.crawlerQueue, b.strangerQueue)
	b.crawlerQueue, b.strangerQueue = nil, nil
	b.all.waiting, b.strangers.waiting = 0, 0
	return waiting
}

func (b *budget) note(network netip.Prefix, t traffic) {
	switch {
	case !network.IsValid():
	case t == traffic{}:
		delete(b.networks, network)
	default:
		b.networks[network] = t
	}
}

// pause is how long until one more may start.
func (a *account) pause(now time.Time) time.Duration {
	if start := a.starts[a.oldest]; !start.IsZero() {
		return max(time.Second-now.Sub(start), 0)
	}
	return 0
}

func (a *account) depart(now time.Time) {
	a.waiting--
	a.flying++
	a.starts[a.oldest] = now
	a.oldest = (a.oldest + 1) % len(a.starts)
}

// network is what one stranger can be expected to own; the zero prefix counts for nobody.
func network(addr netip.Addr, published bool) netip.Prefix {
	if published || addr.IsLoopback() {
		return netip.Prefix{}
	}
	bits := 64
	if addr.Is4() {
		bits = 24
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
