package verify

import (
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPeek(t *testing.T) {
	inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
		addr := netip.MustParseAddr(googlebotAddr)
		if got, ok := v.Peek("googlebot", addr); ok || got.Verdict != Unknown {
			t.Errorf("before the first lookup Peek got %+v, want nothing", got)
		}
		synctest.Wait()
		if z.total() != 0 {
			t.Errorf("Peek made %d queries, want none", z.total())
		}
		v.Identify(t.Context(), "googlebot", addr)
		got, ok := v.Peek("googlebot", addr)
		if !ok {
			t.Error("after Identify Peek got nothing, want a verdict")
		}
		want(t, got, Genuine, SourceCache, "")
	})
}

func TestIdentifyAsync(t *testing.T) {
	inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
		addr := netip.MustParseAddr(googlebotAddr)
		z.gate = make(chan struct{})
		var mu sync.Mutex
		var results []Result
		note := func(r Result) {
			mu.Lock()
			defer mu.Unlock()
			results = append(results, r)
		}
		mu.Lock() // whoever called back in this goroutine would never come back
		for range 3 {
			v.IdentifyAsync("googlebot", addr, note)
		}
		v.IdentifyAsync("apis-google", addr, note)
		mu.Unlock()
		synctest.Wait()
		if len(results) != 0 {
			t.Fatalf("before the lookup ended: got the calls %+v, want none", results)
		}
		close(z.gate)
		synctest.Wait()
		if len(results) != 4 {
			t.Fatalf("%d calls, want 4", len(results))
		}
		for _, r := range results[:3] {
			want(t, r, Genuine, SourceDNS, "")
		}
		want(t, results[3], Impostor, SourceDNS, "")
		if n := z.count(googlebotPTR + " PTR"); n != 1 {
			t.Errorf("%d PTR queries, want 1", n)
		}
		// Now it is known: at once, in this goroutine.
		v.IdentifyAsync("googlebot", addr, note)
		if len(results) != 5 {
			t.Fatalf("got %d calls in all, want 5: a cached verdict is passed on at once", len(results))
		}
		want(t, results[4], Genuine, SourceCache, "")
		v.IdentifyAsync("googlebot", netip.Addr{}, note)
		want(t, results[5], Unknown, "", CauseAddress)
	})
}

func TestIdentifyAsyncFails(t *testing.T) {
	inBubble(t, "fault * silent", func(t *testing.T, z *zone, v *Verifier) {
		results := make(chan Result, 2)
		start := time.Now()
		v.IdentifyAsync("googlebot", netip.MustParseAddr(googlebotAddr), func(r Result) { results <- r })
		want(t, <-results, Unknown, SourceDNS, CauseTimeout)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("got a result after %v, want one within 5 s", took)
		}
	})
}

func TestClose(t *testing.T) {
	inBubble(t, "fault * silent", func(t *testing.T, z *zone, v *Verifier) {
		v.Wait = time.Hour
		addr := netip.MustParseAddr(googlebotAddr)
		results := make(chan Result, 4)
		go func() { results <- v.Identify(t.Context(), "googlebot", addr) }()
		go func() { results <- v.Lookup(t.Context(), "googlebot", addr) }()
		v.IdentifyAsync("googlebot", addr, func(r Result) { results <- r })
		v.IdentifyAsync("googlebot", netip.MustParseAddr("2001:db8::1"), func(r Result) { results <- r })
		synctest.Wait()
		start := time.Now()
		for range 3 {
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		}
		for range 4 {
			if r := <-results; r.Verdict != Unknown || r.Cause != CauseClosed {
				t.Errorf("got %+v, want unknown because of %q", r, CauseClosed)
			}
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("Close took %v, want 0 s", waited)
		}
		want(t, v.Identify(t.Context(), "googlebot", addr), Unknown, "", CauseClosed)
		want(t, v.Lookup(t.Context(), "googlebot", addr), Unknown, "", CauseClosed)
		if _, ok := v.Peek("googlebot", addr); ok {
			t.Error("after Close Peek got a verdict, want none")
		}
		calls := 0
		v.IdentifyAsync("googlebot", addr, func(r Result) {
			calls++
			want(t, r, Unknown, "", CauseClosed)
		})
		if calls != 1 {
			t.Errorf("got %d calls after Close, want 1", calls)
		}
	})
}

func TestCloseForgets(t *testing.T) {
	inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
		addr := netip.MustParseAddr(googlebotAddr)
		want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceDNS, "")
		v.Close()
		want(t, v.Identify(t.Context(), "googlebot", addr), Unknown, "", CauseClosed)
	})
	unused := &Verifier{}
	if err := unused.Close(); err != nil {
		t.Error(err)
	}
}

// TestCloseAmongCalls looks for calls that are lost or made twice while Close and everything else race.
func TestCloseAmongCalls(t *testing.T) {
	checkLeaks(t)
	z := newZone(googlebotZone)
	for range 20 {
		v := &Verifier{Resolver: z.inMemory(), Wait: time.Minute}
		var mu sync.Mutex
		calls := map[int]int{}
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				addr := netip.AddrFrom4([4]byte{66, 249, 66, byte(i % 5)})
				v.IdentifyAsync("googlebot", addr, func(Result) {
					mu.Lock()
					calls[i]++
					mu.Unlock()
				})
				v.Identify(t.Context(), "googlebot", addr)
			})
		}
		v.Close()
		all.Wait()
		for i := range 50 {
			if calls[i] != 1 {
				t.Fatalf("callback %d: got %d calls, want 1", i, calls[i])
			}
		}
	}
}

func TestPublishedIsCalledForEachLookup(t *testing.T) {
	inBubble(t, "fault * silent", func(t *testing.T, z *zone, v *Verifier) {
		var list *Ranges
		v.Wait, v.Published = 0, func() *Ranges { return list }
		v.Budget = Budget{InFlight: 1, Queue: 1}
		for i := range 2 { // one under way, one waiting
			want(t, v.Identify(t.Context(), "googlebot", stranger(i)), Unknown, "", CausePending)
		}
		want(t, v.Identify(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr)), Unknown, "", CauseBudget)
		embedded, err := PublishedRanges()
		if err != nil {
			t.Fatal(err)
		}
		list = embedded
		want(t, v.Identify(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr)), Unknown, "", CausePending)
	})
}
