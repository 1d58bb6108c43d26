package verify

import (
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Health probes whether the resolver of a Verifier can verify anybody. It looks up an address that has been Googlebot's
// for twenty years, 66.249.66.1: at the start, after 10 failed lookups in a row, when the servers change, and, while
// the probe fails, again and again until it succeeds, soon if another lookup proves somebody. There are never two
// probes within 10 seconds. A probe fails if the resolver does not respond, and if it denies that address, as captive
// portals and filters do.
//
// It changes no verdict. The fields must not change after first use; the methods are safe for concurrent use. It must
// not be copied after first use.
type Health struct {
	// Verifier has the Resolver, which is probed by the method Probe. Probes do not count towards the budget.
	Verifier *Verifier

	// OnCondition is called with the first condition and with every one that differs in Working or Why, one call at a
	// time, in the goroutine of Run. Nil: no calls.
	OnCondition func(Condition)

	current atomic.Pointer[Condition]
}

// Condition is the result of a probe.
type Condition struct {
	Working bool          // the address was proven
	Result  Result        // of the probe
	Servers []string      // of the resolver, host:port each
	At      time.Time     // of the probe
	Since   time.Time     // the time of the first probe in a row with the same Working
	every   time.Duration // until the next probe, if this one failed
}

const (
	probeAfterFailures = 10
	provedSomebody     = -1               // in place of a count of failures
	minProbeInterval   = 10 * time.Second // between two probes
	maxProbeInterval   = 5 * time.Minute  // between two probes while they fail
	checkEvery         = 5 * time.Second
)

// ProbeAddr returns the address that is probed.
func ProbeAddr() netip.Addr { return netip.AddrFrom4([4]byte{66, 249, 66, 1}) }

// Probe looks up ProbeAddr, which is Googlebot's for sure, as Lookup does, whatever Crawlers there are. With any
// verdict but Genuine the resolver can verify nobody.
func (v *Verifier) Probe(ctx context.Context) Result {
	v.start()
	if v.closed.Load() {
		return Result{Cause: CauseClosed}
	}
	return v.lookUp(ctx, Catalogue()[:1], 1, ProbeAddr())
}

// Condition makes one probe and returns its result.
func (v *Verifier) Condition(ctx context.Context) Condition {
	r, now := v.Probe(ctx), time.Now()
	return Condition{Working: r.Verdict == Genuine, Result: r, Servers: v.Resolver.Addresses(), At: now, Since: now}
}

// Why returns in a few words why the resolver is not working, as Result.Why does; "" if it is.
func (c *Condition) Why() string {
	switch {
	case c.Working:
		return ""
	case c.Result.Verdict == Impostor && c.Result.PTR != "":
		return "denied: " + ProbeAddr().String() + " is " + c.Result.PTR + ", which does not lead back"
	case c.Result.Verdict == Impostor:
		return "denied: " + ProbeAddr().String() + " has no name"
	}
	return c.Result.Why()
}

// Condition returns the latest one; nil: no probe has ended yet.
func (h *Health) Condition() *Condition { return h.current.Load() }

// Run probes until ctx ends or the Verifier is closed.
func (h *Health) Run(ctx context.Context) {
	v := h.Verifier
	v.start()
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	servers := v.Resolver.Addresses()
	for due := true; ctx.Err() == nil && !v.closed.Load(); {
		if due {
			h.probe(ctx)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-v.ctx.Done():
		}
		now := v.Resolver.Addresses()
		last := h.current.Load()
		switch {
		case last == nil:
			due = true
		case time.Since(last.At) < minProbeInterval:
			due = false
		default:
			again := !last.Working && time.Since(last.At) >= last.every
			due = again || !slices.Equal(now, servers) || v.failures.Load() >= probeAfterFailures ||
				!last.Working && v.failures.Load() == provedSomebody
		}
		if due {
			servers = now
		}
	}
}

func (h *Health) probe(ctx context.Context) {
	v := h.Verifier
	v.failures.Store(0)
	c := v.Condition(ctx)
	if ctx.Err() != nil || v.closed.Load() {
		return
	}
	last := h.current.Load()
	c.every = minProbeInterval
	if last != nil && last.Working == c.Working {
		c.Since = last.Since
		c.every = min(2*last.every, maxProbeInterval)
	}
	h.current.Store(&c)
	if h.OnCondition != nil && (last == nil || last.Working != c.Working || last.Why() != c.Why()) {
		h.OnCondition(c)
	}
}

// countFailures counts failed lookups in a row. The denial of a published address counts as one.
func (v *Verifier) countFailures(found *report, published bool) {
	switch {
	case found.genuine != 0:
		v.failures.Store(provedSomebody)
	case found.failed != 0 || published:
		v.failures.Add(1)
	default:
		v.failures.Store(0)
	}
}
