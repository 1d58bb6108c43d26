package verify

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// lookupTimeout bounds all queries of one lookup.
const lookupTimeout = 5 * time.Second

// Bounds on what the owner of a zone can make a lookup do.
const (
	maxNames        = 8   // reverse names considered, and so forward lookups
	maxAliases      = 8   // aliases followed for one question
	maxRecords      = 256 // records of an answer section considered
	maxOtherRecords = 32  // in each of the two other sections
	maxForward      = 64  // forward addresses kept for Result.Forward
)

// report is a finding with what is not worth caching.
type report struct {
	*finding
	ttl     time.Duration // how long the finding may be used without another lookup
	took    time.Duration
	names   []string // the reverse names considered, printable
	forward []forwardAddrs
}

// forwardAddrs is what a trusted name resolved to.
type forwardAddrs struct {
	name  string
	addrs []netip.Addr
}

// lookup is the lookup of one address.
type lookup struct {
	resolver *Resolver
	progress atomic.Pointer[failure] // what it waits for, or the last failure; nil: it has not started
}

// setProgress notes what the lookup waits for, or what went wrong.
func (l *lookup) setProgress(f *failure) { l.progress.Store(f) }

// confirm looks up the reverse names of addr and the addresses of the trusted ones. It never returns nil. addr is
// valid, unmapped and without a zone.
func (l *lookup) confirm(ctx context.Context, crawlers []Crawler, addr netip.Addr) *report {
	start := time.Now()
	found := &report{finding: &finding{}}
	everyone := crawlerSet(1)<<len(crawlers) - 1

	reverse, err := dns.ReverseAddr(addr.String())
	if err != nil {
		return &report{finding: &finding{failed: everyone, failure: newFailure("", CauseAddress, "")}}
	}
	pointers, failed := l.resolve(ctx, reverse, dns.TypePTR)
	ttl, last := pointers.ttl, start
	if failed != nil {
		found.failed, found.failure, last = everyone, failed, time.Now()
	}
	found.weak = pointers.kind == answerWeakNegative
	for _, name := range reverseNames(pointers.records) {
		found.names = append(found.names, printableName(name))
		clean, ok := cleanName(name)
		if !ok || len(clean) > maxCachedName {
			continue
		}
		clean = strings.Clone(clean) // lets go of the message
		if found.name == "" {
			found.name = clean
		}
		trusted := trustedBy(crawlers, clean)
		if trusted&^found.genuine == 0 {
			continue // no crawler trusts it, or only those that are proven already
		}
		switch forward, failed := l.resolveForward(ctx, found, clean, addr); {
		case failed != nil:
			found.failed, last = found.failed|trusted, time.Now()
			if found.failure == nil {
				found.failure = failed
			}
		case forward > 0:
			found.addProof(clean, trusted)
			ttl = min(ttl, forward)
		}
	}
	found.failed &^= found.genuine
	if found.failed == 0 {
		found.failure = nil
	}
	found.took = time.Since(start)
	found.ttl = found.lifetime(ttl, time.Since(last))
	return found
}

// resolveForward asks for the addresses of a trusted name. If addr is among them it returns their time to live, at
// least a nanosecond; if it is not, 0.
func (l *lookup) resolveForward(
	ctx context.Context, found *report, name string, addr netip.Addr,
) (time.Duration, *failure) {
	qtype := dns.TypeA
	if addr.Is6() {
		qtype = dns.TypeAAAA
	}
	forward, failed := l.resolve(ctx, name+".", qtype)
	if failed != nil {
		return 0, failed
	}
	addrs := addresses(forward.records)
	found.forward = append(found.forward, forwardAddrs{name: name, addrs: addrs[:min(len(addrs), maxForward)]})
	switch {
	case slices.Contains(addrs, addr):
		return max(forward.ttl, 1), nil
	case len(addrs) > 0 && isPublic(addr) && !slices.ContainsFunc(addrs, isPublic):
		return 0, newFailure(forward.server, CauseFiltered, name+" is "+addrs[0].String())
	}
	found.weak = found.weak || forward.kind == answerWeakNegative
	return 0, nil
}

// isPublic reports whether addr may be somebody's on the internet (RFC 6890). Filters and captive portals answer with
// other ones.
func isPublic(addr netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) // RFC 6598
	addr = addr.Unmap()
	return !addr.IsUnspecified() && !addr.IsLoopback() && !addr.IsPrivate() && !addr.IsLinkLocalUnicast() &&
		!addr.IsMulticast() && !shared.Contains(addr)
}

// detailedResult is result with the fields that only Lookup fills.
func (r *report) detailedResult(crawler crawlerSet) Result {
	result := r.result(crawler, SourceDNS)
	result.Took, result.Names = r.took, r.names
	for _, f := range r.forward {
		if f.name == result.PTR {
			result.Forward = f.addrs
		}
	}
	return result
}

func trustedBy(crawlers []Crawler, clean string) (set crawlerSet) {
	for i := range crawlers {
		if crawlers[i].trusts(clean) {
			set |= 1 << i
		}
	}
	return set
}

// reverseNames returns the first names of a PTR answer, each once.
func reverseNames(records []dns.RR) []string {
	var names []string
	for _, rr := range records {
		ptr, ok := rr.(*dns.PTR)
		if !ok || slices.ContainsFunc(names, func(n string) bool { return sameName(n, ptr.Ptr) }) {
			continue
		}
		if names = append(names, ptr.Ptr); len(names) == maxNames {
			break
		}
	}
	return names
}

func addresses(records []dns.RR) []netip.Addr {
	var addrs []netip.Addr
	for _, rr := range records {
		var addr netip.Addr
		var ok bool
		switch rr := rr.(type) {
		case *dns.A:
			addr, ok = netip.AddrFromSlice(rr.A.To4())
		case *dns.AAAA:
			// Not unmapped: an AAAA record with an IPv4 address in it confirms nothing.
			addr, ok = netip.AddrFromSlice(rr.AAAA.To16())
		}
		if ok {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// resolve asks a question and follows aliases, inside a response and, where a response ends with one, by asking again.
func (l *lookup) resolve(ctx context.Context, name string, qtype uint16) (answer, *failure) {
	ttl, aliases := maxGenuineTTL, 0
	for {
		a, failed := l.ask(ctx, name, qtype)
		if failed != nil {
			return answer{}, failed
		}
		ttl, aliases = min(ttl, a.ttl), aliases+a.aliases
		if aliases > maxAliases {
			return answer{}, newFailure(a.server, CauseLoop, "")
		}
		if a.kind != answerAlias {
			a.ttl = ttl
			return a, nil
		}
		name = a.finalName
	}
}
