package verify

import (
	"context"
	"net/netip"
	"time"
)

// mostWaiters bounds the callbacks that one lookup collects: a stranger can claim as often as he likes while it lasts.
const mostWaiters = 256

// flight is a lookup, waiting for its turn or under way.
type flight struct {
	addr      netip.Addr
	published bool         // addr is in the published ranges
	network   netip.Prefix // that addr counts for in the budget
	waiters   []waiter     // under Verifier.mu; called when landed

	lookup lookup // its progress may be read at any time

	landed chan struct{} // closed when the fields below are set
	found  *finding      // nil if the Verifier was closed first
	took   time.Duration
}

type waiter struct {
	crawler crawlerSet
	done    func(Result)
}

// result is only called after f.landed is closed.
func (f *flight) result(set crawlerSet) Result {
	if f.found == nil {
		return Result{Cause: CauseClosed}
	}
	r := f.found.result(set, SourceDNS)
	r.Took = f.took
	return r
}

// waiting is the result for who waits for f no longer: Unknown, because of what it is waiting for.
func (f *flight) waiting() Result {
	r := Result{Cause: CauseWait} // in the queue
	if t := f.lookup.progress.Load(); t != nil {
		r.explain(t)
	}
	return r
}

// board joins the lookup of addr, or queues one. It returns the lookup; or what one that ended meanwhile found; or the
// cause why there is none. done, if not nil, will be called with the lookup's result if there is a lookup.
func (v *Verifier) board(set crawlerSet, addr netip.Addr, done func(Result)) (f *flight, memory recalled, cause string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed.Load() {
		return nil, recalled{}, CauseClosed
	}
	f, ok := v.flights[addr]
	if !ok {
		if memory = v.memory.recall(set, addr); memory.known != nil {
			return nil, memory, ""
		}
		if f = v.embark(addr); f == nil {
			return nil, recalled{}, CauseBudget
		}
	}
	if done != nil {
		if len(f.waiters) >= mostWaiters {
			v.counts.refused.Add(1)
			return nil, recalled{}, CauseBudget
		}
		f.waiters = append(f.waiters, waiter{crawler: set, done: done})
	}
	return f, recalled{}, ""
}

// renew looks up again, in the background and once, what is known and will not be for long.
func (v *Verifier) renew(addr netip.Addr, known *finding) {
	if !known.renewed.CompareAndSwap(false, true) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.flights[addr]; !ok && !v.closed.Load() {
		v.embark(addr)
	}
}

// embark queues a new lookup; nil: there is no room. It is called under mu.
func (v *Verifier) embark(addr netip.Addr) *flight {
	f := &flight{addr: addr, lookup: lookup{resolver: v.Resolver}}
	if !v.budget.enqueue(f) {
		v.counts.refused.Add(1)
		return nil
	}
	f.landed = make(chan struct{})
	v.flights[addr] = f
	v.depart()
	return f
}

// depart starts the lookups whose turn it is, and sees to it that it is called again when the next one's time comes. It is
// called under mu, and not after Close.
func (v *Verifier) depart() {
	for {
		f, pause := v.budget.next(time.Now())
		if f != nil {
			v.flying.Go(func() { v.fly(f) })
			continue
		}
		if pause > 0 && !v.ticking {
			v.ticking = true
			v.flying.Go(func() { v.tick(pause) })
		}
		return
	}
}

// tick waits until one more lookup may start within the second.
func (v *Verifier) tick(pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-v.life.Done():
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ticking = false
	if !v.closed.Load() {
		v.depart()
	}
}

// fly performs a lookup and remembers what it found.
func (v *Verifier) fly(f *flight) {
	ctx, cancel := context.WithTimeout(v.life, lookupAtMost)
	report := f.lookup.confirm(ctx, v.crawlers, f.addr)
	cancel()
	if v.life.Err() == nil {
		f.found, f.took = v.memory.remember(f.addr, report), report.took
		v.counts.ended(report)
		v.heed(report, f.published)
	}
	v.mu.Lock()
	v.budget.land(f)
	if !v.closed.Load() {
		v.depart()
	}
	v.mu.Unlock()
	v.land(f)
}

// land tells those who wait for f what it found.
func (v *Verifier) land(f *flight) {
	v.mu.Lock()
	delete(v.flights, f.addr)
	waiters := f.waiters
	v.mu.Unlock()
	close(f.landed)
	for _, w := range waiters {
		w.done(f.result(w.crawler))
	}
}
