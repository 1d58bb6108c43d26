package verify

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble runs a test on a Verifier whose clock and network are the bubble's.
func inBubble(t *testing.T, text string, test func(t *testing.T, z *zone, v *Verifier)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		z := newZone(text)
		v := &Verifier{Resolver: z.inMemory(), Wait: time.Second}
		defer v.Close()
		test(t, z, v)
	})
}

func want(t *testing.T, got Result, verdict Verdict, source, cause string) {
	t.Helper()
	if got.Verdict != verdict || got.Source != source || got.Cause != cause {
		t.Errorf("got %s from %q, cause %q; want %s from %q, cause %q", got.Verdict, got.Source, got.Cause, verdict, source,
			cause)
	}
}

func TestIdentifyCaches(t *testing.T) {
	inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
		addr := netip.MustParseAddr(googlebotAddr)
		want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceDNS, "")
		queries := z.total()
		for _, same := range []string{googlebotAddr, "::ffff:" + googlebotAddr} {
			got := v.Identify(t.Context(), "googlebot", netip.MustParseAddr(same))
			want(t, got, Genuine, SourceCache, "")
			if got.PTR != googlebotName || got.Took != 0 || got.Names != nil || got.Forward != nil {
				t.Errorf("from the cache: got %+v, want the name and no details", got)
			}
		}
		// One lookup serves all crawlers, each by its own masks.
		want(t, v.Identify(t.Context(), "storebot-google", addr), Genuine, SourceCache, "")
		want(t, v.Identify(t.Context(), "apis-google", addr), Impostor, SourceCache, "")
		if z.total() != queries {
			t.Errorf("got %d queries for cached addresses, want none", z.total()-queries)
		}
	})
}

func TestTimeToLive(t *testing.T) {
	pair := func(ptr, a string) string {
		return "1.66.249.66.in-addr.arpa. " + ptr + " PTR crawl-66-249-66-1.googlebot.com.\n" +
			"crawl-66-249-66-1.googlebot.com. " + a + " A 66.249.66.1\n"
	}
	cases := []struct {
		name string
		zone string
		keep time.Duration
	}{
		{"the least is the reverse record's", pair("600", "1800"), 600 * time.Second},
		{"the least is the forward record's", pair("1800", "600"), 600 * time.Second},
		{"not under a minute", pair("0", "3600"), time.Minute},
		{"not over a day", pair("604800", "604800"), 24 * time.Hour},
		{
			"an alias counts",
			"1.66.249.66.in-addr.arpa. 120 CNAME a.example.\na.example. 3600 PTR crawl-66-249-66-1.googlebot.com.\n" +
				"crawl-66-249-66-1.googlebot.com. 3600 A 66.249.66.1",
			120 * time.Second,
		},
		{"the top bit is zero", pair("2147483648", "3600"), time.Minute},
		{"impostor", "", 10 * time.Minute},
		{"impostor with records that live long", "1.66.249.66.in-addr.arpa. 604800 PTR host.example.", 10 * time.Minute},
		{"trouble", "fault * servfail", 3 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, c.zone, func(t *testing.T, z *zone, v *Verifier) {
				addr := netip.MustParseAddr(googlebotAddr)
				first := v.Identify(t.Context(), "googlebot", addr)
				if first.Source != SourceDNS {
					t.Fatalf("first: got %+v, want a verdict from the DNS", first)
				}
				time.Sleep(c.keep - time.Millisecond)
				if got, ok := v.Peek("googlebot", addr); !ok || got.Verdict != first.Verdict || got.Cause != first.Cause {
					t.Errorf("a moment before %v: got %+v, cached %v; want %+v", c.keep, got, ok, first)
				}
				time.Sleep(2 * time.Millisecond)
				if got, ok := v.Peek("googlebot", addr); ok {
					t.Errorf("a moment after %v: got %+v, want nothing cached", c.keep, got)
				}
				want(t, v.Identify(t.Context(), "googlebot", addr), first.Verdict, SourceDNS, first.Cause)
			})
		})
	}
}

func TestStaleWhileLookupsFail(t *testing.T) {
	inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
		addr := netip.MustParseAddr(googlebotAddr)
		want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceDNS, "")
		z.set("fault * servfail")
		time.Sleep(31 * time.Minute)
		want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceStale, "")
		want(t, v.Identify(t.Context(), "apis-google", addr), Unknown, SourceCache, CauseServfail)
		time.Sleep(10 * time.Hour)
		z.set("fault * silent")
		start := time.Now()
		want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceStale, "")
		if waited := time.Since(start); waited != v.Wait {
			t.Errorf("waited %v for a silent server, want %v", waited, v.Wait)
		}
		time.Sleep(4 * time.Second)
		start = time.Now()
		want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceStale, "")
		var later Result
		v.IdentifyAsync("googlebot", addr, func(r Result) { later = r })
		want(t, later, Genuine, SourceStale, "")
		if waited := time.Since(start); waited != 0 {
			t.Errorf("right after a failure: waited %v, want 0 s", waited)
		}
		// A definite no ends it at once, and a day in trouble does.
		z.set("")
		time.Sleep(4 * time.Second)
		want(t, v.Identify(t.Context(), "googlebot", addr), Impostor, SourceDNS, "")
		z.set("fault * servfail")
		time.Sleep(11 * time.Minute)
		want(t, v.Identify(t.Context(), "googlebot", addr), Unknown, SourceDNS, CauseServfail)
	})
}

func TestStaleForADayAtMost(t *testing.T) {
	inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
		addr := netip.MustParseAddr(googlebotAddr)
		want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceDNS, "")
		z.set("fault * servfail")
		time.Sleep(30*time.Minute + 24*time.Hour - time.Second)
		want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceStale, "")
		time.Sleep(5 * time.Second)
		want(t, v.Identify(t.Context(), "googlebot", addr), Unknown, SourceDNS, CauseServfail)
	})
}

func TestRecovery(t *testing.T) {
	inBubble(t, "fault * silent", func(t *testing.T, z *zone, v *Verifier) {
		addr := netip.MustParseAddr(googlebotAddr)
		for range 20 {
			if got := v.Identify(t.Context(), "googlebot", addr); got.Verdict != Unknown {
				t.Fatalf("with a silent server: got %+v, want no wrong verdict", got)
			}
			time.Sleep(time.Second)
		}
		z.set(googlebotZone)
		recovered := time.Now()
		for v.Identify(t.Context(), "googlebot", addr).Verdict != Genuine {
			time.Sleep(100 * time.Millisecond)
			if time.Since(recovered) > 5*time.Second {
				t.Fatal("5 seconds after the recovery: got no fresh verdict, want one")
			}
		}
	})
}

func TestWait(t *testing.T) {
	addr := netip.MustParseAddr(googlebotAddr)
	inBubble(t, "fault * silent", func(t *testing.T, z *zone, v *Verifier) {
		start := time.Now()
		got := v.Identify(t.Context(), "googlebot", addr)
		want(t, got, Unknown, "", CauseTimeout)
		if why := got.Why(); why != "timeout 192.0.2.53:53" {
			t.Errorf("got the reason %q, want timeout 192.0.2.53:53", why)
		}
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("waited %v, want %v", waited, v.Wait)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		start = time.Now()
		want(t, v.Identify(ctx, "googlebot", addr), Unknown, "", CauseWait)
		if waited := time.Since(start); waited != 30*time.Millisecond {
			t.Errorf("waited %v, want 30 ms: as long as the context", waited)
		}
		// The lookup has gone on without anybody waiting.
		time.Sleep(5 * time.Second)
		if got := z.total(); got != 9 {
			t.Errorf("%d queries, want 8 over UDP and one over TCP", got)
		}
	})
	inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
		v.Wait = 0
		want(t, v.Identify(t.Context(), "googlebot", addr), Unknown, "", CausePending)
		synctest.Wait()
		want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceCache, "")
	})
	// Behind two servers that never answer, a lookup still ends.
	inBubble(t, "fault * silent", func(t *testing.T, z *zone, v *Verifier) {
		v.Resolver.Servers = []string{"192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53", "192.0.2.4:53"}
		start := time.Now()
		want(t, v.Lookup(t.Context(), "googlebot", addr), Unknown, SourceDNS, CauseTimeout)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("the lookup took %v, want 5s", took)
		}
	})
}

func TestSingleFlight(t *testing.T) {
	inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
		z.gate = make(chan struct{})
		var all sync.WaitGroup
		var genuine atomic.Int32
		for i := range 100 {
			all.Go(func() {
				crawler := []string{"googlebot", "googleother"}[i%2]
				if v.Identify(t.Context(), crawler, netip.MustParseAddr(googlebotAddr)).Verdict == Genuine {
					genuine.Add(1)
				}
			})
		}
		synctest.Wait() // all have asked
		close(z.gate)
		all.Wait()
		if genuine.Load() != 100 {
			t.Errorf("got %d genuine verdicts, want 100", genuine.Load())
		}
		if n, m := z.count(googlebotPTR+" PTR"), z.count(googlebotName+". A"); n != 1 || m != 1 {
			t.Errorf("%d PTR and %d A queries, want one each", n, m)
		}
	})
}

func TestNoLookupPossible(t *testing.T) {
	inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
		addr := netip.MustParseAddr(googlebotAddr)
		want(t, v.Identify(t.Context(), "googlebot", netip.Addr{}), Unknown, "", CauseAddress)
		want(t, v.Lookup(t.Context(), "googlebot", netip.Addr{}), Unknown, "", CauseAddress)
		for _, crawler := range []string{"", "Googlebot", "bingbot"} {
			want(t, v.Identify(t.Context(), crawler, addr), Unknown, "", CauseCrawler)
		}
		if _, ok := v.Peek("googlebot", netip.Addr{}); ok {
			t.Error("got a verdict for the zero address, want none")
		}
		if z.total() != 0 {
			t.Errorf("got %d queries, want none", z.total())
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		want(t, v.Lookup(cancelled, "googlebot", addr), Unknown, SourceDNS, CauseWait)
	})
	v := &Verifier{}
	defer v.Close()
	v.Wait = time.Second
	want(t, v.Identify(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr)), Unknown, SourceDNS, CauseResolver)
}

func TestVerdictStrings(t *testing.T) {
	var got []string
	for v := range Verdict(4) {
		got = append(got, v.String())
	}
	if s := strings.Join(got, " "); s != "unknown impostor genuine unknown" {
		t.Errorf("got the verdicts %q, want unknown, impostor, genuine and unknown for others", s)
	}
	if (Result{}).Verdict != Unknown {
		t.Error("the zero Result is not Unknown")
	}
}
