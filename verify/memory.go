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

// remember files what a lookup found, and returns what is to be answered. Trouble does not replace a proof; nor does a
// denial that is not definite, which counts as trouble where there is one. A definite denial ends a proof whose time is
// over; in its time the proof is doubted first, and ends with the second denial.
func (m *memory) remember(addr netip.Addr, found *report) *finding {
	f, key := found.finding, memoryKey(addr.As16())
	now := time.Since(m.born)
	f.until = now + found.keep
	f.due = f.until - found.keep/10
	if f.genuine != 0 {
		m.proven.Set(key, f)
		m.others.Invalidate(key)
		return f
	}
	proof, _ := m.proven.GetIfPresent(key)
	if proof != nil && now >= proof.until+genuineStale {
		proof = nil
	}
	switch {
	case f.troubled != 0:
	case f.weak && proof != nil:
		f.troubled, f.trouble = proof.genuine, troubleAt("", CauseIndefinite, "NXDOMAIN without SOA")
		f.until = now + troubleFor
	case proof != nil && !proof.denied && now < proof.until:
		doubted := proof.doubted(now)
		m.proven.Set(key, doubted)
		return doubted
	default:
		m.others.Set(key, f)
		m.proven.Invalidate(key)
		return f
	}
	if f.until > now {
		m.others.Set(key, f)
	}
	return f
}

// doubted is a proof after its first denial. It lasts no longer for that, and is looked up again after a while.
func (f *finding) doubted(now time.Duration) *finding {
	return &finding{
		name: f.name, also: f.also, proves: f.proves, genuine: f.genuine, troubled: f.troubled, trouble: f.trouble,
		denied: true, due: now + deniedApart, until: f.until,
	}
}

func (m *memory) close() {
	m.proven.StopAllGoroutines()
	m.others.StopAllGoroutines()
}
