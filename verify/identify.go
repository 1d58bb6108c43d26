package verify

import (
	"context"
	"net/netip"
	"time"
)

// target returns the crawler's bit and the address as the cache has it, or else the cause why there can be no verdict.
func (v *Verifier) target(crawler string, addr netip.Addr) (set crawlerSet, key netip.Addr, cause string) {
	v.start()
	if v.closed.Load() {
		return 0, addr, CauseClosed
	}
	if !addr.IsValid() {
		return 0, addr, CauseAddress
	}
	for i := range v.crawlers {
		if v.crawlers[i].Name == crawler {
			return 1 << i, addr.Unmap().WithZone(""), ""
		}
	}
	return 0, addr, CauseCrawler
}

// Identify returns the verdict on addr, which claims to be the named one of the crawlers, from the cache if it is
// there. Otherwise it starts a lookup, or joins the one that is running, and waits for it until Wait or ctx ends; then
// the verdict is Unknown, its cause is what the lookup was waiting for, and the lookup goes on and fills the cache for
// the next request.
func (v *Verifier) Identify(ctx context.Context, crawler string, addr netip.Addr) Result {
	set, addr, cause := v.target(crawler, addr)
	if cause != "" {
		return Result{Cause: cause}
	}
	c := v.cache.get(set, addr)
	if c.known != nil {
		if c.refresh {
			v.refresh(addr, c.known)
		}
		return c.result(set)
	}
	return c.orStale(set, v.wait(ctx, set, addr))
}

func (v *Verifier) wait(ctx context.Context, set crawlerSet, addr netip.Addr) Result {
	j, c, cause := v.join(set, addr, nil)
	if c.known != nil {
		return c.result(set)
	}
	if j == nil {
		return Result{Cause: cause}
	}
	if v.Wait <= 0 {
		return Result{Cause: CausePending}
	}
	timer := time.NewTimer(v.Wait)
	defer timer.Stop()
	select {
	case <-j.done:
		return j.result(set)
	case <-timer.C:
		return j.pendingResult()
	case <-ctx.Done():
		return Result{Cause: CauseWait}
	}
}

// Prefetch starts the lookup of addr if it is in the published ranges and not cached, so that the first claim from
// there need not wait. For all other addresses it does nothing. It never blocks and is cheap enough to be called for
// every connection.
func (v *Verifier) Prefetch(addr netip.Addr) {
	v.start()
	if _, published := v.budget.published().Find(addr); !published || v.closed.Load() {
		return
	}
	addr = addr.Unmap().WithZone("")
	switch c := v.cache.get(0, addr); {
	case c.known == nil:
		v.join(0, addr, nil)
	case c.refresh:
		v.refresh(addr, c.known)
	}
}

// Peek returns the verdict if it is cached, and false if it is not or if there can be none. It never starts a lookup
// and never waits, so it may be called where nothing may block, as in a TLS handshake.
func (v *Verifier) Peek(crawler string, addr netip.Addr) (Result, bool) {
	set, addr, cause := v.target(crawler, addr)
	if cause != "" {
		return Result{Cause: cause}, false
	}
	if c := v.cache.get(set, addr); c.known != nil {
		return c.result(set), true
	}
	return Result{}, false
}

// IdentifyAsync calls onResult exactly once with the verdict and never blocks. If the verdict is cached, or no lookup
// will be made (no such crawler, no valid address, over budget, closed), it calls onResult before it returns. Otherwise
// onResult is called in another goroutine when the lookup ends, however it ends. At most 256 calls wait for one
// address; more are over budget. onResult must not call Close.
func (v *Verifier) IdentifyAsync(crawler string, addr netip.Addr, onResult func(Result)) {
	set, addr, cause := v.target(crawler, addr)
	if cause != "" {
		onResult(Result{Cause: cause})
		return
	}
	c := v.cache.get(set, addr)
	if c.known != nil {
		if c.refresh {
			v.refresh(addr, c.known)
		}
		onResult(c.result(set))
		return
	}
	orStale := onResult
	if c.stale != nil {
		orStale = func(r Result) { onResult(c.orStale(set, r)) }
	}
	j, meanwhile, cause := v.join(set, addr, orStale)
	switch {
	case meanwhile.known != nil:
		onResult(meanwhile.result(set))
	case j == nil:
		orStale(Result{Cause: cause})
	}
}
