package verify

import (
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Health watches whether the resolver of a Verifier can verify anybody. It looks up an address that has been
// Googlebot's for twenty years, 66.249.66.1: at the start, after 10 lookups in a row that came to nothing, when the
// servers change, and, while it fails, again and again until it succeeds, soon if another lookup proves somebody. There
// are never two probes within 10 seconds.
// A resolver that does not answer fails; so does one that denies that address, as captive portals and filters do.
//
// It decides nothing: what cannot be verified is Unknown whether anybody watches or not. The fields are set before
// first use and then left alone; the methods are safe for concurrent use. It must not be copied after first use.
type Health struct {
	// Verifier is whose Resolver is probed, by its method Probe, without drawing on the budget.
	Verifier *Verifier

	// OnCondition is called with the first condition and with every one that differs in Working or in its Why, one call
	// at a time, in the goroutine of Run. Nil: nobody is told.
	OnCondition func(Condition)

	current atomic.Pointer[Condition]
}

// Condition is what came of the latest probe.
type Condition struct {
	Working bool          // the address was proven
	Result  Result        // of the probe
	Servers []string      // that the resolver asks, host:port each
	At      time.Time     // of the latest probe
	Since   time.Time     // of the first probe in a row that came to the same Working
	every   time.Duration // how long until the next probe while it fails
}

const (
	troublesInARow = 10
	proved         = -1               // the count of troubles after a proof
	probeLeast     = 10 * time.Second // between two probes
	probeMost      = 5 * time.Minute  // between two probes while they fail
	followEvery    = 5 * time.Second
)

// ProbeAddr is the address that is probed.
func ProbeAddr() netip.Addr { return netip.AddrFrom4([4]byte{66, 249, 66, 1}) }

// Probe looks up an address that is Googlebot's for sure, as Lookup does, whatever Crawlers there are. With any verdict
// but Genuine the resolver can verify nobody.
func (v *Verifier) Probe(ctx context.Context) Result {
	v.start()
	if v.closed.Load() {
		return Result{Cause: CauseClosed}
	}
	return v.lookUp(ctx, Catalogue()[:1], 1, ProbeAddr())
}

// Condition is what came of one probe, now.
func (v *Verifier) Condition(ctx context.Context) Condition {
	r, now := v.Probe(ctx), time.Now()
	return Condition{Working: r.Verdict == Genuine, Result: r, Servers: v.Resolver.Addresses(), At: now, Since: now}
}

// Why says in a few words why the resolver is not working, as Result.Why does; "" if it is.
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

// Condition is the latest one; nil: no probe has ended yet.
func (h *Health) Condition() *Condition { return h.current.Load() }

// Run probes until ctx ends or the Verifier is closed.
func (h *Health) Run(ctx context.Context) {
	v := h.Verifier
	v.start()
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	servers := v.Resolver.Addresses()
	for due := true; ctx.Err() == nil && !v.closed.Load(); {
		if due {
			h.probe(ctx)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-v.life.Done():
		}
		now := v.Resolver.Addresses()
		last := h.current.Load()
		switch {
		case last == nil:
			due = true
		case time.Since(last.At) < probeLeast:
			due = false
		default:
			again := !last.Working && time.Since(last.At) >= last.every
			due = again || !slices.Equal(now, servers) || v.troubles.Load() >= troublesInARow ||
				!last.Working && v.troubles.Load() == proved
		}
		if due {
			servers = now
		}
	}
}

func (h *Health) probe(ctx context.Context) {
	v := h.Verifier
	v.troubles.Store(0)
	c := v.Condition(ctx)
	if ctx.Err() != nil || v.closed.Load() {
		return
	}
	last := h.current.Load()
	c.every = probeLeast
	if last != nil && last.Working == c.Working {
		c.Since = last.Since
		c.every = min(2*last.every, probeMost)
	}
	h.current.Store(&c)
	if h.OnCondition != nil && (last == nil || last.Working != c.Working || last.Why() != c.Why()) {
		h.OnCondition(c)
	}
}

// heed counts lookups in a row that came to nothing. That a published address is denied is no good sign, either.
func (v *Verifier) heed(found *report, published bool) {
	switch {
	case found.genuine != 0:
		v.troubles.Store(proved)
	case found.troubled != 0 || published:
		v.troubles.Add(1)
	default:
		v.troubles.Store(0)
	}
}
