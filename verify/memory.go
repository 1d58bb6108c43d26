package verify

import (
	"net/netip"
	"time"

	"github.com/maypok86/otter/v2"
)

// memory is what is known about addresses. Proofs are kept apart, so that impostors, of which there may be any number,
// push none of them out. Its methods are safe for concurrent use.
type memory struct {
	born   time.Time                         // the times in findings count from here
	proven *otter.Cache[memoryKey, *finding] // proofs, fresh and stale; findings know when their time is over
	others *otter.Cache[memoryKey, *finding] // impostors and trouble, while they are fresh
}

// memoryKey is an address in 16 bytes; an IPv4 address is the same whether it is mapped into IPv6 or not.
type memoryKey = [16]byte

func newMemory() memory {
	m := memory{born: time.Now()}
	// Reading the clock is a third of what a warm verdict costs, so there is one reading of it: no expiry in this cache.
	m.proven = otter.Must(&otter.Options[memoryKey, *finding]{MaximumSize: rememberAtMost})
	m.others = otter.Must(&otter.Options[memoryKey, *finding]{
		MaximumSize: rememberAtMost,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[memoryKey, *finding]) time.Duration {
			return max(e.Value.until-time.Since(m.born), time.Nanosecond)
		}),
	})
	return m
}

// recalled is what the memory says of an address.
type recalled struct {
	known  *finding // the answer; nil: it has to be looked up
	source string   // of known
	stale  *finding // if known is nil: a proof whose time is over, which is better than an Unknown
	due    bool     // known should be looked up again soon
}

func (r *recalled) result(crawler crawlerSet) Result {
	return r.known.result(crawler, r.source)
}

// recall looks an address up. crawler is whom a stale proof has to prove.
func (m *memory) recall(crawler crawlerSet, addr netip.Addr) recalled {
	key := memoryKey(addr.As16())
	proof, ok := m.proven.GetIfPresent(key)
	if ok {
		now := time.Since(m.born)
		if now < proof.until {
			return recalled{known: proof, source: SourceCache, due: now >= proof.due}
		}
		if now >= proof.until+genuineStale {
			m.forget(key, proof)
			proof = nil
		} else if proof.genuine&crawler == 0 {
			proof = nil
		}
	}
	other, _ := m.others.GetIfPresent(key)
	switch {
	case other != nil && other.troubled == 0:
		return recalled{known: other, source: SourceCache}
	case other != nil && proof != nil:
		return recalled{known: proof, source: SourceStale} // it was asked again just now, in vain
	case other != nil:
		return recalled{known: other, source: SourceCache}
	default:
		return recalled{stale: proof}
	}
}

// forget removes a proof, unless there is a newer one.
func (m *memory) forget(key memoryKey, proof *finding) {
	m.proven.ComputeIfPresent(key, func(now *finding) (*finding, otter.ComputeOp) {
		if now == proof {
			return nil, otter.InvalidateOp
		}
		return now, otter.CancelOp
	})
}

// remember files what a lookup found. Trouble does not replace a proof, a definite no does.
func (m *memory) remember(addr netip.Addr, found *report) {
	f, key := found.finding, memoryKey(addr.As16())
	f.until = time.Since(m.born) + found.keep
	f.due = f.until - found.keep/10
	switch {
	case f.genuine != 0:
		m.proven.Set(key, f)
		m.others.Invalidate(key)
	case f.troubled == 0:
		m.others.Set(key, f)
		m.proven.Invalidate(key)
	case found.keep > 0:
		m.others.Set(key, f)
	}
}

func (m *memory) close() {
	m.proven.StopAllGoroutines()
	m.others.StopAllGoroutines()
}
