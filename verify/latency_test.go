package verify

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// TestSlowServers: a constant latency, however long within half a lookup, verifies. Whoever waits is served meanwhile,
// hears what the lookup is waiting for, and the next request finds the verdict.
func TestSlowServers(t *testing.T) {
	for _, latency := range []time.Duration{
		50 * time.Millisecond, 300 * time.Millisecond, 450 * time.Millisecond, 850 * time.Millisecond,
		1100 * time.Millisecond,
		1500 * time.Millisecond, 2 * time.Second, 2400 * time.Millisecond,
	} {
		for _, servers := range [][]string{{"192.0.2.53:53"}, {"192.0.2.53:53", "192.0.2.54:53"}} {
			t.Run(latency.String(), func(t *testing.T) {
				inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
					z.delay, v.Resolver.Servers = latency, servers
					defer time.Sleep(latency) // what is on its way
					addr := netip.MustParseAddr(googlebotAddr)
					start := time.Now()
					got := v.Identify(t.Context(), "googlebot", addr)
					if waited := time.Since(start); waited > v.Wait {
						t.Errorf("waited %v, want at most %v", waited, v.Wait)
					}
					if 2*latency < v.Wait {
						want(t, got, Genuine, SourceDNS, "")
						return
					}
					want(t, got, Unknown, "", CauseTimeout)
					if got.Why() != "timeout 192.0.2.53:53" {
						t.Errorf("got the reason %q, want servfail 192.0.2.53:53", got.Why())
					}
					time.Sleep(2*latency - time.Since(start) + time.Millisecond)
					want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceCache, "")
					// A server that is known to be slow is not asked more often than it has to be.
					before := z.total()
					if r := v.Lookup(t.Context(), "googlebot", addr); r.Verdict != Genuine {
						t.Errorf("got %+v, want genuine", r)
					}
					if latency <= 1100*time.Millisecond && z.total()-before > 2*len(servers) {
						t.Errorf("got %d queries for two questions, want at most %d", z.total()-before, 2*len(servers))
					}
				})
			})
		}
	}
}

// TestLostDatagrams: any two lost datagrams of a lookup are made up for within Wait.
func TestLostDatagrams(t *testing.T) {
	for lost := range int32(5) {
		for alsoLost := range lost + 1 {
			inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
				var n atomic.Int32
				z.tcp, z.drop = "closed", func() bool { i := n.Add(1) - 1; return i == lost || i == alsoLost }
				want(t, v.Identify(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr)), Genuine, SourceDNS, "")
			})
		}
	}
}

// TestCauseOfAWait: the cause of a wait that is over is the lookup's own.
func TestCauseOfAWait(t *testing.T) {
	inBubble(t, "fault * servfail", func(t *testing.T, z *zone, v *Verifier) {
		z.delay = 600 * time.Millisecond
		defer time.Sleep(z.delay)
		got := v.Identify(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr))
		want(t, got, Unknown, "", CauseServfail)
		if got.Why() != "servfail 192.0.2.53:53" {
			t.Errorf("got the reason %q, want servfail 192.0.2.53:53", got.Why())
		}
	})
	inBubble(t, "fault * silent", func(t *testing.T, z *zone, v *Verifier) {
		v.Budget = Budget{InFlight: 2}
		v.Published = func() *Ranges { return nil }
		v.IdentifyAsync("googlebot", stranger(1), func(Result) {})
		v.IdentifyAsync("googlebot", stranger(2), func(Result) {})
		want(t, v.Identify(t.Context(), "googlebot", stranger(3)), Unknown, "", CauseWait)
	})
}
