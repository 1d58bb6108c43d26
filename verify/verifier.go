package verify

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// Verifier answers whether an address belongs to a crawler, and remembers. Its fields are set before first use and then
// left alone; its methods are safe for concurrent use. It must not be copied after first use, and should be closed.
//
// It fails towards Unknown: whatever goes wrong, no client becomes Genuine by it, and nobody waits longer than Wait.
type Verifier struct {
	// Resolver is asked. Nil: every verdict is Unknown, CauseResolver.
	Resolver *Resolver

	// Wait is the longest that Identify waits for a lookup. 0: it starts lookups and never waits for them.
	Wait time.Duration

	// Budget bounds the lookups. The zero value has defaults that suit the open internet.
	Budget Budget

	// Published are the addresses that a crowd of strangers must not keep from being looked up: they have a budget of
	// their own. They prove nothing. It is called for every lookup, so it may answer with a newer list each time; it
	// may return nil. Nil: the list of PublishedRanges.
	Published func() *Ranges

	once   sync.Once
	closed atomic.Bool

	crawlers []Crawler
	proven   *otter.Cache[netip.Addr, *finding] // what proves an address genuine, while it is fresh
	stale    *otter.Cache[netip.Addr, *finding] // the same, for genuineStale longer
	others   *otter.Cache[netip.Addr, *finding] // impostors and trouble
	life     context.Context                    // of the background lookups
	end      context.CancelFunc

	mu      sync.Mutex
	flights map[netip.Addr]*flight
	budget  budget
	flying  sync.WaitGroup // added to under mu and before closed is set
}

// flight is a lookup under way.
type flight struct {
	landed  chan struct{} // closed when found is set
	found   *finding      // nil if the Verifier was closed first
	waiting []waiter      // under Verifier.mu; called when landed
}

type waiter struct {
	crawler crawlerSet
	done    func(Result)
}

func (v *Verifier) start() {
	v.once.Do(func() {
		v.crawlers = Catalogue()
		v.proven, v.others = newCache((*finding).fresh), newCache((*finding).fresh)
		v.stale = newCache(func(f *finding) time.Duration { return f.fresh() + genuineStale })
		v.life, v.end = context.WithCancel(context.Background())
		v.flights = make(map[netip.Addr]*flight)
		published := v.Published
		if published == nil {
			embedded, _ := PublishedRanges() // a test reads it: it cannot be broken in a program that was tested
			published = func() *Ranges { return embedded }
		}
		v.budget = newBudget(v.Budget, published)
	})
}

func newCache(fresh func(*finding) time.Duration) *otter.Cache[netip.Addr, *finding] {
	return otter.Must(&otter.Options[netip.Addr, *finding]{
		MaximumSize: rememberAtMost,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[netip.Addr, *finding]) time.Duration {
			return fresh(e.Value)
		}),
	})
}

// admit says what to look for: the crawler's bit and the address as the cache knows it. cause is set if there is
// nothing to look for.
func (v *Verifier) admit(crawler string, addr netip.Addr) (set crawlerSet, key netip.Addr, cause string) {
	v.start()
	if v.closed.Load() {
		return 0, addr, CauseClosed
	}
	if !addr.IsValid() {
		return 0, addr, CauseAddress
	}
	for i := range v.crawlers {
		if v.crawlers[i].Name == crawler {
			return 1 << i, addr.Unmap().WithZone(""), ""
		}
	}
	return 0, addr, CauseCrawler
}

// recall looks into the caches. stale, if not nil, is a finding whose time is over, but which proves the crawler: it is
// better than an Unknown.
func (v *Verifier) recall(crawler crawlerSet, key netip.Addr) (fresh, stale *finding) {
	if found, ok := v.proven.GetIfPresent(key); ok {
		return found, nil
	}
	other, _ := v.others.GetIfPresent(key)
	if other != nil && other.troubled == 0 {
		return other, nil
	}
	if old, ok := v.stale.GetIfPresent(key); ok && old.genuine&crawler != 0 {
		stale = old
	}
	if other != nil && stale != nil {
		return stale, nil // it was asked again just now, in vain
	}
	return other, stale
}

// Identify returns the verdict on addr, which claims to be the named crawler of the Catalogue. Known addresses are
// answered from memory. For others a lookup is started, or the one under way joined, and waited for until Wait or ctx
// ends; then the verdict is Unknown, and the lookup goes on and will have filled the memory for the next request.
func (v *Verifier) Identify(ctx context.Context, crawler string, addr netip.Addr) Result {
	set, key, cause := v.admit(crawler, addr)
	if cause != "" {
		return Result{Cause: cause}
	}
	known, stale := v.recall(set, key)
	if known != nil {
		return known.result(set, SourceCache)
	}
	result := v.await(ctx, set, key)
	if result.Verdict == Unknown && stale != nil && result.Cause != CauseClosed {
		return stale.result(set, SourceCache)
	}
	return result
}

func (v *Verifier) await(ctx context.Context, set crawlerSet, key netip.Addr) Result {
	f, known, cause := v.board(set, key, nil)
	if known != nil {
		return known.result(set, SourceCache)
	}
	if f == nil {
		return Result{Cause: cause}
	}
	if v.Wait <= 0 {
		return Result{Cause: CausePending}
	}
	timer := time.NewTimer(v.Wait)
	defer timer.Stop()
	select {
	case <-f.landed:
		return f.result(set)
	case <-timer.C:
	case <-ctx.Done():
	}
	return Result{Cause: CauseWait}
}

// Peek returns the verdict if it is in memory, and false if it is not or if a lookup is not possible. It never starts a
// lookup and never waits, so it may be called where nothing may block, as in a TLS handshake.
func (v *Verifier) Peek(crawler string, addr netip.Addr) (Result, bool) {
	set, key, cause := v.admit(crawler, addr)
	if cause != "" {
		return Result{Cause: cause}, false
	}
	if known, _ := v.recall(set, key); known != nil {
		return known.result(set, SourceCache), true
	}
	return Result{}, false
}

// Later calls done exactly once with the verdict and never blocks. If the verdict is in memory, or there is nothing to
// look up (no such crawler, no valid address, closed), done is called at once, in this goroutine. Otherwise it is called
// in another one: when the lookup ends, however it ends, or soon if the budget allows none. done must not call Close.
func (v *Verifier) Later(crawler string, addr netip.Addr, done func(Result)) {
	set, key, cause := v.admit(crawler, addr)
	if cause != "" {
		done(Result{Cause: cause})
		return
	}
	known, stale := v.recall(set, key)
	if known == nil {
		report := done
		if stale != nil {
			report = func(r Result) {
				if r.Verdict == Unknown && r.Cause != CauseClosed {
					r = stale.result(set, SourceCache)
				}
				done(r)
			}
		}
		if _, known, cause = v.board(set, key, report); known == nil && cause != CauseClosed {
			return
		}
	}
	if known != nil {
		done(known.result(set, SourceCache))
		return
	}
	done(Result{Cause: cause})
}

// board joins the lookup of key under way, or starts one. It returns the lookup; or what one that ended meanwhile
// found; or the cause why there is none. done, if not nil, will be called with the lookup's result, and with the cause
// CauseBudget; in the other cases it is left to the caller.
func (v *Verifier) board(set crawlerSet, key netip.Addr, done func(Result)) (f *flight, known *finding, cause string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed.Load() {
		return nil, nil, CauseClosed
	}
	f, ok := v.flights[key]
	if !ok {
		if known, _ = v.recall(set, key); known != nil {
			return nil, known, ""
		}
		lane, ok := v.budget.take(key, time.Now())
		if !ok {
			if done != nil {
				v.flying.Go(func() { done(Result{Cause: CauseBudget}) })
			}
			return nil, nil, CauseBudget
		}
		f = &flight{landed: make(chan struct{})}
		v.flights[key] = f
		v.flying.Go(func() { v.fly(f, key, lane) })
	}
	if done != nil {
		f.waiting = append(f.waiting, waiter{crawler: set, done: done})
	}
	return f, nil, ""
}

// fly performs a lookup, remembers what it found and tells those who wait.
func (v *Verifier) fly(f *flight, key netip.Addr, lane *lane) {
	ctx, cancel := context.WithTimeout(v.life, lookupAtMost)
	found := v.Resolver.confirm(ctx, v.crawlers, key)
	cancel()
	if v.life.Err() == nil {
		f.found = found.cacheable()
		v.remember(key, f.found)
	}
	v.mu.Lock()
	delete(v.flights, key)
	v.budget.give(key, lane)
	waiting := f.waiting
	v.mu.Unlock()
	close(f.landed)
	for _, w := range waiting {
		w.done(f.result(w.crawler))
	}
}

// remember files a finding. Trouble does not replace a proof, a definite no does.
func (v *Verifier) remember(key netip.Addr, found *finding) {
	switch {
	case found.genuine != 0:
		v.stale.Set(key, found)
		v.proven.Set(key, found)
		v.others.Invalidate(key)
	case found.troubled == 0:
		v.others.Set(key, found)
		v.proven.Invalidate(key)
		v.stale.Invalidate(key)
	default:
		v.others.Set(key, found)
	}
}

// result is only called after f.landed is closed.
func (f *flight) result(set crawlerSet) Result {
	if f.found == nil {
		return Result{Cause: CauseClosed}
	}
	return f.found.result(set, SourceDNS)
}

// Lookup asks the DNS without looking into the memory, changing it or drawing on the budget, and returns all there is
// to show. It ends when ctx ends, after 5 seconds or with Close.
func (v *Verifier) Lookup(ctx context.Context, crawler string, addr netip.Addr) Result {
	set, key, cause := v.admit(crawler, addr)
	if cause != "" {
		return Result{Cause: cause}
	}
	bounded, cancel := context.WithTimeout(ctx, lookupAtMost)
	defer cancel()
	stop := context.AfterFunc(v.life, cancel)
	defer stop()
	result := v.Resolver.confirm(bounded, v.crawlers, key).detailed(set)
	if result.Verdict == Unknown {
		switch {
		case v.life.Err() != nil:
			result.Cause = CauseClosed
		case ctx.Err() != nil:
			result.Cause = CauseWait
		}
	}
	return result
}

// Close ends all lookups: whoever waits for one gets Unknown, CauseClosed, and so does whoever asks afterwards. It
// returns when the functions given to Later have been called and the Verifier's goroutines have ended. It may be called
// more than once. The error is always nil.
func (v *Verifier) Close() error {
	v.start()
	v.mu.Lock()
	v.closed.Store(true)
	v.mu.Unlock()
	v.end()
	v.flying.Wait()
	for _, cache := range []*otter.Cache[netip.Addr, *finding]{v.proven, v.stale, v.others} {
		cache.StopAllGoroutines()
	}
	return nil
}
