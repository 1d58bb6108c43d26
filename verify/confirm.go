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

// The bounds on what a stranger's zone can make a lookup do.
const (
	mostNames   = 8   // reverse names looked at, and so forward lookups
	mostAliases = 8   // aliases followed for one question
	mostRecords = 256 // records of an answer looked at
	mostOthers  = 32  // records beside the answer, in each of the two other sections
	mostForward = 64  // forward addresses kept to be shown
)

// report is a finding with what is not worth remembering.
type report struct {
	*finding
	keep    time.Duration // how long the finding may be served without asking again
	took    time.Duration
	names   []string // the reverse names looked at, fit to be shown
	forward []seen
}

// seen is what a trusted name resolved to.
type seen struct {
	name  string
	addrs []netip.Addr
}

// lookup is one address being looked up.
type lookup struct {
	resolver *Resolver
	progress atomic.Pointer[trouble] // what it waits for, or the last that went wrong; nil: it has not begun
}

// note takes what the lookup waits for, or what went wrong.
func (l *lookup) note(t *trouble) { l.progress.Store(t) }

// confirm looks an address up: reverse names, the trusted among them, their addresses. It always returns a report.
// addr is valid, unmapped and without a zone.
func (l *lookup) confirm(ctx context.Context, crawlers []Crawler, addr netip.Addr) *report {
	start := time.Now()
	found := &report{finding: &finding{}}
	everyone := crawlerSet(1)<<len(crawlers) - 1

	reverse, err := dns.ReverseAddr(addr.String())
	if err != nil {
		return &report{finding: &finding{troubled: everyone, trouble: troubleAt("", CauseAddress, "")}}
	}
	pointers, trouble := l.resolve(ctx, reverse, dns.TypePTR)
	ttl, last := pointers.ttl, start
	if trouble != nil {
		found.troubled, found.trouble, last = everyone, trouble, time.Now()
	}
	found.weak = pointers.kind == readingWeakNo
	for _, name := range reverseNames(pointers.records) {
		found.names = append(found.names, showName(name))
		clean, ok := cleanName(name)
		if !ok || len(clean) > longestKept {
			continue
		}
		clean = strings.Clone(clean) // not the message it stands in
		if found.name == "" {
			found.name = clean
		}
		trusted := trustedBy(crawlers, clean)
		if trusted&^found.genuine == 0 {
			continue // nobody trusts it, or whoever does is satisfied already
		}
		switch forward, trouble := l.resolveForward(ctx, found, clean, addr); {
		case trouble != nil:
			found.troubled, last = found.troubled|trusted, time.Now()
			if found.trouble == nil {
				found.trouble = trouble
			}
		case forward > 0:
			found.prove(clean, trusted)
			ttl = min(ttl, forward)
		}
	}
	found.troubled &^= found.genuine
	if found.troubled == 0 {
		found.trouble = nil
	}
	found.took = time.Since(start)
	found.keep = found.fresh(ttl, time.Since(last))
	return found
}

// resolveForward asks for the addresses of a trusted name. If addr is among them it returns their time to live, at
// least a nanosecond; if it is not, 0.
func (l *lookup) resolveForward(
	ctx context.Context, found *report, name string, addr netip.Addr,
) (time.Duration, *trouble) {
	qtype := dns.TypeA
	if addr.Is6() {
		qtype = dns.TypeAAAA
	}
	forward, trouble := l.resolve(ctx, name+".", qtype)
	if trouble != nil {
		return 0, trouble
	}
	addrs := addresses(forward.records)
	found.forward = append(found.forward, seen{name: name, addrs: addrs[:min(len(addrs), mostForward)]})
	switch {
	case slices.Contains(addrs, addr):
		return max(forward.ttl, 1), nil
	case len(addrs) > 0 && !special(addr) && !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !special(a) }):
		return 0, troubleAt(forward.server, CauseFiltered, name+" is "+addrs[0].String())
	}
	found.weak = found.weak || forward.kind == readingWeakNo
	return 0, nil
}

// special reports whether an address belongs to nobody on the internet. Filters and captive portals answer with such
// ones.
func special(addr netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) // RFC 6598
	addr = addr.Unmap()
	return addr.IsUnspecified() || addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || addr.IsMulticast() ||
		shared.Contains(addr)
}

// prove notes that a trusted name resolved back.
func (f *finding) prove(name string, trusted crawlerSet) {
	if f.genuine == 0 {
		f.name, f.proves = name, trusted
	} else if f.also == "" {
		f.also = name
	}
	f.genuine |= trusted
}

// fresh is how long a finding may be served, of records that live for ttl and after trouble that was ago.
func (f *finding) fresh(ttl, ago time.Duration) time.Duration {
	switch {
	case f.troubled != 0:
		return max(troubleFor-ago, 0)
	case f.genuine != 0:
		return min(max(ttl, genuineLeast), genuineMost)
	case f.weak:
		return weakFor
	default:
		return impostorFor
	}
}

// detailed is result with what only the verify command shows.
func (found *report) detailed(crawler crawlerSet) Result {
	r := found.result(crawler, SourceDNS)
	r.Took, r.Names = found.took, found.names
	for _, s := range found.forward {
		if s.name == r.PTR {
			r.Forward = s.addrs
		}
	}
	return r
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
		if names = append(names, ptr.Ptr); len(names) == mostNames {
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

// resolve answers a question, following aliases inside a response and, where a response stops at one, with new
// questions.
func (l *lookup) resolve(ctx context.Context, name string, qtype uint16) (reading, *trouble) {
	ttl, aliases := genuineMost, 0
	for {
		r, t := l.ask(ctx, name, qtype)
		if t != nil {
			return reading{}, t
		}
		ttl, aliases = min(ttl, r.ttl), aliases+r.aliases
		if aliases > mostAliases {
			return reading{}, troubleAt(r.server, CauseLoop, "")
		}
		if r.kind != readingAlias {
			r.ttl = ttl
			return r, nil
		}
		name = r.end
	}
}
