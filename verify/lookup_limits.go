package verify

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Budget bounds the lookups that clients can cause. A lookup that may not start yet is queued; if the queue is full it
// is shed: the verdict is Unknown, CauseBudget, at once, and is not cached. The queue is first in, first out, except
// that addresses in the published ranges come before all others and that a network with too many lookups delays only
// its own.
//
// A quarter of each bound, at least one, is reserved for addresses in the published ranges, so that a flood of false
// claims, from however many addresses, does not keep crawlers from being verified.
type Budget struct {
	InFlight   int // lookups at a time. 0: 64; 1 counts as 2
	PerSecond  int // lookups started within any second. 0: 200; 1 counts as 2
	Queue      int // queued lookups. 0: 256; 1 counts as 2
	PerNetwork int // lookups at a time for one IPv4 /24 or IPv6 /64, published ranges and loopback aside. 0: 1
}

// maxQueuedPerNetwork is how much of the queue one network can take, published ranges and loopback aside.
const maxQueuedPerNetwork = 16

// budget counts and queues lookups. Its methods are called under Verifier.mu; published may be called at any time.
type budget struct {
	published   func() *Ranges
	perNetwork  int
	all         quota // of all lookups
	unpublished quota // of those outside the published ranges: three quarters of all
	networks    map[netip.Prefix]networkUse

	publishedQueue, unpublishedQueue []*job
}

// quota counts lookups and bounds them.
type quota struct {
	running, maxRunning int
	queued, maxQueued   int
	starts              []time.Time // of the last lookups, as many as may start within a second
	oldest              int         // index into starts
}

// networkUse is the lookups of one network.
type networkUse struct{ running, queued int }

func newBudget(limits Budget, published func() *Ranges) budget {
	orDefault := func(n, fallback int) int { return max(cmp.Or(max(n, 0), fallback), 2) }
	running, queued := orDefault(limits.InFlight, 64), orDefault(limits.Queue, 256)
	rate := orDefault(limits.PerSecond, 200)
	unreserved := func(n int) int { return n - max(n/4, 1) }
	quotaOf := func(running, queued, rate int) quota {
		return quota{maxRunning: running, maxQueued: queued, starts: make([]time.Time, rate)}
	}
	return budget{
		published:   published,
		perNetwork:  max(limits.PerNetwork, 1),
		all:         quotaOf(running, queued, rate),
		unpublished: quotaOf(unreserved(running), unreserved(queued), unreserved(rate)),
		networks:    make(map[netip.Prefix]networkUse),
	}
}

// enqueue queues j, and reports whether there was room.
func (b *budget) enqueue(j *job) bool {
	_, j.published = b.published().Find(j.addr)
	j.network = network(j.addr, j.published)
	if b.all.queued >= b.all.maxQueued {
		return false
	}
	if j.published {
		b.all.queued++
		b.publishedQueue = append(b.publishedQueue, j)
		return true
	}
	t := b.networks[j.network]
	if b.unpublished.queued >= b.unpublished.maxQueued || j.network.IsValid() && t.queued >= maxQueuedPerNetwork {
		return false
	}
	b.all.queued++
	b.unpublished.queued++
	b.unpublishedQueue = append(b.unpublishedQueue, j)
	t.queued++
	b.setNetworkUse(j.network, t)
	return true
}

// next takes the next job that may start out of the queue. If none may, it returns nil and how long until the rate
// allows one; 0: none may before another job ends or is queued.
func (b *budget) next(now time.Time) (*job, time.Duration) {
	if b.all.queued == 0 || b.all.running >= b.all.maxRunning {
		return nil, 0
	}
	if delay := b.all.delay(now); delay > 0 {
		return nil, delay
	}
	if len(b.publishedQueue) > 0 {
		j := b.publishedQueue[0]
		b.publishedQueue = slices.Delete(b.publishedQueue, 0, 1)
		b.all.start(now)
		return j, 0
	}
	if b.unpublished.running >= b.unpublished.maxRunning {
		return nil, 0
	}
	i := slices.IndexFunc(b.unpublishedQueue, func(j *job) bool {
		return !j.network.IsValid() || b.networks[j.network].running < b.perNetwork
	})
	if i < 0 {
		return nil, 0
	}
	if delay := b.unpublished.delay(now); delay > 0 {
		return nil, delay
	}
	j := b.unpublishedQueue[i]
	b.unpublishedQueue = slices.Delete(b.unpublishedQueue, i, i+1)
	b.all.start(now)
	b.unpublished.start(now)
	t := b.networks[j.network]
	t.queued--
	t.running++
	b.setNetworkUse(j.network, t)
	return j, 0
}

// release counts a job that next returned as ended.
func (b *budget) release(j *job) {
	b.all.running--
	if !j.published {
		b.unpublished.running--
		t := b.networks[j.network]
		t.running--
		b.setNetworkUse(j.network, t)
	}
}

// drain empties the queue and returns its jobs.
func (b *budget) drain() []*job {
	jobs := slices.Concat(b.publishedQueue, b.unpublishedQueue)
	b.publishedQueue, b.unpublishedQueue = nil, nil
	b.all.queued, b.unpublished.queued = 0, 0
	return jobs
}

func (b *budget) setNetworkUse(network netip.Prefix, t networkUse) {
	switch {
	case !network.IsValid():
	case t == networkUse{}:
		delete(b.networks, network)
	default:
		b.networks[network] = t
	}
}

// delay is how long until the rate allows one more to start.
func (q *quota) delay(now time.Time) time.Duration {
	if start := q.starts[q.oldest]; !start.IsZero() {
		return max(time.Second-now.Sub(start), 0)
	}
	return 0
}

func (q *quota) start(now time.Time) {
	q.queued--
	q.running++
	q.starts[q.oldest] = now
	q.oldest = (q.oldest + 1) % len(q.starts)
}

// network is the block of addresses that one client can be expected to own; the zero prefix is not counted.
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
