package verify

import (
	"context"
	"net/netip"
	"time"
)

// maxWaiters bounds the callbacks that wait for one lookup: a client can claim as often as it likes while it runs.
const maxWaiters = 256

// job is a lookup that is queued or running.
type job struct {
	addr      netip.Addr
	published bool         // addr is in the published ranges
	network   netip.Prefix // that addr counts for in the budget
	waiters   []waiter     // under Verifier.mu; called when done

	lookup lookup // its progress may be read at any time

	done  chan struct{} // closed when the fields below are set
	found *finding      // nil if the Verifier was closed first
	took  time.Duration
}

type waiter struct {
	crawler  crawlerSet
	onResult func(Result)
}

// result must only be called after done is closed.
func (j *job) result(set crawlerSet) Result {
	if j.found == nil {
		return Result{Cause: CauseClosed}
	}
	r := j.found.result(set, SourceDNS)
	r.Took = j.took
	return r
}

// pendingResult is the result while j is not done: Unknown, because of what the lookup waits for.
func (j *job) pendingResult() Result {
	r := Result{Cause: CauseWait} // in the queue
	if f := j.lookup.progress.Load(); f != nil {
		r.setCause(f)
	}
	return r
}

// join returns the lookup of addr, or queues one; or returns what is cached meanwhile; or the cause why there is
// neither. onResult, if not nil, will be called with the lookup's result if a lookup is returned.
func (v *Verifier) join(set crawlerSet, addr netip.Addr, onResult func(Result)) (j *job, c cached, cause string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed.Load() {
		return nil, cached{}, CauseClosed
	}
	j, ok := v.jobs[addr]
	if !ok {
		if c = v.cache.get(set, addr); c.known != nil {
			return nil, c, ""
		}
		if j = v.enqueue(addr); j == nil {
			return nil, cached{}, CauseBudget
		}
	}
	if onResult != nil {
		if len(j.waiters) >= maxWaiters {
			v.counts.shed.Add(1)
			return nil, cached{}, CauseBudget
		}
		j.waiters = append(j.waiters, waiter{crawler: set, onResult: onResult})
	}
	return j, cached{}, ""
}

// refresh looks addr up again, in the background and once: known will expire soon.
func (v *Verifier) refresh(addr netip.Addr, known *finding) {
	if !known.refreshed.CompareAndSwap(false, true) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.jobs[addr]; !ok && !v.closed.Load() {
		v.enqueue(addr)
	}
}

// enqueue queues a new lookup; nil: it is over budget. It is called under mu.
func (v *Verifier) enqueue(addr netip.Addr) *job {
	j := &job{addr: addr, lookup: lookup{resolver: v.Resolver}}
	if !v.budget.enqueue(j) {
		v.counts.shed.Add(1)
		return nil
	}
	j.done = make(chan struct{})
	v.jobs[addr] = j
	v.startDue()
	return j
}

// startDue starts the lookups that the budget allows, and has itself called again when the rate allows the next one. It
// is called under mu, and not after Close.
func (v *Verifier) startDue() {
	for {
		j, delay := v.budget.next(time.Now())
		if j != nil {
			v.running.Go(func() { v.run(j) })
			continue
		}
		if delay > 0 && !v.timerSet {
			v.timerSet = true
			v.running.Go(func() { v.waitForRate(delay) })
		}
		return
	}
}

// waitForRate calls startDue after delay, when Budget.PerSecond allows one more lookup.
func (v *Verifier) waitForRate(delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-v.ctx.Done():
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.timerSet = false
	if !v.closed.Load() {
		v.startDue()
	}
}

// run performs a lookup and caches what it found.
func (v *Verifier) run(j *job) {
	ctx, cancel := context.WithTimeout(v.ctx, lookupTimeout)
	report := j.lookup.confirm(ctx, v.crawlers, j.addr)
	cancel()
	if v.ctx.Err() == nil {
		j.found, j.took = v.cache.put(j.addr, report), report.took
		v.counts.record(report)
		v.countFailures(report, j.published)
	}
	v.mu.Lock()
	v.budget.release(j)
	if !v.closed.Load() {
		v.startDue()
	}
	v.mu.Unlock()
	v.finish(j)
}

// finish passes the result to all that wait for it.
func (v *Verifier) finish(j *job) {
	v.mu.Lock()
	delete(v.jobs, j.addr)
	waiters := j.waiters
	v.mu.Unlock()
	close(j.done)
	for _, w := range waiters {
		w.onResult(j.result(w.crawler))
	}
}
