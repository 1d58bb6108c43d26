package verify

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func stranger(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::1", i)) }

// TestBudgetInFlight: of 64 places and 256 in the queue, strangers get 48 and 192.
func TestBudgetInFlight(t *testing.T) {
	crawler := netip.MustParseAddr(googlebotAddr)
	inBubble(t, "fault * silent", func(t *testing.T, z *zone, v *Verifier) {
		v.Wait = 0
		for i := range 48 + 192 {
			want(t, v.Identify(t.Context(), "googlebot", stranger(i)), Unknown, "", CausePending)
		}
		synctest.Wait()
		if n := z.total(); n != 48 {
			t.Errorf("%d lookups are under way, want 48", n)
		}
		start := time.Now()
		v.Wait = time.Second
		want(t, v.Identify(t.Context(), "googlebot", stranger(999)), Unknown, "", CauseBudget)
		if time.Since(start) != 0 {
			t.Errorf("over budget: waited %v, want 0 s", time.Since(start))
		}
		calls := 0
		v.IdentifyAsync("googlebot", stranger(999), func(r Result) {
			calls++
			want(t, r, Unknown, "", CauseBudget)
		})
		if calls != 1 {
			t.Errorf("over budget: got %d calls at once, want 1", calls)
		}
		if _, ok := v.Peek("googlebot", stranger(999)); ok {
			t.Error("CauseBudget is cached, want no verdict")
		}
		// Who waits for a place waits no longer than anybody.
		want(t, v.Identify(t.Context(), "googlebot", stranger(200)), Unknown, "", CauseWait)
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("waited %v in the queue, want 1 s", waited)
		}
		// Who is under way may be joined, and a part is kept for crawlers' addresses.
		v.Wait = 0
		asked := z.total()
		want(t, v.Identify(t.Context(), "googlebot", stranger(0)), Unknown, "", CausePending)
		for range 16 {
			want(t, v.Identify(t.Context(), "googlebot", crawler), Unknown, "", CausePending)
			crawler = crawler.Next()
		}
		synctest.Wait()
		if n := z.total() - asked; n != 16 {
			t.Errorf("%d lookups of crawlers' addresses are under way, want 16", n)
		}
		// All who waited are looked up in the end.
		time.Sleep(30 * time.Second)
		v.mu.Lock()
		defer v.mu.Unlock()
		if len(v.jobs) != 0 || len(v.budget.networks) != 0 || v.budget.all.running != 0 || v.budget.all.queued != 0 ||
			v.budget.unpublished.running != 0 || v.budget.unpublished.queued != 0 {
			t.Errorf("at the end: got %d jobs, %v, %+v, want none", len(v.jobs), v.budget.networks, v.budget.all)
		}
	})
}

// TestBudgetCrawlersFill: addresses in the published ranges may take all places but no more.
func TestBudgetCrawlersFill(t *testing.T) {
	inBubble(t, "fault * silent", func(t *testing.T, z *zone, v *Verifier) {
		v.Wait = 0
		addr := netip.MustParseAddr("2001:4860:4801:10::1")
		for range 64 + 256 {
			want(t, v.Identify(t.Context(), "googlebot", addr), Unknown, "", CausePending)
			addr = addr.Next()
		}
		want(t, v.Identify(t.Context(), "googlebot", addr), Unknown, "", CauseBudget)
		want(t, v.Identify(t.Context(), "googlebot", stranger(1)), Unknown, "", CauseBudget)
		synctest.Wait()
		if n := z.total(); n != 64 {
			t.Errorf("%d lookups are under way, want 64", n)
		}
	})
}

func TestBudgetPerNetwork(t *testing.T) {
	inBubble(t, "fault * silent", func(t *testing.T, z *zone, v *Verifier) {
		v.Wait = 0
		reverse := func(addr string) string { return reverseOf(t, netip.MustParseAddr(addr)) + " PTR" }
		alone := []string{"192.0.2.1", "198.51.100.1", "2001:db8:1:1::1", "2001:db8:1:2::1", "127.0.0.1", "127.0.0.2"}
		neighbours := []string{"192.0.2.255", "::ffff:192.0.2.2", "198.51.100.7", "2001:db8:1:1:ffff::2"}
		for _, addr := range slices.Concat(alone, neighbours) {
			want(t, v.Identify(t.Context(), "googlebot", netip.MustParseAddr(addr)), Unknown, "", CausePending)
		}
		synctest.Wait()
		if n := z.total(); n != len(alone) {
			t.Errorf("%d lookups are under way, want %d", n, len(alone))
		}
		for _, addr := range alone {
			if z.count(reverse(addr)) != 1 {
				t.Errorf("%s: got no lookup, want one", addr)
			}
		}
		// A busy network keeps nobody else waiting, and no network fills the queue.
		for i := range 2 * maxQueuedPerNetwork {
			cause := CausePending
			if i >= maxQueuedPerNetwork {
				cause = CauseBudget
			}
			addr := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 15: byte(i + 2)})
			want(t, v.Identify(t.Context(), "googlebot", addr), Unknown, "", cause)
		}
		want(t, v.Identify(t.Context(), "googlebot", stranger(7)), Unknown, "", CausePending)
		synctest.Wait()
		if z.count(reverseOf(t, stranger(7))+" PTR") != 1 {
			t.Error("an address waits because of another network, want its lookup at once")
		}
		time.Sleep(lookupTimeout + 500*time.Millisecond)
		if z.count(reverse("192.0.2.255")) == 0 || z.count(reverse("192.0.2.2")) != 0 {
			t.Errorf("got %d and %d lookups of neighbours, want one after the other",
				z.count(reverse("192.0.2.255")), z.count(reverse("192.0.2.2")))
		}
	})
}

// TestBudgetPerSecond: no second, wherever it begins, sees more than the bound.
func TestBudgetPerSecond(t *testing.T) {
	inBubble(t, "", func(t *testing.T, z *zone, v *Verifier) {
		v.Budget = Budget{PerSecond: 20}
		v.Wait = 3 * time.Second
		var mu sync.Mutex
		var ended []time.Duration
		start := time.Now()
		ask := func(addr netip.Addr) {
			go func() {
				if v.Identify(t.Context(), "googlebot", addr).Verdict == Impostor {
					mu.Lock()
					defer mu.Unlock()
					ended = append(ended, time.Since(start))
				}
			}()
		}
		for i := range 40 {
			ask(stranger(i))
		}
		time.Sleep(500 * time.Millisecond)
		crawler := netip.MustParseAddr("2001:4860:4801:10::1")
		for range 10 {
			ask(crawler)
			crawler = crawler.Next()
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(ended) != 50 {
			t.Fatalf("got %d lookups that ended, want 50", len(ended))
		}
		var counts []string
		for at := time.Duration(0); at < 4*time.Second; at += 500 * time.Millisecond {
			n := 0
			for _, e := range ended {
				if e >= at && e < at+500*time.Millisecond {
					n++
				}
			}
			counts = append(counts, fmt.Sprint(n))
		}
		// 15 strangers at once; 5 crawlers in the middle of the second; when it is over their 5 others and 10
		// strangers; …
		if got, want := strings.Join(counts, " "), "15 5 15 5 10 0 0 0"; got != want {
			t.Errorf("lookups by half second %s, want %s", got, want)
		}
	})
}

// TestBudgetIsFair: who came first is looked up first.
func TestBudgetIsFair(t *testing.T) {
	inBubble(t, "", func(t *testing.T, z *zone, v *Verifier) {
		v.Budget = Budget{InFlight: 2, PerSecond: 1000}
		z.gate = make(chan struct{})
		var order []int
		for i := range 100 {
			v.IdentifyAsync("googlebot", stranger(i), func(Result) { order = append(order, i) })
		}
		for range 2 * 100 { // "no such name" is asked for twice
			z.gate <- struct{}{}
			synctest.Wait()
		}
		if len(order) != 100 || !slices.IsSorted(order) {
			t.Errorf("got lookups in the order %v, want 0 to 99", order)
		}
	})
}

// TestWaitersAreBounded: a stranger can ask as often as he likes while his lookup lasts.
func TestWaitersAreBounded(t *testing.T) {
	inBubble(t, "fault * silent", func(t *testing.T, z *zone, v *Verifier) {
		var mu sync.Mutex
		causes := map[string]int{}
		for range 1000 {
			v.IdentifyAsync("googlebot", stranger(1), func(r Result) {
				mu.Lock()
				defer mu.Unlock()
				causes[r.Cause]++
			})
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if causes[CauseTimeout] != maxWaiters || causes[CauseBudget] != 1000-maxWaiters {
			t.Errorf("got calls by cause %v, want %d by timeout and the rest by budget", causes, maxWaiters)
		}
	})
}
