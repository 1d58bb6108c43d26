package verify

import (
	"net/netip"
	"time"
)

// Budget bounds the lookups that strangers can cause. What is over budget is Unknown, CauseBudget, at once, and is not
// remembered. Addresses in the published ranges and all others have a budget each, so a flood of false claims, from
// however many addresses, does not keep crawlers from being verified.
type Budget struct {
	InFlight   int // lookups at a time. 0: 64
	PerSecond  int // lookups started in a second, as many at once at most. 0: 200
	PerNetwork int // lookups at a time for one IPv4 /24 or IPv6 /64, published ranges and loopback aside. 0: 1
}

// budget keeps the accounts. Its methods are called under Verifier.mu.
type budget struct {
	limits    Budget
	published func() *Ranges
	strangers lane
	crawlers  lane // addresses in the published ranges
	networks  map[netip.Prefix]int
}

// lane is one account: lookups in flight, and a token bucket.
type lane struct {
	inFlight int
	tokens   float64
	filled   time.Time // when tokens was right
}

func newBudget(limits Budget, published func() *Ranges) budget {
	orDefault := func(n, fallback int) int {
		if n > 0 {
			return n
		}
		return fallback
	}
	limits.InFlight = orDefault(limits.InFlight, 64)
	limits.PerSecond = orDefault(limits.PerSecond, 200)
	limits.PerNetwork = orDefault(limits.PerNetwork, 1)
	return budget{limits: limits, published: published, networks: make(map[netip.Prefix]int)}
}

// take allows one more lookup and returns the account it is on, for give.
func (b *budget) take(addr netip.Addr, now time.Time) (*lane, bool) {
	l := &b.strangers
	if _, ok := b.published().Find(addr); ok {
		l = &b.crawlers
	}
	network, counted := b.network(addr, l)
	if l.inFlight >= b.limits.InFlight || counted && b.networks[network] >= b.limits.PerNetwork {
		return nil, false
	}
	most := float64(b.limits.PerSecond)
	if l.filled.IsZero() {
		l.tokens = most
	} else {
		l.tokens = min(most, l.tokens+max(0, now.Sub(l.filled).Seconds())*most)
	}
	l.filled = now
	if l.tokens < 1 {
		return nil, false
	}
	l.tokens--
	l.inFlight++
	if counted {
		b.networks[network]++
	}
	return l, true
}

// give ends a lookup that take allowed.
func (b *budget) give(addr netip.Addr, l *lane) {
	l.inFlight--
	if network, counted := b.network(addr, l); counted {
		if b.networks[network]--; b.networks[network] <= 0 {
			delete(b.networks, network)
		}
	}
}

// network is what one stranger can be expected to own. Loopback is nobody's.
func (b *budget) network(addr netip.Addr, l *lane) (netip.Prefix, bool) {
	if l == &b.crawlers || addr.IsLoopback() {
		return netip.Prefix{}, false
	}
	bits := 64
	if addr.Is4() {
		bits = 24
	}
	network, err := addr.Prefix(bits)
	return network, err == nil
}
