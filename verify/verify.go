// Package verify answers one question: is the client at this address really the crawler that its User-Agent claims to
// be?
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
//   - [Impostor]: the DNS said no: no PTR name, no trusted name, or every trusted name resolves elsewhere or not at
//     all. A no is NXDOMAIN, or NOERROR with the SOA record of the zone and no record of the type asked for (RFC 2308
//     section 2). Whether a name does not exist is only believed of the name as it is, not of one in mixed case.
//   - [Unknown]: anything that could have changed the answer went wrong, such as a time-out, SERVFAIL, REFUSED, an
//     answer that is no answer to the question or contradicts itself, a NOERROR that has nothing, or the address of a
//     filter (0.0.0.0, a private one) in place of a public one. Result.Cause says what, Result.Why with the DNS server.
//     Unknown is the zero value: whoever forgets to ask, asks too late or cannot ask must treat the client as any other
//     client.
//
// Aliases in the answers (RFC 2317 delegates reverse zones with them) are followed, 8 in all for one question.
//
// What is learned about an address serves every crawler of the catalogue and is remembered: genuine for the time to
// live of the records (not under a minute, not over a day), impostor for 10 minutes (for a minute if NXDOMAIN came
// without an SOA record, which RFC 2308 section 5 forbids to keep), trouble for 3 seconds, which is long enough to
// spare a resolver that is down and short enough for fresh verdicts within 5 seconds of its recovery. An address that
// is asked for in the last tenth of its time is looked up again in the background. A proof in its time ends with the
// second definite no, a minute or more after the first; NXDOMAIN without an SOA record ends none. While the DNS is in
// trouble, an address once proven stays genuine for up to a day longer. Proven addresses are kept apart from the
// others, so that a flood of impostors pushes none of them out; 100,000 of each are kept, in at most 64 MiB together.
//
// So an outage of the resolver never makes an impostor of a genuine crawler, and what it leaves unknown is known again
// within 5 seconds of its end.
//
// [Ranges] are the addresses that Google publishes, and [LiveRanges] keeps them up to date. They decide nothing: there
// is no verdict that rests on a list. They only say whose lookups must not be crowded out, and which may start early.
//
// The package starts no more lookups than its [Budget] allows, does not log, and keeps no state outside its values.
package verify

import (
	"fmt"
	"net/netip"
	"sync/atomic"
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

// The values of Result.Source. Published ranges are no source: they prove nothing.
const (
	SourceCache = "cache" // remembered
	SourceDNS   = "dns"   // a lookup that ended just now
	SourceStale = "stale" // remembered as genuine; its time is over, and the DNS could not be asked again
)

// The values of Result.Cause. The first group is trouble with the DNS, the second with the asking.
const (
	CauseTimeout     = "timeout"     // no answer in time
	CauseServfail    = "servfail"    // SERVFAIL
	CauseRefused     = "refused"     // REFUSED
	CauseFormErr     = "formerr"     // FORMERR or BADVERS, without EDNS(0) too
	CauseNotImp      = "notimp"      // NOTIMP, without EDNS(0) too
	CauseLame        = "lame"        // a referral instead of an answer
	CauseIndefinite  = "indefinite"  // neither records nor a proof that there are none (RFC 2308 section 2)
	CauseFiltered    = "filtered"    // an answer that a filter or a captive portal makes: addresses that are nobody's
	CauseGarbage     = "garbage"     // not a DNS message, not an answer to the question, or one that contradicts itself
	CauseTruncated   = "truncated"   // truncated over TCP too, or TCP does not work
	CauseLoop        = "loop"        // more than 8 aliases
	CauseUnreachable = "unreachable" // the server cannot be reached or hung up
	CauseTLS         = "tls"         // the server did not prove its name (DNS over TLS)

	CauseBudget   = "budget"   // too many lookups at the moment, under way and waiting
	CauseWait     = "wait"     // the caller's context ended, or Verifier.Wait did before the lookup's turn had come
	CausePending  = "pending"  // a lookup is under way and Verifier.Wait is 0
	CauseClosed   = "closed"   // the Verifier is closed
	CauseAddress  = "address"  // not a valid address
	CauseCrawler  = "crawler"  // no such crawler
	CauseResolver = "resolver" // no resolver to ask
)

// MarshalText gives what String gives.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText takes the three words of String and nothing else; after an error the verdict is Unknown.
func (v *Verdict) UnmarshalText(text []byte) error {
	for _, known := range []Verdict{Unknown, Impostor, Genuine} {
		if string(text) == known.String() {
			*v = known
			return nil
		}
	}
	*v = Unknown
	return fmt.Errorf("verdict %.40q: not one of unknown, impostor and genuine", text)
}

// Result is a verdict and what it rests on. The zero value is Unknown.
type Result struct {
	Verdict Verdict
	Source  string // one of the Source constants, or "" when no lookup was asked for, none was allowed or none ended in time
	Cause   string // why Unknown, one of the Cause constants; "" with the other verdicts
	Server  string // with Cause: the DNS server that had a part in it, host:port; "" if none had
	Detail  string // with Cause: what the server or the system said, a few words; "" if Cause says it all

	// PTR is the reverse name that proved the claim, else the first one looked at, "" if there was none. It is in lower
	// case without a trailing dot, at most 96 bytes of letters, digits, hyphens and dots, so it is safe to log; longer
	// names, which no crawler has, and names with other bytes in them are passed over.
	PTR string

	Names   []string      // Lookup only: all reverse names looked at; bytes that do not belong in a name read "?"
	Forward []netip.Addr  // Lookup only: the first 64 addresses that PTR resolved to; nil if it was not trusted
	Took    time.Duration // how long the lookup took, its time in the queue left out; 0 if it is remembered
}

// Why is the cause with its server and its detail, as in "unreachable 192.0.2.53:53 connection refused"; "" without a
// cause.
func (r *Result) Why() string {
	why := r.Cause
	for _, more := range []string{r.Server, r.Detail} {
		if more != "" {
			why += " " + more
		}
	}
	return why
}

func (r *Result) explain(t *trouble) { r.Cause, r.Server, r.Detail = t.cause, t.server, t.detail }

// The times that an address is remembered, and how many are.
const (
	genuineLeast   = time.Minute
	genuineMost    = 24 * time.Hour
	genuineStale   = 24 * time.Hour // on top, and only while the DNS is in trouble
	impostorFor    = 10 * time.Minute
	weakFor        = time.Minute     // an impostor by a denial that may not be remembered longer
	deniedApart    = time.Minute     // between the two denials that end a proof
	troubleFor     = 3 * time.Second // from the last trouble on
	lookupAtMost   = 5 * time.Second // all queries of one lookup
	rememberAtMost = 100_000         // addresses in each of the caches
)

// longestKept is the longest reverse name that is remembered, for strangers choose theirs. The masks of the catalogue
// match none that is longer.
const longestKept = 96

// crawlerSet is a set of a Verifier's crawlers, one bit each, in their order.
type crawlerSet uint32

const mostCrawlers = 32 // bits of a crawlerSet

// finding is what one lookup learned about an address, for all crawlers of the catalogue. It is small, for there can be
// many, and immutable once it is remembered.
type finding struct {
	name     string     // the first trusted name that resolved back, else the first that is fit to be shown
	also     string     // a second trusted name that resolved back, for crawlers that do not trust the first
	proves   crawlerSet // the crawlers that trust name, which resolved back
	genuine  crawlerSet // the crawlers that are proven, by name or by also
	troubled crawlerSet // the crawlers that trouble may have hidden a proof from
	renewed  atomic.Bool
	weak     bool          // one of the denials was no more than a readingWeakNo
	denied   bool          // a proof that was denied once since
	trouble  *trouble      // the first, nil if troubled is empty
	due      time.Duration // from when on it should be looked up again, by memory's clock
	until    time.Duration // how long it is fresh, by memory's clock
}

// result derives the verdict for one crawler.
func (f *finding) result(crawler crawlerSet, source string) Result {
	r := Result{Source: source, PTR: f.name}
	switch {
	case f.genuine&crawler != 0:
		r.Verdict = Genuine
		if f.proves&crawler == 0 {
			r.PTR = f.also
		}
	case f.troubled&crawler != 0:
		r.explain(f.trouble)
	default:
		r.Verdict = Impostor
	}
	return r
}
