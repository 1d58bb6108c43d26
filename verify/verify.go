// Package verify answers one question: is the client at this address really the crawler that its User-Agent claims to
// be?
//
// A User-Agent is a claim and proves nothing. [Claims] reads it. The proof is forward-confirmed reverse DNS, the way
// Google documents at developers.google.com/crawling/docs/crawlers-fetchers/verify-google-requests, and [Verifier]
// performs it:
//
//  1. The PTR names of the address are looked up. Of the names in the answer the first 8 are considered.
//  2. A name is trusted if it matches a mask of the crawler. It consists of labels of letters, digits and hyphens, of
//     at most 253 bytes, with at most one trailing dot; case does not matter. In a mask, "*" stands for one or more
//     letters, digits or hyphens inside one label, so that "crawl-*.googlebot.com" matches neither
//     "crawl-1.fakegooglebot.com" nor "crawl-1.googlebot.com.evil.example" nor "crawl-1.x.googlebot.com".
//  3. The addresses of a trusted name are looked up, A or AAAA as the client's address is IPv4 or IPv6. The client's
//     address must be among them. It is never enough that some other name of the address resolves back: the name that
//     is trusted must be the name that confirms.
//
// The verdict is one of three.
//
//   - [Genuine]: a trusted name resolved back. Nothing else leads here.
//   - [Impostor]: the DNS denied the claim: no PTR name, no trusted name, or every trusted name resolves elsewhere or
//     not at all. A negative answer is NXDOMAIN, or NOERROR with the SOA record of the zone and no record of the type
//     asked for (RFC 2308 section 2). It counts only for the name in its own case, not for one in mixed case.
//   - [Unknown]: something failed that could have proved the claim, such as a time-out, SERVFAIL, REFUSED, a response
//     that is none to the question or contradicts itself, NOERROR with nothing in it, or the address of a filter
//     (0.0.0.0, a private one) in place of a public one. Result.Cause says what, Result.Why with the DNS server.
//     Unknown is the zero value: a client that is not verified, for whatever reason, must be treated as any other.
//
// Aliases are followed (RFC 2317 delegates reverse zones with them), 8 in all for one question.
//
// A finding about an address holds for every crawler of the catalogue and is cached: genuine for the time to live of
// the records (not under a minute, not over a day), impostor for 10 minutes (for a minute if NXDOMAIN came without an
// SOA record, which RFC 2308 section 5 forbids to cache), a failure for 3 seconds, which is long enough to spare a
// resolver that is down and short enough for fresh verdicts within 5 seconds of its recovery. An address that is asked
// about in the last tenth of its time is looked up again in the background. A fresh proof ends with the second definite
// denial, a minute or more after the first; NXDOMAIN without an SOA record ends none. While the DNS fails, an address
// once proven stays genuine for up to a day longer. Proven addresses are cached apart from the others, so that a flood
// of impostors evicts none of them; 100,000 of each are cached, in at most 64 MiB together.
//
// So an outage of the resolver never makes an impostor of a genuine crawler, and what it leaves unknown is known again
// within 5 seconds of its end.
//
// [Ranges] are the addresses that Google publishes, and [LiveRanges] keeps them up to date. No verdict rests on them.
// They only say whose lookups have a part of the budget to themselves, and which may start early.
//
// The package starts no more lookups than its [Budget] allows, does not log, and keeps no state outside its values.
// Package verify/verifytest has a DNS server for tests.
package verify

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Verifier tells whether an address belongs to a crawler, and caches what it found. Its fields must not change after
// first use; its methods are safe for concurrent use. It must not be copied after first use, and should be closed.
//
// It fails towards Unknown: whatever goes wrong, no client becomes Genuine by it, and no call waits longer than Wait.
type Verifier struct {
	// Crawlers are those that can be verified, 32 at most, recognised in requests by ClaimsOf. One that ClaimsOf would
	// not take is not known here: its verdict is Unknown, CauseCrawler. Nil: those of the Catalogue.
	Crawlers []Crawler

	// Resolver makes the queries. Nil: every verdict is Unknown, CauseResolver.
	Resolver *Resolver

	// Wait is the longest that Identify waits for a lookup. 0: it starts lookups and never waits for them.
	Wait time.Duration

	// Budget bounds the lookups. The zero value has defaults that suit the open internet.
	Budget Budget

	// Published returns the addresses whose lookups have a part of the budget to themselves, so that a flood of other
	// claims cannot keep them from being looked up. They prove nothing. It is called for every lookup, so it may return
	// a newer list each time, and nil. Nil: the list of PublishedRanges.
	Published func() *Ranges

	once   sync.Once
	closed atomic.Bool // set under mu

	crawlers []Crawler
	cache    addressCache
	counts   counts
	failures atomic.Int32    // lookups in a row that failed, or provedSomebody
	ctx      context.Context // of the background lookups, until Close
	cancel   context.CancelFunc

	mu       sync.Mutex
	jobs     map[netip.Addr]*job // queued and running
	budget   budget
	timerSet bool           // a goroutine waits to call startDue
	running  sync.WaitGroup // added to under mu and before closed is set
}

func (v *Verifier) start() {
	v.once.Do(func() {
		if v.crawlers = Catalogue(); v.Crawlers != nil {
			v.crawlers = validCrawlers(v.Crawlers)
		}
		v.cache = newAddressCache()
		v.ctx, v.cancel = context.WithCancel(context.Background())
		v.jobs = make(map[netip.Addr]*job)
		published := v.Published
		if published == nil {
			embedded, _ := PublishedRanges() // a test reads it: it cannot be broken in a program that was tested
			published = func() *Ranges { return embedded }
		}
		v.budget = newBudget(v.Budget, published)
	})
}

// Lookup asks the DNS, neither reads nor changes the cache or the budget, and fills every field of its Result. It ends
// when ctx ends, after 5 seconds or with Close.
func (v *Verifier) Lookup(ctx context.Context, crawler string, addr netip.Addr) Result {
	set, addr, cause := v.target(crawler, addr)
	if cause != "" {
		return Result{Cause: cause}
	}
	return v.lookUp(ctx, v.crawlers, set, addr)
}

func (v *Verifier) lookUp(ctx context.Context, crawlers []Crawler, set crawlerSet, addr netip.Addr) Result {
	bounded, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	stop := context.AfterFunc(v.ctx, cancel)
	defer stop()
	l := lookup{resolver: v.Resolver}
	result := l.confirm(bounded, crawlers, addr).detailedResult(set)
	if result.Verdict == Unknown {
		switch {
		case v.ctx.Err() != nil:
			result.setCause(newFailure("", CauseClosed, ""))
		case ctx.Err() != nil:
			result.setCause(newFailure("", CauseWait, ""))
		}
	}
	return result
}

// Close ends all lookups: calls that wait for one get Unknown, CauseClosed, and so do later calls. It returns when the
// callbacks of IdentifyAsync have been called and the Verifier's goroutines have ended. It may be called more than
// once. The error is always nil.
func (v *Verifier) Close() error {
	v.start()
	v.mu.Lock()
	if !v.closed.Load() {
		for _, j := range v.budget.drain() {
			v.running.Go(func() { v.finish(j) })
		}
		v.closed.Store(true)
	}
	v.mu.Unlock()
	v.cancel()
	v.running.Wait()
	v.cache.close()
	return nil
}
