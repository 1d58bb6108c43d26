package verify

import (
	"net/netip"
	"time"

	"github.com/maypok86/otter/v2"
)

// maxCached is how many addresses each of the two caches holds.
const maxCached = 100_000

// addressCache remembers findings by address. Proofs have a cache of their own, so that impostors, of which there may
// be any number, evict none of them. Its methods are safe for concurrent use.
type addressCache struct {
	born   time.Time                        // the times in findings count from here
	proven *otter.Cache[cacheKey, *finding] // proofs, fresh and stale; findings know when they expire
	others *otter.Cache[cacheKey, *finding] // impostors and failures, while they are fresh
}

// cacheKey is an address in 16 bytes; an IPv4 address is the same whether it is mapped into IPv6 or not.
type cacheKey = [16]byte

func newAddressCache() addressCache {
	c := addressCache{born: time.Now()}
	// Reading the clock is a third of what a cached verdict costs, so it is read once: otter expires nothing in this
	// one.
	c.proven = otter.Must(&otter.Options[cacheKey, *finding]{MaximumSize: maxCached})
	c.others = otter.Must(&otter.Options[cacheKey, *finding]{
		MaximumSize: maxCached,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[cacheKey, *finding]) time.Duration {
			return max(e.Value.expires-time.Since(c.born), time.Nanosecond)
		}),
	})
	return c
}

// cached is what the cache has for an address.
type cached struct {
	known   *finding // nil: the address has to be looked up
	source  string   // of known
	stale   *finding // if known is nil: an expired proof, which is better than Unknown; nil: none
	refresh bool     // known should be looked up again soon
}

func (c *cached) result(crawler crawlerSet) Result {
	return c.known.result(crawler, c.source)
}

// orStale returns the stale proof, if there is one, in place of an Unknown.
func (c *cached) orStale(crawler crawlerSet, result Result) Result {
	if result.Verdict == Unknown && c.stale != nil && result.Cause != CauseClosed {
		return c.stale.result(crawler, SourceStale)
	}
	return result
}

// get returns what is cached for addr. A stale proof counts only if it proves crawler.
func (a *addressCache) get(crawler crawlerSet, addr netip.Addr) cached {
	key := cacheKey(addr.As16())
	proof, ok := a.proven.GetIfPresent(key)
	if ok {
		now := time.Since(a.born)
		if now < proof.expires {
			return cached{known: proof, source: SourceCache, refresh: now >= proof.refreshAt}
		}
		if now >= proof.expires+staleFor {
			a.drop(key, proof)
			proof = nil
		} else if proof.genuine&crawler == 0 {
			proof = nil
		}
	}
	other, _ := a.others.GetIfPresent(key)
	switch {
	case other != nil && other.failed == 0:
		return cached{known: other, source: SourceCache}
	case other != nil && proof != nil:
		return cached{known: proof, source: SourceStale} // the lookup failed only just now
	case other != nil:
		return cached{known: other, source: SourceCache}
	default:
		return cached{stale: proof}
	}
}

// drop removes a proof, unless there is a newer one.
func (a *addressCache) drop(key cacheKey, proof *finding) {
	a.proven.ComputeIfPresent(key, func(now *finding) (*finding, otter.ComputeOp) {
		if now == proof {
			return nil, otter.InvalidateOp
		}
		return now, otter.CancelOp
	})
}

// put caches what a lookup found, and returns the finding to use. A failure does not replace a proof; neither does a
// weak denial, which counts as a failure if there is a proof. A definite denial ends an expired proof; a fresh one ends
// with the second definite denial.
func (a *addressCache) put(addr netip.Addr, found *report) *finding {
	f, key := found.finding, cacheKey(addr.As16())
	now := time.Since(a.born)
	f.expires = now + found.ttl
	f.refreshAt = f.expires - found.ttl/10
	if f.genuine != 0 {
		a.proven.Set(key, f)
		a.others.Invalidate(key)
		return f
	}
	proof, _ := a.proven.GetIfPresent(key)
	if proof != nil && now >= proof.expires+staleFor {
		proof = nil
	}
	switch {
	case f.failed != 0:
	case f.weak && proof != nil:
		f.failed, f.failure = proof.genuine, newFailure("", CauseIndefinite, "NXDOMAIN without SOA")
		f.expires = now + failureTTL
	case proof != nil && !proof.denied && now < proof.expires:
		denied := proof.afterDenial(now)
		a.proven.Set(key, denied)
		return denied
	default:
		a.others.Set(key, f)
		a.proven.Invalidate(key)
		return f
	}
	if f.expires > now {
		a.others.Set(key, f)
	}
	return f
}

func (a *addressCache) close() {
	a.proven.StopAllGoroutines()
	a.others.StopAllGoroutines()
}
