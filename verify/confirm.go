package verify

import (
	"context"
	"net/netip"
	"slices"
	"strings"
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

// answer is what a question came to in the end, aliases followed.
type answer struct {
	records []dns.RR      // of the type asked for; empty: definitely none
	ttl     time.Duration // the least of records and of the aliases that led there
}

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

// confirm looks an address up: reverse names, the trusted among them, their addresses. It always returns a report.
// addr is valid, unmapped and without a zone.
func (r *Resolver) confirm(ctx context.Context, crawlers []Crawler, addr netip.Addr) *report {
	start := time.Now()
	found := &report{finding: &finding{}}
	everyone := crawlerSet(1)<<len(crawlers) - 1

	reverse, err := dns.ReverseAddr(addr.String())
	if err != nil {
		return &report{finding: &finding{troubled: everyone, cause: CauseAddress}}
	}
	pointers, trouble := r.resolve(ctx, reverse, dns.TypePTR)
	ttl, last := pointers.ttl, start
	if trouble != "" {
		found.troubled, found.cause, last = everyone, trouble, time.Now()
	}
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
		switch forward, trouble := r.resolveForward(ctx, found, clean, addr); {
		case trouble != "":
			found.troubled, last = found.troubled|trusted, time.Now()
			if found.cause == "" {
				found.cause = trouble
			}
		case forward > 0:
			found.prove(clean, trusted)
			ttl = min(ttl, forward)
		}
	}
	found.troubled &^= found.genuine
	if found.troubled == 0 {
		found.cause = ""
	}
	found.took = time.Since(start)
	found.keep = found.fresh(ttl, time.Since(last))
	return found
}

// resolveForward asks for the addresses of a trusted name. If addr is among them it returns their time to live, at least
// a nanosecond; if it is not, 0.
func (r *Resolver) resolveForward(ctx context.Context, found *report, name string, addr netip.Addr) (time.Duration, string) {
	qtype := dns.TypeA
	if addr.Is6() {
		qtype = dns.TypeAAAA
	}
	forward, trouble := r.resolve(ctx, name+".", qtype)
	if trouble != "" {
		return 0, trouble
	}
	addrs := addresses(forward.records)
	found.forward = append(found.forward, seen{name: name, addrs: addrs[:min(len(addrs), mostForward)]})
	if !slices.Contains(addrs, addr) {
		return 0, ""
	}
	return max(forward.ttl, 1), ""
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

// resolve answers a question, following aliases inside an answer and, where an answer stops at one, with new questions.
func (r *Resolver) resolve(ctx context.Context, name string, qtype uint16) (answer, string) {
	result := answer{ttl: genuineMost}
	aliases := 0
	for {
		m, trouble := r.ask(ctx, name, qtype)
		if trouble != "" {
			return answer{}, trouble
		}
		at := name
		for {
			found, alias := pick(m.Answer, at, qtype)
			for _, rr := range found {
				result.ttl = min(result.ttl, ttlOf(rr))
			}
			if len(found) > 0 {
				result.records = found
				return result, ""
			}
			if alias == nil {
				break
			}
			if aliases++; aliases > mostAliases {
				return answer{}, CauseLoop
			}
			result.ttl = min(result.ttl, ttlOf(alias))
			at = alias.Target
		}
		// RFC 6604: NXDOMAIN speaks of the end of the chain of aliases.
		if m.Rcode == dns.RcodeNameError {
			return result, ""
		}
		if at == name {
			if len(m.Answer) > 0 {
				return answer{}, CauseGarbage // records, and none of them of the name asked for
			}
			return result, ""
		}
		name = at
	}
}

// pick returns the records of name and type, or else the alias of name.
func pick(rrs []dns.RR, name string, qtype uint16) (found []dns.RR, alias *dns.CNAME) {
	for _, rr := range rrs {
		h := rr.Header()
		if h.Class != dns.ClassINET || !sameName(h.Name, name) {
			continue
		}
		if h.Rrtype == qtype {
			found = append(found, rr)
		} else if cname, ok := rr.(*dns.CNAME); ok && alias == nil {
			alias = cname
		}
	}
	return found, alias
}

// ttlOf reads a time to live; one with the top bit set is zero (RFC 2181 section 8).
func ttlOf(rr dns.RR) time.Duration {
	if ttl := rr.Header().Ttl; ttl < 1<<31 {
		return time.Duration(ttl) * time.Second
	}
	return 0
}
