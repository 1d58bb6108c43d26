package verify

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// The bounds on what a stranger's zone can make a lookup do.
const (
	mostNames   = 8   // reverse names looked at, and so forward lookups
	mostAliases = 8   // aliases followed for one question
	mostRecords = 512 // records of an answer looked at
	mostForward = 64  // forward addresses kept to be shown
)

// answer is what a question came to in the end, aliases followed.
type answer struct {
	records []dns.RR      // of the type asked for; empty: definitely none
	ttl     time.Duration // the least of records and of the aliases that led there
}

// confirm looks an address up: reverse names, the trusted among them, their addresses. It always returns a finding.
// addr is valid, unmapped and without a zone.
func (r *Resolver) confirm(ctx context.Context, crawlers []Crawler, addr netip.Addr) *finding {
	start := time.Now()
	f := &finding{}
	everyone := crawlerSet(1)<<len(crawlers) - 1

	reverse, err := dns.ReverseAddr(addr.String())
	if err != nil {
		return &finding{troubled: everyone, cause: CauseAddress}
	}
	pointers, trouble := r.resolve(ctx, reverse, dns.TypePTR)
	f.ttl = pointers.ttl
	if trouble != "" {
		f.troubled, f.cause = everyone, trouble
	}
	for _, name := range reverseNames(pointers.records) {
		f.names = append(f.names, showName(name))
		clean, ok := cleanName(name)
		if !ok {
			continue
		}
		if f.first == "" {
			f.first = clean
		}
		trusted := trustedBy(crawlers, clean)
		if trusted&^f.genuine == 0 {
			continue // nobody trusts it, or whoever does is satisfied already
		}
		r.confirmName(ctx, f, proof{name: clean, trusted: trusted}, addr)
	}
	f.troubled &^= f.genuine
	if f.troubled == 0 {
		f.cause = ""
	}
	f.took = time.Since(start)
	return f
}

// confirmName adds to f whether a trusted name resolves back to addr.
func (r *Resolver) confirmName(ctx context.Context, f *finding, p proof, addr netip.Addr) {
	qtype := dns.TypeA
	if addr.Is6() {
		qtype = dns.TypeAAAA
	}
	forward, trouble := r.resolve(ctx, p.name+".", qtype)
	if trouble != "" {
		f.troubled |= p.trusted
		if f.cause == "" {
			f.cause = trouble
		}
		return
	}
	addrs := addresses(forward.records)
	if slices.Contains(addrs, addr) {
		f.proofs = append(f.proofs, p)
		f.genuine |= p.trusted
		f.ttl = min(f.ttl, forward.ttl)
	}
	f.forward = append(f.forward, seen{name: p.name, addrs: addrs[:min(len(addrs), mostForward)]})
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
		rrs := m.Answer[:min(len(m.Answer), mostRecords)]
		for {
			found, alias := pick(rrs, at, qtype)
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
