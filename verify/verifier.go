package verify

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Verifier answers whether an address belongs to a crawler, and remembers. Its fields are set before first use and then
// left alone; its methods are safe for concurrent use. It must not be copied after first use, and should be closed.
//
// It fails towards Unknown: whatever goes wrong, no client becomes Genuine by it, and nobody waits longer than Wait.
type Verifier struct {
	// Crawlers are those that can be verified, 32 at most, recognised in requests by ClaimsOf. One that ClaimsOf would
	// not take is not known here: its verdict is Unknown, CauseCrawler. Nil: those of the Catalogue.
	Crawlers []Crawler

	// Resolver is asked. Nil: every verdict is Unknown, CauseResolver.
	Resolver *Resolver

	// Wait is the longest that Identify waits for a lookup. 0: it starts lookups and never waits for them.
	Wait time.Duration

	// Budget bounds the lookups. The zero value has defaults that suit the open internet.
	Budget Budget

	// Published are the addresses that a crowd of strangers must not keep from being looked up: a part of the budget is
	// kept for them. They prove nothing. It is called for every lookup, so it may answer with a newer list each time; it
	// may return nil. Nil: the list of PublishedRanges.
	Published func() *Ranges

	once   sync.Once
	closed atomic.Bool // set under mu

	crawlers []Crawler
	memory   memory
	counts   counts
	troubles atomic.Int32    // lookups in a row that came to nothing, or proved
	life     context.Context // of the background lookups
	end      context.CancelFunc

	mu      sync.Mutex
	flights map[netip.Addr]*flight // waiting and under way
	budget  budget
	ticking bool           // a goroutine waits to call depart
	flying  sync.WaitGroup // added to under mu and before closed is set
}

func (v *Verifier) start() {
	v.once.Do(func() {
		if v.crawlers = Catalogue(); v.Crawlers != nil {
			v.crawlers = sound(v.Crawlers)
		}
		v.memory = newMemory()
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

// admit says what to look for: the crawler's bit and the address as the memory knows it. cause is set if there is
// nothing to look for.
func (v *Verifier) admit(crawler string, addr netip.Addr) (set crawlerSet, plain netip.Addr, cause string) {
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

// Identify returns the verdict on addr, which claims to be the named one of the crawlers. Known addresses are
// answered from memory. For others a lookup is started, or the one under way joined, and waited for until Wait or ctx
// ends; then the verdict is Unknown, with what the lookup was waiting for as its cause, and the lookup goes on and will
// have filled the memory for the next request.
func (v *Verifier) Identify(ctx context.Context, crawler string, addr netip.Addr) Result {
	set, addr, cause := v.admit(crawler, addr)
	if cause != "" {
		return Result{Cause: cause}
	}
	memory := v.memory.recall(set, addr)
	if memory.known != nil {
		if memory.due {
			v.renew(addr, memory.known)
		}
		return memory.result(set)
	}
	return memory.instead(set, v.await(ctx, set, addr))
}

// instead returns a stale proof instead of an Unknown, if there is one.
func (r *recalled) instead(set crawlerSet, result Result) Result {
	if result.Verdict == Unknown && r.stale != nil && result.Cause != CauseClosed {
		return r.stale.result(set, SourceStale)
	}
	return result
}

func (v *Verifier) await(ctx context.Context, set crawlerSet, addr netip.Addr) Result {
	f, memory, cause := v.board(set, addr, nil)
	if memory.known != nil {
		return memory.result(set)
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
		return f.waiting()
	case <-ctx.Done():
		return Result{Cause: CauseWait}
	}
}

// Prefetch starts the lookup of addr if it is inside the published ranges and not known, so that the first claim that
// comes from there need not wait. For all other addresses it does nothing. It never blocks and costs little enough to be
// called for every connection.
func (v *Verifier) Prefetch(addr netip.Addr) {
	v.start()
	if _, published := v.budget.published().Find(addr); !published || v.closed.Load() {
		return
	}
	addr = addr.Unmap().WithZone("")
	memory := v.memory.recall(0, addr)
	switch {
	case memory.known == nil:
		v.board(0, addr, nil)
	case memory.due:
		v.renew(addr, memory.known)
	}
}

// Peek returns the verdict if it is in memory, and false if it is not or if a lookup is not possible. It never starts a
// lookup and never waits, so it may be called where nothing may block, as in a TLS handshake.
func (v *Verifier) Peek(crawler string, addr netip.Addr) (Result, bool) {
	set, addr, cause := v.admit(crawler, addr)
	if cause != "" {
		return Result{Cause: cause}, false
	}
	if memory := v.memory.recall(set, addr); memory.known != nil {
		return memory.result(set), true
	}
	return Result{}, false
}

// IdentifyAsync calls done exactly once with the verdict and never blocks. If the verdict is in memory, or no lookup will be made
// (no such crawler, no valid address, over budget, closed), done is called at once, in this goroutine. Otherwise it is
// called in another one, when the lookup ends, however it ends. Of one address at most 256 calls wait at a time; more are
// over budget. done must not call Close.
func (v *Verifier) IdentifyAsync(crawler string, addr netip.Addr, done func(Result)) {
	set, addr, cause := v.admit(crawler, addr)
	if cause != "" {
		done(Result{Cause: cause})
		return
	}
	memory := v.memory.recall(set, addr)
	if memory.known != nil {
		if memory.due {
			v.renew(addr, memory.known)
		}
		done(memory.result(set))
		return
	}
	report := done
	if memory.stale != nil {
		report = func(r Result) { done(memory.instead(set, r)) }
	}
	f, meanwhile, cause := v.board(set, addr, report)
	switch {
	case meanwhile.known != nil:
		done(meanwhile.result(set))
	case f == nil:
		report(Result{Cause: cause})
	}
}

// Lookup asks the DNS without looking into the memory, changing it or drawing on the budget, and returns all there is
// to show. It ends when ctx ends, after 5 seconds or with Close.
func (v *Verifier) Lookup(ctx context.Context, crawler string, addr netip.Addr) Result {
	set, addr, cause := v.admit(crawler, addr)
	if cause != "" {
		return Result{Cause: cause}
	}
	return v.lookUp(ctx, v.crawlers, set, addr)
}

func (v *Verifier) lookUp(ctx context.Context, crawlers []Crawler, set crawlerSet, addr netip.Addr) Result {
	bounded, cancel := context.WithTimeout(ctx, lookupAtMost)
	defer cancel()
	stop := context.AfterFunc(v.life, cancel)
	defer stop()
	one := lookup{resolver: v.Resolver}
	result := one.confirm(bounded, crawlers, addr).detailed(set)
	if result.Verdict == Unknown {
		switch {
		case v.life.Err() != nil:
			result.explain(troubleAt("", CauseClosed, ""))
		case ctx.Err() != nil:
			result.explain(troubleAt("", CauseWait, ""))
		}
	}
	return result
}

// Close ends all lookups: whoever waits for one gets Unknown, CauseClosed, and so does whoever asks afterwards. It
// returns when the functions given to IdentifyAsync have been called and the Verifier's goroutines have ended. It may be called
// more than once. The error is always nil.
func (v *Verifier) Close() error {
	v.start()
	v.mu.Lock()
	if !v.closed.Load() {
		for _, f := range v.budget.abandon() {
			v.flying.Go(func() { v.land(f) })
		}
		v.closed.Store(true)
	}
	v.mu.Unlock()
	v.end()
	v.flying.Wait()
	v.memory.close()
	return nil
}
