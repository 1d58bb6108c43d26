// Package verify answers one question: is the client at this address really the crawler that its User-Agent claims
// to be?
//
// A User-Agent is a claim and proves nothing. [Claims] reads it. The proof is forward-confirmed reverse DNS, the way
// Google documents at developers.google.com/crawling/docs/crawlers-fetchers/verify-google-requests, and [Verifier]
// performs it:
//
//  1. The PTR names of the address are asked for. Of the names in the answer the first 8 are looked at.
//  2. A name is trusted if it matches a mask of the crawler. It consists of labels of letters, digits and hyphens, of
//     at most 253 bytes, with at most one trailing dot; case does not matter. In a mask, "*" stands for one or more
//     letters, digits or hyphens inside one label, so that "crawl-*.googlebot.com" matches neither
//     "crawl-1.fakegooglebot.com" nor "crawl-1.googlebot.com.evil.example" nor "crawl-1.x.googlebot.com".
//  3. The addresses of a trusted name are asked for, A or AAAA as the client's address is IPv4 or IPv6. The very
//     address must be among them. It is never enough that some other name of the address resolves back: the name that
//     is trusted must be the name that confirms.
//
// The verdict is one of three.
//
//   - [Genuine]: a trusted name resolved back. Nothing else leads here.
//   - [Impostor]: the DNS said a definite no: no PTR name, no trusted name, or every trusted name definitely resolves
//     elsewhere or not at all.
//   - [Unknown]: anything that could have changed the answer went wrong, such as a time-out, SERVFAIL, REFUSED or an
//     answer that is no answer to the question. Result.Cause says what. Unknown is the zero value: whoever forgets to
//     ask, asks too late or cannot ask must treat the client as any other client.
//
// Aliases in the answers (RFC 2317 delegates reverse zones with them) are followed, 8 in all for one question.
//
// What is learned about an address serves every crawler of the catalogue and is remembered: genuine for the time to
// live of the records (not under a minute, not over a day), impostor for 10 minutes, trouble for 3 seconds. While the
// DNS is in trouble, an address once proven stays genuine for up to a day longer. Proven addresses are kept apart from
// the others, so that a flood of impostors pushes none of them out.
//
// The package starts no more lookups than its budget allows, does not log, and keeps no state outside its values.
package verify

import (
	"net/netip"
	"time"
)

// Verdict is what is known about a client that claims to be a crawler. The zero value is Unknown, the safe one.
type Verdict uint8

const (
	Unknown  Verdict = iota // not proven either way: treat the client as any other
	Impostor                // the DNS definitely denies the claim
	Genuine                 // proven by forward-confirmed reverse DNS
)

// String returns "unknown", "impostor" or "genuine", and "unknown" for any other value.
func (v Verdict) String() string {
	switch v {
	case Impostor:
		return "impostor"
	case Genuine:
		return "genuine"
	default:
		return "unknown"
	}
}

// The values of Result.Source.
const (
	SourceCache = "cache"
	SourceDNS   = "dns"
)

// The values of Result.Cause. The first group is trouble with the DNS, the second with the asking.
const (
	CauseTimeout     = "timeout"     // no answer in time
	CauseServfail    = "servfail"    // SERVFAIL
	CauseRefused     = "refused"     // REFUSED
	CauseLame        = "lame"        // a referral instead of an answer
	CauseGarbage     = "garbage"     // not a DNS message, or not an answer to the question
	CauseTruncated   = "truncated"   // truncated over TCP too
	CauseLoop        = "loop"        // more than 8 aliases
	CauseUnreachable = "unreachable" // the server cannot be reached or hung up
	CauseTLS         = "tls"         // the server did not prove its name (DNS over TLS)

	CauseBudget   = "budget"   // too many lookups at the moment
	CauseWait     = "wait"     // Verifier.Wait or the caller's context ended before the lookup did
	CausePending  = "pending"  // a lookup is under way and Verifier.Wait is 0
	CauseClosed   = "closed"   // the Verifier is closed
	CauseAddress  = "address"  // not a valid address
	CauseCrawler  = "crawler"  // no such crawler in the catalogue
	CauseResolver = "resolver" // no resolver to ask
)

// Result is a verdict and what it rests on. The zero value is Unknown.
type Result struct {
	Verdict Verdict
	Source  string // SourceCache, SourceDNS, or "" when no lookup was asked for, none was allowed or none ended in time
	Cause   string // why Unknown, one of the Cause constants; "" with the other verdicts

	// PTR is the reverse name that proved the claim, else the first one looked at, "" if there was none. It is in lower
	// case without a trailing dot, at most 253 bytes of letters, digits, hyphens and dots, so it is safe to log; names
	// with other bytes in them are passed over.
	PTR string

	Names   []string      // Lookup only: all reverse names looked at; bytes that do not belong in a name read "?"
	Forward []netip.Addr  // Lookup only: the first 64 addresses that PTR resolved to; nil if it was not trusted
	Took    time.Duration // how long the DNS lookups took; 0 from the cache
}

// The times an address is remembered.
const (
	genuineLeast   = time.Minute
	genuineMost    = 24 * time.Hour
	genuineStale   = 24 * time.Hour // on top, and only while the DNS is in trouble
	impostorFor    = 10 * time.Minute
	troubleFor     = 3 * time.Second // so that verdicts are fresh within 5 seconds of a resolver's recovery
	lookupAtMost   = 5 * time.Second // all queries of one lookup
	rememberAtMost = 100_000         // addresses in each of the caches
)

// crawlerSet is a set of catalogue entries, one bit each, in the catalogue's order.
type crawlerSet uint32

// finding is what one lookup learned about an address, for all crawlers of the catalogue. It is immutable once made.
type finding struct {
	proofs   []proof       // the trusted names that resolved back; each adds crawlers to the ones before
	genuine  crawlerSet    // the crawlers that proofs cover
	troubled crawlerSet    // the crawlers that trouble may have hidden a proof from
	cause    string        // the first trouble, "" if troubled is empty
	first    string        // the first reverse name that is safe to show
	ttl      time.Duration // the least time to live of the records that the proofs rest on
	took     time.Duration
	names    []string // shown by Lookup, not cached
	forward  []seen   // shown by Lookup, not cached
}

// proof is a trusted name that resolved back, and the crawlers that trust it.
type proof struct {
	name    string
	trusted crawlerSet
}

// seen is what a trusted name resolved to.
type seen struct {
	name  string
	addrs []netip.Addr
}

// result derives the verdict for one crawler.
func (f *finding) result(crawler crawlerSet, source string) Result {
	r := Result{Source: source, PTR: f.first}
	if source != SourceCache {
		r.Took = f.took
	}
	switch {
	case f.genuine&crawler != 0:
		r.Verdict = Genuine
		for _, p := range f.proofs {
			if p.trusted&crawler != 0 {
				r.PTR = p.name
				break
			}
		}
	case f.troubled&crawler != 0:
		r.Cause = f.cause
	default:
		r.Verdict = Impostor
	}
	return r
}

// detailed is result with what only the verify command shows.
func (f *finding) detailed(crawler crawlerSet) Result {
	r := f.result(crawler, SourceDNS)
	r.Names = f.names
	for _, s := range f.forward {
		if s.name == r.PTR {
			r.Forward = s.addrs
		}
	}
	return r
}

// cacheable is f without the lists that only the verify command shows: their size is for strangers to choose.
func (f *finding) cacheable() *finding {
	c := *f
	c.names, c.forward = nil, nil
	return &c
}

// fresh is how long f may be served without asking again.
func (f *finding) fresh() time.Duration {
	switch {
	case f.troubled != 0:
		return troubleFor
	case f.genuine != 0:
		return min(max(f.ttl, genuineLeast), genuineMost)
	default:
		return impostorFor
	}
}
