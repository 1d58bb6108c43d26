package verify

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestRefreshedBeforeExpiry: what is asked for in the last tenth of its time is looked up again, once, and nobody waits
// for it.
func TestRefreshedBeforeExpiry(t *testing.T) {
	inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
		addr := netip.MustParseAddr(googlebotAddr)
		identify := func(source string) {
			t.Helper()
			start := time.Now()
			want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, source, "")
			if source != SourceDNS && time.Since(start) != 0 {
				t.Errorf("waited %v, want 0 s", time.Since(start))
			}
		}
		lookups := func() int { synctest.Wait(); return z.count(googlebotPTR + " PTR") }
		identify(SourceDNS)
		time.Sleep(26 * time.Minute) // of 30
		identify(SourceCache)
		if n := lookups(); n != 1 {
			t.Errorf("got %d lookups before the last tenth of the time, want 1", n)
		}
		time.Sleep(2 * time.Minute)
		for range 10 {
			identify(SourceCache)
		}
		if n := lookups(); n != 2 {
			t.Errorf("%d lookups in the last tenth, want one more", n)
		}
		time.Sleep(25 * time.Minute) // the first proof would be over
		identify(SourceCache)
		if n := lookups(); n != 2 {
			t.Errorf("got %d lookups after the refresh, want 2", n)
		}
		// In vain: it stays what it is until its time is over.
		z.fail("servfail", 0)
		time.Sleep(4 * time.Minute)
		for range 10 {
			identify(SourceCache)
		}
		if n := lookups(); n != 2+3 {
			t.Errorf("%d queries, want the 3 tries of one lookup more", n)
		}
		identify(SourceCache)
		time.Sleep(2 * time.Minute)
		identify(SourceStale)
		z.fail("", 0)
		time.Sleep(failureTTL)
		identify(SourceDNS)
		// Whoever is answered later renews as well.
		time.Sleep(28 * time.Minute)
		before := lookups()
		v.IdentifyAsync("googlebot", addr, func(r Result) { want(t, r, Genuine, SourceCache, "") })
		if n := lookups(); n != before+1 {
			t.Errorf("IdentifyAsync made %d lookups, want 1", n-before)
		}
		// It is not Google's any more: the second renewal that says so ends the proof.
		time.Sleep(28 * time.Minute)
		z.set("")
		v.Peek("googlebot", addr)
		v.Prefetch(addr)
		synctest.Wait()
		want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceCache, "")
		time.Sleep(minDenialGap)
		v.Prefetch(addr)
		synctest.Wait()
		want(t, v.Identify(t.Context(), "googlebot", addr), Impostor, SourceCache, "")
	})
}

func TestPrefetch(t *testing.T) {
	inBubble(t, matrixZone, func(t *testing.T, z *zone, v *Verifier) {
		for _, addr := range []string{"127.0.0.1", "1.2.3.4", "2001:db8::1", "95.216.227.158"} {
			v.Prefetch(netip.MustParseAddr(addr))
		}
		v.Prefetch(netip.Addr{})
		synctest.Wait()
		if n := z.total(); n != 0 {
			t.Errorf("got %d queries for addresses outside the ranges, want none", n)
		}
		start := time.Now()
		z.delay = 200 * time.Millisecond
		crawlers := []string{googlebotAddr, "::ffff:" + googlebotAddr, "2001:4860:4801:10::1"}
		for range 3 {
			for _, addr := range crawlers {
				v.Prefetch(netip.MustParseAddr(addr))
			}
		}
		if time.Since(start) != 0 {
			t.Error("Prefetch waits, want it to return at once")
		}
		time.Sleep(time.Second)
		queries := z.total()
		if queries != 4 {
			t.Errorf("%d queries, want PTR and forward of two addresses", queries)
		}
		for _, addr := range crawlers {
			want(t, v.Identify(t.Context(), "googlebot", netip.MustParseAddr(addr)), Genuine, SourceCache, "")
			v.Prefetch(netip.MustParseAddr(addr))
		}
		synctest.Wait()
		if z.total() != queries {
			t.Error("a cached address is looked up, want no query")
		}
		v.Close()
		v.Prefetch(netip.MustParseAddr("66.249.66.9"))
	})
}

// TestNoVerdictRestsOnRanges: an address inside the published ranges whose names do not prove it is an impostor, and
// one outside whose names do is genuine.
func TestNoVerdictRestsOnRanges(t *testing.T) {
	inBubble(t, `4.3.2.1.in-addr.arpa. 300 PTR crawl-1-2-3-4.googlebot.com.
		crawl-1-2-3-4.googlebot.com. 300 A 1.2.3.4`, func(t *testing.T, z *zone, v *Verifier) {
		want(t, v.Identify(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr)), Impostor, SourceDNS, "")
		want(t, v.Identify(t.Context(), "googlebot", netip.MustParseAddr("1.2.3.4")), Genuine, SourceDNS, "")
		z.fail("servfail", 0)
		want(t, v.Identify(t.Context(), "googlebot", netip.MustParseAddr("66.249.66.2")), Unknown, SourceDNS, CauseServfail)
	})
}

// TestOutage is the law: whatever the DNS does for however long, who is genuine never becomes an impostor, and who is
// an impostor is known as one within 5 seconds of the outage's end, at every moment it can begin.
func TestOutage(t *testing.T) {
	t.Parallel()
	outage := func(t *testing.T, fault string) {
		t.Parallel()
		for begin := time.Duration(0); begin <= 31*time.Minute; begin += 47 * time.Second {
			inBubble(t, matrixZone, func(t *testing.T, z *zone, v *Verifier) {
				genuine, impostor := netip.MustParseAddr(googlebotAddr), netip.MustParseAddr("1.2.3.4")
				start := time.Now()
				for time.Since(start) < begin {
					g, i := v.Identify(t.Context(), "googlebot", genuine), v.Identify(t.Context(), "googlebot", impostor)
					if g.Verdict != Genuine || i.Verdict != Impostor {
						t.Fatalf("before the outage: got %+v and %+v, want genuine and impostor", g, i)
					}
					time.Sleep(time.Minute)
				}
				z.fail(fault, 0)
				for range 40 {
					g, i := v.Identify(t.Context(), "googlebot", genuine), v.Identify(t.Context(), "googlebot", impostor)
					if g.Verdict == Impostor || i.Verdict == Genuine || begin > 0 && g.Verdict != Genuine {
						t.Fatalf("%s after %v: got %+v and %+v, want genuine and no verdict that is wrong", fault, begin, g, i)
					}
					time.Sleep(time.Minute)
				}
				z.fail("", 0)
				time.Sleep(5 * time.Second)
				for addr, verdict := range map[netip.Addr]Verdict{genuine: Genuine, impostor: Impostor} {
					if got := v.Identify(t.Context(), "googlebot", addr); got.Verdict != verdict || got.Source == SourceStale {
						t.Errorf("%s after %v, 5 seconds after its end: got %+v, want a fresh %s", fault, begin, got, verdict)
					}
				}
			})
		}
	}
	for _, fault := range []string{"servfail", "silent", "garbage", "lame"} {
		t.Run(fault, func(t *testing.T) { outage(t, fault) })
	}
}

func BenchmarkPrefetchUnpublished(b *testing.B) {
	v, _ := warm(b)
	for _, addr := range []string{"192.0.2.1", "2001:db8::1"} {
		b.Run(addr, func(b *testing.B) {
			stranger := netip.MustParseAddr(addr)
			b.ReportAllocs()
			for b.Loop() {
				v.Prefetch(stranger)
			}
		})
	}
}

func BenchmarkPrefetchCached(b *testing.B) {
	v, addr := warm(b)
	b.ReportAllocs()
	for b.Loop() {
		v.Prefetch(addr)
	}
}

// BenchmarkIdentifyWarmParallel has 8 goroutines for each processor, each with an address of its own or all with one.
func BenchmarkIdentifyWarmParallel(b *testing.B) {
	for name, apart := range map[string]bool{"one address": false, "own address": true} {
		b.Run(name, func(b *testing.B) {
			v, first := warm(b)
			known, _ := v.cache.proven.GetIfPresent(first.As16())
			addrs := make([]netip.Addr, 64)
			for i := range addrs {
				addrs[i] = numbered(i)
				v.cache.put(addrs[i], &report{finding: &finding{name: known.name, provenByName: 1, genuine: 1}, ttl: time.Hour})
			}
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				addr := first
				if apart {
					addr = addrs[n.Add(1)%int64(len(addrs))]
				}
				ctx := context.Background()
				for pb.Next() {
					if v.Identify(ctx, "googlebot", addr).Verdict != Genuine {
						b.Error("not genuine")
						return
					}
				}
			})
		})
	}
}

// BenchmarkIdentifyFlood is what a false claim costs when there is no room for its lookup.
func BenchmarkIdentifyFlood(b *testing.B) {
	z := newZone("fault * silent")
	v := &Verifier{Resolver: z.inMemory()}
	defer v.Close()
	ctx := context.Background()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		if v.Identify(ctx, "googlebot", numbered(i)).Verdict == Genuine {
			b.Fatal("genuine")
		}
	}
}
